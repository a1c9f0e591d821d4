"""Compares a study that was exported for Optuna with the study itself, by Optuna (pip install optuna optuna-dashboard):

    nightsweep export --format optuna -o optuna.db && nightsweep export --format json -o trials.json
    python scripts/check-optuna.py optuna.db trials.json [nightsweep-runs/store.sqlite [ORIGINAL.db]]

With the store, the values after each epoch are compared too; with the storage that the study imported from, its complete
trials are looked for among the exported ones. optuna-dashboard, where it is installed, serves the study and is asked for it.
"""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "lost": "FAIL"}


def curves(store, name):
    """What each trial reported, by step; a value that was not finite is NaN to Optuna."""
    rows = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
        "SELECT trial, step, value FROM reports JOIN studies ON studies.id = reports.study WHERE name = ?", (name,))
    curves = {}
    for trial, step, value in rows:
        curves.setdefault(trial, {})[step] = value
    return curves


def check_trials(study, trials, store):
    reported = curves(store, study.study_name) if store else None
    reports = 0
    for theirs, ours in zip(study.trials, sorted(trials, key=lambda it: it["number"])):
        assert theirs.number == ours["number"]
        assert theirs.state.name == STATES.get(ours["state"], "RUNNING"), ours
        assert theirs.params == ours["params"], (theirs.params, ours["params"])
        assert theirs.value == (ours["value"] if theirs.state.name in ("COMPLETE", "PRUNED") else None), ours
        assert list(theirs.intermediate_values) == list(range(1, ours["steps"] + 1))
        if reported is not None:
            own = reported.get(ours["number"], {})
            for step, value in theirs.intermediate_values.items():
                assert value == own[step] or (value != value and own[step] is None), (ours["number"], step)
        reports += len(theirs.intermediate_values)
    return reports


def check_imported(study, count, original):
    """Every complete trial of the original that lies in the space, in its order, behind the study's own."""
    storage = f"sqlite:///{original}"
    [name] = optuna.get_all_study_names(storage)
    earlier = optuna.load_study(study_name=name, storage=storage)
    assert earlier.direction == study.direction
    complete = [(it.params, it.value) for it in earlier.trials if it.state.name == "COMPLETE"]
    back = [(it.params, it.value) for it in study.trials[count:]]
    known = [it for it in complete if it in back]
    assert known == back, (known, back)
    return f"{len(back)} of {len(complete)} complete trials of `{name}` are back"


def check_dashboard(path, study):
    program = shutil.which("optuna-dashboard") or os.path.join(os.path.dirname(sys.executable), "optuna-dashboard")
    if not os.path.exists(program):
        return "optuna-dashboard is not installed"
    port = "8973"
    # Not by way of a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [program, f"sqlite:///{path}", "--host", "127.0.0.1", "--port", port], stdout=log, stderr=log)
        try:
            def ask(address):
                # The server may take long to start on a machine that does other things too.
                until = time.monotonic() + 180
                while True:
                    try:
                        with opener.open(f"http://127.0.0.1:{port}{address}", timeout=60) as answer:
                            return json.load(answer)
                    except OSError:
                        assert server.poll() is None, "optuna-dashboard ended"
                        if time.monotonic() > until:
                            raise
                        time.sleep(0.2)

            [summary] = ask("/api/studies")["study_summaries"]
            assert summary["study_name"] == study.study_name
            assert summary["directions"] == [study.direction.name.lower()]
            shown = ask(f"/api/studies/{summary['study_id']}?after=0")["trials"]
        finally:
            server.terminate()
            server.wait()
    assert len(shown) == len(study.trials)
    for theirs, ours in zip(shown, study.trials):
        assert (theirs["number"], theirs["state"].upper()) == (ours.number, ours.state.name)
        if ours.state.name == "COMPLETE":
            assert float(theirs["values"][0]) == ours.value
        assert {it["name"]: str(it["param_external_value"]) for it in theirs["params"]} == {
            name: str(value) for name, value in ours.params.items()}
        steps = {it["step"]: it["value"] for it in theirs["intermediate_values"]}
        assert all(float(steps[step]) == value or value != value for step, value in ours.intermediate_values.items())
        assert len(steps) == len(ours.intermediate_values)
    return f"optuna-dashboard shows {len(shown)} trials"


def main():
    path, trials = sys.argv[1], json.load(open(sys.argv[2]))
    store = sys.argv[3] if len(sys.argv) > 3 else None
    # What follows adds a trial.
    copy = os.path.join(tempfile.mkdtemp(), "optuna.db")
    shutil.copy(path, copy)
    storage = f"sqlite:///{copy}"
    [name] = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert len(study.trials) >= len(trials), (len(study.trials), len(trials))
    reports = check_trials(study, trials, store)
    said = [f"{name}: {len(study.trials)} trials, {reports} reports"]
    complete = [it.value for it in study.trials if it.state.name == "COMPLETE"]
    own = [it["value"] for it in trials if it["state"] == "complete"]
    best = (max if study.direction.name == "MAXIMIZE" else min)(complete)
    assert study.best_value == best and all(value in complete for value in own)
    said.append(f"best value {best}: equal")
    if len(sys.argv) > 4:
        said.append(check_imported(study, len(trials), sys.argv[4]))
    said.append(check_dashboard(copy, study))
    study.sampler = optuna.samplers.TPESampler(seed=1)
    study.optimize(lambda trial: trial.suggest_float("extra", 0, 1), n_trials=1)
    said.append(f"Optuna {optuna.__version__} goes on")
    print("; ".join(said))
    shutil.rmtree(os.path.dirname(copy))


main()
