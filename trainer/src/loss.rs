//! The training loss.

use burn::tensor::{Int, Tensor, activation};

/// What the network is to say of each image of a batch.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The class of each image, `[batch]`.
    Classes(Tensor<1, Int>),
    /// The share of each class in each image where images were mixed, `[batch, classes]`; rows sum to 1.
    Shares(Tensor<2>),
}

/// Mean cross-entropy with label smoothing, as torch's `cross_entropy`; `scores` `[batch, classes]`.
pub fn cross_entropy(scores: Tensor<2>, targets: &Targets, label_smoothing: f64) -> Tensor<1> {
    let log_likelihood = activation::log_softmax(scores, 1);
    let picked = match targets {
        Targets::Classes(labels) => log_likelihood.clone().gather(1, labels.clone().unsqueeze_dim::<2>(1)).mean(),
        Targets::Shares(shares) => (log_likelihood.clone() * shares.clone()).sum_dim(1).mean(),
    };
    match label_smoothing > 0.0 {
        // The mean over all entries is the batch's mean of the mean over the classes.
        true => (picked.mul_scalar(1.0 - label_smoothing) + log_likelihood.mean().mul_scalar(label_smoothing)).neg(),
        false => picked.neg(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Three images of four classes; the values are torch 2.9's `cross_entropy` of the same scores and targets.
    fn check(targets: impl Fn(&Device) -> Targets, label_smoothing: f64, torch: f64) {
        let device = Device::flex();
        let scores =
            Tensor::<2>::from_data([[1.0f32, -2.0, 0.5, 3.0], [0.0, 0.25, -1.0, 2.0], [4.0, 1.0, 1.5, -0.5]], &device);
        let found = f64::from(cross_entropy(scores, &targets(&device), label_smoothing).into_scalar::<f32>());
        assert!((found - torch).abs() < 1e-6, "{found}, not {torch}");
    }

    fn classes(device: &Device) -> Targets {
        Targets::Classes(Tensor::from_data(TensorData::from([3i64, 1, 2]), device))
    }

    /// 0.7 of the class above, 0.3 of the class before it.
    fn shares(device: &Device) -> Targets {
        let shares = [[0.0f32, 0.0, 0.3, 0.7], [0.3, 0.7, 0.0, 0.0], [0.0, 0.3, 0.7, 0.0]];
        Targets::Shares(Tensor::from_data(shares, device))
    }

    #[test]
    fn the_loss_is_torchs_for_classes_and_for_shares() {
        check(classes, 0.0, 1.630855363);
        check(classes, 0.1, 1.707938696);
        check(shares, 0.0, 1.955855363);
        check(shares, 0.1, 2.000438696);
    }
}
