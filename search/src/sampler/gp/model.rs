//! The Gaussian process: its kernel, the fit of its length scales and noise, and its predictions.

use super::bfgs;
use super::cholesky::{Cholesky, row};
use crate::domain::{Axis, Domain, Point};

/// The noise prior, log-normal in the variance of standardized targets; BoTorch's.
const NOISE_CENTER: f64 = -4.0;
const NOISE_WIDTH: f64 = 1.0;
/// Least log variance of the noise: tabulated and synthetic objectives have none, and a model wants to say so.
const LEAST_NOISE: f64 = -14.0;
const FIT_STEPS: usize = 25;
/// Points that say enough of length scales, where there are several of each trial.
const MOST_FITTED: usize = 120;

pub(crate) struct Model {
    domain: Domain,
    points: Vec<Point>,
    targets: Vec<f64>,
    inverse_squares: Vec<f64>,
    noise: f64,
    factor: Cholesky,
    weights: Vec<f64>,
}

impl Model {
    /// Length scales and noise at the maximum of their posterior.
    pub(super) fn fit(domain: &Domain, points: Vec<Point>, targets: Vec<f64>) -> Self {
        let (scales, noise) = Fit::new(domain, &points, &targets).best();
        Self::with(domain, points, targets, scales, noise)
    }

    /// The same for targets that would come out the same again: a length scale has to explain each difference.
    pub(super) fn fit_exact(domain: &Domain, points: Vec<Point>, targets: Vec<f64>) -> Self {
        let (scales, noise) = Fit { is_exact: true, ..Fit::new(domain, &points, &targets) }.best();
        Self::with(domain, points, targets, scales, noise)
    }

    /// A model of many points, whose length scales and noise are fitted to an even part of them: that is most of the time.
    pub(super) fn fit_to_some(domain: &Domain, points: Vec<Point>, targets: Vec<f64>) -> Self {
        let stride = points.len().div_ceil(MOST_FITTED).max(1);
        let (some, of_some): (Vec<Point>, Vec<f64>) =
            points.iter().cloned().zip(targets.iter().copied()).step_by(stride).unzip();
        let (scales, noise) = Fit::new(domain, &some, &of_some).best();
        Self::with(domain, points, targets, scales, noise)
    }

    fn with(domain: &Domain, points: Vec<Point>, targets: Vec<f64>, inverse_squares: Vec<f64>, noise: f64) -> Self {
        let size = points.len();
        let mut matrix = Vec::with_capacity(row(size));
        for i in 0..size {
            matrix.extend((0..i).map(|j| matern(distance(domain, &inverse_squares, &points[i], &points[j]))));
            matrix.push(1.0 + noise);
        }
        let factor = factorize(size, matrix);
        let mut weights = targets.clone();
        factor.solve_lower(&mut weights);
        factor.solve_upper(&mut weights);
        Self { domain: domain.clone(), points, targets, inverse_squares, noise, factor, weights }
    }

    /// Adds points as if each had come out as predicted.
    pub(super) fn believe(&mut self, points: Vec<Point>) {
        if points.is_empty() {
            return;
        }
        let means: Vec<f64> = points.iter().map(|point| self.predict(point).0).collect();
        let all = self.points.iter().cloned().chain(points).collect();
        let targets = self.targets.iter().copied().chain(means).collect();
        *self = Self::with(&self.domain, all, targets, self.inverse_squares.clone(), self.noise);
    }

    /// Mean and standard deviation of the loss there, without noise.
    pub(super) fn predict(&self, point: &[f64]) -> (f64, f64) {
        let covariance = |known: &Point| matern(distance(&self.domain, &self.inverse_squares, known, point));
        let mut covariances: Vec<f64> = self.points.iter().map(covariance).collect();
        let mean = covariances.iter().zip(&self.weights).map(|(c, w)| c * w).sum();
        self.factor.solve_lower(&mut covariances);
        let explained: f64 = covariances.iter().map(|c| c * c).sum();
        (mean, (1.0 - explained).max(1e-12).sqrt())
    }
}

/// Matérn-5/2 of a squared distance.
fn matern(squared: f64) -> f64 {
    let r = (5.0 * squared).sqrt();
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

fn distance(domain: &Domain, inverse_squares: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let axes = domain.axes().iter().zip(inverse_squares);
    axes.zip(a.iter().zip(b)).map(|((axis, scale), (a, b))| scale * squared(axis, *a, *b)).sum()
}

/// Squared distance along one axis. An inactive number sits in the middle of its axis, and an inactive choice beside all
/// others: every point then has a place in one Euclidean space, so the kernel is valid over the whole tree.
fn squared(axis: &Axis, a: f64, b: f64) -> f64 {
    match axis {
        Axis::Categorical { .. } if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        Axis::Categorical { .. } if a.is_nan() || b.is_nan() => 0.5,
        Axis::Categorical { .. } => 1.0,
        _ => {
            let place = |at: f64| if at.is_nan() { 0.5 } else { at };
            (place(a) - place(b)).powi(2)
        }
    }
}

/// The factor; with more on the diagonal, should rounding have cost the matrix its definiteness.
fn factorize(size: usize, matrix: Vec<f64>) -> Cholesky {
    let mut jitter = 0.0;
    loop {
        let mut lifted = matrix.clone();
        (0..size).for_each(|at| lifted[row(at) + at] += jitter);
        if let Some(factor) = Cholesky::new(size, lifted) {
            return factor;
        }
        jitter = f64::max(jitter * 10.0, 1e-9);
    }
}

/// The posterior of length scales and noise, given the data.
struct Fit<'a> {
    size: usize,
    axes: usize,
    targets: &'a [f64],
    /// For each pair of points, the squared distance along each axis.
    pairs: Vec<f64>,
    length_center: f64,
    length_width: f64,
    /// There is no noise to learn.
    is_exact: bool,
}

impl<'a> Fit<'a> {
    fn new(domain: &Domain, points: &[Point], targets: &'a [f64]) -> Self {
        let (size, axes) = (points.len(), domain.len());
        let mut pairs = Vec::with_capacity(size * size / 2 * axes);
        for i in 0..size {
            for j in 0..i {
                let kinds = domain.axes().iter().zip(points[i].iter().zip(&points[j]));
                pairs.extend(kinds.map(|(axis, (a, b))| squared(axis, *a, *b)));
            }
        }
        // Hvarfner's prior: log-normal, its center growing with the square root of the dimension.
        let length_center = 2f64.sqrt() + (axes.max(1) as f64).ln() / 2.0;
        Self { size, axes, targets, pairs, length_center, length_width: 3f64.sqrt(), is_exact: false }
    }

    /// The inverse squares of the length scales, and the noise, at the maximum of their posterior.
    fn best(&self) -> (Vec<f64>, f64) {
        let mut start = vec![self.length_center - self.length_width.powi(2) / 2.0; self.axes];
        start.push(NOISE_CENTER - 2.0);
        let best = bfgs::minimize(start, FIT_STEPS, |logs| self.evaluate(logs));
        let (logs, noise) = best.split_at(self.axes);
        (logs.iter().map(|log| (-2.0 * log).exp()).collect(), self.noise(noise[0]))
    }

    fn noise(&self, log: f64) -> f64 {
        if self.is_exact { LEAST_NOISE } else { log.max(LEAST_NOISE) }.exp()
    }

    /// Negative log posterior and its gradient, by log length scales and log noise.
    fn evaluate(&self, logs: &[f64]) -> Option<(f64, Vec<f64>)> {
        let (lengths, noise) = (&logs[..self.axes], self.noise(logs[self.axes]));
        let inverse_squares: Vec<f64> = lengths.iter().map(|log| (-2.0 * log).exp()).collect();
        let mut matrix = Vec::with_capacity(row(self.size));
        let mut slopes = Vec::with_capacity(self.pairs.len() / self.axes.max(1));
        let mut pairs = self.pairs.chunks_exact(self.axes.max(1));
        for i in 0..self.size {
            for _ in 0..i {
                let pair = pairs.next()?;
                let squared: f64 = pair.iter().zip(&inverse_squares).map(|(d, scale)| d * scale).sum();
                let r = (5.0 * squared).sqrt();
                let decay = (-r).exp();
                matrix.push((1.0 + r + r * r / 3.0) * decay);
                // Of the kernel by a log length scale, but for that axis' own share of the squared distance.
                slopes.push(5.0 / 3.0 * (1.0 + r) * decay);
            }
            matrix.push(1.0 + noise);
        }
        let factor = Cholesky::new(self.size, matrix)?;
        let mut weights = self.targets.to_vec();
        factor.solve_lower(&mut weights);
        let misfit: f64 = weights.iter().map(|weight| weight * weight).sum::<f64>() / 2.0;
        factor.solve_upper(&mut weights);
        let inverse = factor.inverse();

        let mut gradient = vec![0.0; self.axes + 1];
        let mut pairs = self.pairs.chunks_exact(self.axes.max(1)).zip(&slopes);
        for i in 0..self.size {
            for j in 0..i {
                let (pair, slope) = pairs.next()?;
                let outer = (inverse[row(i) + j] - weights[i] * weights[j]) * slope;
                gradient.iter_mut().zip(pair).for_each(|(gradient, d)| *gradient += outer * d);
            }
            gradient[self.axes] += 0.5 * (inverse[row(i) + i] - weights[i] * weights[i]) * noise;
        }
        gradient.iter_mut().zip(&inverse_squares).for_each(|(gradient, scale)| *gradient *= scale);
        let mut value = misfit + factor.half_log_determinant();
        let mut prior = |at: usize, center: f64, width: f64| {
            let away = (logs[at] - center) / width;
            value += away * away / 2.0 + logs[at];
            gradient[at] += away / width + 1.0;
        };
        (0..self.axes).for_each(|axis| prior(axis, self.length_center, self.length_width));
        prior(self.axes, NOISE_CENTER, NOISE_WIDTH);
        value.is_finite().then_some((value, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Distribution, Parameter, Scale, SearchSpace};

    fn plane() -> Domain {
        let float = Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear };
        let parameter = |name: &str| Parameter { name: name.into(), distribution: float.clone(), when: None };
        Domain::new(&SearchSpace(vec![parameter("a"), parameter("b")]))
    }

    fn samples() -> (Vec<Point>, Vec<f64>) {
        let points: Vec<Point> = (0..25)
            .map(|at| vec![f64::from(at % 5) / 4.0, f64::from(at / 5) / 4.0 + f64::from(at % 3) * 0.01])
            .collect();
        let targets = points.iter().map(|point| (6.0 * point[0]).sin() + 0.1 * point[1]).collect();
        (points, targets)
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let (points, targets) = samples();
        let domain = plane();
        let fit = Fit::new(&domain, &points, &targets);
        let at = [-0.7, 0.3, -3.0];
        let (_, gradient) = fit.evaluate(&at).unwrap();
        for axis in 0..3 {
            let shifted = |by: f64| {
                let mut at = at;
                at[axis] += by;
                fit.evaluate(&at).unwrap().0
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((slope - gradient[axis]).abs() < 1e-3 * slope.abs().max(1.0), "{axis}: {slope} {}", gradient[axis]);
        }
    }

    #[test]
    fn a_smooth_function_is_predicted_between_its_samples() {
        let (points, targets) = samples();
        let domain = plane();
        let model = Model::fit(&domain, points, targets);
        let (mean, deviation) = model.predict(&[0.4, 0.4]);
        assert!((mean - (2.4f64.sin() + 0.04)).abs() < 0.1, "{mean}");
        assert!(deviation < 0.3, "{deviation}");
        assert!(model.inverse_squares[0] > model.inverse_squares[1], "the axis that matters has the shorter length");
    }
}
