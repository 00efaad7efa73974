"""Fashion-MNIST on disk, and the safetensors writer the two training scripts share.

Needs numpy only. The images come from the Debian package `dataset-fashion-mnist`,
installed or brought by `examples/fetch fashion`.
"""

import gzip
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FOLDERS = [HERE / "data" / "fashion-mnist", Path("/usr/share/datasets/fashion-mnist")]
CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]


def _idx(name):
    """The bytes of one IDX file, shaped by its header (big-endian u32 dims)."""
    for folder in FOLDERS:
        if (folder / name).exists():
            raw = gzip.decompress((folder / name).read_bytes())
            dims = np.frombuffer(raw, ">u4", count=raw[3], offset=4).astype(int)
            return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)
    raise SystemExit(f"{name} is not here: run `examples/fetch fashion` first")


def split(name):
    """`train` or `t10k` as (images f32 [n, 784] in 0..1, labels i64 [n])."""
    images = _idx(f"{name}-images-idx3-ubyte.gz").reshape(-1, 784)
    labels = _idx(f"{name}-labels-idx1-ubyte.gz")
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def write_safetensors(path, tensors):
    """Write f32 arrays: u64 header length, JSON header, then the bytes in order."""
    header, offset = {}, 0
    for name, array in tensors.items():
        end = offset + 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())
