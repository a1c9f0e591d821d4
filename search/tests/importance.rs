//! Importances against those of Optuna 5.0.0 on the same trials (golden/importance.py).

use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, ParamValue, Parameter, Params, PrunerKind, SamplerKind, Scale,
    SearchSpace, Study, StudyConfig, TrialNumber,
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

#[test]
fn importances_are_those_of_optuna() {
    let golden: Value = serde_json::from_str(include_str!("golden/importance.json")).unwrap();
    let mut study = Study::new(StudyConfig {
        space: space(),
        direction: Direction::Minimize,
        seed: 1,
        sampler: SamplerKind::Random,
        pruner: PrunerKind::None,
        max_trials: None,
        max_step: None,
        workers: 1,
        objectives: Vec::new(),
        cost: None,
    })
    .unwrap();
    assert!(study.importance().iter().all(|importance| importance.share == 0.0));
    for (number, told) in golden["trials"].as_array().unwrap().iter().enumerate() {
        let trial = TrialNumber(number as u64);
        let params: Params = serde_json::from_value(told["params"].clone()).unwrap();
        study.tell(&Event::Started { trial, params, why: String::new() }).unwrap();
        let value = told["value"].as_f64().unwrap();
        study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value }).unwrap();
    }
    let ours = study.importance();
    assert_eq!(ours.len(), 5);
    for importance in ours {
        let theirs = golden["importances"][&importance.param].as_f64().unwrap();
        assert!((importance.share - theirs).abs() < 1e-6, "{}: {} {theirs}", importance.param, importance.share);
    }
}
