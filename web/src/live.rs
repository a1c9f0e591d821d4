//! One look at the store now and then, shared by everyone who follows it: works beside the controller and from another
//! process alike.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, future};
use nightsweep_search::race;
use nightsweep_store::{Seq, Store};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::WatchStream;

use crate::error::Error;

/// A change is seen after this at the latest.
const INTERVAL: Duration = Duration::from_millis(500);
/// Streams at once; each is an open connection.
const STREAMS: usize = 128;

type Seqs = Arc<BTreeMap<String, Seq>>;

/// The latest event of every study, kept up to date by a task that ends with the last of these.
#[derive(Clone)]
pub(crate) struct Live {
    seqs: watch::Receiver<Seqs>,
    free: Arc<Semaphore>,
}

impl Live {
    pub(crate) fn follow(store: Store) -> Self {
        let (sender, seqs) = watch::channel(Seqs::default());
        tokio::spawn(poll(store, sender));
        Self { seqs, free: Arc::new(Semaphore::new(STREAMS)) }
    }
}

async fn poll(store: Store, sender: watch::Sender<Seqs>) {
    let mut failing = false;
    loop {
        match store.last_seqs().await {
            Ok(seqs) => {
                failing = false;
                sender.send_if_modified(|known| {
                    let changed = **known != seqs;
                    if changed {
                        *known = Arc::new(seqs);
                    }
                    changed
                });
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                // Once for a row of failures: the store may be away for a while.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error, "the store cannot be followed at the moment");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = sender.closed() => return,
        }
    }
}

/// The place of a study's latest event, and those of its confirmations, which its page shows too.
fn place_of(seqs: &BTreeMap<String, Seq>, name: &str) -> Option<String> {
    let own = seqs.get(name)?;
    let confirmations = (1..).map_while(|number| seqs.get(&race::name_of(name, number)));
    Some(confirmations.fold(own.to_string(), |place, seq| format!("{place}+{seq}")))
}

/// Tells the place of the study's latest event, now and whenever it changes.
pub(crate) async fn live(
    State(live): State<Live>,
    State(store): State<Store>,
    Path(name): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    if store.study_named(&name).await?.is_none() {
        return Err(Error::NoSuchStudy { name });
    }
    let permit = live.free.try_acquire_owned().map_err(|_| Error::TooManyStreams)?;
    let mut told = None;
    let stream = WatchStream::new(live.seqs).filter_map(move |seqs| {
        let _held = &permit;
        let place = place_of(&seqs, &name).filter(|place| told.as_ref() != Some(place));
        future::ready(place.map(|place| {
            told = Some(place.clone());
            Ok(Event::default().event("changed").id(&place).data(place))
        }))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
