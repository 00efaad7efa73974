"""Adds int8 forms of workloads that `models.py` made, as onnxruntime's quantisation writes them:

    python int8.py [NAME…]

`NAME_int8` has quantise and dequantise nodes around products and convolutions: activations of u8 with a zero point, found from
the workload's own input and seeded ones, weights of i8 with a scale for each channel. `NAME_dyn8`, of MiniLM, has activations
quantised by each call. What is right is what onnxruntime computes with all optimisation off: integers as the floats they mean.
"""
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

HERE = Path(__file__).resolve().parent
MADE = HERE / "made"
WORKLOADS = ["mlp_b1", "mlp_b32", "mlp_b1024", "mlplarge_b1", "mlplarge_b32", "minilm_b1_s16", "minilm_b1_s128", "mobilenetv2"]
DYNAMIC = ["minilm_b1_s16", "minilm_b1_s128"]
# A step of 8 bits more or less here and there adds up from layer to layer; onnxruntime with and without optimisation differ so.
TOLERANCE = 0.5


class Inputs(CalibrationDataReader):
    """The workload's own input, and seeded ones beside it."""

    def __init__(self, feeds):
        rng = np.random.default_rng(7)

        def drawn(array):
            if array.dtype == np.float32:
                return rng.standard_normal(array.shape, np.float32)
            return array if array.min() == array.max() else rng.integers(0, array.max() + 1, array.shape, array.dtype)

        self.left = iter([feeds, *({key: drawn(array) for key, array in feeds.items()} for _ in range(4))])

    def get_next(self):
        return next(self.left, None)


def expected(path, feeds, outputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(outputs, feeds)


def make(name, ports, dynamic):
    folder, new = MADE / "io" / name, f"{name}_{'dyn8' if dynamic else 'int8'}"
    feeds = {key: np.load(folder / f"in_{key}.npy") for key in ports["inputs"]}
    path = MADE / f"{new}.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        quant_pre_process(MADE / f"{name}.onnx", plain, skip_symbolic_shape=True)
        if dynamic:
            quantize_dynamic(plain, path, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
        else:
            kinds = ["MatMul", "Gemm"] if "mobilenet" not in name else None
            quantize_static(plain, path, Inputs(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
                            op_types_to_quantize=kinds, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    target = MADE / "io" / new
    target.mkdir(parents=True, exist_ok=True)
    for key, array in feeds.items():
        np.save(target / f"in_{key}.npy", array)
    for key, array in zip(ports["outputs"], expected(path, feeds, ports["outputs"]), strict=True):
        np.save(target / f"out_{key}.npy", array)
    sizes = [np.prod(c.dims, dtype=np.int64) * onnx.helper.tensor_dtype_to_np_dtype(c.data_type).itemsize
             for c in onnx.load(path).graph.initializer]
    kept = {key: value for key, value in ports.items() if key not in ("twin", "weights")}
    return new, dict(kept, weight_bytes=int(sum(sizes)), tolerance=TOLERANCE)


def main():
    path = MADE / "manifest.json"
    for name in sys.argv[1:] or WORKLOADS:
        for dynamic in [False] + [True] * (name in DYNAMIC):
            manifest = json.loads(path.read_text())
            new, made = make(name, manifest[name], dynamic)
            manifest[new] = made
            path.write_text(json.dumps(manifest, indent=1))
            print(new, flush=True)


if __name__ == "__main__":
    main()
