//! The store in the runs folder, and the studies in it.

use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::{Study, TrialNumber};
use nightsweep_store::{Seq, Store, StudyRow};
use nightsweep_trials::Plan;
use nightsweep_trials::confirm::is_confirmation;

use crate::failure::advise;

/// Opens the store to write, and makes it if there is none.
pub async fn open(runs: &Path) -> Result<Store> {
    std::fs::create_dir_all(runs).into_diagnostic().wrap_err_with(|| format!("could not make `{}`", runs.display()))?;
    Store::open(runs.join("store.sqlite")).await.into_diagnostic()
}

/// Opens the store to read.
pub async fn open_existing(runs: &Path) -> Result<Store> {
    let path = runs.join("store.sqlite");
    if !path.exists() {
        return Err(advise(
            format!("there is no store in `{}`", runs.display()),
            "`nightsweep run STUDY.toml` makes one; --runs names another folder",
        ));
    }
    Store::open_read_only(path).await.into_diagnostic()
}

/// The study of that name, else the one that was created last.
pub async fn find(store: &Store, name: Option<&str>) -> Result<StudyRow> {
    let studies = store.studies().await.into_diagnostic()?;
    let found = match name {
        Some(name) => studies.iter().find(|study| study.name == name),
        None => studies.iter().filter(|study| !is_confirmation(&study.name)).max_by_key(|study| study.id),
    };
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = studies.iter().map(|study| study.name.as_str()).collect();
        match name {
            Some(name) => advise(format!("there is no study `{name}`"), format!("there are: {}", names.join(", "))),
            None => advise("the store has no study yet", "`nightsweep run STUDY.toml` makes one"),
        }
    })
}

/// What the study was created with.
pub fn plan(row: &StudyRow) -> Result<Plan> {
    serde_json::from_value(row.plan.clone())
        .into_diagnostic()
        .wrap_err_with(|| format!("the plan of the study `{}` is of another version of nightsweep", row.name))
}

/// A search that was told the whole log.
pub async fn told(store: &Store, row: &StudyRow, plan: &Plan) -> Result<Study> {
    let mut study = Study::new(plan.study_config()).into_diagnostic()?;
    for entry in store.events(row.id, Seq(0)).await.into_diagnostic()? {
        study.tell(&entry.event).into_diagnostic().wrap_err_with(|| format!("event {} of the log", entry.seq))?;
    }
    Ok(study)
}

/// The folder of a study's trials.
pub fn folder(runs: &Path, study: &str) -> PathBuf {
    runs.join(study)
}

/// The folder of a trial's checkpoints.
pub fn trial_folder(runs: &Path, study: &str, trial: TrialNumber) -> PathBuf {
    nightsweep_trials::controller::trial_folder(&folder(runs, study), trial)
}
