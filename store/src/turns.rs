//! Which worker had which trial when: each turn from its start or resumption to the event that ended it.

use nightsweep_search::{PauseReason, TrialNumber, TrialState};
use serde::Serialize;
use sqlx::Row;

use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::words::{from_word, unsigned};

/// One attempt of a trial under a worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// The trial.
    pub trial: TrialNumber,
    /// The attempt.
    pub attempt: u32,
    /// The slot, if it was noted.
    pub slot: Option<String>,
    /// Milliseconds since 1970.
    pub from_ms: i64,
    /// Milliseconds since 1970; nothing while it lasts.
    pub to_ms: Option<i64>,
    /// Where the trial stood after it: running while it lasts.
    pub left: TrialState,
    /// Why it paused, if that ended it.
    pub pause: Option<PauseReason>,
    /// Steps that the trial had reported by then.
    pub steps: u64,
}

impl Store {
    /// All turns of a study, in the order of their beginnings.
    pub async fn turns(&self, study: StudyId) -> Result<Vec<Turn>, QueryError> {
        let rows = sqlx::query(
            "SELECT e.at, e.kind, e.trial, coalesce(e.body ->> 'attempt', 1) AS attempt, e.body ->> 'reason' AS reason, \
             e.body ->> 'cause' AS cause, a.slot, \
             (SELECT max(step) FROM reports r WHERE r.study = e.study AND r.trial = e.trial AND r.attempt <= \
             coalesce(e.body ->> 'attempt', 1)) AS steps \
             FROM events e INDEXED BY events_but_reports LEFT JOIN assignments a \
             ON a.study = e.study AND a.trial = e.trial AND a.attempt = coalesce(e.body ->> 'attempt', 1) \
             WHERE e.study = ? AND e.kind <> 'reported' AND e.kind IN \
             ('started', 'resumed', 'paused', 'requeued', 'completed', 'pruned', 'failed') ORDER BY e.seq",
        );
        let mut turns: Vec<Turn> = Vec::new();
        let mut open = std::collections::HashMap::new();
        for row in rows.bind(study.0).fetch_all(&self.reader).await? {
            let trial = TrialNumber(unsigned(row.try_get("trial")?));
            let at_ms: i64 = row.try_get("at")?;
            let steps = row.try_get::<Option<i64>, _>("steps")?.map_or(0, unsigned);
            let left = match row.try_get("kind")? {
                "started" | "resumed" => {
                    open.insert(trial, turns.len());
                    turns.push(Turn {
                        trial,
                        attempt: row.try_get("attempt")?,
                        slot: row.try_get("slot")?,
                        from_ms: at_ms,
                        to_ms: None,
                        left: TrialState::Running,
                        pause: None,
                        steps,
                    });
                    continue;
                }
                "paused" => TrialState::Paused,
                "requeued" => TrialState::Waiting,
                "completed" => TrialState::Complete,
                "pruned" => TrialState::Pruned,
                _ if row.try_get::<Option<&str>, _>("cause")? == Some("lost") => TrialState::Lost,
                _ => TrialState::Failed,
            };
            // A paused trial that is pruned was under no worker.
            let Some(turn) = open.remove(&trial).and_then(|place| turns.get_mut(place)) else { continue };
            turn.to_ms = Some(at_ms.max(turn.from_ms));
            turn.left = left;
            turn.steps = steps;
            turn.pause = row.try_get::<Option<String>, _>("reason")?.map(from_word).transpose()?;
        }
        Ok(turns)
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Direction, Event};

    use super::*;
    use crate::testing::{Fixture, completed, pruned, reported, started};

    #[tokio::test]
    async fn a_turn_lasts_until_the_trial_leaves_its_worker() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let (trial, attempt) = (TrialNumber(0), Attempt(1));
        let at = async |seconds: i64, event: Event| {
            fixture.store.append_all_at(fixture.study.id, seconds * 1000, &[event]).await.unwrap();
        };
        at(0, started(0, serde_json::json!({}))).await;
        fixture.store.record_assignment(fixture.study.id, trial, attempt, "gpu-0", "", 1).await.unwrap();
        at(1, started(1, serde_json::json!({}))).await;
        at(2, reported(0, 1, 0.5)).await;
        at(3, Event::Paused { trial, attempt, reason: PauseReason::Rung }).await;
        at(4, completed(1, 0.5)).await;
        at(5, Event::Resumed { trial, attempt: Attempt(2) }).await;
        let turns = fixture.store.turns(fixture.study.id).await.unwrap();
        let seen: Vec<_> = turns.iter().map(|it| (it.trial.0, it.attempt, it.from_ms, it.to_ms, it.left)).collect();
        assert_eq!(
            seen,
            [
                (0, 1, 0, Some(3000), TrialState::Paused),
                (1, 1, 1000, Some(4000), TrialState::Complete),
                (0, 2, 5000, None, TrialState::Running),
            ]
        );
        assert_eq!(
            (turns[0].slot.as_deref(), turns[0].pause, turns[0].steps),
            (Some("gpu-0"), Some(PauseReason::Rung), 1)
        );
        at(6, Event::Paused { trial, attempt: Attempt(2), reason: PauseReason::Rung }).await;
        at(9, pruned(0)).await;
        assert_eq!(fixture.store.turns(fixture.study.id).await.unwrap()[2].to_ms, Some(6000));
    }
}
