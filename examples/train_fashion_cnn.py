"""Train the small convolutional network of `fashion_cnn.mdl` with numpy, in minutes.

    python3 examples/train_fashion_cnn.py

Writes fashion_cnn.safetensors beside itself, under PyTorch's names and layouts, and
prints the accuracy on the 10,000 test images. Activations are NHWC here, because
numpy then does a 1×1 convolution as one matrix product; the file is OIHW.
"""

import time

import numpy as np

from fashion_data import HERE, split, write_safetensors

SEED, EPOCHS, BATCH, RATE, EPS, MOMENTUM = 7, 6, 128, 3e-3, 1e-5, 0.1


def sums(rows):
    """Of each column, as a matrix product, which is faster than `sum`."""
    return np.ones(len(rows), np.float32) @ rows


class Layer:
    """`params` by PyTorch name; `backward` leaves `grads` under the same names."""

    def __init__(self):
        self.params, self.grads = {}, {}


class Conv3x3(Layer):
    """One input channel, zero padding 1: a product with the nine shifted images."""

    def __init__(self, rng, outs):
        super().__init__()
        self.params["weight"] = rng.normal(0, np.sqrt(2 / 9), (9, outs)).astype(np.float32)

    def forward(self, x, _):
        n, h, w, _ = x.shape
        padded = np.pad(x[..., 0], ((0, 0), (1, 1), (1, 1)))
        shifts = [padded[:, dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)]
        self.columns = np.stack(shifts, axis=-1)
        return self.columns @ self.params["weight"]

    def backward(self, g):
        self.grads["weight"] = self.columns.reshape(-1, 9).T @ g.reshape(-1, g.shape[-1])

    def torch(self):
        return {"weight": self.params["weight"].T.reshape(-1, 1, 3, 3)}


class Depthwise3x3(Layer):
    """One 3×3 filter per channel, zero padding 1."""

    def __init__(self, rng, channels):
        super().__init__()
        self.params["weight"] = rng.normal(0, 1 / 3, (3, 3, channels)).astype(np.float32)

    def forward(self, x, _):
        self.padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        y, part = np.zeros_like(x), np.empty_like(x)
        for dy, dx in np.ndindex(3, 3):
            y += np.multiply(self._shift(dy, dx, x.shape), self.params["weight"][dy, dx], out=part)
        return y

    def backward(self, g):
        weight = self.params["weight"]
        self.grads["weight"], back = np.empty_like(weight), np.zeros_like(self.padded)
        _, h, w, _ = g.shape
        for dy, dx in np.ndindex(3, 3):
            self.grads["weight"][dy, dx] = sums((self._shift(dy, dx, g.shape) * g).reshape(-1, g.shape[-1]))
            back[:, dy : dy + h, dx : dx + w] += g * weight[dy, dx]
        return back[:, 1:-1, 1:-1]

    def _shift(self, dy, dx, shape):
        return self.padded[:, dy : dy + shape[1], dx : dx + shape[2]]

    def torch(self):
        return {"weight": self.params["weight"].transpose(2, 0, 1)[:, None]}


class Pointwise(Layer):
    """A 1×1 convolution, or with `bias` the last linear layer."""

    def __init__(self, rng, ins, outs, bias=False):
        super().__init__()
        self.params["weight"] = rng.normal(0, np.sqrt(2 / ins), (ins, outs)).astype(np.float32)
        if bias:
            self.params["bias"] = np.zeros(outs, np.float32)

    def forward(self, x, _):
        self.x = x
        return x @ self.params["weight"] + self.params.get("bias", np.float32(0))

    def backward(self, g):
        flat = g.reshape(-1, g.shape[-1])
        self.grads["weight"] = self.x.reshape(len(flat), -1).T @ flat
        if "bias" in self.params:
            self.grads["bias"] = flat.sum(axis=0)
        return g @ self.params["weight"].T

    def torch(self):
        weight = self.params["weight"].T
        if "bias" in self.params:
            return {"weight": weight, "bias": self.params["bias"]}
        return {"weight": weight[:, :, None, None]}


class BatchNormRelu(Layer):
    """Batch norm over all but the channels, then max(·, 0)."""

    def __init__(self, channels):
        super().__init__()
        self.params = {"weight": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
        self.mean, self.var = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, training):
        flat = x.reshape(-1, x.shape[-1])
        mean, var = self.mean, self.var
        if training:
            mean = sums(flat) / len(flat)
        self.normal = flat - mean
        if training:
            var = sums(self.normal * self.normal) / len(flat)
            self.mean += MOMENTUM * (mean - self.mean)
            self.var += MOMENTUM * (var - self.var)
        self.inverse = 1 / np.sqrt(var + np.float32(EPS))
        self.normal *= self.inverse
        self.y = self.normal * self.params["weight"]
        self.y += self.params["bias"]
        np.maximum(self.y, 0, out=self.y)
        return self.y.reshape(x.shape)

    def backward(self, g):
        shape, g = g.shape, g.reshape(self.y.shape) * (self.y > 0)
        bias = self.grads["bias"] = sums(g)
        weight = self.grads["weight"] = sums(g * self.normal)
        g -= bias / len(g)
        g -= self.normal * (weight / len(g))
        g *= self.params["weight"] * self.inverse
        return g.reshape(shape)

    def torch(self):
        return {**self.params, "running_mean": self.mean, "running_var": self.var}


class MaxPool2(Layer):
    """The largest of each 2×2; all that are equal to it get the gradient."""

    def forward(self, x, _):
        self.x = x
        self.y = np.maximum(np.maximum(x[:, ::2, ::2], x[:, ::2, 1::2]),
                            np.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2]))
        return self.y

    def backward(self, g):
        back = np.empty_like(self.x)
        for dy, dx in np.ndindex(2, 2):
            np.multiply(g, self.x[:, dy::2, dx::2] == self.y, out=back[:, dy::2, dx::2])
        return back


class Flatten(Layer):
    """All of a picture in one row, channels outermost as in the file."""

    def forward(self, x, _):
        self.shape = x.shape
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def backward(self, g):
        n, h, w, c = self.shape
        return g.reshape(n, c, h, w).transpose(0, 2, 3, 1)


def network(rng):
    """The layers in order; a name makes the key prefix in the weights file."""

    def separable(name, ins, outs):
        return [(f"{name}.depthwise", Depthwise3x3(rng, ins)),
                (f"{name}.pointwise", Pointwise(rng, ins, outs)), (f"{name}.bn", BatchNormRelu(outs))]

    return [("stem.conv", Conv3x3(rng, 16)), ("stem.bn", BatchNormRelu(16)), ("", MaxPool2()),
            *separable("block1", 16, 32), ("", MaxPool2()),
            *separable("block2", 32, 64), *separable("block3", 64, 64),
            ("", Flatten()), ("fc", Pointwise(rng, 64 * 49, 10, bias=True))]


def forward(layers, x, training):
    """Logits of NHWC images."""
    for _, layer in layers:
        x = layer.forward(x, training)
    return x


def step(layers, moments, x, labels, rate, count):
    """One Adam step on the mean cross-entropy."""
    logits = forward(layers, x, training=True)
    error = np.exp(logits - logits.max(axis=1, keepdims=True))
    error /= error.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    g = error / np.float32(len(labels))
    for _, layer in reversed(layers):
        g = layer.backward(g)
    for at, (_, layer) in enumerate(layers):
        for name, param in layer.params.items():
            grad = layer.grads[name]
            m, v = moments.setdefault((at, name), (np.zeros_like(param), np.zeros_like(param)))
            m += 0.1 * (grad - m)
            v += 0.001 * (grad * grad - v)
            param -= rate * (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)


def accuracy(layers, images, labels):
    """The share of images whose largest logit is the label's."""
    chosen = [forward(layers, part, False).argmax(axis=1) for part in np.split(images, 20)]
    return (np.concatenate(chosen) == labels).mean()


def main():
    """Train, measure, write."""
    rng = np.random.default_rng(SEED)
    images, labels = split("train")
    images = images.reshape(-1, 28, 28, 1)
    layers, moments, count = network(rng), {}, 0
    steps = EPOCHS * (len(images) // BATCH)
    began = time.monotonic()
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            count += 1
            batch = order[start : start + BATCH]
            rate = RATE * 0.5 * (1 + np.cos(np.pi * count / steps))
            step(layers, moments, images[batch], labels[batch], rate, count)
        print(f"epoch {epoch + 1} of {EPOCHS}, {time.monotonic() - began:.0f} s", flush=True)

    tests, truth = split("t10k")
    share = accuracy(layers, tests.reshape(-1, 28, 28, 1), truth)
    print(f"{100 * share:.2f} % of 10,000 test images right")
    tensors = {f"{name}.{leaf}": array for name, layer in layers if name
               for leaf, array in layer.torch().items()}
    write_safetensors(HERE / "fashion_cnn.safetensors", tensors)


if __name__ == "__main__":
    main()
