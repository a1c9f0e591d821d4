#!/usr/bin/env python3
"""How long training waits for its input: share of an epoch's time, per network and augmentation, with one worker on one thread
and with one on each core.

  scripts/bench-input.py BINARY [--data fashion-mnist-mini] [--nets convnet,resnet8] [--epochs 2]

Markdown goes to standard output, as docs/results.md quotes it.
"""

import argparse
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile

# Name: what the recipe's `augment` has, the cheapest first.
AUGMENTATIONS = {
    "flip and crop": "{ flip = 0.5, crop_padding = 4 }",
    "TrivialAugment": '{ policy = { kind = "trivial_augment" } }',
    "RandAugment, bilinear": '{ policy = { kind = "rand_augment" }, interpolation = "bilinear" }',
    "AugMix": '{ policy = { kind = "aug_mix" } }',
    "RandAugment and everything else": "{ "
    'policy = { kind = "rand_augment" }, interpolation = "bilinear", rotate = 15, brightness = 0.4, contrast = 0.4, '
    "saturation = 0.4, hue = 0.1, blur = 0.5, noise = 0.02, erase = 0.25, mixup = 0.2 }",
}

STUDY = """
[study]
name = "input"
metric = "val_accuracy"
seed = 1

[data]
path = {data}

[recipe]
model = {{ kind = "{net}" }}
epochs = {epochs}
augment = {augment}

[space.optimizer.sgd]
lr = {{ low = 0.01, high = 0.1, log = true }}

[confirm]
top = 0
"""


def measure(binary, data, net, augment, epochs, workers):
    """Median over the epochs of all workers: share of waiting, images/s of a worker."""
    with tempfile.TemporaryDirectory() as folder:
        study = pathlib.Path(folder) / "input.toml"
        study.write_text(STUDY.format(data=json.dumps(data), net=net, epochs=epochs, augment=augment))
        devices = ",".join(["cpu:1"] * workers)
        command = [binary, "run", study, "--runs", f"{folder}/runs", "--no-web"]
        command += ["--devices", devices, "--trials", str(workers)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        rows = sqlite3.connect(f"{folder}/runs/store.sqlite").execute("SELECT metrics FROM reports").fetchall()
    metrics = [json.loads(row[0]) for row in rows]
    return [statistics.median(m[key] for m in metrics) for key in ("input_wait_share", "images_per_second")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--data", default="fashion-mnist-mini")
    parser.add_argument("--nets", default="convnet,resnet8,resnet20,vit")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    data = arguments.data
    if pathlib.Path(data).exists():
        data = str(pathlib.Path(data).resolve())
    print(f"| net | augmentation | 1 worker: images/s | waiting | {cores} workers: images/s each | waiting |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for net in arguments.nets.split(","):
        for name, augment in AUGMENTATIONS.items():
            cells = []
            for workers in (1, cores):
                share, rate = measure(arguments.binary.resolve(), data, net, augment, arguments.epochs, workers)
                cells += [f"{rate:,.0f}", f"{100 * share:.1f} %"]
            print(f"| {net} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
