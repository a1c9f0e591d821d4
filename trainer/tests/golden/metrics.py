"""Makes metrics.json: figures of scikit-learn and torchmetrics for fixed scores and labels.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 numpy scikit-learn torchmetrics && venv/bin/python metrics.py

Scores are normal numbers rounded to three digits, sharper at the right class, so that no confidence lies on the edge of a
bin. "absent" has a class without images and one that is never predicted.
"""

import json
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss, recall_score, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error


def case(name, seed, count, classes, sharpness, labels=None, never=None):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count) if labels is None else random.choice(labels, count)
    scores = random.normal(size=(count, classes)).astype(np.float32)
    scores[np.arange(count), labels] += sharpness
    if never is not None:
        scores[:, never] -= 20.0
    scores = np.round(scores, 3)
    probabilities = torch.softmax(torch.tensor(scores, dtype=torch.float64), 1).numpy()
    predicted = scores.argmax(1)
    all_classes = list(range(classes))
    recalls = recall_score(labels, predicted, labels=all_classes, average=None, zero_division=0.0)
    return {
        "name": name,
        "classes": classes,
        "scores": scores.flatten().astype(float).round(3).tolist(),
        "labels": labels.tolist(),
        "metrics": {
            "val_loss": log_loss(labels, probabilities, labels=all_classes),
            "val_accuracy": float((predicted == labels).mean()),
            "val_top5_accuracy": 1.0 if classes <= 5 else top_k_accuracy_score(labels, scores, k=5, labels=all_classes),
            "val_balanced_accuracy": balanced_accuracy_score(labels, predicted),
            "val_macro_f1": f1_score(labels, predicted, average="macro"),
            "val_ece": multiclass_calibration_error(
                torch.tensor(probabilities), torch.tensor(labels), num_classes=classes, n_bins=15, norm="l1"
            ).item(),
        },
        "recalls": [recalls[c] if (labels == c).any() else None for c in all_classes],
        "confusion": confusion_matrix(labels, predicted, labels=all_classes).tolist(),
    }


cases = [
    case("ten_classes", 1, 100, 10, 1.5),
    case("two_classes", 2, 50, 2, 1.0),
    case("absent", 3, 60, 7, 1.0, labels=[0, 1, 3, 4, 5, 6], never=4),
]
with open("metrics.json", "w") as file:
    json.dump(cases, file)
    file.write("\n")
