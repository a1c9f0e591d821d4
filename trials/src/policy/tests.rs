use std::collections::BTreeMap;

use nightsweep_trainer::policy::MIXINGS;
use nightsweep_trainer::recipe::{Direction, Mixing, Op, RandAugment};

use super::*;

/// Children whose accuracy is known: blur is good, near half of its strength, and flips are bad.
struct Made {
    moves: Vec<Move>,
    mixings: Vec<Mixing>,
    /// What each of them adds to the accuracy of a child all of whose batches are mixed by it.
    gains: [f64; 4],
    /// What another seed adds to that.
    luck: f64,
    left: usize,
    all: usize,
    notes: Vec<String>,
    /// What children came to.
    values: Vec<f64>,
    /// What members stand at: the sum of what their epochs gave them.
    members: BTreeMap<u64, f64>,
}

impl Made {
    fn new(left: usize) -> Self {
        let one = |op: Op| Move { op, direction: Direction::Either, most: op.has_strength().then_some(0.8) };
        let moves = [Op::Flip, Op::Blur, Op::Rotate, Op::Invert].map(one).to_vec();
        Self {
            moves,
            mixings: Vec::new(),
            gains: [0.0; 4],
            luck: 0.0,
            left,
            all: left,
            notes: Vec::new(),
            values: Vec::new(),
            members: BTreeMap::new(),
        }
    }

    /// With all ways of mixing, each with its gain.
    fn mixing(left: usize, gains: [f64; 4]) -> Self {
        Self { mixings: MIXINGS.to_vec(), gains, ..Self::new(left) }
    }

    fn gain_of(&self, policy: &Policy) -> f64 {
        let gain = |mixing: &Mixing| {
            let is_it = |other: &Mixing| (other.mixup, other.cutmix) == (mixing.mixup, mixing.cutmix);
            mixing.chance * MIXINGS.iter().position(is_it).map_or(0.0, |way| self.gains[way])
        };
        policy.mix.iter().map(gain).sum()
    }

    fn value(ops: &[PolicyOp]) -> f64 {
        let of = |op: &PolicyOp| match op.op {
            Op::Blur => op.probability * (0.4 - (op.magnitude - 0.5).abs()),
            Op::Flip => -op.probability,
            _ => -0.1 * op.probability,
        };
        ops.iter().map(of).sum()
    }

    /// The mean of its sub-policies.
    fn value_of(policy: &Policy) -> f64 {
        policy.sub_policies.iter().map(|sub| Self::value(&sub.ops)).sum::<f64>() / policy.sub_policies.len() as f64
    }
}

impl Lab for Made {
    fn moves(&self) -> &[Move] {
        &self.moves
    }

    fn mixings(&self) -> &[Mixing] {
        &self.mixings
    }

    fn train(&mut self, policy: &PolicySpec, seed: u64) -> Result<Option<f64>, FitError> {
        self.left -= 1;
        let value = match policy {
            PolicySpec::Custom(policy) => {
                let luck = if policy.mix.is_empty() { 0.0 } else { seed as f64 * self.luck };
                Self::value_of(policy) + self.gain_of(policy) + luck
            }
            PolicySpec::RandAugment(RandAugment { n, m }) => -(*n as f64 - 2.0).abs() - (f64::from(*m) - 9.0).abs(),
            other => panic!("{other:?}"),
        };
        self.values.push(value);
        Ok(Some(value))
    }

    fn judge(&mut self, fold: usize, _folds: usize, ops: &[PolicyOp]) -> Result<Option<f64>, FitError> {
        self.left -= 1;
        Ok(Some(Self::value(ops) + 0.01 * fold as f64))
    }

    fn epochs(&self) -> u64 {
        6
    }

    fn go_on(&mut self, stretch: &Stretch) -> Result<Option<Vec<f64>>, FitError> {
        self.left -= 1;
        let policy = &stretch.policies.last().unwrap().1;
        let gain = Self::value_of(policy) + self.gain_of(policy);
        let begin = stretch.from.map_or(0.0, |from| self.members[&from]);
        let scores: Vec<f64> = (1..=stretch.until - stretch.done).map(|epoch| begin + epoch as f64 * gain).collect();
        self.members.insert(stretch.member, scores[scores.len() - 1]);
        if stretch.done == 0 {
            self.values.push(gain);
        }
        Ok(Some(scores))
    }

    fn relax(&mut self, until: f64) -> Result<Policy, FitError> {
        while self.left > 0 && self.spent() < until {
            self.left -= 1;
        }
        Ok(Policy::new(vec![sub_policy(vec![self.moves[1].step(1.0, 0.5)])]))
    }

    fn spent(&self) -> f64 {
        if self.left == 0 { 1.0 } else { 1.0 - self.left as f64 / self.all as f64 }
    }

    fn notes(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

fn custom(learned: Learned) -> Policy {
    match learned.policy {
        PolicySpec::Custom(policy) => policy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn density_matching_finds_the_operation_that_is_good_and_its_strength() {
    let learned = learn(Method::Density, &mut Made::new(usize::MAX), 1).unwrap();
    assert_eq!(learned.tried, 300);
    let policy = custom(learned);
    let best = &policy.sub_policies[0];
    assert!(Made::value(&best.ops) > 0.5, "{best:?}");
    assert!(policy.sub_policies.iter().flat_map(|sub| &sub.ops).all(|op| op.op != Op::Flip), "{policy:?}");
}

#[test]
fn the_best_policy_that_the_controller_tried_is_kept() {
    let mut made = Made::new(60);
    let learned = learn(Method::Controller, &mut made, 1).unwrap();
    assert_eq!((learned.tried, made.values.len()), (60, 60));
    let best = made.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let policy = custom(learned);
    let value = Made::value_of(&policy);
    assert!((value - best).abs() < 1e-12, "{value} {best}");
}

#[test]
fn a_population_learns_a_schedule_that_is_better_than_what_it_began_with() {
    let mut made = Made::new(usize::MAX);
    let learned = learn(Method::Pba, &mut made, 1).unwrap();
    assert!(made.values.len() == 8 && learned.tried > 8);
    let policy = custom(learned);
    let phases = || policy.sub_policies.iter().map(|sub| sub.from).filter(|from| *from > 0.0).count();
    assert!(phases() > 0, "somebody was replaced, so there is more than one phase");
    let mean = made.values.iter().sum::<f64>() / 8.0;
    let last = policy.sub_policies.iter().filter(|sub| sub.until == 1.0).cloned().collect();
    let last = Made::value_of(&Policy::new(last));
    assert!(last > mean, "{last} {mean}");
}

#[test]
fn a_population_whose_time_is_up_has_the_best_until_there() {
    let learned = learn(Method::Pba, &mut Made::new(10), 1).unwrap();
    let policy = custom(learned);
    assert!(policy.sub_policies.iter().any(|sub| sub.from == 0.0));
    assert!(policy.sub_policies.iter().any(|sub| sub.until == 1.0));
}

/// Names of what a policy mixes by, the chances left out.
fn mixed(policy: &Policy) -> Vec<String> {
    policy.mix.iter().map(|mixing| Mixing::of(mixing.mixup, mixing.cutmix).to_string()).collect()
}

#[test]
fn the_best_way_of_mixing_is_found_by_those_that_train_with_it() {
    let controller = |gains| custom(learn(Method::Controller, &mut Made::mixing(80, gains), 1).unwrap());
    // How a population mixes at the end, on five seeds: eight members begin in some of the ways only.
    let populations = |gains| {
        let learned = |seed| custom(learn(Method::Pba, &mut Made::mixing(usize::MAX, gains), seed).unwrap());
        let at_the_end = |mut policy: Policy| {
            policy.mix.retain(|mixing| mixing.until == 1.0);
            mixed(&policy)
        };
        (0..5).map(|seed| at_the_end(learned(seed))).collect::<Vec<_>>()
    };
    let most = |found: &[Vec<String>], expected: &[String]| {
        assert!(found.iter().filter(|names| *names == expected).count() >= 3, "{found:?}, not {expected:?}");
    };
    for (best, name) in MIXINGS.iter().map(Mixing::to_string).enumerate() {
        let mut gains = [-5.0; 4];
        gains[best] = 5.0;
        assert_eq!(mixed(&controller(gains)), [name.as_str()]);
        most(&populations(gains), &[name]);
    }
    assert!(controller([-5.0; 4]).mix.is_empty());
    most(&populations([-5.0; 4]), &[]);
}

#[test]
fn a_policy_that_was_found_without_children_is_tried_with_each_way_of_mixing() {
    let check = |made: fn() -> Made, expected: &[&str]| {
        for method in [Method::Density, Method::Relaxed] {
            let mut made = made();
            let policy = custom(learn(method, &mut made, 1).unwrap());
            assert_eq!(mixed(&policy), expected, "{method:?}: {:?}", made.notes);
        }
    };
    check(|| Made::mixing(1000, [0.1, 0.3, 0.2, -0.1]), &["Mixup 1"]);
    check(|| Made::mixing(1000, [0.1, -0.3, 0.2, 0.15]), &["CutMix 1"]);
    // None is a result like any other.
    check(|| Made::mixing(1000, [-0.1, -0.3, -0.2, 0.0]), &[]);
    // What was better on one seed has to be so on another one.
    check(|| Made { luck: -0.4, ..Made::mixing(1000, [0.1, 0.3, 0.2, -0.1]) }, &[]);
    // Only what is allowed is tried.
    check(|| Made { mixings: MIXINGS[..1].to_vec(), ..Made::mixing(1000, [0.1, 0.3, 0.2, -0.1]) }, &["Mixup 0.2"]);
    check(|| Made { mixings: Vec::new(), ..Made::mixing(1000, [0.1, 0.3, 0.2, -0.1]) }, &[]);
    // Six of 16 are left to it, of which it needs seven: the search was worth it, mixing is not known to be.
    check(|| Made::mixing(16, [0.1, 0.3, 0.2, -0.1]), &[]);
    check(|| Made::mixing(40, [0.1, 0.3, 0.2, -0.1]), &["Mixup 1"]);
}

#[test]
fn the_best_point_of_rand_augments_grid_is_taken() {
    let learned = learn(Method::RandAugment, &mut Made::new(usize::MAX), 3).unwrap();
    assert_eq!(learned, Learned { policy: PolicySpec::RandAugment(RandAugment { n: 2, m: 9 }), tried: 18 });
}

#[test]
fn without_time_or_moves_nothing_is_learned() {
    for method in [Method::Density, Method::Controller, Method::Pba, Method::RandAugment] {
        assert!(matches!(learn(method, &mut Made::new(0), 1), Err(LearnError::NoTime)), "{method:?}");
    }
    let mut empty = Made { moves: Vec::new(), ..Made::new(9) };
    assert!(matches!(learn(Method::Density, &mut empty, 1), Err(LearnError::NoMoves)));
}
