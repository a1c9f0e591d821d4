//! Which operations change the class of a data set's images, and up to which strength the others may be used.
//!
//! A child that never saw an operation is unsure under it, whatever the operation does to the class. So the child is one that
//! saw each of them, rarely ([`super::exposure`]): half of its training images were plain, and the others share all operations
//! and strengths. Of what such a child sees it approximates the chances of the classes: under an operation that is merely
//! unfamiliar or hard it still tends to the right one; an image that an operation made into one of another class looks like
//! the many plain images of that class, and the child says so with confidence. The measure is how many images of a class
//! lose their likelihood to other classes, paired by image, in one pass over validation images for each operation,
//! direction and strength.
//!
//! What it cannot see: a class that the child does not recognise as it is, and harm that comes only from several operations
//! together. Where a wide range is ambiguous from far away (a hue turned by a third of the circle), the child is also unsure
//! nearer by, so such ranges come out rather too short than too long.

mod picture;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Child, MIXINGS, Move, even_sample};
use crate::augment::{Around, Canvas, apply_share};
use crate::data::Images;
use crate::recipe::{Direction, Interpolation, Mixing, Op};
use crate::seed::{Purpose, TrialSeed};

pub use picture::picture;

/// Log-likelihoods below this are as good as it, so that no single image outweighs all others.
const LEAST_LOG: f64 = -9.21;
/// A view is surely of a class from this likelihood on: the plain images that look so are four times as many as others.
const SURE: f64 = 0.8;
/// Share of an image that may be covered at least where CutMix may paste: it covers more of every second batch, and the label
/// then still says that the rest is of the image's class.
const LEAST_COVERED: f64 = 0.25;
/// Chance that an interval holds what it is an interval of.
const CONFIDENCE: f64 = 0.95;

/// How harm is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Strengths of each operation, evenly up to its largest.
    pub levels: usize,
    /// Validation images at most, the same number of each class.
    pub images: usize,
    /// An operation harms a class of which more than this share of the images are surely not recognised for it.
    pub threshold: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { levels: 4, images: 1000, threshold: 0.25 }
    }
}

/// What operations do to the classes of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarmTable {
    /// What `data.path` was.
    pub data: String,
    /// Of the data set.
    pub fingerprint: String,
    /// Validation images looked at.
    pub images: usize,
    /// Share of them that the child recognises as they are.
    pub accuracy: f64,
    /// How it was measured.
    pub settings: Settings,
    /// Each operation, in each of its directions.
    pub ops: Vec<OpHarm>,
}

/// What one operation does in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpHarm {
    /// Which.
    pub op: Op,
    /// `either` for an operation that has none.
    #[serde(default)]
    pub direction: Direction,
    /// The largest strength up to which no class is harmed; 0 allows none.
    pub most: f64,
    /// The same in the operation's own units: degrees, pixels, a factor's change, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_value: Option<f64>,
    /// What it does beyond.
    pub effect: Effect,
    /// At each strength.
    pub levels: Vec<Level>,
}

/// What an operation does to classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// All of them stay what they are.
    Harmless,
    /// Some can no longer be told, but are not taken for a certain other one.
    Hides,
    /// Images of one become images of another.
    ChangesClass,
}

/// What an operation does at one strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Share of the operation's range.
    pub magnitude: f64,
    /// Share of the images that are recognised.
    pub accuracy: f64,
    /// Mean change of the right class's log-likelihood, in nats.
    pub change: f64,
    /// Half of its 95 % interval.
    pub change_half_width: f64,
    /// The classes that are harmed, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harmed: Vec<Harmed>,
}

/// A class of which too many images are no longer recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Harmed {
    /// Its name.
    pub class: String,
    /// Share of its images that are recognised as they are, but not under the operation.
    pub lost: f64,
    /// The share that is surely lost: the lower end of the interval, for all classes together.
    pub lost_at_least: f64,
    /// The class that it becomes, if that is always the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub becomes: Option<String>,
    /// Share of its images that are surely of the class that most of the lost ones are taken for.
    pub switched: f64,
}

/// Measures every move's operation in each of its directions on validation images, with a child that saw them.
pub fn measure(
    child: &Child,
    validation: &Arc<Images>,
    classes: &[String],
    moves: &[Move],
    settings: Settings,
    seed: TrialSeed,
    mut progress: impl FnMut(&OpHarm),
) -> Measured {
    let images = child.prepare(validation);
    let order = even_sample(&images.labels, settings.images);
    let plain = child.log_likelihoods(&images, order.clone(), |canvas, images, index| {
        canvas.pixels.copy_from_slice(images.image(index));
    });
    let labels: Vec<usize> = order.iter().map(|index| images.labels[*index] as usize).collect();
    let judge = Judge { labels: &labels, classes, settings };
    let directions = |one: &Move| match one.op.row().signed {
        true => vec![Direction::Positive, Direction::Negative],
        false => vec![Direction::Either],
    };
    let mut ops = Vec::new();
    for (one, direction) in moves.iter().flat_map(|one| directions(one).into_iter().map(move |way| (one, way))) {
        let op = one.op;
        let magnitudes: Vec<f64> = match one.most {
            Some(most) => (1..=settings.levels).map(|level| most * level as f64 / settings.levels as f64).collect(),
            None => vec![1.0],
        };
        let level = |magnitude: f64| {
            let code = (op as u64) << 8 | (direction as u64) << 6;
            let view = move |canvas: &mut Canvas, images: &Images, index: usize| {
                canvas.pixels.copy_from_slice(images.image(index));
                let random = &mut seed.stream(Purpose::Policy, code | (magnitude * 32.0) as u64, index as u64);
                apply_share(op, direction, magnitude, canvas, &mut around(images, random));
            };
            judge.level(magnitude, &plain, &child.log_likelihoods(&images, order.clone(), view))
        };
        let harm = OpHarm::of(op, direction, magnitudes.into_iter().map(level).collect(), &images);
        progress(&harm);
        ops.push(harm);
    }
    let accuracy = judge.accuracy(&plain);
    Measured { images: order.len(), accuracy, ops }
}

/// What [`measure`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Validation images looked at.
    pub images: usize,
    /// Share of them that the child recognises as they are.
    pub accuracy: f64,
    /// Each operation, in each of its directions.
    pub ops: Vec<OpHarm>,
}

/// Black comes from outside, as in the recipes' default.
fn around<'a>(images: &'a Images, random: &'a mut rand_chacha::ChaCha8Rng) -> Around<'a> {
    Around { images, interpolation: Interpolation::Nearest, fill: 0, random }
}

impl HarmTable {
    /// What a policy for these data may use.
    pub fn moves(&self) -> Vec<Move> {
        let allowed = |harm: &&OpHarm| harm.most > 0.0;
        let mut moves = Vec::new();
        for harm in self.ops.iter().filter(allowed) {
            let most = harm.op.has_strength().then_some(harm.most);
            let other = self.ops.iter().find(|other| other.op == harm.op && other.direction != harm.direction);
            match (harm.direction, other.filter(allowed).map(|other| other.most)) {
                // Both ways, as far as both may go.
                (Direction::Positive, Some(back)) if back == harm.most => {
                    moves.push(Move { op: harm.op, direction: Direction::Either, most });
                }
                (Direction::Negative, Some(forth)) if forth == harm.most => {}
                _ => moves.push(Move { op: harm.op, direction: harm.direction, most }),
            }
        }
        moves
    }

    /// How a policy for these data may mix. Mixup only adds what the label says as well; CutMix hides a part of an image, which
    /// must leave it one of its class: it needs a table by which so much may be erased.
    pub fn mixings(&self) -> Vec<Mixing> {
        let mut erase = self.ops.iter().filter(|harm| harm.op == Op::Erase);
        let may_cover = erase.any(|harm| harm.most_value.is_some_and(|share| share >= LEAST_COVERED));
        MIXINGS.into_iter().filter(|mixing| may_cover || mixing.cutmix == 0.0).collect()
    }
}

impl OpHarm {
    fn of(op: Op, direction: Direction, levels: Vec<Level>, images: &Images) -> Self {
        let kept = levels.iter().take_while(|level| level.harmed.is_empty()).last();
        let most = kept.map_or(0.0, |level| level.magnitude);
        let harmed = || levels.iter().flat_map(|level| &level.harmed);
        let effect = match (harmed().next(), harmed().any(|harmed| harmed.becomes.is_some())) {
            (None, _) => Effect::Harmless,
            (Some(_), false) => Effect::Hides,
            (Some(_), true) => Effect::ChangesClass,
        };
        let [low, high] = (op.row().range)(crate::augment::Size::of(images));
        let most_value = (op.has_strength() && most > 0.0).then_some(low + (high - low) * most);
        Self { op, direction, most, most_value, effect, levels }
    }

    /// Each class that becomes another one, at the least strength at which one does.
    pub fn switches(&self) -> impl Iterator<Item = (&str, &str)> {
        let switches = |level: &&Level| level.harmed.iter().any(|harmed| harmed.becomes.is_some());
        let first = self.levels.iter().find(switches);
        first
            .into_iter()
            .flat_map(|level| &level.harmed)
            .filter_map(|harmed| Some((&*harmed.class, harmed.becomes.as_deref()?)))
    }
}

/// Compares likelihoods under an operation with those of the plain images.
struct Judge<'a> {
    labels: &'a [usize],
    classes: &'a [String],
    settings: Settings,
}

impl Judge<'_> {
    fn accuracy(&self, logs: &[f32]) -> f64 {
        let rows = logs.chunks_exact(self.classes.len()).zip(self.labels);
        let hits = rows.filter(|(row, label)| most_likely(row) == **label).count();
        hits as f64 / self.labels.len().max(1) as f64
    }

    fn level(&self, magnitude: f64, plain: &[f32], under: &[f32]) -> Level {
        let count = self.classes.len();
        let own = |logs: &[f32]| -> Vec<f64> {
            let rows = logs.chunks_exact(count).zip(self.labels);
            rows.map(|(row, label)| f64::from(row[*label]).max(LEAST_LOG)).collect()
        };
        let changes: Vec<f64> = own(plain).iter().zip(own(under)).map(|(before, after)| after - before).collect();
        let (change, change_half_width) = mean_and_half_width(&changes, 1.0);
        let mut harmed: Vec<Harmed> = (0..count).filter_map(|class| self.harmed(class, plain, under)).collect();
        harmed.sort_by(|a, b| b.lost.total_cmp(&a.lost));
        Level { magnitude, accuracy: self.accuracy(under), change, change_half_width, harmed }
    }

    fn harmed(&self, class: usize, plain: &[f32], under: &[f32]) -> Option<Harmed> {
        let count = self.classes.len();
        let row = |logs: &'_ [f32], place: usize| logs[place * count..(place + 1) * count].to_vec();
        let of_class: Vec<usize> = (0..self.labels.len()).filter(|place| self.labels[*place] == class).collect();
        let verdicts: Vec<[usize; 2]> =
            of_class.iter().map(|place| [plain, under].map(|logs| most_likely(&row(logs, *place)))).collect();
        let is_own = |verdict: usize| f64::from(u8::from(verdict == class));
        let losses: Vec<f64> = verdicts.iter().map(|[before, after]| is_own(*before) - is_own(*after)).collect();
        let (lost, half_width) = mean_and_half_width(&losses, count as f64);
        if lost.is_nan() || lost - half_width <= self.settings.threshold {
            return None;
        }
        let taken = |other: usize| verdicts.iter().filter(|[_, after]| *after == other).count() as f64;
        let others = (0..count).filter(|other| *other != class);
        let other = others.max_by(|a, b| taken(*a).total_cmp(&taken(*b)))?;
        let is_sure = |place: &&usize| f64::from(under[**place * count + other]).exp() >= SURE;
        let images = of_class.len() as f64;
        let switched = of_class.iter().filter(is_sure).count() as f64 / images;
        // To one class above all, and surely: else the class is hidden, not another.
        let becomes = taken(other) / images >= lost / 2.0 && switched >= 0.5;
        Some(Harmed {
            class: self.classes[class].clone(),
            lost,
            lost_at_least: lost - half_width,
            becomes: becomes.then(|| self.classes[other].clone()),
            switched,
        })
    }
}

fn most_likely(row: &[f32]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0)
}

/// The mean, and half of the interval that holds it with 95 % chance for so many means together (Bonferroni); endless for
/// fewer than two numbers.
fn mean_and_half_width(values: &[f64], together: f64) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let student = StudentsT::new(0.0, 1.0, count - 1.0).expect("there is a degree of freedom");
    (mean, student.inverse_cdf(1.0 - (1.0 - CONFIDENCE) / 2.0 / together) * (variance / count).sqrt())
}

#[cfg(test)]
mod tests;
