//! Each network is trained to its end once, by the best settings found with another, however it begins.

use std::collections::BTreeMap;

use nightsweep_search::{
    Distribution, Event, Expression, Loss, ModelPace, Outlook, ParamValue, Parameter, PauseReason, PrunerKind,
    SamplerKind, Scale, SearchSpace, Study, StudyConfig, Suggestion, Trial, TrialState, Verdict,
};

const EPOCHS: u64 = 9;
/// What the sampler says of such a trial.
const MARK: &str = "a network without a full training";

/// The large network is far behind after an epoch and far ahead after nine.
fn loss(trial: &Trial, step: u64) -> f64 {
    let of_model = match trial.params.get("model").unwrap().as_str() {
        Some("large") => 4.0 / (step * step) as f64 - 0.2,
        _ => 0.5 / step as f64,
    };
    (x(trial) - 0.3).powi(2) + of_model
}

fn x(trial: &Trial) -> f64 {
    trial.params.get("x").unwrap().as_f64().unwrap()
}

fn space() -> SearchSpace {
    let x = Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear };
    let choices = ["small", "large"].map(|name| ParamValue::Text(name.into())).to_vec();
    let parameter = |name: &str, distribution| Parameter { name: name.into(), distribution, when: None };
    SearchSpace::new(vec![parameter("model", Distribution::Categorical { choices }), parameter("x", x)]).unwrap()
}

fn plan(left_seconds: f64) -> Outlook {
    let pace = |model: &str, epoch_seconds| ModelPace {
        model: model.into(),
        batch_size: 64,
        epoch_seconds,
        memory_bytes: None,
    };
    Outlook { left_seconds, trials: 100, models: vec![pace("small", 1.0), pace("large", 10.0)], ..Outlook::default() }
}

fn config(sampler: SamplerKind, pruner: &str) -> StudyConfig {
    StudyConfig {
        sampler,
        pruner: PrunerKind::named(pruner).unwrap(),
        max_step: Some(EPOCHS),
        cost: Some("seconds".into()),
        ..StudyConfig::new(space())
    }
}

/// One worker trains so many trials and promotions under a plan.
fn night(config: StudyConfig, outlook: Option<Outlook>, turns: usize) -> (Study, Vec<Event>) {
    let mut study = Study::new(config).unwrap();
    let mut log = Vec::new();
    let mut tell = |study: &mut Study, event: Event| {
        study.tell(&event).unwrap();
        log.push(event);
    };
    if let Some(outlook) = outlook {
        tell(&mut study, Event::Planned { outlook });
    }
    for _ in 0..turns {
        let trial = match study.ask() {
            Suggestion::Start { trial, params, why } => {
                tell(&mut study, Event::Started { trial, params, why });
                trial
            }
            Suggestion::Resume { trial } => {
                let attempt = study.trial(trial).unwrap().attempt.next();
                tell(&mut study, Event::Resumed { trial, attempt });
                trial
            }
            other => panic!("{other:?}"),
        };
        loop {
            let record = study.trial(trial).unwrap();
            let (attempt, step) = (record.attempt, record.step() + 1);
            let value = loss(record, step);
            let metrics = BTreeMap::from([("seconds".into(), 1.0), ("size".into(), x(record))]);
            tell(&mut study, Event::Reported { trial, attempt, step, value: Some(value), metrics });
            if step == EPOCHS {
                tell(&mut study, Event::Completed { trial, attempt, value });
                break;
            }
            match study.verdict(trial) {
                Verdict::Continue => {}
                Verdict::Pause => {
                    tell(&mut study, Event::Paused { trial, attempt, reason: PauseReason::Rung });
                    break;
                }
                Verdict::Stop => {
                    tell(&mut study, Event::Pruned { trial, attempt });
                    break;
                }
            }
        }
    }
    (study, log)
}

fn transfers(study: &Study) -> Vec<&Trial> {
    study.trials().iter().filter(|trial| trial.why.contains(MARK)).collect()
}

#[test]
fn a_large_network_gets_the_best_settings_of_a_small_one_and_a_full_training() {
    let (study, log) = night(config(SamplerKind::Auto, "asha"), Some(plan(3600.0)), 60);
    let [transfer] = transfers(&study)[..] else { panic!("{:?}", transfers(&study)) };
    assert_eq!(transfer.params.get("model").unwrap().as_str(), Some("large"));
    assert_eq!(transfer.state, TrialState::Complete);
    // Small ones were trained to their end before, and one of them lends its x.
    let is_before = |trial: &&Trial| trial.number < transfer.number && trial.state == TrialState::Complete;
    let lends = |trial: &Trial| trial.params.get("x") == transfer.params.get("x");
    assert!(study.trials().iter().filter(is_before).any(lends));
    assert_eq!(study.best().unwrap().params.get("model"), transfer.params.get("model"));
    let mut replayed = Study::new(study.config().clone()).unwrap();
    log.iter().for_each(|event| replayed.tell(event).unwrap());
    assert_eq!(replayed.trials(), study.trials());
}

#[test]
fn nothing_is_transferred_without_time_for_it() {
    // A training of the large one takes 90 seconds.
    for (what, outlook) in [("no plan", None), ("a short plan", Some(plan(300.0)))] {
        let (study, _) = night(config(SamplerKind::Auto, "asha"), outlook, 60);
        assert!(transfers(&study).is_empty(), "{what}");
    }
    let (study, _) = night(config(SamplerKind::Auto, "none"), Some(plan(3600.0)), 20);
    assert!(transfers(&study).is_empty(), "all trials are trained to their end anyway");
    let (study, _) = night(config(SamplerKind::Gp, "asha"), Some(plan(3600.0)), 60);
    assert!(transfers(&study).is_empty(), "it is what auto does");
}

#[test]
fn settings_that_break_a_constraint_lend_nothing_while_others_do_not() {
    // The best x is 0.3, so that halving trains small ones to their end.
    let constraints = vec![Expression::parse("size >= 0.4").unwrap()];
    let config = StudyConfig { constraints, ..config(SamplerKind::Auto, "asha") };
    let (study, log) = night(config, Some(plan(3600.0)), 60);
    let [transfer] = transfers(&study)[..] else { panic!("{:?}", transfers(&study)) };
    let begins = |event: &&Event| matches!(event, Event::Started { trial, .. } if *trial == transfer.number);
    let before = log.iter().take_while(|event| !begins(event)).filter_map(|event| match event {
        Event::Completed { trial, .. } => Some(study.trial(*trial).unwrap()),
        _ => None,
    });
    let rank = |trial: &&Trial| (study.violation(trial), Loss::from(loss(trial, EPOCHS)));
    assert_eq!(before.min_by_key(rank).map(x), Some(x(transfer)));
}
