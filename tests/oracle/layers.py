"""The few layers the numpy forwards share, each in its plainest form."""

import numpy as np


def softmax(x):
    """Over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def conv2d(x, w, stride=1, pad=0):
    """[n, c, h, w] with [o, c / groups, k, k]; the groups follow from the shapes."""
    n, channels, _, _ = x.shape
    outs, ins, k, _ = w.shape
    groups = channels // ins
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    windows = windows.reshape(n, groups, ins, *windows.shape[2:])
    y = np.einsum("ngchwyx,gocyx->ngohw", windows, w.reshape(groups, outs // groups, ins, k, k), optimize=True)
    return y.reshape(n, outs, *y.shape[3:])


def batch_norm(x, w, key, eps=1e-5):
    """With the frozen statistics under `key`."""
    leaves = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, var = (w[f"{key}.{leaf}"][:, None, None] for leaf in leaves)
    return (x - mean) / np.sqrt(var + np.float32(eps)) * gamma + beta


def max_pool2(x):
    """The largest of each 2×2."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def layer_norm(x, w, key, eps=1e-5):
    """Over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(eps)) \
        * w[f"{key}.weight"] + w[f"{key}.bias"]
