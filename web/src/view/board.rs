//! The page of a study: who leads, how it went, and all trials.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use nightsweep_search::{Outlook, Params, TrialNumber, TrialState, race};
use nightsweep_store::{Board, Controller, Point, StudyRow, Summary, TrialRow};

use super::figures::brush;
use super::studies::status;
use super::{
    Morning, Page, badge, confirmation, direction_word, drawn, metric, morning, page, study_address, tabs,
    trial_address,
};
use crate::activity::Activity;
use crate::figure;
use crate::format::{self, STATES};
use crate::query::{BoardView, ParamColumn, columns};
use crate::spark;

/// What the page of a study shows.
pub(crate) struct BoardPage {
    pub study: StudyRow,
    pub summary: Summary,
    pub activity: Activity,
    /// What its controller expected of its time, and when.
    pub outlook: Option<(i64, Outlook)>,
    pub view: BoardView,
    pub board: Board,
    pub curves: BTreeMap<TrialNumber, Vec<(u64, f64)>>,
    pub history: Vec<Point>,
    /// What else the trials of this page measured last.
    pub metrics: BTreeMap<TrialNumber, BTreeMap<String, f64>>,
    /// What is wrong with the filter.
    pub mistake: Option<String>,
    /// Whether people may write here.
    pub writable: bool,
    /// Whether this process runs the study.
    pub led: bool,
    /// Trials to start in all, if its run has a number of them.
    pub wanted: Option<u64>,
    pub morning: Morning,
}

/// The leaderboard.
pub(crate) fn board(content: &BoardPage) -> Markup {
    let BoardPage { study, summary, .. } = content;
    let confirms = race::confirmed_by(&study.name).map(|(name, _)| name);
    let trail = html! { @match confirms {
        Some(name) => { a href=(study_address(name)) { (name) } span { "confirmation" } },
        None => span { (study.name) },
    } };
    let confirmation = content.morning.confirmation.as_ref();
    let columns = columns(&study.space);
    let markup = html! {
        div.headline #headline data-patch {
            h1 { (study.name) }
            (status(&content.activity))
            (tabs(study, "board"))
        }
        div #notice data-patch { (morning::notice(&content.activity)) }
        @if content.led { (super::actions::of_study(study, summary, content.wanted, end_ms(content))) }
        @if let Some(name) = confirms {
            p.unit { "The best trials of " a href=(study_address(name)) { (name) } ", trained again on fresh seeds: each trial here is one candidate on one seed. What follows from it stands on the page of that study." }
        } @else {
            section.panel #morning data-patch { (morning::answers(study, summary, &content.activity, &content.history, &content.morning)) }
        }
        div.glance #glance data-patch { (glance(study, summary)) }
        div #outlook data-patch {
            @if let (Some((at_ms, expected)), Controller::Open { .. }) = (&content.outlook, &summary.controller) {
                (super::outlook::outlook(*at_ms, expected))
            }
        }
        @if let Some(confirmation) = confirmation {
            section.panel #confirmation data-patch { (confirmation::section(study, confirmation)) }
        }
        section.panel #history data-patch {
            h2 { "Best so far" }
            (drawn("Values of all trials in the order of their ends, and the best so far", |size| {
                // More dots than a third of the pixels of the width only make the page heavy.
                let most = size.0 as usize / 3;
                figure::svg(&figure::history(&content.history, study.direction, "", most), size)
            }))
        }
        (brush(study))
        section #trials {
            (filter(content, &columns))
            div.under {
                (chooser(content, &columns))
                span.files #files data-patch {
                    @let rows = format!("/api/v1{}/trials", study_address(&study.name));
                    "export: "
                    a href={ (rows) ".csv" (content.view.at(0).address()) } download { "CSV" } " "
                    a href={ (rows) ".json" (content.view.at(0).address()) } download { "JSON" }
                }
                button.help type="button" aria-label="keyboard" { "?" }
            }
            (table(content, &columns))
            div #pages data-patch { (pages(content)) }
        }
        div #asked data-patch { (super::actions::asked(study, &content.morning.orders)) }
    };
    let markup = html! {
        (markup)
        (super::actions::selection(study))
        (super::actions::keys())
    };
    page(&study.name, Page::Board(&study.name), trail, markup)
}

/// When the run that leads the study was to end by its last plan, in milliseconds since 1970.
fn end_ms(content: &BoardPage) -> Option<i64> {
    let (at_ms, outlook) = content.outlook.as_ref()?;
    let is_open = matches!(content.summary.controller, Controller::Open { since_ms, .. } if since_ms <= *at_ms);
    is_open.then(|| super::outlook::end_ms(*at_ms, outlook))
}

fn glance(study: &StudyRow, summary: &Summary) -> Markup {
    let now = format::now_ms();
    let until = match &summary.controller {
        Controller::Open { .. } => Some(now),
        _ => summary.last_event_at_ms,
    };
    let wall = summary.started_at_ms.zip(until).map(|(start, end)| (end - start).max(0).cast_unsigned());
    html! {
        div.tile.lead {
            span.name { "Best " (study.metric) }
            @match &summary.best {
                Some(best) => {
                    a.figure href=(trial_address(&study.name, best.number)) { (metric(best.shown_value())) }
                    span.unit { "trial " (best.number) ", " (format::state(best.state).0) "; " (direction_word(study.direction)) }
                }
                None => { span.figure.none { "–" } span.unit { "no report yet; " (direction_word(study.direction)) } }
            }
        }
        div.tile {
            span.name { "Trials" }
            span.figure { (summary.counts.total()) }
            span.unit { (summary.counts.complete) " complete, " (summary.counts.running) " running" }
        }
        div.tile {
            span.name { "Elapsed" }
            span.figure { @match wall { Some(wall) => (format::duration(wall)), None => span.none { "–" } } }
            span.unit { @if let Some(start) = summary.started_at_ms { "since " (format::day_and_time(start)) } }
        }
        div.tile {
            span.name { "Training" }
            span.figure { (format::duration(summary.active_ms)) }
            span.unit { (summary.steps) " epochs in all trials" }
        }
    }
}

fn filter(content: &BoardPage, columns: &[ParamColumn]) -> Markup {
    let BoardPage { study, summary, view, .. } = content;
    let address = study_address(&study.name);
    let sorts = ["rank", "number", "value", "best", "steps", "time", "state", "speed", "memory", "device", "started"];
    html! {
        nav.states #states data-patch aria-label="Trials by state" {
            a.chip href={ (address) (BoardView { states: Vec::new(), offset: 0, ..view.clone() }.address()) }
                aria-current=[view.states.is_empty().then_some("true")] { "all " b { (summary.counts.total()) } }
            @for (state, word, sign) in STATES {
                @if summary.counts.of(state) > 0 || view.states.contains(&state) {
                    a class={ "chip " (word) } href={ (address) (view.only(state).address()) }
                        aria-current=[view.states.contains(&state).then_some("true")] {
                        span.sign aria-hidden="true" { (sign) } (word) " " b { (summary.counts.of(state)) }
                    }
                }
            }
        }
        form.filter method="get" action=(address) {
            @if !view.columns.is_empty() { input type="hidden" name="columns" value=(view.columns.join(",")); }
            @if !view.states.is_empty() {
                input type="hidden" name="state" value=(view.states.iter().map(|it| format::state(*it).0).collect::<Vec<_>>().join(","));
            }
            input.expression type="search" name="filter" value=(view.filter) aria-label="Filter"
                aria-invalid=[content.mistake.is_some().then_some("true")]
                placeholder={ "filter, as " (example(columns)) } spellcheck="false" autocapitalize="off";
            label { span { "sort by" }
                select name="sort" {
                    @for sort in sorts { option value=(sort) selected[view.sort == sort] { (sort) } }
                    @for column in columns {
                        option value=(column.label) selected[view.sort == column.label] { (column.label) }
                    }
                }
            }
            label { input type="checkbox" name="desc" value="1" checked[view.descending]; span { "descending" } }
            button { "Show" }
        }
        @if let Some(mistake) = &content.mistake {
            p.mistake role="alert" { (mistake) ". All trials are shown. A filter compares a parameter, or "
                code { "value" } ", " code { "state" } ", " code { "epochs" } ", " code { "seconds" } ", "
                code { "speed" } ", " code { "memory" } ", " code { "device" } ", " code { "cause" } ", " code { "note" } ", " code { "tag" } ", with a number or a word; comparisons are joined by "
                code { "and" } ", " code { "or" } ", " code { "not" } " and parentheses. Words in quotes alone are looked for in notes and tags." }
        }
    }
}

/// A filter that would work in this study.
fn example(columns: &[ParamColumn]) -> String {
    match columns.first() {
        Some(column) => format!("value > 0.5 and {} != …", column.label),
        None => "value > 0.5 and state = complete".to_owned(),
    }
}

/// A column that is not a parameter: its name in addresses, what its head says, its class, and whether it is shown unless
/// asked otherwise. What the store can sort by has its name there.
struct Column {
    name: &'static str,
    class: &'static str,
    shown: bool,
    sort: Option<&'static str>,
}

const fn column(name: &'static str, class: &'static str, shown: bool, sort: Option<&'static str>) -> Column {
    Column { name, class, shown, sort }
}

/// What trials measure under these names.
const SPEED: &str = "images_per_second";
const MEMORY: &str = "peak_memory_bytes";

const BEFORE: [Column; 5] = [
    column("rank", "number rank", true, Some("rank")),
    column("trial", "number trial", true, Some("number")),
    column("state", "state", true, Some("state")),
    column("value", "number value", true, Some("value")),
    column("curve", "curve", true, None),
];
const AFTER: [Column; 9] = [
    column("epochs", "number", true, Some("steps")),
    column("time", "number", true, Some("time")),
    column("device", "device", true, Some("device")),
    column("images/s", "number", true, Some("speed")),
    column("memory", "number", true, Some("memory")),
    column("best", "number", false, Some("best")),
    column("started", "number", false, Some("started")),
    column("tags", "tags", true, Some("tags")),
    column("note", "note", false, Some("note")),
];

/// All columns there are, each with whether it is shown now; the chosen ones first, in their order.
fn all_columns(content: &BoardPage, params: &[ParamColumn]) -> Vec<(String, bool)> {
    let chosen = &content.view.columns;
    let tags = content.board.trials.iter().any(|trial| !trial.tags.is_empty());
    let measured = |name: &str| content.metrics.values().any(|metrics| metrics.contains_key(name));
    // What no trial of the page has takes no place.
    let has_any = |name: &str| match name {
        "tags" => tags,
        "images/s" => measured(SPEED),
        "memory" => measured(MEMORY),
        _ => true,
    };
    let fixed = |row: &Column| (row.name.to_owned(), row.shown && has_any(row.name));
    let params = params.iter().map(|it| (it.label.clone(), true));
    let all: Vec<(String, bool)> = BEFORE.iter().map(fixed).chain(params).chain(AFTER.iter().map(fixed)).collect();
    if chosen.is_empty() {
        return all;
    }
    let rest = all.iter().filter(|(name, _)| !chosen.contains(name)).map(|(name, _)| (name.clone(), false));
    chosen.iter().map(|name| (name.clone(), true)).chain(rest).collect()
}

/// Whether every study has a column of that name.
pub(crate) fn is_fixed_column(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Column> {
    BEFORE.iter().chain(&AFTER).find(|row| row.name == name)
}

/// Which columns, and in which order: the address keeps it.
fn chooser(content: &BoardPage, params: &[ParamColumn]) -> Markup {
    let BoardPage { study, view, .. } = content;
    let others = BoardView { columns: Vec::new(), ..view.clone() };
    html! {
        details.chooser {
            summary { "Columns" }
            form method="get" action=(study_address(&study.name)) {
                @for (name, value) in form_urlencoded::parse(others.address().trim_start_matches('?').as_bytes()) {
                    input type="hidden" name=(name) value=(value);
                }
                ol {
                    @for (name, shown) in all_columns(content, params) {
                        li {
                            label { input type="checkbox" name="column" value=(name) checked[shown]; (name) }
                            button.up type="button" aria-label={ "move " (name) " forward" } { "↑" }
                        }
                    }
                }
                button { "Show these" }
                a href={ (study_address(&study.name)) (others.address()) } { "As it was" }
            }
        }
    }
}

fn table(content: &BoardPage, params: &[ParamColumn]) -> Markup {
    let BoardPage { study, view, board, .. } = content;
    let address = study_address(&study.name);
    let head = |sort: Option<&str>, label: &str, class: &str| {
        let current = sort == Some(&view.sort);
        let order = if view.descending { "descending" } else { "ascending" };
        html! {
            th scope="col" class=(class) aria-sort=[current.then_some(order)] {
                @if let Some(sort) = sort {
                    a href={ (address) (view.sorted_by(sort).address()) "#trials" } {
                        (label) @if current { span.order aria-hidden="true" { @if view.descending { "▼" } @else { "▲" } } }
                    }
                } @else { (label) }
            }
        }
    };
    let all = all_columns(content, params);
    let shown: Vec<&str> = all.iter().filter(|(_, shown)| *shown).map(|(name, _)| name.as_str()).collect();
    html! {
        div.scroll {
            table.board {
                thead { tr {
                    th.mark scope="col" { span.hidden { "selected" } }
                    @for name in &shown {
                        @match find(name) {
                            Some(row) if row.name == "value" => { (head(row.sort, &study.metric, "number")) }
                            Some(row) => { (head(row.sort, row.name, row.class)) }
                            None => { (head(Some(name), name, "")) }
                        }
                    }
                } }
                tbody #rows data-patch="rows" {
                    @for trial in &board.trials { (row(content, params, &shown, trial)) }
                    @if board.trials.is_empty() {
                        tr.empty #none { td colspan=(1 + shown.len()) {
                            @if content.summary.counts.total() == 0 { "No trial has started yet." }
                            @else { "No trial matches. " a href=(address) { "Show all" } }
                        } }
                    }
                }
            }
        }
    }
}

fn row(content: &BoardPage, params: &[ParamColumn], shown: &[&str], trial: &TrialRow) -> Markup {
    let (word, _) = format::state(trial.state);
    let won = trial.rank == Some(1) && trial.state == TrialState::Complete;
    html! {
        tr id={ "trial-" (trial.number) } class={ (word) @if won { " won" } @if trial.pinned { " pinned" } } {
            td.mark {
                input.select type="checkbox" value=(trial.number) aria-label={ "select trial " (trial.number) };
                @if content.writable {
                    button.star type="button" data-trial=(trial.number) aria-pressed=(trial.starred) aria-label={ "star trial " (trial.number) } { "★" }
                    button.pin type="button" data-trial=(trial.number) aria-pressed=(trial.pinned) aria-label={ "pin trial " (trial.number) } { "⚲" }
                } @else { @if trial.starred { "★" } }
            }
            @for name in shown { (cell(content, params, name, trial)) }
        }
    }
}

fn cell(content: &BoardPage, params: &[ParamColumn], name: &str, trial: &TrialRow) -> Markup {
    let Some(row) = find(name) else {
        let value = params.iter().find(|it| it.label == name).and_then(|it| value(&trial.params, it));
        return html! {
            td.param.off[value.is_none()] data-label=(name) {
                @match value { Some(text) => (text), None => span.none { "–" } }
            }
        };
    };
    let own = ["rank", "trial", "state", "value", "curve"].contains(&name);
    let measured = |name: &str| content.metrics.get(&trial.number).and_then(|metrics| metrics.get(name)).copied();
    html! {
        td class=(row.class) data-label=[(!own).then_some(row.name)] title=[(name == "device").then_some(trial.device.as_deref()).flatten()] {
            @match name {
                "rank" => { @match trial.rank { Some(rank) => (rank), None => span.none { "–" } } @if trial.violation > 0.0 && trial.shown_value().is_some() { " " abbr title="breaks a constraint of the study" { "!" } } },
                "trial" => a href=(trial_address(&content.study.name, trial.number)) { (trial.number) },
                "state" => { (badge(trial.state)) @if let Some(cause) = trial.cause { span.cause { (format::cause(cause)) } } },
                "value" => { (metric(trial.shown_value())) (confirmation::mark(content.morning.confirmation.as_ref(), trial.number)) },
                "curve" => (spark(content, trial)),
                "epochs" => (trial.steps),
                "time" => (format::duration(trial.active_ms_at(format::now_ms()))),
                "device" => @match &trial.slot { Some(slot) => (slot), None => span.none { "–" } },
                "images/s" => @match measured(SPEED) { Some(it) => (format::short(it)), None => span.none { "–" } },
                "memory" => @match measured(MEMORY) { Some(it) => { (format::short(it / f64::from(1 << 20))) " MiB" }, None => span.none { "–" } },
                "best" => (metric(trial.best_value)),
                "started" => (format::day_and_time(trial.started_at_ms)),
                "tags" => @for tag in &trial.tags { span.tag { (tag) } },
                _ => (trial.note.lines().next().unwrap_or_default()),
            }
        }
    }
}

fn value(params: &Params, column: &ParamColumn) -> Option<String> {
    column.names.iter().find_map(|name| params.get(name)).map(format::param)
}

fn spark(content: &BoardPage, trial: &TrialRow) -> Markup {
    let all = || content.curves.values().flatten();
    let last = all().map(|(step, _)| *step).max().unwrap_or(1);
    let (low, high) =
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    let Some(curve) = content.curves.get(&trial.number) else { return html! {} };
    let points = spark::points(curve, last, low, high);
    let end = points.rsplit(' ').next().and_then(|point| point.split_once(','));
    html! {
        svg.spark viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true" {
            polyline points=(points) {}
            @if let Some((x, y)) = end { circle cx=(x) cy=(y) r="1.8" {} }
        }
    }
}

fn pages(content: &BoardPage) -> Markup {
    let BoardPage { study, view, board, .. } = content;
    let address = study_address(&study.name);
    let shown = board.trials.len() as u64;
    let limit = u64::from(view.limit);
    html! {
        nav.pages aria-label="Pages" {
            @if shown > 0 {
                span { (view.offset + 1) "–" (view.offset + shown) " of " (board.matching) }
            } @else { span { (PreEscaped("0&nbsp;of&nbsp;")) (board.matching) } }
            @if view.offset > 0 {
                a href={ (address) (view.at(view.offset.saturating_sub(limit)).address()) "#trials" } rel="prev" { "← previous" }
            }
            @if view.offset + shown < board.matching {
                a href={ (address) (view.at(view.offset + limit).address()) "#trials" } rel="next" { "next →" }
            }
        }
    }
}
