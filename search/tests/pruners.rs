//! What every pruner must do, checked for each of them through the same door.

use std::collections::BTreeMap;

use nightsweep_search::{
    Distribution, Event, FailureCause, Parameter, PauseReason, PrunerKind, SamplerKind, Scale, SearchSpace, Study,
    StudyConfig, Suggestion, TrialNumber, TrialState, Verdict,
};

const EPOCHS: u64 = 27;

/// What a trial reports after an epoch: a loss, nothing that is a number, or its end by a failure.
#[derive(Clone, Copy)]
enum Step {
    Loss(f64),
    NaN,
    Fails,
}

type Table = fn(trial: u64, step: u64) -> Step;

/// Better the larger its number, and always falling: the worst case for promotion.
fn ladder(trial: u64, step: u64) -> Step {
    Step::Loss((20.0 - trial as f64) * (1.0 + 1.0 / step as f64))
}

/// One worker trains `trials` trials under a pruner, and is killed after every so many reports. Returns study and log.
fn sweep(pruner: &PrunerKind, table: Table, trials: u64, kill_every: u64) -> (Study, Vec<Event>) {
    train(config(pruner, trials), table, kill_every)
}

fn config(pruner: &PrunerKind, trials: u64) -> StudyConfig {
    let distribution = Distribution::Float { low: -1.0, high: 1.0, scale: Scale::Linear };
    let space = SearchSpace::new(vec![Parameter { name: "x".into(), distribution, when: None }]).unwrap();
    StudyConfig {
        sampler: SamplerKind::Random,
        pruner: pruner.clone(),
        max_step: Some(EPOCHS),
        max_trials: Some(trials),
        ..StudyConfig::new(space)
    }
}

fn train(config: StudyConfig, table: Table, kill_every: u64) -> (Study, Vec<Event>) {
    let mut study = Study::new(config).unwrap();
    let mut log = Vec::new();
    let tell = |study: &mut Study, log: &mut Vec<Event>, event: Event| {
        study.tell(&event).unwrap();
        log.push(event);
    };
    let mut reports = 0;
    loop {
        let trial = match study.ask() {
            Suggestion::Start { trial, params, why } => {
                tell(&mut study, &mut log, Event::Started { trial, params, why });
                trial
            }
            Suggestion::Fork { trial, params, why, origin } => {
                tell(&mut study, &mut log, Event::Forked { trial, params, why, origin });
                trial
            }
            Suggestion::Resume { trial } => {
                let attempt = study.trial(trial).unwrap().attempt.next();
                tell(&mut study, &mut log, Event::Resumed { trial, attempt });
                trial
            }
            Suggestion::Wait => panic!("there is nothing to wait for"),
            Suggestion::Done => return (study, log),
        };
        let attempt = study.trial(trial).unwrap().attempt;
        loop {
            let step = study.trial(trial).unwrap().step() + 1;
            let value = match table(trial.0, step) {
                Step::Loss(loss) => Some(loss),
                Step::NaN => None,
                Step::Fails => {
                    let (cause, message) = (FailureCause::Crashed, "as the table has it".into());
                    tell(&mut study, &mut log, Event::Failed { trial, attempt, cause, message });
                    break;
                }
            };
            tell(&mut study, &mut log, Event::Reported { trial, attempt, step, value, metrics: BTreeMap::new() });
            reports += 1;
            let end = match (value, study.verdict(trial)) {
                (Some(value), _) if step == EPOCHS => Event::Completed { trial, attempt, value },
                (None, _) if step == EPOCHS => Event::Pruned { trial, attempt },
                _ if reports % kill_every == 0 => {
                    Event::Requeued { trial, attempt, cause: None, message: "killed".into() }
                }
                (_, Verdict::Continue) => continue,
                (_, Verdict::Pause) => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                (_, Verdict::Stop) => Event::Pruned { trial, attempt },
            };
            tell(&mut study, &mut log, end);
            break;
        }
    }
}

fn pruners() -> impl Iterator<Item = (&'static str, PrunerKind)> {
    PrunerKind::names().map(|name| (name, PrunerKind::named(name).unwrap()))
}

fn is_at_rest(study: &Study) -> bool {
    study.trials().iter().all(|trial| trial.state.is_finished() || trial.state == TrialState::Paused)
}

#[test]
fn every_pruner_keeps_the_best_of_a_known_table() {
    for (name, pruner) in pruners() {
        for kill_every in [u64::MAX, 3] {
            let (study, _) = sweep(&pruner, ladder, 18, kill_every);
            let best = study.best().unwrap().number;
            // To the table, forks are trials like others, with larger numbers.
            assert!(best == TrialNumber(17) || (pruner.has_population() && best > TrialNumber(17)), "{name}: {best}");
            assert!(is_at_rest(&study), "{name}");
        }
    }
}

#[test]
fn every_pruner_repeats_and_replays() {
    for (name, pruner) in pruners() {
        let (study, log) = sweep(&pruner, ladder, 18, 5);
        assert_eq!(log, sweep(&pruner, ladder, 18, 5).1, "{name}");
        let mut replayed = Study::new(study.config().clone()).unwrap();
        for event in &log {
            match event.clone() {
                Event::Started { trial, params, why } => {
                    assert_eq!(replayed.ask(), Suggestion::Start { trial, params, why }, "{name}");
                }
                Event::Forked { trial, params, why, origin } => {
                    assert_eq!(replayed.ask(), Suggestion::Fork { trial, params, why, origin }, "{name}");
                }
                Event::Resumed { trial, .. } => assert_eq!(replayed.ask(), Suggestion::Resume { trial }, "{name}"),
                _ => {}
            }
            replayed.tell(event).unwrap();
        }
    }
}

#[test]
fn every_pruner_survives_what_can_go_wrong() {
    let tables: [(&str, Table); 5] = [
        ("no number at first", |trial, step| if step < 4 { Step::NaN } else { ladder(trial, step) }),
        ("no number from some", |trial, step| if trial % 3 == 0 { Step::NaN } else { ladder(trial, step) }),
        ("no number at all", |_, _| Step::NaN),
        ("failures", |trial, step| if (trial + step) % 5 == 0 { Step::Fails } else { ladder(trial, step) }),
        ("ties", |_, _| Step::Loss(1.0)),
    ];
    for (name, pruner) in pruners() {
        for (what, table) in tables {
            for (trials, kill_every) in [(18, u64::MAX), (18, 3), (1, u64::MAX)] {
                let (study, _) = sweep(&pruner, table, trials, kill_every);
                assert!(is_at_rest(&study), "{name}: {what}");
                // ASHA fills its last seat only when three have reached the rung at nine epochs.
                let furthest = study.trials().iter().map(|trial| trial.step()).max();
                let has_numbers = matches!(what, "ties" | "no number from some") && trials > 1;
                assert!(!has_numbers || furthest >= Some(9), "{name}: {what}: nobody got far");
            }
        }
    }
}

#[test]
fn every_pruner_lets_one_good_trial_run_to_its_end() {
    for (name, pruner) in pruners().filter(|(name, _)| !["asha", "hyperband"].contains(name)) {
        let (study, _) = sweep(&pruner, ladder, 1, u64::MAX);
        assert_eq!(study.trials()[0].state, TrialState::Complete, "{name}");
    }
}

#[test]
fn a_baseline_trains_to_its_end_however_bad_it_is() {
    for (name, pruner) in pruners().filter(|(_, pruner)| !pruner.has_population()) {
        for kill_every in [u64::MAX, 3] {
            // In this table the first trial is the worst of all.
            let (study, _) = train(StudyConfig { baseline: true, ..config(&pruner, 18) }, ladder, kill_every);
            assert_eq!(study.trials()[0].state, TrialState::Complete, "{name}");
            assert_eq!(study.best().unwrap().number, TrialNumber(17), "{name}");
            assert!(is_at_rest(&study), "{name}");
        }
    }
    // A diverged one ends as any other.
    let asha = PrunerKind::named("asha").unwrap();
    let (study, _) = train(StudyConfig { baseline: true, ..config(&asha, 3) }, |_, _| Step::NaN, u64::MAX);
    assert_eq!(study.trials()[0].state, TrialState::Pruned);
}

#[test]
fn halving_pays_for_a_fraction_of_the_epochs() {
    let epochs = |name, trials| {
        let (study, _) = sweep(&PrunerKind::named(name).unwrap(), ladder, trials, u64::MAX);
        study.trials().iter().map(|trial| trial.step()).sum::<u64>()
    };
    assert_eq!(epochs("none", 18), 18 * EPOCHS);
    // The table is the worst case for promotion: each new trial is the best so far. Halving still saves.
    assert!(epochs("asha", 18) < 18 * EPOCHS * 3 / 4, "{}", epochs("asha", 18));
    // 27 trials to the first rung, nine to the third epoch, three to the ninth, one to the end.
    assert_eq!(epochs("successive_halving", 27), 27 + 9 * 2 + 3 * 6 + 18);
}

#[test]
fn a_trial_ends_when_the_signed_ranks_say_so() {
    // Each report is a fold: the first trial is best, the second worse in each fold, the third better on the whole.
    let table: Table = |trial, step| {
        let fold = (step % 7) as f64 / 10.0;
        Step::Loss(match trial {
            0 => fold,
            1 => fold + 0.1,
            _ if step == 1 => fold - 10.0,
            _ => fold + 0.1,
        })
    };
    let (study, _) = sweep(&PrunerKind::named("wilcoxon").unwrap(), table, 3, u64::MAX);
    let steps: Vec<u64> = study.trials().iter().map(|trial| trial.step()).collect();
    // One sign in 2^4 is the first probability below a tenth.
    assert_eq!(steps, [EPOCHS, 4, EPOCHS]);
}

/// One more epoch of a running trial, told to the study; each fifth trial fails before it has reported.
fn advance(study: &mut Study, trial: TrialNumber) -> Vec<Event> {
    let record = study.trial(trial).unwrap();
    let (attempt, step) = (record.attempt, record.step() + 1);
    if trial.0 % 5 == 3 {
        let failed = Event::Failed { trial, attempt, cause: FailureCause::Crashed, message: String::new() };
        study.tell(&failed).unwrap();
        return vec![failed];
    }
    let x = record.params.get("x").unwrap().as_f64().unwrap();
    let value = (x - 0.3).powi(2) + 1.0 / step as f64;
    let reported = Event::Reported { trial, attempt, step, value: Some(value), metrics: BTreeMap::new() };
    study.tell(&reported).unwrap();
    let end = match study.verdict(trial) {
        _ if step == EPOCHS => Event::Completed { trial, attempt, value },
        Verdict::Continue => return vec![reported],
        Verdict::Pause => Event::Paused { trial, attempt, reason: PauseReason::Rung },
        Verdict::Stop => Event::Pruned { trial, attempt },
    };
    study.tell(&end).unwrap();
    vec![reported, end]
}

#[test]
fn every_pruner_replays_with_workers_side_by_side_however_often_it_is_asked() {
    let distribution = Distribution::Float { low: -1.0, high: 1.0, scale: Scale::Linear };
    let space = SearchSpace::new(vec![Parameter { name: "x".into(), distribution, when: None }]).unwrap();
    for (name, pruner) in pruners() {
        let config = StudyConfig {
            sampler: SamplerKind::Auto,
            pruner,
            max_step: Some(EPOCHS),
            max_trials: Some(12),
            ..StudyConfig::new(space.clone())
        };
        let (mut study, mut open) = (Study::new(config.clone()).unwrap(), Vec::new());
        // What was suggested, if it was asked for, and what happened.
        let mut log: Vec<(Option<Suggestion>, Event)> = Vec::new();
        for turn in 0.. {
            let suggestion = if open.len() < 3 { study.ask() } else { Suggestion::Wait };
            let event = match suggestion.clone() {
                Suggestion::Start { trial, params, why } => Event::Started { trial, params, why },
                Suggestion::Resume { trial } => {
                    Event::Resumed { trial, attempt: study.trial(trial).unwrap().attempt.next() }
                }
                Suggestion::Fork { trial, params, why, origin } => Event::Forked { trial, params, why, origin },
                Suggestion::Wait | Suggestion::Done if open.is_empty() => break,
                Suggestion::Wait | Suggestion::Done => {
                    let trial = open.remove(turn % open.len());
                    log.extend(advance(&mut study, trial).into_iter().map(|event| (None, event)));
                    if study.trial(trial).unwrap().state == TrialState::Running {
                        open.push(trial);
                    }
                    continue;
                }
            };
            study.tell(&event).unwrap();
            open.extend(event.trial());
            log.push((Some(suggestion), event));
        }
        // Forks go on where others stand and are not counted.
        assert_eq!(study.trials().iter().filter(|trial| trial.origin.is_none()).count(), 12, "{name}");
        // Also where half of the questions were never asked: what an ask keeps for the next one must not show.
        for stride in [1, 2] {
            let mut replayed = Study::new(config.clone()).unwrap();
            for (at, (suggestion, event)) in log.iter().enumerate() {
                if let Some(suggestion) = suggestion.as_ref().filter(|_| at % stride == 0) {
                    assert_eq!(replayed.ask(), *suggestion, "{name}");
                }
                replayed.tell(event).unwrap();
            }
        }
    }
}
