//! What has added up in a study, for whoever watches it from outside.

use std::collections::BTreeMap;

use nightsweep_search::FailureCause;
use sqlx::Row;

use crate::open::{QueryError, Store};
use crate::studies::StudyId;
use crate::words::{from_word, unsigned};

/// Counts and rates that no page needs together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Trials without a result, by their cause.
    pub failures: BTreeMap<FailureCause, u64>,
    /// How often a trial was handed to a worker.
    pub attempts: u64,
    /// How often a worker was lost under a trial that goes on.
    pub requeues: u64,
    /// Points that are to be tried before the sampler's own and have not been.
    pub enqueued: u64,
    /// Sum over the trials that run, each by its latest report.
    pub images_per_second: f64,
}

impl Store {
    /// The study's totals.
    pub async fn totals(&self, study: StudyId) -> Result<Totals, QueryError> {
        let causes = sqlx::query(
            "SELECT cause, count(*) AS trials FROM trials WHERE study = ? AND cause IS NOT NULL GROUP BY cause",
        );
        let mut totals = Totals::default();
        for row in causes.bind(study.0).fetch_all(&self.reader).await? {
            totals.failures.insert(from_word(row.try_get("cause")?)?, unsigned(row.try_get("trials")?));
        }
        let row = sqlx::query(
            "SELECT (SELECT coalesce(sum(attempt), 0) FROM trials WHERE study = ?1) AS attempts, \
             (SELECT count(*) FROM events INDEXED BY events_but_reports \
              WHERE study = ?1 AND kind <> 'reported' AND kind = 'requeued') AS requeues, \
             (SELECT count(*) FROM events e INDEXED BY events_but_reports \
              WHERE study = ?1 AND kind <> 'reported' AND kind = 'enqueued' \
              AND NOT EXISTS (SELECT 1 FROM trials t WHERE t.study = ?1 AND t.params = e.body -> 'params')) AS enqueued, \
             (SELECT total(r.metrics ->> 'images_per_second') FROM trials t \
              JOIN reports r ON r.study = t.study AND r.trial = t.number AND r.step = t.steps \
              WHERE t.study = ?1 AND t.state = 'running') AS rate",
        );
        let row = row.bind(study.0).fetch_one(&self.reader).await?;
        totals.attempts = unsigned(row.try_get("attempts")?);
        totals.requeues = unsigned(row.try_get("requeues")?);
        totals.enqueued = unsigned(row.try_get("enqueued")?);
        totals.images_per_second = row.try_get("rate")?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Direction, Event, Params, TrialNumber};

    use super::*;
    use crate::testing::{Fixture, completed, started};

    #[tokio::test]
    async fn what_adds_up_is_told_from_what_stands() {
        let fixture = Fixture::new(Direction::Maximize).await;
        assert_eq!(fixture.store.totals(fixture.study.id).await.unwrap(), Totals::default());
        let params = |lr: f64| -> Params {
            serde_json::from_value(serde_json::json!({ "optimizer": "sgd", "optimizer.sgd.lr": lr })).unwrap()
        };
        let start = |trial, lr| started(trial, serde_json::to_value(params(lr)).unwrap());
        let report = |trial, step, rate: f64| Event::Reported {
            trial: TrialNumber(trial),
            attempt: Attempt(1),
            step,
            value: Some(0.5),
            metrics: [("images_per_second".to_owned(), rate)].into(),
        };
        let fail = |trial, cause| Event::Failed {
            trial: TrialNumber(trial),
            attempt: Attempt(1),
            cause,
            message: "why".to_owned(),
        };
        fixture
            .tell(&[
                Event::Enqueued { params: params(0.1) },
                Event::Enqueued { params: params(0.2) },
                start(0, 0.1),
                report(0, 1, 100.0),
                report(0, 2, 150.0),
                start(1, 0.3),
                report(1, 1, 70.5),
                start(2, 0.4),
                report(2, 1, 1000.0),
                completed(2, 0.5),
                start(3, 0.5),
                fail(3, FailureCause::Diverged),
                start(4, 0.6),
                fail(4, FailureCause::Diverged),
                start(5, 0.7),
                fail(5, FailureCause::OutOfMemory),
                start(6, 0.8),
                Event::Requeued {
                    trial: TrialNumber(6),
                    attempt: Attempt(1),
                    cause: None,
                    message: "killed".to_owned(),
                },
                Event::Resumed { trial: TrialNumber(6), attempt: Attempt(2) },
            ])
            .await;
        let totals = fixture.store.totals(fixture.study.id).await.unwrap();
        let failures = BTreeMap::from([(FailureCause::OutOfMemory, 1), (FailureCause::Diverged, 2)]);
        assert_eq!(totals, Totals { failures, attempts: 8, requeues: 1, enqueued: 1, images_per_second: 220.5 });
    }
}
