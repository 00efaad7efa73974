"""EfficientNet-Lite0 on three photographs by ONNX Runtime, in a graph built here by hand.

    python3 tests/oracle/efficientnet_lite0.py
    (needs numpy, pillow, onnx, onnxruntime; `examples/fetch efficientnet photos labels`)

Writes out/efficientnet_lite0.npz: `image` f32 [3, 3, 224, 224], the RGB pixels 0..255 that
examples/efficientnet_lite0.mdl takes; `logits` and `out` (their softmax) f32 [3, 1000];
`labels` i64 [3]. A photograph's largest central square is scaled to 224×224, bilinear with
antialiasing, and rounded to whole pixels.
"""

import numpy as np
from PIL import Image

from graph import Graph
from paths import DATA, MODELS, OUT, need
from weights import pth

PHOTOS = {"chelsea": 285, "coffee": 967, "motorcycle_left": 665}
#: (first block, count, stride of the first) of each stage
STAGES = [(0, 1, 1), (1, 2, 2), (3, 2, 2), (5, 3, 2), (8, 3, 1), (11, 4, 2), (15, 1, 1)]


def photo(name):
    """RGB planes of the central square, f32 [3, 224, 224]."""
    image = Image.open(need(DATA / "photos" / f"{name}.png")).convert("RGB")
    side, (w, h) = min(image.size), image.size
    left, top = (w - side) // 2, (h - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).transpose(2, 0, 1)


def build(w):
    """TensorFlow's "same" padding by ONNX's name for it, SAME_UPPER."""
    g = Graph()

    def conv(x, key, bn, stride=1, groups=1, act=True):
        y = g.Conv(x, w[f"{key}.weight"], strides=[stride] * 2, group=groups, auto_pad="SAME_UPPER")
        y = g.BatchNormalization(
            y, *(w[f"{bn}.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var")), epsilon=1e-3)
        return g.Clip(y, np.float32(0), np.float32(6)) if act else y

    x = g.input("image", np.float32, ["batch", 3, 224, 224])
    x = conv(g.Div(g.Sub(x, np.float32(127)), np.float32(128)), "_conv_stem", "_bn0", stride=2)
    for first, count, stride in STAGES:
        for i in range(first, first + count):
            at, y = f"_blocks.{i}", x
            if i > 0:
                y = conv(y, f"{at}._expand_conv", f"{at}._bn0")
            channels = len(w[f"{at}._depthwise_conv.weight"])
            y = conv(y, f"{at}._depthwise_conv", f"{at}._bn1", stride if i == first else 1, channels)
            y = conv(y, f"{at}._project_conv", f"{at}._bn2", act=False)
            x = g.Add(x, y) if i > first else y
    x = g.Flatten(g.GlobalAveragePool(conv(x, "_conv_head", "_bn1")))
    logits = g.Gemm(x, w["_fc.weight"], w["_fc.bias"], transB=1)
    return g.session(logits, g.Softmax(logits, axis=-1))


def main():
    """Classify the three and write."""
    session = build(pth(need(MODELS / "efficientnet_lite0" / "efficientnet-lite0-57934424.pth")))
    images = np.stack([photo(name) for name in PHOTOS])
    logits, out = session.run(None, {"image": images})
    names = need(DATA / "imagenet_labels.txt").read_text().splitlines()
    for name, row in zip(PHOTOS, out):
        best = row.argmax()
        print(f"efficientnet_lite0: {name} is {best} {names[best]} ({100 * row[best]:.0f} %)")
    assert [*out.argmax(axis=1)] == [*PHOTOS.values()]
    np.savez_compressed(OUT / "efficientnet_lite0.npz", image=images, logits=logits, out=out,
                        labels=np.array([*PHOTOS.values()]))


if __name__ == "__main__":
    main()
