//! A study at a glance.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use nightsweep_search::{Event, FailureCause, Outlook, TrialState};
use serde::Serialize;
use sqlx::Row;

use crate::events::{self, Entry, Seq};
use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::trials::TrialRow;
use crate::words::{from_json, unsigned};

/// How many trials are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateCounts {
    /// To go on as soon as a worker is free.
    pub waiting: u64,
    /// Under a worker.
    pub running: u64,
    /// To go on if promoted.
    pub paused: u64,
    /// At their end.
    pub complete: u64,
    /// Stopped because they did not pay.
    pub pruned: u64,
    /// Without a result.
    pub failed: u64,
    /// Their workers went away too often.
    pub lost: u64,
}

impl StateCounts {
    /// The count of one state.
    pub fn of(&self, state: TrialState) -> u64 {
        let mut counts = *self;
        *counts.of_mut(state)
    }

    /// Over all states.
    pub fn total(&self) -> u64 {
        self.waiting + self.running + self.paused + self.complete + self.pruned + self.failed + self.lost
    }

    fn of_mut(&mut self, state: TrialState) -> &mut u64 {
        match state {
            TrialState::Waiting => &mut self.waiting,
            TrialState::Running => &mut self.running,
            TrialState::Paused => &mut self.paused,
            TrialState::Complete => &mut self.complete,
            TrialState::Pruned => &mut self.pruned,
            TrialState::Failed => &mut self.failed,
            TrialState::Lost => &mut self.lost,
        }
    }
}

/// Who drives the study, by the log's last word on it. A controller that was killed did not close.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Controller {
    /// Nobody took it up yet.
    None,
    /// Taken up and not put down.
    Open {
        /// Process id of the controller.
        pid: u32,
        /// Name of its machine.
        host: String,
        /// Milliseconds since 1970.
        since_ms: i64,
    },
    /// Put down in good order.
    Closed {
        /// Why it ended.
        reason: String,
        /// Whether it cannot go on before a person has mended something.
        needs_help: bool,
        /// Milliseconds since 1970.
        at_ms: i64,
    },
}

/// A study at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many trials are in each state.
    pub counts: StateCounts,
    /// The best complete trial, or the best so far as long as none is.
    pub best: Option<TrialRow>,
    /// Who drives it.
    pub controller: Controller,
    /// First event, in milliseconds since 1970.
    pub started_at_ms: Option<i64>,
    /// Latest event, in milliseconds since 1970.
    pub last_event_at_ms: Option<i64>,
    /// Place of the latest event.
    pub last_seq: Seq,
    /// Steps reported by all trials, those that a fork inherits counted once.
    pub steps: u64,
    /// Time under a worker of all attempts that ended.
    pub active_ms: u64,
}

/// Trials without a result, of one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Why they failed.
    pub cause: FailureCause,
    /// How many.
    pub trials: u64,
    /// Time under a worker that went into them.
    pub active_ms: u64,
}

impl Store {
    /// What was spent without a result, by cause, the most first.
    pub async fn failures(&self, study: StudyId) -> Result<Vec<Failures>, QueryError> {
        let mut failures = BTreeMap::<FailureCause, Failures>::new();
        for trial in &self.standings(study).await?.trials {
            let Some(cause) = trial.cause.filter(|_| matches!(trial.state, TrialState::Failed | TrialState::Lost))
            else {
                continue;
            };
            let of_cause = failures.entry(cause).or_insert(Failures { cause, trials: 0, active_ms: 0 });
            of_cause.trials += 1;
            of_cause.active_ms += trial.active_ms;
        }
        let mut failures: Vec<Failures> = failures.into_values().collect();
        failures.sort_by_key(|it| (Reverse(it.active_ms), it.cause));
        Ok(failures)
    }

    /// What people asked for last, the latest first.
    pub async fn last_orders(&self, study: StudyId, limit: u32) -> Result<Vec<Entry>, QueryError> {
        let rows = sqlx::query(
            // Else SQLite walks back over the log in its order, all of it where nobody asked for anything.
            "SELECT seq, at, body FROM events INDEXED BY events_ordered \
             WHERE study = ? AND kind = 'ordered' ORDER BY seq DESC LIMIT ?",
        );
        rows.bind(study.0).bind(limit).fetch_all(&self.reader).await?.iter().map(events::read).collect()
    }

    /// The study at a glance.
    pub async fn summary(&self, study: StudyId) -> Result<Summary, QueryError> {
        let mut counts = StateCounts::default();
        let (mut steps, mut active_ms) = (0, 0);
        for trial in &self.standings(study).await?.trials {
            *counts.of_mut(trial.state) += 1;
            steps += trial.steps - trial.inherited_steps;
            active_ms += trial.active_ms;
        }
        let ends = sqlx::query(
            "SELECT (SELECT at FROM events WHERE study = ?1 ORDER BY seq LIMIT 1) AS first, \
             (SELECT at FROM events WHERE study = ?1 ORDER BY seq DESC LIMIT 1) AS last, \
             (SELECT coalesce(max(seq), 0) FROM events WHERE study = ?1) AS seq",
        );
        let ends = ends.bind(study.0).fetch_one(&self.reader).await?;
        Ok(Summary {
            counts,
            best: self.best_trial(study).await?,
            controller: self.controller(study).await?,
            started_at_ms: ends.try_get("first")?,
            last_event_at_ms: ends.try_get("last")?,
            last_seq: Seq(unsigned(ends.try_get("seq")?)),
            steps,
            active_ms,
        })
    }

    /// What the controller last expected of its time, and when, in milliseconds since 1970.
    pub async fn outlook(&self, study: StudyId) -> Result<Option<(i64, Outlook)>, QueryError> {
        let row = sqlx::query(
            // As for what people asked for.
            "SELECT at, body FROM events INDEXED BY events_planned \
             WHERE study = ? AND kind = 'planned' ORDER BY seq DESC LIMIT 1",
        );
        let Some(row) = row.bind(study.0).fetch_optional(&self.reader).await? else { return Ok(None) };
        let at_ms = row.try_get("at")?;
        Ok(match from_json(row.try_get("body")?)? {
            Event::Planned { outlook } => Some((at_ms, outlook)),
            _ => None,
        })
    }

    async fn controller(&self, study: StudyId) -> Result<Controller, QueryError> {
        let row = sqlx::query(
            // Else SQLite walks back over the log in its order.
            "SELECT at, body FROM events INDEXED BY events_by_kind \
             WHERE study = ? AND kind IN ('opened', 'closed') ORDER BY seq DESC LIMIT 1",
        );
        let Some(row) = row.bind(study.0).fetch_optional(&self.reader).await? else { return Ok(Controller::None) };
        let at_ms = row.try_get("at")?;
        Ok(match from_json(row.try_get("body")?)? {
            Event::Opened { pid, host, .. } => Controller::Open { pid, host, since_ms: at_ms },
            Event::Closed { reason, needs_help } => Controller::Closed { reason, needs_help, at_ms },
            _ => Controller::None,
        })
    }
}
