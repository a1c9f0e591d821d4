//! Stochastic gradient descent, and LARS, which is the same with a rate for each layer.

use burn::tensor::Tensor;

use super::update::{Rule, Update, norm};
use crate::cpu;
use crate::recipe::{Lars, Sgd};

/// torch.optim.SGD with dampening 0: the first momentum is the first gradient.
impl Rule for Sgd {
    fn update(&self, mut it: Update) -> Tensor<1> {
        if let Some(new) = self.update_on_cpu(&mut it) {
            return new;
        }
        it.penalize(self.weight_decay);
        descend(it, self.momentum, self.nesterov)
    }
}

impl Sgd {
    /// The same in one pass.
    fn update_on_cpu(&self, it: &mut Update) -> Option<Tensor<1>> {
        let momentum = it.momentum(self.momentum);
        if momentum == 0.0 || !cpu::is_at_home(&it.weight) {
            return None;
        }
        let rule = nightsweep_kernels::update::Sgd {
            lr: it.rates.lr,
            momentum,
            nesterov: self.nesterov,
            weight_decay: if it.is_vector() { 0.0 } else { self.weight_decay },
        };
        let [velocity] = it.take_or_zeros();
        let [weight, velocity] = cpu::sgd(rule, &it.weight, &it.gradient, velocity)?;
        it.slots.push(velocity);
        Some(weight)
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
