#!/usr/bin/env python3
"""A short sweep of all of Fashion-MNIST on the CPU, ours against Optuna that drives PyTorch with the same space of recipes:
best validation accuracy against the clock.

  scripts/bench-sweep.py BINARY FOLDER [--minutes 20] [--seeds 1,2,3] [--turns] [--start ours|both|none]

Needs torch, optuna, and matplotlib for the plot. Both sides train on the same images and validate on the same, and both try
the study file's [recipe] first. They run at the same time, each on its own half of the cores; with --turns one after the other,
each on all of them. Ours starts from the nights that come with it (configs/nights); with --start both, Optuna is given these
settings too, with --start none neither has them. FOLDER keeps what was measured, and does not know with which --start: a seed
that is there is not run again, nor, with --turns, a side of it (FOLDER/seed-1/ours.json, FOLDER/seed-1/optuna.json). Markdown
goes to standard output, as docs/results.md quotes it, and the plot to FOLDER/sweep.svg.
"""

import argparse
import gzip
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time

import numpy

HERE = pathlib.Path(__file__).resolve().parent
STUDY = HERE.parent / "configs" / "fashion-mnist-hour.toml"
NIGHTS = STUDY.parent / "nights"
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist")
SIDE, CLASSES, VALIDATION = 28, 10, 6000


def read(split):
    """Images `[n, 28, 28]` and labels of a split, from Debian's package."""
    with gzip.open(IMAGES / f"{split}-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, SIDE, SIDE)
    with gzip.open(IMAGES / f"{split}-labels-idx1-ubyte.gz") as file:
        labels = numpy.frombuffer(file.read(), numpy.uint8, offset=8).astype(numpy.int64)
    return images, labels


def write_data(path, seed):
    """An archive with a validation split of as many images of each class, for both sides: with splits of their own, the
    luck of the draw would be as large as what is to be measured."""
    images, labels = read("train")
    order = numpy.random.default_rng(seed).permutation(len(labels))
    held = numpy.concatenate([order[labels[order] == c][: VALIDATION // CLASSES] for c in range(CLASSES)])
    rest = numpy.setdiff1d(order, held)
    arrays = {"x_train": images[rest], "y_train": labels[rest], "x_val": images[held], "y_val": labels[held]}
    test_images, test_labels = read("t10k")
    numpy.savez(path, **arrays, x_test=test_images, y_test=test_labels)


def write_study(path, data):
    """The study of configs/ on that archive."""
    text = STUDY.read_text()
    for old, new in (('path = "fashion-mnist"', f'path = "{data}"'), ("val = 0.1\n", "")):
        if old not in text:
            raise SystemExit(f"{STUDY} has no `{old.strip()}`")
        text = text.replace(old, new)
    path.write_text(text)


def on_cores(cores):
    return lambda: os.sched_setaffinity(0, cores)


class Ours:
    name, key = "nightsweep", "ours"

    def __init__(self, folder, seed, cores, arguments):
        own = folder / self.key
        self.folder, self.log = own / "runs", open(own / "log", "w")
        command = [
            *(arguments.binary, "run", folder / "study.toml", "--runs", self.folder, "--no-web"),
            # One worker on all its cores, where Optuna has a worker on each: what is best for each of them in so short a time.
            *("--for", f"{round(arguments.minutes * 60)}s", "--devices", f"cpu:{len(cores)}"),
            # The time is the sweep's on both sides: no winner is confirmed, and the first trial may be stopped as any other.
            *("--set", f"study.seed={seed}", "--set", "confirm.top=0", "--set", "search.baseline=false"),
            *(("--set", "search.warm_start=[]") if arguments.start == "none" else ()),
        ]
        self.processes = [
            subprocess.Popen(command, stdout=self.log, stderr=self.log, preexec_fn=on_cores(cores), start_new_session=True)
        ]

    def reports(self):
        """Of each epoch: time, trial, epoch, accuracy."""
        store = sqlite3.connect(self.folder / "store.sqlite")
        rows = store.execute("SELECT at / 1000.0, trial, step, value FROM reports ORDER BY at").fetchall()
        return [list(row) for row in rows]


class Optuna:
    name, key = "Optuna, PyTorch", "optuna"

    def __init__(self, folder, seed, cores, arguments):
        own = folder / self.key
        self.files = [own / f"{worker}.jsonl" for worker in range(len(cores))]
        self.processes = []
        for worker, (file, core) in enumerate(zip(self.files, sorted(cores))):
            command = [sys.executable, HERE / "optuna_side.py", own / "journal.log", folder / "data.npz"]
            command += ["--seed", str(seed), "--worker", str(worker)]
            command += ["--start", *sorted(NIGHTS.glob("*.toml"))] if arguments.start == "both" else []
            log = open(own / f"{worker}.log", "w")
            with open(file, "w") as out:
                self.processes.append(
                    subprocess.Popen(command, stdout=out, stderr=log, preexec_fn=on_cores({core}), start_new_session=True)
                )

    def reports(self):
        lines = [json.loads(line) for file in self.files for line in file.read_text().splitlines()]
        return sorted([line["at"], line["trial"], line["epoch"], line["accuracy"]] for line in lines)


def run(sides, folder, seed, cores, arguments):
    """Starts the sides together and keeps what each reported within the time, in seconds since the start."""
    for side in sides:
        shutil.rmtree(folder / side.key, ignore_errors=True)
        (folder / side.key).mkdir(parents=True)
    begin = time.time()
    running = [side(folder, seed, cores[side], arguments) for side in sides]
    end = begin + 60 * arguments.minutes
    while time.time() < end:
        time.sleep(min(1.0, max(0.0, end - time.time())))
        for side in running:
            if side is not None and side.name == Optuna.name and any(p.poll() is not None for p in side.processes):
                raise SystemExit(f"{side.name} ended early; see {folder}")
    # Ours ends by itself at the time it was given.
    for side in running:
        for process in side.processes:
            try:
                process.wait(30 if side.name == Ours.name else 0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    within = lambda rows: [[at - begin, *rest] for at, *rest in rows if at <= end]
    for side in running:
        kept(folder, side).write_text(json.dumps(within(side.reports())))


def kept(folder, side):
    """The file of what a side reported."""
    return folder / f"{side.key}.json"


def best_so_far(rows):
    """Times and values of each new best."""
    steps, best = [], 0.0
    for at, _, _, accuracy in rows:
        if accuracy is not None and accuracy > best:
            best = accuracy
            steps.append((at, best))
    return steps


def at_time(steps, seconds):
    return max((value for at, value in steps if at <= seconds), default=float("nan"))


def reached(steps, value):
    return next((at for at, best in steps if best >= value), None)


def table(measured, minutes):
    seconds = 60 * minutes
    print(
        f"| seed | side | trials | epochs | best after {minutes / 4:g} min | {minutes / 2:g} min | {minutes:g} min "
        "| Optuna's last best reached after | share of its time |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    shares = []
    for seed, sides in measured.items():
        theirs = best_so_far(sides[Optuna.name])
        target = theirs[-1][1]
        needed = reached(theirs, target)
        for name, rows in sides.items():
            steps = best_so_far(rows)
            took = reached(steps, target)
            values = " | ".join(f"{at_time(steps, seconds * part):.4f}" for part in (0.25, 0.5, 1.0))
            after = "never" if took is None else f"{took / 60:.1f} min"
            share = "–" if took is None else f"{took / seconds:.2f}"
            if name == Ours.name:
                shares.append(took / seconds if took else None)
            print(f"| {seed} | {name} | {len({row[1] for row in rows})} | {len(rows)} | {values} | {after} | {share} |")
    told = [f"{share:.2f}" if share else "never" for share in shares]
    print(f"\nOptuna's best after {minutes:g} min was reached by ours in these shares of {minutes:g} min: {', '.join(told)}")
    if all(shares):
        print(f"median {statistics.median(shares):.2f}")


def plot(measured, minutes, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "nightsweep"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    colours = {Ours.name: "#1f6f8b", Optuna.name: "#c2571a"}
    lowest = []
    for index, sides in enumerate(measured.values()):
        for name, rows in sides.items():
            steps = best_so_far(rows)
            times = [at / 60 for at, _ in steps] + [minutes]
            values = [value for _, value in steps] + [steps[-1][1]]
            lowest.append(steps[0][1])
            label = name if index == 0 else None
            axes.step(times, values, where="post", color=colours[name], label=label, linewidth=1.6, alpha=0.85)
    axes.set_xlabel("minutes since the start")
    axes.set_ylabel("best validation accuracy so far")
    axes.set_xlim(0, minutes)
    axes.set_ylim(bottom=max(0.8, min(lowest)))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--start", choices=["ours", "both", "none"], default="ours", help="who has the nights' settings")
    parser.add_argument("--turns", action="store_true", help="one side after the other, each on all cores")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary.resolve()
    all_cores = sorted(os.sched_getaffinity(0))
    half = len(all_cores) // 2
    measured = {}
    for index, seed in enumerate(map(int, arguments.seeds.split(","))):
        folder = arguments.folder / f"seed-{seed}"
        if not (folder / "study.toml").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_data(folder / "data.npz", seed)
            write_study(folder / "study.toml", "data.npz")
        # Who begins, and who has which half of the cores, changes from seed to seed.
        sides = (Ours, Optuna) if index % 2 == 0 else (Optuna, Ours)
        missing = [side for side in sides if not kept(folder, side).exists()]
        if arguments.turns:
            for side in missing:
                run([side], folder, seed, {side: set(all_cores)}, arguments)
        elif missing:
            halves = (set(all_cores[:half]), set(all_cores[half:]))
            run(sides, folder, seed, dict(zip(sides, halves)), arguments)
        measured[seed] = {side.name: json.loads(kept(folder, side).read_text()) for side in (Ours, Optuna)}
    table(measured, arguments.minutes)
    try:
        plot(measured, arguments.minutes, arguments.folder / "sweep.svg")
        print(f"\nplot: {arguments.folder / 'sweep.svg'}", file=sys.stderr)
    except ImportError:
        print("\nno plot without matplotlib", file=sys.stderr)


if __name__ == "__main__":
    main()
