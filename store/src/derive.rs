//! What an event changes in the tables that serve the pages. Only the event, its time and the study's direction
//! enter, so that the log alone makes the tables again.

use nightsweep_search::{Annotation, Event, FailureCause, PauseReason, TrialNumber, TrialState};
use sqlx::{Row, SqliteConnection};

use crate::events::AppendError;
use crate::open::Store;
use crate::studies::StudyId;
use crate::words::{from_json, from_word, signed, word_of};

impl Store {
    /// Makes the tables of the study again from its log.
    pub async fn rebuild(&self, study: StudyId) -> Result<(), AppendError> {
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await?;
        let sense = sense(&mut transaction, study).await?.ok_or(AppendError::NoSuchStudy)?;
        sqlx::query("DELETE FROM annotations WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM reports WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM trials WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        let rows = sqlx::query("SELECT at, body FROM events WHERE study = ? ORDER BY seq")
            .bind(study.0)
            .fetch_all(&mut *transaction)
            .await?;
        for row in rows {
            let event = from_json(row.try_get("body")?)?;
            apply(&mut transaction, study, sense, row.try_get("at")?, &event).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// 1 where the study minimizes, -1 where it maximizes; nothing if there is no such study.
pub(crate) async fn sense(connection: &mut SqliteConnection, study: StudyId) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT iif(direction = 'minimize', 1, -1) FROM studies WHERE id = ?")
        .bind(study.0)
        .fetch_optional(connection)
        .await
}

pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    study: StudyId,
    sense: i64,
    at: i64,
    event: &Event,
) -> Result<(), AppendError> {
    let mut tables = Tables { connection, study, at };
    match event {
        Event::Opened { .. }
        | Event::Enqueued { .. }
        | Event::Imported { .. }
        | Event::Fenced { .. }
        | Event::Ordered { .. }
        | Event::Closed { .. } => Ok(()),
        Event::Annotated { trial, change, .. } => tables.annotate(*trial, change).await,
        Event::Started { trial, params, why } => {
            let params = serde_json::to_string(params).map_err(|_| AppendError::NotFinite)?;
            tables.start(*trial, sense, &params, why).await
        }
        Event::Resumed { trial, attempt } => {
            tables.check_open(*trial).await?;
            tables.resume(*trial, attempt.0).await
        }
        Event::Reported { trial, attempt, step, value, metrics } => {
            tables.check_open(*trial).await?;
            let metrics = serde_json::to_string(metrics).map_err(|_| AppendError::NotFinite)?;
            tables.report(*trial, attempt.0, *step, *value, &metrics).await
        }
        Event::Paused { trial, reason, .. } => tables.leave(*trial, Leaving::paused(*reason)).await,
        Event::Requeued { trial, message, .. } => tables.leave(*trial, Leaving::requeued(message)).await,
        Event::Completed { trial, value, .. } => tables.leave(*trial, Leaving::completed(*value)).await,
        Event::Pruned { trial, .. } => tables.leave(*trial, Leaving::pruned()).await,
        Event::Failed { trial, cause, message, .. } => tables.leave(*trial, Leaving::failed(*cause, message)).await,
    }
}

/// How a trial gives its worker back.
struct Leaving<'a> {
    to: TrialState,
    value: Option<f64>,
    pause: Option<PauseReason>,
    cause: Option<FailureCause>,
    message: Option<&'a str>,
}

impl<'a> Leaving<'a> {
    fn to(to: TrialState) -> Self {
        Self { to, value: None, pause: None, cause: None, message: None }
    }

    fn paused(reason: PauseReason) -> Self {
        Self { pause: Some(reason), ..Self::to(TrialState::Paused) }
    }

    fn requeued(message: &'a str) -> Self {
        Self { message: Some(message), ..Self::to(TrialState::Waiting) }
    }

    fn completed(value: f64) -> Self {
        Self { value: Some(value), ..Self::to(TrialState::Complete) }
    }

    /// Its value is its last report's.
    fn pruned() -> Self {
        Self::to(TrialState::Pruned)
    }

    fn failed(cause: FailureCause, message: &'a str) -> Self {
        let to = if cause == FailureCause::Lost { TrialState::Lost } else { TrialState::Failed };
        Self { cause: Some(cause), message: Some(message), ..Self::to(to) }
    }
}

/// The tables of one study at the time of one event.
struct Tables<'a> {
    connection: &'a mut SqliteConnection,
    study: StudyId,
    at: i64,
}

impl Tables<'_> {
    /// The log is checked by the study that it is told to; this keeps a wrong event from being logged at all.
    async fn check_open(&mut self, trial: TrialNumber) -> Result<(), AppendError> {
        let state = sqlx::query_scalar::<_, String>("SELECT state FROM trials WHERE study = ? AND number = ?")
            .bind(self.study.0)
            .bind(signed(trial.0))
            .fetch_optional(&mut *self.connection)
            .await?;
        let state: TrialState = from_word(state.ok_or(AppendError::NoSuchTrial { trial })?)?;
        if state.is_finished() { Err(AppendError::Finished { trial, state }) } else { Ok(()) }
    }

    async fn start(&mut self, trial: TrialNumber, sense: i64, params: &str, why: &str) -> Result<(), AppendError> {
        let insert = sqlx::query(
            "INSERT INTO trials (study, number, state, params, why, attempt, started_at, running_since, sense) \
             VALUES (?1, ?2, 'running', ?3, ?4, 1, ?5, ?5, ?6)",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(params)
        .bind(why)
        .bind(self.at)
        .bind(sense);
        match insert.execute(&mut *self.connection).await {
            Ok(_) => Ok(()),
            Err(error) if is_taken(&error) => Err(AppendError::AlreadyStarted { trial }),
            Err(error) => Err(error.into()),
        }
    }

    async fn annotate(&mut self, trial: TrialNumber, change: &Annotation) -> Result<(), AppendError> {
        // All of one row: what is not given stays as it is.
        let (mut note, mut tags, mut pinned, mut starred) = (None, None, None, None);
        match change {
            Annotation::Note(text) => note = Some(text.as_str()),
            Annotation::Tags(words) => tags = Some(serde_json::Value::from(words.clone()).to_string()),
            Annotation::Pinned(is) => pinned = Some(*is),
            Annotation::Starred(is) => starred = Some(*is),
        }
        let known = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM trials WHERE study = ? AND number = ?");
        if known.bind(self.study.0).bind(signed(trial.0)).fetch_one(&mut *self.connection).await? == 0 {
            return Err(AppendError::NoSuchTrial { trial });
        }
        sqlx::query("INSERT OR IGNORE INTO annotations (study, trial) VALUES (?, ?)")
            .bind(self.study.0)
            .bind(signed(trial.0))
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(
            "UPDATE annotations SET note = coalesce(?, note), tags = coalesce(?, tags), pinned = coalesce(?, pinned), \
             starred = coalesce(?, starred) WHERE study = ? AND trial = ?",
        )
        .bind(note)
        .bind(tags)
        .bind(pinned)
        .bind(starred)
        .bind(self.study.0)
        .bind(signed(trial.0))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn resume(&mut self, trial: TrialNumber, attempt: u32) -> Result<(), AppendError> {
        sqlx::query(
            "UPDATE trials SET state = 'running', attempt = ?, running_since = ?, pause = NULL, message = NULL \
             WHERE study = ? AND number = ?",
        )
        .bind(attempt)
        .bind(self.at)
        .bind(self.study.0)
        .bind(signed(trial.0))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn report(
        &mut self,
        trial: TrialNumber,
        attempt: u32,
        step: u64,
        value: Option<f64>,
        metrics: &str,
    ) -> Result<(), AppendError> {
        let insert = sqlx::query(
            "INSERT INTO reports (study, trial, step, attempt, value, metrics, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(signed(step))
        .bind(attempt)
        .bind(value)
        .bind(metrics)
        .bind(self.at);
        match insert.execute(&mut *self.connection).await {
            Ok(_) => {}
            Err(error) if is_taken(&error) => return Err(AppendError::AlreadyReported { trial, step }),
            Err(error) => return Err(error.into()),
        }
        sqlx::query(
            "UPDATE trials SET steps = ?3, last_value = ?4, \
             best_step = iif(?4 * sense < best_value * sense OR (best_value IS NULL AND ?4 IS NOT NULL), ?3, best_step), \
             best_value = iif(?4 * sense < best_value * sense OR best_value IS NULL, ?4, best_value) \
             WHERE study = ?1 AND number = ?2",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(signed(step))
        .bind(value)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn leave(&mut self, trial: TrialNumber, leaving: Leaving<'_>) -> Result<(), AppendError> {
        self.check_open(trial).await?;
        sqlx::query(
            // A clock that was set back does not take time away.
            "UPDATE trials SET state = ?3, value = iif(?3 = 'pruned', last_value, ?4), \
             active_ms = active_ms + max(0, coalesce(?5 - running_since, 0)), running_since = NULL, \
             finished_at = iif(?6, ?5, NULL), pause = ?7, cause = ?8, message = ?9 \
             WHERE study = ?1 AND number = ?2",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(word_of(&leaving.to))
        .bind(leaving.value)
        .bind(self.at)
        .bind(leaving.to.is_finished())
        .bind(leaving.pause.as_ref().map(word_of))
        .bind(leaving.cause.as_ref().map(word_of))
        .bind(leaving.message)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Direction};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Fixture, annotated, completed, pruned, reported, started};

    /// Whatever happens to a few trials, also what cannot happen to them.
    fn anything() -> impl Strategy<Value = Event> {
        let attempt = Attempt(1);
        (0..17u8, 0..4u64, 1..5u64, -1.0..1.0f64).prop_map(move |(kind, number, step, value)| {
            let trial = TrialNumber(number);
            let message = "why".to_owned();
            match kind {
                0..=2 => started(number, serde_json::json!({ "lr": value, "optimizer": "sgd" })),
                3 => Event::Resumed { trial, attempt: Attempt(2) },
                4..=6 => reported(number, step, value),
                7 => reported(number, step, f64::NAN),
                8 => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                9 => Event::Requeued { trial, attempt, message },
                10 => completed(number, value),
                11 => pruned(number),
                12 => annotated(number, Annotation::Note(message)),
                13 => annotated(number, Annotation::Tags(vec![message, "b".to_owned()])),
                14 => annotated(number, Annotation::Pinned(value < 0.0)),
                15 => annotated(number, Annotation::Starred(value < 0.0)),
                _ => {
                    let cause = if value < 0.0 { FailureCause::Lost } else { FailureCause::Diverged };
                    Event::Failed { trial, attempt, cause, message }
                }
            }
        })
    }

    async fn tables(fixture: &Fixture) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT json_array(number, state, params, why, attempt, steps, value, last_value, best_value, best_step, \
             started_at, finished_at, active_ms, running_since, pause, cause, message, sense) FROM trials \
             UNION ALL SELECT json_array(trial, step, attempt, value, metrics, at) FROM reports \
             UNION ALL SELECT json_array(trial, note, tags, pinned, starred) FROM annotations",
        )
        .fetch_all(&fixture.store.reader)
        .await
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_log_alone_makes_the_tables_again(
            events in prop::collection::vec(anything(), 0..60),
            maximize in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let direction = if maximize { Direction::Maximize } else { Direction::Minimize };
                let fixture = Fixture::new(direction).await;
                let mut logged = 0;
                for (at, event) in events.iter().enumerate() {
                    let at_ms = i64::try_from(at).unwrap() * 1000;
                    let appended = fixture.store.append_all_at(fixture.study.id, at_ms, std::slice::from_ref(event)).await;
                    logged += u64::from(appended.is_ok());
                }
                assert_eq!(fixture.store.last_seq(fixture.study.id).await.unwrap().0, logged);
                let kept = tables(&fixture).await;
                fixture.store.rebuild(fixture.study.id).await.unwrap();
                assert_eq!(tables(&fixture).await, kept);
            });
        }
    }

    #[tokio::test]
    async fn the_states_follow_the_log() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let (trial, attempt) = (TrialNumber(0), Attempt(1));
        let at = async |seconds: i64, event: Event| {
            fixture.store.append_all_at(fixture.study.id, seconds * 1000, &[event]).await.unwrap();
            fixture.store.trial(fixture.study.id, trial).await.unwrap().unwrap()
        };
        let row = at(0, started(0, serde_json::json!({ "lr": 0.1 }))).await;
        assert_eq!((row.state, row.rank, row.active_ms_at(5000)), (TrialState::Running, None, 5000));
        let row = at(10, reported(0, 1, 0.5)).await;
        assert_eq!((row.last_value, row.value, row.rank), (Some(0.5), None, Some(1)));
        let row = at(20, Event::Paused { trial, attempt, reason: PauseReason::Interrupted }).await;
        assert_eq!((row.state, row.pause, row.active_ms), (TrialState::Paused, Some(PauseReason::Interrupted), 20_000));
        let row = at(100, Event::Resumed { trial, attempt: Attempt(2) }).await;
        assert_eq!((row.state, row.attempt, row.pause), (TrialState::Running, 2, None));
        let row = at(110, reported(0, 2, 0.4)).await;
        assert_eq!((row.best_value, row.best_step, row.last_value, row.steps), (Some(0.5), Some(1), Some(0.4), 2));
        let row = at(120, Event::Requeued { trial, attempt: Attempt(2), message: "gone".to_owned() }).await;
        assert_eq!((row.state, row.active_ms, row.message.as_deref()), (TrialState::Waiting, 40_000, Some("gone")));
        let row = at(130, pruned(0)).await;
        assert_eq!((row.state, row.value, row.finished_at_ms), (TrialState::Pruned, Some(0.4), Some(130_000)));
    }

    #[tokio::test]
    async fn a_worker_that_went_away_too_often_leaves_a_lost_trial() {
        let fixture = Fixture::new(Direction::Minimize).await;
        let failed = |number, cause| Event::Failed {
            trial: TrialNumber(number),
            attempt: Attempt(1),
            cause,
            message: "gone".to_owned(),
        };
        fixture.tell(&[started(0, serde_json::json!({})), reported(0, 1, 1.0), failed(0, FailureCause::Lost)]).await;
        fixture.tell(&[started(1, serde_json::json!({})), failed(1, FailureCause::OutOfMemory)]).await;
        let counts = fixture.store.summary(fixture.study.id).await.unwrap().counts;
        assert_eq!((counts.lost, counts.failed, counts.total()), (1, 1, 2));
        let lost = fixture.store.trial(fixture.study.id, TrialNumber(0)).await.unwrap().unwrap();
        assert_eq!((lost.rank, lost.cause), (None, Some(FailureCause::Lost)));
    }
}
