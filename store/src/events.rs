//! The append-only log: an event and what it changes in the tables are one transaction.

use nightsweep_search::{Event, TrialNumber, TrialState};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};
use thiserror::Error;

use crate::derive;
use crate::open::{QueryError, Store, WriteError};
use crate::studies::StudyId;
use crate::words::{from_json, now_ms, signed, unsigned, word_of};

/// Place of an event in its study's log, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An event with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Place in the log.
    pub seq: Seq,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub event: Event,
}

/// Why an event was not logged. Nothing of the call is then.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The file does not have the study.
    #[error("the store has no such study")]
    NoSuchStudy,
    /// A number in it is not finite, so that the log could not give it back.
    #[error("the event holds a number that is not finite")]
    NotFinite,
    /// Only `started` makes a trial.
    #[error("there is no trial {trial}")]
    NoSuchTrial {
        /// The trial that the event is about.
        trial: TrialNumber,
    },
    /// A trial starts once.
    #[error("trial {trial} was already started")]
    AlreadyStarted {
        /// The trial that the event is about.
        trial: TrialNumber,
    },
    /// What is finished stays so.
    #[error("trial {trial} is already {}", word_of(state))]
    Finished {
        /// The trial that the event is about.
        trial: TrialNumber,
        /// How it ended.
        state: TrialState,
    },
    /// Each step is reported once.
    #[error("trial {trial} already reported step {step}")]
    AlreadyReported {
        /// The trial that the event is about.
        trial: TrialNumber,
        /// The step that was reported.
        step: u64,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is there could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(WriteError::Database(error))
    }
}

/// Logs all of the events in a transaction; returns the place of the last.
pub(crate) async fn append_in(
    transaction: &mut SqliteConnection,
    study: StudyId,
    at_ms: i64,
    events: &[Event],
) -> Result<Seq, AppendError> {
    let terms = derive::Terms::of(transaction, study).await?.ok_or(AppendError::NoSuchStudy)?;
    let last = sqlx::query_scalar::<_, i64>("SELECT coalesce(max(seq), 0) FROM events WHERE study = ?");
    let mut seq = last.bind(study.0).fetch_one(&mut *transaction).await?;
    for event in events {
        seq += 1;
        let body = body(event)?;
        sqlx::query("INSERT INTO events (study, seq, at, kind, trial, body) VALUES (?, ?, ?, ? ->> 'kind', ?, ?)")
            .bind(study.0)
            .bind(seq)
            .bind(at_ms)
            .bind(&body)
            .bind(event.trial().map(|trial| signed(trial.0)))
            .bind(&body)
            .execute(&mut *transaction)
            .await?;
        derive::apply(transaction, study, &terms, at_ms, event).await?;
    }
    Ok(Seq(unsigned(seq)))
}

impl Store {
    /// Logs the event now. When this returns, it survives a power cut.
    pub async fn append(&self, study: StudyId, event: &Event) -> Result<Seq, AppendError> {
        self.append_all(study, std::slice::from_ref(event)).await
    }

    /// Logs all of the events now, or none; returns the place of the last.
    pub async fn append_all(&self, study: StudyId, events: &[Event]) -> Result<Seq, AppendError> {
        self.append_all_at(study, now_ms(), events).await
    }

    /// Logs all of the events as of a time in milliseconds since 1970, for a history that is told afterwards.
    pub async fn append_all_at(&self, study: StudyId, at_ms: i64, events: &[Event]) -> Result<Seq, AppendError> {
        self.check_file().await?;
        // Immediate: a second process waits for the lock here and not in the middle.
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await?;
        let last = append_in(&mut transaction, study, at_ms, events).await?;
        transaction.commit().await?;
        Ok(last)
    }

    /// What happened after that place, in order.
    pub async fn events(&self, study: StudyId, after: Seq) -> Result<Vec<Entry>, QueryError> {
        self.events_up_to(study, after, u32::MAX).await
    }

    /// What happened after that place, in order, but no more than so many events.
    pub async fn events_up_to(&self, study: StudyId, after: Seq, limit: u32) -> Result<Vec<Entry>, QueryError> {
        let rows = sqlx::query("SELECT seq, at, body FROM events WHERE study = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(study.0)
            .bind(signed(after.0))
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// What happened to one trial, in order.
    pub async fn trial_events(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<Entry>, QueryError> {
        // Else SQLite walks over the whole log in its order.
        let rows = sqlx::query(
            "SELECT seq, at, body FROM events INDEXED BY events_by_trial WHERE study = ? AND trial = ? ORDER BY seq",
        );
        let rows = rows.bind(study.0).bind(signed(trial.0)).fetch_all(&self.reader).await?;
        rows.iter().map(read).collect()
    }

    /// Place of the latest event; [`Seq::START`] if nothing happened.
    pub async fn last_seq(&self, study: StudyId) -> Result<Seq, QueryError> {
        let last = sqlx::query_scalar::<_, i64>("SELECT coalesce(max(seq), 0) FROM events WHERE study = ?");
        Ok(Seq(unsigned(last.bind(study.0).fetch_one(&self.reader).await?)))
    }
}

/// The event as it is kept. JSON has no NaN: what would not come back as it was is refused.
fn body(event: &Event) -> Result<String, AppendError> {
    let body = serde_json::to_string(event).map_err(|_| AppendError::NotFinite)?;
    match serde_json::from_str::<Event>(&body) {
        Ok(read) if read == *event => Ok(body),
        _ => Err(AppendError::NotFinite),
    }
}

pub(crate) fn read(row: &sqlx::sqlite::SqliteRow) -> Result<Entry, QueryError> {
    Ok(Entry {
        seq: Seq(unsigned(row.try_get("seq")?)),
        at_ms: row.try_get("at")?,
        event: from_json(row.try_get("body")?)?,
    })
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Direction, Params};

    use super::*;
    use crate::testing::{Fixture, completed, new_study, reported, started};

    #[tokio::test]
    async fn the_log_gives_back_what_it_was_told() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let events = [
            Event::Opened { pid: 7, host: "night".to_owned(), version: "0.1.0".to_owned() },
            started(0, serde_json::json!({ "z": 1.0, "a": 1, "m": "sgd", "flip": true, "tiny": 1e-300 })),
            reported(0, 1, 0.1 + 0.2),
            reported(0, 2, f64::NAN),
            completed(0, 1.0 / 3.0),
            Event::Closed { reason: "done".to_owned(), needs_help: false },
        ];
        fixture.tell(&events).await;
        let reopened = Store::open_read_only(fixture.dir.path().join("studies.db")).await.unwrap();
        let entries = reopened.events(fixture.study.id, Seq::START).await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert!(entries.iter().map(|entry| &entry.event).eq(&events));
        assert_eq!(reopened.events(fixture.study.id, Seq(5)).await.unwrap().len(), 1);
        assert_eq!(reopened.last_seq(fixture.study.id).await.unwrap(), Seq(6));
        assert_eq!(reopened.study_named("night").await.unwrap().unwrap().seed, u64::MAX);
    }

    #[tokio::test]
    async fn a_wrong_event_leaves_no_trace_of_its_call() {
        let fixture = Fixture::new(Direction::Minimize).await;
        fixture.tell(&[started(0, serde_json::json!({})), reported(0, 1, 1.0), completed(0, 1.0)]).await;
        let check = async |events: &[Event], expected: &str| {
            let error = fixture.store.append_all(fixture.study.id, events).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(fixture.store.last_seq(fixture.study.id).await.unwrap(), Seq(3));
        };
        let next = started(1, serde_json::json!({}));
        check(&[next.clone(), started(0, serde_json::json!({}))], "trial 0 was already started").await;
        check(&[next.clone(), reported(0, 2, 1.0)], "trial 0 is already complete").await;
        check(&[next.clone(), reported(2, 1, 1.0)], "there is no trial 2").await;
        check(&[next.clone(), reported(1, 1, 1.0), reported(1, 1, 2.0)], "trial 1 already reported step 1").await;
        check(&[next, completed(1, f64::NAN)], "the event holds a number that is not finite").await;
        let read_only = Store::open_read_only(fixture.dir.path().join("studies.db")).await.unwrap();
        let error = read_only.append(fixture.study.id, &completed(0, 1.0)).await.unwrap_err();
        assert_eq!(error.to_string(), "the store is open for reading only");
    }

    #[tokio::test]
    async fn what_was_logged_cannot_be_changed() {
        let fixture = Fixture::new(Direction::Minimize).await;
        fixture.tell(&[started(0, serde_json::json!({}))]).await;
        for sql in ["UPDATE events SET at = 0", "DELETE FROM events"] {
            let error = sqlx::query(sql).execute(fixture.store.writer().unwrap()).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_study_begins_with_its_first_events_or_not_at_all() {
        let fixture = Fixture::new(Direction::Minimize).await;
        let store = &fixture.store;
        for (value, expected) in [(f64::NAN, None), (2.0, Some(Seq(2)))] {
            let events = [1.0, value].map(|value| Event::Imported { params: Params::default(), value, from: None });
            let begun = store.begin_study(new_study("late", Direction::Minimize), &events).await;
            let study = store.study_named("late").await.unwrap().map(|study| study.id);
            assert_eq!(study, begun.ok());
            let last = match study {
                Some(study) => Some(store.last_seq(study).await.unwrap()),
                None => None,
            };
            assert_eq!(last, expected);
        }
    }

    #[tokio::test]
    async fn studies_of_one_file_count_for_themselves() {
        let fixture = Fixture::new(Direction::Minimize).await;
        let other = fixture.store.create_study(new_study("other", Direction::Maximize)).await.unwrap();
        fixture.tell(&[started(0, serde_json::json!({}))]).await;
        let imported = Event::Imported { params: Params::default(), value: 1.0, from: None };
        assert_eq!(fixture.store.append(other, &imported).await.unwrap(), Seq(1));
        let fenced = Event::Fenced { trial: TrialNumber(9), attempt: Attempt(1), message: "late".to_owned() };
        assert_eq!(fixture.store.append(other, &fenced).await.unwrap(), Seq(2));
        assert!(fixture.store.create_study(new_study("other", Direction::Maximize)).await.is_err());
        assert_eq!(fixture.store.studies().await.unwrap()[0].name, "other");
    }
}
