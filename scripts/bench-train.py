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
from torch.nn import functional as F

from torch_nets import CLASSES, Vit, convnet, efficientnet_lite0, mlp, resnet, wrn16_4

BATCH = 128


# Name: our model, PyTorch's for an image, and the image if it is not to be chosen.
NETS = {
    "resnet8": ({"kind": "resnet8"}, lambda i: resnet(i[2], [16, 32, 64], 1, False), None),
    "resnet20": ({"kind": "resnet20"}, lambda i: resnet(i[2], [16, 32, 64], 3, False), None),
    "resnet18": ({"kind": "resnet18"}, lambda i: resnet(i[2], [64, 128, 256, 512], 2, True), None),
    "wrn16_4": ({"kind": "wrn", "depth": 16, "widen": 4}, lambda i: wrn16_4(i[2]), None),
    "vit": ({"kind": "vit", "patch": 4, "dim": 64, "depth": 4, "heads": 4}, lambda i: Vit(i, 4, 64, 4, 4), None),
    "vit_tiny": ({"kind": "vit_tiny", "patch": 4}, lambda i: Vit(i, 4, 192, 12, 3), None),
    "hybrid": ({"kind": "hybrid", "patch": 4}, lambda i: Vit(i, 4, 192, 11, 3, stem=True), None),
    "efficientnet_lite0": ({"kind": "efficientnet_lite0"}, efficientnet_lite0, None),
    "convnet": ({"kind": "convnet", "width": 16}, lambda i: convnet(i[2], 16), None),
    "mlp": ({"kind": "mlp", "width": 128, "depth": 2}, lambda i: mlp(i, 128, 2), [8, 8, 1]),
}


def processor_seconds(process):
    """Of all threads that a process has."""
    total = 0
    for path in glob.glob(f"/proc/{process}/task/*/schedstat"):
        with open(path) as file:
            total += int(file.read().split()[0])
    return total / 1e9


# What a recipe may do at an update beside SGD's step, or in place of it.
UPDATES = {
    "SGD": {},
    "clip_norm": {"clip_norm": 1.0},
    "clip_value": {"clip_value": 1.0},
    "clip_adaptive": {"clip_adaptive": 0.1},
    "ema": {"ema": {"decay": 0.99}},
    "lookahead": {"lookahead": {"every": 5}},
    **{kind: {"optimizer": {"kind": kind}} for kind in "adamw lamb lars lion rmsprop adafactor muon".split()},
}


class Ours:
    def __init__(self, bench, model, image, threads, update={}):
        side = "x".join(map(str, image))
        command = [bench, json.dumps({"model": model, **update}), side, str(BATCH), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def number(self):
        return self.process.pid

    def begin(self, steps):
        print(steps, file=self.process.stdin, flush=True)

    def end(self):
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("our bench ended; its error is above")
        seconds, pieces, bytes_asked = map(float, answer.split())
        # What the last steps asked of the allocator.
        self.asked = (pieces, bytes_asked)
        return seconds

    def seconds(self, steps):
        self.begin(steps)
        return self.end()

    def faults(self):
        """Pages that the system had to give so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[7])

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


def scale(bench, name, image, threads, seconds, turns=9):
    """Median images/s of ours on one thread, on several, and of as many processes of one thread together: what the machine
    has room for."""
    several = Ours(bench, NETS[name][0], image, threads)
    alone = [Ours(bench, NETS[name][0], image, 1) for _ in range(threads)]
    try:
        for side in (several, *alone):
            side.seconds(2)
        steps = max(1, round(seconds / turns / (alone[0].seconds(2) / 2)))
        rates = [[], [], []]
        for _ in range(turns):
            rates[0].append(steps / alone[0].seconds(steps))
            rates[1].append(threads * steps / several.seconds(threads * steps))
            for side in alone:
                side.begin(steps)
            rates[2].append(threads * steps / max(side.end() for side in alone))
        return [BATCH * statistics.median(rate) for rate in rates]
    finally:
        for side in (several, *alone):
            side.close()


def print_scaling(arguments):
    threads = max(map(int, arguments.threads.split(",")))
    print(f"batch {BATCH}, f32, SGD with momentum; ours, median of 9 turns\n")
    print(f"| net | image | 1 thread, images/s | {threads} threads | times | {threads} processes of 1 thread, times |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in arguments.nets.split(","):
        for image in images_of(name, arguments):
            one, several, apart = scale(arguments.bench, name, image, threads, arguments.seconds)
            row = f"{one:,.0f} | {several:,.0f} | {several / one:.2f} | {apart / one:.2f}"
            print(f"| {name} | {'×'.join(map(str, image))} | {row} |", flush=True)


def print_updates(arguments):
    """What each kind of update takes of a step more than SGD's with momentum, and what such a step asks of memory."""
    print(f"batch {BATCH}, f32, one thread; time of a step over that of SGD with momentum, medians of 9 turns\n")
    print("| net | image | SGD, ms | pieces of memory | MB | new pages | " + " | ".join(list(UPDATES)[1:]) + " |")
    print("| --- | --- |" + " ---: |" * (3 + len(UPDATES)))
    for name in arguments.nets.split(","):
        for image in images_of(name, arguments):
            sides = [Ours(arguments.bench, NETS[name][0], image, 1, update) for update in UPDATES.values()]
            try:
                for side in sides:
                    side.seconds(2)
                steps = max(1, round(arguments.seconds / 9 / (sides[0].seconds(2) / 2)))
                before = sides[0].faults()
                turns = [[side.seconds(steps) / steps for side in sides] for _ in range(9)]
                pages = (sides[0].faults() - before) / (9 * steps)
            finally:
                for side in sides:
                    side.close()
            pieces, asked = (count / steps for count in sides[0].asked)
            ratios = [statistics.median(turn[at] / turn[0] for turn in turns) for at in range(1, len(UPDATES))]
            plain = 1e3 * statistics.median(turn[0] for turn in turns)
            row = f"{plain:.2f} | {pieces:,.0f} | {asked / 1e6:,.1f} | {pages:,.1f} | " + " | ".join(f"{x:.2f}" for x in ratios)
            print(f"| {name} | {'×'.join(map(str, image))} | {row} |", flush=True)


def images_of(name, arguments):
    """The images that a net is asked about."""
    own = NETS[name][2]
    return [own] if own else [[int(side) for side in image.split("x")] for image in arguments.images.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--images", default="28x28x1,32x32x3")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each side of a row")
    parser.add_argument("--scaling", action="store_true", help="ours alone: several threads against one")
    parser.add_argument("--updates", action="store_true", help="ours alone: optimizers, clipping and averages against SGD")
    arguments = parser.parse_args()
    if arguments.updates:
        print_updates(arguments)
        return
    if arguments.scaling:
        print_scaling(arguments)
        return
    print(f"batch {BATCH}, f32, SGD with momentum, torch {torch.__version__} channels-last; median of 5 turns\n")
    print("| net | image | threads | ours, images/s | torch, images/s | ratio | ratio per processor second |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.nets.split(","):
        for image in images_of(name, arguments):
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
