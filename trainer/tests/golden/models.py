"""Makes models.json: parameter counts, names, and scores of networks of torchvision, timm and the papers.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 torchvision==0.24.0 timm==1.0.31 && venv/bin/python models.py

Weights are not stored: both sides fill each tensor by `fill` from its name. `names` is a hash of the lines
"name count" of the state dict in the order of the names, without the counters of batch norms.
"""

import json
import math

import numpy as np
import timm
import torch
import torchvision
from timm.layers import LayerNorm2d
from timm.models.maxxvit import MaxxVit, MaxxVitCfg
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F


def fnv(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def noise(name, count):
    """Numbers in [-0.5, 0.5)."""
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + fnv(name)) % 2**32
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    return x.astype(np.float64) / 2**32 - 0.5


def fill(name, shape, gain):
    u = noise(name, math.prod(shape))
    if name.endswith("running_mean"):
        values = 0.4 * u
    elif name.endswith("running_var"):
        values = 1 + u
    elif len(shape) > 1:
        values = 2 * math.sqrt(6 / math.prod(shape[1:])) * u
    elif name.endswith("weight"):
        values = gain + 0.4 * u
    else:
        values = 0.2 * u
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


class CifarBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.widening = stride, width - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        half = self.widening // 2
        return F.relu(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half)))


class CifarResnet(nn.Module):
    """He 2016, section 4.2, with torchvision's names."""

    def __init__(self, n):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        inputs = 16
        for stage, width in enumerate([16, 32, 64]):
            blocks = []
            for block in range(n):
                blocks.append(CifarBlock(inputs, width, 2 if stage and not block else 1))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        if inputs != width:
            self.convShortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x):
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (self.convShortcut(active) if hasattr(self, "convShortcut") else x)


class WideStage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class Wrn(nn.Module):
    """Zagoruyko 2016, with the names of the usual code in PyTorch."""

    def __init__(self, depth, widen):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        inputs = 16
        for stage in range(3):
            width, blocks = 16 * 2**stage * widen, []
            for block in range((depth - 4) // 6):
                blocks.append(WideBlock(inputs, width, 2 if stage and not block else 1))
                inputs = width
            setattr(self, f"block{stage + 1}", WideStage(blocks))
        self.bn1, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


class ConvStem(nn.Module):
    """Xiao 2021, section 4: convolutions of stride 2 in place of patches."""

    def __init__(self, img_size, patch_size, in_chans, embed_dim, **_):
        super().__init__()
        count, inputs, layers = int(math.log2(patch_size)), in_chans, []
        for index in range(count):
            width = embed_dim >> (count - 1 - index)
            layers.append(nn.ModuleDict({"conv": nn.Conv2d(inputs, width, 3, 2, 1, bias=False), "norm": nn.BatchNorm2d(width)}))
            inputs = width
        self.stem, self.proj = nn.ModuleList(layers), nn.Conv2d(inputs, embed_dim, 1)
        self.num_patches = (img_size // patch_size) ** 2

    def forward(self, x):
        for layer in self.stem:
            x = F.relu(layer["norm"](layer["conv"](x)))
        return self.proj(x).flatten(2).transpose(1, 2)


def small_stem(net):
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


def vit(size, patch, dim, depth, heads, token=True, **settings):
    pool = "token" if token else "avg"
    return VisionTransformer(img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads,
                             num_classes=10, class_token=token, global_pool=pool, **settings)


def coatnet(size, stem, widths, depths):
    cfg = MaxxVitCfg(embed_dim=widths, depths=depths, stem_width=stem, head_hidden_size=None)
    return MaxxVit(cfg, img_size=size, num_classes=10)


LARGE = {"stem": "large"}
CASES = [
    # name, model, recipe, size, classes, whether scores are compared
    *[(f"resnet{6 * n + 2}", CifarResnet(n), {"kind": f"resnet{6 * n + 2}"}, 32, 10, n < 4) for n in [1, 3, 5, 7, 9]],
    *[(name, torchvision.models.get_model(name), {"kind": name, **LARGE}, 64, 1000, False) for name in ["resnet18", "resnet34", "resnet50"]],
    ("resnet18 at 40", torchvision.models.resnet18(num_classes=10), {"kind": "resnet18", **LARGE}, 40, 10, True),
    ("resnet18 with a small stem", small_stem(torchvision.models.resnet18(num_classes=10)), {"kind": "resnet18"}, 16, 10, True),
    ("resnet34 at 40", torchvision.models.resnet34(num_classes=10), {"kind": "resnet34", **LARGE}, 40, 10, True),
    ("resnet50 at 40", torchvision.models.resnet50(num_classes=10), {"kind": "resnet50", **LARGE}, 40, 10, True),
    ("wrn-16-4", Wrn(16, 4), {"kind": "wrn", "depth": 16, "widen": 4}, 16, 10, True),
    ("wrn-28-10", Wrn(28, 10), {"kind": "wrn", "depth": 28, "widen": 10}, 32, 10, False),
    *[(f"{tf}efficientnet_{size} at {pixels}", timm.create_model(f"{tf}efficientnet_{size}", num_classes=classes),
       {"kind": f"efficientnet_{size}", "style": style, **LARGE}, pixels, classes, classes == 10)
      for tf, style in [("", "pytorch"), ("tf_", "tensorflow")] for size in ["lite0", "b0"]
      for pixels, classes in [(64, 1000), (57, 10)]],
    ("vit_tiny_patch16_224", timm.create_model("vit_tiny_patch16_224"), {"kind": "vit_tiny"}, 224, 1000, False),
    ("vit_small_patch16_224", timm.create_model("vit_small_patch16_224"), {"kind": "vit_small"}, 224, 1000, False),
    ("vit_tiny of patches of 4", vit(32, 4, 192, 12, 3), {"kind": "vit_tiny"}, 32, 10, True),
    ("vit of patches of 7", vit(28, 7, 64, 3, 4), {"kind": "vit", "patch": 7, "dim": 64, "depth": 3, "heads": 4}, 28, 10, True),
    ("vit with an average", vit(32, 8, 64, 2, 2, token=False),
     {"kind": "vit", "patch": 8, "dim": 64, "depth": 2, "heads": 2, "pool": "mean"}, 32, 10, True),
    ("hybrid", vit(32, 8, 64, 3, 4, embed_layer=ConvStem), {"kind": "hybrid", "patch": 8, "dim": 64, "depth": 3, "heads": 4}, 32, 10, True),
    ("coatnet femto", coatnet(64, (32, 32), (32, 64, 128, 256), (2, 2, 3, 2)), {"kind": "coatnet", "size": "femto", **LARGE}, 64, 10, True),
    ("coatnet pico", coatnet(64, (32, 64), (64, 128, 256, 512), (2, 3, 5, 2)), {"kind": "coatnet", "size": "pico", **LARGE}, 64, 10, False),
    ("coatnet nano", coatnet(64, (32, 64), (64, 128, 256, 512), (3, 4, 6, 3)), {"kind": "coatnet", "size": "nano", **LARGE}, 64, 10, False),
    ("coatnet zero", coatnet(64, (64, 64), (96, 192, 384, 768), (2, 3, 5, 2)), {"kind": "coatnet", "size": "zero", **LARGE}, 64, 10, False),
]

cases = []
for name, net, spec, size, classes, compared in CASES:
    state = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    lines = "".join(f"{key} {state[key].numel()}\n" for key in sorted(state))
    scores = None
    # Norms of deep residual networks must not amplify, or their scores are too large to compare.
    gain = 1.0 if "efficientnet" in name else 0.6
    if compared:
        net.load_state_dict({key: fill(key, value.shape, gain) for key, value in state.items()}, strict=False)
        images = torch.from_numpy((4 * noise("images", 2 * 3 * size * size)).astype(np.float32).reshape(2, 3, size, size))
        with torch.no_grad():
            scores = net.eval()(images).flatten().tolist()
    params = sum(value.numel() for value in net.parameters())
    print(name, params, scores and [round(x, 3) for x in scores[:4]])
    cases.append({"name": name, "model": spec, "size": size, "classes": classes, "params": params,
                  "names": fnv(lines), "gain": gain, "scores": scores})

with open("models.json", "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
