//! The training losses, with PyTorch's, timm's and torchvision's numbers.

mod weights;

use burn::tensor::{Int, Tensor, activation};

use crate::cpu;
use crate::data::Images;
use crate::metric::one_hot;
use crate::recipe::{LossSpec, Recipe};

use weights::class_weights;

/// What the network is to say of each image of a batch.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The class of each image, `[batch]`.
    Classes(Tensor<1, Int>),
    /// The share of each class in each image where images were mixed, `[batch, classes]`; rows sum to 1.
    Shares(Tensor<2>),
}

/// A recipe's loss on a data set.
#[derive(Clone, Debug)]
pub struct Loss {
    spec: LossSpec,
    label_smoothing: f64,
    /// How much an image of each class weighs; `None` if all weigh the same.
    weights: Option<Vec<f32>>,
}

impl Loss {
    /// The recipe's; classes weigh as their frequency in the training split says.
    pub fn new(recipe: &Recipe, train: &Images, classes: usize) -> Self {
        Self {
            spec: recipe.loss.clone(),
            label_smoothing: recipe.label_smoothing,
            weights: class_weights(&recipe.class_weights, &train.labels, classes),
        }
    }

    /// The loss of a batch from its scores `[batch, classes]`.
    pub fn mean(&self, scores: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let weights = self.weights.as_ref().map(|weights| {
            let weights = Tensor::<1>::from_floats(weights.as_slice(), &scores.device());
            weights.unsqueeze_dim::<2>(0)
        });
        let classes = scores.dims()[1];
        let whole = match (&self.spec, targets, &weights) {
            (LossSpec::CrossEntropy(_), Targets::Classes(labels), None) => {
                return cross_entropy(scores, labels.clone(), self.label_smoothing);
            }
            (_, Targets::Classes(labels), _) => one_hot(labels.clone().unsqueeze_dim(1), classes),
            (_, Targets::Shares(shares), _) => shares.clone(),
        };
        let image_weights = weights.clone().map(|weights| (whole.clone() * weights).sum_dim(1));
        let shares = self.smooth(whole);
        let losses = match &self.spec {
            LossSpec::CrossEntropy(_) => {
                let losses = (activation::log_softmax(scores, 1) * shares).neg();
                let Some(weights) = weights else { return mean_of_rows(losses) };
                let losses = losses * weights;
                // As in torch: each class's part weighs for itself, and classes are divided by what they weigh.
                return match (targets, image_weights) {
                    (Targets::Classes(_), Some(all)) => losses.sum() / all.sum(),
                    _ => mean_of_rows(losses),
                };
            }
            LossSpec::Focal(focal) => {
                let log_likelihood = activation::log_softmax(scores, 1);
                (shares * log_likelihood.clone()).neg() * fade(log_likelihood.exp(), focal.gamma)
            }
            LossSpec::BinaryCrossEntropy(bce) => {
                let yes = match bce.target_threshold > 0.0 {
                    true => shares.greater_elem(bce.target_threshold).float(),
                    false => shares,
                };
                let losses = binary_cross_entropy(scores, yes);
                if bce.sum_classes { losses } else { losses.div_scalar(classes as f64) }
            }
            LossSpec::SigmoidFocal(focal) => {
                let no = shares.clone().neg().add_scalar(1.0);
                let yes = activation::sigmoid(scores.clone());
                let right = yes.clone() * shares.clone() + yes.neg().add_scalar(1.0) * no.clone();
                let alpha = shares.clone().mul_scalar(focal.alpha) + no.mul_scalar(1.0 - focal.alpha);
                binary_cross_entropy(scores, shares) * fade(right, focal.gamma) * alpha
            }
        };
        // As in the paper of class-balanced losses: an image weighs as its class does.
        mean_of_rows(match image_weights {
            Some(weights) => losses * weights,
            None => losses,
        })
    }

    /// What some images of a batch count for in the batch's mean: a mean of means with these weights is the whole
    /// batch's. As in torch, only the cross-entropy of classes is a mean by weight; all others divide by the images.
    pub fn mass(&self, labels: &[i64], are_mixed: bool) -> f64 {
        match (&self.spec, &self.weights) {
            (LossSpec::CrossEntropy(_), Some(weights)) if !are_mixed => {
                labels.iter().map(|label| f64::from(weights[*label as usize])).sum()
            }
            _ => labels.len() as f64,
        }
    }

    fn smooth(&self, shares: Tensor<2>) -> Tensor<2> {
        let spread = self.label_smoothing / shares.dims()[1] as f64;
        match self.label_smoothing > 0.0 {
            true => shares.mul_scalar(1.0 - self.label_smoothing).add_scalar(spread),
            false => shares,
        }
    }
}

/// Mean cross-entropy with label smoothing, as torch's `cross_entropy`; `scores` `[batch, classes]`, `labels` `[batch]`.
pub fn cross_entropy(scores: Tensor<2>, labels: Tensor<1, Int>, label_smoothing: f64) -> Tensor<1> {
    if let Some(loss) = cpu::cross_entropy(&scores, &labels, label_smoothing) {
        return loss;
    }
    let log_likelihood = activation::log_softmax(scores, 1);
    let picked = log_likelihood.clone().gather(1, labels.unsqueeze_dim::<2>(1)).mean();
    match label_smoothing > 0.0 {
        // The mean over all entries is the batch's mean of the mean over the classes.
        true => (picked.mul_scalar(1.0 - label_smoothing) + log_likelihood.mean().mul_scalar(label_smoothing)).neg(),
        false => picked.neg(),
    }
}

/// For each score, of being the answer to a question whose right answer is `yes`; written so that nothing overflows.
fn binary_cross_entropy(scores: Tensor<2>, yes: Tensor<2>) -> Tensor<2> {
    scores.clone() * yes.neg().add_scalar(1.0) - activation::log_sigmoid(scores)
}

/// (1 - p)^γ.
fn fade(right: Tensor<2>, gamma: f64) -> Tensor<2> {
    match gamma == 0.0 {
        true => right.ones_like(),
        // At p = 1 a root has no slope; below a float's resolution of 1 - p there is nothing to fade.
        false => right.neg().add_scalar(1.0).clamp_min(1e-7).powf_scalar(gamma),
    }
}

fn mean_of_rows(losses: Tensor<2>) -> Tensor<1> {
    losses.sum_dim(1).mean()
}

#[cfg(test)]
mod tests;
