//! Stochastic gradient descent, and LARS, which is the same with a rate for each layer.

use burn::tensor::Tensor;
use nightsweep_kernels::update as kernels;

use super::update::{Rule, Update, norm};
use crate::recipe::{Lars, Sgd};

/// torch.optim.SGD with dampening 0: the first momentum is the first gradient.
impl Rule for Sgd {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.penalize(self.weight_decay);
        descend(it, self.momentum, self.nesterov)
    }

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let weight_decay = if it.is_vector() { 0.0 } else { self.weight_decay };
        descend_at_once(it, self.momentum, self.nesterov, [it.scale, weight_decay])
    }
}

/// timm.optim.Lars with weight decay. Without, a layer still has its own rate here, as in the paper.
impl Rule for Lars {
    fn update(&self, mut it: Update) -> Tensor<1> {
        if !it.is_vector() {
            let (weight, gradient) = (norm(it.weight.clone()), norm(it.gradient.clone()));
            let decayed = gradient.clone() + weight.clone().mul_scalar(self.weight_decay).add_scalar(self.epsilon);
            let trust = (weight.clone() / decayed).mul_scalar(self.trust_coefficient);
            let trust = trust.mask_fill(weight.equal_elem(0.0), 1.0).mask_fill(gradient.equal_elem(0.0), 1.0);
            it.penalize(self.weight_decay);
            it.gradient = it.gradient * trust;
        }
        descend(it, self.momentum, self.nesterov)
    }

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        if it.is_vector() {
            return descend_at_once(it, self.momentum, self.nesterov, [it.scale, 0.0]);
        }
        let (weight, gradient) = (it.weight_norm()?, it.gradient_norm()?);
        let is_zero = weight == 0.0 || gradient == 0.0;
        let decayed = gradient + weight * self.weight_decay + self.epsilon;
        let trust = if is_zero { 1.0 } else { weight / decayed * self.trust_coefficient };
        descend_at_once(it, self.momentum, self.nesterov, [it.scale * trust, self.weight_decay * trust])
    }
}

/// [`descend`] in one pass: along the gradient times the first factor plus the weight times the second.
fn descend_at_once(it: &mut Update, momentum: f64, nesterov: bool, factors: [f64; 2]) -> Option<Tensor<1>> {
    let momentum = it.momentum(momentum);
    if momentum == 0.0 {
        return None;
    }
    let [scale, weight_decay] = factors;
    it.at_once(kernels::Sgd { scale, lr: it.rates.lr, momentum, nesterov, weight_decay })
}

fn descend(mut it: Update, momentum: f64, nesterov: bool) -> Tensor<1> {
    let momentum = it.momentum(momentum);
    let older = it.take();
    if momentum == 0.0 {
        return it.weight - it.gradient.mul_scalar(it.rates.lr);
    }
    let velocity = match older {
        Some([older]) => older.mul_scalar(momentum) + it.gradient.clone(),
        None => it.gradient.clone(),
    };
    it.slots.push(velocity.clone());
    let direction = match nesterov {
        true => it.gradient + velocity.mul_scalar(momentum),
        false => velocity,
    };
    it.weight - direction.mul_scalar(it.rates.lr)
}
