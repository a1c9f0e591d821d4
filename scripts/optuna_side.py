"""Optuna's side of bench-sweep.py: one worker that trains the recipes of configs/fashion-mnist-hour.toml in PyTorch.

What somebody who knows both would write: the images stay in memory as bytes, augmentation works on whole batches, the
memory format is channels-last, norms and biases do not decay. Each epoch's result is a line of JSON on standard output.
"""

import argparse
import json
import math
import pathlib
import time
import tomllib

import numpy
import optuna
import torch
from torch import nn
from torch.nn import functional as F

from torch_nets import convnet, resnet

EPOCHS = 6
SIDE = 28


class Data:
    """The splits of an archive that bench-sweep.py made: both sides train on the same images, and validate on the same."""

    def __init__(self, path):
        arrays = numpy.load(path)
        images, val = (torch.from_numpy(arrays[name]) for name in ("x_train", "x_val"))
        self.images, self.labels = images, torch.from_numpy(arrays["y_train"])
        values = self.images.float() / 255
        self.mean, self.std = values.mean(), values.std()
        self.val_images, self.val_labels = self.normalized(val), torch.from_numpy(arrays["y_val"])

    def normalized(self, images):
        images = ((images.float() / 255 - self.mean) / self.std).unsqueeze(1)
        return images.contiguous(memory_format=torch.channels_last)

    def batch(self, index, flip, padding):
        """Mirrored with a chance, cropped at random after padding, normalized."""
        images = self.images[index]
        if padding:
            count, reach = len(index), torch.arange(SIDE)
            padded = F.pad(images, (padding,) * 4)
            rows, columns = (torch.randint(0, 2 * padding + 1, (count, 1)) + reach for _ in range(2))
            images = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        if flip:
            mirrored = torch.rand(len(index)) < flip
            images = torch.where(mirrored[:, None, None], images.flip(2), images)
        return self.normalized(images), self.labels[index]


def suggest(trial):
    """The space of configs/fashion-mnist-hour.toml."""
    number, choice = trial.suggest_float, trial.suggest_categorical
    recipe = {
        "model": choice("model", ["convnet", "resnet8"]),
        "batch_size": choice("batch_size", [64, 128, 256, 512]),
        "padding": trial.suggest_int("crop_padding", 0, 3),
        "flip": choice("flip", [0.0, 0.5]),
        "label_smoothing": number("label_smoothing", 0.0, 0.2),
        "optimizer": choice("optimizer", ["sgd", "adamw"]),
        "schedule": choice("schedule", ["cosine", "one_cycle"]),
    }
    if recipe["optimizer"] == "sgd":
        recipe["lr"] = number("sgd.lr", 1e-2, 1.0, log=True)
        recipe["momentum"] = number("sgd.momentum", 0.8, 0.99)
        recipe["weight_decay"] = number("sgd.weight_decay", 1e-5, 1e-2, log=True)
    else:
        recipe["lr"] = number("adamw.lr", 1e-4, 3e-2, log=True)
        recipe["weight_decay"] = number("adamw.weight_decay", 1e-4, 1.0, log=True)
    if recipe["schedule"] == "cosine":
        recipe["warmup_epochs"] = number("cosine.warmup_epochs", 0, 2)
    else:
        recipe["peak_at"] = number("one_cycle.peak_at", 0.1, 0.5)
    return recipe


# The file's [recipe], which is the first trial of both sides.
FIRST = {
    "model": "resnet8",
    "batch_size": 128,
    "crop_padding": 2,
    "flip": 0.5,
    "label_smoothing": 0.0,
    "optimizer": "sgd",
    "schedule": "cosine",
    "sgd.lr": 0.1,
    "sgd.momentum": 0.9,
    "sgd.weight_decay": 5e-4,
    "cosine.warmup_epochs": 1,
}


def shipped(paths):
    """The settings of those files of configs/nights, the first of each, then the second, …"""
    nights = [tomllib.loads(path.read_text())["trial"] for path in paths]
    for rank in range(max(map(len, nights), default=0)):
        yield from (point(night[rank]["recipe"]) for night in nights if rank < len(night))


def point(recipe):
    """A recipe's tables by the names that `suggest` gives its parameters."""
    values = {name: recipe[name] for name in ("batch_size", "label_smoothing")} | {"model": recipe["model"]["kind"]}
    values |= {"crop_padding": recipe["augment"]["crop_padding"], "flip": float(recipe["augment"]["flip"])}
    for name in ("optimizer", "schedule"):
        kind = recipe[name]["kind"]
        values[name] = kind
        values |= {f"{kind}.{key}": value for key, value in recipe[name].items() if key != "kind"}
    return values


def make_optimizer(net, recipe):
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(
            groups, recipe["lr"], recipe["momentum"], weight_decay=recipe["weight_decay"], nesterov=True
        )
    return torch.optim.AdamW(groups, recipe["lr"], weight_decay=recipe["weight_decay"])


def make_schedule(optimizer, recipe, steps):
    total = EPOCHS * steps
    if recipe["schedule"] == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe["lr"], total, pct_start=recipe["peak_at"], cycle_momentum=False
        )
    warmup = recipe["warmup_epochs"] * steps

    def factor(step):
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup)))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train(trial, data):
    """Best validation accuracy of a training; each epoch is reported."""
    recipe = suggest(trial)
    torch.manual_seed(trial.number)
    net = convnet(1, 16) if recipe["model"] == "convnet" else resnet(1, [16, 32, 64], 1, False)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    net = net.to(memory_format=torch.channels_last)
    size = recipe["batch_size"]
    steps = len(data.images) // size
    optimizer = make_optimizer(net, recipe)
    schedule = make_schedule(optimizer, recipe, steps)
    best = 0.0
    for epoch in range(1, EPOCHS + 1):
        net.train()
        order = torch.randperm(len(data.images))
        for step in range(steps):
            images, labels = data.batch(order[step * size : (step + 1) * size], recipe["flip"], recipe["padding"])
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(images), labels, label_smoothing=recipe["label_smoothing"]).backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.inference_mode():
            answers = [net(images).argmax(1) for images in data.val_images.split(1000)]
        accuracy = (torch.cat(answers) == data.val_labels).float().mean().item()
        print(json.dumps({"at": time.time(), "trial": trial.number, "epoch": epoch, "accuracy": accuracy}), flush=True)
        best = max(best, accuracy)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("storage", help="a journal that the workers of a study share")
    parser.add_argument("data", type=pathlib.Path, help="the archive of images that bench-sweep.py made")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--start", type=pathlib.Path, nargs="*", default=[], help="files of configs/nights to begin with")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    backend = optuna.storages.journal.JournalFileBackend(arguments.storage)
    study = optuna.create_study(
        study_name="sweep",
        storage=optuna.storages.JournalStorage(backend),
        direction="maximize",
        load_if_exists=True,
        # As ours: from one epoch on, by thirds.
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        # Workers that shared a seed would begin with the same trial.
        sampler=optuna.samplers.TPESampler(seed=1000 * arguments.seed + arguments.worker),
    )
    if arguments.worker == 0:
        for known in [FIRST, *shipped(arguments.start)]:
            study.enqueue_trial(known)
    data = Data(arguments.data)
    # Until whoever started this ends it.
    study.optimize(lambda trial: train(trial, data))


if __name__ == "__main__":
    main()
