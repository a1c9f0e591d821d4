//! NSGA-II (Deb et al. 2002): a population of the points that nobody dominates, and children of pairs of them.
//!
//! With one objective it is a plain genetic algorithm.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View, random};
use crate::config::StudyConfig;
use crate::domain::{Axis, Point};
use crate::front;
use crate::history::History;

/// Optuna's population; a tenth of the trials planned where that is less, so that there are generations at all.
const POPULATION: usize = 50;
const LEAST_POPULATION: usize = 10;
/// How probable it is that a child has two parents, and how far it lies from them (η of simulated binary crossover and of
/// polynomial mutation): the paper's.
const CROSSOVER: f64 = 0.9;
const ETA: f64 = 20.0;

pub(super) struct Nsga2 {
    population: usize,
    /// Places in the history of those that may have children, best front first, the lonelier first within a front.
    parents: Vec<usize>,
    children: Vec<usize>,
    generation: u32,
}

impl Nsga2 {
    pub(super) fn new(config: &StudyConfig) -> Self {
        let planned = config.max_trials.map_or(usize::MAX, |trials| trials as usize / 10);
        let population = planned.clamp(LEAST_POPULATION, POPULATION);
        Self { population, parents: Vec::new(), children: Vec::new(), generation: 0 }
    }

    /// The better of two parents: they are kept in order.
    fn tournament<'a>(&self, history: &'a History, rng: &mut ChaCha8Rng) -> &'a Point {
        let one = rng.random_range(0..self.parents.len());
        let other = rng.random_range(0..self.parents.len());
        &history.get(self.parents[one.min(other)]).point
    }

    fn child(&self, view: &View, rng: &mut ChaCha8Rng) -> Point {
        let (one, other) = (self.tournament(view.history, rng), self.tournament(view.history, rng));
        let crosses = rng.random::<f64>() < CROSSOVER;
        let rate = 1.0 / view.domain.len() as f64;
        view.domain.build(|at, axis| {
            let gene = if crosses { cross(axis, one[at], other[at], rng) } else { one[at] };
            let mutates = rng.random::<f64>() < rate;
            if gene.is_nan() || (mutates && axis.choices().is_some()) {
                axis.spread(rng.random())
            } else if mutates {
                mutate(axis, gene, rng)
            } else {
                gene
            }
        })
    }
}

impl Sampler for Nsga2 {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        if self.parents.is_empty() {
            let point = view.even_point(rng);
            return Some(Choice { point, why: format!("nsga2: first of generations of {}", self.population) });
        }
        let point = (0..10).map(|_| self.child(view, rng)).find(|point| !view.history.was_tried(point));
        let point = point.unwrap_or_else(|| random::untried(view.domain, view.history, rng));
        Some(Choice { point, why: format!("nsga2: generation {} of {}", self.generation, self.population) })
    }

    fn learned(&mut self, view: &View, at: usize) {
        self.children.push(at);
        if self.children.len() < self.population {
            return;
        }
        let all: Vec<usize> = self.parents.iter().copied().chain(self.children.drain(..)).collect();
        self.parents = select(view.history, &all, self.population);
        self.generation += 1;
    }
}

/// The best of all by front, and within the last front the loneliest.
fn select(history: &History, all: &[usize], count: usize) -> Vec<usize> {
    let losses: Vec<Vec<f64>> = all.iter().map(|at| history.get(*at).losses()).collect();
    let mut selected = Vec::with_capacity(count);
    for front in front::fronts(&losses, count) {
        let crowding = front::crowding(&front.iter().map(|at| losses[*at].clone()).collect::<Vec<_>>());
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|a, b| crowding[*b].total_cmp(&crowding[*a]));
        selected.extend(order.into_iter().map(|place| all[front[place]]).take(count - selected.len()));
    }
    selected
}

/// Simulated binary crossover (Deb and Agrawal 1995) of numbers; a choice comes from either parent.
fn cross(axis: &Axis, one: f64, other: f64, rng: &mut ChaCha8Rng) -> f64 {
    let (one, other) = if rng.random::<bool>() { (one, other) } else { (other, one) };
    if one.is_nan() || other.is_nan() || axis.choices().is_some() || rng.random::<bool>() {
        return if one.is_nan() { other } else { one };
    }
    let draw: f64 = rng.random();
    let beta = if draw <= 0.5 { 2.0 * draw } else { 0.5 / (1.0 - draw) }.powf(1.0 / (ETA + 1.0));
    (0.5 * ((1.0 + beta) * one + (1.0 - beta) * other)).clamp(0.0, 1.0)
}

/// Polynomial mutation (Deb and Goyal 1996); at least to the next value of an integer.
fn mutate(axis: &Axis, from: f64, rng: &mut ChaCha8Rng) -> f64 {
    let draw: f64 = rng.random();
    let step = if draw < 0.5 {
        (2.0 * draw).powf(1.0 / (ETA + 1.0)) - 1.0
    } else {
        1.0 - (2.0 * (1.0 - draw)).powf(1.0 / (ETA + 1.0))
    };
    let moved = (from + step).clamp(0.0, 1.0);
    let (left, right) = axis.cell(from);
    match right > left && axis.snap(moved) == from {
        true if step < 0.0 => left - 1e-9,
        true => right + 1e-9,
        false => moved,
    }
}
