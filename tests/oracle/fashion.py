"""The two Fashion-MNIST networks on the 256 vendored test images, by numpy.

    python3 tests/oracle/fashion.py      (needs numpy only)

Writes out/fashion_mlp.npz and out/fashion_cnn.npz: `out` f32 [256, 10]; the input is `image`
of examples/fashion_test_256.npz.
"""

import numpy as np

from layers import batch_norm, conv2d, max_pool2, softmax
from paths import OUT, ROOT
from weights import safetensors

EXAMPLES = ROOT / "examples"


def mlp(w, x):
    """784-128-10."""
    hidden = np.maximum(x @ w["fc1.weight"].T + w["fc1.bias"], 0)
    return softmax(hidden @ w["fc2.weight"].T + w["fc2.bias"])


def cnn(w, x):
    """The stem and the three separable blocks."""
    def bn_relu(x, key):
        return np.maximum(batch_norm(x, w, key), 0)

    def separable(x, key):
        x = conv2d(x, w[f"{key}.depthwise.weight"], pad=1)
        return bn_relu(conv2d(x, w[f"{key}.pointwise.weight"]), f"{key}.bn")

    x = bn_relu(conv2d(x.reshape(-1, 1, 28, 28), w["stem.conv.weight"], pad=1), "stem.bn")
    x = max_pool2(separable(max_pool2(x), "block1"))
    x = separable(separable(x, "block2"), "block3")
    return softmax(x.reshape(len(x), -1) @ w["fc.weight"].T + w["fc.bias"])


def main():
    """Classify and write."""
    test = np.load(EXAMPLES / "fashion_test_256.npz")
    for name, network in (("fashion_mlp", mlp), ("fashion_cnn", cnn)):
        out = network(safetensors(EXAMPLES / f"{name}.safetensors"), test["image"])
        right = (out.argmax(axis=1) == test["labels"]).sum()
        print(f"{name}: {right} of 256 right")
        np.savez_compressed(OUT / f"{name}.npz", out=out)


if __name__ == "__main__":
    main()
