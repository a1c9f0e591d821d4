//! What people write and ask for: each is an event of the log, with who and when.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use nightsweep_search::{Annotation, Distribution, Event, Order, ParamValue, SearchSpace};
use nightsweep_store::{Store, TrialRow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{study_named, trial_of};
use crate::error::{ApiError, Error};
use crate::guard::WebSettings;

/// Letters of a note, of a tag and of a name; tags of a trial.
const MOST: (usize, usize, usize, usize) = (20_000, 50, 60, 20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnnotationRequest {
    /// Who writes, as they call themselves.
    by: Option<String>,
    /// The note, whole, as Markdown.
    note: Option<String>,
    /// All tags.
    tags: Option<Vec<String>>,
    /// Whether the trial stays on top of the board.
    pinned: Option<bool>,
    /// Whether it has a star.
    starred: Option<bool>,
}

/// Writes a note, tags or marks of a trial; answers the trial as it is now.
pub(super) async fn annotate(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path((name, number)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<TrialRow>, ApiError> {
    let request: AnnotationRequest = read(&body)?;
    let study = study_named(&store, name).await?;
    let trial = trial_of(&store, &study, number.clone()).await?;
    if !settings.is_writable(&store) {
        return Err(Error::ReadOnly.into());
    }
    let by = who(request.by)?;
    let changes = [
        request.note.map(Annotation::Note),
        request.tags.map(|tags| Annotation::Tags(tags.iter().map(|tag| tag.trim().to_owned()).collect())),
        request.pinned.map(Annotation::Pinned),
        request.starred.map(Annotation::Starred),
    ];
    let changes: Vec<Annotation> = changes.into_iter().flatten().collect();
    changes.iter().try_for_each(check)?;
    let events: Vec<Event> =
        changes.into_iter().map(|change| Event::Annotated { trial: trial.number, by: by.clone(), change }).collect();
    if !events.is_empty() {
        store.append_all(study.id, &events).await.map_err(Error::Append)?;
    }
    Ok(Json(trial_of(&store, &study, number).await?))
}

fn check(change: &Annotation) -> Result<(), Error> {
    let long = |text: &str, most| text.chars().count() > most;
    match change {
        Annotation::Note(text) if long(text, MOST.0) => Err(Error::TooLong { what: "note", most: MOST.0 }),
        Annotation::Tags(tags) if tags.len() > MOST.3 => Err(Error::TooLong { what: "list of tags", most: MOST.3 }),
        Annotation::Tags(tags) if tags.iter().any(|tag| long(tag, MOST.1) || tag.is_empty()) => {
            Err(Error::TooLong { what: "tag", most: MOST.1 })
        }
        _ => Ok(()),
    }
}

fn who(by: Option<String>) -> Result<String, Error> {
    let by = by.map(|by| by.trim().to_owned()).filter(|by| !by.is_empty()).unwrap_or_else(|| "somebody".to_owned());
    if by.chars().count() > MOST.2 { Err(Error::TooLong { what: "name", most: MOST.2 }) } else { Ok(by) }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::BadBody { why: error.to_string() })
}

#[derive(Deserialize)]
pub(crate) struct OrderRequest {
    /// Who asks, as they call themselves.
    by: Option<String>,
    /// What for.
    #[serde(flatten)]
    order: Order,
}

#[derive(Serialize)]
pub(crate) struct Logged {
    logged: bool,
}

/// Asks the controller of this process for something; answered once it is in the log.
pub(super) async fn order(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Logged>, ApiError> {
    let OrderRequest { by, order } = read(&body)?;
    let study = study_named(&store, name).await?;
    if settings.is_read_only() {
        return Err(Error::ReadOnly.into());
    }
    let by = who(by)?;
    let order = match order {
        Order::Enqueue { params } => {
            let typed = params.0.into_iter().map(|(name, value)| (name.clone(), typed(&study.space, &name, value)));
            Order::Enqueue { params: typed.collect() }
        }
        order => order,
    };
    let orders = settings.orders_of(&study.name).ok_or(Error::NotLed)?;
    let (answer, answered) = oneshot::channel();
    orders.send(crate::Ordered { by, order, answer }).map_err(|_| Error::NotLed)?;
    answered.await.map_err(|_| Error::NotLed)?.map_err(|why| Error::Refused { why })?;
    Ok(Json(Logged { logged: true }))
}

/// A whole number where the space has any number.
fn typed(space: &SearchSpace, name: &str, value: ParamValue) -> ParamValue {
    let is_float = matches!(space.get(name).map(|it| &it.distribution), Some(Distribution::Float { .. }));
    match value {
        ParamValue::Int(whole) if is_float => ParamValue::Float(whole as f64),
        value => value,
    }
}
