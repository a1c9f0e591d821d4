"""The bookkeeping of a study with 64 trials at once, by our controller and by Optuna with SQLite; see bench-overhead.sh.

Both keep, for each trial, three parameters, its reports and its final value, so that a killed process loses nothing that it
was told. Optuna's side does no more than its API needs: ask, suggest, report, tell; a random sampler, no pruner.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

SLOTS = 64


def optuna_side(trials, reports):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        path = os.path.join(folder, "optuna.db")
        study = optuna.create_study(
            storage=f"sqlite:///{path}", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1)
        )
        used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        begin, cpu = time.perf_counter(), used()
        running, started = [], 0
        while started < trials or running:
            while started < trials and len(running) < SLOTS:
                trial = study.ask()
                trial.suggest_float("optimizer.lr", 1e-3, 1.0, log=True)
                trial.suggest_float("optimizer.momentum", 0.8, 0.99)
                trial.suggest_categorical("batch_size", [32, 64, 128, 256])
                running.append((trial, 0))
                started += 1
            # Every slot reports once in each round.
            left = []
            for trial, step in running:
                value = 1 - 1 / (2 + step) - trial.number % 101 / 1000
                trial.report(value, step + 1)
                if step + 1 == reports:
                    study.tell(trial, value)
                else:
                    left.append((trial, step + 1))
            running = left
        cpu, wall = used() - cpu, time.perf_counter() - begin
        figures = {
            "trials": trials,
            "reports": reports,
            "slots": SLOTS,
            "cpu_seconds": cpu,
            "wall_seconds": wall,
            "cpu_ms_per_trial": 1000 * cpu / trials,
            "cpu_ms_per_report": 1000 * cpu / trials / reports,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
            "store_mb": os.path.getsize(path) / 1e6,
        }
        print(json.dumps(figures | {"version": optuna.__version__}))


def run(words):
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().splitlines()[-1])


parser = argparse.ArgumentParser()
parser.add_argument("bench", help="the binary of the bench, or `optuna` for Optuna's side alone")
parser.add_argument("--trials", type=int, default=10_000)
parser.add_argument("--optuna-trials", type=int, default=1_000)
parser.add_argument("--reports", type=int, default=5)
given = parser.parse_args()
if given.bench == "optuna":
    optuna_side(given.optuna_trials, given.reports)
    sys.exit()
ours = run([given.bench, str(given.trials), str(given.reports)])
theirs = run([sys.executable, __file__, "optuna", "--optuna-trials", str(given.optuna_trials), "--reports", str(given.reports)])
print(f"| | nightsweep | Optuna {theirs['version']}, SQLite | ratio |\n| --- | ---: | ---: | ---: |")
print(f"| trials, reports a trial | {ours['trials']:,}, {ours['reports']} | {theirs['trials']:,}, {theirs['reports']} | |")
for name, key, digits in [
    ("CPU time per trial, ms", "cpu_ms_per_trial", 2),
    ("the same, divided among its reports, ms", "cpu_ms_per_report", 2),
    ("CPU time, s", "cpu_seconds", 1),
    ("time by the clock, s", "wall_seconds", 1),
    ("peak memory, MB", "peak_mb", 0),
    ("size of the store, MB", "store_mb", 1),
]:
    per = key.startswith("cpu_ms") or key == "peak_mb"
    ratio = f"{theirs[key] / ours[key]:.1f}" if per else ""
    print(f"| {name} | {ours[key]:,.{digits}f} | {theirs[key]:,.{digits}f} | {ratio} |")
