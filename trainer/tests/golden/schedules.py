"""Makes schedules.json: the rate (of 1) and the momentum of each step, by PyTorch's and timm's schedulers.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 timm==1.0.31 numpy && venv/bin/python schedules.py

PyTorch's schedulers are stepped after each optimizer step. Where they count in epochs (step, exponential), they are
given the same in steps. `cosine_cyclical` has no counterpart: its rate is half a cosine of the triangle's, as written
out here. `values` is the metric after each epoch, for the plateau.
"""

import json
import math

import timm.scheduler
import torch
from torch.optim import lr_scheduler as torch_schedules

EPOCH = 5
TOTAL = 40


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)


def rates(make, momentum=False):
    sgd = optimizer()
    schedule = make(sgd)
    factors, momenta = [], []
    for _ in range(TOTAL):
        factors.append(sgd.param_groups[0]["lr"])
        momenta.append(sgd.param_groups[0]["momentum"])
        sgd.step()
        schedule.step()
    return {"factors": factors, "momenta": momenta if momentum else None}


def timm_rates(make):
    sgd = optimizer()
    schedule = make(sgd)
    factors = []
    for step in range(TOTAL):
        schedule.step_update(step)
        factors.append(sgd.param_groups[0]["lr"])
    return {"factors": factors, "momenta": None}


def sgdr(sgd, first, mult, low):
    schedule = torch_schedules.CosineAnnealingWarmRestarts(sgd, first, mult, eta_min=low)
    epochs = iter(step / EPOCH for step in range(1, TOTAL + 1))
    plain = schedule.step
    schedule.step = lambda: plain(next(epochs))
    return schedule


def cyclic(mode, base, up, down, gamma=1.0, momentum=None):
    low, high = momentum or (0.8, 0.9)
    return lambda sgd: torch_schedules.CyclicLR(
        sgd, base, 1.0, up * EPOCH, down * EPOCH, mode, gamma ** (1 / EPOCH), cycle_momentum=momentum is not None,
        base_momentum=low, max_momentum=high)


def cosine_cyclical(base, up, down, low, high):
    triangle = rates(cyclic("triangular", 0.0, up, down))["factors"]
    heights = [(1 - math.cos(math.pi * it)) / 2 for it in triangle]
    return {"factors": [base + (1 - base) * it for it in heights], "momenta": [high - (high - low) * it for it in heights]}


def plateau(values, mode, **options):
    sgd = optimizer()
    schedule = torch_schedules.ReduceLROnPlateau(sgd, mode, **options)
    factors = []
    for value in values:
        factors += [sgd.param_groups[0]["lr"]] * EPOCH
        schedule.step(value)
    return {"factors": factors, "momenta": None, "values": values, "is_maximized": mode == "max"}


UP = [0.5, 0.6, 0.6, 0.60001, 0.6, 0.6, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.8, 0.8]
DOWN = [2.0, 1.5, 1.5, 1.49999, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.3, 1.2, 1.2, 1.2, 1.2]

CASES = [
    ("step", {"kind": "step", "every_epochs": 2, "gamma": 0.3}, rates(lambda o: torch_schedules.StepLR(o, 2 * EPOCH, 0.3))),
    ("multi_step", {"kind": "multi_step", "milestones": [0.5, 0.75], "gamma": 0.2},
     rates(lambda o: torch_schedules.MultiStepLR(o, [20, 30], 0.2))),
    ("exponential", {"kind": "exponential", "gamma": 0.8},
     rates(lambda o: torch_schedules.ExponentialLR(o, 0.8 ** (1 / EPOCH)))),
    ("polynomial", {"kind": "polynomial"}, rates(lambda o: torch_schedules.PolynomialLR(o, TOTAL, 1.0))),
    ("polynomial of another power", {"kind": "polynomial", "power": 0.9},
     rates(lambda o: torch_schedules.PolynomialLR(o, TOTAL, 0.9))),
    ("polynomial of timm", {"kind": "polynomial", "power": 2.0, "final_factor": 0.1},
     timm_rates(lambda o: timm.scheduler.PolyLRScheduler(o, TOTAL, 2.0, 0.1, t_in_epochs=False))),
    ("cosine", {"kind": "cosine", "final_factor": 0.1},
     rates(lambda o: torch_schedules.CosineAnnealingLR(o, TOTAL, 0.1))),
    ("sgdr", {"kind": "sgdr", "first_epochs": 1, "t_mult": 2, "final_factor": 0.05}, rates(lambda o: sgdr(o, 1, 2, 0.05))),
    ("sgdr without growth", {"kind": "sgdr", "first_epochs": 3, "t_mult": 1}, rates(lambda o: sgdr(o, 3, 1, 0.0))),
    ("sgdr of timm, with decay", {"kind": "sgdr", "first_epochs": 1, "t_mult": 2, "decay": 0.5, "final_factor": 0.01},
     timm_rates(lambda o: timm.scheduler.CosineLRScheduler(
         o, EPOCH, 0.01, cycle_mul=2.0, cycle_decay=0.5, cycle_limit=10, t_in_epochs=False))),
    ("triangular", {"kind": "triangular", "base_factor": 0.1}, rates(cyclic("triangular", 0.1, 2, 2))),
    ("triangular, uneven, with momentum",
     {"kind": "triangular", "base_factor": 0.2, "up_epochs": 1, "down_epochs": 3, "cycle_momentum": True,
      "min_momentum": 0.7, "max_momentum": 0.95},
     rates(cyclic("triangular", 0.2, 1, 3, momentum=(0.7, 0.95)), True)),
    ("triangular2", {"kind": "triangular2", "base_factor": 0.1, "up_epochs": 1, "down_epochs": 1, "cycle_momentum": True},
     rates(cyclic("triangular2", 0.1, 1, 1, momentum=(0.8, 0.9)), True)),
    ("exp_range", {"kind": "exp_range", "gamma": 0.7, "base_factor": 0.1, "cycle_momentum": True},
     rates(cyclic("exp_range", 0.1, 2, 2, 0.7, (0.8, 0.9)), True)),
    ("cosine_cyclical", {"kind": "cosine_cyclical", "base_factor": 0.1, "up_epochs": 1, "cycle_momentum": True},
     cosine_cyclical(0.1, 1, 2, 0.8, 0.9)),
    ("one_cycle", {"kind": "one_cycle"}, rates(lambda o: torch_schedules.OneCycleLR(o, 1.0, TOTAL, cycle_momentum=False))),
    ("one_cycle with momentum", {"kind": "one_cycle", "cycle_momentum": True},
     rates(lambda o: torch_schedules.OneCycleLR(o, 1.0, TOTAL), True)),
    ("one_cycle, linear",
     {"kind": "one_cycle", "anneal": "linear", "peak_at": 0.4, "div_factor": 10, "final_div_factor": 100,
      "cycle_momentum": True, "min_momentum": 0.8, "max_momentum": 0.99},
     rates(lambda o: torch_schedules.OneCycleLR(o, 1.0, TOTAL, pct_start=0.4, anneal_strategy="linear", div_factor=10,
                                                final_div_factor=100, base_momentum=0.8, max_momentum=0.99), True)),
    ("plateau, up", {"kind": "plateau", "gamma": 0.5, "patience": 2}, plateau(UP, "max", factor=0.5, patience=2)),
    ("plateau, down, with cooldown", {"kind": "plateau", "gamma": 0.1, "patience": 1, "cooldown": 2, "final_factor": 0.05},
     plateau(DOWN, "min", factor=0.1, patience=1, cooldown=2, min_lr=0.05)),
    ("plateau with a threshold", {"kind": "plateau", "gamma": 0.5, "patience": 0, "threshold": 0.05},
     plateau(DOWN, "min", factor=0.5, patience=0, threshold=0.05)),
]

cases = []
for name, schedule, expected in CASES:
    total = len(expected["factors"])
    case = {"name": name, "schedule": schedule, "total_steps": total, "steps_per_epoch": EPOCH, "values": None,
            "is_maximized": None}
    cases.append(case | expected)
with open("schedules.json", "w") as file:
    json.dump(cases, file)
    file.write("\n")
