//! The trials that a board shows, all of them, as files.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use nightsweep_store::{Board, BoardQuery, Store, StudyRow, TrialRow};

use super::study_named;
use crate::error::{ApiError, Error, Pairs};
use crate::format;
use crate::query::BoardView;

type Asked = Pairs<Vec<(String, String)>>;

async fn rows(store: &Store, name: String, pairs: &[(String, String)]) -> Result<(StudyRow, Board), Error> {
    let study = study_named(store, name).await?;
    let query = BoardQuery { limit: u32::MAX, offset: 0, ..BoardView::parse(pairs, &study.space)?.query()? };
    let board = store.board(&study, &query).await?;
    Ok((study, board))
}

/// All trials that the address asks for, as a JSON file.
pub(super) async fn json(
    State(store): State<Store>,
    Path(name): Path<String>,
    Pairs(pairs): Asked,
) -> Result<Response, ApiError> {
    let (_, board) = rows(&store, name, &pairs).await?;
    Ok(([(CONTENT_DISPOSITION, "attachment; filename=\"trials.json\"")], Json(board.trials)).into_response())
}

/// All trials that the address asks for, as a CSV file with a column for each parameter.
pub(super) async fn csv(
    State(store): State<Store>,
    Path(name): Path<String>,
    Pairs(pairs): Asked,
) -> Result<Response, ApiError> {
    let (study, board) = rows(&store, name, &pairs).await?;
    let head =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"trials.csv\"")];
    Ok((head, crate::trials_csv(&study, &board.trials)).into_response())
}

const COLUMNS: [&str; 15] = [
    "trial", "state", "rank", "value", "best", "epochs", "seconds", "attempts", "cause", "slot", "device", "started",
    "finished", "tags", "note",
];

/// Times are milliseconds since 1970.
pub(crate) fn to_csv(study: &StudyRow, trials: &[TrialRow]) -> Vec<u8> {
    let mut file = csv::Writer::from_writer(Vec::new());
    let params = study.space.0.iter().map(|parameter| parameter.name.as_str());
    let written = file.write_record(COLUMNS.into_iter().chain(params));
    written.expect("a vector takes all that is written to it");
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for trial in trials {
        let fixed = [
            trial.number.to_string(),
            format::state(trial.state).0.to_owned(),
            trial.rank.map(|rank| rank.to_string()).unwrap_or_default(),
            number(trial.shown_value()),
            number(trial.best_value),
            trial.steps.to_string(),
            (trial.active_ms as f64 / 1000.0).to_string(),
            trial.attempt.to_string(),
            trial.cause.map(format::cause).unwrap_or_default().to_owned(),
            trial.slot.clone().unwrap_or_default(),
            trial.device.clone().unwrap_or_default(),
            trial.started_at_ms.to_string(),
            trial.finished_at_ms.map(|at| at.to_string()).unwrap_or_default(),
            plain(trial.tags.join(", ")),
            plain(trial.note.clone()),
        ];
        let params =
            study.space.0.iter().map(|it| trial.params.get(&it.name).map(ToString::to_string).unwrap_or_default());
        let written = file.write_record(fixed.into_iter().chain(params));
        written.expect("a vector takes all that is written to it");
    }
    file.into_inner().expect("a vector takes all that is written to it")
}

/// A spreadsheet would run what begins like a formula.
fn plain(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text }
}
