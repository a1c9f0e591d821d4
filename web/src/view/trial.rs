//! The page of a trial: how it went, what it trained with, and what happened to it.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};
use nightsweep_search::{Annotation, Event, PauseReason};
use nightsweep_store::{Assignment, AttemptProvenance, Entry, LogLine, Report, StudyRow, TrialRow};

use super::lineage::{self, Lineage};
use super::recipe::{self, Recipes};
use super::{Page, actions, badge, confirmation, metric, page, pictures, policy, provenance, trial_address};
use crate::confirmation::Confirmation;
use crate::figure::{self, Axis, Kind, Mark, Panel, SERIES};
use crate::files::Seen;
use crate::format;

/// Size of a panel; a quarter of a wide page, all of a narrow one.
const PANEL: (u32, u32) = (320, 190);

/// What the page of a trial shows.
pub(crate) struct TrialPage {
    pub study: StudyRow,
    pub trial: TrialRow,
    /// The winner: the confirmed one, or the best trial.
    pub best: Option<TrialRow>,
    pub best_recipe: Option<String>,
    pub confirmation: Option<Confirmation>,
    /// What its worker left.
    pub seen: Seen,
    /// Number of the latest trial.
    pub last: u64,
    /// Whom it comes from and who came from it.
    pub lineage: Lineage,
    pub recipe: Option<String>,
    pub reports: Vec<Report>,
    pub assignments: Vec<Assignment>,
    /// What each attempt ran on and with.
    pub provenance: Vec<AttemptProvenance>,
    pub events: Vec<Entry>,
    pub log: Vec<LogLine>,
    /// Whether people may write here.
    pub writable: bool,
    /// Whether this process runs the study.
    pub led: bool,
}

/// All that is known of a trial.
pub(crate) fn trial(content: &TrialPage) -> Markup {
    let TrialPage { study, trial, .. } = content;
    let number = trial.number.0;
    let trail = html! { (super::trail(&study.name)) span { "trial " (number) } };
    let winner = content.best.as_ref().filter(|best| best.number != trial.number);
    let recipes =
        Recipes { own: content.recipe.as_deref(), winner: winner.map(|best| (best, content.best_recipe.as_deref())) };
    let content = html! {
        div.headline #headline data-patch {
            h1 { "Trial " (number) }
            (badge(trial.state))
            @if let Some(cause) = trial.cause { span.cause { (format::cause(cause)) } }
            nav.step aria-label="Trials" {
                @if number > 0 { a href=(trial_address(&study.name, number - 1)) rel="prev" { "← " (number - 1) } }
                @if number < content.last { a href=(trial_address(&study.name, number + 1)) rel="next" { (number + 1) " →" } }
            }
        }
        div.glance #glance data-patch { (glance(study, trial)) }
        (actions::of_trial(study, trial, content.led))
        div #confirmed data-patch {
            @if let Some(it) = &content.confirmation { (confirmation::sentence(study, it, trial.number)) }
        }
        @if let Some(message) = &trial.message { p.mistake { (message) } }
        div.panels #curves data-patch { (curves(content)) }
        (recipe::recipe(study, trial, &recipes))
        @if let Some(text) = &content.recipe { (policy::policy(text)) }
        (pictures::pictures(study, trial, &content.seen))
        div.columns {
            section.panel #timeline data-patch { h2 { "What happened" } (timeline(content)) }
            div.stack {
                (lineage::lineage(&study.name, &content.lineage))
                (actions::note(study, trial, content.writable))
                @if let Some(state) = &content.seen.checkpoint {
                    section.panel #checkpoint data-patch { h2 { "Checkpoint" } (pictures::checkpoint(state)) }
                }
            }
        }
        (provenance::provenance(&content.provenance))
        section.panel #log data-patch { h2 { "Log" } (log(&content.log)) }
    };
    page(&format!("Trial {number} of {}", study.name), Page::Trial(&study.name), trail, content)
}

fn glance(study: &StudyRow, trial: &TrialRow) -> Markup {
    html! {
        div.tile.lead {
            span.name { (study.metric) }
            span.figure { (metric(trial.shown_value())) }
            span.unit { @match trial.rank { Some(rank) => { "rank " (rank) }, None => "without a rank" } }
        }
        div.tile {
            span.name { "Best report" }
            span.figure { (metric(trial.best_value)) }
            span.unit { @if let Some(step) = trial.best_step { "epoch " (step) } @else { "no report yet" } }
        }
        div.tile {
            span.name { "Epochs" }
            span.figure { (trial.steps) }
            span.unit { (trial.attempt) @if trial.attempt == 1 { " attempt" } @else { " attempts" } }
        }
        div.tile {
            span.name { "Training" }
            span.figure { (format::duration(trial.active_ms_at(format::now_ms()))) }
            span.unit { @match (&trial.slot, &trial.device) {
                (Some(slot), Some(device)) => { (slot) ", " (device) },
                _ => { "since " (format::day_and_time(trial.started_at_ms)) },
            } }
        }
    }
}

/// One figure for the study's metric and its siblings, one for the losses, one for each other measure.
fn curves(content: &TrialPage) -> Markup {
    let TrialPage { study, reports, .. } = content;
    let names: BTreeSet<&str> = reports.iter().flat_map(|report| report.metrics.keys().map(String::as_str)).collect();
    let stem = |name: &str| ["train_", "val_"].iter().find_map(|it| name.strip_prefix(it)).unwrap_or(name).to_owned();
    let mut panels: Vec<(String, Vec<&str>)> = vec![(stem(&study.metric), vec![&study.metric])];
    for name in names {
        if name == study.metric {
            continue;
        }
        match panels.iter_mut().find(|(known, _)| *known == stem(name)) {
            Some((_, names)) => names.push(name),
            None => panels.push((stem(name), vec![name])),
        }
    }
    // What is looked at first stands first.
    panels[1..].sort_by_key(|(title, _)| match title.as_str() {
        "loss" => 0,
        "lr" => 1,
        _ => 2,
    });
    let values = |name: &str| -> Vec<(u64, f64)> {
        let of = |report: &Report| if name == study.metric { report.value } else { report.metrics.get(name).copied() };
        reports.iter().filter_map(|report| Some((report.step, of(report)?))).collect()
    };
    let breaks = breaks(&content.events);
    let (asked, lost): (Vec<&Break>, Vec<&Break>) = breaks.iter().partition(|it| !it.lost);
    html! {
        @if reports.is_empty() { section.panel { h2 { "Curves" } p.none { "No report yet." } } }
        @if !breaks.is_empty() { p.breaks { @for it in &breaks {
            span { i.dashed.lost[it.lost] {} (it.text) }
        } } }
        @for (title, names) in panels {
            @let lines: Vec<_> = names.iter().map(|name| values(name)).collect();
            @if let Some(svg) = figure::svg(&over_epochs(&lines, &breaks), PANEL) {
                section.panel {
                    h2 { (title) span.legend {
                        @if names.len() > 1 || names[0] != title {
                            @for (place, name) in names.iter().enumerate() {
                                span { i class={ "line c" (place % 5) } {} (name) }
                            }
                        }
                        @if !asked.is_empty() { span { i.dashed {} "paused" } }
                        @if !lost.is_empty() { span { i.dashed.lost {} "worker lost" } }
                    } }
                    div.plot role="img" aria-label={ (title) " by epoch" } { (PreEscaped(svg)) }
                }
            }
        }
    }
}

/// Where a trial was taken from its worker.
struct Break {
    /// Epochs done then.
    step: u64,
    /// Whether its worker went away.
    lost: bool,
    text: String,
}

/// Every pause and every lost worker, with the attempt that went on.
fn breaks(events: &[Entry]) -> Vec<Break> {
    let (mut step, mut breaks) = (0, Vec::<Break>::new());
    for entry in events {
        let (lost, why) = match &entry.event {
            Event::Reported { step: done, .. } => {
                step = *done;
                continue;
            }
            Event::Resumed { attempt, .. } => {
                if let Some(last) = breaks.last_mut() {
                    last.text = format!("{}, attempt {attempt} went on at {}", last.text, format::time(entry.at_ms));
                }
                continue;
            }
            Event::Paused { reason: PauseReason::Rung, .. } => (false, "paused at a rung"),
            Event::Paused { reason: PauseReason::Asked, .. } => (false, "paused, as somebody asked"),
            Event::Paused { reason: PauseReason::Interrupted, .. } => (false, "paused with the study"),
            Event::Requeued { .. } => (true, "its worker was lost"),
            _ => continue,
        };
        breaks.push(Break { step, lost, text: format!("after epoch {step} {why}") });
    }
    breaks
}

/// Lines by step, and a broken one where the trial was taken from its worker.
fn over_epochs(lines: &[Vec<(u64, f64)>], breaks: &[Break]) -> Panel {
    let points = || lines.iter().flatten();
    let last = points().map(|(step, _)| *step).max().unwrap_or(1) as f64;
    let x = Axis { label: String::new(), kind: Kind::Whole, low: 0.5, high: last + 0.5 };
    let y = Axis::over("", Kind::Linear, points().map(|(_, value)| *value));
    let line = |x, y, colour, dashed| Mark::Line { name: String::new(), x, y, trial: None, colour, dashed };
    let (low, high) = (y.low, y.high);
    let resumed = breaks.iter().map(|it| {
        let (at, colour) = (it.step as f64 + 0.5, if it.lost { figure::Colour::Orange } else { figure::Colour::Grey });
        line(vec![at, at], vec![low, high], colour, true)
    });
    let drawn = lines.iter().filter(|line| !line.is_empty()).zip(SERIES.iter().cycle()).map(|(points, colour)| {
        let (x, y) = points.iter().map(|(step, value)| (*step as f64, *value)).unzip();
        line(x, y, *colour, false)
    });
    Panel { title: String::new(), note: String::new(), x, y, marks: resumed.chain(drawn).collect(), scale: None }
}

/// Reports between two other events stand as one line.
fn timeline(content: &TrialPage) -> Markup {
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut reports: Option<(u64, u64)> = None;
    for entry in &content.events {
        if let Event::Reported { step, .. } = entry.event {
            match &mut reports {
                Some((_, last)) => {
                    *last = step;
                    lines.pop();
                }
                None => reports = Some((step, step)),
            }
            let (first, last) = reports.unwrap_or((step, step));
            let text = if first == last {
                format!("reported epoch {first}")
            } else {
                format!("reported epochs {first} to {last}")
            };
            lines.push((entry.at_ms, text));
        } else {
            reports = None;
            lines.push((entry.at_ms, told(&entry.event, &content.assignments)));
        }
    }
    html! {
        ol.timeline {
            @for (at_ms, text) in lines {
                li { time title=(format::day_and_time(at_ms)) { (format::time(at_ms)) } span { (text) } }
            }
        }
    }
}

fn told(event: &Event, assignments: &[Assignment]) -> String {
    let place = |attempt: u32| match assignments.iter().find(|it| it.attempt == attempt) {
        Some(it) => format!(" on {} ({}), process {}", it.slot, it.device, it.pid),
        None => String::new(),
    };
    match event {
        Event::Started { .. } => format!("started{}", place(1)),
        Event::Forked { origin, .. } => {
            format!("forked from trial {} after epoch {}{}", origin.parent, origin.epoch, place(1))
        }
        Event::Resumed { attempt, .. } => format!("resumed as attempt {attempt}{}", place(attempt.0)),
        Event::Paused { reason: PauseReason::Rung, .. } => "paused at a rung".to_owned(),
        Event::Paused { reason: PauseReason::Asked, .. } => "paused, as somebody asked".to_owned(),
        Event::Paused { reason: PauseReason::Interrupted, .. } => "paused, as the study was stopped".to_owned(),
        Event::Requeued { message, cause: Some(cause), .. } => {
            format!("back to the queue, {}: {message}", format::cause(*cause))
        }
        Event::Requeued { message, .. } => format!("back to the queue: {message}"),
        Event::Completed { value, .. } => format!("complete with {}", format::metric(*value)),
        Event::Pruned { .. } => "pruned".to_owned(),
        Event::Failed { cause, message, .. } => format!("failed, {}: {message}", format::cause(*cause)),
        Event::Fenced { attempt, message, .. } => format!("ignored a message of attempt {attempt}: {message}"),
        Event::Reported { step, .. } => format!("reported epoch {step}"),
        Event::Annotated { by, change, .. } => format!(
            "{by} {}",
            match change {
                Annotation::Note(text) if text.is_empty() => "took the note away".to_owned(),
                Annotation::Note(_) => "wrote a note".to_owned(),
                Annotation::Tags(tags) => format!("tagged it: {}", tags.join(", ")),
                Annotation::Pinned(true) => "pinned it".to_owned(),
                Annotation::Pinned(false) => "unpinned it".to_owned(),
                Annotation::Starred(true) => "starred it".to_owned(),
                Annotation::Starred(false) => "took the star away".to_owned(),
            }
        ),
        Event::Ordered { by, order } => format!("{by} asked to {}", actions::words(order)),
        Event::Opened { .. } | Event::Enqueued { .. } | Event::Imported { .. } => String::new(),
        Event::Planned { .. } | Event::Closed { .. } => String::new(),
    }
}

fn log(lines: &[LogLine]) -> Markup {
    html! {
        @if lines.is_empty() { p.none { "Nothing was logged." } }
        @else {
            ol.log tabindex="0" {
                @for line in lines {
                    li class=(line.level) {
                        time { (format::time(line.at_ms)) } span.level { (line.level) } span { (line.text) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_epochs_says_its_scale() {
        let check = |epochs: u64, expected: &[&str]| {
            let curve = (1..=epochs).map(|epoch| (epoch, 0.5)).collect();
            let svg = figure::svg(&over_epochs(&[curve], &[]), PANEL).unwrap();
            let before = svg.rsplit_once("</text>").unwrap().0;
            let texts: Vec<&str> =
                before.split("</text>").filter_map(|it| it.rsplit('>').next()).map(str::trim).collect();
            assert!(texts.ends_with(expected), "{texts:?}");
        };
        check(9, &["2", "4", "6", "8"]);
        check(2, &["1", "2"]);
        check(27, &["10", "20"]);
    }
}
