//! What every sampler must do, checked for each of them through the same door; pruners have theirs in pruners.rs.

use std::collections::BTreeMap;

use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, FailureCause, ModelPace, Objective as Wanted, Outlook,
    ParamValue, Parameter, Params, SamplerKind, Scale, SearchSpace, Study, StudyConfig, Suggestion, Terminate,
    TrialNumber, TrialState,
};

fn float(name: &str, low: f64, high: f64, scale: Scale) -> Parameter {
    Parameter { name: name.into(), distribution: Distribution::Float { low, high, scale }, when: None }
}

fn int(name: &str, low: i64, high: i64, scale: Scale) -> Parameter {
    Parameter { name: name.into(), distribution: Distribution::Int { low, high, scale }, when: None }
}

fn choice(name: &str, choices: &[&str]) -> Parameter {
    let choices = choices.iter().map(|choice| ParamValue::Text((*choice).into())).collect();
    Parameter { name: name.into(), distribution: Distribution::Categorical { choices }, when: None }
}

fn under(mut child: Parameter, parent: &str, value: &str) -> Parameter {
    child.when = Some(Condition { parent: parent.into(), equals: vec![ParamValue::Text(value.into())] });
    child
}

/// Countable, with every kind of distribution that can be, and a branch within a branch.
fn countable() -> SearchSpace {
    let ordinal = Distribution::Ordinal { choices: [16, 32, 64].map(ParamValue::Int).to_vec() };
    SearchSpace::new(vec![
        float("dropout", 0.0, 0.4, Scale::Step(0.1)),
        int("layers", 1, 3, Scale::Linear),
        int("width", 1, 8, Scale::Log),
        Parameter { name: "batch".into(), distribution: ordinal, when: None },
        choice("optimizer", &["sgd", "adamw"]),
        under(choice("nesterov", &["yes", "no"]), "optimizer", "sgd"),
        under(int("delay", 0, 4, Scale::Step(2.0)), "nesterov", "yes"),
    ])
    .unwrap()
}

/// With real numbers as well.
fn mixed() -> SearchSpace {
    let mut parameters = countable().0;
    parameters.push(float("lr", 1e-5, 1.0, Scale::Log));
    parameters.push(under(float("momentum", 0.0, 0.99, Scale::Linear), "optimizer", "sgd"));
    SearchSpace::new(parameters).unwrap()
}

fn bowl(dimensions: usize) -> SearchSpace {
    SearchSpace::new((0..dimensions).map(|at| float(&format!("x{at}"), -1.0, 1.0, Scale::Linear)).collect()).unwrap()
}

fn config(space: SearchSpace, sampler: SamplerKind, seed: u64) -> StudyConfig {
    StudyConfig { seed, sampler, ..StudyConfig::new(space) }
}

fn samplers(space: &SearchSpace) -> impl Iterator<Item = SamplerKind> {
    SamplerKind::all().filter(|kind| Study::new(config(space.clone(), *kind, 1)).is_ok())
}

/// A result of a trial: a value, or none for one that failed.
type Objective = fn(TrialNumber, &Params) -> Option<f64>;

/// Runs trials one after the other and returns the log. Every point is checked against the space.
fn run(study: &mut Study, objective: Objective, trials: usize) -> Vec<Event> {
    let mut log = Vec::new();
    for _ in 0..trials {
        let Suggestion::Start { trial, params, why } = study.ask() else { break };
        study.config().space.contains(&params).unwrap_or_else(|error| panic!("{params:?}: {error}"));
        let result = objective(trial, &params);
        let attempt = Attempt::FIRST;
        let end = match result {
            Some(value) => Event::Completed { trial, attempt, value },
            None => {
                let (cause, message) = (FailureCause::Diverged, String::new());
                Event::Failed { trial, attempt, cause, message }
            }
        };
        for event in [Event::Started { trial, params, why }, end] {
            study.tell(&event).unwrap();
            log.push(event);
        }
    }
    log
}

fn sum_of_squares(_: TrialNumber, params: &Params) -> Option<f64> {
    Some(params.iter().filter_map(|(_, value)| value.as_f64()).map(|x| (x - 0.3).powi(2)).sum())
}

#[test]
fn every_sampler_stays_in_the_space_whatever_the_results_are() {
    let objectives: [Objective; 5] = [
        sum_of_squares,
        |_, _| Some(1.0),
        |_, _| None,
        |trial, params| if trial.0.is_multiple_of(3) { None } else { sum_of_squares(trial, params) },
        |trial, _| Some(if trial.0.is_multiple_of(2) { 1e300 } else { -1e300 }),
    ];
    for space in [countable(), mixed(), bowl(1), bowl(50)] {
        for sampler in samplers(&space) {
            for objective in objectives {
                let mut study = Study::new(config(space.clone(), sampler, 7)).unwrap();
                run(&mut study, objective, 40);
                assert_eq!(study.trials().len(), 40, "{sampler}");
            }
        }
    }
}

#[test]
fn every_sampler_lives_with_a_space_of_one_point() {
    let space = SearchSpace::new(vec![
        choice("only", &["one"]),
        int("fixed", 3, 3, Scale::Linear),
        float("still", 2.0, 2.0, Scale::Linear),
    ]);
    let space = space.unwrap();
    for sampler in samplers(&space) {
        let mut study = Study::new(config(space.clone(), sampler, 7)).unwrap();
        run(&mut study, sum_of_squares, 30);
        let expected = if sampler == SamplerKind::Grid { 1 } else { 30 };
        assert_eq!(study.trials().len(), expected, "{sampler}");
    }
}

#[test]
fn every_sampler_repeats_under_its_seed_and_under_replay() {
    for space in [countable(), mixed()] {
        for sampler in samplers(&space) {
            let study = |seed| Study::new(config(space.clone(), sampler, seed)).unwrap();
            let log = run(&mut study(3), sum_of_squares, 40);
            assert_eq!(log, run(&mut study(3), sum_of_squares, 40), "{sampler}");
            assert_ne!(log, run(&mut study(4), sum_of_squares, 40), "{sampler}");
            let mut replayed = study(3);
            for event in &log {
                if let Event::Started { trial, params, why } = event {
                    let (trial, params, why) = (*trial, params.clone(), why.clone());
                    assert_eq!(replayed.ask(), Suggestion::Start { trial, params, why }, "{sampler}");
                }
                replayed.tell(event).unwrap();
            }
        }
    }
}

#[test]
fn every_sampler_repeats_under_replay_with_workers_side_by_side_and_reports_that_are_no_number() {
    for sampler in samplers(&mixed()) {
        let new = || Study::new(config(mixed(), sampler, 3)).unwrap();
        let (mut study, mut log, mut open) = (new(), Vec::new(), Vec::new());
        let attempt = Attempt::FIRST;
        for turn in 0..60 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("{sampler} has no more points") };
            let value = sum_of_squares(trial, &params).unwrap();
            open.push((trial, value));
            let mut events = vec![Event::Started { trial, params, why }];
            if open.len() == 4 {
                // The one that began first is not always the first to end.
                let (trial, value) = open.remove(turn % 4);
                let reported = (turn % 5 != 0).then_some(value);
                events.push(Event::Reported { trial, attempt, step: 1, value: reported, metrics: BTreeMap::new() });
                events.push(match reported {
                    Some(value) => Event::Completed { trial, attempt, value },
                    None => Event::Failed { trial, attempt, cause: FailureCause::Diverged, message: String::new() },
                });
            }
            for event in events {
                study.tell(&event).unwrap();
                log.push(event);
            }
        }
        let mut replayed = new();
        for event in log {
            if let Event::Started { trial, params, why } = &event {
                let (trial, params, why) = (*trial, params.clone(), why.clone());
                assert_eq!(replayed.ask(), Suggestion::Start { trial, params, why }, "{sampler}");
            }
            replayed.tell(&event).unwrap();
        }
    }
}

#[test]
fn every_sampler_that_learns_beats_random_on_a_bowl() {
    let best = |sampler, seed, trials| {
        let mut study = Study::new(config(bowl(4), sampler, seed)).unwrap();
        run(&mut study, sum_of_squares, trials);
        study.best().unwrap().value.unwrap()
    };
    let blind = [SamplerKind::Random, SamplerKind::Sobol, SamplerKind::Grid];
    for sampler in SamplerKind::all().filter(|sampler| !blind.contains(sampler)) {
        let trials = match sampler {
            // A genetic algorithm has to have some generations.
            SamplerKind::Nsga2 => 400,
            // A third of its points are random.
            SamplerKind::Bohb => 120,
            _ => 60,
        };
        let random = |seed| best(SamplerKind::Random, seed, trials);
        let wins = (0..10).filter(|seed| best(sampler, *seed, trials) < 0.5 * random(*seed)).count();
        assert!(wins >= 8, "{sampler} halved random's best in {wins} of 10");
    }
}

#[test]
fn auto_takes_turns_once_nothing_better_is_found_and_says_so() {
    let mut study = Study::new(config(bowl(2), SamplerKind::Auto, 1)).unwrap();
    run(&mut study, |_, _| Some(1.0), 30);
    let why = |at: usize| study.trials()[at].why.as_str();
    assert!(why(8).starts_with("auto (8 results, 2 parameters at once): gp"), "{}", why(8));
    assert!(why(27).starts_with("auto (no better for 26 results): tpe"), "{}", why(27));
    assert!(why(28).contains("of the best"), "{}", why(28));
    assert!(why(29).starts_with("auto (no better for 28 results): gp"), "{}", why(29));
}

#[test]
fn cma_es_finds_the_bottom_of_a_turned_valley() {
    let valley: Objective = |_, params| {
        let x: Vec<f64> = params.iter().filter_map(|(_, value)| value.as_f64()).collect();
        Some((x[0] + x[1] - 0.4).powi(2) * 100.0 + (x[0] - x[1]).powi(2) + (x[2] - 0.1).powi(2) * 10.0)
    };
    let mut study = Study::new(config(bowl(3), SamplerKind::CmaEs, 1)).unwrap();
    run(&mut study, valley, 500);
    let best = study.best().unwrap();
    let expected = [0.2, 0.2, 0.1];
    for ((_, value), expected) in best.params.iter().zip(expected) {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-4, "{:?}", best.params);
    }
}

#[test]
fn cma_es_keeps_its_integers_moving_to_the_end() {
    let space = SearchSpace::new(vec![
        int("k", 0, 40, Scale::Linear),
        int("l", 1, 4096, Scale::Log),
        float("x", 0.0, 1.0, Scale::Linear),
    ]);
    let objective: Objective = |_, params| {
        let at = |name: &str| params.get(name).unwrap().as_f64().unwrap();
        Some(((at("k") - 31.0) / 40.0).powi(2) + ((at("l").log2() - 7.0) / 12.0).powi(2) + (at("x") - 0.7).powi(2))
    };
    let mut study = Study::new(config(space.unwrap(), SamplerKind::CmaEs, 2)).unwrap();
    run(&mut study, objective, 600);
    let best = study.best().unwrap();
    assert_eq!(best.params.get("k"), Some(&ParamValue::Int(31)));
    assert!((best.params.get("l").unwrap().as_f64().unwrap().log2() - 7.0).abs() < 0.05, "{:?}", best.params);
}

#[test]
fn where_trials_cost_more_fewer_of_them_are_tried() {
    // `expected` are the trials that a plan of the time speaks of.
    let dear = |sampler, cost: Option<String>, expected: Option<u64>, seed| {
        let mut study = Study::new(StudyConfig { cost, ..config(bowl(2), sampler, seed) }).unwrap();
        for _ in 0..40 {
            if let Some(trials) = expected {
                let outlook = Outlook { trials, ..Outlook::default() };
                study.tell(&Event::Planned { outlook }).unwrap();
            }
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("there are more points") };
            let x: Vec<f64> = params.iter().filter_map(|(_, value)| value.as_f64()).collect();
            // The same two valleys left and right, where an epoch takes fifty times as long.
            let (value, seconds) = ((x[0].abs() - 0.5).powi(2) + x[1] * x[1], if x[0] > 0.0 { 50.0 } else { 1.0 });
            let (attempt, metrics) = (Attempt::FIRST, BTreeMap::from([("seconds".into(), seconds)]));
            let report = Event::Reported { trial, attempt, step: 1, value: Some(value), metrics };
            for event in [Event::Started { trial, params, why }, report, Event::Completed { trial, attempt, value }] {
                study.tell(&event).unwrap();
            }
        }
        let is_dear = |trial: &&nightsweep_search::Trial| trial.params.get("x0").unwrap().as_f64().unwrap() > 0.0;
        study.trials().iter().filter(is_dear).count()
    };
    // The estimator's first ten points of forty are drawn without looking.
    for (sampler, share) in [(SamplerKind::Gp, 0.5), (SamplerKind::Tpe, 0.7)] {
        let sum = |cost: Option<&str>, expected| -> usize {
            (0..4).map(|seed| dear(sampler, cost.map(String::from), expected, seed)).sum()
        };
        let (without, with) = (sum(None, None), sum(Some("seconds"), None));
        let most = (share * without as f64) as usize;
        assert!(with < most, "{sampler}: {without} of 160 dear trials, {with} where costs count");
        let (early, at_last) = (sum(Some("seconds"), Some(4000)), sum(Some("seconds"), Some(40)));
        assert!(early < most, "{sampler}: {without} of 160 dear trials, {early} with many to come");
        assert!(early < at_last, "{sampler}: {early} of 160 dear trials with many to come, {at_last} at the end");
        assert_eq!(sum(Some("seconds"), Some(0)), sum(None, Some(0)), "{sampler}: costs do not count at the end");
    }
}

#[test]
fn a_short_night_is_not_spent_on_points_to_begin_with() {
    for (sampler, expected) in [(SamplerKind::Gp, [4, 5, 6, 6]), (SamplerKind::Tpe, [4, 5, 8, 10])] {
        let blind = |trials: u64| {
            let mut study = Study::new(config(bowl(9), sampler, 1)).unwrap();
            let outlook = Outlook { trials, ..Outlook::default() };
            study.tell(&Event::Planned { outlook }).unwrap();
            run(&mut study, |_, params| Some(params.iter().filter_map(|(_, x)| x.as_f64()).map(f64::abs).sum()), 20);
            study.trials().iter().filter(|trial| trial.why.contains("to begin with")).count()
        };
        assert_eq!([1, 20, 32, 100].map(blind), expected, "{sampler}");
    }
}

/// Of so many trials, those with the large model, whose epochs take so many seconds by the plan of the time, the small one's 8.
fn large_ones(sampler: SamplerKind, cost: Option<&str>, seconds: f64, trials: usize, seed: u64) -> usize {
    let space = SearchSpace::new(vec![choice("model", &["small", "large"]), float("x", 0.0, 1.0, Scale::Linear)]);
    let cost = cost.map(String::from);
    let mut study = Study::new(StudyConfig { cost, ..config(space.unwrap(), sampler, seed) }).unwrap();
    let pace = |model: &str, batch_size, epoch_seconds| ModelPace {
        model: model.into(),
        batch_size,
        epoch_seconds,
        memory_bytes: None,
    };
    let models = vec![pace("small", 64, 8.0), pace("small", 512, 9.0), pace("large", 64, seconds)];
    let outlook = Outlook { trials: 400, models, ..Outlook::default() };
    study.tell(&Event::Planned { outlook }).unwrap();
    run(&mut study, |_, params| params.get("x")?.as_f64(), trials);
    let large = ParamValue::Text("large".into());
    study.trials().iter().filter(|trial| trial.params.get("model") == Some(&large)).count()
}

#[test]
fn cheap_models_begin_where_their_pace_is_known() {
    for sampler in [SamplerKind::Gp, SamplerKind::Tpe, SamplerKind::Auto] {
        assert_eq!(large_ones(sampler, None, 32.0, 4, 1), 0, "{sampler}");
        let alike = large_ones(sampler, None, 9.5, 4, 1);
        assert!((1..=3).contains(&alike), "{sampler}: where all cost about the same, all are tried");
    }
}

#[test]
fn a_measured_pace_counts_before_any_trial_told_its_cost() {
    for sampler in [SamplerKind::Gp, SamplerKind::Tpe] {
        let sum = |cost, seconds| (0..4).map(|seed| large_ones(sampler, cost, seconds, 30, seed)).sum::<usize>();
        let (dear, alike, not_counted) = (sum(Some("seconds"), 320.0), sum(Some("seconds"), 8.0), sum(None, 320.0));
        assert!(2 * dear < alike, "{sampler}: {dear} of 120 with the dear model, {alike} where it is not dear");
        assert!(2 * dear < not_counted, "{sampler}: {dear} of 120, {not_counted} where costs do not count");
    }
}

/// Runs trials that report two measures: how far x is from two different places. Ends with the trials of the front.
fn compromise(sampler: SamplerKind, trials: usize) -> Vec<[f64; 2]> {
    let mut config = config(bowl(3), sampler, 4);
    config.objectives = vec![Wanted { metric: "size".into(), direction: Direction::Maximize }];
    let mut study = Study::new(config).unwrap();
    for _ in 0..trials {
        let Suggestion::Start { trial, params, why } = study.ask() else { panic!("{sampler} has no more points") };
        let far = |place: f64| -> f64 {
            params.iter().filter_map(|(_, value)| value.as_f64()).map(|x| (x - place).powi(2)).sum()
        };
        let (value, metrics) = (far(0.5), BTreeMap::from([("size".into(), -far(-0.5))]));
        let attempt = Attempt::FIRST;
        let report = Event::Reported { trial, attempt, step: 1, value: Some(value), metrics };
        let end = Event::Completed { trial, attempt, value };
        for event in [Event::Started { trial, params, why }, report, end] {
            study.tell(&event).unwrap();
        }
    }
    study.front().iter().map(|trial| [trial.value.unwrap(), -trial.metrics["size"]]).collect()
}

#[test]
fn every_sampler_that_learns_finds_a_better_front_than_random() {
    let volume = |sampler| {
        let front: Vec<Vec<f64>> = compromise(sampler, 200).into_iter().map(Vec::from).collect();
        nightsweep_search::front::hypervolume(&front, &[3.0, 3.0])
    };
    // On the front the roots of both losses add up to the root of 3, which leaves 7.5 of the square.
    let missed = |sampler| 7.5 - volume(sampler);
    let random = missed(SamplerKind::Random);
    for sampler in [SamplerKind::Nsga2, SamplerKind::Tpe, SamplerKind::Gp, SamplerKind::Auto] {
        let missed = missed(sampler);
        assert!(missed < 0.7 * random, "{sampler} misses {missed}, random {random}");
    }
}

#[test]
fn every_sampler_that_learns_leaves_a_region_where_trials_fail() {
    // Fails in most of the space, the nearer to the optimum the better the loss.
    let objective: Objective = |_, params| {
        let x: Vec<f64> = params.iter().filter_map(|(_, value)| value.as_f64()).collect();
        if x[0] > 0.0 || x[1] > 0.3 { None } else { Some((x[0] - 0.2).powi(2) + (x[1] - 0.5).powi(2)) }
    };
    for sampler in [SamplerKind::Tpe, SamplerKind::Gp, SamplerKind::Auto] {
        let mut failed = 0;
        for seed in 0..5 {
            let mut study = Study::new(config(bowl(2), sampler, seed)).unwrap();
            run(&mut study, objective, 80);
            assert_eq!(study.trials().len(), 80, "{sampler}");
            failed += study.trials()[40..].iter().filter(|trial| trial.state == TrialState::Failed).count();
        }
        // Of evenly spread points two thirds fail.
        assert!(failed < 110, "{sampler}: {failed} of 200 later trials failed");
    }
}

#[test]
fn every_sampler_proposes_different_points_to_workers_side_by_side() {
    for sampler in samplers(&bowl(2)) {
        let mut study = Study::new(config(bowl(2), sampler, 5)).unwrap();
        run(&mut study, sum_of_squares, 20);
        let mut seen: Vec<Params> = Vec::new();
        for _ in 0..8 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("{sampler} has no more points") };
            assert!(!seen.contains(&params), "{sampler}");
            seen.push(params.clone());
            study.tell(&Event::Started { trial, params, why }).unwrap();
        }
    }
}

#[test]
fn a_grid_tries_every_point_once_and_ends() {
    let mut study = Study::new(config(countable(), SamplerKind::Grid, 11)).unwrap();
    run(&mut study, sum_of_squares, 10_000);
    // dropout, layers, width, batch; then adamw, sgd without nesterov, and sgd with it under three delays.
    assert_eq!(study.trials().len(), 5 * 3 * 8 * 3 * (1 + 1 + 3));
    assert_eq!(study.ask(), Suggestion::Done);
    assert!(Study::new(config(mixed(), SamplerKind::Grid, 1)).is_err());
}

#[test]
fn a_study_ends_when_too_little_is_left_to_gain() {
    let run_to = |regret| {
        let terminate = Some(Terminate { regret });
        let mut study = Study::new(StudyConfig { terminate, ..config(bowl(2), SamplerKind::Gp, 1) }).unwrap();
        run(&mut study, sum_of_squares, 60);
        study
    };
    let study = run_to(0.1);
    assert!((20..40).contains(&study.trials().len()), "{} trials", study.trials().len());
    assert!(study.has_converged() && study.ask() == Suggestion::Done);
    // The least value is 0, and the bound was meant to say how far from it the best is.
    assert!(study.best().unwrap().value.unwrap() < 0.1 && study.remaining_regret().unwrap() < 0.1);
    let study = run_to(1e-12);
    assert_eq!((study.trials().len(), study.has_converged()), (60, false));
}

#[test]
fn every_sampler_goes_on_while_all_trials_have_reported_and_none_has_ended() {
    for sampler in samplers(&bowl(2)) {
        let mut study = Study::new(config(bowl(2), sampler, 5)).unwrap();
        for _ in 0..30 {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("{sampler} has no more points") };
            let (attempt, metrics) = (Attempt::FIRST, BTreeMap::new());
            let reported = Event::Reported { trial, attempt, step: 1, value: Some(1.0), metrics };
            for event in [Event::Started { trial, params, why }, reported] {
                study.tell(&event).unwrap();
            }
        }
    }
}
