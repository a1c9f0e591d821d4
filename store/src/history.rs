//! Reports in their order: the curve of a trial, and how a study went.

use std::collections::BTreeMap;

use nightsweep_search::{TrialNumber, TrialState};
use serde::Serialize;
use sqlx::Row;

use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::words::{from_json, from_word, signed, unsigned};

/// What a trial said of itself after a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Epochs done.
    pub step: u64,
    /// The attempt that said it.
    pub attempt: u32,
    /// The study's metric, where it is a finite number.
    pub value: Option<f64>,
    /// Everything else that was measured.
    pub metrics: BTreeMap<String, f64>,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// A trial in the course of its study.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The trial.
    pub trial: TrialNumber,
    /// Where it stands.
    pub state: TrialState,
    /// Its final value, or the latest.
    pub value: f64,
    /// When it finished, or when it started if it has not; in milliseconds since 1970.
    pub at_ms: i64,
}

impl Store {
    /// All reports of a trial, in order.
    pub async fn curve(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<Report>, QueryError> {
        let rows = sqlx::query(
            "SELECT step, attempt, value, metrics, at FROM reports WHERE study = ? AND trial = ? ORDER BY step",
        )
        .bind(study.0)
        .bind(signed(trial.0))
        .fetch_all(&self.reader)
        .await?;
        let report = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Report {
                step: unsigned(row.try_get("step")?),
                attempt: row.try_get("attempt")?,
                value: row.try_get("value")?,
                metrics: from_json(row.try_get("metrics")?)?,
                at_ms: row.try_get("at")?,
            })
        };
        rows.iter().map(report).collect()
    }

    /// The values of some trials by step, where they are finite.
    pub async fn values(
        &self,
        study: StudyId,
        trials: &[TrialNumber],
    ) -> Result<BTreeMap<TrialNumber, Vec<(u64, f64)>>, QueryError> {
        let wanted = serde_json::to_string(trials).map_err(QueryError::Unreadable)?;
        let rows = sqlx::query(
            "SELECT trial, step, value FROM reports WHERE study = ? AND trial IN (SELECT value FROM json_each(?)) \
             AND value IS NOT NULL ORDER BY trial, step",
        )
        .bind(study.0)
        .bind(wanted)
        .fetch_all(&self.reader)
        .await?;
        let mut values = BTreeMap::<_, Vec<_>>::new();
        for row in rows {
            let trial = TrialNumber(unsigned(row.try_get("trial")?));
            values.entry(trial).or_default().push((unsigned(row.try_get("step")?), row.try_get("value")?));
        }
        Ok(values)
    }

    /// What else some trials measured at their latest step.
    pub async fn last_metrics(
        &self,
        study: StudyId,
        trials: &[TrialNumber],
    ) -> Result<BTreeMap<TrialNumber, BTreeMap<String, f64>>, QueryError> {
        let wanted = serde_json::to_string(trials).map_err(QueryError::Unreadable)?;
        let rows = sqlx::query(
            "SELECT r.trial, r.metrics FROM trials t \
             JOIN reports r ON r.study = t.study AND r.trial = t.number AND r.step = t.steps \
             WHERE t.study = ? AND t.number IN (SELECT value FROM json_each(?))",
        );
        let rows = rows.bind(study.0).bind(wanted).fetch_all(&self.reader).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok((TrialNumber(unsigned(row.try_get("trial")?)), from_json(row.try_get("metrics")?)?))
        };
        rows.iter().map(read).collect()
    }

    /// Every trial that has a value, in the order of their ends, those that have not ended last.
    pub async fn history(&self, study: StudyId) -> Result<Vec<Point>, QueryError> {
        let rows = sqlx::query(
            "SELECT number, state, shown, coalesce(finished_at, started_at) AS at FROM trials \
             WHERE study = ? AND standing IS NOT NULL ORDER BY finished_at IS NULL, at, number",
        )
        .bind(study.0)
        .fetch_all(&self.reader)
        .await?;
        let point = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Point {
                trial: TrialNumber(unsigned(row.try_get("number")?)),
                state: from_word(row.try_get("state")?)?,
                value: row.try_get("shown")?,
                at_ms: row.try_get("at")?,
            })
        };
        rows.iter().map(point).collect()
    }
}
