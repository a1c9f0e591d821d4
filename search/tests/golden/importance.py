"""Writes importance.json: trials of a conditional space, and the importances that Optuna 5.0.0 computes of them.

python3 importance.py   (needs optuna==5.0.0)
"""
import json, os
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances


def objective(trial):
    x = trial.suggest_float("x", -1.0, 2.0)
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    layers = trial.suggest_int("layers", 1, 8)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    loss = (x - 0.5) ** 2 + 0.02 * layers + {"a": 0.0, "b": 0.5, "c": 1.0}[kind] + 0.3 * abs(lr - 0.1)
    if kind == "a":
        loss += 2 * (trial.suggest_float("m", 0.0, 1.0) - 0.8) ** 2
    return loss


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
study.optimize(objective, n_trials=120)
expected = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
trials = [{"params": t.params, "value": t.value} for t in study.trials]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "importance.json"), "w") as out:
    out.write('{"importances": ' + json.dumps(expected) + ',\n"trials": [\n' + ",\n".join(map(json.dumps, trials)) + "\n]}\n")
