//! Adam and what is built on it: AdamW, LAMB, and Adam that gives way to SGD.

use burn::tensor::Tensor;

use super::update::{Rule, Update, norm};
use crate::cpu;
use crate::recipe::{Adam, AdamThenSgd, Adamw, Lamb, Sgd};

/// torch.optim.Adam.
impl Rule for Adam {
    fn update(&self, mut it: Update) -> Tensor<1> {
        let betas = [self.beta1, self.beta2];
        if let Some(new) = adapt_on_cpu(&mut it, betas, self.epsilon, [self.weight_decay, 0.0]) {
            return new;
        }
        it.penalize(self.weight_decay);
        adapt(it, self.beta1, self.beta2, self.epsilon)
    }
}

/// torch.optim.AdamW.
impl Rule for Adamw {
    fn update(&self, mut it: Update) -> Tensor<1> {
        let betas = [self.beta1, self.beta2];
        if let Some(new) = adapt_on_cpu(&mut it, betas, self.epsilon, [0.0, self.weight_decay]) {
            return new;
        }
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

/// Adam (with the first decay) or AdamW (with the second) in one pass.
fn adapt_on_cpu(it: &mut Update, [beta1, beta2]: [f64; 2], epsilon: f64, decays: [f64; 2]) -> Option<Tensor<1>> {
    if !cpu::is_at_home(&it.weight) {
        return None;
    }
    let beta1 = it.momentum(beta1);
    let lacks = |beta: f64| 1.0 - beta.powf(it.count as f64);
    let [penalty, decay] = if it.is_vector() { [0.0; 2] } else { decays };
    let rule = nightsweep_kernels::update::Adam {
        lr: it.rates.lr / lacks(beta1),
        beta1,
        beta2,
        correction: 1.0 / lacks(beta2).sqrt(),
        epsilon,
        penalty,
        decay: it.rates.lr * decay,
    };
    let moments = it.take_or_zeros();
    let [weight, first, second] = cpu::adam(rule, &it.weight, &it.gradient, moments)?;
    it.slots.extend([first, second]);
    Some(weight)
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
