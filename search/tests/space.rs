//! Properties of spaces and their points, and each way in which a space can make no sense.

use std::collections::HashSet;

use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, Expression, Forbid, ParamValue, Parameter, Params, Prior,
    Priors, SamplerKind, Scale, SearchSpace, SpaceError, Study, StudyConfig, Suggestion,
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
        (1e-6..0.5f64, 0.0..0.499f64).prop_map(|(low, width)| Distribution::Float {
            low,
            high: low + width,
            scale: Scale::Logit
        }),
        (ints, 1u16..9).prop_map(|((low, high), step)| Distribution::Int {
            low,
            high,
            scale: Scale::Step(step.into())
        }),
        positive_ints.prop_map(|(low, high)| Distribution::Int { low, high, scale: Scale::Log }),
        (1i64..9).prop_map(|count| Distribution::Ordinal { choices: (0..count).map(ParamValue::Int).collect() }),
        (1i64..9).prop_map(|count| Distribution::Categorical { choices: (0..count).map(ParamValue::Int).collect() }),
        (1i64..7).prop_map(|count| Distribution::Permutation { items: (0..count).map(ParamValue::Int).collect() }),
        (-9i64..9).prop_map(|value| Distribution::Fixed { value: ParamValue::Int(value) }),
    ]
}

proptest! {
    #[test]
    fn the_nearest_value_is_taken_and_none_is_nearer(distribution in distributions(), number in -2e6..2e6f64) {
        let nearest = distribution.nearest(&ParamValue::Float(number));
        let others: Vec<f64> = match &distribution {
            Distribution::Float { low, high, .. } => vec![*low, *high],
            Distribution::Int { low, high, .. } => vec![*low as f64, *high as f64],
            Distribution::Ordinal { choices } | Distribution::Categorical { choices } => {
                choices.iter().filter_map(ParamValue::as_f64).collect()
            }
            // No number goes to the nearest order, or another one than the only one.
            Distribution::Permutation { .. } | Distribution::Fixed { .. } => return Ok(()),
        };
        prop_assert!(distribution.takes(&nearest), "{nearest}");
        let distance = |value: f64| (value - number).abs();
        let own = distance(nearest.as_f64().unwrap());
        // The upper bound may lie between two steps.
        let taken = others.into_iter().filter(|value| distribution.takes(&ParamValue::Float(*value)));
        for other in taken {
            prop_assert!(own <= distance(other) * (1.0 + 1e-9), "{nearest} for {number}, and {other}");
        }
        prop_assert_eq!(distribution.nearest(&nearest), nearest);
    }

    #[test]
    fn every_point_lies_in_its_space_and_survives_json(distribution in distributions(), seed in 0u64..1000) {
        let space = SearchSpace::new(vec![parameter(distribution)]).unwrap();
        let mut study = Study::new(StudyConfig {
            direction: Direction::Maximize, seed, sampler: SamplerKind::Tpe, ..StudyConfig::new(space.clone())
        }).unwrap();
        for _ in 0..15 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("no point") };
            prop_assert_eq!(space.contains(&params), Ok(()));
            let read = serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
            prop_assert_eq!(space.contains(&read), Ok(()));
            let value = match params.get("x").unwrap() {
                ParamValue::List(order) => order[0].as_f64().unwrap(),
                value => value.as_f64().unwrap(),
            };
            study.tell(&Event::Started { trial, params, why }).unwrap();
            let attempt = study.trial(trial).unwrap().attempt;
            study.tell(&Event::Completed { trial, attempt, value }).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn nothing_forbidden_is_ever_tried(seed in 0u64..1000, limit in 1i64..8, share in 0.05..0.95f64) {
        let rules = [format!("a >= {limit} and kind = 'x'"), format!("kind = 'y' and b > {share}"), "a + 2 = b * 20".into()];
        let forbid: Vec<Forbid> = rules.iter().map(|rule| Forbid(Expression::parse(rule).unwrap())).collect();
        let space = SearchSpace::new(vec![
            named("a", Distribution::Int { low: 0, high: 9, scale: Scale::Linear }),
            named("kind", Distribution::Categorical { choices: ["x", "y"].map(|word| ParamValue::Text(word.into())).into() }),
            named("b", Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Step(0.05) }),
        ]).unwrap();
        for sampler in SamplerKind::all() {
            let config = StudyConfig { seed, sampler, forbid: forbid.clone(), ..StudyConfig::new(space.clone()) };
            let tried = run(&mut Study::new(config).unwrap(), 25, |params| {
                let number = |name: &str| params.get(name).and_then(ParamValue::as_f64).unwrap();
                number("a") - number("b")
            });
            for params in &tried {
                let broken = forbid.iter().find(|forbid| forbid.forbids(params));
                prop_assert!(broken.is_none(), "{sampler}: {params:?} breaks {broken:?}");
            }
        }
    }
}

fn named(name: &str, distribution: Distribution) -> Parameter {
    Parameter { name: name.into(), distribution, when: None }
}

/// Runs trials one after the other until there are so many or no more points, and returns the points.
fn run(study: &mut Study, trials: usize, loss: impl Fn(&Params) -> f64) -> Vec<Params> {
    let mut tried = Vec::new();
    while tried.len() < trials {
        let Suggestion::Start { trial, params, why } = study.ask() else { break };
        let value = loss(&params);
        tried.push(params.clone());
        study.tell(&Event::Started { trial, params, why }).unwrap();
        study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value }).unwrap();
    }
    tried
}

fn unit() -> Distribution {
    Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear }
}

fn order_of(count: i64) -> SearchSpace {
    let items = (0..count).map(ParamValue::Int).collect();
    SearchSpace::new(vec![named("order", Distribution::Permutation { items })]).unwrap()
}

#[test]
fn every_order_is_one_point_of_a_grid() {
    let mut study = Study::new(StudyConfig { sampler: SamplerKind::Grid, ..StudyConfig::new(order_of(5)) }).unwrap();
    let tried: HashSet<String> = run(&mut study, 1000, |_| 1.0).iter().map(|params| format!("{params:?}")).collect();
    assert_eq!(tried.len(), 120);
    assert_eq!(study.ask(), Suggestion::Done);
}

#[test]
fn an_order_is_learned() {
    // How far each item is from its place when they stand in the opposite order.
    let loss = |params: &Params| {
        let Some(ParamValue::List(order)) = params.get("order") else { panic!("{params:?}") };
        let away = |(place, item): (usize, &ParamValue)| (item.as_f64().unwrap() - (6 - place) as f64).abs();
        order.iter().enumerate().map(away).sum::<f64>()
    };
    let best = |sampler, seed| {
        let mut study = Study::new(StudyConfig { sampler, seed, ..StudyConfig::new(order_of(7)) }).unwrap();
        run(&mut study, 60, loss);
        study.best().unwrap().value.unwrap()
    };
    for sampler in [SamplerKind::Tpe, SamplerKind::Gp] {
        let mean = |sampler| (0..10).map(|seed| best(sampler, seed)).sum::<f64>() / 10.0;
        assert!(mean(sampler) < 0.7 * mean(SamplerKind::Random), "{sampler}: {}", mean(sampler));
    }
}

#[test]
fn no_point_of_a_finite_space_is_tried_twice_before_all_were() {
    let space = SearchSpace::new(vec![
        named(
            "kind",
            Distribution::Categorical { choices: ["x", "y"].map(|word| ParamValue::Text(word.into())).into() },
        ),
        Parameter {
            when: Some(Condition { parent: "kind".into(), equals: vec![ParamValue::Text("x".into())] }),
            ..named("a", Distribution::Int { low: 1, high: 5, scale: Scale::Log })
        },
        named("b", Distribution::Ordinal { choices: (0..4).map(ParamValue::Int).collect() }),
    ]);
    let space = space.unwrap();
    for sampler in SamplerKind::all() {
        for seed in 0..5 {
            let mut study = Study::new(StudyConfig { seed, sampler, ..StudyConfig::new(space.clone()) }).unwrap();
            let tried = run(&mut study, 24, |params| params.get("b").and_then(ParamValue::as_f64).unwrap());
            let different: HashSet<String> = tried.iter().map(|params| format!("{params:?}")).collect();
            assert_eq!((tried.len(), different.len()), (24, 24), "{sampler}");
        }
    }
}

#[test]
fn where_nothing_varies_every_sampler_lives() {
    let space = SearchSpace::new(vec![named("x", Distribution::Fixed { value: ParamValue::Int(3) })]).unwrap();
    for sampler in SamplerKind::all() {
        let config = StudyConfig { sampler, ..StudyConfig::new(space.clone()) };
        let Ok(mut study) = Study::new(config) else { continue };
        let tried = run(&mut study, 20, |_| 1.0);
        assert!(tried.iter().all(|params| params.get("x") == Some(&ParamValue::Int(3))), "{sampler}");
    }
}

#[test]
fn a_prior_draws_samplers_near_and_does_not_hold_them() {
    let space = SearchSpace::new(vec![
        named("x", unit()),
        named(
            "kind",
            Distribution::Categorical { choices: ["a", "b", "c"].map(|word| ParamValue::Text(word.into())).into() },
        ),
    ]);
    let space = space.unwrap();
    let priors: Priors = [
        ("x".to_owned(), Prior { center: ParamValue::Float(0.8), width: 0.05 }),
        ("kind".to_owned(), Prior { center: ParamValue::Text("b".into()), width: 0.1 }),
    ]
    .into_iter()
    .collect();
    let number = |params: &Params| params.get("x").and_then(ParamValue::as_f64).unwrap();
    for sampler in [SamplerKind::Random, SamplerKind::Sobol, SamplerKind::Tpe, SamplerKind::Gp, SamplerKind::Auto] {
        let config = StudyConfig { sampler, priors: priors.clone(), ..StudyConfig::new(space.clone()) };
        let tried = run(&mut Study::new(config.clone()).unwrap(), 200, |_| 1.0);
        let near = tried[..8].iter().filter(|params| (number(params) - 0.8).abs() < 0.15).count();
        assert!(near >= 6, "{sampler}: {near} of the first eight are near");
        if sampler == SamplerKind::Random {
            let share = |holds: &dyn Fn(&Params) -> bool| tried.iter().filter(|params| holds(params)).count();
            let favoured = share(&|params| params.get("kind") == Some(&ParamValue::Text("b".into())));
            assert!((165..195).contains(&favoured), "{favoured} of 200 where nine in ten are meant");
            let within = share(&|params| (number(params) - 0.8).abs() < 0.05);
            assert!((110..165).contains(&within), "{within} of 200 where 68 % lie within the width");
        }
        // The truth is three widths away: what learns finds it all the same.
        let mut priors = priors.clone();
        priors["x"].width = 0.17;
        let mut study = Study::new(StudyConfig { priors, ..config }).unwrap();
        run(&mut study, 80, |params| (number(params) - 0.3).abs());
        let best = study.best().unwrap().value.unwrap();
        let learns = !matches!(sampler, SamplerKind::Random | SamplerKind::Sobol);
        assert!(!learns || best < 0.1, "{sampler}: {best}");
    }
}

#[test]
fn earlier_studies_are_started_from_and_kept_apart() {
    let space = SearchSpace::new(vec![named("x", unit()), named("y", unit())]).unwrap();
    let point = |x: f64, y: f64| -> Params {
        [("x".to_owned(), ParamValue::Float(x)), ("y".to_owned(), ParamValue::Float(y))].into_iter().collect()
    };
    let number = |params: &Params, name: &str| params.get(name).and_then(ParamValue::as_f64).unwrap();
    for sampler in [SamplerKind::Tpe, SamplerKind::Gp] {
        let mut study = Study::new(StudyConfig { sampler, ..StudyConfig::new(space.clone()) }).unwrap();
        let mut events = Vec::new();
        for at in 0..50 {
            // On another scale than this study: a loss of a thousand there is a good one.
            let (x, y) = (f64::from(at) / 50.0, f64::from(at * 7 % 50) / 50.0);
            let value = 1000.0 + (x - 0.7).powi(2) + (y - 0.2).powi(2);
            events.push(Event::Imported { params: point(x, y), value, from: Some("earlier".into()) });
        }
        events.iter().for_each(|event| study.tell(event).unwrap());
        assert!(study.best().is_none(), "{sampler}: they are no results of this study");
        let Suggestion::Start { params, why, .. } = study.ask() else { panic!("no point") };
        assert_eq!(why, "among the best of `earlier`", "{sampler}");
        assert!((number(&params, "x") - 0.7).abs() < 0.1, "{sampler}: {params:?}");
        let tried =
            run(&mut study, 30, |params| (number(params, "x") - 0.7).powi(2) + (number(params, "y") - 0.2).powi(2));
        let near = tried[3..13].iter().filter(|params| (number(params, "x") - 0.7).abs() < 0.3).count();
        assert!(near >= 7, "{sampler}: {near} of ten are near");
        assert!(study.best().unwrap().value.unwrap() < 0.01, "{sampler}");
    }
}

#[test]
fn trials_that_break_a_constraint_rank_behind_all_that_keep_it() {
    let space = SearchSpace::new(vec![named("x", unit())]).unwrap();
    for sampler in [SamplerKind::Tpe, SamplerKind::Gp] {
        let constraints = vec![Expression::parse("size <= 0.5").unwrap()];
        let mut study = Study::new(StudyConfig { sampler, constraints, ..StudyConfig::new(space.clone()) }).unwrap();
        let mut late = Vec::new();
        for at in 0..40 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("no point") };
            // The larger the better, if size did not forbid it.
            let x = params.get("x").and_then(ParamValue::as_f64).unwrap();
            let attempt = Attempt::FIRST;
            let metrics = [("size".to_owned(), x)].into_iter().collect();
            let report = Event::Reported { trial, attempt, step: 1, value: Some(1.0 - x), metrics };
            for event in
                [Event::Started { trial, params, why }, report, Event::Completed { trial, attempt, value: 1.0 - x }]
            {
                study.tell(&event).unwrap();
            }
            late.extend((at >= 15).then_some(x));
        }
        let best = study.best().unwrap();
        assert!((0.4..=0.5).contains(&(1.0 - best.value.unwrap())), "{sampler}: {:?}", best.value);
        let kept = late.iter().filter(|x| **x <= 0.5).count();
        assert!(kept > late.len() / 2, "{sampler}: {kept} of {}", late.len());
    }
}

#[test]
fn what_is_told_beforehand_must_make_sense() {
    let space = SearchSpace::new(vec![named("x", unit()), named("y", unit())]).unwrap();
    let config = || StudyConfig::new(space.clone());
    let prior = |center: f64, width: f64| {
        [("x".to_owned(), Prior { center: ParamValue::Float(center), width })].into_iter().collect::<Priors>()
    };
    let error = |config: StudyConfig| {
        let error = config.validate().unwrap_err();
        std::error::Error::source(&error).unwrap_or(&error).to_string()
    };
    let forbid = |rule: &str| vec![Forbid(Expression::parse(rule).unwrap())];
    assert_eq!(
        error(StudyConfig { priors: prior(2.0, 0.1), ..config() }),
        "the prior of `x` cannot be around `2`, which the parameter does not take"
    );
    assert_eq!(
        error(StudyConfig { priors: prior(0.5, 0.0), ..config() }),
        "the prior of `x` cannot be 0 wide: above 0, and at most 1 for choices"
    );
    assert_eq!(
        error(StudyConfig { forbid: forbid("z > 1"), ..config() }),
        "the rule `z > 1` names `z`, which is no parameter of the space"
    );
    assert_eq!(
        error(StudyConfig { forbid: forbid("x >= 0"), ..config() }),
        "the rules forbid every point that was looked at"
    );
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
    check(vec![float(0.0, 0.5, Scale::Logit)], SpaceError::LogitOutside { param: param(), low: 0.0, high: 0.5 });
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
