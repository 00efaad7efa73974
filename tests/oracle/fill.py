"""The answers of an op that numpy says in one expression: fills in what is missing in a file of tests/data/ops.

Run: python3 tests/oracle/fill.py tests/data/ops/NAME.json [--check]     (pip install numpy)
A file is a list of {op, args, numpy, inputs: [{to, dtype, shape, data}], outputs}. `numpy` is an expression over the inputs,
by name, and `np`. An input without `data` is drawn, anew but alike each time, and outputs are computed. With --check nothing
is written, and outputs that numpy would not give are named.
"""

import json
import pathlib
import sys

import numpy as np

TYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "i64": np.int64, "i32": np.int32, "i16": np.int16,
         "i8": np.int8, "u8": np.uint8, "bool": np.bool_}
NAMES = {np.dtype(dtype): name for name, dtype in TYPES.items()}


def draw(dtype, shape, rng):
    """Eighths, so that inputs are exact in every float; small integers."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0 if dtype == np.uint8 else -9, 10, shape).astype(dtype)
    return (rng.integers(-16, 17, shape) / 8).astype(dtype)


def numbers(x):
    return [str(v) if isinstance(v, float) and not np.isfinite(v) else v for v in x.reshape(-1).tolist()]


def filled(use, rng):
    names = {"np": np}
    for x in use["inputs"]:
        dtype = TYPES[x["dtype"]]
        if "data" not in x:
            x["data"] = numbers(draw(dtype, x["shape"], rng))
        names[x["to"]] = np.array(x["data"]).astype(dtype).reshape(x["shape"])
    results = eval(use["numpy"], names)
    results = results if isinstance(results, tuple) else (results,)
    outputs = [{"dtype": NAMES[y.dtype], "shape": list(y.shape), "data": numbers(y)} for y in results]
    return {**use, "outputs": outputs}


def main():
    path = pathlib.Path(sys.argv[1])
    uses = json.loads(path.read_text())
    found = [filled(dict(use), np.random.default_rng(i)) for i, use in enumerate(uses)]
    if sys.argv[2:] == ["--check"]:
        wrong = [i for i, (old, new) in enumerate(zip(uses, found)) if json.dumps(old) != json.dumps(new)]
        sys.exit(f"{path}: numpy gives other outputs in use {wrong}" if wrong else 0)
    path.write_text("[\n" + ",\n".join(json.dumps(use) for use in found) + "\n]\n")


main()
