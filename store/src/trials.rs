//! A trial as the pages show it.

use std::collections::HashMap;

use nightsweep_search::{FailureCause, Origin, Params, PauseReason, TrialNumber, TrialState};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::words::{from_json, from_word, signed, unsigned};

/// The columns of [`TrialRow`] but the rank; the study is bound after it.
const COLUMNS: &str = "SELECT t.number, t.state, t.params, t.why, t.attempt, t.steps, t.value, t.last_value, \
    t.best_value, t.best_step, t.started_at, t.finished_at, t.active_ms, t.running_since, t.pause, t.cause, t.message, \
    t.parent, t.forked_after, t.replaces, t.violation, a.slot, a.device, a.pid, coalesce(n.note, '') AS note, \
    coalesce(n.tags, '[]') AS tags, coalesce(n.pinned, 0) AS pinned, coalesce(n.starred, 0) AS starred FROM trials t \
    LEFT JOIN assignments a ON a.study = t.study AND a.trial = t.number AND a.attempt = t.attempt \
    LEFT JOIN annotations n ON n.study = t.study AND n.trial = t.number WHERE t.study = ";

/// For so many trials all are read: a list of their numbers would be longer than what it spares.
const MANY: usize = 5000;

/// One trial and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    /// Place in the order of creation.
    pub number: TrialNumber,
    /// Where it stands.
    pub state: TrialState,
    /// From 1, equal for equal values: complete trials first, then by their latest value those that are not. In each
    /// group those that keep the study's constraints come first, then those that nearly do.
    pub rank: Option<u64>,
    /// The final metric, once the trial is complete or pruned.
    pub value: Option<f64>,
    /// The metric of the latest report.
    pub last_value: Option<f64>,
    /// The best metric of any report.
    pub best_value: Option<f64>,
    /// Which report had it.
    pub best_step: Option<u64>,
    /// Steps reported.
    pub steps: u64,
    /// How often it was handed to a worker.
    pub attempt: u32,
    /// What it tries.
    pub params: Params,
    /// What the sampler said of its choice.
    pub why: String,
    /// Where it began, if it is a fork.
    pub origin: Option<Origin>,
    /// By how much its latest report breaks the study's constraints, all together; 0 if it keeps them.
    pub violation: f64,
    /// Milliseconds since 1970.
    pub started_at_ms: i64,
    /// Milliseconds since 1970, once it is finished.
    pub finished_at_ms: Option<i64>,
    /// Time under a worker, without the attempt that runs.
    pub active_ms: u64,
    /// When the attempt that runs began, in milliseconds since 1970.
    pub running_since_ms: Option<i64>,
    /// Why it is paused.
    pub pause: Option<PauseReason>,
    /// Why it failed.
    pub cause: Option<FailureCause>,
    /// What is to say of its failure, or of its return to the queue.
    pub message: Option<String>,
    /// Where its latest attempt runs or ran.
    pub slot: Option<String>,
    /// What that slot computes on.
    pub device: Option<String>,
    /// The worker process of that attempt.
    pub pid: Option<u32>,
    /// What people wrote of it, as Markdown.
    pub note: String,
    /// Words that people gave it.
    pub tags: Vec<String>,
    /// Stays on top of the board.
    pub pinned: bool,
    /// Has a star.
    pub starred: bool,
}

impl TrialRow {
    /// The final value, or the latest as long as there is none.
    pub fn shown_value(&self) -> Option<f64> {
        self.value.or(self.last_value)
    }

    /// Time under a worker until now.
    pub fn active_ms_at(&self, now_ms: i64) -> u64 {
        self.active_ms + self.running_since_ms.map_or(0, |since| unsigned(now_ms - since))
    }

    /// Without its rank.
    fn read(row: &SqliteRow) -> Result<Self, QueryError> {
        Ok(Self {
            number: TrialNumber(unsigned(row.try_get("number")?)),
            state: from_word(row.try_get("state")?)?,
            rank: None,
            value: row.try_get("value")?,
            last_value: row.try_get("last_value")?,
            best_value: row.try_get("best_value")?,
            best_step: row.try_get::<Option<i64>, _>("best_step")?.map(unsigned),
            steps: unsigned(row.try_get("steps")?),
            attempt: row.try_get("attempt")?,
            params: from_json(row.try_get("params")?)?,
            why: row.try_get("why")?,
            origin: origin(row)?,
            violation: row.try_get("violation")?,
            started_at_ms: row.try_get("started_at")?,
            finished_at_ms: row.try_get("finished_at")?,
            active_ms: unsigned(row.try_get("active_ms")?),
            running_since_ms: row.try_get("running_since")?,
            pause: row.try_get::<Option<String>, _>("pause")?.map(from_word).transpose()?,
            cause: row.try_get::<Option<String>, _>("cause")?.map(from_word).transpose()?,
            message: row.try_get("message")?,
            slot: row.try_get("slot")?,
            device: row.try_get("device")?,
            pid: row.try_get("pid")?,
            note: row.try_get("note")?,
            tags: from_json(row.try_get("tags")?)?,
            pinned: row.try_get("pinned")?,
            starred: row.try_get("starred")?,
        })
    }
}

fn origin(row: &SqliteRow) -> Result<Option<Origin>, QueryError> {
    let number = |column: &str| row.try_get::<Option<i64>, _>(column);
    let origin = number("parent")?.zip(number("forked_after")?).zip(number("replaces")?);
    Ok(origin.map(|((parent, epoch), replaces)| Origin {
        parent: TrialNumber(unsigned(parent)),
        epoch: unsigned(epoch),
        replaces: TrialNumber(unsigned(replaces)),
    }))
}

impl Store {
    /// The trial of that number, if there is one.
    pub async fn trial(&self, study: StudyId, number: TrialNumber) -> Result<Option<TrialRow>, QueryError> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push_bind(study.0).push(" AND t.number = ").push_bind(signed(number.0));
        let Some(row) = query.build().fetch_optional(&self.reader).await? else { return Ok(None) };
        let rank = self.standings(study).await?.rank(number);
        Ok(Some(TrialRow { rank, ..TrialRow::read(&row)? }))
    }

    /// The trials of those numbers, without their ranks.
    pub(crate) async fn rows(
        &self,
        study: StudyId,
        numbers: &[TrialNumber],
    ) -> Result<HashMap<TrialNumber, TrialRow>, QueryError> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push_bind(study.0);
        if numbers.len() < MANY {
            let wanted = serde_json::to_string(numbers).map_err(QueryError::Unreadable)?;
            query.push(" AND t.number IN (SELECT value FROM json_each(").push_bind(wanted).push("))");
        }
        let rows = query.build().fetch_all(&self.reader).await?;
        let read = |row: &SqliteRow| TrialRow::read(row).map(|trial| (trial.number, trial));
        rows.iter().map(read).collect()
    }

    /// The best complete trial, or the best so far as long as none is; one that keeps the study's constraints, if any does.
    pub async fn best_trial(&self, study: StudyId) -> Result<Option<TrialRow>, QueryError> {
        let query = sqlx::query_scalar::<_, i64>(
            "SELECT number FROM trials WHERE study = ? AND standing IS NOT NULL ORDER BY standing, violation, loss, number LIMIT 1",
        );
        match query.bind(study.0).fetch_optional(&self.reader).await? {
            Some(number) => self.trial(study, TrialNumber(unsigned(number))).await,
            None => Ok(None),
        }
    }
}
