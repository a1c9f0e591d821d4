//! What of every trial the board filters and sorts by, kept in memory as of the latest event: after an event only the
//! trials that it and the others since then are about are read again. So a page of 50,000 trials costs a pass over
//! numbers instead of a pass over rows and their JSON.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nightsweep_search::{FailureCause, ParamValue, Params, SearchSpace, TrialNumber, TrialState};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use crate::events::Seq;
use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::words::{from_json, from_word, signed, unsigned};

/// A trial as the board compares it with others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub number: TrialNumber,
    pub state: TrialState,
    /// Its group among the ranks, by how much it breaks the study's constraints, and its loss; nothing if it failed or has
    /// no value yet.
    merit: Option<(i64, f64, f64)>,
    pub shown: Option<f64>,
    pub best_value: Option<f64>,
    pub steps: u64,
    /// Of these, its parent's.
    pub inherited_steps: u64,
    pub attempt: u32,
    pub active_ms: u64,
    running_since_ms: Option<i64>,
    pub started_at_ms: i64,
    pub finished_at_ms: Option<i64>,
    pub cause: Option<FailureCause>,
    pub slot: Option<String>,
    pub device: Option<String>,
    pub images_per_second: Option<f64>,
    pub peak_memory_bytes: Option<f64>,
    pub note: String,
    pub tags: Vec<String>,
    pub pinned: bool,
    pub starred: bool,
    /// In the order of the space.
    pub params: Box<[Option<ParamValue>]>,
}

impl Standing {
    /// Time under a worker until now.
    pub(crate) fn active_ms_at(&self, now_ms: i64) -> u64 {
        self.active_ms + self.running_since_ms.map_or(0, |since| unsigned(now_ms - since))
    }

    fn read(row: &SqliteRow, space: &SearchSpace) -> Result<Self, QueryError> {
        let params: Params = from_json(row.try_get("params")?)?;
        let standing: Option<i64> = row.try_get("standing")?;
        Ok(Self {
            number: TrialNumber(unsigned(row.try_get("number")?)),
            state: from_word(row.try_get("state")?)?,
            merit: match (standing, row.try_get("loss")?) {
                (Some(group), Some(loss)) => Some((group, row.try_get("violation")?, loss)),
                _ => None,
            },
            shown: row.try_get("shown")?,
            best_value: row.try_get("best_value")?,
            steps: unsigned(row.try_get("steps")?),
            inherited_steps: row.try_get::<Option<i64>, _>("forked_after")?.map_or(0, unsigned),
            attempt: row.try_get("attempt")?,
            active_ms: unsigned(row.try_get("active_ms")?),
            running_since_ms: row.try_get("running_since")?,
            started_at_ms: row.try_get("started_at")?,
            finished_at_ms: row.try_get("finished_at")?,
            cause: row.try_get::<Option<String>, _>("cause")?.map(from_word).transpose()?,
            slot: row.try_get("slot")?,
            device: row.try_get("device")?,
            images_per_second: row.try_get("images_per_second")?,
            peak_memory_bytes: row.try_get("peak_memory_bytes")?,
            note: row.try_get("note")?,
            tags: from_json(row.try_get("tags")?)?,
            pinned: row.try_get("pinned")?,
            starred: row.try_get("starred")?,
            params: space.0.iter().map(|parameter| params.get(&parameter.name).cloned()).collect(),
        })
    }
}

/// All trials of a study as of a place of its log.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    seq: Seq,
    pub space: Arc<SearchSpace>,
    /// By number.
    pub trials: Vec<Arc<Standing>>,
    /// Of each: from 1, equal for equal values; complete trials first, then by their latest value those that are not.
    pub ranks: Vec<Option<u64>>,
}

/// The standings of the studies that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<HashMap<StudyId, Slot>>>);

/// One at a time brings it up to date, and the others wait for that.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Standings>>>>;

impl Known {
    fn slot(&self, study: StudyId) -> Slot {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(study).or_default())
    }
}

impl Store {
    /// All trials of the study as of its latest event.
    pub(crate) async fn standings(&self, study: StudyId) -> Result<Arc<Standings>, QueryError> {
        let slot = self.known.slot(study);
        let mut slot = slot.lock().await;
        // Asked before the rows: what happens meanwhile is read again the next time.
        let last = self.last_seq(study).await?;
        let (space, after) = match slot.as_ref() {
            Some(known) if known.seq == last => return Ok(Arc::clone(known)),
            Some(known) => (Arc::clone(&known.space), Some(known.seq)),
            None => {
                let space = sqlx::query_scalar::<_, String>("SELECT space FROM studies WHERE id = ?");
                let space = space.bind(study.0).fetch_one(&self.reader).await?;
                (Arc::new(from_json(&space)?), None)
            }
        };
        let changed = self.read_standings(study, &space, after).await?;
        // Not taken before: a request that is given up while it waits leaves here what was known.
        let mut fresh = match slot.take() {
            Some(known) => Arc::unwrap_or_clone(known),
            None => Standings { seq: last, space, trials: Vec::new(), ranks: Vec::new() },
        };
        fresh.seq = last;
        fresh.put(changed);
        let fresh = Arc::new(fresh);
        *slot = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Reads what the board of a study needs, so that whoever opens it first does not wait for that.
    pub async fn prepare_board(&self, study: StudyId) -> Result<(), QueryError> {
        self.standings(study).await.map(drop)
    }

    /// The trials that something happened to after that place; all, without one.
    async fn read_standings(
        &self,
        study: StudyId,
        space: &SearchSpace,
        after: Option<Seq>,
    ) -> Result<Vec<Standing>, QueryError> {
        let mut sql = QueryBuilder::new(
            "SELECT t.number, t.state, t.params, t.attempt, t.steps, t.shown, t.best_value, t.standing, t.loss, t.violation, \
             t.forked_after, \
             t.started_at, t.finished_at, t.active_ms, t.running_since, t.cause, a.slot, a.device, \
             CAST(r.metrics ->> 'images_per_second' AS REAL) AS images_per_second, \
             CAST(r.metrics ->> 'peak_memory_bytes' AS REAL) AS peak_memory_bytes, coalesce(n.note, '') AS note, \
             coalesce(n.tags, '[]') AS tags, coalesce(n.pinned, 0) AS pinned, coalesce(n.starred, 0) AS starred \
             FROM trials t \
             LEFT JOIN assignments a ON a.study = t.study AND a.trial = t.number AND a.attempt = t.attempt \
             LEFT JOIN annotations n ON n.study = t.study AND n.trial = t.number \
             LEFT JOIN reports r ON r.study = t.study AND r.trial = t.number AND r.step = t.steps WHERE t.study = ",
        );
        sql.push_bind(study.0);
        if let Some(Seq(after)) = after {
            // With `trial IS NOT NULL` SQLite would walk over the index by trials, all of it.
            // A fork ends the trial that it replaces, of which no event tells.
            sql.push(" AND t.number IN (SELECT trial FROM events WHERE study = ").push_bind(study.0);
            sql.push(" AND seq > ").push_bind(signed(after));
            sql.push(
                " UNION SELECT f.replaces FROM events e JOIN trials f ON f.study = e.study AND f.number = e.trial ",
            );
            sql.push("WHERE e.study = ").push_bind(study.0).push(" AND e.seq > ").push_bind(signed(after)).push(")");
        }
        let rows = sql.build().fetch_all(&self.reader).await?;
        rows.iter().map(|row| Standing::read(row, space)).collect()
    }
}

impl Standings {
    /// The rank of the trial of that number.
    pub(crate) fn rank(&self, number: TrialNumber) -> Option<u64> {
        let at = self.trials.binary_search_by_key(&number, |trial| trial.number).ok()?;
        self.ranks[at]
    }

    fn put(&mut self, changed: Vec<Standing>) {
        for trial in changed {
            let trial = Arc::new(trial);
            match self.trials.binary_search_by_key(&trial.number, |known| known.number) {
                Ok(at) => self.trials[at] = trial,
                Err(at) => self.trials.insert(at, trial),
            }
        }
        let merits = self.trials.iter().enumerate().filter_map(|(at, trial)| Some((trial.merit?, at)));
        let mut order: Vec<_> = merits.collect();
        order.sort_by(|((group, violation, loss), _), ((other_group, other_violation, other), _)| {
            group.cmp(other_group).then(violation.total_cmp(other_violation)).then(loss.total_cmp(other))
        });
        self.ranks = vec![None; self.trials.len()];
        let mut above = None;
        for (place, (merit, at)) in (1..).zip(order) {
            let rank = match above {
                Some((same, rank)) if same == merit => rank,
                _ => place,
            };
            above = Some((merit, rank));
            self.ranks[at] = Some(rank);
        }
    }
}
