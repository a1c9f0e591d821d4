//! What samplers learn from: every point tried, with its latest result, kept in order of merit.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use crate::domain::Point;
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
}

type Rank = (Reverse<Stage>, Loss, usize);

/// All observations, in the order told.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    observations: Vec<Observation>,
    ranked: BTreeSet<Rank>,
    without_result: BTreeSet<usize>,
    tried: HashSet<Vec<u64>>,
}

impl History {
    /// Adds a point of which nothing is known yet, and says its place.
    pub(crate) fn add(&mut self, point: Point) -> usize {
        let at = self.observations.len();
        self.tried.insert(bits(&point));
        self.observations.push(Observation { point, result: None, running: false });
        self.without_result.insert(at);
        at
    }

    pub(crate) fn set_result(&mut self, at: usize, stage: Stage, loss: Loss) {
        if let Some((stage, loss)) = self.observations[at].result {
            self.ranked.remove(&(Reverse(stage), loss, at));
        }
        self.without_result.remove(&at);
        self.observations[at].result = Some((stage, loss));
        self.ranked.insert((Reverse(stage), loss, at));
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
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &Observation> {
        self.ranked.iter().map(|(_, _, at)| &self.observations[*at])
    }

    /// Those that run without having reported.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Observation> {
        self.without_result.iter().map(|at| &self.observations[*at])
    }

    /// Whether exactly this point was tried before.
    pub(crate) fn was_tried(&self, point: &[f64]) -> bool {
        self.tried.contains(&bits(point))
    }
}

fn bits(point: &[f64]) -> Vec<u64> {
    // One NaN for all: an inactive parameter is inactive however it came to be.
    point.iter().map(|at| if at.is_nan() { u64::MAX } else { at.to_bits() }).collect()
}
