#!/usr/bin/env python3
"""Writes cma_es.json: generations told to the package cmaes (0.13.1), and the distribution after each.

    pip install cmaes==0.13.1 numpy && python cma_es.py > cma_es.json
"""
import json

import numpy as np
from cmaes import CMAwM


def case(cells, sigma, generations, loss, seed):
    cells = np.array(cells, float)
    whole = cells > 0
    half = np.where(whole, 0.5 / np.maximum(cells, 1), 0.0)
    bounds = np.stack([half, 1 - half], 1)
    steps = np.where(whole, 1 / np.maximum(cells, 1), 0.0)
    cma = CMAwM(np.full(len(cells), 0.5), sigma, bounds, steps, seed=seed)
    out = []
    for _ in range(generations):
        told = []
        for _ in range(cma.population_size):
            encoded, raw = cma.ask()
            told.append((raw, loss(encoded)))
        points, losses = [p.tolist() for p, _ in told], [v for _, v in told]
        cma.tell(told)
        out.append({
            "points": points, "losses": losses, "mean": cma._cma._mean.tolist(), "sigma": float(cma._cma._sigma),
            "covariance": cma._cma._C.tolist(), "stretch": cma._A.tolist() if whole.any() else [1.0] * len(cells)})
    return {"cells": cells.tolist(), "sigma": sigma, "generations": out}


def valley(x):
    return float(((x - 0.3) ** 2 * 10.0 ** np.arange(len(x))).sum() + x[0] * x[-1])


print(json.dumps([case([0, 0, 0], 1 / 6, 8, valley, 1), case([0, 5, 0, 11, 2], 1 / 6, 25, valley, 2)]))
