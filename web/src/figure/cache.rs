//! Figures are computed beside the requests, once for each state of a study: a request waits a moment for them and is else
//! told to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use nightsweep_store::{QueryError, Seq, Store, StudyRow};
use tokio::sync::{Semaphore, watch};

use super::{Figure, figure, material};

/// A request waits so long for a figure that is being made.
const PATIENCE: Duration = Duration::from_millis(400);
/// Figures of so many states of studies are kept.
const KEPT: usize = 8;

/// All figures of a study as it stood at a place of its log, as JSON by their names.
type Made = Result<Arc<HashMap<&'static str, Bytes>>, Arc<QueryError>>;

type Known = HashMap<String, (Seq, watch::Receiver<Option<Made>>)>;

/// What was made, and what is being made.
#[derive(Clone)]
pub(crate) struct Cache {
    known: Arc<Mutex<Known>>,
    /// One study at a time: figures are for people, who wait for the trials' sake.
    free: Arc<Semaphore>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { known: Arc::default(), free: Arc::new(Semaphore::new(1)) }
    }
}

/// What there is of a figure.
pub(crate) enum Found {
    /// As of the study's latest event, or of one that is not long ago.
    Made(Bytes),
    /// To be asked for again.
    Computing,
    /// There is no figure of that name.
    NoSuchFigure,
}

impl Cache {
    /// The figure of a study. What an earlier event left is given while the new one is made.
    pub(crate) async fn figure(&self, store: &Store, study: &StudyRow, name: &str) -> Result<Found, Arc<QueryError>> {
        let last = store.last_seq(study.id).await.map_err(Arc::new)?;
        let (mut news, earlier) = self.follow(store, study, last);
        let waited = tokio::time::timeout(PATIENCE, news.wait_for(Option::is_some)).await;
        let made = match waited {
            Ok(Ok(made)) => made.clone(),
            Ok(Err(_)) | Err(_) => earlier,
        };
        match made {
            Some(Ok(figures)) => Ok(figures.get(name).cloned().map_or(Found::NoSuchFigure, Found::Made)),
            Some(Err(error)) => Err(error),
            None => Ok(Found::Computing),
        }
    }

    /// What is made of the study at that place, begun now if it is not yet; and what was made before.
    fn follow(&self, store: &Store, study: &StudyRow, last: Seq) -> (watch::Receiver<Option<Made>>, Option<Made>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = known.get(&study.name).map(|(seq, made)| (*seq, made.clone()));
        if let Some((seq, made)) = &earlier
            && (*seq == last || (made.borrow().is_none() && made.has_changed().is_ok()))
        {
            return (made.clone(), None);
        }
        if known.len() >= KEPT && !known.contains_key(&study.name) {
            known.clear();
        }
        let (sender, made) = watch::channel(None);
        known.insert(study.name.clone(), (last, made.clone()));
        let (store, study, free) = (store.clone(), study.clone(), Arc::clone(&self.free));
        tokio::spawn(async move {
            let Ok(_turn) = free.acquire().await else { return };
            let figures = make(&store, &study).await.map_err(Arc::new);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(figures));
        });
        (made, earlier.and_then(|(_, made)| made.borrow().clone()))
    }
}

async fn make(store: &Store, study: &StudyRow) -> Result<Arc<HashMap<&'static str, Bytes>>, QueryError> {
    let material = material(store, study).await?;
    let draw = move || {
        let all = super::names().filter_map(|(name, _)| figure(name, &material));
        all.map(|figure: Figure| (figure.name, json(&figure))).collect::<HashMap<_, _>>()
    };
    Ok(Arc::new(tokio::task::spawn_blocking(draw).await.unwrap_or_default()))
}

fn json(figure: &Figure) -> Bytes {
    serde_json::to_vec(figure).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
