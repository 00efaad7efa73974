"""Literal answers for elementwise ops, reductions, and ops that move, pick and make elements, from numpy.

Run: python3 tests/oracle/ops.py     (pip install numpy)
Writes tests/data/ops/base.json: a list of {op, args, inputs: [{to, dtype, shape, data}], outputs}.
"""

import json
import math
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parents[1] / "data/ops/base.json"
NAMES = {"float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8",
         "uint8": "u8", "bool": "bool"}
rng = np.random.default_rng(11)
cases = []
f32 = lambda *xs: np.array(xs, np.float32)


def draw(*shape, dtype=np.float32):
    """Eighths, so that inputs are exact in every float."""
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0 if dtype == np.uint8 else -9, 10, shape).astype(dtype)
    return (rng.integers(-16, 17, shape) / 8).astype(dtype)


def tensor(x):
    data = [str(v) if isinstance(v, float) and not np.isfinite(v) else v for v in x.reshape(-1).tolist()]
    return {"dtype": NAMES[str(x.dtype)], "shape": list(x.shape), "data": data}


def case(op, inputs, outputs, **args):
    outputs = outputs if isinstance(outputs, list) else [outputs]
    cases.append({"op": op, "args": args, "inputs": [{"to": n, **tensor(np.asarray(x))} for n, x in inputs],
                  "outputs": [tensor(np.asarray(y)) for y in outputs]})


def unary():
    x = f32(-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, np.nan, np.inf, -np.inf)
    positive = f32(0.25, 0.5, 1.0, 2.0, 9.0)
    wide = x.astype(np.float64)
    same = {"neg": -x, "abs": np.abs(x), "sign": np.sign(x), "square": x * x, "floor": np.floor(x), "ceil": np.ceil(x),
            "round": np.round(x), "trunc": np.trunc(x), "isnan": np.isnan(x), "isinf": np.isinf(x), "exp": np.exp(wide),
            "tanh": np.tanh(wide), "sqrt": np.sqrt(wide), "log": np.log(wide), "reciprocal": 1 / wide,
            "erf": np.vectorize(math.erf)(wide), "relu": np.where(x < 0, 0, x), "relu6": np.clip(x, 0, 6)}
    for op, y in same.items():
        case(op, [("x", x)], y if y.dtype == bool else y.astype(np.float32))
    case("rsqrt", [("x", positive)], (1 / np.sqrt(positive)).astype(np.float32))
    angles = f32(-100.0, -3.0, -0.5, 0.0, 0.5, 2.0, 1000.0)
    case("sin", [("x", angles)], np.sin(angles.astype(np.float64)).astype(np.float32))
    case("cos", [("x", angles)], np.cos(angles.astype(np.float64)).astype(np.float32))
    for dtype in (np.int8, np.int32, np.int64):
        lowest = np.array([np.iinfo(dtype).min, -3, 0, 7], dtype)
        case("neg", [("x", lowest)], -lowest)
        case("abs", [("x", lowest)], np.abs(lowest))
        case("not", [("x", lowest)], ~lowest)
        case("sign", [("x", lowest)], np.sign(lowest))
    case("not", [("x", np.array([True, False]))], np.array([False, True]))


def activations():
    x = f32(-20.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 20.0)
    w = x.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-w))
    gate = np.clip(w / 6 + 0.5, 0, 1)
    to = lambda y: y.astype(np.float32)
    case("sigmoid", [("x", x)], to(sigmoid))
    case("silu", [("x", x)], to(w * sigmoid))
    case("softplus", [("x", x)], to(np.log1p(np.exp(w))))
    case("hard_sigmoid", [("x", x)], to(gate))
    case("hard_swish", [("x", x)], to(w * gate))
    case("leaky_relu", [("x", x)], to(np.where(w < 0, 0.2 * w, w)), alpha=0.2)
    case("elu", [("x", x)], to(np.where(w < 0, 0.5 * np.expm1(w), w)), alpha=0.5)
    case("gelu", [("x", x)], to(0.5 * w * (1 + np.vectorize(math.erf)(w / math.sqrt(2)))))
    case("gelu", [("x", x)], to(0.5 * w * (1 + np.tanh(math.sqrt(2 / math.pi) * (w + 0.044715 * w**3)))), approx="tanh")
    case("clip", [("x", x)], np.clip(x, -1, 2), lo=-1.0, hi=2.0)
    case("clip", [("x", x)], np.maximum(x, 0.25), lo=0.25)
    slope = f32(0.5, 0.25, 2.0)
    y = draw(2, 3)
    case("prelu", [("x", y), ("slope", slope)], np.where(y < 0, y * slope, y))


def binary():
    a, b = draw(2, 3), draw(3)
    b[b == 0] = 0.5
    for op, f in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "mod": np.mod, "eq": np.equal,
                  "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
        case(op, [("a", a), ("b", b)], f(a, b))
    x, y = draw(2, 1, 3), draw(4, 1)
    case("add", [("a", x), ("b", y)], x + y)
    case("pow", [("a", f32(2, -2, -8, 0, 9, 1)), ("b", f32(3, 3, 0.5, 0, 0.5, -7))], f32(8, -8, np.nan, 1, 3, 1))
    i = lambda *xs, dtype=np.int32: np.array(xs, dtype)
    case("pow", [("a", i(3, -2, 2, -1, 1, 0)), ("b", i(4, 3, -1, -3, -5, 0))], i(81, -8, 0, -1, 1, 1))
    low = np.iinfo(np.int32).min
    case("div", [("a", i(7, -7, 7, -7, 5, low)), ("b", i(2, 2, -2, -2, 0, -1))], i(3, -3, -3, 3, 0, low))
    case("mod", [("a", i(7, -7, 7, -7, 5, low)), ("b", i(3, 3, -3, -3, 0, -1))], i(1, 2, -2, -1, 0, 0))
    for op, f in {"add": np.add, "sub": np.subtract, "mul": np.multiply}.items():
        m, n = i(100, -128, 127, -1, dtype=np.int8), i(100, 1, 2, -128, dtype=np.int8)
        case(op, [("a", m), ("b", n)], f(m, n))
    m, n = draw(6, dtype=np.int16), draw(6, dtype=np.int16)
    p, q = np.array([True, True, False, False]), np.array([True, False, True, False])
    for op, f in {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}.items():
        case(op, [("a", m), ("b", n)], f(m, n))
        case(op, [("a", p), ("b", q)], f(p, q))
    case("shl", [("a", i(3, 100, -1, 1, dtype=np.int8)), ("b", i(2, 1, 7, 9, dtype=np.int8))], i(12, -56, -128, 2, dtype=np.int8))
    case("shr", [("a", i(12, -8, 5)), ("b", i(2, 1, 33))], i(3, -4, 2))
    x, y = f32(1, np.nan, 3, -1), f32(2, 1, np.nan, -2)
    case("max", [("x", x), ("y", y)], np.maximum(x, y))
    case("min", [("x", x), ("y", y)], np.minimum(x, y))
    c = np.array([[True], [False]])
    case("where", [("condition", c), ("a", a), ("b", b)], np.where(c, a, b))
    case("cast", [("x", f32(1.9, -1.9, 300, -300, np.nan, np.inf))], i(1, -1, 127, -128, 0, 127, dtype=np.int8), dtype="i8")
    case("cast", [("x", i(300, -1, 128))], i(44, 255, 128, dtype=np.uint8), dtype="u8")
    case("cast", [("x", f32(0, 0.5, np.nan))], np.array([False, True, True]), dtype="bool")
    case("cast", [("x", f32(1.0004883, 65519, 1e-8))], f32(1.0004883, 65519, 1e-8).astype(np.float16), dtype="f16")


def reductions():
    x = draw(2, 3, 4)
    wide = x.astype(np.float64)
    for axis in (1, [0, 2], None):
        at = tuple(axis) if isinstance(axis, list) else axis
        args = {} if axis is None else {"axis": axis}
        for op, f in {"sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min}.items():
            case(op, [("x", x)], f(wide, axis=at).astype(np.float32), **args)
            case(op, [("x", x)], f(wide, axis=at, keepdims=True).astype(np.float32), keep=True, **args)
        case("logsumexp", [("x", x)], np.log(np.exp(wide).sum(axis=at)).astype(np.float32), **args)
        case("l2_norm", [("x", x)], np.sqrt((wide * wide).sum(axis=at)).astype(np.float32), **args)
        case("any", [("x", x > 1.5)], np.any(x > 1.5, axis=at), **args)
        case("all", [("x", x > -1.5)], np.all(x > -1.5, axis=at), **args)
    case("logsumexp", [("x", f32(1000, 1000))], np.float32(1000 + math.log(2)))
    case("logsumexp", [("x", f32(-np.inf, -np.inf))], np.float32(-np.inf))
    case("sum", [("x", np.array([100, 100], np.int8))], np.int8(-56))
    case("sum", [("x", np.zeros((2, 0), np.float32))], np.zeros(2, np.float32), axis=1)
    for axis in (0, 1, 2):
        case("argmax", [("x", x)], np.argmax(x, axis=axis), axis=axis)
        case("argmin", [("x", x)], np.expand_dims(np.argmin(x, axis=axis), axis), axis=axis, keep=True)
        case("cumsum", [("x", x)], np.cumsum(x, axis=axis), axis=axis)
    ties = f32(1, 3, 3, np.nan, np.nan)
    case("argmax", [("x", ties)], np.argmax(ties), axis=0)
    case("argmax", [("x", ties[:3])], np.argmax(ties[:3]), axis=0)
    case("cumsum", [("x", f32(1, 2, 3))], f32(0, 1, 3), axis=0, exclusive=True)
    case("cumsum", [("x", f32(1, 2, 3))], f32(6, 5, 3), axis=0, reverse=True)
    case("cumsum", [("x", f32(1, 2, 3))], f32(5, 3, 0), axis=0, exclusive=True, reverse=True)


def shapes():
    x = draw(2, 3, 4)
    case("reshape", [("x", x)], x.reshape(6, 4), shape=[6, 4])
    split = lambda h: x.reshape(2, 3, h, 4 // h)
    case("rearrange", [("x", x)], split(2).transpose(0, 2, 1, 3), pattern="b s (h d) -> b h s d", sizes={"h": 2})
    case("rearrange", [("x", x)], x.transpose(2, 1, 0).reshape(12, 2), pattern="a b c -> (c b) a")
    case("rearrange", [("x", x)], x.transpose(2, 0, 1), pattern="... c -> c ...")
    case("rearrange", [("x", x)], x.reshape(6, 1, 4), pattern="a b c -> (a b) 1 c")
    case("slice", [("x", x)], x[1:2, 0:3], starts=[1, 0], stops=[2, 3])
    case("slice", [("x", x)], x[:, :, 1:4:2], starts=[1], stops=[4], steps=[2], axis=[2])
    case("slice", [("x", x)], x[:, 1:], starts=[1], stops=[None], axis=[1])
    case("concat", [("xs", x), ("xs", x[:, :1])], np.concatenate([x, x[:, :1]], 1), axis=1)
    for axis in (0, 2, -1):
        case("stack", [("xs", x), ("xs", -x)], np.stack([x, -x], axis), axis=axis)
    case("unstack", [("x", x)], [x[:, i] for i in range(3)], axis=1)
    case("split", [("x", x)], np.split(x, 2, 2), parts=2, axis=2)
    case("split", [("x", x)], [x[:, :1], x[:, 1:]], sizes=[1, 2], axis=1)
    pads = [1, 0, 0, 2, 1, 1]
    pairs = list(zip(pads[::2], pads[1::2]))
    case("pad", [("x", x)], np.pad(x, pairs, constant_values=1.5), pads=pads, value=1.5)
    case("pad", [("x", x)], np.pad(x, pairs, mode="edge"), pads=pads, mode="edge")
    case("pad", [("x", x)], np.pad(x, pairs, mode="reflect"), pads=pads, mode="reflect")
    case("expand", [("x", x[:, :1])], np.broadcast_to(x[:, :1], (5, 2, 3, 4)), shape=[5, 2, 3, 4])
    case("tile", [("x", x)], np.tile(x, (2, 1, 3)), repeats=[2, 1, 3])
    case("flip", [("x", x)], np.flip(x, (0, 2)), axis=[0, 2])


def indices():
    x, i = draw(4, 3, 2), np.array([[0, -1], [2, 3]])
    case("gather", [("x", x), ("indices", i)], np.take(x, i, 0))
    case("gather", [("x", x), ("indices", np.array([2, -3], np.int32))], np.take(x, [2, -3], 1), axis=1)
    i = rng.integers(0, 4, (3, 3, 2))
    case("gather_elements", [("x", x), ("indices", i)], np.take_along_axis(x, i, 0), axis=0)
    i = np.array([[1, 2], [-1, 0]])
    case("gather_nd", [("x", x), ("indices", i)], x[i[:, 0], i[:, 1]])
    y, u = x.copy(), draw(2, 2)
    y[i[:, 0], i[:, 1]] = u
    case("scatter_nd", [("x", x), ("indices", i), ("updates", u)], y)
    x, i, u = draw(4, 2), np.array([[1, 0], [1, -1]]), draw(2, 2)
    y = x.copy()
    np.put_along_axis(y, i, u, 0)
    case("scatter", [("x", x), ("indices", i), ("updates", u)], y, axis=0)
    y = x.copy()
    np.add.at(y, (i, np.array([[0, 1], [0, 1]])), u)
    case("scatter", [("x", x), ("indices", i), ("updates", u)], y, axis=0, reduction="add")
    z = np.array([[0, 3, 0], [-1, 0, 2]], np.int32)
    places = np.stack(np.nonzero(z))
    case("nonzero", [("x", z)], [places, np.array([places.shape[1]])])
    case("one_hot", [("indices", np.array([2, 0, 3]))], np.eye(4, dtype=np.float32)[[2, 0, 3]][:, :3], depth=3)
    case("iota", [], np.arange(5), n=5)
    case("iota", [], np.arange(5, dtype=np.float32), n=5, dtype="f32")
    case("full", [], np.full((2, 3), 0.5, np.float32), shape=[2, 3], value=0.5)


def philox(counter, seed):
    c, k = [counter & 0xFFFFFFFF, counter >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def random():
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], "the published answer"
    words = [philox(i, 7) for i in range(6)]
    case("uniform", [], f32(*[(w[0] >> 8) / 2**24 for w in words]).reshape(2, 3), shape=[2, 3], seed=7)
    bell = [math.sqrt(-2 * math.log(((w[0] >> 8) + 1) / 2**24)) * math.cos(math.tau * (w[1] >> 8) / 2**24) for w in words]
    case("normal", [], f32(*[1 + 2 * v for v in bell]), shape=[6], seed=7, mean=1.0, deviation=2.0)


with np.errstate(all="ignore"):
    for part in (unary, activations, binary, reductions, shapes, indices, random):
        part()
OUT.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "uses of", len({c["op"] for c in cases}), "ops")
