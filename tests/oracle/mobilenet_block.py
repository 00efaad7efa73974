"""The language's mobilenet_block.mdl on seeded weights, by numpy.

    python3 tests/oracle/mobilenet_block.py      (needs numpy only)

Writes out/mobilenet_block.safetensors and out/mobilenet_block.npz: `x` f32 [2, 16, 13, 10],
`out` f32 [2, 24, 7, 5].
"""

import numpy as np

from layers import batch_norm, conv2d
from paths import OUT
from weights import write_safetensors


def draw(rng):
    """Both inverted residuals, under torchvision's names."""
    w = {}

    def conv(key, *shape):
        fan = shape[1] * shape[2] * shape[3]
        w[f"{key}.weight"] = (rng.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)

    def norm(key, channels):
        for leaf, low, high in (("weight", 0.5, 1.5), ("bias", -0.5, 0.5),
                                ("running_mean", -0.3, 0.3), ("running_var", 0.5, 2)):
            w[f"{key}.{leaf}"] = rng.uniform(low, high, channels).astype(np.float32)

    for key, ins in (("features.2", 16), ("features.3", 24)):
        mid = 6 * ins
        conv(f"{key}.conv.0.0", mid, ins, 1, 1)
        norm(f"{key}.conv.0.1", mid)
        conv(f"{key}.conv.1.0", mid, 1, 3, 3)
        norm(f"{key}.conv.1.1", mid)
        conv(f"{key}.conv.2", 24, mid, 1, 1)
        norm(f"{key}.conv.3", 24)
    return w


def inverted_residual(w, x, key, stride):
    """Expand, filter, project; add the input where the shapes allow."""
    relu6 = lambda x: np.clip(x, 0, 6)
    y = relu6(batch_norm(conv2d(x, w[f"{key}.conv.0.0.weight"]), w, f"{key}.conv.0.1"))
    y = relu6(batch_norm(conv2d(y, w[f"{key}.conv.1.0.weight"], stride, pad=1), w, f"{key}.conv.1.1"))
    y = batch_norm(conv2d(y, w[f"{key}.conv.2.weight"]), w, f"{key}.conv.3")
    return y + x if y.shape == x.shape else y


def main():
    """Draw, run, write."""
    rng = np.random.default_rng(12)
    w = draw(rng)
    x = rng.standard_normal((2, 16, 13, 10)).astype(np.float32)
    out = inverted_residual(w, inverted_residual(w, x, "features.2", 2), "features.3", 1)
    write_safetensors(OUT / "mobilenet_block.safetensors", w)
    np.savez_compressed(OUT / "mobilenet_block.npz", x=x, out=out)
    print(f"mobilenet_block: {out.shape}, standard deviation {out.std():.2f}")


if __name__ == "__main__":
    main()
