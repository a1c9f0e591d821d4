//! Softmax and cross-entropy in one pass over the scores.

#![expect(unsafe_code, reason = "reads and writes vectors")]

use crate::function::{exp, greatest, sum};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// The mean cross-entropy of a batch, and its gradient to the scores.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Mean over the batch.
    pub loss: f32,
    /// `[batch, classes]`.
    pub gradient: Vec<f32>,
}

impl CrossEntropy {
    /// Of scores `[batch, classes]` and the class of each row, of whose target a share is spread over all classes
    /// (Szegedy 2016, arXiv 1512.00567), as torch's `cross_entropy`.
    ///
    /// # Panics
    /// If a length does not fit, or a label is no class.
    pub fn new(scores: &[f32], labels: &[usize], label_smoothing: f32) -> Self {
        Self::at(*LEVEL, scores, labels, label_smoothing)
    }

    /// [`Self::new`] at a level of instructions.
    pub fn at(level: Level, scores: &[f32], labels: &[usize], label_smoothing: f32) -> Self {
        assert!(scores.len().is_multiple_of(labels.len()), "there is not a row of scores for each label");
        dispatch(level, Rows { scores, labels, label_smoothing })
    }
}

struct Rows<'a> {
    scores: &'a [f32],
    labels: &'a [usize],
    label_smoothing: f32,
}

impl Kernel for Rows<'_> {
    type Output = CrossEntropy;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> CrossEntropy {
        let Self { scores, labels, label_smoothing } = self;
        let (batch, classes) = (labels.len(), scores.len() / labels.len());
        let spread = label_smoothing / classes as f32;
        let mut gradient = vec![0.0; scores.len()];
        // What is behind the classes has no likelihood.
        let mut row = vec![0.0; classes.next_multiple_of(LANES)];
        let mut total = 0.0f64;
        for ((scores, &label), gradient) in
            scores.chunks_exact(classes).zip(labels).zip(gradient.chunks_exact_mut(classes))
        {
            row[..classes].copy_from_slice(scores);
            row[classes..].fill(f32::NEG_INFINITY);
            let sum_of_scores: f32 = scores.iter().sum();
            // SAFETY: the row is a whole number of vectors.
            let (most, likelihoods) = unsafe {
                let mut most = I::load(row.as_ptr());
                for at in (LANES..row.len()).step_by(LANES) {
                    most = I::max(most, I::load(row.as_ptr().add(at)));
                }
                let most = greatest::<I>(most);
                let mut likelihoods = I::zero();
                for at in (0..row.len()).step_by(LANES) {
                    let to = row.as_mut_ptr().add(at);
                    let likelihood = exp::<I>(I::sub(I::load(to), I::splat(most)));
                    I::store(to, likelihood);
                    likelihoods = I::add(likelihoods, likelihood);
                }
                (most, sum::<I>(likelihoods))
            };
            let log_all = most + likelihoods.ln();
            let own = (1.0 - label_smoothing) * (log_all - scores[label]);
            total += f64::from(own + label_smoothing * (log_all - sum_of_scores / classes as f32));
            let factor = 1.0 / likelihoods;
            for (to, likelihood) in gradient.iter_mut().zip(&row) {
                *to = (likelihood * factor - spread) / batch as f32;
            }
            gradient[label] -= (1.0 - label_smoothing) / batch as f32;
        }
        CrossEntropy { loss: (total / batch as f64) as f32, gradient }
    }
}
