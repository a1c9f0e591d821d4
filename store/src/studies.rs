//! The studies of a file, each with what was asked for.

use std::collections::BTreeMap;

use nightsweep_search::{Direction, Event, SearchSpace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use thiserror::Error;

use crate::events::{AppendError, Seq, append_in};
use crate::open::{QueryError, Store, WriteError};
use crate::words::{from_json, from_word, now_ms, unsigned, word_of};

/// Place of a study in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StudyId(pub(crate) i64);

/// What a study starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStudy {
    /// Unique in the file.
    pub name: String,
    /// The study file's text, as the user wrote it.
    pub source: String,
    /// The same with every default filled in.
    pub plan: Value,
    /// Name of what is optimized.
    pub metric: String,
    /// Which way the metric improves.
    pub direction: Direction,
    /// Seed of every random draw.
    pub seed: u64,
    /// What may vary.
    pub space: SearchSpace,
}

/// A study as it was created.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyRow {
    /// Place in the file.
    #[serde(skip)]
    pub id: StudyId,
    /// Unique in the file.
    pub name: String,
    /// The study file's text, as the user wrote it.
    #[serde(skip)]
    pub source: String,
    /// The same with every default filled in.
    #[serde(skip)]
    pub plan: Value,
    /// Name of what is optimized.
    pub metric: String,
    /// Which way the metric improves.
    pub direction: Direction,
    /// Seed of every random draw.
    pub seed: u64,
    /// What may vary.
    pub space: SearchSpace,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
}

/// Why a study could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// Names are unique in a file.
    #[error("there already is a study `{name}`")]
    Exists {
        /// The name that is taken.
        name: String,
    },
    /// A study is found by its name.
    #[error("a study needs a name")]
    Nameless,
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its first events make no sense.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Store {
    /// Writes a study without events.
    pub async fn create_study(&self, study: NewStudy) -> Result<StudyId, CreateError> {
        self.begin_study(study, &[]).await
    }

    /// Writes a study and its first events, or nothing: it never goes on without what it was to begin with.
    pub async fn begin_study(&self, study: NewStudy, events: &[Event]) -> Result<StudyId, CreateError> {
        if study.name.is_empty() {
            return Err(CreateError::Nameless);
        }
        let space = serde_json::to_string(&study.space).expect("a space has only names, numbers and words");
        let insert = sqlx::query_scalar(
            "INSERT INTO studies (name, source, plan, metric, direction, seed, space, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(&study.name)
        .bind(study.source)
        .bind(study.plan.to_string())
        .bind(study.metric)
        .bind(word_of(&study.direction))
        .bind(study.seed.cast_signed())
        .bind(space)
        .bind(now_ms());
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await.map_err(WriteError::Database)?;
        let id = match insert.fetch_one(&mut *transaction).await {
            Ok(id) => StudyId(id),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                return Err(CreateError::Exists { name: study.name });
            }
            Err(error) => return Err(WriteError::Database(error).into()),
        };
        append_in(&mut transaction, id, now_ms(), events).await?;
        transaction.commit().await.map_err(WriteError::Database)?;
        Ok(id)
    }

    /// The study of that name, if there is one.
    pub async fn study_named(&self, name: &str) -> Result<Option<StudyRow>, QueryError> {
        let row = sqlx::query("SELECT * FROM studies WHERE name = ?").bind(name).fetch_optional(&self.reader).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// All studies, the latest first.
    pub async fn studies(&self) -> Result<Vec<StudyRow>, QueryError> {
        let rows = sqlx::query("SELECT * FROM studies ORDER BY id DESC").fetch_all(&self.reader).await?;
        rows.iter().map(read).collect()
    }

    /// Name of every study and the place of its latest event, to see by one look whether anything happened.
    pub async fn last_seqs(&self) -> Result<BTreeMap<String, Seq>, QueryError> {
        let rows = sqlx::query(
            "SELECT name, (SELECT coalesce(max(seq), 0) FROM events WHERE study = studies.id) AS seq FROM studies",
        );
        let mut seqs = BTreeMap::new();
        for row in rows.fetch_all(&self.reader).await? {
            seqs.insert(row.try_get("name")?, Seq(unsigned(row.try_get("seq")?)));
        }
        Ok(seqs)
    }
}

fn read(row: &SqliteRow) -> Result<StudyRow, QueryError> {
    Ok(StudyRow {
        id: StudyId(row.try_get("id")?),
        name: row.try_get("name")?,
        source: row.try_get("source")?,
        plan: from_json(row.try_get("plan")?)?,
        metric: row.try_get("metric")?,
        direction: from_word(row.try_get("direction")?)?,
        seed: row.try_get::<i64, _>("seed")?.cast_unsigned(),
        space: from_json(row.try_get("space")?)?,
        created_at_ms: row.try_get("created_at")?,
    })
}
