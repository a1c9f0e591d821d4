//! Properties of spaces and their points, and each way in which a space can make no sense.

use nightsweep_search::{
    Condition, Direction, Distribution, Event, ParamValue, Parameter, PrunerKind, SamplerKind, Scale, SearchSpace,
    SpaceError, Study, StudyConfig, Suggestion,
};
use proptest::prelude::*;

fn parameter(distribution: Distribution) -> Parameter {
    Parameter { name: "x".into(), distribution, when: None }
}

fn distributions() -> impl Strategy<Value = Distribution> {
    let bounds = (-1e6..1e6f64, 0.0..1e6f64).prop_map(|(low, width)| (low, low + width));
    let positive = (1e-9..1e3f64, 1.0..1e6f64).prop_map(|(low, ratio)| (low, low * ratio));
    let ints = (-1_000_000i64..1_000_000, 0i64..1_000_000).prop_map(|(low, width)| (low, low + width));
    let positive_ints = (1i64..1_000, 0i64..1_000_000).prop_map(|(low, width)| (low, low + width));
    prop_oneof![
        bounds.clone().prop_map(|(low, high)| Distribution::Float { low, high, scale: Scale::Linear }),
        (bounds, 1e-2..1e5f64).prop_map(|((low, high), step)| Distribution::Float {
            low,
            high,
            scale: Scale::Step(step)
        }),
        positive.prop_map(|(low, high)| Distribution::Float { low, high, scale: Scale::Log }),
        (ints, 1u16..9).prop_map(|((low, high), step)| Distribution::Int {
            low,
            high,
            scale: Scale::Step(step.into())
        }),
        positive_ints.prop_map(|(low, high)| Distribution::Int { low, high, scale: Scale::Log }),
        (1i64..9).prop_map(|count| Distribution::Ordinal { choices: (0..count).map(ParamValue::Int).collect() }),
        (1i64..9).prop_map(|count| Distribution::Categorical { choices: (0..count).map(ParamValue::Int).collect() }),
    ]
}

proptest! {
    #[test]
    fn every_point_lies_in_its_space_and_survives_json(distribution in distributions(), seed in 0u64..1000) {
        let space = SearchSpace::new(vec![parameter(distribution)]).unwrap();
        let mut study = Study::new(StudyConfig {
            space: space.clone(), direction: Direction::Maximize, seed, sampler: SamplerKind::Tpe, pruner: PrunerKind::None,
            max_trials: None, max_step: None, workers: 1,
        objectives: Vec::new(),
        cost: None,
        }).unwrap();
        for _ in 0..15 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("no point") };
            prop_assert_eq!(space.contains(&params), Ok(()));
            let read = serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
            prop_assert_eq!(space.contains(&read), Ok(()));
            let value = params.get("x").and_then(ParamValue::as_f64).unwrap();
            study.tell(&Event::Started { trial, params, why }).unwrap();
            let attempt = study.trial(trial).unwrap().attempt;
            study.tell(&Event::Completed { trial, attempt, value }).unwrap();
        }
    }
}

#[track_caller]
fn check(parameters: Vec<Parameter>, expected: SpaceError) {
    assert_eq!(SearchSpace::new(parameters), Err(expected));
}

fn float(low: f64, high: f64, scale: Scale) -> Parameter {
    parameter(Distribution::Float { low, high, scale })
}

fn choices(of: &[i64]) -> Vec<ParamValue> {
    of.iter().copied().map(ParamValue::Int).collect()
}

#[test]
fn what_makes_no_sense_is_named() {
    let param = || "x".to_owned();
    check(
        vec![float(0.0, 1.0, Scale::Linear), float(0.0, 1.0, Scale::Linear)],
        SpaceError::DuplicateName { param: param() },
    );
    check(vec![float(1.0, 0.0, Scale::Linear)], SpaceError::LowAboveHigh { param: param(), low: 1.0, high: 0.0 });
    check(vec![float(f64::NAN, 0.0, Scale::Linear)], SpaceError::NotFinite { param: param() });
    check(vec![float(0.0, 1.0, Scale::Log)], SpaceError::LogNotPositive { param: param(), low: 0.0 });
    check(vec![float(0.0, 1.0, Scale::Step(0.0))], SpaceError::BadStep { param: param(), step: 0.0 });
    let halves = Distribution::Int { low: 0, high: 4, scale: Scale::Step(0.5) };
    check(vec![parameter(halves)], SpaceError::BadStep { param: param(), step: 0.5 });
    let all = Distribution::Int { low: i64::MIN, high: i64::MAX, scale: Scale::Linear };
    check(vec![parameter(all)], SpaceError::TooManyValues { param: param() });
    check(vec![parameter(Distribution::Categorical { choices: vec![] })], SpaceError::NoChoices { param: param() });
    let twice = Distribution::Categorical { choices: choices(&[1, 1]) };
    check(vec![parameter(twice)], SpaceError::DuplicateChoice { param: param(), choice: ParamValue::Int(1) });
    let falling = Distribution::Ordinal { choices: choices(&[2, 1]) };
    check(vec![parameter(falling)], SpaceError::NotAscending { param: param(), choice: ParamValue::Int(1) });
}

#[test]
fn a_child_needs_an_earlier_choice_that_can_be() {
    let child = |parent: &str, equals: &[i64]| Parameter {
        name: "child".into(),
        distribution: Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear },
        when: Some(Condition { parent: parent.into(), equals: choices(equals) }),
    };
    let choice = || parameter(Distribution::Categorical { choices: choices(&[1, 2]) });
    let (param, parent) = (|| "child".to_owned(), || "x".to_owned());
    check(vec![child("x", &[1]), choice()], SpaceError::UnknownParent { param: param(), parent: parent() });
    let number = float(0.0, 1.0, Scale::Linear);
    check(vec![number, child("x", &[1])], SpaceError::ParentNotCategorical { param: param(), parent: parent() });
    let value = ParamValue::Int(3);
    check(vec![choice(), child("x", &[3])], SpaceError::NotAChoiceOfParent { param: param(), parent: parent(), value });
    check(vec![choice(), child("x", &[])], SpaceError::NeverActive { param: param(), parent: parent() });
}
