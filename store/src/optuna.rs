//! A study as Optuna's storage has it, written and read: an SQLite file that `optuna.load_study` opens.

use std::path::Path;

use nightsweep_search::{Direction, Distribution, ParamValue, Params, Scale, SearchSpace, TrialState};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use thiserror::Error;

use crate::board::{BoardQuery, Sort};
use crate::open::{QueryError, Store};
use crate::studies::StudyRow;
use crate::trials::TrialRow;
use crate::words::word_of;

const SCHEMA: &str = include_str!("optuna/schema.sql");

/// Why a study could not be written to or read from a file of Optuna's.
#[derive(Debug, Error)]
pub enum OptunaError {
    /// What is there stays.
    #[error("`{path}` exists already")]
    Exists {
        /// The file.
        path: String,
    },
    /// The file has no such study.
    #[error("`{path}` has no study `{name}`; it has: {}", known.join(", "))]
    NoSuchStudy {
        /// The file.
        path: String,
        /// Asked for.
        name: String,
        /// Its studies.
        known: Vec<String>,
    },
    /// A multi-objective study has no one value.
    #[error("the study `{name}` has {objectives} objectives; one is needed")]
    ManyObjectives {
        /// The study.
        name: String,
        /// How many.
        objectives: i64,
    },
    /// A cell of the file is not what Optuna writes there.
    #[error("the file has an unknown distribution: {text}")]
    Distribution {
        /// As it stands there.
        text: String,
    },
    /// The file could not be read or written.
    #[error("could not use the file as a storage of Optuna")]
    Database(#[from] sqlx::Error),
    /// Our own store could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// A finished trial of another program's study.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignTrial {
    /// Its number there.
    pub number: u64,
    /// Its point.
    pub params: Params,
    /// Its value.
    pub value: f64,
}

/// A study of another program.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignStudy {
    /// Its name there.
    pub name: String,
    /// Which way its value improves.
    pub direction: Direction,
    /// Its complete trials.
    pub trials: Vec<ForeignTrial>,
}

impl Store {
    /// Writes a study to a new file of Optuna's. Trials that could go on are running there; failed and lost ones failed.
    pub async fn export_optuna(&self, study: &StudyRow, path: &Path) -> Result<u64, OptunaError> {
        if path.exists() {
            return Err(OptunaError::Exists { path: path.display().to_string() });
        }
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let mut to = connection.begin().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *to).await?;
        sqlx::query("INSERT INTO studies VALUES (1, ?)").bind(&study.name).execute(&mut *to).await?;
        sqlx::query("INSERT INTO study_directions VALUES (1, ?, 1, 0)")
            .bind(word_of(&study.direction).to_uppercase())
            .execute(&mut *to)
            .await?;
        let attributes =
            [("nightsweep:metric", json!(study.metric)), ("nightsweep:seed", json!(study.seed.to_string()))];
        for (key, value) in attributes {
            sqlx::query("INSERT INTO study_user_attributes (study_id, \"key\", value_json) VALUES (1, ?, ?)")
                .bind(key)
                .bind(value.to_string())
                .execute(&mut *to)
                .await?;
        }
        let all = BoardQuery { sort: Sort::Number, limit: u32::MAX, ..BoardQuery::default() };
        let trials = self.board(study, &all).await?.trials;
        for trial in &trials {
            write_trial(&mut to, &study.space, trial).await?;
            for report in self.curve(study.id, trial.number).await? {
                let kind = if report.value.is_some() { "FINITE" } else { "NAN" };
                sqlx::query(
                    "INSERT INTO trial_intermediate_values \
                     (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)",
                )
                .bind(id_of(trial))
                .bind(i64::try_from(report.step).unwrap_or(i64::MAX))
                .bind(report.value)
                .bind(kind)
                .execute(&mut *to)
                .await?;
            }
        }
        to.commit().await?;
        connection.close().await?;
        Ok(trials.len() as u64)
    }
}

fn id_of(trial: &TrialRow) -> i64 {
    i64::try_from(trial.number.0).unwrap_or(i64::MAX).saturating_add(1)
}

async fn write_trial(to: &mut SqliteConnection, space: &SearchSpace, trial: &TrialRow) -> Result<(), OptunaError> {
    let state = match trial.state {
        TrialState::Complete => "COMPLETE",
        TrialState::Pruned => "PRUNED",
        TrialState::Failed | TrialState::Lost => "FAIL",
        TrialState::Running | TrialState::Paused | TrialState::Waiting => "RUNNING",
    };
    sqlx::query(
        "INSERT INTO trials VALUES (?1, ?2, 1, ?3, \
         strftime('%Y-%m-%d %H:%M:%f000', ?4 / 1000.0, 'unixepoch'), \
         strftime('%Y-%m-%d %H:%M:%f000', ?5 / 1000.0, 'unixepoch'))",
    )
    .bind(id_of(trial))
    .bind(id_of(trial) - 1)
    .bind(state)
    .bind(trial.started_at_ms)
    .bind(trial.finished_at_ms)
    .execute(&mut *to)
    .await?;
    for parameter in &space.0 {
        let Some(value) = trial.params.get(&parameter.name) else { continue };
        let (distribution, inner) = told(&parameter.distribution, value);
        sqlx::query(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
        )
        .bind(id_of(trial))
        .bind(&parameter.name)
        .bind(inner)
        .bind(distribution.to_string())
        .execute(&mut *to)
        .await?;
    }
    if let Some(value) = trial.value.filter(|_| matches!(trial.state, TrialState::Complete | TrialState::Pruned)) {
        sqlx::query("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')")
            .bind(id_of(trial))
            .bind(value)
            .execute(&mut *to)
            .await?;
    }
    let attributes = [
        ("nightsweep:state", json!(word_of(&trial.state))),
        ("nightsweep:why", json!(trial.why)),
        ("note", json!(trial.note)),
        ("tags", json!(trial.tags)),
    ];
    for (key, value) in attributes {
        sqlx::query("INSERT INTO trial_user_attributes (trial_id, \"key\", value_json) VALUES (?, ?, ?)")
            .bind(id_of(trial))
            .bind(key)
            .bind(value.to_string())
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// A distribution as Optuna's JSON, and the value as Optuna keeps it: a number, or the place of a choice.
fn told(distribution: &Distribution, value: &ParamValue) -> (Value, f64) {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let choice = |choices: &[ParamValue]| choices.iter().position(|it| it == value).map_or(f64::NAN, |at| at as f64);
    match distribution {
        Distribution::Float { low, high, scale } => {
            let step = if let Scale::Step(step) = scale { json!(step) } else { Value::Null };
            let attributes = json!({ "step": step, "low": low, "high": high, "log": *scale == Scale::Log });
            (json!({ "name": "FloatDistribution", "attributes": attributes }), number)
        }
        Distribution::Int { low, high, scale } => {
            let step = if let Scale::Step(step) = scale { *step as i64 } else { 1 };
            let attributes = json!({ "log": *scale == Scale::Log, "step": step, "low": low, "high": high });
            (json!({ "name": "IntDistribution", "attributes": attributes }), number)
        }
        Distribution::Categorical { choices } | Distribution::Ordinal { choices } => {
            (json!({ "name": "CategoricalDistribution", "attributes": { "choices": choices } }), choice(choices))
        }
        // Optuna has no orders and no fixed values: each is the one choice of its own trial.
        Distribution::Permutation { .. } | Distribution::Fixed { .. } => {
            let choice = if let ParamValue::List(_) = value { json!(value.to_string()) } else { json!(value) };
            (json!({ "name": "CategoricalDistribution", "attributes": { "choices": [choice] } }), 0.0)
        }
    }
}

/// Reads a study of a file of Optuna's; the only one, if no name is given.
pub async fn read_optuna(path: &Path, name: Option<&str>) -> Result<ForeignStudy, OptunaError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut from = SqliteConnection::connect_with(&options).await?;
    let known: Vec<(i64, String)> =
        sqlx::query_as("SELECT study_id, study_name FROM studies ORDER BY study_id").fetch_all(&mut from).await?;
    let found = match (name, known.as_slice()) {
        (Some(name), all) => all.iter().find(|(_, known)| known == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let Some((id, name)) = found.cloned() else {
        let known = known.into_iter().map(|(_, name)| name).collect();
        let name = name.unwrap_or("(none named)").to_owned();
        return Err(OptunaError::NoSuchStudy { path: path.display().to_string(), name, known });
    };
    let directions: Vec<String> = sqlx::query_scalar("SELECT direction FROM study_directions WHERE study_id = ?")
        .bind(id)
        .fetch_all(&mut from)
        .await?;
    let [direction] = directions.as_slice() else {
        return Err(OptunaError::ManyObjectives { name, objectives: directions.len() as i64 });
    };
    let direction = if direction == "MAXIMIZE" { Direction::Maximize } else { Direction::Minimize };
    let rows = sqlx::query(
        "SELECT t.trial_id, t.number, v.value FROM trials t JOIN trial_values v USING (trial_id) \
         WHERE t.study_id = ? AND t.state = 'COMPLETE' AND v.value_type = 'FINITE' ORDER BY t.number",
    );
    let mut trials = Vec::new();
    for row in rows.bind(id).fetch_all(&mut from).await? {
        let params = sqlx::query(
            "SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ? ORDER BY param_id",
        );
        let mut point = Params::default();
        for param in params.bind(row.try_get::<i64, _>("trial_id")?).fetch_all(&mut from).await? {
            let value = value_of(param.try_get("distribution_json")?, param.try_get("param_value")?)?;
            point.0.insert(param.try_get("param_name")?, value);
        }
        let number = row.try_get::<i64, _>("number")?.max(0).cast_unsigned();
        trials.push(ForeignTrial { number, params: point, value: row.try_get("value")? });
    }
    from.close().await?;
    Ok(ForeignStudy { name, direction, trials })
}

/// The value that a number stands for.
fn value_of(distribution: &str, inner: f64) -> Result<ParamValue, OptunaError> {
    let unknown = || OptunaError::Distribution { text: distribution.to_owned() };
    let parsed: Value = serde_json::from_str(distribution).map_err(|_| unknown())?;
    match parsed["name"].as_str() {
        Some("IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution") => {
            Ok(ParamValue::Int(inner.round() as i64))
        }
        Some("CategoricalDistribution") => {
            let choice = parsed["attributes"]["choices"].get(inner as usize).cloned().ok_or_else(unknown)?;
            serde_json::from_value(choice).map_err(|_| unknown())
        }
        Some(name) if name.contains("Uniform") || name == "FloatDistribution" => Ok(ParamValue::Float(inner)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Direction, TrialNumber};
    use serde_json::json;

    use super::*;
    use crate::testing::{Fixture, completed, pruned, reported, started};

    #[tokio::test]
    async fn what_is_written_for_optuna_reads_back_the_same() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let first = json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.1, "flip": true });
        let second = json!({ "optimizer": "adamw", "optimizer.adamw.lr": 0.001, "flip": false });
        fixture.tell(&[started(0, first.clone()), reported(0, 1, 0.5), completed(0, 0.7)]).await;
        fixture.tell(&[started(1, second.clone()), reported(1, 1, f64::NAN), pruned(1)]).await;
        fixture.tell(&[started(2, second.clone()), completed(2, 0.9)]).await;
        let path = fixture.dir.path().join("optuna.db");
        assert_eq!(fixture.store.export_optuna(&fixture.study, &path).await.unwrap(), 3);
        let study = read_optuna(&path, None).await.unwrap();
        assert_eq!((study.name.as_str(), study.direction), ("night", Direction::Maximize));
        let expected = [(0, first, 0.7), (2, second, 0.9)];
        for (trial, (number, params, value)) in study.trials.iter().zip(expected) {
            let own = fixture.store.trial(fixture.study.id, TrialNumber(number)).await.unwrap().unwrap();
            assert_eq!((trial.number, trial.value), (number, value));
            assert_eq!(trial.params, own.params);
            assert_eq!(serde_json::to_value(&trial.params).unwrap(), params);
        }
        assert_eq!(study.trials.len(), 2);
        let again = fixture.store.export_optuna(&fixture.study, &path).await.unwrap_err();
        assert!(again.to_string().ends_with("exists already"));
        let missing = read_optuna(&path, Some("day")).await.unwrap_err();
        assert!(missing.to_string().ends_with("has no study `day`; it has: night"));
    }
}
