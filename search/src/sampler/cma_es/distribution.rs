//! The distribution of CMA-ES and how a generation changes it. Letters and equation numbers are those of Hansen's tutorial
//! (arXiv 1604.00772); `stretch` is the matrix A of the margin's paper (arXiv 2205.13482).

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;

use super::eigen;
use crate::domain::Axis;
use crate::sampler::standard_normal;

/// How often a draw that leaves the bounds is drawn again, before it is put onto them; that of the package `cmaes`.
const DRAWS: usize = 100;

/// N(mean, sigma² C) over axes from 0 to 1.
pub(super) struct Distribution {
    axes: Vec<Axis>,
    strategy: Strategy,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<Vec<f64>>,
    /// Eigenvectors as columns, and the square roots of the eigenvalues: B and D.
    vectors: Vec<Vec<f64>>,
    lengths: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    generation: u32,
    /// How much farther from the mean an integer goes than its number says.
    stretch: Vec<f64>,
    margin: f64,
    /// Best and worst loss of the latest generations.
    recent: VecDeque<(f64, f64)>,
}

/// What follows from the dimension and the population: equations 48 to 58.
struct Strategy {
    population: usize,
    weights: Vec<f64>,
    mu: usize,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// Expected length of a standard normal vector.
    chi: f64,
}

impl Strategy {
    fn new(axes: usize, population: Option<usize>) -> Self {
        let n = axes as f64;
        let population = population.unwrap_or(4 + (3.0 * n.ln()).floor() as usize);
        let mu = population / 2;
        let raw: Vec<f64> =
            (1..=population).map(|rank| ((population as f64 + 1.0) / 2.0).ln() - (rank as f64).ln()).collect();
        let effective = |weights: &[f64]| {
            weights.iter().sum::<f64>().powi(2) / weights.iter().map(|weight| weight * weight).sum::<f64>()
        };
        let (mu_eff, mu_eff_minus) = (effective(&raw[..mu]), effective(&raw[mu..]));
        let c_1 = 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let c_mu = (2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff)).min(1.0 - c_1 - 1e-8);
        let alpha = [1.0 + c_1 / c_mu, 1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0), (1.0 - c_1 - c_mu) / (n * c_mu)];
        let alpha = alpha.into_iter().fold(f64::INFINITY, f64::min);
        let sum = |keep: fn(&f64) -> bool| raw.iter().copied().filter(keep).map(f64::abs).sum::<f64>();
        let (positive, negative) = (sum(|weight| *weight > 0.0), sum(|weight| *weight < 0.0));
        let share = |weight: &f64| if *weight >= 0.0 { weight / positive } else { alpha * weight / negative };
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        Self {
            population,
            weights: raw.iter().map(share).collect(),
            mu,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
            chi: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

impl Distribution {
    pub(super) fn new(axes: Vec<Axis>, mean: Vec<f64>, sigma: f64, population: Option<usize>) -> Self {
        let size = axes.len();
        let strategy = Strategy::new(size, population);
        let identity: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| f64::from(i == j)).collect()).collect();
        Self {
            axes,
            mean,
            sigma,
            covariance: identity.clone(),
            vectors: identity,
            lengths: vec![1.0; size],
            path_sigma: vec![0.0; size],
            path_c: vec![0.0; size],
            generation: 0,
            stretch: vec![1.0; size],
            margin: 1.0 / (size * strategy.population) as f64,
            recent: VecDeque::new(),
            strategy,
        }
    }

    pub(super) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub(super) fn population(&self) -> usize {
        self.strategy.population
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn sigma(&self) -> f64 {
        self.sigma
    }

    /// A point of the distribution, with real numbers within their bounds.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let is_inside = |(axis, at): (&Axis, &f64)| axis.cells().is_some() || (0.0..=1.0).contains(at);
        let mut point = self.draw_anywhere(rng);
        for _ in 1..DRAWS {
            if self.axes.iter().zip(&point).all(is_inside) {
                return point;
            }
            point = self.draw_anywhere(rng);
        }
        let put = |(axis, at): (&Axis, &f64)| if axis.cells().is_some() { *at } else { at.clamp(0.0, 1.0) };
        self.axes.iter().zip(&point).map(put).collect()
    }

    fn draw_anywhere(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let scaled: Vec<f64> = self.lengths.iter().map(|length| length * standard_normal(rng)).collect();
        self.vectors.iter().zip(&self.mean).map(|(row, mean)| mean + self.sigma * dot(row, &scaled)).collect()
    }

    /// Where a drawn point counts: integers farther from the mean than drawn, by the margin.
    pub(super) fn stretch(&self, point: &[f64]) -> Vec<f64> {
        let along = |(at, (mean, stretch)): (&f64, (&f64, &f64))| mean + (at - mean) * stretch;
        point.iter().zip(self.mean.iter().zip(&self.stretch)).map(along).collect()
    }

    /// The same point, or one nearer to the mean that the distribution might have drawn itself.
    pub(super) fn shorten(&self, point: Vec<f64>) -> Vec<f64> {
        let size = self.axes.len() as f64;
        let step: Vec<f64> = point.iter().zip(&self.mean).map(|(at, mean)| (at - mean) / self.sigma).collect();
        let length = norm(&self.whiten(&step));
        let longest = size.sqrt() + 2.0 * size / (size + 2.0);
        let share = (longest / length).min(1.0);
        point.iter().zip(&self.mean).map(|(at, mean)| mean + share * (at - mean)).collect()
    }

    /// C^(-1/2) times the vector.
    fn whiten(&self, vector: &[f64]) -> Vec<f64> {
        let along = |k: usize| self.vectors.iter().zip(vector).map(|(row, at)| row[k] * at).sum::<f64>();
        let turned: Vec<f64> = self.lengths.iter().enumerate().map(|(k, length)| along(k) / length).collect();
        self.vectors.iter().map(|row| dot(row, &turned)).collect()
    }

    /// Takes in a generation: points as drawn, and their losses.
    pub(super) fn learn(&mut self, mut generation: Vec<(Vec<f64>, f64)>) {
        generation.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        self.generation += 1;
        self.remember(&generation);
        let s = &self.strategy;
        let size = self.axes.len();
        let step = |point: &Vec<f64>| -> Vec<f64> {
            point.iter().zip(&self.mean).map(|(at, mean)| (at - mean) / self.sigma).collect()
        };
        let steps: Vec<Vec<f64>> = generation.iter().map(|(point, _)| step(point)).collect();
        let average =
            |k: usize| -> f64 { steps[..s.mu].iter().zip(&s.weights).map(|(step, weight)| weight * step[k]).sum() };
        let y_w: Vec<f64> = (0..size).map(average).collect();

        let white = self.whiten(&y_w);
        let rate = (s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff).sqrt();
        self.path_sigma.iter_mut().zip(&white).for_each(|(path, y)| *path = (1.0 - s.c_sigma) * *path + rate * y);
        let length = norm(&self.path_sigma);
        let due = (1.0 - (1.0 - s.c_sigma).powi(2 * (self.generation as i32 + 1))).sqrt();
        let is_short = length / due < (1.4 + 2.0 / (size as f64 + 1.0)) * s.chi;
        let rate = if is_short { (s.c_c * (2.0 - s.c_c) * s.mu_eff).sqrt() } else { 0.0 };
        self.path_c.iter_mut().zip(&y_w).for_each(|(path, y)| *path = (1.0 - s.c_c) * *path + rate * y);

        let weigh = |(weight, step): (&f64, &Vec<f64>)| {
            if *weight >= 0.0 { *weight } else { weight * size as f64 / (norm(&self.whiten(step)).powi(2) + 1e-8) }
        };
        let weights: Vec<f64> = s.weights.iter().zip(&steps).map(weigh).collect();
        let missed = if is_short { 0.0 } else { s.c_c * (2.0 - s.c_c) };
        let kept = 1.0 + s.c_1 * missed - s.c_1 - s.c_mu * s.weights.iter().sum::<f64>();
        for i in 0..size {
            for j in 0..=i {
                let rank_mu: f64 = weights.iter().zip(&steps).map(|(weight, step)| weight * step[i] * step[j]).sum();
                let entry = kept * self.covariance[i][j] + s.c_1 * self.path_c[i] * self.path_c[j] + s.c_mu * rank_mu;
                self.covariance[i][j] = entry;
                self.covariance[j][i] = entry;
            }
        }
        self.mean.iter_mut().zip(&y_w).for_each(|(mean, y)| *mean += self.sigma * y);
        self.sigma *= (s.c_sigma / s.d_sigma * (length / s.chi - 1.0)).exp();
        let (values, vectors) = eigen::decompose(&self.covariance);
        self.lengths = values.iter().map(|value| if *value < 0.0 { 1e-8 } else { *value }.sqrt()).collect();
        self.vectors = vectors;
        (0..size).for_each(|axis| self.keep_moving(axis));
    }

    /// Keeps a probability of `margin` that an integer takes another value: section 4 of the margin's paper.
    fn keep_moving(&mut self, axis: usize) {
        if self.axes[axis].cells().is_none() {
            return;
        }
        let mean = self.mean[axis];
        let (left, right) = self.axes[axis].cell(mean);
        let deviation = self.sigma * self.covariance[axis][axis].sqrt();
        let spread = deviation * self.stretch[axis];
        let ends = (left <= 1e-9, right >= 1.0 - 1e-9);
        if let (true, _) | (_, true) = ends {
            // Only one neighbour: the mean comes near enough to it.
            let bound = if ends.0 { right } else { left };
            let across = 1.0 - normal_below((bound - mean).abs() / spread);
            if across < self.margin {
                self.mean[axis] = bound + (mean - bound).signum() * spread * quantile_above(self.margin);
            }
            return;
        }
        let (below, above) = (normal_below((left - mean) / spread), 1.0 - normal_below((right - mean) / spread));
        let within = 1.0 - below - above;
        let half = self.margin / 2.0;
        let (low, high) = (below.max(half), above.max(half));
        let excess = 1.0 - low - high - within;
        let spare = low + within + high - 3.0 * half;
        let fit = |mass: f64| (mass + excess * (mass - half) / spare).clamp(1e-10, 0.5 - 1e-10);
        let (to_left, to_right) = (quantile_above(fit(low)), quantile_above(fit(high)));
        self.stretch[axis] = (right - left) / ((to_left + to_right) * deviation);
        self.mean[axis] = (left * to_right + right * to_left) / (to_left + to_right);
    }

    fn remember(&mut self, generation: &[(Vec<f64>, f64)]) {
        let (best, worst) = (generation[0].1, generation[generation.len() - 1].1);
        self.recent.push_back((best, worst));
        if self.recent.len() > self.memory() {
            self.recent.pop_front();
        }
    }

    /// Generations that are looked at for progress.
    fn memory(&self) -> usize {
        10 + (30 * self.axes.len()).div_ceil(self.strategy.population)
    }

    /// Whether nothing more is to be won here: the tutorial's criteria (section B.3) that a short run can meet.
    pub(super) fn has_converged(&self) -> bool {
        let flat = || {
            let best = self.recent.iter().map(|(best, _)| *best).fold(f64::INFINITY, f64::min);
            let worst = self.recent.iter().map(|(_, worst)| *worst).fold(f64::NEG_INFINITY, f64::max);
            worst - best < 1e-12 || best.is_infinite()
        };
        let (least, most) = self.lengths.iter().fold((f64::INFINITY, 0.0f64), |(a, b), l| (a.min(*l), b.max(*l)));
        let still = || (0..self.axes.len()).all(|at| self.sigma * self.covariance[at][at].sqrt() < 1e-12);
        (self.recent.len() == self.memory() && flat())
            || still()
            || (self.sigma * most).is_nan()
            || self.sigma * most > 1e4
            || most / least > 1e7
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Mass of the standard normal below the bound.
fn normal_below(bound: f64) -> f64 {
    0.5 * libm::erfc(-bound * std::f64::consts::FRAC_1_SQRT_2)
}

/// The bound above which the standard normal has this mass, at most a half.
fn quantile_above(mass: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_below(-middle) > mass { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Generations told to the package `cmaes`, and what it made of them: tests/golden/cma_es.py.
    #[derive(Deserialize)]
    struct Golden {
        /// Values of each axis, 0 for a real one.
        cells: Vec<f64>,
        sigma: f64,
        generations: Vec<Generation>,
    }

    #[derive(Deserialize)]
    struct Generation {
        points: Vec<Vec<f64>>,
        losses: Vec<f64>,
        mean: Vec<f64>,
        sigma: f64,
        covariance: Vec<Vec<f64>>,
        stretch: Vec<f64>,
    }

    #[test]
    fn generations_change_the_distribution_as_they_do_in_the_package_cmaes() {
        let golden: Vec<Golden> = serde_json::from_str(include_str!("../../../tests/golden/cma_es.json")).unwrap();
        for (case, golden) in golden.into_iter().enumerate() {
            let axis = |cells: &f64| match *cells {
                0.0 => Axis::Real { low: 0.0, high: 1.0, scale: crate::space::Scale::Linear },
                cells => Axis::Grid { low: 0.0, step: 1.0, cells, whole: true },
            };
            let axes: Vec<Axis> = golden.cells.iter().map(axis).collect();
            let mut ours = Distribution::new(axes, vec![0.5; golden.cells.len()], golden.sigma, None);
            let close = |ours: &[f64], theirs: &[f64], what: &str| {
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() < 1e-7 * b.abs().max(1e-3), "case {case}: {what} {a} {b}");
                }
            };
            for told in golden.generations {
                assert_eq!(told.points.len(), ours.population());
                ours.learn(told.points.into_iter().zip(told.losses).collect());
                close(&ours.mean, &told.mean, "mean");
                close(&[ours.sigma], &[told.sigma], "sigma");
                close(&ours.stretch, &told.stretch, "stretch");
                for (a, b) in ours.covariance.iter().zip(&told.covariance) {
                    close(a, b, "covariance");
                }
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((quantile_above(0.025) - 1.959_963_984_540_054).abs() < 1e-9);
        assert!((quantile_above(0.5)).abs() < 1e-9);
    }
}
