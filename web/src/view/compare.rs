//! Two to ten trials side by side.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use nightsweep_search::TrialNumber;
use nightsweep_store::{StudyRow, TrialRow};

use super::{Page, badge, page, study_address, trial_address};
use crate::confirmation::Confirmation;
use crate::figure::{COMPARED, SERIES};
use crate::format;

/// What the page shows.
pub(crate) struct ComparePage {
    pub study: StudyRow,
    pub trials: Vec<TrialRow>,
    /// What each measured last.
    pub metrics: BTreeMap<TrialNumber, BTreeMap<String, f64>>,
    pub confirmation: Option<Confirmation>,
    pub now_ms: i64,
}

/// Curves over one another, and what differs.
pub(crate) fn compare(content: &ComparePage) -> Markup {
    let ComparePage { study, trials, .. } = content;
    let address = study_address(&study.name);
    let trail = html! { a href=(&address) { (study.name) } span { "compare" } };
    let numbers: Vec<String> = trials.iter().map(|trial| trial.number.to_string()).collect();
    let markup = html! {
        div.headline { h1 { "Trials " (numbers.join(", ")) } }
        @if trials.len() < 2 {
            section.notice {
                p { "Select two to " (COMPARED) " trials on the " a href=(&address) { "board" } " (" kbd { "x" } ") and compare them (" kbd { "c" } ")." }
            }
        } @else {
            section.panel data-figure={ "/api/v1" (address) "/compare?trials=" (numbers.join(",")) } {
                h2 { "Curves" }
                div.area { p.none { "Loading…" } }
            }
            section.panel { h2 { "Parameters and results" span.unit { "rows that differ are marked" } } (table(content)) }
        }
    };
    page("Compare", Page::Compare(&study.name), trail, markup)
}

fn table(content: &ComparePage) -> Markup {
    let ComparePage { study, trials, metrics, confirmation, now_ms } = content;
    let row = |name: &str, cells: Vec<Option<String>>| {
        let differs = cells.windows(2).any(|pair| pair[0] != pair[1]);
        html! {
            tr.differs[differs] {
                th scope="row" { (name) @if differs { span.hidden { " differs" } } }
                @for cell in cells { td { @match cell { Some(text) => (text), None => span.none { "–" } } } }
            }
        }
    };
    let of = |cell: &dyn Fn(&TrialRow) -> Option<String>| trials.iter().map(cell).collect::<Vec<_>>();
    let names: BTreeSet<&String> =
        metrics.values().flat_map(|it| it.keys()).filter(|it| **it != study.metric).collect();
    html! {
        div.sideways { table.plain.compare {
            thead { tr { th {} @for (trial, colour) in trials.iter().zip(SERIES.iter().cycle()) {
                th scope="col" { span class={ "key " (format!("{colour:?}").to_lowercase()) } {} a href=(trial_address(&study.name, trial.number)) { "trial " (trial.number) } " " (badge(trial.state)) }
            } } }
            tbody {
                (row(&study.metric, of(&|it| it.shown_value().map(format::metric))))
                @if let Some(confirmation) = confirmation {
                    @let cells = of(&|it| fresh(confirmation, it.number));
                    @if cells.iter().any(Option::is_some) { (row("on fresh seeds", cells)) }
                }
                (row("rank", of(&|it| it.rank.map(|rank| rank.to_string()))))
                (row("best report", of(&|it| it.best_value.map(format::metric))))
                @for parameter in &study.space.0 {
                    @let cells = of(&|it| it.params.get(&parameter.name).map(ToString::to_string));
                    @if cells.iter().any(Option::is_some) { (row(&parameter.name, cells)) }
                }
                (row("epochs", of(&|it| Some(it.steps.to_string()))))
                (row("training", of(&|it| Some(format::duration(it.active_ms_at(*now_ms))))))
                @for name in names {
                    (row(name, of(&|it| metrics.get(&it.number)?.get(name.as_str()).map(|value| format::short(*value)))))
                }
                (row("tags", of(&|it| (!it.tags.is_empty()).then(|| it.tags.join(", ")))))
            }
        } }
    }
}

/// The mean on fresh seeds with its interval, and how many seeds.
fn fresh(confirmation: &Confirmation, trial: TrialNumber) -> Option<String> {
    let standing = confirmation.standing(trial).filter(|standing| !standing.values.is_empty())?;
    let mean = format::interval(&confirmation.metric, standing.mean()?, standing.half_width);
    Some(format!("{mean} (n = {})", standing.values.len()))
}
