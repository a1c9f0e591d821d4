//! Reports in their order: the curve of a trial, and how a study went.

use std::collections::BTreeMap;

use nightsweep_search::{TrialNumber, TrialState};
use serde::Serialize;
use sqlx::Row;

use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::trials::TrialRow;
use crate::words::{from_json, signed, unsigned};

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
    /// All reports of a trial, in order; for a fork, after those of its ancestors up to where each was forked.
    pub async fn curve(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<Report>, QueryError> {
        let rows = sqlx::query(
            "WITH RECURSIVE line (trial, last) AS (SELECT ?2, ?3 UNION ALL \
             SELECT t.parent, min(t.forked_after, line.last) FROM line \
             JOIN trials t ON t.study = ?1 AND t.number = line.trial WHERE t.parent IS NOT NULL) \
             SELECT step, attempt, value, metrics, at FROM line \
             JOIN reports r ON r.study = ?1 AND r.trial = line.trial AND r.step <= line.last ORDER BY step",
        )
        .bind(study.0)
        .bind(signed(trial.0))
        .bind(i64::MAX)
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

    /// A trial and its ancestors, the first one first.
    pub async fn ancestry(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<TrialRow>, QueryError> {
        let mut rows = Vec::new();
        let mut next = Some(trial);
        while let Some(number) = next {
            let Some(row) = self.trial(study, number).await? else { break };
            next = row.origin.map(|origin| origin.parent);
            rows.push(row);
        }
        rows.reverse();
        Ok(rows)
    }

    /// The trials that are forks of this one.
    pub async fn forks_of(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<TrialRow>, QueryError> {
        let query =
            sqlx::query_scalar::<_, i64>("SELECT number FROM trials WHERE study = ? AND parent = ? ORDER BY number");
        let mut forks = Vec::new();
        for number in query.bind(study.0).bind(signed(trial.0)).fetch_all(&self.reader).await? {
            forks.extend(self.trial(study, TrialNumber(unsigned(number))).await?);
        }
        Ok(forks)
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
        let standings = self.standings(study).await?;
        let ranked = standings.trials.iter().zip(&standings.ranks).filter(|(_, rank)| rank.is_some());
        let mut points: Vec<(bool, Point)> = ranked
            .filter_map(|(trial, _)| {
                let at_ms = trial.finished_at_ms.unwrap_or(trial.started_at_ms);
                let point = Point { trial: trial.number, state: trial.state, value: trial.shown?, at_ms };
                Some((trial.finished_at_ms.is_none(), point))
            })
            .collect();
        points.sort_by_key(|(unfinished, point)| (*unfinished, point.at_ms, point.trial));
        Ok(points.into_iter().map(|(_, point)| point).collect())
    }
}
