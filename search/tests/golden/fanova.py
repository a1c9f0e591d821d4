"""Makes fanova.json: trials and what Optuna's FanovaImportanceEvaluator says of them, with its spread over forest seeds.
Run with Optuna 5.0.0 and scikit-learn 1.9.1. Only numbers on a linear scale: Optuna averages over a log parameter evenly,
not over its logarithm, and for a choice also over points that are no choice or several at once."""
import json, pathlib
import numpy as np
import optuna
from optuna.distributions import FloatDistribution as F, IntDistribution as I

space = {"log_lr": F(-5.0, 0.0), "dropout": F(0.0, 0.5), "layers": I(1, 6), "width": I(8, 64)}
rng = np.random.default_rng(3)
study = optuna.create_study()
for _ in range(200):
    p = {
        "log_lr": float(rng.uniform(-5, 0)), "dropout": float(rng.uniform(0, 0.5)),
        "layers": int(rng.integers(1, 7)), "width": int(rng.integers(8, 65)),
    }
    v = (p["log_lr"] + 2) ** 2 + 0.8 * abs(p["layers"] - 4) + p["width"] / 20 + p["dropout"] * p["layers"] / 4
    study.add_trial(optuna.trial.create_trial(params=p, distributions=space, value=float(v)))

def shares(seed):
    e = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    return optuna.importance.get_param_importances(study, evaluator=e, normalize=False)

runs = [shares(s) for s in range(5)]
golden = {
    "trials": [{"params": t.params, "value": t.value} for t in study.trials],
    "shares": {k: float(np.mean([r[k] for r in runs])) for k in space},
    "spread": {k: float(np.std([r[k] for r in runs])) for k in space},
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")
print(golden["shares"], golden["spread"])
