"""Writes every workload into `made/`: an ONNX file with static shapes (opset 17), the same weights as safetensors for the
twin `.mdl`, inputs, float64 outputs of the reference, and `manifest.json`.

    python models.py [NAME…]

Weights are seeded; MiniLM takes the real ones where `examples/fetch minilm` has put them, and SmolLM2 is left out without
`examples/fetch smollm2`.
"""
import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx

import smollm2
from graph import FLOAT, INT64, Graph, read_safetensors, reference

HERE = Path(__file__).resolve().parent
MADE = HERE / "made"
MINILM = HERE / "../../examples/models/minilm/model.safetensors"


def mlp(batch):
    g = Graph(1)
    x = g.input("x", FLOAT, batch, 784)
    h = g.op("Relu", g.op("Gemm", x, g.drawn("fc1.weight", 784, 128, std=0.05), g.drawn("fc1.bias", 128, std=0.1)))
    y = g.op("Gemm", h, g.drawn("fc2.weight", 128, 10, std=0.1), g.drawn("fc2.bias", 10, std=0.1))
    g.op("Softmax", y, axis=-1, out="y")
    g.output("y", batch, 10)
    return g


def mlp_large(batch, zeros=0.0):
    g = Graph(2)
    h = g.input("x", FLOAT, batch, 1024)
    for i, (k, n) in enumerate([(1024, 4096), (4096, 4096), (4096, 1024)], 1):
        w = g.rng.standard_normal((k, n), np.float32) * np.float32(math.sqrt(2 / k))
        if zeros:
            least = np.partition(np.abs(w).ravel(), int(w.size * zeros))[int(w.size * zeros)]
            w = np.where(np.abs(w) < least, np.float32(0), w) * np.float32(1.5)
        h = g.linear(h, g.weight(f"fc{i}.weight", w), g.drawn(f"fc{i}.bias", n, std=0.05))
        h = g.gelu(h) if i < 3 else g.op("Identity", h, out="y")
    g.output("y", batch, 1024)
    return g


def minilm(batch, seq):
    g = Graph(3)
    D, heads, ffn = 384, 12, 1536
    real = read_safetensors(MINILM) if MINILM.exists() else {}

    def parameter(name, *shape, ones=False, transposed=False):
        drawn = g.rng.standard_normal(shape, np.float32) * np.float32(0.05) + np.float32(ones)
        array = real.get(name, drawn)
        return g.weight(name, array.T if transposed else array)

    def norm(x, name):
        gamma, beta = parameter(f"{name}.weight", D, ones=True), parameter(f"{name}.bias", D)
        return g.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-12)

    def dense(x, name, k, n):
        return g.linear(x, parameter(f"{name}.weight", n, k, transposed=True), parameter(f"{name}.bias", n))

    ids = g.input("input_ids", INT64, batch, seq)
    mask = g.input("attention_mask", INT64, batch, seq)
    types = g.input("token_type_ids", INT64, batch, seq)
    words = g.op("Gather", parameter("embeddings.word_embeddings.weight", 30522, D), ids, axis=0)
    kinds = g.op("Gather", parameter("embeddings.token_type_embeddings.weight", 2, D), types, axis=0)
    places = parameter("embeddings.position_embeddings.weight", 512, D)
    g.constants[places] = g.constants[places][:seq].copy()
    h = norm(g.op("Add", g.op("Add", words, kinds), places), "embeddings.LayerNorm")
    live = g.op("Cast", g.op("Unsqueeze", mask, g.ints(1, 2)), to=FLOAT)
    bias = g.op("Mul", g.op("Sub", g.scalar(1), live), g.scalar(-10000))
    split, joined = g.ints(batch, seq, heads, D // heads), g.ints(batch, seq, D)
    for i in range(6):
        layer = f"encoder.layer.{i}"
        attention = f"{layer}.attention"
        q, k, v = (g.op("Reshape", dense(h, f"{attention}.self.{n}", D, D), split) for n in ("query", "key", "value"))
        q, k, v = (g.op("Transpose", x, perm=p) for x, p in ((q, [0, 2, 1, 3]), (k, [0, 2, 3, 1]), (v, [0, 2, 1, 3])))
        scores = g.op("Div", g.op("MatMul", q, k), g.scalar(math.sqrt(D // heads)))
        probs = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
        context = g.op("Reshape", g.op("Transpose", g.op("MatMul", probs, v), perm=[0, 2, 1, 3]), joined)
        h = norm(g.op("Add", dense(context, f"{attention}.output.dense", D, D), h), f"{attention}.output.LayerNorm")
        wide = g.gelu(dense(h, f"{layer}.intermediate.dense", D, ffn))
        h = norm(g.op("Add", dense(wide, f"{layer}.output.dense", ffn, D), h), f"{layer}.output.LayerNorm")
    g.op("Identity", h, out="last_hidden_state")
    live = g.op("Cast", g.op("Unsqueeze", mask, g.ints(2)), to=FLOAT)
    summed = g.op("ReduceSum", g.op("Mul", h, live), g.ints(1), keepdims=0)
    mean = g.op("Div", summed, g.op("ReduceSum", live, g.ints(1), keepdims=0))
    length = g.op("Sqrt", g.op("ReduceSum", g.op("Mul", mean, mean), g.ints(1), keepdims=1))
    g.op("Div", mean, length, out="sentence_embedding")
    g.output("last_hidden_state", batch, seq, D)
    g.output("sentence_embedding", batch, D)
    return g


def conv(g, x, name, cin, cout, k, stride=1, group=1, act=None, gain=2.0):
    w = g.drawn(f"{name}.weight", cout, cin // group, k, k, std=math.sqrt(gain / (cin // group * k * k)))
    b = g.drawn(f"{name}.bias", cout, std=0.02)
    y = g.op("Conv", x, w, b, kernel_shape=[k, k], strides=[stride] * 2, pads=[(k - 1) // 2] * 4, group=group)
    return act(y) if act else y


def classifier(g, x, c):
    x = g.op("Flatten", g.op("GlobalAveragePool", x), axis=1)
    w, b = g.drawn("fc.weight", 1000, c, std=math.sqrt(1 / c)), g.drawn("fc.bias", 1000, std=0.01)
    g.op("Gemm", x, w, b, transB=1, out="logits")
    g.output("logits", 1, 1000)
    return g


def mobilenetv2():
    g = Graph(4)
    lo, hi = g.scalar(0), g.scalar(6)
    relu6 = lambda x: g.op("Clip", x, lo, hi)
    x = conv(g, g.input("x", FLOAT, 1, 3, 224, 224), "stem", 3, 32, 3, 2, act=relu6)
    cin, block = 32, 0
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for widen, c, repeats, stride in stages:
        for r in range(repeats):
            step, hidden, name = stride if r == 0 else 1, cin * widen, f"blocks.{block}"
            y = conv(g, x, f"{name}.expand", cin, hidden, 1, act=relu6) if widen > 1 else x
            y = conv(g, y, f"{name}.depthwise", hidden, hidden, 3, step, group=hidden, act=relu6)
            y = conv(g, y, f"{name}.project", hidden, c, 1, gain=1.0)
            x = g.op("Add", x, y) if step == 1 and cin == c else y
            cin, block = c, block + 1
    return classifier(g, conv(g, x, "head", 320, 1280, 1, act=relu6), 1280)


def resnet50():
    g = Graph(5)
    relu = lambda x: g.op("Relu", x)
    x = conv(g, g.input("x", FLOAT, 1, 3, 224, 224), "stem", 3, 64, 7, 2, act=relu)
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    cin = 64
    for stage, (c, repeats, stride) in enumerate([(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]):
        for r in range(repeats):
            step, name = stride if r == 0 else 1, f"stages.{stage}.{r}"
            y = conv(g, x, f"{name}.reduce", cin, c, 1, act=relu)
            y = conv(g, y, f"{name}.conv", c, c, 3, step, act=relu)
            y = conv(g, y, f"{name}.expand", c, 4 * c, 1, gain=0.25)
            short = conv(g, x, f"{name}.short", cin, 4 * c, 1, step, gain=1.0) if r == 0 else x
            x, cin = relu(g.op("Add", y, short)), 4 * c
    return classifier(g, x, 2048)


def gpt2_decode(past=256, layers=12, D=768, heads=12, vocabulary=50257):
    """One token behind 256 that are in the cache, which is copied on: `present` is `past` and one row more."""
    g = Graph(6)
    hd = D // heads
    ids, places = g.input("input_ids", INT64, 1, 1), g.input("position_ids", INT64, 1, 1)
    table = g.drawn("wte.weight", vocabulary, D, std=0.02)
    rows = g.op("Gather", table, ids, axis=0)
    h = g.op("Add", rows, g.op("Gather", g.drawn("wpe.weight", 1024, D, std=0.01), places, axis=0))

    def norm(x, name):
        gamma = g.weight(f"{name}.weight", 1 + np.float32(0.02) * g.rng.standard_normal(D, np.float32))
        return g.op("LayerNormalization", x, gamma, g.drawn(f"{name}.bias", D, std=0.02), axis=-1, epsilon=1e-5)

    def dense(x, name, k, n, std=0.02):
        return g.linear(x, g.drawn(f"{name}.weight", k, n, std=std), g.drawn(f"{name}.bias", n, std=0.02))

    split, joined = g.ints(1, 1, heads, hd), g.ints(1, 1, D)
    for i in range(layers):
        past_k = g.input(f"past_key_{i}", FLOAT, 1, heads, past, hd)
        past_v = g.input(f"past_value_{i}", FLOAT, 1, heads, past, hd)
        qkv = g.split(dense(norm(h, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn", D, 3 * D, 0.04), [D] * 3, 2)
        q, k, v = (g.op("Transpose", g.op("Reshape", x, split), perm=[0, 2, 1, 3]) for x in qkv)
        k = g.op("Concat", past_k, k, axis=2, out=f"present_key_{i}")
        v = g.op("Concat", past_v, v, axis=2, out=f"present_value_{i}")
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        probs = g.op("Softmax", g.op("Div", scores, g.scalar(math.sqrt(hd))), axis=-1)
        context = g.op("Reshape", g.op("Transpose", g.op("MatMul", probs, v), perm=[0, 2, 1, 3]), joined)
        h = g.op("Add", h, dense(context, f"h.{i}.attn.c_proj", D, D))
        wide = g.gelu_tanh(dense(norm(h, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc", D, 4 * D, 0.04))
        h = g.op("Add", h, dense(wide, f"h.{i}.mlp.c_proj", 4 * D, D))
    g.op("Gemm", g.op("Reshape", norm(h, "ln_f"), g.ints(1, D)), table, transB=1, out="logits")
    g.output("logits", 1, vocabulary)
    for i in range(layers):
        g.output(f"present_key_{i}", 1, heads, past + 1, hd)
        g.output(f"present_value_{i}", 1, heads, past + 1, hd)
    return g


# What builds it, its twin's weights, and the dims that are fixed when the twin is built. The twin is named as its weights, less
# the share of zeros.
WORKLOADS = {
    **{f"mlp_b{b}": (lambda b=b: mlp(b), "mlp", dict(batch=b)) for b in (1, 32, 1024)},
    **{f"mlplarge_b{b}": (lambda b=b: mlp_large(b), "mlp_large", dict(batch=b)) for b in (1, 32)},
    **{f"mlplarge90_b{b}": (lambda b=b: mlp_large(b, 0.9), "mlp_large90", dict(batch=b)) for b in (1, 32)},
    **{f"minilm_b{b}_s{s}": (lambda b=b, s=s: minilm(b, s), "minilm", dict(batch=b, seq=s))
       for b, s in ((1, 16), (1, 128), (8, 128))},
    "mobilenetv2": (mobilenetv2, "mobilenetv2", {}),
    "resnet50": (resnet50, "resnet50", {}),
    "gpt2_decode": (gpt2_decode, "gpt2", {}),
}


def drawn_inputs(graph):
    rng, feeds = np.random.default_rng(99), {}
    for name, dtype, shape in graph.inputs:
        if name == "attention_mask":
            feeds[name] = np.ones(shape, np.int64)
            for row in range(1, shape[0], 2):
                feeds[name][row, shape[1] - 5 * row :] = 0
        elif name == "token_type_ids":
            feeds[name] = np.zeros(shape, np.int64)
        elif name == "position_ids":
            feeds[name] = np.full(shape, 256, np.int64)
        elif dtype == INT64:
            feeds[name] = rng.integers(1000, 30000, shape)
        else:
            feeds[name] = rng.standard_normal(shape, np.float32)
    return feeds


def make(name):
    build, weights, dims = WORKLOADS[name]
    graph = build()
    model = graph.onnx(name)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, MADE / f"{name}.onnx")
    graph.save_weights(MADE / f"{weights}.safetensors")
    feeds = drawn_inputs(graph)
    outputs, work = reference(graph, feeds)
    folder = MADE / "io" / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in feeds.items():
        np.save(folder / f"in_{key}.npy", array)
    for key, array in outputs.items():
        assert np.isfinite(array).all(), key
        np.save(folder / f"out_{key}.npy", array)
    if name == "gpt2_decode":
        for kind in ("key", "value"):
            cache = np.stack([feeds[f"past_{kind}_{i}"] for i in range(12)])
            np.save(folder / f"twin_{kind}s.npy", cache)
    ports = dict(inputs=list(feeds), outputs=list(outputs))
    return dict(**ports, twin=weights.removesuffix("90"), weights=weights, dims=dims, **dataclasses.asdict(work))


def main():
    MADE.mkdir(exist_ok=True)
    path = MADE / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or [*WORKLOADS, "smollm2"]:
        if name == "smollm2":
            made = smollm2.make(MADE / "io") if smollm2.GGUF.exists() else {}
        else:
            made = {name: make(name)}
        manifest.update(made)
        path.write_text(json.dumps(manifest, indent=1))
        for name, work in made.items():
            print(f"{name:16}{work['flops'] / 1e6:10.1f} MFLOP{work['weight_bytes'] / 1e6:8.1f} MB of weights", flush=True)


if __name__ == "__main__":
    main()
