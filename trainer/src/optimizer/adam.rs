//! Adam and what is built on it: AdamW, LAMB, and Adam that gives way to SGD.

use burn::tensor::Tensor;

use super::update::{Rule, Update, norm};
use crate::recipe::{Adam, AdamThenSgd, Adamw, Lamb, Sgd};

/// torch.optim.Adam.
impl Rule for Adam {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.penalize(self.weight_decay);
        adapt(it, self.beta1, self.beta2, self.epsilon)
    }
}

/// torch.optim.AdamW.
impl Rule for Adamw {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.decay(self.weight_decay);
        adapt(it, self.beta1, self.beta2, self.epsilon)
    }
}

/// timm.optim.Lamb with weight decay and without its clipping. Without decay, a layer still has its own rate here, as
/// in the paper.
impl Rule for Lamb {
    fn update(&self, mut it: Update) -> Tensor<1> {
        let (direction, correction) = direction(&mut it, self.beta1, self.beta2, self.epsilon);
        let direction = direction.div_scalar(correction);
        if it.is_vector() {
            return it.weight - direction.mul_scalar(it.rates.lr);
        }
        let direction = direction + it.weight.clone().mul_scalar(self.weight_decay);
        let (weight, step) = (norm(it.weight.clone()), norm(direction.clone()));
        let trust = weight.clone() / step.clone();
        let trust = trust.mask_fill(weight.equal_elem(0.0), 1.0).mask_fill(step.equal_elem(0.0), 1.0);
        it.weight - direction * trust.mul_scalar(it.rates.lr)
    }
}

/// Which of the two it is follows from the epoch; the other's slots are dropped.
impl Rule for AdamThenSgd {
    fn update(&self, it: Update) -> Tensor<1> {
        let Self { lr, beta1, beta2, epsilon, sgd_lr, momentum, nesterov, weight_decay, switch_epoch } = *self;
        match it.rates.epoch < switch_epoch {
            true => Adam { lr, beta1, beta2, epsilon, weight_decay }.update(it),
            false => Sgd { lr: sgd_lr, momentum, nesterov, weight_decay }.update(it),
        }
    }
}

fn adapt(mut it: Update, beta1: f64, beta2: f64, epsilon: f64) -> Tensor<1> {
    let (direction, correction) = direction(&mut it, beta1, beta2, epsilon);
    it.weight - direction.mul_scalar(it.rates.lr / correction)
}

/// The mean gradient over the root of the mean square, and what still corrects the former for its start at zero.
fn direction(it: &mut Update, beta1: f64, beta2: f64, epsilon: f64) -> (Tensor<1>, f64) {
    let beta1 = it.momentum(beta1);
    let gradient = it.gradient.clone();
    let [first, second] = it.take_or_zeros();
    let first = first.mul_scalar(beta1) + gradient.clone().mul_scalar(1.0 - beta1);
    let second = second.mul_scalar(beta2) + gradient.square().mul_scalar(1.0 - beta2);
    it.slots.extend([first.clone(), second.clone()]);
    let power = it.count as f64;
    let root = second.sqrt().div_scalar((1.0 - beta2.powf(power)).sqrt()).add_scalar(epsilon);
    (first / root, 1.0 - beta1.powf(power))
}
