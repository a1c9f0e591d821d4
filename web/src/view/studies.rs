//! The list of studies.

use maud::{Markup, html};
use nightsweep_store::{StudyRow, Summary};

use super::{Page, direction_word, metric, page, study_address};
use crate::activity::Activity;
use crate::format;

/// All studies with what they found. A confirmation is found on the page of its study.
pub(crate) fn studies(studies: &[(StudyRow, Summary, Activity)]) -> Markup {
    let content = html! {
        h1 { "Studies" }
        @if studies.is_empty() {
            section.notice {
                p { "This store has no study yet." }
                p { "Start one with " code { "nightsweep run sweep.toml" } ", or let "
                    code { "nightsweep init FOLDER" } " write a study file for your images." }
            }
        }
        ul.studies {
            @for (study, summary, activity) in studies {
                li {
                    a.card href=(study_address(&study.name)) {
                        div { strong { (study.name) } " " (status(activity)) }
                        div.best {
                            span.figure { (metric(summary.best.as_ref().and_then(|best| best.shown_value()))) }
                            span.unit { (study.metric) ", " (direction_word(study.direction)) }
                        }
                        div.unit {
                            (summary.counts.total()) " trials, " (summary.counts.complete) " complete · "
                            (format::day_and_time(study.created_at_ms))
                        }
                    }
                }
            }
        }
    };
    page("Studies", Page::Plain, html! {}, content)
}

/// What goes on in a study.
pub(super) fn status(activity: &Activity) -> Markup {
    html! {
        @match activity {
            Activity::None => span.status { "not started" },
            Activity::Running { pid, host } => span.status.on title={ "process " (pid) } { "running on " (host) },
            Activity::Held { by, .. } => span.status.held { "paused by " (by) },
            Activity::Confirming => span.status.on { "being confirmed" },
            Activity::Ended { reason, .. } => span.status { "ended: " (reason) },
        }
    }
}
