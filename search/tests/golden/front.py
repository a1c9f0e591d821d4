#!/usr/bin/env python3
"""Writes front.json: hypervolumes, ranks and greedy subsets of random points, as Optuna 5.0.0 has them.

    pip install optuna==5.0.0 && python front.py > front.json
"""
import json

import numpy as np
from optuna._hypervolume import compute_hypervolume
from optuna._hypervolume.hssp import _solve_hssp
from optuna.study._multi_objective import _fast_non_domination_rank

rng = np.random.default_rng(1)
out = []
for losses, count in [(2, 30), (3, 25), (4, 15)]:
    points = rng.random((count, losses)).round(3)
    points[3] = points[2]
    reference = np.full(losses, 1.1)
    ranks = _fast_non_domination_rank(points, n_below=count)
    first = points[ranks == 0]
    chosen = _solve_hssp(first, np.arange(len(first)), len(first) // 2, reference)
    out.append({"points": points.tolist(), "reference": reference.tolist(), "hypervolume": compute_hypervolume(points, reference),
                "ranks": ranks.tolist(), "spread_out": sorted(chosen.tolist())})
print(json.dumps(out))
