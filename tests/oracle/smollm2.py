"""SmolLM2's greedy answer, by numpy in f32 on the dequantised GGUF weights.

    python3 tests/oracle/smollm2.py      (needs numpy, tokenizers; `examples/fetch smollm2`)

Writes out/smollm2.npz: `tokens` i64 [1, n], the chat template around "What is the capital
of France?"; `generated` i64 [1, m], the greedy tokens up to and with <|im_end|>; `logits`
f32 [m, 49152], the scores each of them was taken from. The cache is rounded to f16, as the
state of examples/smollm2.mdl is; where sums in another order cross a rounding step of f16, logits
(up to 25 in size) move by 1e-2, so compare them to 5e-2 and the tokens exactly.
"""

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from paths import MODELS, OUT, need
from weights import gguf

QUESTION = "What is the capital of France?"
LAYERS, HEADS, KV, HD, BASE, EPS = 30, 9, 3, 64, 100000.0, np.float32(1e-5)


def tokenizer(metadata):
    """Byte-level BPE out of the GGUF metadata."""
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, metadata["tokenizer.ggml.token_type"]) if kind == 3]
    bpe.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return bpe


def rms_norm(x, gain):
    """Over the last axis."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * gain


def rope(x, past):
    """Rotate the pairs (2j, 2j + 1) of [heads, s, hd]: ggml's order for llama."""
    positions = np.arange(past, past + x.shape[1])
    angles = positions[:, None] * BASE ** (-np.arange(0, HD, 2) / HD)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    y = np.empty_like(x)
    y[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
    y[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * cos
    return y


class Decoder:
    """The network of examples/smollm2.mdl for one sequence."""

    def __init__(self, weights):
        self.w, self.past = weights, 0
        self.keys = np.zeros((LAYERS, KV, 2048, HD), np.float16)
        self.values = np.zeros_like(self.keys)

    def attend(self, i, a):
        """Grouped-query attention of layer i over the cache and the new tokens."""
        past, now = self.past, self.past + len(a)
        split = lambda leaf, n: (a @ self.w[f"blk.{i}.{leaf}.weight"].T).reshape(-1, n, HD).transpose(1, 0, 2)
        q = rope(split("attn_q", HEADS), past).reshape(KV, HEADS // KV, -1, HD)
        self.keys[i, :, past:now] = rope(split("attn_k", KV), past)
        self.values[i, :, past:now] = split("attn_v", KV)
        keys, values = (c[i, :, None, :now].astype(np.float32) for c in (self.keys, self.values))
        scores = q @ keys.swapaxes(-1, -2) / np.float32(np.sqrt(HD))
        seen = np.arange(now)[None] <= np.arange(past, now)[:, None]
        scores = np.where(seen, scores, -np.inf)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        o = powers / powers.sum(axis=-1, keepdims=True) @ values
        return o.reshape(HEADS, -1, HD).transpose(1, 0, 2).reshape(len(a), -1)

    def step(self, tokens):
        """Logits after the last token."""
        x = self.w["token_embd.weight"][tokens]
        for i in range(LAYERS):
            w = lambda leaf: self.w[f"blk.{i}.{leaf}.weight"]
            x = x + self.attend(i, rms_norm(x, w("attn_norm"))) @ w("attn_output").T
            f = rms_norm(x, w("ffn_norm"))
            gate = f @ w("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (f @ w("ffn_up").T)) @ w("ffn_down").T
        self.past += len(tokens)
        return self.w["token_embd.weight"] @ rms_norm(x[-1], self.w["output_norm.weight"])


def main():
    """Ask, decode greedily, write."""
    metadata, weights = gguf(need(MODELS / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
    bpe = tokenizer(metadata)
    prompt = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
              f"<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n")
    tokens = bpe.encode(prompt).ids
    decoder, new, generated, scores = Decoder(weights), tokens, [], []
    while not generated or (generated[-1] != 2 and len(generated) < 64):
        scores.append(decoder.step(np.array(new)))
        generated.append(int(scores[-1].argmax()))
        new = generated[-1:]
    print(f"smollm2: {bpe.decode(generated)!r} from {len(tokens)} tokens")
    np.savez_compressed(OUT / "smollm2.npz", tokens=np.array([tokens]), generated=np.array([generated]),
                        logits=np.stack(scores))


if __name__ == "__main__":
    main()
