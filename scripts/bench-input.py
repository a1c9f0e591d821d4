#!/usr/bin/env python3
"""How long training waits for its input: share of an epoch's time, per network and augmentation, with one worker on one thread
and with one on each core.

  scripts/bench-input.py BINARY [--data fashion-mnist-mini] [--nets convnet,resnet8] [--epochs 2]
  scripts/bench-input.py BINARY --recipes configs/recipes/fashion-mnist.toml ...

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
import tomllib

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


def study_of(recipe):
    """A recipe's file as a study of one epoch, which trains from scratch: what it waits for is the same."""
    text = recipe.read_text()
    path = tomllib.loads(text)["data"]["path"]
    here = recipe.parent / path
    if here.exists():
        text = text.replace(json.dumps(path), json.dumps(str(here.resolve())))
    left_out = ("metric", "seed", "pretrained", "epochs", "schedule", "keep")
    lines = [line for line in text.splitlines() if not line.startswith(left_out)]
    text = "\n".join(lines).replace("[recipe]", "[recipe]\nepochs = 1")
    return f'[study]\nname = "input"\n{text}\n[confirm]\ntop = 0\n[space]\nlabel_smoothing = {{ low = 0.0, high = 0.2 }}\n'


def measure(binary, text, workers):
    """Median over the epochs of all workers: share of waiting, images/s of a worker."""
    with tempfile.TemporaryDirectory() as folder:
        study = pathlib.Path(folder) / "input.toml"
        study.write_text(text)
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
    parser.add_argument("--recipes", nargs="+", type=pathlib.Path, help="these, instead of nets and augmentations")
    parser.add_argument("--workers", help="how many at once; 1, and one on each core, if it is left out")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    counts = [int(count) for count in (arguments.workers or f"1,{cores}").split(",")]
    data = arguments.data
    if pathlib.Path(data).exists():
        data = str(pathlib.Path(data).resolve())

    def row(names, text):
        cells = []
        for workers in counts:
            share, rate = measure(arguments.binary.resolve(), text, workers)
            cells += [f"{rate:,.0f}", f"{100 * share:.1f} %"]
        print(f"| {' | '.join(names + cells)} |", flush=True)

    heads = ["recipe"] if arguments.recipes else ["net", "augmentation"]
    for count in counts:
        heads += ["1 worker: images/s" if count == 1 else f"{count} workers: images/s each", "waiting"]
    print(f"| {' | '.join(heads)} |")
    print("|" + "|".join([" --- "] * (len(heads) - 2 * len(counts)) + [" ---: "] * (2 * len(counts))) + "|")
    if arguments.recipes:
        for recipe in arguments.recipes:
            row([recipe.stem], study_of(recipe))
        return
    for net in arguments.nets.split(","):
        for name, augment in AUGMENTATIONS.items():
            text = STUDY.format(data=json.dumps(data), net=net, epochs=arguments.epochs, augment=augment)
            row([net, name], text)


if __name__ == "__main__":
    main()
