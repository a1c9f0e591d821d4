//! A study as Optuna's storage has it, written and read: an SQLite file that `optuna.load_study` opens.

use std::path::Path;

use nightsweep_search::{Direction, Distribution, Event, ParamValue, Params, Scale, SearchSpace, TrialState};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use thiserror::Error;

use crate::board::{BoardQuery, Sort};
use crate::open::{QueryError, Store};
use crate::studies::StudyRow;
use crate::trials::TrialRow;
use crate::words::{from_json, unsigned, word_of};

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
    /// None was named, and the file has not just one.
    #[error("`{path}` has {}", if known.is_empty() { "no study".to_owned() } else { format!("the studies {}", known.join(", ")) })]
    NotOneStudy {
        /// The file.
        path: String,
        /// Its studies.
        known: Vec<String>,
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
    /// How many others it has, which have no value to learn from.
    pub others: u64,
}

impl Store {
    /// Writes a study to a new file of Optuna's: its trials under their numbers, then what was imported, as complete trials.
    /// Trials that could go on are running there; failed and lost ones failed.
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
        let mut written = trials.len() as u64;
        let mut id = trials.iter().map(id_of).max().unwrap_or(0);
        for (at_ms, params, value) in self.imported(study).await? {
            id += 1;
            written += 1;
            write_imported(&mut to, &study.space, id, at_ms, (&params, value)).await?;
        }
        to.commit().await?;
        connection.close().await?;
        Ok(written)
    }

    /// Imported results of this very objective, each with its time, in the order of the log. Those of earlier studies may be on
    /// another scale, and Optuna would take the best of them for the study's best.
    async fn imported(&self, study: &StudyRow) -> Result<Vec<(i64, Params, f64)>, QueryError> {
        let rows = sqlx::query(
            "SELECT at, body FROM events INDEXED BY events_but_reports \
             WHERE study = ? AND kind <> 'reported' AND kind = 'imported' ORDER BY seq",
        );
        let mut imported = Vec::new();
        for row in rows.bind(study.id.0).fetch_all(&self.reader).await? {
            if let Event::Imported { params, value, from: None } = from_json(row.try_get("body")?)? {
                imported.push((row.try_get("at")?, params, value));
            }
        }
        Ok(imported)
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
    let id = id_of(trial);
    write_head(to, id, state, trial.started_at_ms, trial.finished_at_ms).await?;
    write_params(to, space, id, &trial.params).await?;
    if let Some(value) = trial.value.filter(|_| matches!(trial.state, TrialState::Complete | TrialState::Pruned)) {
        write_value(to, id, value).await?;
    }
    let attributes = [
        ("nightsweep:state", json!(word_of(&trial.state))),
        ("nightsweep:why", json!(trial.why)),
        ("note", json!(trial.note)),
        ("tags", json!(trial.tags)),
    ];
    for (key, value) in attributes {
        write_attribute(to, id, key, &value).await?;
    }
    Ok(())
}

/// What was found elsewhere is a complete trial that took no time.
async fn write_imported(
    to: &mut SqliteConnection,
    space: &SearchSpace,
    id: i64,
    at_ms: i64,
    (params, value): (&Params, f64),
) -> Result<(), OptunaError> {
    write_head(to, id, "COMPLETE", at_ms, Some(at_ms)).await?;
    write_params(to, space, id, params).await?;
    write_value(to, id, value).await?;
    write_attribute(to, id, "nightsweep:imported", &json!(true)).await
}

async fn write_head(
    to: &mut SqliteConnection,
    id: i64,
    state: &str,
    started_at_ms: i64,
    finished_at_ms: Option<i64>,
) -> Result<(), OptunaError> {
    sqlx::query(
        "INSERT INTO trials VALUES (?1, ?2, 1, ?3, \
         strftime('%Y-%m-%d %H:%M:%f000', ?4 / 1000.0, 'unixepoch'), \
         strftime('%Y-%m-%d %H:%M:%f000', ?5 / 1000.0, 'unixepoch'))",
    )
    .bind(id)
    .bind(id - 1)
    .bind(state)
    .bind(started_at_ms)
    .bind(finished_at_ms)
    .execute(&mut *to)
    .await?;
    Ok(())
}

async fn write_params(
    to: &mut SqliteConnection,
    space: &SearchSpace,
    id: i64,
    params: &Params,
) -> Result<(), OptunaError> {
    for parameter in &space.0 {
        let Some(value) = params.get(&parameter.name) else { continue };
        let (distribution, inner) = told(&parameter.distribution, value);
        sqlx::query(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
        )
        .bind(id)
        .bind(&parameter.name)
        .bind(inner)
        .bind(distribution.to_string())
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

async fn write_value(to: &mut SqliteConnection, id: i64, value: f64) -> Result<(), OptunaError> {
    sqlx::query("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')")
        .bind(id)
        .bind(value)
        .execute(&mut *to)
        .await?;
    Ok(())
}

async fn write_attribute(to: &mut SqliteConnection, id: i64, key: &str, value: &Value) -> Result<(), OptunaError> {
    sqlx::query("INSERT INTO trial_user_attributes (trial_id, \"key\", value_json) VALUES (?, ?, ?)")
        .bind(id)
        .bind(key)
        .bind(value.to_string())
        .execute(&mut *to)
        .await?;
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
        let (path, known) = (path.display().to_string(), known.into_iter().map(|(_, name)| name).collect());
        return Err(match name {
            Some(name) => OptunaError::NoSuchStudy { path, name: name.to_owned(), known },
            None => OptunaError::NotOneStudy { path, known },
        });
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
    let all: i64 =
        sqlx::query_scalar("SELECT count(*) FROM trials WHERE study_id = ?").bind(id).fetch_one(&mut from).await?;
    from.close().await?;
    let others = unsigned(all).saturating_sub(trials.len() as u64);
    Ok(ForeignStudy { name, direction, trials, others })
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
    async fn what_was_imported_of_the_same_objective_is_written_too() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let own = json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.1, "flip": true });
        let params: Params = serde_json::from_value(own.clone()).unwrap();
        let imported = |value, from: Option<&str>| Event::Imported {
            params: params.clone(),
            value,
            from: from.map(str::to_owned),
        };
        fixture
            .tell(&[imported(0.6, None), started(0, own.clone()), completed(0, 0.7), imported(0.8, Some("day"))])
            .await;
        let path = fixture.dir.path().join("optuna.db");
        assert_eq!(fixture.store.export_optuna(&fixture.study, &path).await.unwrap(), 2);
        let study = read_optuna(&path, None).await.unwrap();
        let found: Vec<(u64, f64)> = study.trials.iter().map(|trial| (trial.number, trial.value)).collect();
        assert_eq!(found, [(0, 0.7), (1, 0.6)]);
        assert!(study.trials.iter().all(|trial| trial.params == params));
    }

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
        assert_eq!((study.trials.len(), study.others), (2, 1));
        let again = fixture.store.export_optuna(&fixture.study, &path).await.unwrap_err();
        assert!(again.to_string().ends_with("exists already"));
        let missing = read_optuna(&path, Some("day")).await.unwrap_err();
        assert!(missing.to_string().ends_with("has no study `day`; it has: night"));

        let mut storage = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
        let more = sqlx::query("INSERT INTO studies (study_name) VALUES ('day')");
        more.execute(&mut storage).await.unwrap();
        let unnamed = read_optuna(&path, None).await.unwrap_err();
        assert!(unnamed.to_string().ends_with("has the studies night, day"), "{unnamed}");
    }
}
