//! Importances against those of Optuna 5.0.0 on the same trials (golden/importance.py).

use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, Importance, ParamValue, Parameter, Params, SamplerKind, Scale,
    SearchSpace, Study, StudyConfig, Suggestion, TrialNumber,
};
use serde_json::Value;

fn space() -> SearchSpace {
    let parameter = |name: &str, distribution, when| Parameter { name: name.into(), distribution, when };
    let float = |low, high, scale| Distribution::Float { low, high, scale };
    let text = |choice: &str| ParamValue::Text(choice.into());
    let when_a = Some(Condition { parent: "kind".into(), equals: vec![text("a")] });
    SearchSpace::new(vec![
        parameter("x", float(-1.0, 2.0, Scale::Linear), None),
        parameter("lr", float(1e-4, 1.0, Scale::Log), None),
        parameter("layers", Distribution::Int { low: 1, high: 8, scale: Scale::Linear }, None),
        parameter("kind", Distribution::Categorical { choices: ["a", "b", "c"].map(text).to_vec() }, None),
        parameter("m", float(0.0, 1.0, Scale::Linear), when_a),
    ])
    .unwrap()
}

/// A study that was told the trials of a golden file.
fn told(space: SearchSpace, golden: &Value) -> Study {
    let mut study = Study::new(StudyConfig { sampler: SamplerKind::Random, ..StudyConfig::new(space) }).unwrap();
    for (number, told) in golden["trials"].as_array().unwrap().iter().enumerate() {
        let trial = TrialNumber(number as u64);
        let params: Params = serde_json::from_value(told["params"].clone()).unwrap();
        study.tell(&Event::Started { trial, params, why: String::new() }).unwrap();
        let value = told["value"].as_f64().unwrap();
        study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value }).unwrap();
    }
    study
}

#[test]
fn importances_are_those_of_optuna() {
    let golden: Value = serde_json::from_str(include_str!("golden/importance.json")).unwrap();
    assert!(told(space(), &serde_json::json!({"trials": []})).importance().iter().all(|of| of.share == 0.0));
    let ours = told(space(), &golden).importance();
    assert_eq!(ours.len(), 5);
    for importance in ours {
        let theirs = golden["importances"][&importance.param].as_f64().unwrap();
        assert!((importance.share - theirs).abs() < 1e-6, "{}: {} {theirs}", importance.param, importance.share);
    }
}

#[test]
fn shares_of_variance_are_those_of_optuna() {
    let golden: Value = serde_json::from_str(include_str!("golden/fanova.json")).unwrap();
    let parameter = |name: &str, distribution| Parameter { name: name.into(), distribution, when: None };
    let space = SearchSpace::new(vec![
        parameter("log_lr", Distribution::Float { low: -5.0, high: 0.0, scale: Scale::Linear }),
        parameter("dropout", Distribution::Float { low: 0.0, high: 0.5, scale: Scale::Linear }),
        parameter("layers", Distribution::Int { low: 1, high: 6, scale: Scale::Linear }),
        parameter("width", Distribution::Int { low: 8, high: 64, scale: Scale::Linear }),
    ]);
    let shares = told(space.unwrap(), &golden).forest().unwrap().fanova();
    assert_eq!(shares.len(), 4);
    for Importance { param, share } in shares {
        let theirs = golden["shares"][&param].as_f64().unwrap();
        // Two forests of 64 trees on other samples: their own spread is up to 0.01.
        assert!((share - theirs).abs() < 0.03, "{param}: {share}, Optuna {theirs}");
    }
}

#[test]
fn a_forest_knows_the_shares_and_the_shape_of_a_known_function() {
    let parameter = |name: &str, distribution| Parameter { name: name.into(), distribution, when: None };
    let choices = ["a", "b", "c"].map(|word| ParamValue::Text(word.into())).to_vec();
    let unit = Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear };
    let space = SearchSpace::new(vec![
        parameter("x", unit.clone()),
        parameter("kind", Distribution::Categorical { choices }),
        parameter("idle", unit),
        parameter("fixed", Distribution::Fixed { value: ParamValue::Int(1) }),
    ]);
    let config =
        StudyConfig { direction: Direction::Maximize, sampler: SamplerKind::Sobol, ..StudyConfig::new(space.unwrap()) };
    let mut study = Study::new(config).unwrap();
    assert!(study.forest().is_none());
    for _ in 0..512 {
        let Suggestion::Start { trial, params, why } = study.ask() else { panic!("no point") };
        let x = params.get("x").and_then(ParamValue::as_f64).unwrap();
        let kind = match params.get("kind") {
            Some(ParamValue::Text(word)) if word == "a" => 0.0,
            Some(ParamValue::Text(word)) if word == "b" => 1.0,
            _ => 0.5,
        };
        study.tell(&Event::Started { trial, params, why }).unwrap();
        study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value: 3.0 * x + kind }).unwrap();
    }
    let forest = study.forest().unwrap();
    let shares = forest.fanova();
    // Variances of 9/12 and 1/6.
    let truth = [("x", 0.818), ("kind", 0.182), ("idle", 0.0)];
    for (Importance { param, share }, (name, expected)) in shares.iter().zip(truth) {
        assert!(param == name && (share - expected).abs() < 0.02, "{param}: {share}, not {name}: {expected}");
    }
    let along = forest.dependence("x").unwrap();
    let (first, last) = (along.first().unwrap(), along.last().unwrap());
    assert!((first.mean - 0.5).abs() < 0.1 && (last.mean - 3.5).abs() < 0.1, "{first:?} {last:?}");
    let kinds: Vec<f64> = forest.dependence("kind").unwrap().iter().map(|at| at.mean).collect();
    assert!(kinds.iter().zip([1.5, 2.5, 2.0]).all(|(mean, truth)| (mean - truth).abs() < 0.1), "{kinds:?}");
    assert_eq!((forest.dependence("fixed"), forest.dependence("nothing")), (None, None));
}

#[test]
fn shares_of_tied_trials_make_no_more_than_all() {
    let batches = [16, 32, 64].map(ParamValue::Int).to_vec();
    let optimizers = ["sgd", "adamw"].map(|word| ParamValue::Text(word.into())).to_vec();
    let space = SearchSpace::new(vec![
        Parameter { name: "batch_size".into(), distribution: Distribution::Ordinal { choices: batches }, when: None },
        Parameter {
            name: "optimizer".into(),
            distribution: Distribution::Categorical { choices: optimizers },
            when: None,
        },
    ]);
    let trials = [
        (32, "sgd", 55),
        (64, "adamw", 56),
        (64, "adamw", 56),
        (64, "adamw", 56),
        (64, "adamw", 56),
        (64, "adamw", 54),
        (32, "sgd", 55),
        (16, "sgd", 55),
        (16, "sgd", 56),
        (64, "adamw", 56),
        (16, "sgd", 55),
        (64, "adamw", 55),
    ];
    for seed in 0..20 {
        let config = StudyConfig { direction: Direction::Maximize, seed, ..StudyConfig::new(space.clone().unwrap()) };
        let mut study = Study::new(config).unwrap();
        for ((batch, optimizer, right), trial) in trials.into_iter().zip((0..).map(TrialNumber)) {
            let params = serde_json::json!({ "batch_size": batch, "optimizer": optimizer });
            let params = serde_json::from_value(params).unwrap();
            study.tell(&Event::Started { trial, params, why: String::new() }).unwrap();
            let value = f64::from(right) / 56.0;
            study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value }).unwrap();
        }
        // Some leaves have the same mean but for how it was rounded, which is no variance.
        let shares: Vec<f64> = study.forest().unwrap().fanova().iter().map(|of| of.share).collect();
        assert!(shares.iter().sum::<f64>() < 1.0 + 1e-9, "seed {seed}: {shares:?}");
    }
}
