//! A store with one study, for the tests of this crate.

use std::collections::BTreeMap;

use nightsweep_search::{
    Annotation, Attempt, Direction, Distribution, Event, ParamValue, Parameter, Params, Scale, SearchSpace, TrialNumber,
};
use tempfile::TempDir;

use crate::{NewStudy, Store, StudyRow};

pub(crate) struct Fixture {
    pub dir: TempDir,
    pub store: Store,
    pub study: StudyRow,
}

impl Fixture {
    pub(crate) async fn new(direction: Direction) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("studies.db")).await.unwrap();
        store.create_study(new_study("night", direction)).await.unwrap();
        let study = store.study_named("night").await.unwrap().unwrap();
        Self { dir, store, study }
    }

    pub(crate) async fn tell(&self, events: &[Event]) {
        self.store.append_all(self.study.id, events).await.unwrap();
    }
}

pub(crate) fn new_study(name: &str, direction: Direction) -> NewStudy {
    let words = |words: &[&str]| words.iter().map(|word| ParamValue::Text((*word).to_owned())).collect();
    let float = || Distribution::Float { low: 1e-5, high: 1.0, scale: Scale::Log };
    let parameter = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
    NewStudy {
        name: name.to_owned(),
        source: "[study]\n".to_owned(),
        plan: serde_json::json!({ "trials": 10 }),
        metric: "val_accuracy".to_owned(),
        direction,
        seed: u64::MAX,
        space: SearchSpace(vec![
            parameter("optimizer", Distribution::Categorical { choices: words(&["sgd", "adamw"]) }),
            parameter("optimizer.sgd.lr", float()),
            parameter("optimizer.adamw.lr", float()),
            parameter(
                "flip",
                Distribution::Categorical { choices: vec![ParamValue::Bool(true), ParamValue::Bool(false)] },
            ),
        ]),
    }
}

pub(crate) fn started(trial: u64, params: serde_json::Value) -> Event {
    let params: Params = serde_json::from_value(params).unwrap();
    Event::Started { trial: TrialNumber(trial), params, why: "random".to_owned() }
}

pub(crate) fn reported(trial: u64, step: u64, value: f64) -> Event {
    Event::Reported {
        trial: TrialNumber(trial),
        attempt: Attempt(1),
        step,
        value: value.is_finite().then_some(value),
        metrics: BTreeMap::from([("loss".to_owned(), 0.1 + 0.2)]),
    }
}

pub(crate) fn completed(trial: u64, value: f64) -> Event {
    Event::Completed { trial: TrialNumber(trial), attempt: Attempt(1), value }
}

pub(crate) fn pruned(trial: u64) -> Event {
    Event::Pruned { trial: TrialNumber(trial), attempt: Attempt(1) }
}

pub(crate) fn annotated(trial: u64, change: Annotation) -> Event {
    Event::Annotated { trial: TrialNumber(trial), by: "eve".to_owned(), change }
}
