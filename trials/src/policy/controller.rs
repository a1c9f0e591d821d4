//! AutoAugment's controller with children: each policy that it writes trains one, whose validation accuracy is the reward.

use nightsweep_trainer::TrialSeed;
use nightsweep_trainer::device::Device;
use nightsweep_trainer::policy::{Controller, ControllerSettings, Move};
use nightsweep_trainer::recipe::{Mixing, Policy, PolicyOp, PolicySpec};
use nightsweep_trainer::seed::Purpose;

use super::{Lab, LearnError, Learned, sub_policy};

/// Sub-policies of a policy, and operations of each: AutoAugment's.
const SUB_POLICIES: usize = 5;
const LENGTH: usize = 2;
/// Chances and strengths that can be chosen; AutoAugment has 11 and 10. Fewer choices are learned from fewer children.
const PROBABILITIES: usize = 5;
const MAGNITUDES: usize = 5;
/// Children before each update of the controller.
const BATCH: usize = 4;
/// Rounds after which it ends, whatever the time.
const ROUNDS: usize = 250;

pub(super) fn learn(lab: &mut dyn Lab, seed: u64) -> Result<Learned, LearnError> {
    let (moves, mixings) = (lab.moves().to_vec(), lab.mixings().to_vec());
    let choices = [moves.len(), PROBABILITIES, MAGNITUDES].repeat(LENGTH);
    let seed = TrialSeed { study: seed, trial: 0 };
    // A small network that waits for children most of the time.
    let device = Device::flex();
    // Not at all, or in one of the ways; AutoAugment's policies do not mix.
    let once = if mixings.is_empty() { Vec::new() } else { vec![1 + mixings.len()] };
    let mut controller = Controller::new(&choices, SUB_POLICIES, &once, ControllerSettings::default(), seed, &device);
    let (mut best, mut tried): (Option<(f64, Policy)>, usize) = (None, 0);
    for round in 0..ROUNDS {
        let written = controller.write(BATCH, &mut seed.stream(Purpose::Policy, 2, round as u64));
        let mut rewards = Vec::new();
        for choices in &written {
            if lab.is_over() {
                return finish(best, tried);
            }
            let policy = policy(&moves, &mixings, choices);
            let accuracy = lab.train(&PolicySpec::Custom(policy.clone()), 0)?;
            tried += 1;
            rewards.push(accuracy.unwrap_or(f64::NAN));
            if let Some(accuracy) = accuracy
                && best.as_ref().is_none_or(|(most, _)| accuracy > *most)
            {
                lab.notes(&format!("policy {tried}: {accuracy:.4}, the best so far"));
                best = Some((accuracy, policy));
            }
        }
        controller.learn(&written, &rewards);
    }
    finish(best, tried)
}

/// The best policy tried, as AutoAugment takes the best ones.
fn finish(best: Option<(f64, Policy)>, tried: usize) -> Result<Learned, LearnError> {
    let (_, policy) = best.ok_or(LearnError::NoTime)?;
    Ok(Learned { policy: PolicySpec::Custom(policy), tried })
}

/// The policy that a row of choices is.
fn policy(moves: &[Move], mixings: &[Mixing], choices: &[usize]) -> Policy {
    let op = |choice: &[usize]| -> PolicyOp {
        let one = moves[choice[0]];
        let probability = choice[1] as f64 / (PROBABILITIES - 1) as f64;
        one.step(probability, one.most.unwrap_or(0.0) * (choice[2] + 1) as f64 / MAGNITUDES as f64)
    };
    let (choices, once) = choices.split_at(SUB_POLICIES * 3 * LENGTH);
    let sub_policies = choices.chunks(3 * LENGTH).map(|choices| sub_policy(choices.chunks(3).map(op).collect()));
    let mix = once.iter().filter_map(|choice| Some(mixings[choice.checked_sub(1)?]));
    Policy { mix: mix.collect(), ..Policy::new(sub_policies.collect()) }
}
