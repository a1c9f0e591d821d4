#!/usr/bin/env python3
"""The whole studies of benches/ask.rs with rustuna and Optuna: CPU seconds of this process, and the best value.

    pip install rustuna==0.2.0 optuna==5.0.0 && python peers.py rustuna 1000 40
"""
import importlib
import sys
import time

library, trials, parameters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
module = importlib.import_module(library)
if library == "optuna":
    module.logging.set_verbosity(module.logging.ERROR)
sampler = module.samplers.TPESampler(seed=1)
study = module.create_study(direction="minimize", sampler=sampler)
start = time.process_time()
study.optimize(lambda trial: sum((trial.suggest_float(f"x{at}", -5.0, 5.0) - 1.0) ** 2 for at in range(parameters)), n_trials=trials)
best = study.best_trial.value if hasattr(study.best_trial, "value") else study.best_trial.values[0]
print(f"{library}: {trials} trials, {parameters} parameters: {time.process_time() - start:.2f} CPU s, best {best:.4f}")
