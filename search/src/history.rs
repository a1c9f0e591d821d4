//! What samplers learn from: every point tried, with its latest result, kept in order of merit.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::Point;
use crate::outlook::{ModelPace, Outlook};
use crate::trial::Loss;

/// How far a result goes. A later stage says more than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Ended without a result for a reason that lies in its point.
    Failed,
    /// Reported up to this step.
    Step(u64),
    /// Ran to its end.
    Complete,
}

/// One point tried.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) point: Point,
    /// `None` while nothing was reported.
    pub(crate) result: Option<(Stage, Loss)>,
    /// A worker has it: its result so far will soon be another.
    pub(crate) running: bool,
    /// Losses of the objectives besides the metric, once it is complete.
    pub(crate) others: Vec<Loss>,
    /// By how much it breaks the study's constraints.
    violation: Loss,
}

impl Observation {
    /// The losses of all objectives; infinite where nothing is known.
    pub(crate) fn losses(&self) -> Vec<f64> {
        let first = self.result.map_or(Loss::DIVERGED, |(_, loss)| loss);
        [first].iter().chain(&self.others).map(|loss| loss.get()).collect()
    }

    fn rank(&self, at: usize) -> Option<Rank> {
        self.result.map(|(stage, loss)| (Reverse(stage), self.violation, loss, at))
    }
}

/// Complete before partial, then those that keep the constraints, or nearly, then the better ones.
type Rank = (Reverse<Stage>, Loss, Loss, usize);

/// All observations, in the order told.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    observations: Vec<Observation>,
    /// Sorted. A vector, though each insertion moves what follows: samplers look at single ranks of it far more often.
    ranked: Vec<Rank>,
    without_result: BTreeSet<usize>,
    failed: Vec<usize>,
    /// Coordinates of all points together.
    active: usize,
    /// Hashes of all points.
    tried: HashSet<u64>,
    /// What a plan of the time says of the rest, where there is one.
    outlook: Option<Outlook>,
}

impl History {
    /// What a plan of the time says of the rest.
    pub(crate) fn expect(&mut self, outlook: &Outlook) {
        self.outlook = Some(outlook.clone());
    }

    /// Points that there will be at the end, if a plan said so.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.outlook.as_ref().map(|outlook| outlook.trials)
    }

    /// Seconds that the last plan had left for the search; none without a plan.
    pub(crate) fn left_seconds(&self) -> f64 {
        self.outlook.as_ref().map_or(0.0, |outlook| outlook.left_seconds - outlook.reserved_seconds)
    }

    /// Logarithm of the seconds that an epoch of a model takes with that batch, by the measured batch that is nearest. Of a
    /// model that no plan has measured, the mean of all.
    pub(crate) fn log_pace(&self, model: Option<&str>, batch_size: Option<f64>) -> f64 {
        let paces = self.outlook.as_ref().map_or(&[][..], |outlook| &outlook.models);
        let of_model = paces.iter().filter(|pace| model == Some(&pace.model));
        let apart = |pace: &ModelPace| batch_size.map_or(0.0, |size| (pace.batch_size as f64 / size).ln().abs());
        let nearest = of_model.min_by(|a, b| apart(a).total_cmp(&apart(b)));
        let log = |pace: &ModelPace| pace.epoch_seconds.max(f64::MIN_POSITIVE).ln();
        let mean = || paces.iter().map(log).sum::<f64>() / paces.len().max(1) as f64;
        nearest.map_or_else(mean, log)
    }

    /// Adds a point of which nothing is known yet, and says its place.
    pub(crate) fn add(&mut self, point: Point) -> usize {
        let at = self.observations.len();
        self.tried.insert(hash(&point));
        self.active += point.iter().filter(|at| !at.is_nan()).count();
        let violation = Loss::from(0.0);
        self.observations.push(Observation { point, result: None, running: false, others: Vec::new(), violation });
        self.without_result.insert(at);
        at
    }

    pub(crate) fn set_result(&mut self, at: usize, stage: Stage, loss: Loss) {
        self.change(at, |observation| observation.result = Some((stage, loss)));
        self.without_result.remove(&at);
        if stage == Stage::Failed {
            self.failed.push(at);
        }
    }

    /// By how much the observation breaks the study's constraints.
    pub(crate) fn set_violation(&mut self, at: usize, violation: Loss) {
        self.change(at, |observation| observation.violation = violation);
    }

    /// Keeps the observation at its rank, if it has a result.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Observation)) {
        let before = self.observations[at].rank(at).and_then(|rank| self.ranked.binary_search(&rank).ok());
        if let Some(rank) = before {
            self.ranked.remove(rank);
        }
        change(&mut self.observations[at]);
        if let Some(rank) = self.observations[at].rank(at) {
            let place = self.ranked.partition_point(|other| *other < rank);
            self.ranked.insert(place, rank);
        }
    }

    pub(crate) fn set_others(&mut self, at: usize, others: Vec<Loss>) {
        self.observations[at].others = others;
    }

    pub(crate) fn get(&self, at: usize) -> &Observation {
        &self.observations[at]
    }

    /// All, in the order told.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter()
    }

    /// How many results there are since the last one that was the best so far.
    pub(crate) fn since_best(&self) -> usize {
        let Some((.., best)) = self.ranked.first() else { return 0 };
        self.observations[*best..].iter().filter(|later| later.result.is_some()).count() - 1
    }

    /// How many parameters a point has on average: in a tree of choices, fewer than the space.
    pub(crate) fn mean_active(&self) -> f64 {
        self.active as f64 / self.observations.len().max(1) as f64
    }

    /// Those that failed for a reason that lies in their point, the latest last.
    pub(crate) fn failed(&self) -> impl DoubleEndedIterator<Item = &Observation> + ExactSizeIterator {
        self.failed.iter().map(|at| &self.observations[*at])
    }

    pub(crate) fn set_running(&mut self, at: usize, running: bool) {
        self.observations[at].running = running;
    }

    /// Whether results at different epochs must be compared: some trial rests, or has ended, before its full training.
    pub(crate) fn is_mixed(&self) -> bool {
        self.ranked().any(|known| !known.running && matches!(known.result, Some((Stage::Step(_), _))))
    }

    /// Nothing more is to come of the observation. Without a result it says nothing and is left aside.
    pub(crate) fn close(&mut self, at: usize) {
        self.without_result.remove(&at);
    }

    /// How many have a result.
    pub(crate) fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Those with a result: later stages first, and the better first within a stage.
    pub(crate) fn ranked(&self) -> impl ExactSizeIterator<Item = &Observation> {
        self.ranked.iter().map(|(.., at)| &self.observations[*at])
    }

    /// Those that run without having reported.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Observation> {
        self.without_result.iter().map(|at| &self.observations[*at])
    }

    /// Whether exactly this point was tried before.
    pub(crate) fn was_tried(&self, point: &[f64]) -> bool {
        self.tried.contains(&hash(point))
    }
}

fn hash(point: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for at in point {
        // One NaN for all: an inactive parameter is inactive however it came to be.
        if at.is_nan() { u64::MAX } else { at.to_bits() }.hash(&mut hasher);
    }
    hasher.finish()
}
