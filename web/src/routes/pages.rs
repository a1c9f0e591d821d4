//! The pages that people open.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use nightsweep_search::{Params, TrialNumber, race};
use nightsweep_store::{BoardQuery, Store, StudyRow, Summary};

use super::figures::Chosen;
use super::{study_named, trial_of};
use crate::activity::{self, Activity};
use crate::confirmation::Confirmation;
use crate::error::Error;
use crate::figure::cache::Cache;
use crate::files::{Evaluation, Seen, TrialFile};
use crate::format;
use crate::guard::WebSettings;
use crate::query::BoardView;
use crate::report::{self, ReportText};
use crate::view::{self, BoardPage, ComparePage, Known, Lineage, Morning, TrialPage};

/// Log lines on the page of a trial, the latest.
const LOG_LINES: u32 = 300;

/// Studies that stand for themselves: a confirmation is found on the page of its study.
async fn own_studies(store: &Store) -> Result<Vec<StudyRow>, Error> {
    let mut studies = store.studies().await?;
    studies.retain(|study| race::confirmed_by(&study.name).is_none());
    Ok(studies)
}

/// Straight to the study if there is only one.
pub(super) async fn index(State(store): State<Store>) -> Result<Response, Error> {
    match own_studies(&store).await?.as_slice() {
        [only] => Ok(Redirect::temporary(&view::study_address(&only.name)).into_response()),
        _ => Ok(studies(State(store)).await?.into_response()),
    }
}

/// All studies, the latest first.
pub(super) async fn studies(State(store): State<Store>) -> Result<Markup, Error> {
    let mut studies = Vec::new();
    for study in own_studies(&store).await? {
        let summary = store.summary(study.id).await?;
        let activity = Activity::of(&store, &study, summary.controller.clone()).await?;
        studies.push((study, summary, activity));
    }
    Ok(view::studies(&studies))
}

/// The leaderboard of a study. A wrong filter is told beside its field, above all trials.
pub(super) async fn board(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    State(figures): State<Cache>,
    Path(name): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<(StatusCode, Markup), Error> {
    let study = study_named(&store, name).await?;
    let view = BoardView::parse(&pairs, &study.space)?;
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
    let activity = Activity::of(&store, &study, summary.controller.clone()).await?;
    let morning = morning(&store, &settings, &figures, &study, &summary, &activity).await?;
    let wanted = activity::extended(&morning.orders).or(settings.trials_of(&study.name));
    let page = BoardPage {
        study,
        summary,
        activity,
        outlook,
        view,
        board,
        curves,
        history,
        metrics,
        mistake,
        writable,
        led,
        wanted,
        morning,
    };
    Ok((status, view::board(&page)))
}

/// What somebody wants to know first.
async fn morning(
    store: &Store,
    settings: &WebSettings,
    figures: &Cache,
    study: &StudyRow,
    summary: &Summary,
    activity: &Activity,
) -> Result<Morning, Error> {
    let default = store.trial(study.id, TrialNumber(0)).await?;
    let params = study.plan.get("default").and_then(|it| serde_json::from_value::<Params>(it.clone()).ok());
    let images = match (settings.files(), &summary.best) {
        (Some(files), Some(best)) => {
            let (name, best) = (study.name.clone(), best.number);
            let read = move || Evaluation::read(&*files, &name, best).map(|it| it.images());
            tokio::task::spawn_blocking(read).await.unwrap_or_default()
        }
        _ => None,
    };
    Ok(Morning {
        default: default.filter(|trial| params.as_ref() == Some(&trial.params)),
        confirmation: Confirmation::of(store, settings, study, activity).await?,
        failures: store.failures(study.id).await?,
        orders: store.last_orders(study.id, activity::ORDERS).await?,
        importance: match figures.importance(store, study, summary.last_seq, activity.is_led()) {
            Some(known) => Known::Made(known),
            None => Known::Pending,
        },
        images,
    })
}

/// All that is known of a trial.
pub(super) async fn trial(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path((name, number)): Path<(String, String)>,
) -> Result<Markup, Error> {
    let study = study_named(&store, name).await?;
    let trial = trial_of(&store, &study, number).await?;
    let summary = store.summary(study.id).await?;
    let activity = Activity::of(&store, &study, summary.controller).await?;
    let confirmation = Confirmation::of(&store, &settings, &study, &activity).await?;
    let winner = confirmation.as_ref().and_then(|it| it.winner()).map(|winner| winner.candidate);
    let best = match winner {
        Some(winner) => store.trial(study.id, winner).await?,
        None => store.best_trial(study.id).await?,
    };
    let best_recipe = match &best {
        Some(best) => store.recipe(study.id, best.number).await?,
        None => None,
    };
    let page = TrialPage {
        best,
        best_recipe,
        confirmation,
        seen: seen(&settings, &study, trial.number).await,
        last: summary.counts.total().saturating_sub(1),
        lineage: Lineage {
            ancestry: store.ancestry(study.id, trial.number).await?,
            forks: store.forks_of(study.id, trial.number).await?,
        },
        recipe: store.recipe(study.id, trial.number).await?,
        reports: store.curve(study.id, trial.number).await?,
        assignments: store.assignments(study.id, trial.number).await?,
        provenance: store.provenance(study.id, trial.number).await?,
        events: store.trial_events(study.id, trial.number).await?,
        log: store.logs(study.id, trial.number, LOG_LINES).await?,
        writable: settings.is_writable(&store),
        led: settings.orders_of(&study.name).is_some(),
        study,
        trial,
    };
    Ok(view::trial(&page))
}

async fn seen(settings: &WebSettings, study: &StudyRow, trial: TrialNumber) -> Seen {
    let Some(files) = settings.files() else { return Seen::default() };
    let name = study.name.clone();
    tokio::task::spawn_blocking(move || Seen::read(&*files, &name, trial)).await.unwrap_or_default()
}

/// A sheet of images that a trial's worker left.
pub(super) async fn picture(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path((name, number, picture)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let file = match picture.as_str() {
        "worst.png" => TrialFile::WorstSheet,
        "augmented.png" => TrialFile::AugmentedSheet,
        _ => return Err(Error::NoSuchPage),
    };
    let study = study_named(&store, name).await?;
    let trial = trial_of(&store, &study, number).await?;
    let files = settings.files().ok_or(Error::NoSuchPage)?;
    let read = tokio::task::spawn_blocking(move || files.read(&study.name, trial.number, file));
    // What is no picture is not told for one, whoever wrote it.
    let png = read.await.ok().flatten().filter(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let head = [(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "private, max-age=300")];
    Ok((head, png.ok_or(Error::NoSuchPage)?).into_response())
}

/// A few trials side by side.
pub(super) async fn compare(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
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
    let controller = store.summary(study.id).await?.controller;
    let activity = Activity::of(&store, &study, controller).await?;
    let confirmation = Confirmation::of(&store, &settings, &study, &activity).await?;
    Ok(view::compare(&ComparePage { study, trials, metrics, confirmation, now_ms: format::now_ms() }))
}

/// What the command line would report.
pub(super) async fn report(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
) -> Result<Markup, Error> {
    let study = study_named(&store, name).await?;
    let text = reported(&settings, &study).await?;
    let body = report::body(&store, &study, &text).await?;
    Ok(view::report(&study, body))
}

/// The same as one file that needs nothing else.
pub(super) async fn report_file(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let study = study_named(&store, name).await?;
    let text = reported(&settings, &study).await?;
    let document = report::report(&store, &study, &text).await?;
    let head =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"report.html\"")];
    Ok((head, document).into_response())
}

async fn reported(settings: &WebSettings, study: &StudyRow) -> Result<ReportText, Error> {
    let source = settings.reports().ok_or(Error::NoSuchPage)?;
    source(study.clone()).await.ok_or(Error::NoSuchPage)
}
