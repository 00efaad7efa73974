"""Holds models that mlc wrote to onnx.checker and ONNX Runtime.

Run: python3 tests/oracle/exported.py FOLDER     (pip install -r tests/oracle/exported.txt)
A case is NAME.onnx with NAME.inputs.npz and NAME.outputs.npz. Prints a line for each that is wrong; says at the end how many
were right, and how many ONNX Runtime has no kernels for.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort

ort.set_default_logger_severity(4)
LACKS = ("NOT_IMPLEMENTED", "Could not find an implementation", "NotImplemented")


def check(path):
    """Whether the runtime ran it; raises where something is wrong."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    stem = str(path)[: -len(".onnx")]
    inputs, wanted = (dict(np.load(f"{stem}.{kind}.npz")) for kind in ("inputs", "outputs"))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if any(word in str(error) for word in LACKS):
            return False
        raise
    names = [output.name for output in session.get_outputs()]
    given = {i.name: inputs[i.name] for i in session.get_inputs()}
    for name, found in zip(names, session.run(names, given), strict=True):
        right = wanted[name]
        is_like = found.dtype == right.dtype and found.shape == right.shape
        assert is_like, f"{name}: {found.dtype}{found.shape}, not {right.dtype}{right.shape}"
        loose = 2e-3 if right.dtype == np.float16 else 2e-5
        np.testing.assert_allclose(found.astype(np.float64), right.astype(np.float64), loose, loose, err_msg=name)
    return True


def main(folder):
    right, lacking, wrong = 0, 0, 0
    for path in sorted(pathlib.Path(folder).glob("*.onnx")):
        try:
            ran = check(path)
            right, lacking = right + ran, lacking + (not ran)
        except Exception as error:
            wrong += 1
            print(f"{path.stem}: {' '.join(str(error).split())[:400]}")
    print(f"{right} right, {wrong} wrong, {lacking} without kernels")
    return wrong > 0 or right == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
