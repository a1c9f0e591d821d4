//! The JSON API. Times are milliseconds since 1970, durations milliseconds.

use axum::Json;
use axum::extract::{Path, State};
use nightsweep_store::{
    Assignment, AttemptProvenance, Board, Entry, LogLine, Report, Seq, StateCounts, Store, StudyRow, Summary, TrialRow,
};
use serde::{Deserialize, Serialize};

use super::{study_named, trial_of};
use crate::error::{ApiError, Pairs};
use crate::query::BoardView;

/// Studies in one answer, and as many as a client may ask for.
const STUDIES: (usize, usize) = (100, 1000);
/// Events in one answer; a client asks again after the last.
const EVENTS: u32 = 10_000;
/// Log lines in one answer, the latest.
const LOG_LINES: u32 = 1_000;

#[derive(Serialize)]
pub(crate) struct StudyList {
    studies: Vec<StudyEntry>,
    /// All there are.
    matching: usize,
}

/// Which part of a list.
#[derive(Deserialize)]
pub(crate) struct Slice {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct StudyEntry {
    #[serde(flatten)]
    study: StudyRow,
    counts: StateCounts,
    best_value: Option<f64>,
}

/// The studies, the latest first.
pub(super) async fn list_studies(
    State(store): State<Store>,
    Pairs(Slice { offset, limit }): Pairs<Slice>,
) -> Result<Json<StudyList>, ApiError> {
    let mut studies = Vec::new();
    let all = store.studies().await?;
    let (matching, limit) = (all.len(), limit.unwrap_or(STUDIES.0).clamp(1, STUDIES.1));
    for study in all.into_iter().skip(offset).take(limit) {
        let summary = store.summary(study.id).await?;
        let best_value = summary.best.and_then(|trial| trial.shown_value());
        studies.push(StudyEntry { study, counts: summary.counts, best_value });
    }
    Ok(Json(StudyList { studies, matching }))
}

#[derive(Serialize)]
pub(crate) struct StudyDetail {
    study: StudyRow,
    summary: Summary,
}

/// A study at a glance.
pub(super) async fn show_study(
    State(store): State<Store>,
    Path(name): Path<String>,
) -> Result<Json<StudyDetail>, ApiError> {
    let study = study_named(&store, name).await?;
    let summary = store.summary(study.id).await?;
    Ok(Json(StudyDetail { study, summary }))
}

/// The trials that the address asks for: `state`, `filter`, `sort`, `desc`, `limit`, `offset`, as on the board.
pub(super) async fn list_trials(
    State(store): State<Store>,
    Path(name): Path<String>,
    Pairs(pairs): Pairs<Vec<(String, String)>>,
) -> Result<Json<Board>, ApiError> {
    let study = study_named(&store, name).await?;
    let query = BoardView::parse(&pairs, &study.space)?.query()?;
    Ok(Json(store.board(&study, &query).await?))
}

#[derive(Serialize)]
pub(crate) struct TrialDetail {
    trial: TrialRow,
    recipe: Option<String>,
    reports: Vec<Report>,
    assignments: Vec<Assignment>,
    provenance: Vec<AttemptProvenance>,
    events: Vec<Entry>,
    log: Vec<LogLine>,
}

/// All that is known of a trial.
pub(super) async fn show_trial(
    State(store): State<Store>,
    Path((name, number)): Path<(String, String)>,
) -> Result<Json<TrialDetail>, ApiError> {
    let study = study_named(&store, name).await?;
    let trial = trial_of(&store, &study, number).await?;
    Ok(Json(TrialDetail {
        recipe: store.recipe(study.id, trial.number).await?,
        reports: store.curve(study.id, trial.number).await?,
        assignments: store.assignments(study.id, trial.number).await?,
        provenance: store.provenance(study.id, trial.number).await?,
        events: store.trial_events(study.id, trial.number).await?,
        log: store.logs(study.id, trial.number, LOG_LINES).await?,
        trial,
    }))
}

#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: Seq,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct EventList {
    events: Vec<Entry>,
    last: Seq,
}

/// What happened in a study after the place the client names; a client polls with `last`.
pub(super) async fn list_events(
    State(store): State<Store>,
    Path(name): Path<String>,
    Pairs(After { after, limit }): Pairs<After>,
) -> Result<Json<EventList>, ApiError> {
    let study = study_named(&store, name).await?;
    let events = store.events_up_to(study.id, after, limit.unwrap_or(EVENTS).clamp(1, EVENTS)).await?;
    let last = events.last().map_or(after, |entry| entry.seq);
    Ok(Json(EventList { events, last }))
}
