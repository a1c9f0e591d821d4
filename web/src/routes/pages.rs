//! The pages that people open.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use nightsweep_store::{BoardQuery, Store, StudyRow};

use super::figures::Chosen;
use super::{study_named, trial_of};
use crate::error::Error;
use crate::format;
use crate::guard::WebSettings;
use crate::query::BoardView;
use crate::report::{self, ReportText};
use crate::view::{self, BoardPage, ComparePage, Lineage, TrialPage};

/// Log lines on the page of a trial, the latest.
const LOG_LINES: u32 = 300;

/// Straight to the study if there is only one.
pub(super) async fn index(State(store): State<Store>) -> Result<Response, Error> {
    match store.studies().await?.as_slice() {
        [only] => Ok(Redirect::temporary(&view::study_address(&only.name)).into_response()),
        _ => Ok(studies(State(store)).await?.into_response()),
    }
}

/// All studies, the latest first.
pub(super) async fn studies(State(store): State<Store>) -> Result<Markup, Error> {
    let mut studies = Vec::new();
    for study in store.studies().await? {
        let summary = store.summary(study.id).await?;
        studies.push((study, summary));
    }
    Ok(view::studies(&studies))
}

/// The leaderboard of a study. A wrong filter is told beside its field, above all trials.
pub(super) async fn board(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<(StatusCode, Markup), Error> {
    let study = study_named(&store, name).await?;
    let view = BoardView::parse(&pairs)?;
    let asked = match view.query() {
        Ok(query) => store.board(&study, &query).await.map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    let (status, board, mistake) = match asked {
        Ok(board) => (StatusCode::OK, board, None),
        Err(Error::Filter(error)) => {
            (StatusCode::BAD_REQUEST, store.board(&study, &BoardQuery::default()).await?, Some(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    let summary = store.summary(study.id).await?;
    let numbers: Vec<_> = board.trials.iter().map(|trial| trial.number).collect();
    let curves = store.values(study.id, &numbers).await?;
    let history = store.history(study.id).await?;
    let metrics = store.last_metrics(study.id, &numbers).await?;
    let (writable, led) = (settings.is_writable(&store), settings.orders_of(&study.name).is_some());
    let outlook = store.outlook(study.id).await?;
    let page = BoardPage { study, summary, outlook, view, board, curves, history, metrics, mistake, writable, led };
    Ok((status, view::board(&page)))
}

/// All that is known of a trial.
pub(super) async fn trial(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path((name, number)): Path<(String, String)>,
) -> Result<Markup, Error> {
    let study = study_named(&store, name).await?;
    let trial = trial_of(&store, &study, number).await?;
    let page = TrialPage {
        best: store.best_trial(study.id).await?,
        last: store.summary(study.id).await?.counts.total().saturating_sub(1),
        lineage: Lineage {
            ancestry: store.ancestry(study.id, trial.number).await?,
            forks: store.forks_of(study.id, trial.number).await?,
        },
        recipe: store.recipe(study.id, trial.number).await?,
        reports: store.curve(study.id, trial.number).await?,
        assignments: store.assignments(study.id, trial.number).await?,
        events: store.trial_events(study.id, trial.number).await?,
        log: store.logs(study.id, trial.number, LOG_LINES).await?,
        writable: settings.is_writable(&store),
        led: settings.orders_of(&study.name).is_some(),
        study,
        trial,
    };
    Ok(view::trial(&page))
}

/// A few trials side by side.
pub(super) async fn compare(
    State(store): State<Store>,
    Path(name): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Result<Markup, Error> {
    let study = study_named(&store, name).await?;
    let mut trials = Vec::new();
    for number in chosen.numbers()? {
        trials.push(trial_of(&store, &study, number).await?);
    }
    let numbers: Vec<_> = trials.iter().map(|trial| trial.number).collect();
    let metrics = store.last_metrics(study.id, &numbers).await?;
    Ok(view::compare(&ComparePage { study, trials, metrics, now_ms: format::now_ms() }))
}

/// What the command line would report.
pub(super) async fn report(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
) -> Result<Markup, Error> {
    let study = study_named(&store, name).await?;
    let text = reported(&settings, &study).await?;
    let body = report::body(&store, &study, text).await?;
    Ok(view::report(&study, body))
}

/// The same as one file that needs nothing else.
pub(super) async fn report_file(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let study = study_named(&store, name).await?;
    let ReportText { markdown, recipe } = reported(&settings, &study).await?;
    let document = report::report(&store, &study, &markdown, recipe.as_deref()).await?;
    let head =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"report.html\"")];
    Ok((head, document).into_response())
}

async fn reported(settings: &WebSettings, study: &StudyRow) -> Result<ReportText, Error> {
    let source = settings.reports().ok_or(Error::NoSuchPage)?;
    source(study.clone()).await.ok_or(Error::NoSuchPage)
}
