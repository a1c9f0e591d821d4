//! What a trial ran on and with: all that has to be the same for it to come out the same.

use std::collections::BTreeMap;

use nightsweep_search::{Attempt, TrialNumber};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::open::{QueryError, Store, WriteError};
use crate::studies::StudyId;
use crate::words::{from_json, signed};

/// What an attempt ran on and with, beside its recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Seed of the study, which also decides how data are split.
    pub study_seed: u64,
    /// The trial as its randomness sees it: its number, but for a confirmation's trials.
    pub trial_seed: u64,
    /// Hash of the images as training saw them, in hexadecimal.
    pub data: String,
    /// Hash of the names and contents of the data's files when the run began; none for trials of earlier versions.
    pub files: Option<String>,
    /// Version of the binary.
    pub version: String,
    /// Where it computed, as `cpu:1`.
    pub device: String,
    /// What that is: the processor, or the GPU with its driver.
    pub hardware: String,
    /// Versions of the libraries that compute, by name.
    pub libraries: BTreeMap<String, String>,
}

/// The provenance of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptProvenance {
    /// The attempt.
    pub attempt: u32,
    /// What it ran on and with.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Store {
    /// Keeps what an attempt runs on and with.
    pub async fn record_provenance(
        &self,
        study: StudyId,
        trial: TrialNumber,
        attempt: Attempt,
        provenance: &Provenance,
    ) -> Result<(), WriteError> {
        sqlx::query("INSERT OR REPLACE INTO provenance (study, trial, attempt, body) VALUES (?, ?, ?, ?)")
            .bind(study.0)
            .bind(signed(trial.0))
            .bind(attempt.0)
            .bind(serde_json::to_string(provenance).expect("it has only numbers and words"))
            .execute(self.writer()?)
            .await?;
        Ok(())
    }

    /// What the attempts of a trial ran on and with, in order, as far as it is known.
    pub async fn provenance(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<AttemptProvenance>, QueryError> {
        let rows = sqlx::query("SELECT attempt, body FROM provenance WHERE study = ? AND trial = ? ORDER BY attempt");
        let rows = rows.bind(study.0).bind(signed(trial.0)).fetch_all(&self.reader).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(AttemptProvenance { attempt: row.try_get("attempt")?, provenance: from_json(row.try_get("body")?)? })
        };
        rows.iter().map(read).collect()
    }

    /// What the latest trial of a study ran on and with, if any is known.
    pub async fn latest_provenance(&self, study: StudyId) -> Result<Option<Provenance>, QueryError> {
        let body = sqlx::query_scalar::<_, String>(
            "SELECT body FROM provenance WHERE study = ? ORDER BY trial DESC, attempt DESC LIMIT 1",
        );
        body.bind(study.0).fetch_optional(&self.reader).await?.map(|body| from_json(&body)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::Direction;

    use super::*;
    use crate::testing::{Fixture, started};

    #[tokio::test]
    async fn each_attempt_has_its_own() {
        let fixture = Fixture::new(Direction::Maximize).await;
        fixture.tell(&[started(0, serde_json::json!({})), started(1, serde_json::json!({}))]).await;
        let (store, study) = (&fixture.store, fixture.study.id);
        assert_eq!(store.latest_provenance(study).await.unwrap(), None);
        let provenance = |device: &str| Provenance {
            study_seed: u64::MAX,
            trial_seed: 1,
            data: "d".to_owned(),
            files: Some("f".to_owned()),
            version: "0.1.0".to_owned(),
            device: device.to_owned(),
            hardware: "a processor".to_owned(),
            libraries: [("burn".to_owned(), "0.22.1".to_owned())].into(),
        };
        for (attempt, device) in [(1, "cpu:1"), (2, "cpu:2"), (2, "cpu:4")] {
            let recorded = store.record_provenance(study, TrialNumber(1), Attempt(attempt), &provenance(device)).await;
            recorded.unwrap();
        }
        let found = store.provenance(study, TrialNumber(1)).await.unwrap();
        let expected = [(1, "cpu:1"), (2, "cpu:4")]
            .map(|(attempt, device)| AttemptProvenance { attempt, provenance: provenance(device) });
        assert_eq!(found, expected);
        assert_eq!(store.provenance(study, TrialNumber(0)).await.unwrap(), []);
        assert_eq!(store.latest_provenance(study).await.unwrap(), Some(provenance("cpu:4")));
    }
}
