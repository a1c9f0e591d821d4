//! CMA-ES with margin: a normal distribution over the numbers of the space that moves to where results are good.
//!
//! The distribution is that of Hansen 2016 (arXiv 1604.00772), the margin that keeps integers moving that of Hamano et al.
//! 2022 (arXiv 2205.13482), restarts with twice the population those of Auger and Hansen 2005. Choices, and numbers that
//! exist only under a choice, are not in the distribution: the Parzen estimator draws them.

mod distribution;
mod eigen;

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use self::distribution::Distribution;
use super::tpe::Tpe;
use super::{Choice, Sampler, View};
use crate::config::StudyConfig;
use crate::domain::{Axis, Domain, Point};
use crate::stream::{Purpose, stream};
use crate::trial::TrialNumber;

/// How often a point that was tried before is drawn again; what is left then is tried twice.
const DRAWS: usize = 10;
/// Optuna's start: the middle of the space, and a sixth of it for a standard deviation.
const FIRST_SIGMA: f64 = 1.0 / 6.0;

pub(super) struct CmaEs {
    /// Places in the domain of the axes that the distribution is over.
    axes: Vec<usize>,
    distribution: Option<Distribution>,
    /// What was drawn for a trial that runs, before it was put into the cells of its integers.
    drawn: BTreeMap<usize, Vec<f64>>,
    generation: Vec<(Vec<f64>, f64)>,
    restarts: u32,
}

impl CmaEs {
    pub(super) fn new(config: &StudyConfig) -> Self {
        let domain = Domain::new(&config.space);
        let is_free = |at: &usize| {
            let axis = &domain.axes()[*at];
            domain.is_always_active(*at) && axis.choices().is_none() && axis.cells() != Some(1.0)
        };
        let axes: Vec<usize> = (0..domain.len()).filter(is_free).collect();
        let kinds: Vec<Axis> = axes.iter().map(|at| domain.axes()[*at].clone()).collect();
        let middle = vec![0.5; axes.len()];
        let distribution = (!axes.is_empty()).then(|| Distribution::new(kinds, middle, FIRST_SIGMA, None));
        Self { axes, distribution, drawn: BTreeMap::new(), generation: Vec::new(), restarts: 0 }
    }

    /// The numbers of a point, in the cells where they count.
    fn cells(&self, view: &View, numbers: &[f64], distribution: &Distribution) -> Vec<f64> {
        let stretched = distribution.stretch(numbers);
        self.axes.iter().zip(stretched).map(|(at, number)| view.domain.axes()[*at].snap(number)).collect()
    }

    fn restart(&mut self, view: &View) {
        let Some(old) = &self.distribution else { return };
        self.restarts += 1;
        let mut rng = stream(view.config.seed, TrialNumber(u64::from(self.restarts)), Purpose::Restart);
        let mean = self.axes.iter().map(|_| rng.random()).collect();
        self.distribution = Some(Distribution::new(old.axes().to_vec(), mean, FIRST_SIGMA, Some(2 * old.population())));
        self.drawn.clear();
    }
}

impl Sampler for CmaEs {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        let Some(distribution) = &self.distribution else {
            let Choice { point, why } = Tpe.suggest(view, rng)?;
            return Some(Choice { point, why: format!("cma_es has no number to vary: {why}") });
        };
        let draws: Vec<Vec<f64>> = (0..DRAWS).map(|_| distribution.draw(rng)).collect();
        let rest = if self.axes.len() < view.domain.len() { Some(Tpe.suggest(view, rng)?.point) } else { None };
        let complete = |numbers: &Vec<f64>| {
            let mut point: Point = rest.clone().unwrap_or_else(|| vec![f64::NAN; view.domain.len()]);
            let cells = self.cells(view, numbers, distribution);
            self.axes.iter().zip(cells).for_each(|(at, cell)| point[*at] = cell);
            point
        };
        let mut points = draws.iter().map(complete);
        let first = points.next()?;
        let point = if view.history.was_tried(&first) {
            points.find(|point| !view.history.was_tried(point)).unwrap_or(first)
        } else {
            first
        };
        let why = format!(
            "cma_es: generation {} of {}, step {:.2e}",
            distribution.generation(),
            distribution.population(),
            distribution.sigma()
        );
        Some(Choice { point, why })
    }

    fn started(&mut self, view: &View, at: usize) {
        let Some(distribution) = &self.distribution else { return };
        // What was drawn is not in the log; the same stream gives it again.
        let mut rng = stream(view.config.seed, view.trial, Purpose::Suggest);
        let point = &view.history.get(at).point;
        let started: Vec<f64> = self.axes.iter().map(|at| point[*at]).collect();
        let mut draws = (0..DRAWS).map(|_| distribution.draw(&mut rng));
        if let Some(numbers) = draws.find(|numbers| self.cells(view, numbers, distribution) == started) {
            self.drawn.insert(at, numbers);
        }
    }

    fn learned(&mut self, view: &View, at: usize) {
        let Some(distribution) = &mut self.distribution else { return };
        let observation = view.history.get(at);
        let Some((_, loss)) = observation.result else { return };
        // A point from elsewhere, or from before a restart, counts too, unless it is far off (Hansen 2011, arXiv 1110.4181).
        let numbers = self
            .drawn
            .remove(&at)
            .unwrap_or_else(|| distribution.shorten(self.axes.iter().map(|axis| observation.point[*axis]).collect()));
        self.generation.push((numbers, loss.get()));
        if self.generation.len() == distribution.population() {
            distribution.learn(std::mem::take(&mut self.generation));
            if distribution.has_converged() {
                self.restart(view);
            }
        }
    }
}
