//! RandAugment (Cubuk 2020, arXiv 1909.13719): its two numbers from a grid, each point one child.

use nightsweep_search::{
    Attempt, Direction, Distribution, Event, FailureCause, ParamValue, Parameter, SamplerKind, SearchSpace, Study,
    StudyConfig, Suggestion,
};
use nightsweep_trainer::recipe::{PolicySpec, RandAugment};

use super::{Lab, LearnError, Learned};

/// The paper's grid for CIFAR: one to three operations.
const OPERATIONS: [i64; 3] = [1, 2, 3];
/// Of 30 steps.
const STRENGTHS: [i64; 6] = [2, 5, 9, 14, 20, 27];

pub(super) fn learn(lab: &mut dyn Lab, seed: u64) -> Result<Learned, LearnError> {
    let ordinal = |name: &str, choices: &[i64]| Parameter {
        name: name.to_owned(),
        distribution: Distribution::Ordinal { choices: choices.iter().copied().map(ParamValue::Int).collect() },
        when: None,
    };
    let space = SearchSpace(vec![ordinal("n", &OPERATIONS), ordinal("m", &STRENGTHS)]);
    let config = StudyConfig {
        sampler: SamplerKind::Grid,
        direction: Direction::Maximize,
        seed,
        max_trials: Some((OPERATIONS.len() * STRENGTHS.len()) as u64),
        ..StudyConfig::new(space)
    };
    let mut study = Study::new(config)?;
    while !lab.is_over() {
        let Suggestion::Start { trial, params, why } = study.ask() else { break };
        let number = |name: &str| params.get(name).and_then(ParamValue::as_f64).expect("the space has it") as u32;
        let policy = RandAugment { n: number("n") as usize, m: number("m") };
        let accuracy = lab.train(&PolicySpec::RandAugment(policy.clone()), 0)?;
        let attempt = Attempt::FIRST;
        let end = match accuracy {
            Some(value) => Event::Completed { trial, attempt, value },
            None => {
                let message = "the child gave no accuracy".to_owned();
                Event::Failed { trial, attempt, cause: FailureCause::Diverged, message }
            }
        };
        if let Some(accuracy) = accuracy {
            lab.notes(&format!("n = {}, m = {}: {accuracy:.4}", policy.n, policy.m));
        }
        for event in [Event::Started { trial, params, why }, end] {
            study.tell(&event).expect("each point is told once, before the next one is asked for");
        }
    }
    let best = study.best().ok_or(LearnError::NoTime)?;
    let number = |name: &str| best.params.get(name).and_then(ParamValue::as_f64).expect("the space has it") as u32;
    let policy = PolicySpec::RandAugment(RandAugment { n: number("n") as usize, m: number("m") });
    Ok(Learned { policy, tried: study.trials().len() })
}
