"""SmolLM2-135M from its GGUF file, in float64: what `examples/smollm2.mdl` and llama.cpp are both held to."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

from graph import Work, softmax

GGUF = Path(__file__).resolve().parent / "../../examples/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LAYERS, HEADS, KV, HD, BASE, EPS = 30, 9, 3, 64, 100000.0, 1e-5
PROMPT = 256
# Entries of the manifest: tokens that a call takes, and tokens in the cache before it.
CALLS = {"smollm2_prefill": (PROMPT, 0), "smollm2_decode": (1, PROMPT)}


@dataclass
class Llama:
    """Weights by name, decoded once."""

    weights: dict

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * self.weights[f"{name}.weight"]

    def attention(self, x, layer):
        n = len(x)
        heads = lambda name, count: self.linear(x, f"{layer}.{name}").reshape(n, count, HD).transpose(1, 0, 2)
        q, k, v = rotate(heads("attn_q", HEADS)), rotate(heads("attn_k", KV)), heads("attn_v", KV)
        k, v = (np.repeat(side, HEADS // KV, axis=0) for side in (k, v))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(HD) + np.triu(np.full((n, n), -np.inf), 1)
        return self.linear((softmax(scores, -1) @ v).transpose(1, 0, 2).reshape(n, -1), f"{layer}.attn_output")

    def logits(self, tokens):
        """Of every position; the embedding is the classifier too."""
        table = self.weights["token_embd.weight"]
        x = table[tokens]
        for i in range(LAYERS):
            layer = f"blk.{i}"
            x = x + self.attention(self.norm(x, f"{layer}.attn_norm"), layer)
            h = self.norm(x, f"{layer}.ffn_norm")
            gate = self.linear(h, f"{layer}.ffn_gate")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * self.linear(h, f"{layer}.ffn_up"), f"{layer}.ffn_down")
        return self.norm(x[-2:], "output_norm") @ table.T


def rotate(x):
    """Rotary positions of neighbouring pairs of [heads, n, HD]."""
    angles = np.arange(x.shape[1])[:, None] * BASE ** (-np.arange(0, HD, 2) / HD)
    even, odd, cos, sin = x[..., ::2], x[..., 1::2], np.cos(angles), np.sin(angles)
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def make(folder):
    """Tokens, float64 logits and the work of each call; entries of the manifest."""
    tensors = GGUFReader(GGUF).tensors
    model = Llama({t.name: dequantize(t.data, t.tensor_type).astype(np.float64) for t in tensors})
    tokens = np.random.default_rng(7).integers(1000, 30000, PROMPT + 1)
    tokens[0] = 1
    last_two = model.logits(tokens)
    layers = sum(w.size for name, w in model.weights.items() if name.startswith("blk"))
    table = model.weights["token_embd.weight"].size
    size, made = sum(int(t.n_bytes) for t in tensors), {}
    for row, (name, (count, past)) in enumerate(CALLS.items()):
        at = folder / name
        at.mkdir(parents=True, exist_ok=True)
        np.save(at / "in_tokens.npy", tokens[None, past : past + count])
        np.save(at / "before_tokens.npy", tokens[None, :past])
        np.save(at / "out_logits.npy", last_two[None, row])
        cache = 2 * LAYERS * KV * HD * 2 * (past + count)
        work = Work(flops=2 * (layers * count + table), weight_bytes=size, io_bytes=cache)
        made[name] = dict(inputs=["tokens"], outputs=["logits"], twin="smollm2", weights="smollm2", dims={},
                          call=dict(count=count, past=past), **vars(work))
    return made
