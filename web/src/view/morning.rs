//! What somebody wants to know who opens a study in the morning: who won, how sure that is, why, what was wasted, and what
//! to do next.

use maud::{Markup, html};
use nightsweep_search::{Direction, Importance, TrialState};
use nightsweep_store::{Entry, Failures, Point, StudyRow, Summary, TrialRow};

use super::{confirmation, trial_address};
use crate::activity::Activity;
use crate::confirmation::Confirmation;
use crate::format;

/// Parameters that are named as what mattered.
const NAMED: usize = 3;

/// What is told, beside the summary of the study.
pub(crate) struct Morning {
    /// The recipe that the search started from, if a trial tried it.
    pub default: Option<TrialRow>,
    pub confirmation: Option<Confirmation>,
    pub failures: Vec<Failures>,
    /// The latest first.
    pub orders: Vec<Entry>,
    pub importance: Known,
    /// Validation images that the best trial was judged by.
    pub images: Option<u64>,
}

/// What is known of the importance of parameters.
pub(crate) enum Known {
    /// The greatest first; empty if there are too few trials.
    Made(Vec<Importance>),
    /// To be asked for again.
    Pending,
}

/// Why the study stands still, if a person should know.
pub(super) fn notice(activity: &Activity) -> Markup {
    html! {
        @if let Some(reason) = activity.needs_help() {
            p.mistake role="alert" {
                strong { "The study is paused: " } (reason) ". "
                "Mend the cause, then run the same command again: nothing is lost."
            }
        } @else if let Activity::Held { by, at_ms } = activity {
            p.mistake role="status" {
                strong { "Paused by " (by) } " since " (format::time(*at_ms)) ". “Go on” hands out trials again."
            }
        }
    }
}

/// Five answers.
pub(super) fn answers(
    study: &StudyRow,
    summary: &Summary,
    activity: &Activity,
    history: &[Point],
    morning: &Morning,
) -> Markup {
    let Some(best) = &summary.best else {
        return html! { p.none { "No trial has reported yet: what leads, and why, stands here as soon as one has." } };
    };
    html! {
        dl.answers {
            div { dt { "Who won" } dd { (who(study, activity, best, morning)) } }
            div { dt { "How sure" } dd { (sure(study, best, history, morning)) } }
            div { dt { "Why" } dd { (why(study, best, morning)) } }
            div { dt { "Wasted" } dd { (wasted(study, summary, &morning.failures)) } }
            div { dt { "Next" } dd { (next(study, activity, best, morning)) } }
        }
    }
}

fn who(study: &StudyRow, activity: &Activity, best: &TrialRow, morning: &Morning) -> Markup {
    let confirmed = morning.confirmation.as_ref().and_then(|it| Some((it, it.winner()?)));
    html! {
        @match confirmed {
            Some((confirmation, winner)) => {
                a href=(trial_address(&study.name, winner.candidate)) { "Trial " (winner.candidate) } " won with "
                (study.metric) " " b { (confirmation::spread(confirmation, winner)) }
                @if let Some(scores) = confirmation.test.get(&winner.candidate) {
                    "; test accuracy " b { (format::metric(scores.iter().sum::<f64>() / scores.len().max(1) as f64)) }
                }
                "."
            },
            None => {
                a href=(trial_address(&study.name, best.number)) { "Trial " (best.number) }
                @if activity.is_led() { " leads so far with " }
                @else if best.state == TrialState::Complete { " is the best with " }
                @else { ", not trained to its end, is the best so far with " }
                (study.metric) " " @if let Some(value) = best.shown_value() { b { (format::metric(value)) } } "."
            },
        }
    }
}

fn sure(study: &StudyRow, best: &TrialRow, history: &[Point], morning: &Morning) -> Markup {
    let Some(confirmation) = &morning.confirmation else { return one_seed(study, best, history, morning) };
    let tied: Vec<_> = confirmation.tied().map(|standing| standing.candidate).collect();
    html! {
        @match confirmation.winner() {
            Some(winner) => {
                "Confirmed on " (winner.values.len()) " fresh seeds"
                @if confirmation.is_running { " so far" } "; "
                @if confirmation.standings.len() == 1 { "there was no other candidate." }
                @else if tied.is_empty() { "at 95 % better than every other candidate." } @else {
                    "not to be told from it at 95 %: "
                    @for (place, trial) in tied.iter().enumerate() {
                        @if place > 0 { ", " } a href=(trial_address(&study.name, trial)) { "trial " (trial) }
                    }
                    "."
                }
            },
            None if confirmation.is_running => { "It is being confirmed on fresh seeds: " (confirmation::done(confirmation)) "." },
            None => (one_seed(study, best, history, morning)),
        }
    }
}

/// What is known without the winner of a confirmation.
fn one_seed(study: &StudyRow, best: &TrialRow, history: &[Point], morning: &Morning) -> Markup {
    let value = best.shown_value();
    let range = match (value, morning.images) {
        (Some(value), Some(images)) if study.metric == "val_accuracy" && images > 0 => {
            Some((images, wilson(value, images)))
        }
        _ => None,
    };
    html! {
        "One seed, not confirmed on others"
        @if let Some(unfinished) = &morning.confirmation {
            ": its confirmation was not finished, " (confirmation::done(unfinished))
        }
        "."
        @if let Some((images, (low, high))) = range {
            @let near = history.iter().filter(|point| point.trial != best.number && (low..=high).contains(&point.value)).count();
            " By the choice of the " (images) " validation images alone it may lie from " (format::metric(low)) " to " (format::metric(high)) " (95 %): "
            @match near { 0 => "no other trial lies there.", 1 => "one other trial lies there.", more => { (more) " other trials lie there." } }
        }
    }
}

/// Where a share lies at 95 % that was found so on that many images: Wilson's score interval (1927), which has a width
/// also where all of them are right.
fn wilson(share: f64, images: u64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let images = images as f64;
    let scale = 1.0 + Z * Z / images;
    let middle = (share + Z * Z / (2.0 * images)) / scale;
    let half = Z * (share * (1.0 - share) / images + (Z / (2.0 * images)).powi(2)).sqrt() / scale;
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

fn why(study: &StudyRow, best: &TrialRow, morning: &Morning) -> Markup {
    let winner = morning.confirmation.as_ref().and_then(Confirmation::winner);
    let number = winner.map_or(best.number, |winner| winner.candidate);
    // A value that was chosen is compared with one that was chosen, not with a mean of fresh seeds.
    let chosen = winner.and_then(|winner| morning.confirmation.as_ref()?.chosen.get(&winner.candidate).copied());
    let value = chosen.or(best.shown_value());
    html! {
        @match &morning.importance {
            Known::Made(known) if known.is_empty() => { "Too few complete trials to say which parameter mattered." },
            Known::Made(known) => {
                "Mattered most: "
                @for (place, it) in known.iter().take(NAMED).enumerate() {
                    @if place > 0 { ", " } code { (it.param) } (format!(" {:.0} %", 100.0 * it.share))
                }
                "."
            },
            Known::Pending => span.none data-pending { "What mattered is being computed…" },
        }
        @if let Some(default) = &morning.default {
            @match (default.number == number, default.shown_value(), value) {
                (true, ..) => { " The recipe that the search started from won." },
                // After fewer epochs any recipe is worse.
                (false, ..) if default.steps < best.steps => {
                    " The " a href=(trial_address(&study.name, default.number)) { "default recipe" } " did not get as far: "
                    (default.steps) " of " (best.steps) " epochs."
                },
                (false, Some(from), Some(value)) => {
                    @let gain = if study.direction == Direction::Maximize { value - from } else { from - value };
                    " Against the " a href=(trial_address(&study.name, default.number)) { "default recipe" } ", by the values they were chosen by: "
                    (if gain < 0.0 { "−" } else { "+" }) (format::metric(gain.abs())) "."
                },
                _ => {},
            }
        }
    }
}

fn wasted(study: &StudyRow, summary: &Summary, failures: &[Failures]) -> Markup {
    let (trials, spent) = failures.iter().fold((0, 0), |(n, ms), it| (n + it.trials, ms + it.active_ms));
    let share = 100.0 * spent as f64 / summary.active_ms.max(1) as f64;
    let figures = format!("{}/figures", super::study_address(&study.name));
    html! {
        @if trials == 0 { "No trial failed." } @else {
            (trials) @if trials == 1 { " trial failed (" } @else { " trials failed (" }
            @for (place, it) in failures.iter().enumerate() {
                @if place > 0 { ", " } (it.trials) " " (format::cause(it.cause))
            }
            "): " (format::duration(spent)) ", " (format!("{share:.0} %")) " of the training time."
        }
        " " a href={ (figures) "#slots" } { "When the slots stood idle" } "."
    }
}

fn next(study: &StudyRow, activity: &Activity, best: &TrialRow, morning: &Morning) -> Markup {
    let name = &study.name;
    let winner = morning.confirmation.as_ref().and_then(Confirmation::winner);
    let tied = morning.confirmation.as_ref().map_or(0, |it| it.tied().count());
    html! {
        @if activity.needs_help().is_some() { "Mend what paused it, and run it again." }
        @else if let Activity::Held { .. } = activity { "It is paused until somebody lets it go on." }
        @else if let Activity::Running { .. } = activity {
            "It runs. " a href={ (super::study_address(name)) "/figures#budget" } { "When it will be done" } "."
        } @else if *activity == Activity::Confirming { "Wait for the confirmation, or look at its trainings below." }
        @else if best.state != TrialState::Complete { "No trial is complete: " code { "nightsweep run" } " with its study file goes on." }
        @else if winner.is_none() { code { "nightsweep confirm " (name) } " trains the best again on fresh seeds." }
        @else {
            @if tied > 0 {
                code { "nightsweep confirm " (name) " --top " (tied + 1) " --seeds 10" } " to tell them apart, or take the simplest: "
            }
            code { "nightsweep export best --study " (name) " -o best/" } "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_has_an_interval_also_where_all_images_are_right() {
        let check = |share, images, expected| {
            let (low, high) = wilson(share, images);
            assert_eq!((format::metric(low), format::metric(high)), expected, "{share} of {images}");
        };
        let pair = |low: &str, high: &str| (low.to_owned(), high.to_owned());
        check(1.0, 56, pair("0.9358", "1.0000"));
        check(0.0, 56, pair("0.0000", "0.0642"));
        // Newcombe 1998, table I: 81 of 263 and 15 of 148.
        check(81.0 / 263.0, 263, pair("0.2553", "0.3662"));
        check(15.0 / 148.0, 148, pair("0.0624", "0.1605"));
    }
}
