//! What PBT and PB2 must do, and what they are for: schedules that no constant value can match.

use std::collections::BTreeMap;

use nightsweep_search::pruner::{Pb2, Pbt};
use nightsweep_search::{
    Attempt, ConfigError, Direction, Distribution, Event, FailureCause, ParamValue, Parameter, Params, PauseReason,
    PrunerKind, SamplerKind, Scale, SearchSpace, Study, StudyConfig, Suggestion, TrialNumber, TrialState, Verdict,
    lineage,
};

const EPOCHS: u64 = 40;

/// What training does to what a trial has come to, in its epoch from 0; nothing where it fails.
type Train = fn(&[f64; 2], &Params, TrialNumber, u64) -> Option<[f64; 2]>;

/// A task: where training starts, what it does, and the value of what it has come to, which is to be large.
struct Task {
    space: SearchSpace,
    start: [f64; 2],
    train: Train,
    value: fn(&[f64; 2]) -> f64,
}

fn float(name: &str, low: f64, high: f64, scale: Scale) -> Parameter {
    Parameter { name: name.into(), distribution: Distribution::Float { low, high, scale }, when: None }
}

fn number(params: &Params, name: &str) -> f64 {
    params.get(name).unwrap().as_f64().unwrap()
}

/// The toy of the paper (section 4.1): Q = 1.2 - θ0² - θ1² is to be large, but what can be climbed is 1.2 - h0 θ0² - h1 θ1².
fn toy() -> Task {
    Task {
        space: SearchSpace(vec![float("h0", 0.0, 1.0, Scale::Linear), float("h1", 0.0, 1.0, Scale::Linear)]),
        start: [0.9, 0.9],
        train: |[a, b], params, _, _| {
            let step = |theta: f64, h: f64| theta - 0.1 * 2.0 * h * theta;
            Some([step(*a, number(params, "h0")), step(*b, number(params, "h1"))])
        },
        value: |[a, b]| 1.2 - a * a - b * b,
    }
}

/// The best rate falls from 0.3 to 0.001 over training.
fn wandering() -> Task {
    Task {
        space: SearchSpace(vec![float("lr", 1e-4, 1.0, Scale::Log), float("noise", 0.0, 1.0, Scale::Linear)]),
        start: [0.0, 0.0],
        train: |[sum, _], params, _, epoch| {
            let best = -0.5 - 2.5 * epoch as f64 / EPOCHS as f64;
            Some([sum + 1.0 - (number(params, "lr").log10() - best).abs(), 0.0])
        },
        value: |[sum, _]| *sum,
    }
}

fn config(task: &Task, pruner: PrunerKind, trials: u64, seed: u64) -> StudyConfig {
    StudyConfig {
        direction: Direction::Maximize,
        pruner,
        seed,
        sampler: SamplerKind::Random,
        max_trials: Some(trials),
        max_step: Some(EPOCHS),
        ..StudyConfig::new(task.space.clone())
    }
}

fn pbt(population: u64) -> PrunerKind {
    PrunerKind::Pbt(Pbt { population, interval_epochs: 4, ..Pbt::default() })
}

fn pb2(population: u64) -> PrunerKind {
    PrunerKind::Pb2(Pb2 { population, interval_epochs: 4, ..Pb2::default() })
}

/// Workers that train an epoch each in turn. Each trial's state is kept with its epoch, as a checkpoint is; a fork must
/// find its parent's at the epoch where it begins. Every so many epochs a worker is lost.
fn run(task: &Task, config: StudyConfig, begin: &[Event], workers: usize, lose_every: u64) -> (Study, Vec<Event>) {
    let mut study = Study::new(config).unwrap();
    let mut log = Vec::new();
    let mut tell = |study: &mut Study, event: Event| {
        study.tell(&event).unwrap_or_else(|error| panic!("{error} at {event:?}"));
        log.push(event);
    };
    begin.iter().for_each(|event| tell(&mut study, event.clone()));
    let mut states: BTreeMap<TrialNumber, (u64, [f64; 2])> = BTreeMap::new();
    let mut seats: Vec<Option<TrialNumber>> = vec![None; workers];
    let mut epochs = 0;
    loop {
        for seat in &mut seats {
            if seat.is_some() {
                continue;
            }
            *seat = match study.ask() {
                Suggestion::Start { trial, params, why } => {
                    states.insert(trial, (0, task.start));
                    tell(&mut study, Event::Started { trial, params, why });
                    Some(trial)
                }
                Suggestion::Fork { trial, params, why, origin } => {
                    let (epoch, state) = states[&origin.parent];
                    assert_eq!(epoch, origin.epoch, "the checkpoint of {} is not where {trial} begins", origin.parent);
                    states.insert(trial, (epoch, state));
                    tell(&mut study, Event::Forked { trial, params, why, origin });
                    Some(trial)
                }
                Suggestion::Resume { trial } => {
                    let attempt = study.trial(trial).unwrap().attempt.next();
                    tell(&mut study, Event::Resumed { trial, attempt });
                    Some(trial)
                }
                Suggestion::Wait | Suggestion::Done => None,
            };
        }
        if seats.iter().all(Option::is_none) {
            assert_eq!(study.ask(), Suggestion::Done);
            return (study, log);
        }
        for seat in &mut seats {
            let Some(trial) = *seat else { continue };
            let record = study.trial(trial).unwrap();
            let (attempt, params) = (record.attempt, record.params.clone());
            let (epoch, state) = states[&trial];
            assert_eq!(epoch, record.step());
            epochs += 1;
            let Some(next) = (task.train)(&state, &params, trial, epoch) else {
                let (cause, message) = (FailureCause::Crashed, String::new());
                tell(&mut study, Event::Failed { trial, attempt, cause, message });
                *seat = None;
                continue;
            };
            states.insert(trial, (epoch + 1, next));
            let value = Some((task.value)(&next)).filter(|value| value.is_finite());
            tell(&mut study, Event::Reported { trial, attempt, step: epoch + 1, value, metrics: BTreeMap::new() });
            let end = match (value, study.verdict(trial)) {
                (Some(value), _) if epoch + 1 == EPOCHS => Event::Completed { trial, attempt, value },
                (None, _) if epoch + 1 == EPOCHS => Event::Pruned { trial, attempt },
                (_, Verdict::Pause) => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                (_, Verdict::Stop) => Event::Pruned { trial, attempt },
                (_, Verdict::Continue) if epochs % lose_every == 0 => {
                    Event::Requeued { trial, attempt, cause: None, message: "lost".into() }
                }
                (_, Verdict::Continue) => continue,
            };
            tell(&mut study, end);
            *seat = None;
        }
    }
}

fn best(study: &Study) -> f64 {
    study.best().unwrap().value.unwrap()
}

/// Epochs that were trained, those of a fork from where it began.
fn epochs(study: &Study) -> u64 {
    study.trials().iter().map(|trial| trial.step() - trial.origin.map_or(0, |origin| origin.epoch)).sum()
}

#[test]
fn pbt_solves_the_toy_of_its_paper_and_a_grid_of_two_does_not() {
    let points = [(1.0, 0.0), (0.0, 1.0)].map(|(h0, h1)| {
        let params = [("h0", h0), ("h1", h1)].map(|(name, h)| (name.to_owned(), ParamValue::Float(h)));
        Event::Enqueued { params: Params::from_iter(params) }
    });
    let (grid, _) = run(&toy(), config(&toy(), PrunerKind::None, 2, 1), &points, 1, u64::MAX);
    assert!(best(&grid) < 0.4, "{}", best(&grid));
    for seed in 0..10 {
        for pruner in [pbt(2), pb2(2)] {
            let (study, _) = run(&toy(), config(&toy(), pruner.clone(), 2, seed), &points, 1, u64::MAX);
            assert!(best(&study) > 1.0, "{pruner:?} with seed {seed}: {}", best(&study));
        }
    }
}

#[test]
fn a_schedule_that_was_learned_beats_every_constant() {
    // No constant gains more than 0.375 of an epoch's 1 on average.
    let constant = (0..300).map(|at| {
        let lr = 10f64.powf(-4.0 + f64::from(at) / 75.0);
        let params = Params::from_iter([("lr".to_owned(), ParamValue::Float(lr))]);
        (0..EPOCHS).fold([0.0; 2], |state, epoch| (wandering().train)(&state, &params, TrialNumber(0), epoch).unwrap())
            [0]
    });
    let constant = constant.fold(f64::NEG_INFINITY, f64::max);
    for seed in 0..10 {
        for pruner in [pbt(16), pb2(8)] {
            let trials = if matches!(pruner, PrunerKind::Pbt(_)) { 16 } else { 8 };
            let (study, _) = run(&wandering(), config(&wandering(), pruner.clone(), trials, seed), &[], 4, u64::MAX);
            assert!(best(&study) > constant, "{pruner:?} with seed {seed}: {} and {constant}", best(&study));
            assert_eq!(epochs(&study), trials * EPOCHS, "a population costs what as many trials do");
        }
    }
}

#[test]
fn what_is_learned_does_not_depend_on_the_workers_nor_on_how_often_they_are_lost() {
    for pruner in [pbt(8), pb2(8)] {
        let curves = |workers, lose_every| {
            let (study, _) = run(&wandering(), config(&wandering(), pruner.clone(), 8, 3), &[], workers, lose_every);
            let mut curves: Vec<_> = study
                .trials()
                .iter()
                .map(|trial| format!("{:?} {:?} {:?}", trial.state, trial.params, trial.curve))
                .collect();
            curves.sort();
            curves
        };
        let expected = curves(1, u64::MAX);
        for (workers, lose_every) in [(1, 3), (3, u64::MAX), (8, 7)] {
            assert!(curves(workers, lose_every) == expected, "{workers} workers, lost every {lose_every} epochs");
        }
    }
}

#[test]
fn a_population_replays() {
    for pruner in [pbt(6), pb2(6)] {
        let (study, log) = run(&wandering(), config(&wandering(), pruner.clone(), 12, 5), &[], 4, 5);
        assert_eq!(study.trials().iter().filter(|trial| trial.origin.is_none()).count(), 12);
        let mut replayed = Study::new(study.config().clone()).unwrap();
        for event in log {
            let expected = match event.clone() {
                Event::Started { trial, params, why } => Some(Suggestion::Start { trial, params, why }),
                Event::Forked { trial, params, why, origin } => Some(Suggestion::Fork { trial, params, why, origin }),
                Event::Resumed { trial, .. } => Some(Suggestion::Resume { trial }),
                _ => None,
            };
            if let Some(expected) = expected {
                assert_eq!(replayed.ask(), expected);
            }
            replayed.tell(&event).unwrap();
        }
    }
}

#[test]
fn the_worst_quarter_goes_on_from_the_best_and_the_rest_is_left_alone() {
    let (study, log) = run(&wandering(), config(&wandering(), pbt(8), 8, 1), &[], 1, u64::MAX);
    let forks_at = |epoch| {
        let forks = study.trials().iter().filter_map(|trial| Some((trial, trial.origin?)));
        forks.filter(|(_, origin)| origin.epoch == epoch).collect::<Vec<_>>()
    };
    // Two of eight after each interval but the last.
    assert!((4..EPOCHS).step_by(4).all(|epoch| forks_at(epoch).len() == 2) && forks_at(EPOCHS).is_empty());
    let value = |trial: TrialNumber, epoch: u64| study.trial(trial).unwrap().curve[epoch as usize - 1].value.unwrap();
    for (fork, origin) in (4..EPOCHS).step_by(4).flat_map(forks_at) {
        let replaced = study.trial(origin.replaces).unwrap();
        assert_eq!((replaced.state, replaced.step()), (TrialState::Pruned, origin.epoch));
        assert!(value(origin.parent, origin.epoch) > value(origin.replaces, origin.epoch));
        // Its curve is its parent's until there.
        assert_eq!(
            fork.curve[..origin.epoch as usize],
            study.trial(origin.parent).unwrap().curve[..origin.epoch as usize]
        );
        assert_ne!(fork.params, study.trial(origin.parent).unwrap().params);
        assert!(fork.why.contains(&format!("at epoch {}", origin.epoch)), "{}", fork.why);
    }
    assert_eq!(study.trials().iter().filter(|trial| trial.state == TrialState::Complete).count(), 8);
    let text = serde_json::to_string(&log.iter().find(|event| matches!(event, Event::Forked { .. })).unwrap()).unwrap();
    assert!(text.contains(r#""kind":"forked""#) && text.contains(r#""origin":{"parent":"#), "{text}");
    assert!(serde_json::from_str::<Event>(&text).is_ok());
}

#[test]
fn the_schedule_of_a_lineage_can_be_read() {
    let (study, _) = run(&wandering(), config(&wandering(), pbt(16), 16, 2), &[], 1, u64::MAX);
    let stretches = lineage(study.trials(), study.best().unwrap().number);
    assert!(stretches.len() > 2, "{stretches:?}");
    assert_eq!((stretches[0].begin, stretches.last().unwrap().end), (0, EPOCHS));
    assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].begin && pair[0].begin < pair[0].end));
    // Trained again with these parameters it is the same training.
    let task = wandering();
    let again = stretches.iter().fold(task.start, |state, stretch| {
        let epochs = stretch.begin..stretch.end;
        epochs.fold(state, |state, epoch| (task.train)(&state, &stretch.params, stretch.trial, epoch).unwrap())
    });
    assert_eq!((task.value)(&again), best(&study));
    let (first, last) = (number(&stretches[0].params, "lr"), number(&stretches.last().unwrap().params, "lr"));
    assert!(last < first, "the rate falls: {stretches:?}");
    assert!(lineage(study.trials(), TrialNumber(999)).is_empty());
}

#[test]
fn failures_and_losses_that_are_no_number_are_replaced() {
    let tasks: [(&str, Train); 4] = [
        ("some fail", |state, _, trial, epoch| {
            (trial.0 % 3 != 1 || epoch < 6).then(|| [state[0] + trial.0 as f64, 0.0])
        }),
        ("some are NaN", |state, _, trial, _| Some([if trial.0 % 3 == 1 { f64::NAN } else { state[0] + 1.0 }, 0.0])),
        ("all fail", |_, _, _, epoch| (epoch < 6).then_some([1.0, 0.0])),
        ("all equal", |_, _, _, _| Some([1.0, 0.0])),
    ];
    for (what, train) in tasks {
        for pruner in [pbt(6), pb2(6)] {
            let task = Task { train, ..wandering() };
            let (study, _) = run(&task, config(&task, pruner, 6, 1), &[], 2, 5);
            let complete = study.trials().iter().filter(|trial| trial.state == TrialState::Complete).count();
            let expected = match what {
                "all fail" => 0..=0,
                "all equal" => 6..=6,
                _ => 3..=6,
            };
            assert!(expected.contains(&complete), "{what}: {complete} complete");
            assert!(study.trials().iter().all(|trial| trial.state.is_finished()), "{what}");
            let forks = study.trials().iter().filter(|trial| trial.origin.is_some()).count();
            assert_eq!(forks == 0, what.starts_with("all"), "{what}: {forks} forks");
        }
    }
}

#[test]
fn what_is_kept_is_inherited_and_a_branch_stays_whole() {
    let choice = |name: &str, choices: &[&str]| {
        let choices = choices.iter().map(|choice| ParamValue::Text((*choice).into())).collect();
        Parameter { name: name.into(), distribution: Distribution::Categorical { choices }, when: None }
    };
    let under = |mut child: Parameter, parent: &str, value: &str| {
        let equals = vec![ParamValue::Text(value.into())];
        child.when = Some(nightsweep_search::Condition { parent: parent.into(), equals });
        child
    };
    let space = SearchSpace::new(vec![
        choice("optimizer", &["sgd", "adamw"]),
        under(float("momentum", 0.0, 0.99, Scale::Linear), "optimizer", "sgd"),
        under(float("beta", 0.9, 0.999, Scale::Logit), "optimizer", "adamw"),
        choice("schedule", &["cosine", "one_cycle"]),
        under(float("peak", 0.1, 0.5, Scale::Linear), "schedule", "one_cycle"),
        float("lr", 1e-4, 1.0, Scale::Log),
    ]);
    let task = Task { space: space.unwrap(), ..wandering() };
    for mut pruner in [pbt(6), pb2(6)] {
        pruner.keep(["optimizer".to_owned()]);
        let mut schedules = 0;
        for seed in 0..4 {
            let (study, _) = run(&task, config(&task, pruner.clone(), 6, seed), &[], 2, u64::MAX);
            for fork in study.trials().iter().filter(|trial| trial.origin.is_some()) {
                let parent = study.trial(fork.origin.unwrap().parent).unwrap();
                assert_eq!(fork.params.get("optimizer"), parent.params.get("optimizer"));
                schedules += usize::from(fork.params.get("schedule") != parent.params.get("schedule"));
            }
        }
        assert!(schedules > 0, "{pruner:?} never changes the schedule");
    }
}

#[test]
fn settings_without_sense_are_refused() {
    let check = |pruner: PrunerKind, sampler, max_step, expected: &str| {
        let config = StudyConfig { sampler, max_step, ..config(&wandering(), pruner, 8, 1) };
        assert_eq!(config.validate().map_err(|error| error.to_string()), Err(expected.to_owned()));
    };
    let (random, full) = (SamplerKind::Random, Some(EPOCHS));
    check(pbt(1), random, full, "the pruner's population cannot be 1: at least 2");
    check(pb2(8), random, None, "the pruner `pb2` needs the number of epochs of a full training");
    check(pbt(8), random, Some(4), "the pruner's interval_epochs cannot be 4: fewer than a full training has");
    let pbt_with = |pbt| PrunerKind::Pbt(pbt);
    let quantile = pbt_with(Pbt { quantile: 0.6, ..Pbt::default() });
    check(quantile, random, full, "the pruner's quantile cannot be 0.6: above 0 and at most 0.5");
    let resample = pbt_with(Pbt { resample: 1.5, ..Pbt::default() });
    check(resample, random, full, "the pruner's resample cannot be 1.5: from 0 to 1");
    let keep = pbt_with(Pbt { keep: vec!["momentum".into()], ..Pbt::default() });
    check(keep, random, full, "the pruner is to keep `momentum`, which is no parameter of the space");
    let error = StudyConfig { sampler: SamplerKind::Grid, ..config(&wandering(), pbt(8), 8, 1) }.validate();
    assert!(matches!(error, Err(ConfigError::EndlessGrid { .. } | ConfigError::PopulationOnGrid)));
}

#[test]
fn a_person_can_stop_or_pause_a_member() {
    let mut study = Study::new(config(&wandering(), pbt(4), 4, 1)).unwrap();
    let attempt = Attempt::FIRST;
    for number in 0..4 {
        let Suggestion::Start { trial, params, why } = study.ask() else { panic!("it starts") };
        study.tell(&Event::Started { trial, params, why }).unwrap();
        for step in 1..=4 {
            let value = Some(-(number as f64));
            // One is paused by hand before the interval's end; it is not waited for.
            if number == 1 && step == 3 {
                study.tell(&Event::Paused { trial, attempt, reason: PauseReason::Asked }).unwrap();
                break;
            }
            study.tell(&Event::Reported { trial, attempt, step, value, metrics: BTreeMap::new() }).unwrap();
        }
        if number != 1 {
            study.tell(&Event::Paused { trial, attempt, reason: PauseReason::Rung }).unwrap();
        }
    }
    // A parent that went on by hand is nobody's parent any more.
    study
        .tell(&Event::Ordered { by: "eve".into(), order: nightsweep_search::Order::Resume { trial: TrialNumber(0) } })
        .unwrap();
    assert_eq!(study.ask(), Suggestion::Resume { trial: TrialNumber(0) });
    study.tell(&Event::Resumed { trial: TrialNumber(0), attempt: attempt.next() }).unwrap();
    assert!(matches!(study.ask(), Suggestion::Resume { .. }), "{:?}", study.ask());
}
