//! The training loss.

use burn::tensor::{Int, Tensor, activation};

/// Mean cross-entropy with label smoothing, as torch's `cross_entropy`; `scores` `[batch, classes]`, `labels` `[batch]`.
pub fn cross_entropy(scores: Tensor<2>, labels: Tensor<1, Int>, label_smoothing: f64) -> Tensor<1> {
    let log_likelihood = activation::log_softmax(scores, 1);
    let picked = log_likelihood.clone().gather(1, labels.unsqueeze_dim::<2>(1)).mean();
    match label_smoothing > 0.0 {
        // The mean over all entries is the batch's mean of the mean over the classes.
        true => (picked.mul_scalar(1.0 - label_smoothing) + log_likelihood.mean().mul_scalar(label_smoothing)).neg(),
        false => picked.neg(),
    }
}
