//! `nightsweep import optuna`: finished trials of a storage of Optuna's become history of a study.

use std::path::Path;

use miette::{IntoDiagnostic, Report, Result};
use nightsweep_search::Event;
use nightsweep_store::{OptunaError, Seq, read_optuna};
use nightsweep_trials::study_file;

use crate::cli::ImportOptuna;
use crate::commands::{run, studies};
use crate::failure::{Ending, StudyFileReport, advise, misuse};
use crate::progress::counted;

/// Reads the storage; the study is made if it is not there. What was imported before is not imported again.
pub async fn import(runs: &Path, arguments: &ImportOptuna) -> Result<Ending> {
    let mut plan = study_file::read(&arguments.file, &[]).map_err(StudyFileReport::from)?;
    plan.folder = std::path::absolute(&plan.folder).into_diagnostic()?;
    if !arguments.storage.exists() {
        let path = arguments.storage.display();
        return Err(advise(format!("there is no file `{path}`"), "name the SQLite file of the storage"));
    }
    let foreign = read_optuna(&arguments.storage, arguments.from.as_deref()).await;
    let foreign = foreign.map_err(|error| match error {
        OptunaError::NotOneStudy { ref known, .. } if known.is_empty() => Report::from_err(error),
        OptunaError::NotOneStudy { .. } | OptunaError::NoSuchStudy { .. } => {
            misuse(error.to_string(), "say which one is meant: --from NAME")
        }
        error => Report::from_err(error),
    })?;
    let config = plan.study_config();
    if foreign.direction != config.direction {
        return Err(advise(
            format!(
                "`{}` is {:?}d, but {} is {:?}d",
                foreign.name,
                foreign.direction,
                plan.metric.name(),
                config.direction
            ),
            "values of two metrics do not compare: set [study] metric to the one that was measured",
        ));
    }
    let store = studies::open(runs).await?;
    let folder = studies::folder(runs, &plan.name);
    std::fs::create_dir_all(&folder).into_diagnostic()?;
    let _lock = run::lock(&folder, &plan.name)?;
    // What Optuna found of this very objective is a better start than what did well elsewhere.
    plan.knowledge.warm_start.get_or_insert_default();
    let row = run::find_or_create(&store, &plan, &arguments.file).await?;
    let log = store.events(row.id, Seq::START).await.into_diagnostic()?;
    let (mut events, mut outside, mut known) = (Vec::new(), Vec::new(), 0);
    for trial in foreign.trials {
        let event = Event::Imported { params: trial.params, value: trial.value, from: None };
        let Event::Imported { params, .. } = &event else { continue };
        if let Err(error) = plan.space.contains(params) {
            outside.push(format!("trial {}: {error}", trial.number));
        } else if log.iter().any(|entry| entry.event == event) {
            known += 1;
        } else {
            events.push(event);
        }
    }
    if !events.is_empty() {
        store.append_all(row.id, &events).await.into_diagnostic()?;
    }
    let imported = counted(events.len(), "trial");
    say!("{}: {imported} of `{}` imported, {known} known before", plan.name, foreign.name);
    if foreign.others > 0 {
        say!("left out because not complete: {}", foreign.others);
    }
    if let Some(first) = outside.first() {
        say!("left out because not in the space: {} ({first})", outside.len());
    }
    Ok(Ending::Done)
}
