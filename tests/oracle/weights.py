"""Weight files as numpy arrays, for the oracles: safetensors, GGUF and legacy .pth."""

import json
import pickle
from collections import OrderedDict

import numpy as np


def pth(path):
    """A state dict in PyTorch's format before 1.6: pickles, then the storages' bytes.

    Only the three names a state dict needs can be unpickled.
    """
    types = {"FloatStorage": "<f4", "LongStorage": "<i8"}
    storages = {}

    def rebuild(storage, offset, shape, stride, *_):
        return storage, offset, shape, stride

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            known = {"_rebuild_tensor_v2": rebuild, "OrderedDict": OrderedDict}
            return known[name] if name in known else types[name]

        def persistent_load(self, pid):
            _, dtype, key, _, count, _ = pid
            storages[key] = (dtype, count)
            return key

    with open(path, "rb") as file:
        for _ in range(3):
            Reader(file).load()
        state = Reader(file).load()
        keys = Reader(file).load()
        data = {}
        for key in keys:
            dtype, count = storages[key]
            assert int.from_bytes(file.read(8), "little") == count
            data[key] = np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
    arrays = {}
    for name, (key, offset, shape, stride) in state.items():
        item = data[key].itemsize
        arrays[name] = np.lib.stride_tricks.as_strided(
            data[key][offset:], shape, [s * item for s in stride]
        ).copy()
    return arrays


def safetensors(path):
    """All F32 tensors of a safetensors file; others are left out."""
    raw = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(raw[:8].tobytes(), "little")
    header = json.loads(raw[8 : 8 + size].tobytes())
    return {
        name: raw[8 + size + t["data_offsets"][0] : 8 + size + t["data_offsets"][1]]
        .view("<f4").reshape(t["shape"])
        for name, t in header.items() if name != "__metadata__" and t["dtype"] == "F32"
    }


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


def gguf(path):
    """(metadata, tensors dequantised to f32 in row-major shape) of a GGUF file.

    The blocks, 32 values each, are decoded here from ggml's definition:
    q8_0 = f16 d, 32 × i8, value d·q; q4_1 = f16 d, f16 m, 16 bytes, value d·q + m,
    the low nibbles being the first 16 values.
    """
    raw, at = np.memmap(path, np.uint8, "r"), 0
    scalars = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
               10: "<u8", 11: "<i8", 12: "<f8"}

    def take(dtype):
        nonlocal at
        size = np.dtype(dtype).itemsize
        at += size
        return raw[at - size : at].view(dtype)[0].item()

    def string():
        nonlocal at
        size = take("<u8")
        at += size
        return raw[at - size : at].tobytes().decode()

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            inner, count = take("<u4"), take("<u8")
            return [value(inner) for _ in range(count)]
        return take(scalars[kind])

    assert take("<u4") == 0x46554747 and take("<u4") == 3
    tensors, entries = take("<u8"), take("<u8")
    metadata = {}
    for _ in range(entries):
        key = string()
        metadata[key] = value(take("<u4"))
    infos = []
    for _ in range(tensors):
        name = string()
        shape = [take("<u8") for _ in range(take("<u4"))][::-1]
        infos.append((name, shape, take("<u4"), take("<u8")))
    align = metadata.get("general.alignment", 32)
    base = -(-at // align) * align

    def decode(shape, kind, offset):
        count = int(np.prod(shape))
        data = raw[base + offset :]
        if kind == 0:
            return data[: 4 * count].view("<f4").reshape(shape)
        if kind == 8:
            blocks = data[: count // 32 * 34].reshape(-1, 34)
            scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
            return (scale * blocks[:, 2:].view(np.int8)).reshape(shape)
        assert kind == 3, f"tensor type {kind}"
        blocks = data[: count // 32 * 20].reshape(-1, 20)
        scale, least = (blocks[:, i : i + 2].copy().view("<f2").astype(np.float32) for i in (0, 2))
        nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
        return (scale * nibbles + least).reshape(shape)

    return metadata, {name: decode(shape, kind, offset) for name, shape, kind, offset in infos}
