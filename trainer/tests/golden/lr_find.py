"""Prints the steepest and the valley rate that fastai suggests for the curve in trainer/src/fit/lr_find.rs.

python3 -m venv venv && venv/bin/pip install fastai && venv/bin/python lr_find.py
"""

import math

import torch
from fastai.callback.schedule import steep, valley


def loss(i):
    if i < 40:
        return 2.0 + 0.001 * math.sin(i * 1.7)
    if i < 80:
        return 1.0 + math.cos(math.pi * (i - 40) / 40)
    return 0.05 * (i - 80)


updates = range(100)
lrs = torch.tensor([1e-7 * 1e8 ** (i / 99) for i in updates], dtype=torch.float64)[10:-5]
losses = torch.tensor([loss(i) for i in updates], dtype=torch.float64)[10:-5]
print(steep(lrs, losses, 100)[0], valley(lrs, losses, 100)[0])
