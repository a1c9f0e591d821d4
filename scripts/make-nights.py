#!/usr/bin/env python3
"""Makes configs/nights: runs the space of configs/fashion-mnist-hour.toml on other data, and writes what did best there.

  scripts/make-nights.py BINARY FOLDER NAME=DATA:EPOCHS:WORDS ... [--minutes 25]
  scripts/make-nights.py target/release/nightsweep /tmp/nights \\
      "cifar10=cifar10_15k.npz:12:10,800 images of CIFAR-10" "mnist=mnist:6:the 54,000 images of MNIST"

DATA is what a study file's `data.path` takes, WORDS say it to a reader. Each night has one thread (two nights may run at
once) and keeps its store under FOLDER; one that is there is not run again. Of each, the best complete trial is written, and the
best with each other choice of network and optimizer: what a first search has to know of each of them.
"""

import argparse
import json
import pathlib
import sqlite3
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
STUDY = ROOT / "configs" / "fashion-mnist-hour.toml"
CHOICES = ("model", "optimizer")


def run(arguments, name, data, epochs):
    """A night without the recipe's own trial to its end, and without a confirmation."""
    folder = arguments.folder / name
    if (folder / "store.sqlite").exists():
        return folder / "store.sqlite"
    folder.mkdir(parents=True)
    values = {
        "study.name": name,
        "data.path": str(pathlib.Path(data).resolve()),
        "recipe.epochs": epochs,
        "search.baseline": "false",
        "search.warm_start": "[]",
        "confirm.top": 0,
    }
    sets = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    command = [arguments.binary, "run", STUDY, "--runs", folder, "--no-web", "--devices", "cpu:1", *sets]
    command += ["--for", f"{arguments.minutes}m"]
    subprocess.run(command, check=True)
    return folder / "store.sqlite"


def complete(store):
    """Parameters and accuracy of the complete trials, best first."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    rows = connection.execute("SELECT params, value FROM trials WHERE state = 'complete' ORDER BY value DESC")
    return [(json.loads(params), value) for params, value in rows]


def best(trials):
    """The best, and the best with each other choice."""
    chosen = trials[:1]
    for choice in CHOICES:
        others = [trial for trial in trials if trial[0].get(choice) != trials[0][0].get(choice)]
        chosen += [trial for trial in others[:1] if trial not in chosen]
    return chosen


def recipe(params):
    """Parameters as the recipe's tables: `optimizer.sgd.lr` is `lr` of the optimizer `{ kind = "sgd" }`."""
    tables = {}
    kinds = {name: params[name] for name in ("schedule", *CHOICES)}
    for name, value in params.items():
        head, _, field = name.partition(".")
        table = tables.setdefault(head, {}) if field or head in kinds else tables
        if head in kinds and not field:
            table["kind"] = value
        else:
            table[field.removeprefix(f"{kinds.get(head)}.") if field else head] = value
    return tables


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, float):
        return f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.2e}"
    return json.dumps(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("nights", nargs="+")
    parser.add_argument("--minutes", type=int, default=25)
    arguments = parser.parse_args()
    for night in arguments.nights:
        name, _, rest = night.partition("=")
        data, epochs, words = rest.split(":", 2)
        trials = complete(run(arguments, name, data, int(epochs)))
        lines = [
            f"# What did best on {words}, {epochs} epochs to a training: of the {len(trials)} complete trials",
            f"# of {arguments.minutes} minutes on one thread, the best, and the best with each other network and optimizer. Made by",
            "# scripts/make-nights.py.",
        ]
        for params, value in best(trials):
            lines += ["", "[[trial]]", f"val_accuracy = {value:.4f}", "[trial.recipe]"]
            lines += [f"{key} = {toml(item)}" for key, item in recipe(params).items()]
        (ROOT / "configs" / "nights" / f"{name}.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
