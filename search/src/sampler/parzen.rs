//! A density over the tree of choices: a mixture with one component per observed point, and one flat prior component.
//!
//! A component is a product over the axes that are active at the point asked for: a Gaussian cut off at the bounds for a
//! number, the observed choice smoothed towards the others for a categorical (Aitchison and Aitken 1976), and flat where
//! the observed point lies on another branch and has no value there.

use std::sync::LazyLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::domain::{Axis, Domain, Point};

/// Bandwidths never fall below this share of an axis; the least that Watanabe 2023 found useful.
const LEAST_BANDWIDTH: f64 = 0.01;

/// An observed point and how much it counts.
pub(crate) struct Component<'a> {
    pub(crate) point: &'a [f64],
    pub(crate) weight: f64,
}

pub(crate) struct Parzen<'a> {
    domain: &'a Domain,
    /// The last one is the prior, which has no point.
    points: Vec<Option<&'a [f64]>>,
    cumulative: Vec<f64>,
    log_weights: Vec<f64>,
    kernels: Vec<Kernel>,
}

/// How the components spread along one axis.
enum Kernel {
    /// One bandwidth for all; the logarithm of each component's mass within the bounds, times the Gaussian's own factor.
    Gauss { sigma: f64, log_factors: Vec<f64>, centers: Vec<f64> },
    /// Probability of the observed choice, and of each other one.
    Choices { count: usize, same: f64, other: f64, centers: Vec<f64> },
}

impl<'a> Parzen<'a> {
    pub(crate) fn new(domain: &'a Domain, components: Vec<Component<'a>>) -> Self {
        let mean_weight =
            components.iter().map(|component| component.weight).sum::<f64>() / components.len().max(1) as f64;
        let prior = if components.is_empty() { 1.0 } else { mean_weight };
        let mut weights: Vec<f64> = components.iter().map(|component| component.weight).collect();
        weights.push(prior);
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| {
            sum += weight / total;
            sum
        });
        let kernels = (0..domain.len()).map(|axis| Kernel::new(domain, axis, &components)).collect();
        Self {
            domain,
            cumulative: cumulative.collect(),
            log_weights: weights.iter().map(|weight| (weight / total).ln()).collect(),
            points: components.iter().map(|component| Some(component.point)).chain([None]).collect(),
            kernels,
        }
    }

    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> Point {
        let around = self.draw_component(rng);
        self.domain.build(|axis, _| self.draw_along(axis, around, rng))
    }

    /// Improves a point axis by axis: of some coordinates drawn along each, the one where this density most exceeds the other.
    /// Of whole points drawn at once, hardly any is good along all of many axes.
    pub(crate) fn refine(&self, other: &Self, mut point: Point, candidates: usize, rng: &mut ChaCha8Rng) -> Point {
        let (mut ours, mut theirs) = (self.log_components(&point), other.log_components(&point));
        for (axis, kind) in self.domain.axes().iter().enumerate() {
            // Another choice would leave the point without the coordinates of its branch.
            if point[axis].is_nan() || kind.choices().is_some() {
                continue;
            }
            let without = |parzen: &Self, logs: &[f64]| {
                let mut along = vec![0.0; logs.len()];
                parzen.kernels[axis].add_log_densities(kind, point[axis], &mut along);
                logs.iter().zip(along).map(|(log, along)| log - along).collect::<Vec<f64>>()
            };
            let rest = (without(self, &ours), without(other, &theirs));
            let mut best = log_sum(&ours) - log_sum(&theirs);
            for _ in 0..candidates {
                let at = kind.snap(self.draw_along(axis, self.draw_component(rng), rng));
                let (mut a, mut b) = rest.clone();
                self.kernels[axis].add_log_densities(kind, at, &mut a);
                other.kernels[axis].add_log_densities(kind, at, &mut b);
                let gain = log_sum(&a) - log_sum(&b);
                if gain > best {
                    (best, point[axis], ours, theirs) = (gain, at, a, b);
                }
            }
        }
        point
    }

    fn draw_component(&self, rng: &mut ChaCha8Rng) -> Option<&'a [f64]> {
        let at: f64 = rng.random();
        self.points[self.cumulative.partition_point(|sum| *sum < at).min(self.points.len() - 1)]
    }

    fn draw_along(&self, axis: usize, around: Option<&[f64]>, rng: &mut ChaCha8Rng) -> f64 {
        match around.map(|point| point[axis]).filter(|at| !at.is_nan()) {
            Some(center) => self.kernels[axis].draw(center, rng),
            None => self.domain.spread(axis, rng.random()),
        }
    }

    pub(crate) fn log_density(&self, point: &[f64]) -> f64 {
        log_sum(&self.log_components(point))
    }

    fn log_components(&self, point: &[f64]) -> Vec<f64> {
        let mut logs = self.log_weights.clone();
        for (axis, at) in point.iter().enumerate().filter(|(_, at)| !at.is_nan()) {
            self.kernels[axis].add_log_densities(&self.domain.axes()[axis], *at, &mut logs);
        }
        logs
    }
}

/// Logarithm of a sum of which the logarithms are given.
fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
}

impl Kernel {
    fn new(domain: &Domain, axis: usize, components: &[Component]) -> Self {
        let mut centers: Vec<f64> = components.iter().map(|component| component.point[axis]).collect();
        let count = centers.iter().filter(|center| !center.is_nan()).count() as f64;
        centers.push(f64::NAN);
        match domain.axes()[axis].choices() {
            Some(choices) => {
                // One pseudo-count for each choice, shared among the components, as Optuna has it.
                let other = 1.0 / (count.max(1.0) + choices as f64);
                Self::Choices { count: choices, same: 1.0 - other * (choices as f64 - 1.0), other, centers }
            }
            None => {
                let sigma = bandwidth(&centers, count, domain.len());
                let (scale, width) = (1.0 / sigma, sigma * (2.0 * std::f64::consts::PI).sqrt());
                let inside = |center: &f64| normal_below((1.0 - center) * scale) - normal_below(-center * scale);
                let factor = |center: &f64| if center.is_nan() { 0.0 } else { -(inside(center) * width).ln() };
                Self::Gauss { sigma, log_factors: centers.iter().map(factor).collect(), centers }
            }
        }
    }

    fn draw(&self, center: f64, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Gauss { sigma, .. } => {
                // At least about half of the mass lies within the bounds where the bandwidth is small, a third where it is 1.
                let draw = |_| {
                    Some(center + sigma * crate::sampler::standard_normal(rng)).filter(|at| (0.0..=1.0).contains(at))
                };
                (0..64).find_map(draw).unwrap_or(center)
            }
            Self::Choices { count, same, other, .. } => {
                let at: f64 = rng.random::<f64>() - (same - other);
                if at < 0.0 { center } else { (at / other).floor().min(*count as f64 - 1.0) }
            }
        }
    }

    /// Adds each component's log density at the coordinate.
    fn add_log_densities(&self, axis: &Axis, at: f64, logs: &mut [f64]) {
        match self {
            Self::Choices { count, same, other, centers } => {
                let (same, other, flat) = (same.ln(), other.ln(), -(*count as f64).ln());
                for (log, center) in logs.iter_mut().zip(centers) {
                    *log += if center.is_nan() {
                        flat
                    } else if *center == at {
                        same
                    } else {
                        other
                    };
                }
            }
            Self::Gauss { sigma, log_factors, centers } => {
                let (left, right) = axis.cell(at);
                if right - left > *sigma {
                    // A wide cell: the mean density over it rather than the one at its middle.
                    for (log, (center, factor)) in logs.iter_mut().zip(centers.iter().zip(log_factors)) {
                        if !center.is_nan() {
                            let mass = (normal_below((right - center) / sigma) - normal_below((left - center) / sigma))
                                .max(1e-12);
                            let scale = sigma * (2.0 * std::f64::consts::PI).sqrt() / (right - left);
                            *log += factor + (mass * scale).ln();
                        }
                    }
                    return;
                }
                let precision = -0.5 / (sigma * sigma);
                for (log, (center, factor)) in logs.iter_mut().zip(centers.iter().zip(log_factors)) {
                    let distance = at - center;
                    let density = precision * distance * distance + factor;
                    *log += if density.is_nan() { 0.0 } else { density };
                }
            }
        }
    }
}

/// Scott's rule, where the spread counts one flat pseudo-observation: few points say little of how close the best are.
fn bandwidth(centers: &[f64], count: f64, axes: usize) -> f64 {
    let known = || centers.iter().filter(|center| !center.is_nan());
    let mean = known().sum::<f64>() / count.max(1.0);
    let squares: f64 = known().map(|center| (center - mean).powi(2)).sum();
    let spread = ((squares + 1.0 / 12.0) / (count + 1.0)).sqrt();
    (1.06 * spread * (count + 1.0).powf(-1.0 / (axes as f64 + 4.0))).max(LEAST_BANDWIDTH)
}

/// Mass of the standard normal between two bounds.
fn normal_mass(low: f64, high: f64) -> f64 {
    0.5 * (libm::erfc(-high * std::f64::consts::FRAC_1_SQRT_2) - libm::erfc(-low * std::f64::consts::FRAC_1_SQRT_2))
}

/// Mass of the standard normal below the bound, to 1e-5: between the values of a table.
fn normal_below(bound: f64) -> f64 {
    static TABLE: LazyLock<Vec<f64>> =
        LazyLock::new(|| (0..=1025).map(|at| normal_mass(-40.0, f64::from(at) / 64.0 - 8.0)).collect());
    let at = (bound.clamp(-8.0, 8.0) + 8.0) * 64.0;
    let (low, share) = (at as usize, at.fract());
    let table = &TABLE[low..low + 2];
    table[0] + share * (table[1] - table[0])
}
