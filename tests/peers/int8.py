"""Adds int8 forms of workloads that `models.py` made: the ONNX file with quantise and dequantise nodes around its matrix
products, as onnxruntime's static quantisation writes it, and the same integers as safetensors for the twin `.mdl`.

    python int8.py [NAME…]

Activations are u8 with a zero point, weights i8 with a scale for each column. Sums are of u8 by i8: what the zero point adds to
them is the same in every call, and goes into the bias.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

HERE = Path(__file__).resolve().parent
MADE = HERE / "made"
WORKLOADS = ["mlp_b1", "mlp_b32", "mlp_b1024", "mlplarge_b1", "mlplarge_b32"]
# Numbers of 8 bits are off by this share of the largest value; a runtime that is further off saturated.
TOLERANCE = 0.1
NAMES = {np.dtype(np.float32): "F32", np.dtype(np.int8): "I8", np.dtype(np.uint8): "U8"}


class Inputs(CalibrationDataReader):
    """The workload's own input, and seeded ones beside it."""

    def __init__(self, feeds):
        rng = np.random.default_rng(7)
        drawn = lambda: {key: rng.standard_normal(array.shape, np.float32) for key, array in feeds.items()}
        self.left = iter([feeds, *(drawn() for _ in range(8))])

    def get_next(self):
        return next(self.left, None)


def save(path, tensors):
    header, at = {}, 0
    for name, array in tensors.items():
        header[name] = dict(dtype=NAMES[array.dtype], shape=list(array.shape), data_offsets=[at, at + array.nbytes])
        at += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).data)


def integers(quantised, plain):
    """By layer: its integers and scales, those of what it reads, and its bias."""
    constants = {c.name: numpy_helper.to_array(c) for c in quantised.graph.initializer}
    bias = {c.name: numpy_helper.to_array(c) for c in plain.graph.initializer if c.name.endswith(".bias")}
    made_by = {output: node for node in quantised.graph.node for output in node.output}
    tensors = {}
    for node in quantised.graph.node:
        if node.op_type not in ("Gemm", "MatMul"):
            continue
        x, w = (made_by[name] for name in node.input[:2])
        layer = w.input[0].removesuffix(".weight_quantized")
        (scale, zero), weight = (constants[name] for name in x.input[1:3]), constants[w.input[0]]
        steps = constants[w.input[1]] * np.ones(weight.shape[1], np.float32)
        moved = np.float64(scale) * steps * int(zero) * weight.astype(np.int64).sum(axis=0)
        tensors[f"{layer}.input.scale"] = np.asarray(scale, np.float32).reshape(())
        tensors[f"{layer}.input.zero"] = np.asarray(zero, np.uint8).reshape(())
        tensors[f"{layer}.weight"] = weight
        tensors[f"{layer}.scale"] = (np.float64(scale) * steps).astype(np.float32)
        tensors[f"{layer}.bias"] = (bias[f"{layer}.bias"] - moved).astype(np.float32)
    return tensors


def make(name, ports):
    folder, new = MADE / "io" / name, f"{name}_int8"
    feeds = {key: np.load(folder / f"in_{key}.npy") for key in ports["inputs"]}
    quantize_static(MADE / f"{name}.onnx", MADE / f"{new}.onnx", Inputs(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
                    op_types_to_quantize=["MatMul", "Gemm"], activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    tensors = integers(onnx.load(MADE / f"{new}.onnx"), onnx.load(MADE / f"{name}.onnx"))
    save(MADE / f"{new}.safetensors", tensors)
    target = MADE / "io" / new
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.npy"):
        (target / file.name).write_bytes(file.read_bytes())
    bytes_of = sum(array.nbytes for array in tensors.values())
    return dict(ports, twin=f"{ports['twin']}_int8", weights=new, weight_bytes=bytes_of, tolerance=TOLERANCE)


def main():
    path = MADE / "manifest.json"
    for name in sys.argv[1:] or WORKLOADS:
        manifest = json.loads(path.read_text())
        manifest[f"{name}_int8"] = make(name, manifest[name])
        path.write_text(json.dumps(manifest, indent=1))
        print(f"{name}_int8", flush=True)


if __name__ == "__main__":
    main()
