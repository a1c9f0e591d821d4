//! What an event changes in the tables that serve the pages. Only the event, its time, and the study's direction and
//! constraints enter, so that the log alone makes the tables again.

use std::collections::BTreeMap;

use nightsweep_search::{
    Annotation, Event, Expression, FailureCause, Origin, ParamValue, PauseReason, TrialNumber, TrialState,
};
use sqlx::{Row, SqliteConnection};

use crate::events::AppendError;
use crate::open::Store;
use crate::studies::StudyId;
use crate::words::{from_json, from_word, signed, word_of};

impl Store {
    /// Makes the tables of the study again from its log.
    pub async fn rebuild(&self, study: StudyId) -> Result<(), AppendError> {
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await?;
        let terms = Terms::of(&mut transaction, study).await?.ok_or(AppendError::NoSuchStudy)?;
        sqlx::query("DELETE FROM annotations WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM reports WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM trials WHERE study = ?").bind(study.0).execute(&mut *transaction).await?;
        let rows = sqlx::query("SELECT at, body FROM events WHERE study = ? ORDER BY seq")
            .bind(study.0)
            .fetch_all(&mut *transaction)
            .await?;
        for row in rows {
            let event = from_json(row.try_get("body")?)?;
            apply(&mut transaction, study, &terms, row.try_get("at")?, &event).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// What a study's trials are ranked by.
pub(crate) struct Terms {
    /// 1 where the study minimizes, -1 where it maximizes.
    sense: i64,
    constraints: Vec<Expression>,
}

impl Terms {
    /// Those of the study; nothing if there is no such study.
    pub(crate) async fn of(connection: &mut SqliteConnection, study: StudyId) -> Result<Option<Self>, AppendError> {
        let query = "SELECT iif(direction = 'minimize', 1, -1) AS sense, constraints FROM studies WHERE id = ?";
        let Some(row) = sqlx::query(query).bind(study.0).fetch_optional(connection).await? else { return Ok(None) };
        Ok(Some(Self { sense: row.try_get("sense")?, constraints: from_json(row.try_get("constraints")?)? }))
    }

    /// By how much these metrics break the constraints, as the search has it; the greatest number where one is missing.
    fn violation(&self, metrics: &BTreeMap<String, f64>) -> f64 {
        let metric = |name: &str| metrics.get(name).copied().map(ParamValue::Float);
        let missed = |constraint: &Expression| constraint.violation(&metric).unwrap_or(f64::INFINITY);
        self.constraints.iter().map(missed).sum::<f64>().min(f64::MAX)
    }
}

pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    study: StudyId,
    terms: &Terms,
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
        | Event::Planned { .. }
        | Event::Closed { .. } => Ok(()),
        Event::Annotated { trial, change, .. } => tables.annotate(*trial, change).await,
        Event::Started { trial, params, why } => {
            let params = serde_json::to_string(params).map_err(|_| AppendError::NotFinite)?;
            tables.start(*trial, terms, &params, why).await
        }
        Event::Forked { trial, params, why, origin } => {
            let params = serde_json::to_string(params).map_err(|_| AppendError::NotFinite)?;
            tables.start(*trial, terms, &params, why).await?;
            tables.fork(*trial, *origin).await
        }
        Event::Resumed { trial, attempt } => {
            tables.check_open(*trial).await?;
            tables.resume(*trial, attempt.0).await
        }
        Event::Reported { trial, attempt, step, value, metrics } => {
            tables.check_open(*trial).await?;
            let violation = terms.violation(metrics);
            let metrics = serde_json::to_string(metrics).map_err(|_| AppendError::NotFinite)?;
            tables.report(*trial, attempt.0, *step, *value, &metrics, violation).await
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
        let to = if cause.is_no_fault_of_the_trial() { TrialState::Lost } else { TrialState::Failed };
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

    async fn start(&mut self, trial: TrialNumber, terms: &Terms, params: &str, why: &str) -> Result<(), AppendError> {
        let insert = sqlx::query(
            "INSERT INTO trials (study, number, state, params, why, attempt, started_at, running_since, sense, violation) \
             VALUES (?1, ?2, 'running', ?3, ?4, 1, ?5, ?5, ?6, ?7)",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(params)
        .bind(why)
        .bind(self.at)
        .bind(terms.sense)
        .bind(terms.violation(&BTreeMap::new()));
        match insert.execute(&mut *self.connection).await {
            Ok(_) => Ok(()),
            Err(error) if is_taken(&error) => Err(AppendError::AlreadyStarted { trial }),
            Err(error) => Err(error.into()),
        }
    }

    /// A fork begins with what its parent had come to, and ends the trial whose place it takes.
    async fn fork(&mut self, trial: TrialNumber, origin: Origin) -> Result<(), AppendError> {
        let Origin { parent, epoch, replaces } = origin;
        let inherited = sqlx::query(
            "UPDATE trials SET parent = ?3, forked_after = ?4, replaces = ?5, steps = ?4, last_value = p.last_value, \
             best_value = p.best_value, best_step = p.best_step, violation = p.violation FROM trials p \
             WHERE trials.study = ?1 AND trials.number = ?2 AND p.study = ?1 AND p.number = ?3",
        );
        let changed = inherited
            .bind(self.study.0)
            .bind(signed(trial.0))
            .bind(signed(parent.0))
            .bind(signed(epoch))
            .bind(signed(replaces.0))
            .execute(&mut *self.connection)
            .await?;
        if changed.rows_affected() == 0 {
            return Err(AppendError::NoSuchTrial { trial: parent });
        }
        match self.leave(replaces, Leaving::pruned()).await {
            Err(AppendError::Finished { .. }) => Ok(()),
            left => left,
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
        violation: f64,
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
            "UPDATE trials SET steps = ?3, last_value = ?4, violation = ?5, \
             best_step = iif(?4 * sense < best_value * sense OR (best_value IS NULL AND ?4 IS NOT NULL), ?3, best_step), \
             best_value = iif(?4 * sense < best_value * sense OR best_value IS NULL, ?4, best_value) \
             WHERE study = ?1 AND number = ?2",
        )
        .bind(self.study.0)
        .bind(signed(trial.0))
        .bind(signed(step))
        .bind(value)
        .bind(violation)
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
    use nightsweep_search::{Attempt, Direction, Params};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Fixture, annotated, completed, pruned, reported, started};

    /// Whatever happens to a few trials, also what cannot happen to them.
    fn anything() -> impl Strategy<Value = Event> {
        let attempt = Attempt(1);
        (0..18u8, 0..4u64, 1..5u64, -1.0..1.0f64).prop_map(move |(kind, number, step, value)| {
            let trial = TrialNumber(number);
            let message = "why".to_owned();
            match kind {
                0..=2 => started(number, serde_json::json!({ "lr": value, "optimizer": "sgd" })),
                3 => Event::Resumed { trial, attempt: Attempt(2) },
                4..=6 => reported(number, step, value),
                7 => reported(number, step, f64::NAN),
                8 => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                9 => Event::Requeued { trial, attempt, cause: None, message },
                10 => completed(number, value),
                11 => pruned(number),
                12 => annotated(number, Annotation::Note(message)),
                13 => annotated(number, Annotation::Tags(vec![message, "b".to_owned()])),
                14 => annotated(number, Annotation::Pinned(value < 0.0)),
                15 => annotated(number, Annotation::Starred(value < 0.0)),
                16 => {
                    let origin = Origin { parent: TrialNumber(step % 3), epoch: step, replaces: TrialNumber(step % 2) };
                    Event::Forked { trial, params: Params::default(), why: message, origin }
                }
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
             started_at, finished_at, active_ms, running_since, pause, cause, message, sense, parent, forked_after, replaces, violation) FROM trials \
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
        let row =
            at(120, Event::Requeued { trial, attempt: Attempt(2), cause: None, message: "gone".to_owned() }).await;
        assert_eq!((row.state, row.active_ms, row.message.as_deref()), (TrialState::Waiting, 40_000, Some("gone")));
        let row = at(130, pruned(0)).await;
        assert_eq!((row.state, row.value, row.finished_at_ms), (TrialState::Pruned, Some(0.4), Some(130_000)));
    }

    #[tokio::test]
    async fn a_fork_goes_on_where_its_parent_stood_and_ends_the_trial_that_it_replaces() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let (store, study) = (&fixture.store, fixture.study.id);
        for trial in 0..2 {
            fixture.tell(&[started(trial, serde_json::json!({})), reported(trial, 1, 0.5)]).await;
            let (trial, attempt, reason) = (TrialNumber(trial), Attempt(1), PauseReason::Rung);
            fixture.tell(&[reported(trial.0, 2, 0.6 - trial.0 as f64), Event::Paused { trial, attempt, reason }]).await;
        }
        let forked = |trial, parent, epoch, replaces| {
            let origin = Origin { parent: TrialNumber(parent), epoch, replaces: TrialNumber(replaces) };
            Event::Forked { trial: TrialNumber(trial), params: Params::default(), why: "pbt".to_owned(), origin }
        };
        fixture.tell(&[forked(2, 0, 2, 1)]).await;
        let row = async |trial| store.trial(study, TrialNumber(trial)).await.unwrap().unwrap();
        let fork = row(2).await;
        assert_eq!(
            (fork.state, fork.steps, fork.last_value, fork.best_step),
            (TrialState::Running, 2, Some(0.6), Some(2))
        );
        assert_eq!(fork.origin.map(|origin| (origin.parent.0, origin.epoch, origin.replaces.0)), Some((0, 2, 1)));
        assert_eq!((row(1).await.state, row(0).await.state), (TrialState::Pruned, TrialState::Paused));
        fixture.tell(&[reported(2, 3, 0.7), reported(2, 4, 0.8)]).await;
        // A fork of the fork, in place of a trial that has ended.
        fixture.tell(&[forked(3, 2, 3, 1), reported(3, 4, 0.9)]).await;
        let curve = store.curve(study, TrialNumber(3)).await.unwrap();
        let values: Vec<_> = curve.iter().map(|report| (report.step, report.value.unwrap())).collect();
        assert_eq!(values, [(1, 0.5), (2, 0.6), (3, 0.7), (4, 0.9)]);
        let ancestry = store.ancestry(study, TrialNumber(3)).await.unwrap();
        assert_eq!(ancestry.iter().map(|trial| trial.number.0).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(store.summary(study).await.unwrap().steps, 2 + 2 + 2 + 1);
        assert!(store.append(study, &forked(4, 9, 3, 1)).await.is_err());
    }

    #[tokio::test]
    async fn a_trial_that_breaks_the_constraints_ranks_behind_those_that_keep_them() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let plan = serde_json::json!({ "knowledge": { "constraints": ["seconds <= 10", "loss < 1"] } });
        let study = crate::NewStudy { plan, ..crate::testing::new_study("bounded", Direction::Maximize) };
        let id = fixture.store.create_study(study).await.unwrap();
        let end = |number: u64, value: f64, seconds: Option<f64>| {
            let (trial, attempt) = (TrialNumber(number), Attempt(1));
            let seconds = seconds.map(|seconds| ("seconds".to_owned(), seconds));
            let metrics = seconds.into_iter().chain([("loss".to_owned(), 0.5)]).collect();
            let params = Params::default();
            let report = Event::Reported { trial, attempt, step: 1, value: Some(value), metrics };
            [Event::Started { trial, params, why: String::new() }, report, Event::Completed { trial, attempt, value }]
        };
        let ends = [(0.9, Some(12.0)), (0.7, Some(10.0)), (0.8, Some(9.0)), (0.99, None), (0.95, Some(11.0))];
        for (number, (value, seconds)) in (0..).zip(ends) {
            fixture.store.append_all(id, &end(number, value, seconds)).await.unwrap();
        }
        let study = fixture.store.study_named("bounded").await.unwrap().unwrap();
        let board = fixture.store.board(&study, &crate::BoardQuery::default()).await.unwrap();
        let ranks: Vec<_> = board.trials.iter().map(|trial| (trial.rank.unwrap(), trial.number.0)).collect();
        assert_eq!(ranks, [(1, 2), (2, 1), (3, 4), (4, 0), (5, 3)]);
        let violations: Vec<_> = board.trials.iter().map(|trial| trial.violation).collect();
        assert_eq!(violations, [0.0, 0.0, 1.0, 2.0, f64::MAX]);
        assert_eq!(fixture.store.summary(id).await.unwrap().best.unwrap().number, TrialNumber(2));
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
