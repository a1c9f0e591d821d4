"""Makes optimizers.json: weights after 20 steps of PyTorch's optimizers on a fixed problem.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 numpy && venv/bin/python optimizers.py

The problem: a matrix w [3, 2] and a vector b [2], loss = mean((x w + b - y)^2) over four fixed rows. Weight decay is on
w alone, as in our optimizers. Float32 throughout.
"""

import json
import torch

X = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [-0.2, 0.8, 0.1], [1.0, 1.0, -1.0]])
Y = torch.tensor([[1.0, 0.0], [-0.5, 2.0], [0.3, 0.3], [0.0, -1.0]])

CASES = {
    "sgd": ({"kind": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}, 0.0),
    "sgd_momentum_decay": ({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 0.01}, 0.0),
    "sgd_nesterov_clipped": ({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, 0.5),
    "adamw": ({"kind": "adamw", "lr": 0.05, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}, 0.0),
    "adamw_other_betas": ({"kind": "adamw", "lr": 0.01, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.0}, 0.0),
}

cases = []
for name, (spec, clip) in CASES.items():
    w = torch.nn.Parameter(torch.tensor([[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6]]))
    b = torch.nn.Parameter(torch.tensor([0.05, -0.05]))
    groups = [{"params": [w], "weight_decay": spec["weight_decay"]}, {"params": [b], "weight_decay": 0.0}]
    if spec["kind"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=spec["lr"], momentum=spec["momentum"], nesterov=spec["nesterov"])
    else:
        betas = (spec["beta1"], spec["beta2"])
        optimizer = torch.optim.AdamW(groups, lr=spec["lr"], betas=betas, eps=spec["epsilon"])
    for _ in range(20):
        optimizer.zero_grad()
        ((X @ w + b - Y) ** 2).mean().backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([w, b], clip)
        optimizer.step()
    cases.append({"name": name, "spec": spec, "clip_norm": clip, "w": w.flatten().tolist(), "b": b.tolist()})

with open("optimizers.json", "w") as file:
    json.dump(cases, file, indent=1)
