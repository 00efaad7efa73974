"""Train the 784-128-10 classifier of `fashion_mlp.mdl` with numpy, in about a minute and a half.

    python3 examples/train_fashion_mlp.py

Writes, beside itself, fashion_mlp.safetensors, fashion_test_256.npz (the first 256
test images: `image` f32 [256, 784], `labels` i64 [256]), fashion_train_256.npz (as many of
the training set, to calibrate with) and fashion_labels.txt, and prints the accuracy on all
10,000 test images.
"""

import numpy as np

from fashion_data import CLASSES, HERE, split, write_safetensors

SEED, HIDDEN, EPOCHS, BATCH, RATE = 7, 128, 15, 128, 1e-3


def probabilities(weights, x):
    """The network, as fashion_mlp.mdl states it, and its hidden layer."""
    w1, b1, w2, b2 = weights
    hidden = np.maximum(x @ w1.T + b1, 0)
    logits = hidden @ w2.T + b2
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), hidden


def gradients(weights, x, labels):
    """Of the mean cross-entropy, in the order of `weights`."""
    error, hidden = probabilities(weights, x)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    back = (error @ weights[2]) * (hidden > 0)
    return back.T @ x, back.sum(axis=0), error.T @ hidden, error.sum(axis=0)


def train(x, labels):
    """Adam with a cosine rate; the same seed gives the same weights."""
    rng = np.random.default_rng(SEED)

    def layer(outs, ins):
        return rng.normal(0, np.sqrt(2 / ins), (outs, ins)), np.zeros(outs)

    weights = [a.astype(np.float32) for a in (*layer(HIDDEN, 784), *layer(10, HIDDEN))]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    steps = EPOCHS * (len(x) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            step += 1
            batch = order[start : start + BATCH]
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for w, (m, v), g in zip(weights, moments, gradients(weights, x[batch], labels[batch])):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return weights


def main():
    """Train, measure, write."""
    x, labels = split("train")
    weights = train(x, labels)
    tests, truth = split("t10k")
    right = (probabilities(weights, tests)[0].argmax(axis=1) == truth).sum()
    print(f"{right} of {len(truth)} test images right ({100 * right / len(truth):.2f} %)")

    names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    write_safetensors(HERE / "fashion_mlp.safetensors", dict(zip(names, weights)))
    np.savez_compressed(HERE / "fashion_test_256.npz", image=tests[:256], labels=truth[:256])
    np.savez_compressed(HERE / "fashion_train_256.npz", image=x[:256], labels=labels[:256])
    (HERE / "fashion_labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))


if __name__ == "__main__":
    main()
