//! Figures are computed beside the requests, once for each state of a study: a request waits a moment for them and is else
//! told to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use nightsweep_search::Importance;
use nightsweep_store::{QueryError, Seq, Store, StudyRow};
use tokio::sync::{Semaphore, watch};

use super::{Figure, figure, material};

/// A request waits so long for a figure that is being made.
const PATIENCE: Duration = Duration::from_millis(400);
/// Figures of so many states of studies are kept.
const KEPT: usize = 8;

/// Of a study that runs, what mattered is computed again after this.
const STALE: Duration = Duration::from_secs(60);

/// What was made of a study as it stood at a place of its log.
#[derive(Default)]
struct Figures {
    /// All figures by their names, each also as JSON.
    by_name: HashMap<&'static str, (Figure, Bytes)>,
    /// What mattered, the greatest first; empty as long as too little is known.
    importance: Vec<Importance>,
}

type Made = Result<Arc<Figures>, Arc<QueryError>>;

/// What is known of a study, or being made.
#[derive(Clone)]
struct State {
    seq: Seq,
    begun: Instant,
    made: watch::Receiver<Option<Made>>,
}

type Known = HashMap<String, State>;

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
            Some(Ok(figures)) => {
                Ok(figures.by_name.get(name).map_or(Found::NoSuchFigure, |(_, json)| Found::Made(json.clone())))
            }
            Some(Err(error)) => Err(error),
            None => Ok(Found::Computing),
        }
    }

    /// The figure of a study as of its latest event, however long that takes; nothing if there is none of that name.
    pub(crate) async fn whole(
        &self,
        store: &Store,
        study: &StudyRow,
        name: &str,
    ) -> Result<Option<Figure>, Arc<QueryError>> {
        let last = store.last_seq(study.id).await.map_err(Arc::new)?;
        let (mut news, earlier) = self.follow(store, study, last);
        let made = news.wait_for(Option::is_some).await.ok().and_then(|made| made.clone()).or(earlier);
        let Some(made) = made else { return Ok(None) };
        Ok(made?.by_name.get(name).map(|(figure, _)| figure.clone()))
    }

    /// What mattered in a study whose latest event is `last`; nothing as long as it is being computed. Never waits. Of a
    /// study that `runs`, it may be a minute old: trials need the machine more.
    pub(crate) fn importance(&self, store: &Store, study: &StudyRow, last: Seq, runs: bool) -> Option<Vec<Importance>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&study.name).cloned();
        let is_recent = known.as_ref().is_some_and(|it| it.seq == last || (runs && it.begun.elapsed() < STALE));
        let (made, earlier) = match known.filter(|_| is_recent) {
            Some(state) => (state.made, None),
            None => self.follow(store, study, last),
        };
        let made = made.borrow().clone().or(earlier)?;
        Some(made.map(|figures| figures.importance.clone()).unwrap_or_default())
    }

    /// What is made of the study at that place, begun now if it is not yet; and what was made before.
    fn follow(&self, store: &Store, study: &StudyRow, last: Seq) -> (watch::Receiver<Option<Made>>, Option<Made>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = known.get(&study.name).cloned();
        if let Some(State { seq, made, .. }) = &earlier
            && (*seq == last || (made.borrow().is_none() && made.has_changed().is_ok()))
        {
            return (made.clone(), None);
        }
        if known.len() >= KEPT && !known.contains_key(&study.name) {
            known.clear();
        }
        let (sender, made) = watch::channel(None);
        known.insert(study.name.clone(), State { seq: last, begun: Instant::now(), made: made.clone() });
        let (store, study, free) = (store.clone(), study.clone(), Arc::clone(&self.free));
        tokio::spawn(async move {
            let Ok(_turn) = free.acquire().await else { return };
            let figures = make(&store, &study).await.map_err(Arc::new);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(figures));
        });
        (made, earlier.and_then(|earlier| earlier.made.borrow().clone()))
    }
}

async fn make(store: &Store, study: &StudyRow) -> Result<Arc<Figures>, QueryError> {
    let material = material(store, study).await?;
    let draw = move || {
        let all = super::names().filter_map(|(name, _)| figure(name, &material));
        let with_json = |figure: Figure| {
            let json = json(&figure);
            (figure.name, (figure, json))
        };
        let by_name = all.map(with_json).collect();
        Figures { by_name, importance: super::importance::of(&material).unwrap_or_default() }
    };
    Ok(Arc::new(tokio::task::spawn_blocking(draw).await.unwrap_or_default()))
}

fn json(figure: &Figure) -> Bytes {
    serde_json::to_vec(figure).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
