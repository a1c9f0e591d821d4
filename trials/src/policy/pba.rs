//! PBA with children: the search is `nightsweep_search::policy::ScheduleSearch`.

use nightsweep_search::policy::{Phase, ScheduleSearch, ScheduleSettings, Turn};
use nightsweep_trainer::policy::Move;
use nightsweep_trainer::recipe::{Mixing, Policy, PolicySpec, SubPolicy};

use super::{Lab, LearnError, Learned, digits, operations};

/// Half of the paper's: half of the children, for minutes.
const MEMBERS: u64 = 8;
/// Judgements of a training: the paper has 53 to 67 of them, over 160 to 200 epochs.
const JUDGEMENTS: u64 = 10;
/// Operations drawn for each image, of which each is done by its own chance; the paper does none, one or two.
const DRAWS: usize = 2;

pub(super) fn learn(lab: &mut dyn Lab, seed: u64) -> Result<Learned, LearnError> {
    let (moves, mixings, epochs) = (lab.moves().to_vec(), lab.mixings().to_vec(), lab.epochs());
    if epochs < 2 {
        return Err(LearnError::NoSchedule);
    }
    let interval = epochs.div_ceil(JUDGEMENTS);
    let settings = ScheduleSettings { members: MEMBERS, epochs, interval, seed };
    let ways = mixings.iter().map(Mixing::to_string).collect();
    let mut search = ScheduleSearch::new(operations(&moves), ways, settings)?;
    while let Some(turn) = search.ask().filter(|_| !lab.is_over()) {
        let policies = turn.phases.iter().map(|phase| (phase.begin, policy(&moves, &mixings, phase))).collect();
        let Turn { member, from, done, .. } = turn;
        let until = turn.phases.last().map_or(done, |phase| phase.end);
        let scores = lab.go_on(&Stretch { member, from, done, until, policies })?;
        // One that the time cut short is no failure of the member's.
        if scores.is_none() && lab.is_over() {
            break;
        }
        if let Some(last) = scores.as_ref().and_then(|scores| scores.last()) {
            lab.notes(&format!("member {member}, epoch {until} of {epochs}: {last:.4}"));
        }
        search.tell(turn, &scores.unwrap_or_default());
    }
    let schedule = search.best().ok_or(LearnError::NoTime)?;
    Ok(Learned { policy: PolicySpec::Custom(whole(&moves, &mixings, &schedule, epochs)), tried: search.tried() })
}

/// A part of a member's training.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Whose.
    pub member: u64,
    /// The member whose weights it goes on with; `None` at the start of training.
    pub from: Option<u64>,
    /// Epochs done before it.
    pub done: u64,
    /// Epochs done after it.
    pub until: u64,
    /// The policies from the start of training on, each with the epochs done before it.
    pub policies: Vec<(u64, Policy)>,
}

/// What holds in a phase, as if it held for all of a training.
fn policy(moves: &[Move], mixings: &[Mixing], phase: &Phase) -> Policy {
    let mix = mixing(mixings, phase, 0.0, 1.0).into_iter().collect();
    Policy { draws: DRAWS, mix, sub_policies: sub_policies(moves, phase, 0.0, 1.0).collect() }
}

/// A schedule as one policy. The last phase holds to the end: its search may have been cut short.
fn whole(moves: &[Move], mixings: &[Mixing], schedule: &[Phase], epochs: u64) -> Policy {
    let share = |epoch: u64| epoch as f64 / epochs as f64;
    let ends = schedule.iter().skip(1).map(|next| share(next.begin)).chain([1.0]);
    let phases = schedule.iter().zip(ends);
    let mix = phases.clone().filter_map(|(phase, end)| mixing(mixings, phase, share(phase.begin), end));
    let sub_policies = phases.clone().flat_map(|(phase, end)| sub_policies(moves, phase, share(phase.begin), end));
    Policy { draws: DRAWS, mix: mix.collect(), sub_policies: sub_policies.collect() }
}

fn mixing(mixings: &[Mixing], phase: &Phase, from: f64, until: f64) -> Option<Mixing> {
    let chosen = phase.mixing?;
    Some(Mixing { chance: digits(chosen.probability), from, until, ..mixings[chosen.way] })
}

/// Each operation for itself, all equally often drawn.
fn sub_policies<'a>(
    moves: &'a [Move],
    phase: &'a Phase,
    from: f64,
    until: f64,
) -> impl Iterator<Item = SubPolicy> + use<'a> {
    phase.steps.iter().map(move |step| {
        let op = moves[step.operation].step(digits(step.probability), digits(step.magnitude));
        SubPolicy { weight: 1.0, from, until, ops: vec![op] }
    })
}

#[cfg(test)]
mod tests {
    use nightsweep_search::policy::{Mixing as Way, Step};
    use nightsweep_trainer::policy::MIXINGS;
    use nightsweep_trainer::recipe::{Direction, Op};

    use super::*;

    #[test]
    fn a_schedule_that_was_cut_short_holds_its_last_phase_to_the_end() {
        let moves = [Move { op: Op::Rotate, direction: Direction::Either, most: Some(0.5) }];
        let phase = |begin, end, probability, way: Option<usize>| Phase {
            begin,
            end,
            steps: vec![Step { operation: 0, probability, magnitude: 0.25 }],
            mixing: way.map(|way| Way { way, probability }),
        };
        let phases = [phase(0, 2, 0.5, Some(2)), phase(2, 3, 0.75, None), phase(3, 4, 0.7, Some(0))];
        let policy = whole(&moves, &MIXINGS, &phases, 8);
        let found: Vec<_> =
            policy.sub_policies.iter().map(|sub| (sub.from, sub.until, sub.ops[0].probability)).collect();
        assert_eq!(found, [(0.0, 0.25, 0.5), (0.25, 0.375, 0.75), (0.375, 1.0, 0.7)]);
        // Between the two nothing is mixed.
        let mix: Vec<String> = policy.mix.iter().map(Mixing::to_string).collect();
        let expected = [
            "CutMix 1 on 50 % of the batches until 25 % of the training",
            "Mixup 0.2 on 70 % of the batches from 37.5 % of the training on",
        ];
        assert_eq!(mix, expected);
    }
}
