#!/usr/bin/env python3
"""What it takes to start a trial on the CPU: from its assignment to the end of an epoch of one step, with evaluation and
checkpoint, in a worker that has trained before and in a new one.

  scripts/bench-start.py BINARY [--nets mlp,convnet,resnet8] [--trials 30]

Needs numpy. Markdown goes to standard output, as docs/results.md quotes it.
"""

import argparse
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile

import numpy

# 40 images to train on and 10 to validate: an epoch is one step of 32 images.
IMAGES = 50

STUDY = """
[study]
name = "start"
metric = "val_accuracy"
seed = 1

[data]
path = "tiny.npz"
val = 0.2

[recipe]
model = {{ kind = "{net}" }}
epochs = 1
batch_size = 32

[space.optimizer.sgd]
lr = {{ low = 0.01, high = 1.0, log = true }}

[confirm]
top = 0
"""


def measure(binary, net, trials):
    """Milliseconds from the controller's start to the first report, and from each later assignment to its report."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random = numpy.random.default_rng(1)
        labels = numpy.arange(IMAGES) % 10
        images = (random.integers(0, 60, (IMAGES, 28, 28)) + labels[:, None, None] * 18).astype(numpy.uint8)
        numpy.savez(
            folder / "tiny.npz", train_images=images, train_labels=labels, test_images=images[:20], test_labels=labels[:20]
        )
        study = folder / "start.toml"
        study.write_text(STUDY.format(net=net))
        command = [binary, "run", study, "--runs", folder / "runs", "--no-web", "--devices", "cpu:1"]
        done = subprocess.run([*command, "--trials", str(trials)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        store = sqlite3.connect(folder / "runs" / "store.sqlite")
        events = store.execute("SELECT kind, trial, at FROM events ORDER BY seq").fetchall()
    opened = min(at for kind, _, at in events if kind == "opened")
    started = {trial: at for kind, trial, at in events if kind == "started"}
    reported = {trial: at for kind, trial, at in events if kind == "reported"}
    warm = [reported[trial] - started[trial] for trial in sorted(reported)[1:]]
    return min(reported.values()) - opened, warm


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--nets", default="mlp,convnet,resnet8")
    parser.add_argument("--trials", type=int, default=30)
    arguments = parser.parse_args()
    print("| net | new worker, ms | worker that has trained: median, ms | slowest, ms |")
    print("| --- | ---: | ---: | ---: |")
    for net in arguments.nets.split(","):
        cold, warm = measure(arguments.binary.resolve(), net, arguments.trials)
        print(f"| {net} | {cold} | {statistics.median(warm):.0f} | {max(warm)} |", flush=True)


if __name__ == "__main__":
    main()
