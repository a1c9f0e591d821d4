"""Makes norms.json: outputs of PyTorch's norms, and the running statistics of batch norm after two batches.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 numpy && venv/bin/python norms.py

Two images of 32 channels and 2x3 pixels; layer norm of an image is group norm with one group.
"""

import json

import torch
from torch import nn

torch.manual_seed(1)
x = torch.randn(2, 32, 2, 3) * 2 + 1
gamma, beta = torch.rand(32) + 0.5, torch.randn(32)


def norm(module):
    module.weight.data, module.bias.data = gamma.clone(), beta.clone()
    return module


batch = norm(nn.BatchNorm2d(32))
golden = {"input": x, "gamma": gamma, "beta": beta, "batch": batch(x)}
batch(2 * x)
golden |= {"running_mean": batch.running_mean, "running_var": batch.running_var, "evaluated": batch.eval()(x)}
golden |= {"layer": norm(nn.GroupNorm(1, 32))(x), "group": norm(nn.GroupNorm(2, 32))(x)}
with open("norms.json", "w") as file:
    json.dump({key: [round(v, 6) for v in value.flatten().tolist()] for key, value in golden.items()}, file)
