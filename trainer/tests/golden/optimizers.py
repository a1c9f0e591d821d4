"""Makes optimizers.json: weights after 20 updates of PyTorch's and timm's optimizers on a fixed problem.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 timm==1.0.31 numpy && venv/bin/python optimizers.py

The problem: two linear layers 3 -> 4 -> 2 with loss mean((f(x) - y)^2) over four fixed rows, plus a filter bank
[2, 2, 2, 2] with loss mean((factors * filters - targets)^2). Weight decay is on matrices and filters alone, as in our
optimizers. Float32 throughout: Muon's bfloat16 is turned off. Each case names the recipe's fields that differ from the
defaults. The rate of epochs 0 and 1 (ten updates each) is the same but for `adam_then_sgd`.

LARS and LAMB adapt a layer's rate in timm only where there is weight decay, so all their cases have some; LAMB's own
clipping is off, `clip_norm` stands for it. timm's Lookahead takes its first slow weights at the first
synchronization; the paper's are the first weights, so it is synchronized once before training.
"""

import json

import timm.optim
import timm.utils.agc
import torch

torch.Tensor.bfloat16 = lambda self: self.clone()

X = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [-0.2, 0.8, 0.1], [1.0, 1.0, -1.0]])
Y = torch.tensor([[1.0, 0.0], [-0.5, 2.0], [0.3, 0.3], [0.0, -1.0]])
FACTORS = torch.tensor([0.5 + 0.1 * i for i in range(16)])
TARGETS = torch.tensor([0.3 * (i * 7 % 5 - 2.0) for i in range(16)])
UPDATES = 20


def pattern(count, factor, modulus, scale):
    return torch.tensor([scale * (i * factor % modulus - modulus // 2) for i in range(count)])


def start():
    """Linear weights are [outputs, inputs] here and [inputs, outputs] in our files."""
    return {
        "filters": torch.nn.Parameter(pattern(16, 3, 7, 0.1).reshape(2, 2, 2, 2)),
        "hidden.weight": torch.nn.Parameter(pattern(12, 5, 11, 0.1).reshape(3, 4).T.contiguous()),
        "hidden.bias": torch.nn.Parameter(pattern(4, 3, 4, 0.05)),
        "head.weight": torch.nn.Parameter(pattern(8, 3, 5, 0.2).reshape(4, 2).T.contiguous()),
        "head.bias": torch.nn.Parameter(pattern(2, 1, 2, 0.05)),
    }


def loss(p):
    hidden = torch.nn.functional.linear(X, p["hidden.weight"], p["hidden.bias"])
    scores = torch.nn.functional.linear(hidden, p["head.weight"], p["head.bias"])
    filters = p["filters"].flatten() * FACTORS
    return ((scores - Y) ** 2).mean() + ((filters - TARGETS) ** 2).mean()


def groups(p, decay, names=None):
    chosen = {name: it for name, it in p.items() if names is None or name in names}
    return [
        {"params": [it for it in chosen.values() if it.ndim > 1], "weight_decay": decay},
        {"params": [it for it in chosen.values() if it.ndim < 2], "weight_decay": 0.0},
    ]


def sgd(p, o):
    return [torch.optim.SGD(groups(p, o["weight_decay"]), lr=o["lr"], momentum=o["momentum"], nesterov=o["nesterov"])]


def adam_like(make):
    def of(p, o):
        return [make(groups(p, o["weight_decay"]), lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])]
    return of


def rmsprop(p, o):
    return [torch.optim.RMSprop(groups(p, o["weight_decay"]), lr=o["lr"], alpha=o["alpha"], eps=o["epsilon"],
                                momentum=o["momentum"], centered=o["centered"])]


def lamb(p, o):
    return [timm.optim.Lamb(groups(p, o["weight_decay"]), lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"],
                            max_grad_norm=None)]


def lars(p, o):
    return [timm.optim.Lars(groups(p, o["weight_decay"]), lr=o["lr"], momentum=o["momentum"], nesterov=o["nesterov"],
                            trust_coeff=o["trust_coefficient"], eps=o["epsilon"])]


def adafactor(p, o):
    return [torch.optim.Adafactor(groups(p, o["weight_decay"]), lr=o["lr"], beta2_decay=o["beta2_decay"],
                                  eps=(None, o["min_scale"]), d=o["clip_threshold"])]


def lion(p, o):
    return [timm.optim.Lion(groups(p, o["weight_decay"]), lr=o["lr"], betas=(o["beta1"], o["beta2"]))]


class FlatFilters:
    """Muon takes matrices alone: it is given a view of the filters, with the filters' gradient."""

    def __init__(self, p, o):
        self.filters = p["filters"]
        self.view = torch.nn.Parameter(self.filters.data.view(2, 8))
        self.muon = torch.optim.Muon([self.view, p["hidden.weight"]], lr=o["lr"], weight_decay=o["weight_decay"],
                                     momentum=o["momentum"], nesterov=o["nesterov"], ns_steps=o["iterations"],
                                     adjust_lr_fn=o["step_size"])
        self.param_groups = self.muon.param_groups

    def step(self):
        self.view.grad = self.filters.grad.reshape(2, 8)
        self.muon.step()


def muon(p, o):
    rest = torch.optim.AdamW(groups(p, o["weight_decay"], ["hidden.bias", "head.weight", "head.bias"]),
                             lr=o["lr"] * o["adamw_factor"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
    return [FlatFilters(p, o), rest]


def adam_then_sgd(p, o):
    adam = torch.optim.Adam(groups(p, o["weight_decay"]), lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
    after = dict(o, lr=o["sgd_lr"])
    return [Switch(adam, sgd(p, after)[0], 10 * o["switch_epoch"])]


class Switch:
    def __init__(self, first, second, after):
        self.first, self.second, self.left = first, second, after

    def step(self):
        (self.first if self.left > 0 else self.second).step()
        self.left -= 1


MAKE = {
    "sgd": sgd,
    "adam": adam_like(torch.optim.Adam),
    "adamw": adam_like(torch.optim.AdamW),
    "rmsprop": rmsprop,
    "lamb": lamb,
    "lars": lars,
    "adafactor": adafactor,
    "lion": lion,
    "muon": muon,
    "adam_then_sgd": adam_then_sgd,
}

SGD = {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
PLAIN = dict(SGD, momentum=0.0, nesterov=False, weight_decay=0.0)
ADAM = {"kind": "adam", "lr": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}
ADAMW = dict(ADAM, kind="adamw", lr=0.05)
RMSPROP = {"kind": "rmsprop", "lr": 0.01, "alpha": 0.9, "epsilon": 1e-3, "momentum": 0.0, "centered": False,
           "weight_decay": 0.01}
LAMB = dict(ADAM, kind="lamb", lr=0.02, epsilon=1e-6, weight_decay=0.02)
LARS = {"kind": "lars", "lr": 0.05, "momentum": 0.9, "nesterov": False, "trust_coefficient": 0.2, "epsilon": 1e-8,
        "weight_decay": 5e-3}
ADAFACTOR = {"kind": "adafactor", "lr": 0.05, "beta2_decay": -0.8, "min_scale": 1e-3, "clip_threshold": 1.0,
             "weight_decay": 0.1}
LION = {"kind": "lion", "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1}
MUON = {"kind": "muon", "lr": 0.02, "momentum": 0.95, "nesterov": True, "iterations": 5,
        "step_size": "match_rms_adamw", "weight_decay": 0.1, "adamw_factor": 0.5, "beta1": 0.9, "beta2": 0.95,
        "epsilon": 1e-8}
SWITCH = {"kind": "adam_then_sgd", "lr": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "switch_epoch": 1,
          "sgd_lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
CYCLE = [0.95 - 0.005 * i for i in range(UPDATES)]

# Name, recipe, momentum of each update where the schedule says so.
CASES = [
    ("sgd", {"optimizer": PLAIN}, None),
    ("sgd with momentum and decay", {"optimizer": dict(SGD, nesterov=False)}, None),
    ("sgd with nesterov", {"optimizer": SGD}, None),
    ("sgd with cycled momentum", {"optimizer": SGD}, CYCLE),
    ("adam", {"optimizer": ADAM}, None),
    ("adam with cycled beta1", {"optimizer": ADAM}, CYCLE),
    ("adamw", {"optimizer": ADAMW}, None),
    ("adamw with other betas", {"optimizer": dict(ADAMW, beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=0.0)}, None),
    ("rmsprop", {"optimizer": RMSPROP}, None),
    ("rmsprop, centered, with momentum", {"optimizer": dict(RMSPROP, centered=True, momentum=0.8)}, None),
    ("lamb", {"optimizer": LAMB}, None),
    ("lars", {"optimizer": LARS}, None),
    ("lars with nesterov", {"optimizer": dict(LARS, nesterov=True)}, None),
    ("adafactor", {"optimizer": ADAFACTOR}, None),
    ("adafactor below its bound", {"optimizer": dict(ADAFACTOR, lr=1.0, weight_decay=0.0, clip_threshold=2.0)}, None),
    ("lion", {"optimizer": LION}, None),
    ("muon", {"optimizer": MUON}, None),
    ("muon, original", {"optimizer": dict(MUON, step_size="original", nesterov=False, iterations=3)}, None),
    ("adam, then sgd", {"optimizer": SWITCH}, None),
    ("clipped by norm", {"optimizer": SGD, "clip_norm": 0.5}, None),
    ("clipped by value", {"optimizer": SGD, "clip_value": 0.1}, None),
    ("clipped by unit", {"optimizer": SGD, "clip_adaptive": 0.1}, None),
    ("lookahead", {"optimizer": SGD, "lookahead": {"every": 3, "alpha": 0.4}}, None),
]


def train(recipe, momentum):
    torch.manual_seed(0)
    p = start()
    optimizers = MAKE[recipe["optimizer"]["kind"]](p, recipe["optimizer"])
    if ahead := recipe.get("lookahead"):
        for it in p.values():
            it.grad = torch.zeros_like(it)
        optimizers = [timm.optim.Lookahead(it, alpha=ahead["alpha"], k=ahead["every"]) for it in optimizers]
        for it in optimizers:
            it.sync_lookahead()
    for update in range(UPDATES):
        for it in p.values():
            it.grad = None
        loss(p).backward()
        if limit := recipe.get("clip_value"):
            torch.nn.utils.clip_grad_value_(p.values(), limit)
        if limit := recipe.get("clip_adaptive"):
            body = [it for name, it in p.items() if not name.startswith("head")]
            timm.utils.agc.adaptive_clip_grad(body, clip_factor=limit)
        if limit := recipe.get("clip_norm"):
            torch.nn.utils.clip_grad_norm_(p.values(), limit)
        for optimizer in optimizers:
            for group in optimizer.param_groups if momentum else []:
                if "betas" in group:
                    group["betas"] = (momentum[update], group["betas"][1])
                else:
                    group["momentum"] = momentum[update]
            optimizer.step()
    ours = {name: it.T if it.ndim == 2 else it for name, it in p.items()}
    return {name: it.flatten().tolist() for name, it in ours.items()}


cases = [
    {"name": name, "recipe": recipe, "momentum": momentum, "weights": train(recipe, momentum)}
    for name, recipe, momentum in CASES
]
with open("optimizers.json", "w") as file:
    json.dump(cases, file, allow_nan=False)
    file.write("\n")
