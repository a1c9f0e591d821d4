//! The page of a study: who leads, how it went, and all trials.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use nightsweep_search::{Params, TrialNumber, TrialState};
use nightsweep_store::{Board, Controller, Point, StudyRow, Summary, TrialRow};

use super::figures::brush;
use super::studies::status;
use super::{Page, badge, direction_word, drawn, metric, page, study_address, tabs, trial_address};
use crate::figure;
use crate::format::{self, STATES};
use crate::query::{BoardView, ParamColumn, columns};
use crate::spark;

/// What the page of a study shows.
pub(crate) struct BoardPage {
    pub study: StudyRow,
    pub summary: Summary,
    pub view: BoardView,
    pub board: Board,
    pub curves: BTreeMap<TrialNumber, Vec<(u64, f64)>>,
    pub history: Vec<Point>,
    /// What is wrong with the filter.
    pub mistake: Option<String>,
}

/// The leaderboard.
pub(crate) fn board(content: &BoardPage) -> Markup {
    let BoardPage { study, summary, .. } = content;
    let trail = html! { span { (study.name) } };
    let columns = columns(&study.space);
    let content = html! {
        div.headline #headline data-patch {
            h1 { (study.name) }
            (status(&summary.controller))
            (tabs(study, "board"))
        }
        div.glance #glance data-patch { (glance(study, summary)) }
        section.panel #history data-patch {
            h2 { "Best so far"
                span.legend {
                    span { i.c0 {} "complete" } span { i.ring {} "not to its end" } span { i.line.c1 {} "best complete" } }
            }
            (drawn("Values of all trials in the order of their ends, and the best so far", |size| {
                figure::svg(&figure::history(&content.history, study.direction, ""), size)
            }))
        }
        (brush(study))
        section #trials {
            (filter(content, &columns))
            (table(content, &columns))
            div #pages data-patch { (pages(content)) }
        }
    };
    page(&study.name, Page::Board(&study.name), trail, content)
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
    let sorts = ["rank", "number", "value", "steps", "time", "state"];
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
                code { "cause" } ", with a number or a word; comparisons are joined by "
                code { "and" } ", " code { "or" } ", " code { "not" } " and parentheses." }
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

fn table(content: &BoardPage, columns: &[ParamColumn]) -> Markup {
    let BoardPage { study, view, board, .. } = content;
    let address = study_address(&study.name);
    let head = |sort: &str, label: &str, class: &str| {
        let current = view.sort == sort;
        let order = if view.descending { "descending" } else { "ascending" };
        html! {
            th scope="col" class=(class) aria-sort=[current.then_some(order)] {
                a href={ (address) (view.sorted_by(sort).address()) "#trials" } {
                    (label) @if current { span.order aria-hidden="true" { @if view.descending { "▼" } @else { "▲" } } }
                }
            }
        }
    };
    html! {
        div.scroll {
            table.board {
                thead { tr {
                    (head("rank", "rank", "number"))
                    (head("number", "trial", "number"))
                    (head("state", "state", ""))
                    (head("value", &study.metric, "number"))
                    th scope="col" { "curve" }
                    @for column in columns { (head(&column.label, &column.label, "")) }
                    (head("steps", "epochs", "number"))
                    (head("time", "time", "number"))
                    th scope="col" { "device" }
                } }
                tbody #rows data-patch="rows" {
                    @for trial in &board.trials { (row(content, columns, trial)) }
                    @if board.trials.is_empty() {
                        tr.empty #none { td colspan=(8 + columns.len()) {
                            @if content.summary.counts.total() == 0 { "No trial has started yet." }
                            @else { "No trial matches. " a href=(address) { "Show all" } }
                        } }
                    }
                }
            }
        }
    }
}

fn row(content: &BoardPage, columns: &[ParamColumn], trial: &TrialRow) -> Markup {
    let (word, _) = format::state(trial.state);
    let address = trial_address(&content.study.name, trial.number);
    let won = trial.rank == Some(1) && trial.state == TrialState::Complete;
    html! {
        tr id={ "trial-" (trial.number) } class={ (word) @if won { " won" } } {
            td.number.rank { @match trial.rank { Some(rank) => (rank), None => span.none { "–" } } }
            td.number.trial { a href=(address) { (trial.number) } }
            td.state { (badge(trial.state)) @if let Some(cause) = trial.cause { span.cause { (format::cause(cause)) } } }
            td.number.value { (metric(trial.shown_value())) }
            td.curve { (spark(content, trial)) }
            @for column in columns {
                @let value = value(&trial.params, column);
                td.param.off[value.is_none()] data-label=(column.label) {
                    @match value { Some(text) => (text), None => span.none { "–" } }
                }
            }
            td.number data-label="epochs" { (trial.steps) }
            td.number data-label="time" { (format::duration(trial.active_ms_at(format::now_ms()))) }
            td.device data-label="device" title=[trial.device.as_deref()] {
                @match &trial.slot { Some(slot) => (slot), None => span.none { "–" } }
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
