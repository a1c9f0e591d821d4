//! Studies that come from Optuna and go back to it. `fixtures/optuna.db` was made by Optuna 5.0.0: `make-optuna.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nightsweep_search::Event;
use nightsweep_store::{ForeignStudy, read_optuna};

use crate::workplace::{STUDY, Workplace, flat};

const FIXTURE: &str = "tests/it/fixtures/optuna.db";

fn study() -> String {
    let study =
        STUDY.replace("trials = 6", "trials = 3\nmetric = \"val_accuracy\"").replace("epochs = 4", "epochs = 1");
    study.replace("sampler = \"random\"", "sampler = \"tpe\"")
}

/// The file of a storage, beside the sources.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE)
}

fn read(path: &Path) -> ForeignStudy {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read_optuna(path, None)).unwrap()
}

/// Imports a storage of fifteen trials, goes on with three, and exports them all as `back.db`.
fn go_through(place: &Workplace, storage: &Path) {
    let storage = storage.to_str().unwrap();
    let imported = place.succeed(&["import", storage, "study.toml"]);
    assert!(imported.contains("12 trials of `elsewhere` imported, 0 known before"), "{imported}");
    assert!(imported.contains("not complete: 2\n") && imported.contains("not in the space: 1 (trial"), "{imported}");
    let again = place.succeed(&["import", storage, "study.toml"]);
    assert!(again.contains("0 trials of `elsewhere` imported, 12 known before"), "{again}");
    place.succeed(&["run", "study.toml", "--no-web"]);
    place.succeed(&["export", "--format", "optuna", "-o", "back.db"]);
    place.succeed(&["export", "--format", "json", "-o", "trials.json"]);
}

#[test]
fn a_study_of_optunas_is_imported_goes_on_and_is_exported_the_same() {
    let place = Workplace::new(&study());
    go_through(&place, &fixture());
    // What was learned elsewhere is what the first trial is chosen by.
    let whys = place.log().into_iter().filter_map(|entry| match entry.event {
        Event::Started { why, .. } => Some(why),
        _ => None,
    });
    let whys: Vec<String> = whys.collect();
    assert!(whys.iter().any(|why| why.contains("good of 12")), "{whys:?}");
    let (from, back) = (read(&fixture()), read(&place.path("back.db")));
    let own = place.trials().len();
    assert_eq!((back.name.as_str(), back.direction, back.trials.len(), own), ("small", from.direction, 15, 3));
    let left_out = from.trials.iter().find(|trial| trial.number == 5).unwrap();
    let known = from.trials.iter().filter(|trial| trial.number != left_out.number);
    for (theirs, ours) in known.zip(&back.trials[own..]) {
        assert_eq!((&theirs.params, theirs.value), (&ours.params, ours.value));
    }
    let csv = place.succeed(&["export", "--format", "csv", "-o", "trials.csv"]);
    assert!(csv.starts_with("3 trials of small"), "{csv}");
    assert_eq!(fs::read_to_string(place.path("trials.csv")).unwrap().lines().count(), 4);
}

#[test]
fn a_study_that_a_storage_does_not_have_is_asked_for_by_its_option() {
    let place = Workplace::new(&study());
    let output = place.run(&["import", "optuna", fixture().to_str().unwrap(), "study.toml", "--from", "nobody"]);
    let errors = flat(&output.stderr);
    assert!(output.status.code() == Some(2) && errors.contains("has no study `nobody`; it has: elsewhere"), "{errors}");
    assert!(errors.contains("say which one is meant: --from NAME"), "{errors}");
}

#[test]
fn optuna_itself_makes_goes_on_with_and_opens_a_study() {
    // A Python that has optuna: NIGHTSWEEP_PYTHON, or the system's.
    let python = std::env::var("NIGHTSWEEP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_optuna = Command::new(&python).args(["-c", "import optuna"]).output();
    if !has_optuna.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no optuna");
        return;
    }
    let place = Workplace::new(&study());
    let run = |script: &str, words: &[PathBuf]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let output = Command::new(&python).arg(script).args(words).output().unwrap();
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{printed}\n{errors}");
        printed.into_owned()
    };
    let made = place.path("made.db");
    run("tests/it/fixtures/make-optuna.py", std::slice::from_ref(&made));
    go_through(&place, &made);
    let store = place.path("nightsweep-runs/store.sqlite");
    let checked = run("scripts/check-optuna.py", &[place.path("back.db"), place.path("trials.json"), store, made]);
    assert!(checked.contains("equal"), "{checked}");
}
