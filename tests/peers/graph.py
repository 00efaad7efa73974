"""A small builder of ONNX graphs, and their meaning in float64.

Weights are named as the twin `.mdl` reads them; the same arrays go into the ONNX file and into a safetensors file.
The reference is independent of every runtime that is measured: numpy alone.
"""
import json
import math
import struct
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    """Nodes in order; every method returns the name of the value that it makes."""

    def __init__(self, seed):
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, [], []
        self.weights = {}
        self.rng, self.count = np.random.default_rng(seed), 0

    def fresh(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, array, name=None):
        name = name or self.fresh("constant")
        self.constants[name] = np.array(array, order="C")
        return name

    def scalar(self, value):
        return self.constant(np.array(value, np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def weight(self, name, array):
        self.weights[name] = np.array(array, np.float32, order="C")
        return self.constant(self.weights[name], name)

    def drawn(self, name, *shape, std):
        return self.weight(name, self.rng.standard_normal(shape, np.float32) * np.float32(std))

    def op(self, kind, *operands, out=None, **attributes):
        out = out or self.fresh(kind.lower())
        self.nodes.append(helper.make_node(kind, list(operands), [out], name=out, **attributes))
        return out

    def split(self, x, sizes, axis):
        names = [self.fresh("split") for _ in sizes]
        self.nodes.append(helper.make_node("Split", [x, self.ints(*sizes)], names, axis=axis, name=names[0]))
        return names

    def input(self, name, dtype, *shape):
        self.inputs.append((name, dtype, shape))
        return name

    def output(self, name, *shape):
        self.outputs.append((name, FLOAT, shape))

    def linear(self, x, w, b):
        return self.op("Add", self.op("MatMul", x, w), b)

    def gelu(self, x):
        """By erf, in the five nodes that exporters write below opset 20."""
        erf = self.op("Erf", self.op("Div", x, self.scalar(math.sqrt(2))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.scalar(1))), self.scalar(0.5))

    def gelu_tanh(self, x):
        cubic = self.op("Mul", self.op("Pow", x, self.scalar(3)), self.scalar(0.044715))
        tanh = self.op("Tanh", self.op("Mul", self.op("Add", x, cubic), self.scalar(math.sqrt(2 / math.pi))))
        return self.op("Mul", self.op("Mul", x, self.scalar(0.5)), self.op("Add", tanh, self.scalar(1)))

    def onnx(self, name):
        ports = lambda found: [helper.make_tensor_value_info(*port) for port in found]
        constants = [numpy_helper.from_array(array, key) for key, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, ports(self.inputs), ports(self.outputs), constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mlc")

    def save_weights(self, path):
        """All weights as one safetensors file."""
        header, at = {}, 0
        for name, array in self.weights.items():
            header[name] = dict(dtype="F32", shape=list(array.shape), data_offsets=[at, at + array.nbytes])
            at += array.nbytes
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(head)) + head)
            for array in self.weights.values():
                file.write(array.data)


def read_safetensors(path):
    """The tensors of a file, mapped."""
    raw = np.memmap(path, np.uint8, "r")
    size = struct.unpack("<Q", raw[:8].tobytes())[0]
    body, dtypes = raw[8 + size :], {"F32": np.float32, "I64": np.int64, "F16": np.float16}
    tensor = lambda port: body[slice(*port["data_offsets"])].view(dtypes[port["dtype"]]).reshape(port["shape"])
    header = json.loads(raw[8 : 8 + size].tobytes())
    return {name: tensor(port) for name, port in header.items() if name != "__metadata__"}


@dataclass
class Work:
    """What a call must do at least."""

    flops: int = 0  # of everything but depthwise convolutions, which are bound by the bytes that they move
    depthwise_bytes: int = 0
    weight_bytes: int = 0  # each weight once; of a gathered table the rows that are taken
    io_bytes: int = 0


ERF = np.frompyfunc(math.erf, 1, 1)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def convolve(x, w, b, at):
    pad, stride = at["pads"][0], at["strides"][0]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    if at["group"] == 1:
        n, _, oh, ow = windows.shape[:4]
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
        y = (columns @ w.reshape(len(w), -1).T).reshape(n, oh, ow, len(w)).transpose(0, 3, 1, 2)
    else:
        assert w.shape[1] == 1, "grouped means depthwise here"
        y = np.einsum("nchwij,cij->nchw", windows, w[:, 0])
    return y + b[None, :, None, None]


def layer_norm(x, gamma, beta, at):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + at["epsilon"]) * gamma + beta


def max_pool(x):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((-1, -2))


MEANING = {
    "MatMul": lambda at, a, b: a @ b,
    "Gemm": lambda at, a, b, c=0.0: a @ (b.T if at.get("transB") else b) + c,
    "Conv": lambda at, x, w, b: convolve(x, w, b, at),
    "Add": lambda at, a, b: a + b,
    "Sub": lambda at, a, b: a - b,
    "Mul": lambda at, a, b: a * b,
    "Div": lambda at, a, b: a / b,
    "Pow": lambda at, a, b: a**b,
    "Sqrt": lambda at, x: np.sqrt(x),
    "Tanh": lambda at, x: np.tanh(x),
    "Erf": lambda at, x: ERF(x).astype(np.float64),
    "Relu": lambda at, x: np.maximum(x, 0),
    "Clip": lambda at, x, lo, hi: np.clip(x, lo, hi),
    "Softmax": lambda at, x: softmax(x, at["axis"]),
    "LayerNormalization": lambda at, x, gamma, beta: layer_norm(x, gamma, beta, at),
    "Reshape": lambda at, x, shape: x.reshape(shape),
    "Transpose": lambda at, x: x.transpose(at["perm"]),
    "Gather": lambda at, x, indices: x[indices],
    "Unsqueeze": lambda at, x, axes: np.expand_dims(x, tuple(axes)),
    "Cast": lambda at, x: x.astype(np.float64),
    "Concat": lambda at, *xs: np.concatenate(xs, at["axis"]),
    "Split": lambda at, x, sizes: np.split(x, np.cumsum(sizes)[:-1], at["axis"]),
    "ReduceSum": lambda at, x, axes: x.sum(tuple(axes), keepdims=bool(at["keepdims"])),
    "Identity": lambda at, x: x,
    "Flatten": lambda at, x: x.reshape(len(x), -1),
    "GlobalAveragePool": lambda at, x: x.mean((2, 3), keepdims=True),
    "MaxPool": lambda at, x: max_pool(x),
}


def reference(graph, feeds):
    """The outputs in float64, and the work."""
    wide = lambda a: a.astype(np.float64) if a.dtype == np.float32 else a
    values = {name: wide(array) for name, array in {**graph.constants, **feeds}.items()}
    work, gathered, read = Work(), {}, set()
    kept = {name for name, *_ in graph.outputs}
    last = {operand: i for i, node in enumerate(graph.nodes) for operand in node.input}
    for i, node in enumerate(graph.nodes):
        operands = [values[name] for name in node.input]
        at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        made = MEANING[node.op_type](at, *operands)
        values.update(zip(node.output, made if node.op_type == "Split" else [made], strict=True))
        if node.op_type in ("MatMul", "Gemm"):
            work.flops += 2 * made.size * operands[0].shape[-1]
        elif node.op_type == "Conv" and at["group"] == 1:
            work.flops += 2 * made.size * operands[1][0].size
        elif node.op_type == "Conv":
            work.depthwise_bytes += 4 * (operands[0].size + made.size)
        for place, name in enumerate(node.input):
            if name in graph.constants:
                if node.op_type == "Gather" and place == 0:
                    gathered[name] = operands[1].size * graph.constants[name][0].nbytes
                else:
                    read.add(name)
            elif last[name] == i and name not in kept:
                values.pop(name, None)
    work.weight_bytes = sum(graph.constants[name].nbytes for name in read)
    work.weight_bytes += sum(size for name, size in gathered.items() if name not in read)
    outputs = {name: values[name] for name, *_ in graph.outputs}
    work.io_bytes = sum(a.nbytes for a in feeds.values()) + sum(4 * a.size for a in outputs.values())
    return outputs, work
