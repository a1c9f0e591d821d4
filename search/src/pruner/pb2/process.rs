//! A Gaussian process that forgets (Bogunovic et al. 2016, arXiv 1601.06650, as PB2 uses it): a squared exponential kernel
//! over the inputs, times (1 - ε) to the power of half the time between two observations.

use crate::sampler::{Cholesky, row};

/// The newest gains that are looked at.
const MOST_GAINS: usize = 200;
/// Where the likelihood is looked for: three numbers of few data need no finer ones.
const LENGTHS: [f64; 6] = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
const NOISES: [f64; 4] = [0.01, 0.1, 0.3, 1.0];
const FORGETTING: [f64; 5] = [0.0, 0.05, 0.1, 0.2, 0.5];

/// What somebody gained in an interval.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    /// From 0 to 1 each.
    pub(super) inputs: Vec<f64>,
    /// Intervals done before it.
    pub(super) time: f64,
    /// Standardized.
    pub(super) gain: f64,
}

/// The kernel's length scale, ε, and the variance of the noise.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    length: f64,
    forgetting: f64,
    noise: f64,
}

pub(super) struct Process {
    kernel: Kernel,
    known: Vec<(Vec<f64>, f64)>,
    factor: Cholesky,
    weights: Vec<f64>,
}

impl Process {
    /// The process under which the gains are most likely.
    pub(super) fn fit(mut gains: Vec<Gain>) -> Self {
        gains.drain(..gains.len().saturating_sub(MOST_GAINS));
        let targets: Vec<f64> = gains.iter().map(|gain| gain.gain).collect();
        let known: Vec<(Vec<f64>, f64)> = gains.into_iter().map(|gain| (gain.inputs, gain.time)).collect();
        let kernels = LENGTHS.iter().flat_map(|length| {
            let of_length =
                move |forgetting: &f64| NOISES.map(|noise| Kernel { length: *length, forgetting: *forgetting, noise });
            FORGETTING.iter().flat_map(of_length)
        });
        let fitted = kernels.map(|kernel| {
            let factor = factorize(kernel, &known);
            let mut whitened = targets.clone();
            factor.solve_lower(&mut whitened);
            let misfit: f64 = whitened.iter().map(|z| z * z).sum::<f64>() / 2.0;
            (misfit + factor.half_log_determinant(), kernel)
        });
        let (_, kernel) = fitted.min_by(|(a, _), (b, _)| a.total_cmp(b)).expect("there are kernels");
        let factor = factorize(kernel, &known);
        let mut weights = targets;
        factor.solve_lower(&mut weights);
        factor.solve_upper(&mut weights);
        Self { kernel, known, factor, weights }
    }

    /// The same with more observations, whose gains are not known: only its deviation means something.
    pub(super) fn with(&self, more: Vec<(Vec<f64>, f64)>) -> Self {
        let known: Vec<_> = self.known.iter().cloned().chain(more).collect();
        Self { kernel: self.kernel, factor: factorize(self.kernel, &known), known, weights: Vec::new() }
    }

    pub(super) fn mean(&self, inputs: &[f64], time: f64) -> f64 {
        self.covariances(inputs, time).iter().zip(&self.weights).map(|(c, w)| c * w).sum()
    }

    pub(super) fn deviation(&self, inputs: &[f64], time: f64) -> f64 {
        let mut covariances = self.covariances(inputs, time);
        self.factor.solve_lower(&mut covariances);
        (1.0 - covariances.iter().map(|c| c * c).sum::<f64>()).max(1e-12).sqrt()
    }

    fn covariances(&self, inputs: &[f64], time: f64) -> Vec<f64> {
        self.known.iter().map(|(known, then)| self.kernel.of(known, *then, inputs, time)).collect()
    }
}

impl Kernel {
    fn of(self, a: &[f64], time_a: f64, b: &[f64], time_b: f64) -> f64 {
        let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        let memory = (1.0 - self.forgetting).powf((time_a - time_b).abs() / 2.0);
        (-squared / (2.0 * self.length.powi(2))).exp() * memory
    }
}

/// The noise, never below a hundredth, keeps the matrix positive definite.
fn factorize(kernel: Kernel, known: &[(Vec<f64>, f64)]) -> Cholesky {
    let mut matrix = Vec::with_capacity(row(known.len()));
    for (at, (inputs, time)) in known.iter().enumerate() {
        matrix.extend(known[..at].iter().map(|(other, then)| kernel.of(inputs, *time, other, *then)));
        matrix.push(1.0 + kernel.noise);
    }
    Cholesky::new(known.len(), matrix).expect("a kernel's matrix with noise on its diagonal is positive definite")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is best wanders from 0 to 1 over ten intervals.
    fn wandering() -> Vec<Gain> {
        let places = (0..10).flat_map(|time| (0..6).map(move |at| (f64::from(time), f64::from(at) / 5.0)));
        places.map(|(time, at)| Gain { inputs: vec![at], time, gain: 1.0 - 4.0 * (at - time / 9.0).abs() }).collect()
    }

    #[test]
    fn what_was_gained_lately_counts_more() {
        let process = Process::fit(wandering());
        assert!(process.kernel.forgetting > 0.0);
        assert!(process.mean(&[0.9], 9.0) > process.mean(&[0.1], 9.0) + 1.0);
        assert!(process.mean(&[0.1], 0.0) > process.mean(&[0.9], 0.0) + 1.0);
    }

    #[test]
    fn less_is_known_later_and_more_beside_others() {
        let process = Process::fit(wandering());
        assert!(process.deviation(&[0.5], 9.0) < process.deviation(&[0.5], 14.0));
        let crowded = process.with(vec![(vec![0.5], 14.0)]);
        assert!(crowded.deviation(&[0.5], 14.0) < process.deviation(&[0.5], 14.0));
    }
}
