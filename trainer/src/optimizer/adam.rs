//! Adam and what is built on it: AdamW, LAMB, and Adam that gives way to SGD.

use burn::tensor::Tensor;
use nightsweep_kernels::update as kernels;

use super::update::{Rule, Update, norm};
use crate::cpu;
use crate::recipe::{Adam, AdamThenSgd, Adamw, Lamb, Sgd};

/// torch.optim.Adam.
impl Rule for Adam {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.penalize(self.weight_decay);
        adapt(it, self.beta1, self.beta2, self.epsilon)
    }

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let penalty = if it.is_vector() { 0.0 } else { self.weight_decay };
        adapt_at_once(it, [self.beta1, self.beta2], self.epsilon, [penalty, 0.0])
    }
}

/// torch.optim.AdamW.
impl Rule for Adamw {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.decay(self.weight_decay);
        adapt(it, self.beta1, self.beta2, self.epsilon)
    }

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let decay = if it.is_vector() { 0.0 } else { it.rates.lr * self.weight_decay };
        adapt_at_once(it, [self.beta1, self.beta2], self.epsilon, [0.0, decay])
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

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let (moments, lacks) = moments(it, [self.beta1, self.beta2], self.epsilon);
        let is_vector = it.is_vector();
        let decay = if is_vector { 0.0 } else { self.weight_decay };
        let direction = it.at_once(kernels::AdamDirection { moments, correction: 1.0 / lacks, decay })?;
        let (weight, step) = (it.weight_norm()?, cpu::square_sum(&direction)?.sqrt());
        let trust = if is_vector || weight == 0.0 || step == 0.0 { 1.0 } else { weight / step };
        let (new, []) = cpu::step(kernels::Along(-it.rates.lr * trust), &it.weight, &direction, [])?;
        Some(new)
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

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let Self { lr, beta1, beta2, epsilon, sgd_lr, momentum, nesterov, weight_decay, switch_epoch } = *self;
        match it.rates.epoch < switch_epoch {
            true => Adam { lr, beta1, beta2, epsilon, weight_decay }.update_at_once(it),
            false => Sgd { lr: sgd_lr, momentum, nesterov, weight_decay }.update_at_once(it),
        }
    }
}

/// [`adapt`] in one pass, with Adam's decay or AdamW's.
fn adapt_at_once(it: &mut Update, betas: [f64; 2], epsilon: f64, [penalty, decay]: [f64; 2]) -> Option<Tensor<1>> {
    let (moments, lacks) = moments(it, betas, epsilon);
    it.at_once(kernels::Adam { moments, lr: it.rates.lr / lacks, penalty, decay })
}

/// What the kernels keep, and the share that the first moment has of the whole mean.
fn moments(it: &Update, [beta1, beta2]: [f64; 2], epsilon: f64) -> (kernels::Moments, f64) {
    let beta1 = it.momentum(beta1);
    let lacks = |beta: f64| 1.0 - beta.powf(it.count as f64);
    let correction = 1.0 / lacks(beta2).sqrt();
    (kernels::Moments { scale: it.scale, beta1, beta2, correction, epsilon }, lacks(beta1))
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
