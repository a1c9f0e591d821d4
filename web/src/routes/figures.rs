//! Figures: their page, their descriptions for it, and their files.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use nightsweep_store::Store;
use serde::{Deserialize, Serialize};

use super::{study_named, trial_of};
use crate::error::{ApiError, Error, Pairs};
use crate::figure::cache::{Cache, Found};
use crate::figure::{self, DrawError, Format, Theme};
use crate::view;

/// All figures of a study, which the browser draws.
pub(super) async fn page(State(store): State<Store>, Path(name): Path<String>) -> Result<Markup, Error> {
    Ok(view::figures(&study_named(&store, name).await?))
}

#[derive(Serialize)]
pub(crate) struct FigureList {
    figures: Vec<FigureEntry>,
}

#[derive(Serialize)]
struct FigureEntry {
    name: &'static str,
    title: &'static str,
}

/// The names of all figures.
pub(super) async fn list(State(store): State<Store>, Path(name): Path<String>) -> Result<Json<FigureList>, ApiError> {
    study_named(&store, name).await?;
    Ok(Json(FigureList { figures: figure::names().map(|(name, title)| FigureEntry { name, title }).collect() }))
}

/// What a figure shows. 202 while it is computed: ask again after a second.
pub(super) async fn show(
    State(store): State<Store>,
    State(figures): State<Cache>,
    Path((name, figure)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let study = study_named(&store, name).await?;
    let found = figures.figure(&store, &study, &figure).await.map_err(Error::Figures)?;
    Ok(match found {
        Found::Made(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Found::Computing => (StatusCode::ACCEPTED, [(RETRY_AFTER, "1")], Json(serde_json::json!({}))).into_response(),
        Found::NoSuchFigure => return Err(Error::NoSuchFigure { figure }.into()),
    })
}

/// The curves of a few trials over one another, named by `trials=1,2,3`.
pub(super) async fn compare(
    State(store): State<Store>,
    Path(name): Path<String>,
    Pairs(chosen): Pairs<Chosen>,
) -> Result<Json<figure::Figure>, ApiError> {
    let study = study_named(&store, name).await?;
    let mut trials = Vec::new();
    for number in chosen.numbers()? {
        let trial = trial_of(&store, &study, number).await?;
        let reports = store.curve(study.id, trial.number).await?;
        trials.push((trial, reports));
    }
    Ok(Json(figure::compare(&study, &trials)))
}

/// Which trials are compared.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    trials: String,
}

impl Chosen {
    /// Each once, as they were asked for.
    pub(super) fn numbers(&self) -> Result<Vec<String>, Error> {
        let mut numbers: Vec<String> = Vec::new();
        for number in self.trials.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            // `7` and `007` are one trial.
            let number = number.parse::<u64>().map_or_else(|_| number.to_owned(), |number| number.to_string());
            if numbers.contains(&number) {
                continue;
            }
            if numbers.len() == figure::COMPARED {
                return Err(Error::bad_query("list of up to ten trials", &self.trials));
            }
            numbers.push(number);
        }
        Ok(numbers)
    }
}

#[derive(Deserialize)]
pub(crate) struct Look {
    #[serde(default)]
    theme: String,
}

/// A figure as a file: its name and `.svg` or `.png`.
pub(super) async fn file(
    State(store): State<Store>,
    State(figures): State<Cache>,
    Path((name, file)): Path<(String, String)>,
    Query(look): Query<Look>,
) -> Result<Response, Error> {
    let study = study_named(&store, name).await?;
    let (name, format, kind) = match file.rsplit_once('.') {
        Some((name, "svg")) => (name, Format::Svg, "image/svg+xml"),
        Some((name, "png")) => (name, Format::Png, "image/png"),
        _ => return Err(Error::NoSuchFigure { figure: file }),
    };
    let theme = if look.theme == "dark" { Theme::Dark } else { Theme::Light };
    // Made once for all who ask: whoever asks often takes no more of the machine.
    let found = figures.whole(&store, &study, name).await.map_err(Error::Figures)?;
    let figure = found.ok_or_else(|| Error::NoSuchFigure { figure: name.to_owned() })?;
    match tokio::task::spawn_blocking(move || figure.file(format, theme)).await {
        Ok(Ok(bytes)) => Ok(([(CONTENT_TYPE, kind)], bytes).into_response()),
        Ok(Err(DrawError::Nothing { why })) => Err(Error::NothingToDraw { why }),
        Ok(Err(error)) => Err(Error::Draw(error)),
        Err(_) => Err(Error::Draw(DrawError::Backend("the drawing was ended".into()))),
    }
}
