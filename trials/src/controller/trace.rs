//! The events of a study as log lines, for whoever follows a run by them.

use nightsweep_search::Event;
use tracing::{debug, info};

/// Says what happened.
pub(super) fn trace(event: &Event) {
    match event {
        Event::Started { trial, why, .. } => info!(%trial, why, "trial {trial} started"),
        Event::Resumed { trial, attempt } => info!(%trial, %attempt, "trial {trial} goes on as attempt {attempt}"),
        Event::Reported { trial, step, value, .. } => {
            debug!(%trial, step, value, "trial {trial} reported epoch {step}");
        }
        Event::Paused { trial, reason, .. } => info!(%trial, ?reason, "trial {trial} paused"),
        Event::Requeued { trial, message, .. } => {
            info!(%trial, message, "trial {trial} lost its worker and will go on");
        }
        Event::Completed { trial, value, .. } => info!(%trial, value, "trial {trial} is complete with {value}"),
        Event::Pruned { trial, .. } => info!(%trial, "trial {trial} was pruned"),
        Event::Failed { trial, cause, message, .. } => {
            info!(%trial, ?cause, message, "trial {trial} failed: {message}")
        }
        Event::Fenced { trial, attempt, message } => {
            info!(%trial, %attempt, message, "an older attempt of trial {trial} spoke and was ignored");
        }
        Event::Ordered { by, order } => info!(by, ?order, "{by} asked for something"),
        Event::Closed { reason } => info!(reason, "the run ends: {reason}"),
        Event::Opened { .. } | Event::Enqueued { .. } | Event::Imported { .. } | Event::Annotated { .. } => {}
    }
}
