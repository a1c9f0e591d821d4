//! The confirmation of a study on its page, and what it says of single trials.

use maud::{Markup, html};
use nightsweep_search::race::{Fate, Standing};
use nightsweep_search::{Direction, TrialNumber, TrialState};
use nightsweep_store::{Controller, StudyRow};

use super::{metric, study_address, trial_address};
use crate::confirmation::{Confirmation, Training};
use crate::format;

/// More seeds than this side by side are not read one by one.
const SEEDS: u64 = 12;

/// Candidates and seeds, and what follows from them.
pub(super) fn section(study: &StudyRow, confirmation: &Confirmation) -> Markup {
    let own = study_address(&confirmation.name);
    let seeds = confirmation.repetitions.min(SEEDS);
    html! {
        h2 { "Confirmation" span.unit { "the best trials again, on the same fresh seeds" } (status(confirmation))
            span.files { a href=(own) { "its trainings" } } }
        div.sideways tabindex="0" {
            table.plain.race {
                thead { tr {
                    th scope="col" { "trial" } th scope="col" { "chosen at" }
                    @for seed in 1..=seeds { th scope="col" { "seed " (seed) } }
                    th scope="col" { "mean and 95 %" } th scope="col" { "test accuracy" } th {}
                } }
                tbody { @for standing in &confirmation.standings {
                    @let trial = standing.candidate;
                    tr.winner[standing.fate == Fate::Best && confirmation.winner().is_some()] {
                        th scope="row" { a href=(trial_address(&study.name, trial)) { (trial) } }
                        td { (metric(confirmation.chosen.get(&trial).copied())) }
                        @for seed in 1..=seeds {
                            td { (training(&own, confirmation.trainings.get(&(trial, seed)))) }
                        }
                        td.mean { (spread(confirmation, standing)) }
                        td { (tested(confirmation, trial)) }
                        td { (fate(confirmation, standing)) }
                    }
                } }
            }
        }
        @if confirmation.repetitions > SEEDS { p.unit { "The first " (SEEDS) " of " (confirmation.repetitions) " seeds are shown." } }
        @if let Some(newer) = &confirmation.newer {
            p.unit {
                "A " a href=(study_address(&newer.name)) { "newer confirmation" }
                @if newer.is_running { " runs" } @else { " was not finished" } ": " (done(newer)) "."
            }
        }
        @if let Some((trial, value, mean)) = confirmation.first_chosen(study.direction == Direction::Maximize) {
            p.unit {
                "Winner's curse: trial " (trial) " was chosen at " (format::metric(value)) " and has " (format::metric(mean))
                " on fresh seeds; " (signed(luck(study.direction, value, mean))) " of its value was luck."
            }
        }
    }
}

/// Whether it goes on, or why it ended.
fn status(confirmation: &Confirmation) -> Markup {
    html! {
        @match &confirmation.controller {
            Controller::Open { host, .. } if confirmation.is_running => span.status.on { "running on " (host) },
            Controller::Closed { reason, .. } => span.status { "ended: " (reason) },
            _ => {},
        }
    }
}

/// How many trainings are done, as a sentence.
pub(super) fn done(confirmation: &Confirmation) -> String {
    match confirmation.done() {
        1 => "1 training is done".to_owned(),
        more => format!("{more} trainings are done"),
    }
}

/// What the choice of the best owes to luck: positive where the value was too good.
fn luck(direction: Direction, chosen: f64, mean: f64) -> f64 {
    if direction == Direction::Maximize { chosen - mean } else { mean - chosen }
}

fn signed(value: f64) -> String {
    if value < 0.0 { format::metric(value).replacen('-', "−", 1) } else { format!("+{}", format::metric(value)) }
}

fn training(race: &str, training: Option<&Training>) -> Markup {
    let Some(training) = training else { return html! { span.none { "–" } } };
    let (word, sign) = format::state(training.state);
    html! {
        a href={ (race) "/trials/" (training.number) } title=(word) {
            @match (training.state, training.value) {
                (TrialState::Complete, Some(value)) => (format::metric(value)),
                (TrialState::Failed | TrialState::Lost, _) => { (sign) " " (word) },
                _ => { span class={ "sign-" (word) } { (sign) } " epoch " (training.epochs) },
            }
        }
    }
}

/// The mean of a candidate with its interval.
pub(super) fn spread(confirmation: &Confirmation, standing: &Standing) -> Markup {
    html! {
        @match standing.mean() {
            Some(mean) => (format::interval(&confirmation.metric, mean, standing.half_width)),
            None => span.none { "–" },
        }
    }
}

fn tested(confirmation: &Confirmation, trial: TrialNumber) -> Markup {
    let scores = confirmation.test.get(&trial).map(Vec::as_slice).unwrap_or_default();
    let (low, high) =
        scores.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    html! {
        @if scores.is_empty() { span.none { "–" } } @else {
            span title={ "from " (format::metric(low)) " to " (format::metric(high)) } {
                (format::metric(scores.iter().sum::<f64>() / scores.len() as f64))
            }
        }
    }
}

fn fate(confirmation: &Confirmation, standing: &Standing) -> Markup {
    let decided = confirmation.winner().is_some();
    html! {
        @match standing.fate {
            Fate::Best if decided => strong { "★ winner" },
            Fate::Tied if decided => span { "≈ not to be told from it" },
            Fate::Best | Fate::Tied if confirmation.is_running => span.none { "in the race" },
            Fate::Best | Fate::Tied => span.none { "not decided" },
            Fate::Beaten => span { "✂ beaten" },
            Fate::Failed => span { "✕ failed" },
        }
    }
}

/// Beside a trial's value on the board: what its fresh seeds say.
pub(super) fn mark(confirmation: Option<&Confirmation>, trial: TrialNumber) -> Markup {
    let known = confirmation.and_then(|it| Some((it, it.standing(trial)?)));
    let Some((confirmation, standing)) = known.filter(|(_, standing)| !standing.values.is_empty()) else {
        return html! {};
    };
    let decided = confirmation.winner().is_some();
    let (sign, word) = match standing.fate {
        Fate::Best if decided => ("★", "the confirmed winner"),
        Fate::Tied if decided => ("≈", "not to be told from the winner"),
        Fate::Beaten => ("✂", "beaten by the winner"),
        Fate::Failed => ("✕", "failed in the confirmation"),
        Fate::Best | Fate::Tied if confirmation.is_running => ("…", "in the confirmation"),
        Fate::Best | Fate::Tied => ("…", "the confirmation was not finished"),
    };
    html! {
        span.confirmed title={ "on " (standing.values.len()) " fresh seeds: " (word) } {
            (spread(confirmation, standing)) " " span aria-hidden="true" { (sign) } span.hidden { ", " (word) }
        }
    }
}

/// The same for a trial's own page, in words.
pub(super) fn sentence(study: &StudyRow, confirmation: &Confirmation, trial: TrialNumber) -> Markup {
    let Some(standing) = confirmation.standing(trial) else { return html! {} };
    html! {
        p.confirmed-note {
            a href={ (study_address(&study.name)) "#confirmation" } { "Confirmation" } ": "
            @if standing.values.is_empty() { "no fresh seed is done yet." }
            @else {
                b { (spread(confirmation, standing)) } " on " (standing.values.len())
                @if standing.values.len() == 1 { " fresh seed" } @else { " fresh seeds" } "; "
                (fate(confirmation, standing)) "."
            }
        }
    }
}
