"""Prints the values of the test in trainer/src/average.rs: timm's ModelEmaV3 over six updates of two weights.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 timm==1.0.31 numpy && venv/bin/python average.py
"""

import torch
from timm.utils import ModelEmaV3

for decay, warmup in [(0.9, False), (0.6, True)]:
    model = torch.nn.Linear(2, 1, bias=False)
    ema = ModelEmaV3(model, decay=decay, use_warmup=warmup)
    for update in range(1, 7):
        model.weight.data = torch.tensor([[update, -0.5 * update]])
        ema.update(model, step=update)
        print([round(it, 6) for it in ema.module.weight.flatten().tolist()], end=", ")
    print()
