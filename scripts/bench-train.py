"""Ours and PyTorch's training steps in turns; scripts/bench-train.sh builds ours and starts this.

Beside the ratio of speeds stands that of processor time for an image: it holds on a machine that others use too, where
the first one is at the mercy of their load.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 128
CLASSES = 10


class Block(nn.Module):
    """He 2016, with shortcuts of option A, or B as in torchvision."""

    def __init__(self, inputs, outputs, stride, projects):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.widening = stride, outputs - inputs
        self.project = None
        if projects and (stride != 1 or inputs != outputs):
            self.project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.project is not None:
            x = self.project(x)
        elif self.widening:
            before = self.widening // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.widening - before))
        return F.relu(y + x, inplace=True)


class WideBlock(nn.Module):
    """Zagoruyko 2016."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))


class Attention(nn.Module):
    """Dosovitskiy 2021: a block of self-attention and MLP behind layer norms."""

    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.heads = heads

    def forward(self, x):
        batch, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv).transpose(1, 2).reshape(batch, tokens, dim)
        x = x + self.proj(y)
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    def __init__(self, image, patch, dim, depth, heads):
        super().__init__()
        height, width, channels = image
        tokens = (height // patch) * (width // patch)
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.zeros(1, tokens + 1, dim))
        self.blocks = nn.Sequential(*[Attention(dim, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(dim, 1e-6), nn.Linear(dim, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


def resnet(channels, widths, blocks, projects):
    layers = [nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            layers.append(Block(inputs, width, 2 if stage and not block else 1, projects))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def wrn16_4(channels):
    layers, inputs = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False)], 16
    for stage in range(3):
        for block in range(2):
            width = 64 << stage
            layers.append(WideBlock(inputs, width, 2 if stage and not block else 1))
            inputs = width
    return nn.Sequential(
        *layers, nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES)
    )


def mlp(image, width, depth):
    layers, inputs = [nn.Flatten()], image[0] * image[1] * image[2]
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


def efficientnet_lite0(image):
    import timm

    net = timm.create_model("efficientnet_lite0", in_chans=image[2], num_classes=CLASSES)
    # Small images get a stem of stride 1, as ours do.
    net.conv_stem.stride = (1, 1)
    return net


# Name: our model, PyTorch's for an image, and the image if it is not to be chosen.
NETS = {
    "resnet8": ({"kind": "resnet8"}, lambda i: resnet(i[2], [16, 32, 64], 1, False), None),
    "resnet20": ({"kind": "resnet20"}, lambda i: resnet(i[2], [16, 32, 64], 3, False), None),
    "resnet18": ({"kind": "resnet18"}, lambda i: resnet(i[2], [64, 128, 256, 512], 2, True), None),
    "wrn16_4": ({"kind": "wrn", "depth": 16, "widen": 4}, lambda i: wrn16_4(i[2]), None),
    "vit": ({"kind": "vit", "patch": 4, "dim": 64, "depth": 4, "heads": 4}, lambda i: Vit(i, 4, 64, 4, 4), None),
    "vit_tiny": ({"kind": "vit_tiny", "patch": 4}, lambda i: Vit(i, 4, 192, 12, 3), None),
    "efficientnet_lite0": ({"kind": "efficientnet_lite0"}, efficientnet_lite0, None),
    "mlp": ({"kind": "mlp", "width": 128, "depth": 2}, lambda i: mlp(i, 128, 2), [8, 8, 1]),
}


def processor_seconds(process):
    """Of all threads that a process has."""
    total = 0
    for path in glob.glob(f"/proc/{process}/task/*/schedstat"):
        with open(path) as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Ours:
    def __init__(self, bench, model, image, threads):
        side = "x".join(map(str, image))
        command = [bench, json.dumps(model), side, str(BATCH), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def number(self):
        return self.process.pid

    def seconds(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("our bench ended; its error is above")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    number = os.getpid()

    def __init__(self, make, image, threads):
        torch.set_num_threads(threads)
        height, width, channels = image
        self.net = make(image).to(memory_format=torch.channels_last).train()
        self.images = torch.randn(BATCH, channels, height, width).to(memory_format=torch.channels_last)
        self.labels = torch.arange(BATCH) % CLASSES
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, momentum=0.9)

    def seconds(self, steps):
        begin = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(self.net(self.images), self.labels).backward()
            self.optimizer.step()
        return time.perf_counter() - begin


def compare(bench, name, image, threads, seconds, turns=5):
    """Median images/s of both over some turns, and their images per second of processor time."""
    model, make, _ = NETS[name]
    ours, theirs = Ours(bench, model, image, threads), Theirs(make, image, threads)
    try:
        sides = [ours, theirs]
        steps = []
        for side in sides:
            side.seconds(2)
            steps.append(max(1, round(seconds / turns / (side.seconds(2) / 2))))
        rates, busy = [[], []], [0.0, 0.0]
        for _ in range(turns):
            for index, side in enumerate(sides):
                before = processor_seconds(side.number)
                rates[index].append(steps[index] * BATCH / side.seconds(steps[index]))
                busy[index] += processor_seconds(side.number) - before
        efficiency = [turns * count * BATCH / seconds for count, seconds in zip(steps, busy)]
        return [statistics.median(rate) for rate in rates], efficiency
    finally:
        ours.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--images", default="28x28x1,32x32x3")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each side of a row")
    arguments = parser.parse_args()
    print(f"batch {BATCH}, f32, SGD with momentum, torch {torch.__version__} channels-last; median of 5 turns\n")
    print("| net | image | threads | ours, images/s | torch, images/s | ratio | ratio per processor second |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.nets.split(","):
        own = NETS[name][2]
        images = [own] if own else [[int(side) for side in image.split("x")] for image in arguments.images.split(",")]
        for image in images:
            for threads in map(int, arguments.threads.split(",")):
                side = "×".join(map(str, image))
                try:
                    rates, busy = compare(arguments.bench, name, image, threads, arguments.seconds)
                    row = f"{rates[0]:,.0f} | {rates[1]:,.0f} | {rates[0] / rates[1]:.2f} | {busy[0] / busy[1]:.2f}"
                    print(f"| {name} | {side} | {threads} | {row} |", flush=True)
                except (RuntimeError, ImportError, BrokenPipeError) as error:
                    print(f"| {name} | {side} | {threads} | – | – | {error} | – |", flush=True)


if __name__ == "__main__":
    main()
