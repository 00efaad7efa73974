"""The language's mlp.mdl on seeded weights, by numpy.

    python3 tests/oracle/mlp.py      (needs numpy only)

Writes out/mlp.safetensors (fc1.weight, fc1.bias, fc2.weight; fc2.bias is left out, so that the
`else` of the model is used) and out/mlp.npz: `image` f32 [5, 784], `out` f32 [5, 10].
"""

import numpy as np

from layers import softmax
from paths import OUT
from weights import write_safetensors


def main():
    """Draw, run, write."""
    rng = np.random.default_rng(11)
    draw = lambda scale, *shape: (scale * rng.standard_normal(shape)).astype(np.float32)
    w = {"fc1.weight": draw(0.05, 128, 784), "fc1.bias": draw(0.1, 128), "fc2.weight": draw(0.2, 10, 128)}
    image = rng.random((5, 784), np.float32)
    hidden = np.maximum(image @ w["fc1.weight"].T + w["fc1.bias"], 0)
    out = softmax(hidden @ w["fc2.weight"].T)
    write_safetensors(OUT / "mlp.safetensors", w)
    np.savez_compressed(OUT / "mlp.npz", image=image, out=out)
    print(f"mlp: largest probabilities {out.max(axis=1).round(2)}")


if __name__ == "__main__":
    main()
