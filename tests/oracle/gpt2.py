"""The language's gpt2.mdl on seeded weights of full size, by numpy.

    python3 tests/oracle/gpt2.py      (needs numpy; writes half a gigabyte)

Writes out/gpt2.safetensors and out/gpt2.npz, three calls k = 0, 1, 2 of one session (a prefill
of seven tokens, then two decodes): `tokens.k` i64 [2, s], `past.k` i64 [], `logits.k` f32
[2, 50257], `next.k` i64 [2]. Keys and values are rounded to f16, as the model's state is;
sums in another order then move logits by 1e-3, so compare them to 5e-3 and the tokens exactly.
"""

import numpy as np

from layers import layer_norm, softmax
from paths import OUT
from weights import write_safetensors

LAYERS, D, HEADS, HD, CTX, V = 12, 768, 12, 64, 1024, 50257


def draw(rng):
    """GPT-2's names and its `[in, out]` layout."""
    w = {}

    def put(key, scale, *shape):
        w[key] = rng.standard_normal(shape, np.float32)
        w[key] *= np.float32(scale)

    def norm(key):
        put(f"{key}.weight", 0.1, D)
        w[f"{key}.weight"] += 1
        put(f"{key}.bias", 0.1, D)

    put("wte.weight", 0.1, V, D)
    put("wpe.weight", 0.05, CTX, D)
    for i in range(LAYERS):
        norm(f"h.{i}.ln_1")
        norm(f"h.{i}.ln_2")
        for leaf, ins, outs in (("attn.c_attn", D, 3 * D), ("attn.c_proj", D, D),
                                ("mlp.c_fc", D, 4 * D), ("mlp.c_proj", 4 * D, D)):
            put(f"h.{i}.{leaf}.weight", ins**-0.5, ins, outs)
            put(f"h.{i}.{leaf}.bias", 0.05, outs)
    norm("ln_f")
    return w


def gelu_tanh(x):
    """The approximation with tanh."""
    return 0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)))


def step(w, cache, tokens, past):
    """Logits [batch, V] after the last token; `cache` is [2, layers, batch, heads, ctx, hd]."""
    batch, s = tokens.shape
    now = past + s
    linear = lambda x, key: x @ w[f"{key}.weight"] + w[f"{key}.bias"]
    seen = np.arange(now)[None] <= np.arange(past, now)[:, None]
    x = w["wte.weight"][tokens] + w["wpe.weight"][past:now]
    for i in range(LAYERS):
        qkv = linear(layer_norm(x, w, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn")
        q, k, v = qkv.reshape(batch, s, 3, HEADS, HD).transpose(2, 0, 3, 1, 4)
        cache[0, i, :, :, past:now], cache[1, i, :, :, past:now] = k, v
        keys, values = cache[:, i, :, :, :now].astype(np.float32)
        scores = q @ keys.swapaxes(-1, -2) / np.float32(np.sqrt(HD))
        o = softmax(np.where(seen, scores, -np.inf)) @ values
        x = x + linear(o.transpose(0, 2, 1, 3).reshape(batch, s, D), f"h.{i}.attn.c_proj")
        wide = gelu_tanh(linear(layer_norm(x, w, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"))
        x = x + linear(wide, f"h.{i}.mlp.c_proj")
    return layer_norm(x[:, -1], w, "ln_f") @ w["wte.weight"].T


def main():
    """Draw, run the three calls, write."""
    rng = np.random.default_rng(13)
    w = draw(rng)
    cache = np.zeros((2, LAYERS, 2, HEADS, CTX, HD), np.float16)
    tokens, past, arrays = rng.integers(0, V, (2, 7)), 0, {}
    for k in range(3):
        logits = step(w, cache, tokens, past)
        chosen = logits.argmax(axis=-1)
        arrays |= {f"tokens.{k}": tokens, f"past.{k}": np.array(past),
                   f"logits.{k}": logits, f"next.{k}": chosen}
        top = np.sort(logits, axis=-1)
        print(f"gpt2: call {k}, next {chosen}, margins {(top[:, -1] - top[:, -2]).round(2)}")
        tokens, past = chosen[:, None], past + tokens.shape[1]
    write_safetensors(OUT / "gpt2.safetensors", w)
    np.savez_compressed(OUT / "gpt2.npz", **arrays)


if __name__ == "__main__":
    main()
