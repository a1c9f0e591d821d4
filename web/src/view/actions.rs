//! What people can do on the pages: notes and tags, and orders to the process that runs the study.

use maud::{Markup, PreEscaped, html};
use nightsweep_search::{Event, Order, ParamValue, TrialState};
use nightsweep_store::{Entry, StudyRow, Summary, TrialRow};

use super::{study_address, trial_address};
use crate::format;

/// Orders on the page of a study, the latest.
const SHOWN: usize = 20;
/// Trials more than those that are wanted, which a field offers.
const MORE: u64 = 10;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// Keys of the board and what they do.
const KEYS: [(&str, &str); 10] = [
    ("/", "write a filter"),
    ("j", "next trial"),
    ("k", "trial before"),
    ("Enter", "open the trial"),
    ("x", "select the trial"),
    ("c", "compare the selected trials"),
    ("s", "star it"),
    ("p", "pin it to the top"),
    ("Esc", "leave the field, or select none"),
    ("?", "these keys"),
];

/// How many trials are selected, and what can be done with them.
pub(super) fn selection(study: &StudyRow) -> Markup {
    html! {
        div.selection #selection hidden role="status" {
            span {}
            a.button href={ (study_address(&study.name)) "/compare" } { "Compare" }
            button.clear type="button" { "Select none" }
        }
    }
}

/// The help of the keyboard.
pub(super) fn keys() -> Markup {
    html! {
        dialog #keys aria-label="Keyboard" {
            h2 { "Keyboard" }
            table.plain { tbody { @for (key, what) in KEYS { tr { th scope="row" { kbd { (key) } } td { (what) } } } } }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// What can be asked of a study while it runs; of the trials it starts in all and of its end, in milliseconds since 1970,
/// if it has them. What a field offers takes nothing away from a study when it is sent as it is.
pub(super) fn of_study(study: &StudyRow, summary: &Summary, wanted: Option<u64>, end_ms: Option<i64>) -> Markup {
    let address = orders(study);
    let begun = summary.counts.total();
    let more = wanted.map(|wanted| wanted.max(begun) + MORE);
    html! {
        div.orders data-orders=(address) {
            button type="button" data-order="hold" { "Pause the study" }
            button type="button" data-order="release" { "Go on" }
            form.extend {
                label { "trials in all "
                    input name="trials" type="number" min=(begun) value=[more] placeholder="no limit" required; }
                button { @if wanted.is_some() { "Extend" } @else { "Limit" } }
            }
            @if let Some(end_ms) = end_ms {
                form.deadline {
                    (until(end_ms - format::now_ms()))
                    button { "Move the end" }
                }
            }
            span.answer role="status" {}
        }
    }
}

/// How long it goes on: in hours, or in minutes at the end; rounded up, so that it does not end at once.
fn until(left_ms: i64) -> Markup {
    let tenths = (left_ms as f64 / HOUR_MS as f64 * 10.0).ceil();
    let minutes = (left_ms as f64 / MINUTE_MS as f64).ceil().max(1.0);
    html! {
        @if left_ms >= HOUR_MS {
            label { "hours until the end "
                input name="hours" type="number" min="0" max="8784" step="any" value=(format!("{:.1}", tenths / 10.0)) required; }
        } @else {
            label { "minutes until the end "
                input name="minutes" type="number" min="0" max="527040" step="any" value=(minutes) required; }
        }
    }
}

/// What an order asks for, after "asked to".
pub(super) fn words(order: &Order) -> String {
    match order {
        Order::Stop { trial } => format!("stop trial {trial}"),
        Order::Pause { trial } => format!("pause trial {trial}"),
        Order::Resume { trial } => format!("resume trial {trial}"),
        Order::Finish { trial } => format!("train trial {trial} to its end"),
        Order::Retry { trial } => format!("try trial {trial} again"),
        Order::Enqueue { .. } => "try a point".to_owned(),
        Order::Hold => "pause the study".to_owned(),
        Order::Release => "go on with the study".to_owned(),
        Order::Extend { trials } => format!("start {trials} trials in all"),
        Order::Deadline { in_seconds } => {
            format!("be over in {}", format::duration(in_seconds.saturating_mul(1000)))
        }
    }
}

/// What people asked for last, the latest first.
pub(super) fn asked(study: &StudyRow, orders: &[Entry]) -> Markup {
    html! {
        @if !orders.is_empty() {
            details.asked {
                summary { "What people asked for" }
                ol.timeline { @for entry in orders.iter().take(SHOWN) { @if let Event::Ordered { by, order } = &entry.event {
                    li { time title=(format::day_and_time(entry.at_ms)) { (format::time(entry.at_ms)) }
                        span { (by) " asked to "
                            @match order.trial() {
                                Some(trial) => a href=(trial_address(&study.name, trial)) { (words(order)) },
                                None => (words(order)),
                            }
                        } }
                } } }
            }
        }
    }
}

fn orders(study: &StudyRow) -> String {
    format!("/api/v1{}/orders", study_address(&study.name))
}

/// The note as HTML in which nothing runs and nothing is fetched.
pub(crate) fn markdown(text: &str) -> PreEscaped<String> {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(text));
    PreEscaped(ammonia::Builder::default().rm_tags(["img"]).clean(&html).to_string())
}

/// Note, tags and marks of a trial.
pub(super) fn note(study: &StudyRow, trial: &TrialRow, writable: bool) -> Markup {
    let address = format!("/api/v1{}/trials/{}/annotations", study_address(&study.name), trial.number);
    html! {
        section.panel #note data-patch {
            h2 { "Note" }
            @if trial.note.is_empty() { p.none { "Nobody wrote anything yet." } } @else { div.note { (markdown(&trial.note)) } }
            p { @for tag in &trial.tags { span.tag { (tag) } } }
            @if writable {
                details {
                    summary { "Write" }
                    form.annotate data-annotations=(address) {
                        label { "Note, as Markdown" textarea name="note" rows="4" maxlength="20000" { (trial.note) } }
                        label { "Tags, with commas between" input name="tags" value=(trial.tags.join(", ")) maxlength="500"; }
                        label { "Your name" input name="by" maxlength="60"; }
                        button { "Keep" }
                        span.answer role="status" {}
                    }
                }
            } @else { p.unit { "This page is read-only." } }
        }
    }
}

/// What can be asked about a trial while its study runs.
pub(super) fn of_trial(study: &StudyRow, trial: &TrialRow, led: bool) -> Markup {
    use TrialState::{Paused, Running, Waiting};
    let finished = trial.state.is_finished();
    let buttons = [
        ("pause", "Pause", matches!(trial.state, Running | Waiting)),
        ("resume", "Resume", trial.state == Paused),
        ("stop", "Stop for good", !finished),
        ("retry", "Try again", finished),
    ];
    html! {
        @if led {
            div.orders #orders data-patch data-orders=(orders(study)) data-trial=(trial.number) {
                @for (order, label, fits) in buttons {
                    @if fits { button type="button" data-order=(order) { (label) } }
                }
                span.answer role="status" {}
            }
            details.panel {
                summary { "Try it with changes" }
                form.enqueue data-orders=(orders(study)) {
                    @for parameter in &study.space.0 {
                        label { (parameter.name)
                            input name=(parameter.name) value=[trial.params.get(&parameter.name).map(exact)]; }
                    }
                    p.unit { "A field that is left empty is a parameter that the trial does not have." }
                    button { "Try next" }
                    span.answer role="status" {}
                }
            }
        } @else if !finished {
            p.unit { "Trials are stopped, paused and tried again on the page of the process that runs the study." }
        }
    }
}

fn exact(value: &ParamValue) -> String {
    match value {
        ParamValue::Float(value) => format!("{value:?}"),
        other => format::param(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_markdown_without_anything_that_acts() {
        let check = |text: &str, expected: &str| assert_eq!(markdown(text).0.trim(), expected);
        check("**good** `lr`", "<p><strong>good</strong> <code>lr</code></p>");
        check("<script>alert(1)</script>x", "x");
        check("<b onclick=alert(1)>x</b>", "<p><b>x</b></p>");
        check("[x](javascript:alert(1))", "<p><a rel=\"noopener noreferrer\">x</a></p>");
        check("![x](http://evil.example/pixel)", "<p></p>");
        check("<style>*{display:none}</style>", "");
    }
}
