//! `nightsweep replay`: asks the search again for every suggestion that a study followed, and compares.

use std::path::Path;

use miette::{IntoDiagnostic, Result};
use nightsweep_search::{Event, Study, Suggestion};
use nightsweep_store::Seq;

use super::studies;
use crate::cli::StudyName;
use crate::failure::Ending;

/// Tells the log to a fresh study; before each start and each resumption it must suggest just that.
pub async fn replay(runs: &Path, arguments: &StudyName) -> Result<Ending> {
    let store = studies::open_existing(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    let plan = studies::plan(&row)?;
    let entries = store.events(row.id, Seq(0)).await.into_diagnostic()?;
    // A budget only ends a study, and may have been raised under way; what was started was allowed.
    let mut config = plan.study_config();
    let started = entries.iter().filter(|entry| matches!(entry.event, Event::Started { .. })).count() as u64;
    config.max_trials = config.max_trials.map(|trials| trials.max(started));
    let mut study = Study::new(config).into_diagnostic()?;
    let (mut followed, mut differing) = (0u64, 0u64);
    for entry in &entries {
        if let Some(expected) = suggestion_of(&entry.event) {
            followed += 1;
            let found = study.ask();
            if found != expected {
                differing += 1;
                say!("event {}: the log has {}, the search says {}", entry.seq, describe(&expected), describe(&found));
            }
        }
        study.tell(&entry.event).into_diagnostic()?;
    }
    say!("{}: {} of {followed} suggestions are the same", row.name, followed - differing);
    Ok(if differing == 0 { Ending::Done } else { Ending::Found })
}

fn suggestion_of(event: &Event) -> Option<Suggestion> {
    match event.clone() {
        Event::Started { trial, params, why } => Some(Suggestion::Start { trial, params, why }),
        Event::Forked { trial, params, why, origin } => Some(Suggestion::Fork { trial, params, why, origin }),
        Event::Resumed { trial, .. } => Some(Suggestion::Resume { trial }),
        _ => None,
    }
}

fn describe(suggestion: &Suggestion) -> String {
    match suggestion {
        Suggestion::Start { trial, params, .. } => format!("start {trial} ({})", crate::progress::words(params)),
        Suggestion::Fork { trial, params, origin, .. } => {
            let parent = origin.parent;
            format!("fork {trial} from {parent} at {} ({})", origin.epoch, crate::progress::words(params))
        }
        Suggestion::Resume { trial } => format!("resume {trial}"),
        Suggestion::Wait => "wait".to_owned(),
        Suggestion::Done => "done".to_owned(),
    }
}
