//! Every address and what answers it.

mod actions;
mod api;
mod figures;
mod metrics;
mod openapi;
mod pages;
mod rows;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};
use nightsweep_search::TrialNumber;
use nightsweep_store::{QueryError, Store, StudyRow, TrialRow};

use crate::assets;
use crate::base;
use crate::error::Error;
use crate::figure::cache::Cache;
use crate::guard::{self, WebSettings};
use crate::live::{self, Live};

pub(crate) use rows::to_csv;

/// No request says more than a long note.
const MAX_BODY: usize = 128 * 1024;

/// What handlers can ask for.
#[derive(Clone)]
struct App {
    store: Store,
    live: Live,
    figures: Cache,
    settings: WebSettings,
}

impl FromRef<App> for Store {
    fn from_ref(app: &App) -> Self {
        app.store.clone()
    }
}

impl FromRef<App> for Live {
    fn from_ref(app: &App) -> Self {
        app.live.clone()
    }
}

impl FromRef<App> for Cache {
    fn from_ref(app: &App) -> Self {
        app.figures.clone()
    }
}

impl FromRef<App> for WebSettings {
    fn from_ref(app: &App) -> Self {
        app.settings.clone()
    }
}

pub(crate) fn router(store: Store, settings: WebSettings) -> Router {
    tokio::spawn(prepare(store.clone()));
    let app = App { live: Live::follow(store.clone()), store, figures: Cache::default(), settings: settings.clone() };
    let base = settings.base_path().to_owned();
    let pages = Router::new()
        .route("/", get(pages::index))
        .route("/studies", get(pages::studies))
        .route("/studies/{name}", get(pages::board))
        .route("/studies/{name}/report", get(pages::report))
        .route("/studies/{name}/report.html", get(pages::report_file))
        .route("/studies/{name}/compare", get(pages::compare))
        .route("/studies/{name}/figures", get(figures::page))
        .route("/studies/{name}/figures/{file}", get(figures::file))
        .route("/studies/{name}/live", get(live::live))
        .route("/studies/{name}/trials/{number}", get(pages::trial))
        .route("/studies/{name}/trials/{number}/{picture}", get(pages::picture))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/studies", get(api::list_studies))
        .route("/api/v1/studies/{name}", get(api::show_study))
        .route("/api/v1/studies/{name}/trials", get(api::list_trials))
        .route("/api/v1/studies/{name}/trials/{number}", get(api::show_trial))
        .route("/api/v1/studies/{name}/trials.csv", get(rows::csv))
        .route("/api/v1/studies/{name}/trials.json", get(rows::json))
        .route("/api/v1/studies/{name}/trials/{number}/annotations", post(actions::annotate))
        .route("/api/v1/studies/{name}/orders", post(actions::order))
        .route("/api/v1/studies/{name}/compare", get(figures::compare))
        .route("/api/v1/studies/{name}/figures", get(figures::list))
        .route("/api/v1/studies/{name}/figures/{figure}", get(figures::show))
        .route("/api/v1/studies/{name}/events", get(api::list_events))
        .route("/metrics", get(metrics::metrics))
        .route("/assets/{version}/{name}", get(assets::serve))
        .route("/login", post(guard::login))
        .fallback(async || Error::NoSuchPage)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
        .layer(middleware::from_fn_with_state(settings.clone(), guard::guard));
    if base.is_empty() {
        return pages;
    }
    let home = format!("{base}/studies");
    Router::new()
        .route(&format!("{base}/"), get(async move || Redirect::temporary(&home)))
        .nest(&base, pages.layer(middleware::from_fn_with_state(settings, base::rebase)))
}

/// Nobody opens a page in the moment of the start: what the boards need is read by then.
async fn prepare(store: Store) {
    let prepare = async {
        for study in store.studies().await? {
            store.prepare_board(study.id).await?;
        }
        Ok::<_, QueryError>(())
    };
    if let Err(error) = prepare.await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the boards could not be read ahead");
    }
}

async fn study_named(store: &Store, name: String) -> Result<StudyRow, Error> {
    store.study_named(&name).await?.ok_or(Error::NoSuchStudy { name })
}

async fn trial_of(store: &Store, study: &StudyRow, number: String) -> Result<TrialRow, Error> {
    let found = match number.parse() {
        Ok(parsed) => store.trial(study.id, TrialNumber(parsed)).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::NoSuchTrial { study: study.name.clone(), number })
}
