"""MiniLM's embeddings by ONNX Runtime, on the same weights in a graph built here by hand.

    python3 tests/oracle/minilm.py      (needs numpy, onnx, onnxruntime, tokenizers; `examples/fetch minilm`)

Writes out/minilm.npz, three batches k = 0, 1, 2: `ids.k` and `attention_mask.k` i64 [batch, seq],
`out.k` f32 [batch, 384]. Batch 0 is one short sentence, 1 is six sentences padded to the longest,
2 is one sentence of 512 random tokens.
"""

import numpy as np
from tokenizers import Tokenizer

from graph import Graph
from paths import MODELS, OUT, need
from weights import safetensors

SENTENCES = [
    "A cat sits on the mat.",
    "A kitten is lying on a rug.",
    "The stock market fell sharply on Monday.",
    "Shares dropped at the start of the week.",
    "How do I bake sourdough bread without a Dutch oven?",
    "He was not an ill-disposed young man.",
]
HEADS, HD, EPS = 12, 32, 1e-12


def build(w):
    """BERT of six layers, mean pooling over live tokens, L2 normalisation."""
    g = Graph()
    ids = g.input("ids", np.int64, ["batch", "seq"])
    live = g.Cast(g.input("attention_mask", np.int64, ["batch", "seq"]), to=1)
    f32 = np.float32

    def dense(x, key):
        kernel = g.constant(w[f"{key}.weight"].T)
        return g.Add(g.MatMul(x, kernel), w[f"{key}.bias"])

    def norm(x, key):
        return g.LayerNormalization(x, w[f"{key}.weight"], w[f"{key}.bias"], axis=-1, epsilon=EPS)

    def heads(x):
        return g.Transpose(g.Reshape(x, np.array([0, 0, HEADS, HD])), perm=[0, 2, 1, 3])

    length = g.Gather(g.Shape(ids), np.array([1]))
    positions = g.Slice(w["embeddings.position_embeddings.weight"], np.array([0]), length, np.array([0]))
    x = g.Add(g.Gather(w["embeddings.word_embeddings.weight"], ids), positions)
    x = norm(g.Add(x, w["embeddings.token_type_embeddings.weight"][0]), "embeddings.LayerNorm")
    mask = g.Mul(g.Unsqueeze(g.Sub(f32(1), live), np.array([1, 2])), f32(-1e9))
    for i in range(6):
        key = f"encoder.layer.{i}"
        q, k, v = (heads(dense(x, f"{key}.attention.self.{n}")) for n in ("query", "key", "value"))
        scores = g.Div(g.MatMul(q, g.Transpose(k, perm=[0, 1, 3, 2])), f32(np.sqrt(HD)))
        mixed = g.MatMul(g.Softmax(g.Add(scores, mask), axis=-1), v)
        mixed = g.Reshape(g.Transpose(mixed, perm=[0, 2, 1, 3]), np.array([0, 0, HEADS * HD]))
        attended = dense(mixed, f"{key}.attention.output.dense")
        x = norm(g.Add(x, attended), f"{key}.attention.output.LayerNorm")
        wide = dense(x, f"{key}.intermediate.dense")
        gelu = g.Mul(g.Mul(wide, f32(0.5)), g.Add(g.Erf(g.Div(wide, f32(np.sqrt(2)))), f32(1)))
        x = norm(g.Add(x, dense(gelu, f"{key}.output.dense")), f"{key}.output.LayerNorm")
    summed = g.ReduceSum(g.Mul(x, g.Unsqueeze(live, np.array([2]))), np.array([1]), keepdims=0)
    mean = g.Div(summed, g.Max(g.ReduceSum(live, np.array([1]), keepdims=1), f32(1e-9)))
    return g.session(g.LpNormalization(mean, axis=-1, p=2))


def batches():
    """The three pairs of ids and masks."""
    bert = Tokenizer.from_file(str(need(MODELS / "minilm" / "tokenizer.json")))
    bert.no_truncation()
    for sentences in (SENTENCES[:1], SENTENCES):
        bert.enable_padding()
        encoded = bert.encode_batch(sentences)
        yield np.array([e.ids for e in encoded]), np.array([e.attention_mask for e in encoded])
    ids = np.random.default_rng(5).integers(1000, 30000, (1, 512))
    yield ids, np.ones_like(ids)


def main():
    """Embed each batch and write."""
    session = build(safetensors(need(MODELS / "minilm" / "model.safetensors")))
    arrays = {}
    for k, (ids, mask) in enumerate(batches()):
        (out,) = session.run(None, {"ids": ids, "attention_mask": mask})
        arrays |= {f"ids.{k}": ids, f"attention_mask.{k}": mask, f"out.{k}": out}
    near = arrays["out.1"] @ arrays["out.1"].T
    assert near[0, 1] > 0.4 > near[0, 2] and near[2, 3] > 0.4 > near[2, 4], near
    shapes = [arrays[f"ids.{k}"].shape for k in range(3)]
    print(f"minilm: batches {shapes}; cat-kitten {near[0, 1]:.3f}, cat-market {near[0, 2]:.3f}")
    np.savez_compressed(OUT / "minilm.npz", **arrays)


if __name__ == "__main__":
    main()
