//! Drawing from a policy and doing what was drawn.

use rand::RngExt;

use super::Size;
use super::canvas::Canvas;
use super::distribution::{beta, dirichlet};
use super::op::{Around, Row, Strength};
use super::published::{self, Pair};
use crate::recipe::{AugMix, Direction, Op, Policy, PolicyOp, PolicySpec, RandAugment};

/// The last strength of RandAugment and TrivialAugment, of AutoAugment, and of AugMix.
const LAST: u32 = 30;
const LAST_PUBLISHED: u32 = 9;
const LAST_MIXED: u32 = 9;

/// What RandAugment draws from.
const RAND_AUGMENT: [Op; 14] = [
    Op::Identity,
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
    Op::Rotate,
    Op::Brightness,
    Op::Color,
    Op::Contrast,
    Op::Sharpness,
    Op::Posterize,
    Op::Solarize,
    Op::AutoContrast,
    Op::Equalize,
];

/// Where TrivialAugment's ranges are wider than an operation's own.
fn trivial_range(op: Op, size: Size) -> [f64; 2] {
    match op {
        Op::ShearX | Op::ShearY | Op::Brightness | Op::Color | Op::Contrast | Op::Sharpness => [0.0, 0.99],
        Op::TranslateX | Op::TranslateY => [0.0, 32.0],
        Op::Rotate => [0.0, 135.0],
        Op::Posterize => [8.0, 2.0],
        _ => (op.row().range)(size),
    }
}

/// What AugMix draws from; the last four only if all operations are wanted.
const AUG_MIX: [Op; 13] = [
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
    Op::Rotate,
    Op::Posterize,
    Op::Solarize,
    Op::AutoContrast,
    Op::Equalize,
    Op::Brightness,
    Op::Color,
    Op::Contrast,
    Op::Sharpness,
];

/// Where AugMix's ranges differ from an operation's own.
fn aug_mix_range(op: Op, size: Size) -> [f64; 2] {
    match op {
        Op::TranslateX => [0.0, size.width as f64 / 3.0],
        Op::TranslateY => [0.0, size.height as f64 / 3.0],
        Op::Posterize => [4.0, 0.0],
        _ => (op.row().range)(size),
    }
}

/// A policy, made ready.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    /// Sub-policies.
    Listed(Policy),
    /// AutoAugment's pairs.
    Published(&'static [Pair]),
    /// This many operations at this strength.
    Rand { count: usize, strength: Strength },
    /// One operation at any strength.
    Trivial,
    /// Chains of operations, mixed.
    Mix(AugMix),
}

impl Ready {
    /// `None` if nothing is to be done.
    pub fn new(spec: &PolicySpec) -> Option<Self> {
        Some(match spec {
            PolicySpec::None(_) => return None,
            PolicySpec::AutoAugment(policy) => Self::Published(published::pairs(policy.learned_on)),
            PolicySpec::RandAugment(RandAugment { n, m }) => {
                Self::Rand { count: *n, strength: Strength::Step { place: *m, last: LAST } }
            }
            PolicySpec::TrivialAugment(_) => Self::Trivial,
            PolicySpec::AugMix(mix) => Self::Mix(mix.clone()),
            PolicySpec::Custom(policy) => Self::Listed(policy.clone()),
            PolicySpec::File(_) => unreachable!("a recipe is checked before it is trained with"),
        })
    }

    /// Draws and does; `progress` is the share of the training that is done, in [0, 1).
    pub fn apply(&self, canvas: &mut Canvas, progress: f64, around: &mut Around) {
        match self {
            Self::Listed(policy) => apply_listed(policy, canvas, progress, around),
            Self::Published(pairs) => {
                for (op, tenths, place) in pairs[around.random.random_range(0..pairs.len())] {
                    if around.random.random_range(0..10) < tenths {
                        let strength = Strength::Step { place, last: LAST_PUBLISHED };
                        apply(op, (op.row().range)(canvas.size), strength, canvas, around);
                    }
                }
            }
            Self::Rand { count, strength } => {
                for _ in 0..*count {
                    let op = RAND_AUGMENT[around.random.random_range(0..RAND_AUGMENT.len())];
                    apply(op, (op.row().range)(canvas.size), *strength, canvas, around);
                }
            }
            Self::Trivial => {
                let op = RAND_AUGMENT[around.random.random_range(0..RAND_AUGMENT.len())];
                let strength = Strength::Step { place: around.random.random_range(0..=LAST), last: LAST };
                apply(op, trivial_range(op, canvas.size), strength, canvas, around);
            }
            Self::Mix(mix) => apply_mixed(mix, canvas, around),
        }
    }
}

fn apply_listed(policy: &Policy, canvas: &mut Canvas, progress: f64, around: &mut Around) {
    let holds = || policy.sub_policies.iter().filter(|sub| sub.from <= progress && progress < sub.until);
    let total: f64 = holds().map(|sub| sub.weight).sum();
    for _ in 0..policy.draws {
        let mut place = around.random.random::<f64>() * total;
        let drawn = holds().find(|sub| {
            place -= sub.weight;
            place < 0.0
        });
        for PolicyOp { op, probability, magnitude, magnitude_min, direction } in drawn.iter().flat_map(|sub| &sub.ops) {
            if around.random.random::<f64>() < *probability {
                let strength = Strength::Share(match magnitude_min {
                    Some(least) => least + (magnitude - least) * around.random.random::<f64>(),
                    None => *magnitude,
                });
                apply_towards(*op, *direction, (op.row().range)(canvas.size), strength, canvas, around);
            }
        }
    }
}

/// Does one operation at a strength of a range, in a direction that is drawn.
fn apply(op: Op, range: [f64; 2], strength: Strength, canvas: &mut Canvas, around: &mut Around) {
    apply_towards(op, Direction::Either, range, strength, canvas, around);
}

fn apply_towards(
    op: Op,
    direction: Direction,
    range: [f64; 2],
    strength: Strength,
    canvas: &mut Canvas,
    around: &mut Around,
) {
    let Row { signed, apply, .. } = op.row();
    let value = strength.value(range);
    let is_negative = *signed
        && match direction {
            Direction::Either => around.random.random(),
            Direction::Positive => false,
            Direction::Negative => true,
        };
    apply(canvas, if is_negative { -value } else { value }, around);
}

/// Does one operation at a share of its range.
pub(crate) fn apply_share(op: Op, direction: Direction, magnitude: f64, canvas: &mut Canvas, around: &mut Around) {
    let range = (op.row().range)(canvas.size);
    apply_towards(op, direction, range, Strength::Share(magnitude), canvas, around);
}

fn apply_mixed(mix: &AugMix, canvas: &mut Canvas, around: &mut Around) {
    let ops = if mix.all_ops { &AUG_MIX[..] } else { &AUG_MIX[..9] };
    let of_chains = beta(mix.alpha, around.random);
    let weights = dirichlet(mix.alpha, mix.width, around.random);
    let own = canvas.pixels.clone();
    let mut sum: Vec<f32> = own.iter().map(|byte| (1.0 - of_chains) as f32 * f32::from(*byte)).collect();
    for weight in weights {
        canvas.pixels.copy_from_slice(&own);
        let depth = if mix.depth > 0 { mix.depth } else { around.random.random_range(1..=3) };
        for _ in 0..depth {
            let op = ops[around.random.random_range(0..ops.len())];
            // Of the ten strengths, those below the severity.
            let strength = Strength::Step { place: around.random.random_range(0..mix.severity), last: LAST_MIXED };
            apply(op, aug_mix_range(op, canvas.size), strength, canvas, around);
        }
        let weight = (of_chains * weight) as f32;
        sum.iter_mut().zip(&canvas.pixels).for_each(|(sum, byte)| *sum += weight * f32::from(*byte));
    }
    canvas.pixels.iter_mut().zip(sum).for_each(|(byte, sum)| *byte = sum as u8);
}

/// The range that a published method gives an operation.
#[cfg(test)]
pub(super) fn range_in(space: &str, op: Op, size: Size) -> [f64; 2] {
    match space {
        "trivial_augment" => trivial_range(op, size),
        "aug_mix" => aug_mix_range(op, size),
        _ => (op.row().range)(size),
    }
}
