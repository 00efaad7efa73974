"""The workloads as a PyTorch user writes them, over the weights that models.py has drawn."""
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from graph import read_safetensors

MADE = Path(__file__).resolve().parent / "made"


def fixed(array):
    """A parameter over contiguous memory: the converter to TFLite confuses views."""
    return nn.Parameter(torch.from_numpy(np.array(array, np.float32, order="C")), requires_grad=False)


class Weights:
    """Modules by the names of their weights."""

    def __init__(self, arrays):
        self.arrays = arrays

    def linear(self, name, transposed=True):
        w = self.arrays[f"{name}.weight"]
        w = w.T if transposed else w
        module = nn.Linear(w.shape[1], w.shape[0])
        module.weight, module.bias = fixed(w), fixed(self.arrays[f"{name}.bias"])
        return module

    def norm(self, name, eps):
        module = nn.LayerNorm(len(self.arrays[f"{name}.weight"]), eps=eps)
        module.weight, module.bias = fixed(self.arrays[f"{name}.weight"]), fixed(self.arrays[f"{name}.bias"])
        return module

    def conv(self, name, stride=1, depthwise=False, act=None):
        w = self.arrays[f"{name}.weight"]
        groups, k = (len(w), w.shape[2]) if depthwise else (1, w.shape[2])
        module = nn.Conv2d(w.shape[1] * groups, len(w), k, stride, (k - 1) // 2, groups=groups)
        module.weight, module.bias = fixed(w), fixed(self.arrays[f"{name}.bias"])
        return nn.Sequential(module, act) if act else module

    def table(self, name):
        return fixed(self.arrays[name])


class MiniLM(nn.Module):
    def __init__(self, w, seq):
        super().__init__()
        self.words, self.kinds = (w.table(f"embeddings.{n}_embeddings.weight") for n in ("word", "token_type"))
        self.places = fixed(w.arrays["embeddings.position_embeddings.weight"][:seq])
        self.norm = w.norm("embeddings.LayerNorm", 1e-12)
        layer = lambda name: nn.ModuleList([
            *(w.linear(f"{name}.attention.self.{n}") for n in ("query", "key", "value")),
            w.linear(f"{name}.attention.output.dense"), w.norm(f"{name}.attention.output.LayerNorm", 1e-12),
            w.linear(f"{name}.intermediate.dense"), w.linear(f"{name}.output.dense"), w.norm(f"{name}.output.LayerNorm", 1e-12)])
        self.layers = nn.ModuleList(layer(f"encoder.layer.{i}") for i in range(6))

    def forward(self, input_ids, attention_mask, token_type_ids):
        batch, seq = input_ids.shape
        h = self.norm(F.embedding(input_ids, self.words) + F.embedding(token_type_ids, self.kinds) + self.places)
        bias = ((1 - attention_mask[:, None, None, :].to(h.dtype)) * -10000).expand(batch, 1, seq, seq)
        heads = lambda x: x.view(batch, seq, 12, 32).transpose(1, 2)
        for q, k, v, out, norm1, up, down, norm2 in self.layers:
            context = F.scaled_dot_product_attention(heads(q(h)), heads(k(h)), heads(v(h)), attn_mask=bias)
            h = norm1(out(context.transpose(1, 2).reshape(batch, seq, 384)) + h)
            h = norm2(down(F.gelu(up(h))) + h)
        live = attention_mask[:, :, None].to(h.dtype)
        return h, F.normalize((h * live).sum(1) / live.sum(1), dim=1)


class Residual(nn.Module):
    def __init__(self, body, short=None, act=None):
        super().__init__()
        self.body, self.short, self.act = body, short or nn.Identity(), act or nn.Identity()

    def forward(self, x):
        return self.act(self.body(x) + self.short(x))


def classifier(w):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), w.linear("fc", transposed=False)]


def mobilenetv2(w):
    relu6, layers, cin = nn.ReLU6(), [w.conv("stem", 2, act=nn.ReLU6())], 32
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for i, stride in enumerate(strides):
        name = f"blocks.{i}"
        body = [w.conv(f"{name}.expand", act=relu6)] if i else []
        body += [w.conv(f"{name}.depthwise", stride, True, relu6), w.conv(f"{name}.project")]
        cout = len(w.arrays[f"{name}.project.bias"])
        body = nn.Sequential(*body)
        layers.append(Residual(body) if stride == 1 and cin == cout else body)
        cin = cout
    return nn.Sequential(*layers, w.conv("head", act=relu6), *classifier(w))


def resnet50(w):
    relu, layers = nn.ReLU(), [w.conv("stem", 2, act=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    for stage, repeats in enumerate([3, 4, 6, 3]):
        for r in range(repeats):
            name, stride = f"stages.{stage}.{r}", 2 if r == 0 and stage else 1
            body = [w.conv(f"{name}.reduce", act=relu), w.conv(f"{name}.conv", stride, act=relu), w.conv(f"{name}.expand")]
            layers.append(Residual(nn.Sequential(*body), w.conv(f"{name}.short", stride) if r == 0 else None, relu))
    return nn.Sequential(*layers, *classifier(w))


class Gpt2(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.words, self.places = w.table("wte.weight"), w.table("wpe.weight")
        layer = lambda name: nn.ModuleList([
            w.norm(f"{name}.ln_1", 1e-5), w.linear(f"{name}.attn.c_attn"), w.linear(f"{name}.attn.c_proj"),
            w.norm(f"{name}.ln_2", 1e-5), w.linear(f"{name}.mlp.c_fc"), w.linear(f"{name}.mlp.c_proj")])
        self.layers = nn.ModuleList(layer(f"h.{i}") for i in range(12))
        self.norm = w.norm("ln_f", 1e-5)

    def forward(self, ids, places, *past):
        h, present = F.embedding(ids, self.words) + F.embedding(places, self.places), []
        for i, (norm1, qkv, out, norm2, up, down) in enumerate(self.layers):
            q, k, v = (x.view(1, 1, 12, 64).transpose(1, 2) for x in qkv(norm1(h)).split(768, 2))
            k, v = torch.cat([past[2 * i], k], 2), torch.cat([past[2 * i + 1], v], 2)
            present += [k, v]
            h = h + out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 1, 768))
            h = h + down(F.gelu(up(norm2(h)), approximate="tanh"))
        return F.linear(self.norm(h).view(1, 768), self.words), *present


def build(name):
    """The module of a workload, ready to run."""
    ports = json.loads((MADE / "manifest.json").read_text())[name]
    w = Weights(read_safetensors(MADE / f"{ports['weights']}.safetensors"))
    if name.startswith("mlp_"):
        net = nn.Sequential(w.linear("fc1"), nn.ReLU(), w.linear("fc2"), nn.Softmax(-1))
    elif name.startswith("mlplarge"):
        net = nn.Sequential(w.linear("fc1"), nn.GELU(), w.linear("fc2"), nn.GELU(), w.linear("fc3"))
    elif name.startswith("minilm"):
        net = MiniLM(w, ports["dims"]["seq"])
    else:
        net = {"mobilenetv2": mobilenetv2, "resnet50": resnet50, "gpt2_decode": Gpt2}[name](w)
    return net.eval()
