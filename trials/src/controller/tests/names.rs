//! Every sampler and pruner by its name in a study file, from the file's text to the end of the study.

use super::*;
use crate::study_file;

/// Runs a study with that `[search]` on a virtual machine and returns it.
async fn run_named(space: &str, search: &str) -> Study {
    let text = format!(
        "[study]\nname = 'named'\nmetric = 'val_accuracy'\nseed = 3\ntrials = 10\n[data]\npath = 'nowhere'\n\
         [recipe]\nepochs = {EPOCHS}\n[space]\n{space}\n[search]\n{search}\n"
    );
    let plan = study_file::parse(&text, PathBuf::from(".")).unwrap_or_else(|error| panic!("{search}: {error:?}"));
    let mut night = Night::new(10, 2).await;
    night.config = plan.study_config();
    night.work = Work::new(&plan, PathBuf::from("nowhere"));
    assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done, "{search}");
    let mut study = Study::new(night.config.clone()).unwrap();
    for event in night.events().await {
        // Replayed: what was done is what the search says.
        let expected = match event.clone() {
            Event::Started { trial, params, why } => Some(Suggestion::Start { trial, params, why }),
            Event::Forked { trial, params, why, origin } => Some(Suggestion::Fork { trial, params, why, origin }),
            Event::Resumed { trial, .. } => Some(Suggestion::Resume { trial }),
            _ => None,
        };
        if let Some(expected) = expected {
            assert_eq!(study.ask(), expected, "{search}");
        }
        study.tell(&event).unwrap();
    }
    study
}

const COUNTABLE: &str = "batch_size = [16, 32, 64]\nlabel_smoothing = { low = 0.0, high = 0.4, step = 0.1 }";
const MIXED: &str = "batch_size = [16, 32, 64]\n[space.optimizer.sgd]\nlr = { low = 1e-3, high = 1.0, log = true }\n\
                     [space.optimizer.adamw]\nlr = { low = 1e-4, high = 0.1, log = true }";

fn check(study: &Study, search: &str) {
    let fresh = study.trials().iter().filter(|trial| trial.origin.is_none()).count();
    assert_eq!(fresh, 10, "{search}");
    assert!(study.best().is_some_and(|trial| trial.value.is_some()), "{search}: no trial is complete");
    assert!(study.trials().iter().all(|trial| !trial.why.is_empty()), "{search}");
}

#[tokio::test]
async fn every_sampler_name_works_in_a_study_file() {
    let mut names: Vec<&str> = SamplerKind::names().collect();
    names.sort_unstable();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let space = if name == "grid" { COUNTABLE } else { MIXED };
        let search = format!("sampler = '{name}'");
        let study = run_named(space, &search).await;
        check(&study, &search);
        // `bohb` alone comes with its pruner, the others train all trials to the end.
        let rests = study.trials().iter().any(|trial| trial.state == TrialState::Paused);
        assert_eq!(rests, name == "bohb", "{name}");
    }
}

#[tokio::test]
async fn every_pruner_name_works_in_a_study_file() {
    let names: Vec<&str> = PrunerKind::names().collect();
    for name in ["successive_halving", "wilcoxon", "pbt", "pb2", "freeze_thaw", "patience", "threshold", "percentile"] {
        assert!(names.contains(&name), "{name}");
    }
    for name in names {
        // One that ends nothing as it stands is given what it ends trials by.
        let settings = match name {
            "patience" => ", epochs = 2",
            "threshold" => ", lower = -0.2",
            "pbt" | "pb2" => ", population = 5, interval_epochs = 2",
            _ => "",
        };
        for sampler in ["random", "auto"] {
            let search = format!("sampler = '{sampler}'\npruner = {{ kind = '{name}'{settings} }}");
            let study = run_named(MIXED, &search).await;
            check(&study, &search);
            let forks = study.trials().iter().filter(|trial| trial.origin.is_some()).count();
            assert_eq!(forks > 0, ["pbt", "pb2"].contains(&name), "{search}");
        }
    }
}
