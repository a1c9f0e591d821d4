//! What learning an augmentation policy needs of training: children that judge, the harm of operations, and the learners
//! that go by gradients.

mod bilevel;
mod child;
mod controller;
pub mod harm;
mod relaxed;

use crate::augment::ROWS;
use crate::data::Images;
use crate::recipe::{Direction, Mixing, Op, Policy, PolicyOp, SubPolicy};

pub use bilevel::{Bilevel, learn_relaxed};
pub use child::Child;
pub use controller::{Controller, ControllerSettings};
pub use harm::HarmTable;
pub use relaxed::{Relaxed, RelaxedSettings};

/// Ways of mixing that a search may choose beside none: Mixup's paper has 0.2 for ImageNet and 1 for CIFAR-10, CutMix's 1;
/// both in turns as in DeiT (Touvron 2021, arXiv 2012.12877).
pub const MIXINGS: [Mixing; 4] =
    [Mixing::of(0.2, 0.0), Mixing::of(1.0, 0.0), Mixing::of(0.0, 1.0), Mixing::of(0.8, 1.0)];

/// An operation with the strengths that a policy may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// Which.
    pub op: Op,
    /// Which way.
    pub direction: Direction,
    /// The largest strength, in (0, 1]; `None` for an operation without strengths.
    pub most: Option<f64>,
}

impl Move {
    /// Every operation that changes such images, at every strength, either way.
    pub fn all(images: &Images) -> Vec<Self> {
        let ops = ROWS.iter().map(|row| row.op).filter(|op| *op != Op::Identity);
        let ops = ops.filter(|op| images.channels > 1 || !op.leaves_gray());
        ops.map(|op| Self { op, direction: Direction::Either, most: op.has_strength().then_some(1.0) }).collect()
    }

    /// Unique among moves.
    pub fn name(self) -> String {
        match self.direction {
            Direction::Either => self.op.name(),
            Direction::Positive => format!("{} +", self.op.name()),
            Direction::Negative => format!("{} -", self.op.name()),
        }
    }

    /// As part of a policy: with a chance, and at a strength that is cut off at the largest one.
    pub fn step(self, probability: f64, magnitude: f64) -> PolicyOp {
        let magnitude = self.most.map_or(0.0, |most| magnitude.clamp(0.0, most));
        PolicyOp { op: self.op, probability, magnitude, magnitude_min: None, direction: self.direction }
    }
}

impl Op {
    /// As in policies.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).expect("a name is JSON");
        name.as_str().expect("an operation is a word").to_owned()
    }
}

/// Half of the images as they are, the others each under one of the moves, at strengths spread evenly.
pub fn exposure(moves: &[Move]) -> Policy {
    let sub_policy = |weight, ops| SubPolicy { weight, from: 0.0, until: 1.0, ops };
    let one = |one: &Move| {
        let magnitude_min = one.most.map(|_| 0.0);
        sub_policy(1.0, vec![PolicyOp { magnitude_min, ..one.step(1.0, 1.0) }])
    };
    let plain = sub_policy(moves.len().max(1) as f64, Vec::new());
    Policy::new([plain].into_iter().chain(moves.iter().map(one)).collect())
}

/// Places of images, the first ones of each class, as many of each as make so many in all.
pub fn even_sample(labels: &[u32], most: usize) -> Vec<usize> {
    let classes = labels.iter().max().map_or(1, |last| *last as usize + 1);
    let mut left = vec![most.div_ceil(classes).max(1); classes];
    let fits = |index: &usize| {
        let left = &mut left[labels[*index] as usize];
        let fits = *left > 0;
        *left = left.saturating_sub(1);
        fits
    };
    (0..labels.len()).filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_as_many_of_each_class() {
        let labels = [0, 0, 0, 0, 0, 1, 1, 2, 2];
        assert_eq!(even_sample(&labels, 5), [0, 1, 5, 6, 7, 8]);
        assert_eq!(even_sample(&labels, 100), (0..9).collect::<Vec<_>>());
        assert_eq!(even_sample(&labels, 0), [0, 5, 7]);
    }

    #[test]
    fn gray_images_have_no_moves_of_colours() {
        let images = |channels| Images { pixels: vec![0; 12], labels: vec![0], height: 2, width: 2, channels };
        let ops = |channels| Move::all(&images(channels)).into_iter().map(|one| one.op).collect::<Vec<_>>();
        assert_eq!(ops(3).len(), ROWS.len() - 1);
        assert_eq!(ops(1).len(), ROWS.len() - 4);
        assert!(!ops(1).contains(&Op::Hue) && ops(3).contains(&Op::Hue));
    }

    #[test]
    fn half_of_an_exposure_is_plain() {
        let turn = Move { op: Op::Turn, direction: Direction::Either, most: None };
        let rotate = Move { op: Op::Rotate, direction: Direction::Positive, most: Some(0.5) };
        let policy = exposure(&[turn, rotate]);
        let weights: Vec<f64> = policy.sub_policies.iter().map(|sub| sub.weight).collect();
        assert_eq!(weights, [2.0, 1.0, 1.0]);
        let op = &policy.sub_policies[2].ops[0];
        assert_eq!((op.magnitude, op.magnitude_min, op.direction), (0.5, Some(0.0), Direction::Positive));
    }
}
