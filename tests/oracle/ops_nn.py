"""Literal answers for the ops of networks, from numpy and onnxruntime.

Run: python3 tests/oracle/ops_nn.py     (pip install numpy onnx onnxruntime)
Writes tests/data/ops/nn.json: a list of {op, args, inputs: [{to, dtype, shape, data}], outputs}.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/ops/nn.json"
NAMES = {"float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64", "int32": "i32", "int8": "i8", "uint8": "u8", "bool": "bool"}
rng = np.random.default_rng(7)
cases = []


def draw(*shape, dtype=np.float32):
    """Eighths, so that inputs are exact in every float."""
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0 if dtype == np.uint8 else -9, 10, shape).astype(dtype)
    return (rng.integers(-16, 17, shape) / 8).astype(dtype)


def tensor(x):
    x = np.asarray(x)
    data = [str(v) if isinstance(v, float) and not np.isfinite(v) else v for v in x.reshape(-1).tolist()]
    return {"dtype": NAMES[str(x.dtype)], "shape": list(x.shape), "data": data}


def case(op, inputs, outputs, **args):
    inputs = [{"to": name, **tensor(x)} for name, x in inputs]
    cases.append({"op": op, "args": args, "inputs": inputs, "outputs": [tensor(y) for y in outputs]})


def ort(op, inputs, outputs=1, opset=18, **attributes):
    """The answer of onnxruntime for one node; None leaves an optional input out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, **attributes)
    given = [(n, np.asarray(x)) for n, x in zip(names, inputs) if x is not None]
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given]
    outs = [helper.make_empty_tensor_value_info(r) for r in results]
    model = helper.make_model(helper.make_graph([node], "g", infos, outs), opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(given))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def contractions():
    def einsum(pattern, *xs, dtype=None):
        squeezed = pattern.replace("...", "@").replace(" ", "").replace("@", "...")
        wide = [x.astype(np.int32) if x.dtype == np.int8 or x.dtype == np.uint8 else x for x in xs]
        y = np.einsum(squeezed, *wide)
        case("einsum", [("xs", x) for x in xs], [y.astype(dtype or y.dtype)], pattern=pattern)

    einsum("... i, o i -> ... o", draw(2, 3, 4), draw(5, 4))
    einsum("... i, o i -> ... o", draw(4), draw(5, 4))
    einsum("b h q d, b h k d -> b h q k", draw(2, 2, 3, 4), draw(2, 2, 5, 4))
    einsum("b s d, b s -> b d", draw(2, 3, 4), draw(2, 3))
    einsum("n c, o c t -> n", draw(2, 3), draw(1, 3, 1))
    einsum("i i -> i", draw(3, 3))
    einsum("i j -> j i", draw(2, 3))
    einsum("i j -> j", draw(2, 3))
    einsum("i i ->", draw(3, 3))
    einsum("i, j -> i j", draw(2), draw(3))
    einsum("b i, b i -> b", draw(2, 3), draw(2, 3))
    einsum("a b, b c, c d -> a d", draw(2, 3), draw(3, 4), draw(4, 2))
    einsum("a b, b c, c a -> b", draw(2, 3), draw(3, 4), draw(4, 2))
    einsum("m k, k n -> m n", draw(2, 3, dtype=np.int8), draw(3, 2, dtype=np.int8))
    einsum("m k, k n -> m n", draw(2, 3, dtype=np.uint8), draw(3, 2, dtype=np.int8))
    einsum("m k, k n -> m n", draw(2, 3), draw(3, 2, dtype=np.float16), dtype=np.float32)
    einsum("m k, k n -> m n", draw(2, 0), draw(0, 2))
    einsum("... a, ... b -> ... a b", draw(1, 2, 3), draw(4, 2, 2))
    for a, b in [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (6, 3, 2)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,))]:
        x, w = draw(*a), draw(*b)
        case("matmul", [("a", x), ("b", w)], [np.matmul(x, w)])


def norms():
    x, g, b = draw(2, 3, 4), draw(4), draw(4)
    centre = lambda x, axis: (x - x.mean(axis=axis, keepdims=True)) / np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
    case("layer_norm", [("x", x), ("gamma", g), ("beta", b)], [centre(x, -1) * g + b], axis=2, eps=1e-5)
    case("layer_norm", [("x", x)], [centre(x, (1, 2))], axis=[1, 2])
    case("layer_norm", [("x", x)], [centre(x, 1)], axis=1)
    rms = lambda x: x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    case("rms_norm", [("x", x), ("gamma", g)], [rms(x) * g], axis=2, eps=1e-6)
    case("l2_normalize", [("x", x)], [x / np.linalg.norm(x, axis=1, keepdims=True)], axis=1)
    case("l2_normalize", [("x", np.zeros((1, 3), np.float32))], [np.zeros((1, 3), np.float32)], axis=1)
    x, g, b = draw(2, 4, 2, 3), draw(4), draw(4)
    spread = lambda v: v[None, :, None, None]
    grouped = centre(x.reshape(2, 2, 12), 2).reshape(x.shape)
    case("group_norm", [("x", x), ("gamma", g), ("beta", b)], [grouped * spread(g) + spread(b)], groups=2)
    case("group_norm", [("x", x)], [grouped], groups=2)
    case("instance_norm", [("x", x), ("gamma", g), ("beta", b)], ort("InstanceNormalization", [x, g, b], epsilon=1e-5))
    x, g, b, m, v = draw(2, 3, 2, 2), draw(3), draw(3), draw(3), np.abs(draw(3)) + np.float32(0.5)
    y = ort("BatchNormalization", [x, g, b, m, v], epsilon=1e-3)
    case("batch_norm", [("x", x), ("gamma", g), ("beta", b), ("mean", m), ("var", v)], y, eps=1e-3)


def windows():
    def conv(x, w, bias, args, **attributes):
        inputs = [("x", x), ("w", w)] + ([("bias", bias)] if bias is not None else [])
        op = "conv1d" if x.ndim == 3 else "conv2d"
        case(op, inputs, ort("Conv", [x, w, bias], **attributes), **args)

    conv(draw(2, 3, 5, 6), draw(4, 3, 3, 3), draw(4), {"pad": 1}, pads=[1, 1, 1, 1])
    conv(draw(1, 2, 7, 6), draw(3, 2, 3, 2), None, {"stride": 2, "pad": [0, 1, 1, 2]}, strides=[2, 2], pads=[0, 1, 1, 2])
    conv(draw(1, 2, 7, 7), draw(2, 2, 3, 3), None, {"dilation": 2}, dilations=[2, 2])
    conv(draw(1, 4, 5, 5), draw(4, 1, 3, 3), draw(4), {"pad": 1, "groups": 4}, pads=[1, 1, 1, 1], group=4)
    conv(draw(1, 4, 4, 4), draw(6, 2, 2, 2), draw(6), {"groups": 2}, group=2)
    conv(draw(1, 2, 3, 3), draw(4, 1, 2, 2), None, {"groups": 2}, group=2)
    conv(draw(1, 1, 7, 6), draw(1, 1, 3, 3), None, {"stride": 2, "pad": "same"}, strides=[2, 2], auto_pad="SAME_UPPER")
    conv(draw(2, 3, 9), draw(4, 3, 3), draw(4), {"stride": 2, "pad": 1}, strides=[2], pads=[1, 1])
    conv(draw(1, 1, 8), draw(5, 1, 4), None, {"stride": 2}, strides=[2])

    def transpose(x, w, bias, args, **attributes):
        inputs = [("x", x), ("w", w)] + ([("bias", bias)] if bias is not None else [])
        case("conv_transpose2d", inputs, ort("ConvTranspose", [x, w, bias], **attributes), **args)

    transpose(draw(1, 2, 3, 4), draw(2, 3, 3, 3), draw(3), {"stride": 2, "pad": 1, "output_pad": 1},
              strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    transpose(draw(1, 4, 3, 3), draw(4, 1, 2, 2), None, {"groups": 2}, group=2)
    transpose(draw(1, 1, 3, 3), draw(1, 1, 2, 2), None, {"dilation": 2, "stride": 3}, dilations=[2, 2], strides=[3, 3])

    x = draw(2, 2, 5, 6)
    case("max_pool2d", [("x", x)], ort("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), kernel=2, stride=2)
    case("max_pool2d", [("x", x)], ort("MaxPool", [x], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
         kernel=[3, 2], stride=[2, 1], pad=[1, 0, 1, 1])
    case("max_pool2d", [("x", x)], ort("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), kernel=2, ceil_mode=True)
    case("avg_pool2d", [("x", x)], ort("AveragePool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1),
         kernel=3, stride=2, pad=1)
    case("avg_pool2d", [("x", x)], ort("AveragePool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
         kernel=3, stride=2, pad=1, count_include_pad=False)
    case("max_pool1d", [("x", x[0])], ort("MaxPool", [x[0]], kernel_shape=[3], strides=[1]), kernel=3, stride=1)
    case("avg_pool1d", [("x", x[0])], ort("AveragePool", [x[0]], kernel_shape=[2], strides=[2]), kernel=2)
    case("global_avg_pool", [("x", x)], [x.mean(axis=(2, 3))])
    case("global_max_pool", [("x", x)], [x.max(axis=(2, 3))])


def transformers():
    def attend(q, k, v, mask=None, scale=None):
        group = q.shape[1] // k.shape[1]
        kw, vw = (np.repeat(t.astype(np.float32), group, axis=1) for t in (k, v))
        s = np.einsum("bhsd,bhtd->bhst", q, kw) * (scale or q.shape[-1] ** -0.5)
        if mask is not None:
            s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
        blind = np.isneginf(s).all(-1, keepdims=True)
        p = np.where(blind, 0, softmax(np.where(blind, 0, s)))
        inputs = [("q", q), ("k", k), ("v", v)] + ([("mask", mask)] if mask is not None else [])
        args = {} if scale is None else {"scale": scale}
        case("attention", inputs, [np.einsum("bhst,bhte->bhse", p, vw).astype(np.float32)], **args)

    attend(draw(2, 2, 3, 4), draw(2, 2, 5, 4), draw(2, 2, 5, 3))
    attend(draw(1, 4, 3, 4), draw(1, 2, 5, 4, dtype=np.float16), draw(1, 2, 5, 4, dtype=np.float16), scale=0.25)
    attend(draw(1, 2, 3, 4), draw(1, 2, 5, 4), draw(1, 2, 5, 4), np.tri(3, 5, 1).astype(bool))
    attend(draw(1, 3, 2, 4), draw(1, 1, 3, 4), draw(1, 1, 3, 4), np.array([[False] * 3, [True, False, True]]))
    attend(draw(2, 1, 2, 4), draw(2, 1, 3, 4), draw(2, 1, 3, 4), draw(2, 1, 1, 3))
    case("causal_mask", [], [np.tri(3, 5, 2).astype(bool)], queries=3, keys=5, offset=2)

    def rope(x, offset, base, style):
        d = x.shape[-1]
        angle = (np.arange(x.shape[-2])[:, None] + offset) * base ** (-np.arange(0, d, 2) / d)
        turn = np.exp(1j * angle)
        if style == "half":
            z = (x[..., : d // 2] + 1j * x[..., d // 2 :]) * turn
            y = np.concatenate([z.real, z.imag], axis=-1)
        else:
            z = (x[..., 0::2] + 1j * x[..., 1::2]) * turn
            y = np.stack([z.real, z.imag], axis=-1).reshape(x.shape)
        case("rope", [("x", x)], [y.astype(np.float32)], offset=offset, base=base, style=style)

    rope(draw(1, 2, 3, 6), 0, 10000.0, "half")
    rope(draw(2, 4, 8), 2000, 100000.0, "interleaved")


def recurrences():
    def lstm(b, t, i, h, biases, start):
        x, w, r = draw(b, t, i), draw(4 * h, i), draw(4 * h, h)
        bi, bh = (draw(4 * h), draw(4 * h)) if biases else (None, None)
        h0, c0 = (draw(b, h), draw(b, h)) if start else (None, None)
        order = lambda m: np.concatenate([np.split(m, 4)[j] for j in (0, 3, 1, 2)])
        both = np.concatenate([order(bi), order(bh)])[None] if biases else None
        y, hn, cn = ort("LSTM", [x.transpose(1, 0, 2), order(w)[None], order(r)[None], both, None,
                                 None if h0 is None else h0[None], None if c0 is None else c0[None]],
                        outputs=3, hidden_size=h)
        given = [("x", x), ("w", w), ("r", r), ("bias_ih", bi), ("bias_hh", bh), ("h0", h0), ("c0", c0)]
        case("lstm", [(n, v) for n, v in given if v is not None], [y[:, 0].transpose(1, 0, 2), hn[0], cn[0]])

    lstm(2, 3, 4, 3, True, True)
    lstm(1, 2, 3, 2, False, False)
    b, t, i, h = 2, 3, 4, 3
    x, w, r, bi, bh, h0 = draw(b, t, i), draw(3 * h, i), draw(3 * h, h), draw(3 * h), draw(3 * h), draw(b, h)
    order = lambda m: np.concatenate([np.split(m, 3)[j] for j in (1, 0, 2)])
    y, hn = ort("GRU", [x.transpose(1, 0, 2), order(w)[None], order(r)[None], np.concatenate([order(bi), order(bh)])[None], None, h0[None]],
                outputs=2, hidden_size=h, linear_before_reset=1)
    case("gru", [("x", x), ("w", w), ("r", r), ("bias_ih", bi), ("bias_hh", bh), ("h0", h0)], [y[:, 0].transpose(1, 0, 2), hn[0]])


def pictures():
    x = draw(1, 2, 3, 4)
    for align, coordinates in [("half_pixel", "half_pixel"), ("align_corners", "align_corners"), ("asymmetric", "asymmetric")]:
        for h, w in [(5, 7), (2, 3)]:
            sizes = np.array([1, 2, h, w])
            y = ort("Resize", [x, None, None, sizes], mode="linear", coordinate_transformation_mode=coordinates)
            case("resize2d", [("x", x)], y, size=[h, w], mode="bilinear", align=align)
    y = ort("Resize", [x, None, None, np.array([1, 2, 5, 7])], mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
    case("resize2d", [("x", x)], y, size=[5, 7], mode="nearest", align="asymmetric")
    y = ort("Resize", [x, None, None, np.array([1, 2, 6, 8])], mode="nearest", coordinate_transformation_mode="half_pixel")
    case("resize2d", [("x", x)], y, size=[6, 8], mode="nearest")
    x = draw(1, 8, 2, 3)
    for mode in ["dcr", "crd"]:
        case("depth_to_space", [("x", x)], ort("DepthToSpace", [x], blocksize=2, mode=mode.upper()), block=2, mode=mode)
    x = draw(1, 2, 4, 6)
    case("space_to_depth", [("x", x)], ort("SpaceToDepth", [x], blocksize=2), block=2)


def others():
    x = draw(2, 5, 3)
    for largest in [True, False]:
        order = np.argsort(-x if largest else x, axis=1, kind="stable")[:, :3]
        case("top_k", [("x", x)], [np.take_along_axis(x, order, 1), order.astype(np.int64)], k=3, axis=1, largest=largest)
    i = draw(6, dtype=np.int64)
    order = np.argsort(-i, kind="stable")[:4]
    case("top_k", [("x", i)], [i[order], order.astype(np.int64)], k=4, axis=0)
    x = draw(2, 3) * 20
    s, z = np.float32(0.25), np.int8(3)
    case("quantize", [("x", x), ("scale", s), ("zero", z)], ort("QuantizeLinear", [x, s, z]), dtype="i8")
    s = np.array([0.5, 0.25, 2], np.float32)
    q = np.clip(np.rint(x / s), -128, 127).astype(np.int8)
    case("quantize", [("x", x), ("scale", s)], [q], axis=1, dtype="i8")
    case("dequantize", [("x", q), ("scale", s)], [q.astype(np.float32) * s], axis=1)
    u, z = draw(2, 3, dtype=np.uint8), np.array([1, 2, 128], np.uint8)
    case("dequantize", [("x", u), ("scale", s), ("zero", z)], ort("DequantizeLinear", [u, s, z], axis=1), axis=1)
    g = np.array([[0.5, 0.25], [2, 4]], np.float32)
    q = draw(2, 4, dtype=np.int8)
    case("dequantize", [("x", q), ("scale", g)], [q * np.repeat(g, 2, axis=1)], axis=1, group=2)


def shares():
    for axis in [0, 1, 2]:
        x = draw(2, 3, 5)
        y = softmax(x.astype(np.float64), axis)
        case("softmax", [("x", x)], [y.astype(np.float32)], axis=axis)
        case("log_softmax", [("x", x)], [np.log(y).astype(np.float32)], axis=axis)
    x = np.array([[0, 1000], [-1000, 0], [-np.inf, 0]], np.float32)
    case("softmax", [("x", x)], [np.array([[0, 1], [0, 1], [0, 1]], np.float32)], axis=1)
    case("log_softmax", [("x", x)], [np.array([[-1000, 0], [-1000, 0], [-np.inf, 0]], np.float32)], axis=1)
    case("log_softmax", [("x", x[:0])], [x[:0]], axis=1)


def attentions():
    """The forms of attention that models write out: any leading axes, a finite score for what is hidden, NaN where all is."""

    def attend(q, k, v, mask=None, **args):
        leading = [n // m for n, m in zip(q.shape[:-2], k.shape[:-2])]
        kw, vw = k, v
        for axis, group in enumerate(leading):
            kw, vw = np.repeat(kw, group, axis), np.repeat(vw, group, axis)
        s = np.einsum("...sd,...td->...st", q, kw) * args.get("scale", q.shape[-1] ** -0.5)
        if mask is not None:
            s = np.where(mask, s, args.get("hidden", -np.inf)) if mask.dtype == bool else s + mask
        if "causal" in args:
            s = np.where(np.tri(*s.shape[-2:], args["causal"]).astype(bool), s, -np.inf)
        with np.errstate(invalid="ignore"):
            p = softmax(s)
        if args.get("blind") != "nan":
            p = np.where(np.isneginf(s).all(-1, keepdims=True), 0, p)
        inputs = [("q", q), ("k", k), ("v", v)] + ([("mask", mask)] if mask is not None else [])
        case("attention", inputs, [np.einsum("...st,...te->...se", p, vw).astype(np.float32)], **args)

    attend(draw(3, 4), draw(5, 4), draw(5, 2), causal=2)
    attend(draw(2, 3, 4), draw(2, 3, 4), draw(2, 3, 4), causal=0, scale=1.0)
    attend(draw(1, 2, 4, 4), draw(1, 1, 3, 4), draw(1, 1, 3, 4), causal=-2)
    attend(draw(1, 2, 4, 4), draw(1, 1, 3, 4), draw(1, 1, 3, 4), causal=-2, blind="nan")
    attend(draw(2, 1, 3, 2, 4), draw(2, 1, 1, 5, 4), draw(2, 1, 1, 5, 3), draw(2, 1, 1, 1, 5), causal=3)
    some = np.array([[False] * 3, [True, False, True]])
    attend(draw(1, 1, 2, 4), draw(1, 1, 3, 4), draw(1, 1, 3, 4), some, blind="nan")
    attend(draw(1, 1, 2, 4), draw(1, 1, 3, 4), draw(1, 1, 3, 4), some, hidden=-2.5)


for group in (contractions, norms, windows, transformers, recurrences, pictures, others, shares, attentions):
    group()
OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(f"{len(cases)} cases, {OUT.stat().st_size} bytes")
