"""Compares a study that was exported for Optuna with the same study as JSON, by Optuna itself (pip install optuna):

    nightsweep export --format optuna -o optuna.db && nightsweep export --format json -o trials.json
    python scripts/check-optuna.py optuna.db trials.json
"""
import json
import sys

import optuna

path, trials = sys.argv[1], json.load(open(sys.argv[2]))
storage = f"sqlite:///{path}"
[name] = optuna.get_all_study_names(storage)
study = optuna.load_study(study_name=name, storage=storage)
STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "lost": "FAIL"}
assert len(study.trials) == len(trials), (len(study.trials), len(trials))
reports = 0
for theirs, ours in zip(study.trials, sorted(trials, key=lambda it: it["number"])):
    assert theirs.number == ours["number"]
    assert theirs.state.name == STATES.get(ours["state"], "RUNNING"), ours
    assert theirs.params == ours["params"], (theirs.params, ours["params"])
    assert theirs.value == (ours["value"] if theirs.state.name in ("COMPLETE", "PRUNED") else None), ours
    assert list(theirs.intermediate_values) == list(range(1, ours["steps"] + 1))
    reports += len(theirs.intermediate_values)
complete = [it["value"] for it in trials if it["state"] == "complete"]
best = (max if study.direction.name == "MAXIMIZE" else min)(complete)
assert study.best_value == best
space = optuna.search_space.intersection_search_space(study.trials)
study.sampler = optuna.samplers.TPESampler(seed=1)
study.optimize(lambda trial: trial.suggest_float("extra", 0, 1), n_trials=1)
print(f"{name}: {len(trials)} trials, {reports} reports, best value {best}: equal; Optuna {optuna.__version__} goes on")
