"""Makes losses.json: losses and their gradients by the scores, by PyTorch, timm and torchvision.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 torchvision timm numpy && venv/bin/python losses.py

Six images of four classes; "shares" are targets as Mixup makes them. `counts` are the images of each class in training,
from which weights follow: sklearn's "balanced", or those of the published code of arXiv 1901.05555, which weighs each
image by its class and takes the mean. In 64-bit floats. No library has the softmax's focal loss, so it is written out here.
"""

import json
import numpy as np
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy
from torchvision.ops import sigmoid_focal_loss

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
CLASSES = 4
SCORES = (torch.randn(6, CLASSES) * 2).round(decimals=3)
SCORES[5] = torch.tensor([30.0, -30.0, 0.0, 60.0])  # sure, and wrong about it
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])
SHARES = 0.7 * F.one_hot(LABELS, CLASSES) + 0.3 * F.one_hot(LABELS.flip(0), CLASSES)
COUNTS = [50, 20, 5, 25]


def weights(spec):
    counts = np.array(COUNTS, dtype=float)
    if spec["kind"] == "inverse":
        return torch.tensor(counts.sum() / (CLASSES * counts))
    each = (1 - spec["beta"]) / (1 - spec["beta"] ** counts)
    return torch.tensor(each / each.sum() * CLASSES)


def smooth(shares, smoothing):
    return shares * (1 - smoothing) + smoothing / CLASSES


def loss_of(scores, spec, smoothing, class_weights, mixed):
    w = None if class_weights["kind"] == "none" else weights(class_weights)
    whole = SHARES if mixed else F.one_hot(LABELS, CLASSES).double()
    image = torch.ones(len(LABELS)) if w is None else (whole * w).sum(1)
    kind = spec["kind"]
    if kind == "cross_entropy":
        return F.cross_entropy(scores, SHARES if mixed else LABELS, weight=w, label_smoothing=smoothing)
    if kind == "focal":
        log_p = F.log_softmax(scores, 1)
        return (image * (-smooth(whole, smoothing) * (1 - log_p.exp()) ** spec["gamma"] * log_p).sum(1)).mean()
    if kind == "binary_cross_entropy":
        threshold = spec.get("target_threshold", 0.0) or None
        arguments = dict(target_threshold=threshold, sum_classes=spec.get("sum_classes", False))
        if w is not None:
            arguments["weight"] = image.unsqueeze(1).expand_as(scores)
        # timm smooths the targets of mixed images in Mixup, not in the loss.
        target = smooth(SHARES, smoothing) if mixed else LABELS
        return BinaryCrossEntropy(smoothing=smoothing, **arguments)(scores, target)
    each = sigmoid_focal_loss(scores, smooth(whole, smoothing), alpha=spec["alpha"], gamma=spec["gamma"])
    return (image * each.sum(1)).mean()


NONE, INVERSE, EFFECTIVE = {"kind": "none"}, {"kind": "inverse"}, {"kind": "effective_number", "beta": 0.99}
SPECS = [
    {"kind": "cross_entropy"},
    {"kind": "focal", "gamma": 2.0},
    {"kind": "focal", "gamma": 0.5},
    {"kind": "focal", "gamma": 0.0},
    {"kind": "binary_cross_entropy"},
    {"kind": "binary_cross_entropy", "target_threshold": 0.2},
    {"kind": "binary_cross_entropy", "sum_classes": True},
    {"kind": "sigmoid_focal", "gamma": 2.0, "alpha": 0.25},
    {"kind": "sigmoid_focal", "gamma": 1.5, "alpha": 0.6},
]

cases = []
for spec in SPECS:
    for smoothing in [0.0, 0.1]:
        for class_weights in [NONE, INVERSE, EFFECTIVE]:
            for mixed in [False, True]:
                scores = SCORES.clone().requires_grad_()
                loss = loss_of(scores, spec, smoothing, class_weights, mixed)
                loss.backward()
                cases.append({
                    "loss": spec,
                    "label_smoothing": smoothing,
                    "class_weights": class_weights,
                    "mixed": mixed,
                    "value": loss.item(),
                    "gradient": [float(f"{g:.6g}") for g in scores.grad.flatten().tolist()],
                })

golden = {
    "scores": SCORES.flatten().tolist(),
    "labels": LABELS.tolist(),
    "shares": SHARES.flatten().tolist(),
    "counts": COUNTS,
    "cases": cases,
}
with open("losses.json", "w") as file:
    json.dump(golden, file)
    file.write("\n")
