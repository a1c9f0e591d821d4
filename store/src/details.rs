//! What people want to see of a trial beside its log of events: where it ran, its recipe, what it printed.

use std::fmt;

use nightsweep_search::{Attempt, TrialNumber};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::open::{QueryError, Store, WriteError};
use crate::studies::StudyId;
use crate::words::{from_word, now_ms, signed, word_of};

/// Where an attempt ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// The attempt.
    pub attempt: u32,
    /// The slot, as the controller names it.
    pub slot: String,
    /// What the slot computes on.
    pub device: String,
    /// The worker process.
    pub pid: u32,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something did not work.
    Error,
    /// Something may not be as wanted.
    Warn,
    /// What a person following the trial cares about.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word_of(self))
    }
}

/// What a trial printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogLine {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The attempt that printed it.
    pub attempt: u32,
    /// How much it matters.
    pub level: Level,
    /// Without a line feed at its end.
    pub text: String,
}

impl Store {
    /// Notes where an attempt runs; the last word on an attempt holds.
    pub async fn record_assignment(
        &self,
        study: StudyId,
        trial: TrialNumber,
        attempt: Attempt,
        slot: &str,
        device: &str,
        pid: u32,
    ) -> Result<(), WriteError> {
        sqlx::query(
            "INSERT OR REPLACE INTO assignments (study, trial, attempt, slot, device, pid, at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(study.0)
        .bind(signed(trial.0))
        .bind(attempt.0)
        .bind(slot)
        .bind(device)
        .bind(pid)
        .bind(now_ms())
        .execute(self.writer()?)
        .await?;
        Ok(())
    }

    /// Where the attempts of a trial ran, in order.
    pub async fn assignments(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<Assignment>, QueryError> {
        let rows = sqlx::query(
            "SELECT attempt, slot, device, pid, at FROM assignments WHERE study = ? AND trial = ? ORDER BY attempt",
        );
        let rows = rows.bind(study.0).bind(signed(trial.0)).fetch_all(&self.reader).await?;
        let assignment = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Assignment {
                attempt: row.try_get("attempt")?,
                slot: row.try_get("slot")?,
                device: row.try_get("device")?,
                pid: row.try_get("pid")?,
                at_ms: row.try_get("at")?,
            })
        };
        rows.iter().map(assignment).collect()
    }

    /// Keeps the recipe that a trial trains with.
    pub async fn set_recipe(&self, study: StudyId, trial: TrialNumber, toml: &str) -> Result<(), WriteError> {
        sqlx::query("INSERT OR REPLACE INTO recipes (study, trial, toml) VALUES (?, ?, ?)")
            .bind(study.0)
            .bind(signed(trial.0))
            .bind(toml)
            .execute(self.writer()?)
            .await?;
        Ok(())
    }

    /// The recipe that a trial trains with, if it is known.
    pub async fn recipe(&self, study: StudyId, trial: TrialNumber) -> Result<Option<String>, QueryError> {
        let query = sqlx::query_scalar("SELECT toml FROM recipes WHERE study = ? AND trial = ?");
        Ok(query.bind(study.0).bind(signed(trial.0)).fetch_optional(&self.reader).await?)
    }

    /// Keeps a line that a trial printed.
    pub async fn append_log(
        &self,
        study: StudyId,
        trial: TrialNumber,
        attempt: Attempt,
        level: Level,
        text: &str,
    ) -> Result<(), WriteError> {
        sqlx::query("INSERT INTO log_lines (study, trial, attempt, at, level, text) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(study.0)
            .bind(signed(trial.0))
            .bind(attempt.0)
            .bind(now_ms())
            .bind(word_of(&level))
            .bind(text.trim_end_matches('\n'))
            .execute(self.writer()?)
            .await?;
        Ok(())
    }

    /// The last lines that a trial printed, in order.
    pub async fn logs(&self, study: StudyId, trial: TrialNumber, limit: u32) -> Result<Vec<LogLine>, QueryError> {
        let rows = sqlx::query(
            "SELECT at, attempt, level, text FROM log_lines WHERE study = ? AND trial = ? ORDER BY id DESC LIMIT ?",
        );
        let rows = rows.bind(study.0).bind(signed(trial.0)).bind(limit).fetch_all(&self.reader).await?;
        let line = |row: &sqlx::sqlite::SqliteRow| {
            Ok(LogLine {
                at_ms: row.try_get("at")?,
                attempt: row.try_get("attempt")?,
                level: from_word(row.try_get("level")?)?,
                text: row.try_get("text")?,
            })
        };
        rows.iter().rev().map(line).collect()
    }
}
