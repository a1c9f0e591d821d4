"""Makes wilcoxon.json: differences, and the p-value that Optuna's WilcoxonPruner asks SciPy for. Run with SciPy 1.17.1."""
import json, pathlib, warnings
import numpy as np
from scipy.stats import wilcoxon

warnings.simplefilter("ignore")  # SciPy divides by zero on the way where all differences are zero
rng = np.random.default_rng(1)
cases = [rng.normal(0.3, 1, n) for n in (2, 3, 5, 10, 30, 50, 51, 80)]
cases += [rng.integers(-2, 4, n) for n in (4, 8, 13, 14, 30, 60)]  # ties and zeros
cases += [np.zeros(3), np.array([0, 0, 1.0]), np.array([1, -1.0]), np.array([-1, -2, -3.0])]
golden = [(list(map(float, c)), float(wilcoxon(c, alternative="greater", zero_method="zsplit").pvalue)) for c in cases]
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")
