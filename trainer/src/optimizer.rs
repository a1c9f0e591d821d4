//! Optimizers over a whole model, with their state by parameter path so that it can be saved beside the weights.
//!
//! Ours rather than burn's: theirs put restored state on a default device of their choosing, clip each tensor for
//! itself, and decay norms and biases with the rest.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use crate::recipe::{Adamw, OptimizerSpec, Sgd};
use crate::weights::NamedTensors;

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    /// Largest norm of all gradients together; 0 is no limit.
    clip_norm: f64,
    /// Updates made so far.
    updates: u64,
    /// Running tensors of each parameter, flat, by its path.
    slots: BTreeMap<String, Vec<Tensor<1>>>,
}

/// How one parameter's gradient becomes its update.
#[derive(Debug)]
enum Rule {
    Sgd(Sgd),
    Adamw(Adamw),
}

impl Optimizer {
    /// An optimizer that has made no update yet.
    pub fn new(spec: &OptimizerSpec, clip_norm: f64) -> Self {
        let rule = match spec {
            OptimizerSpec::Sgd(sgd) => Rule::Sgd(sgd.clone()),
            OptimizerSpec::Adamw(adamw) => Rule::Adamw(adamw.clone()),
        };
        Self { rule, clip_norm, updates: 0, slots: BTreeMap::new() }
    }

    /// Makes one update of every parameter that has a gradient.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: GradientsParams, lr: f64) -> M {
        let scale = (self.clip_norm > 0.0).then(|| clip_scale(&model, &gradients, self.clip_norm)).flatten();
        self.updates += 1;
        model.map(&mut Update { optimizer: self, gradients: &mut gradients, scale, lr, path: Vec::new() })
    }

    /// The state: `path#slot` for each tensor, and the number of updates. Waits for the device.
    pub fn state(&self) -> (NamedTensors, u64) {
        let named = |(path, slots): (&String, &Vec<Tensor<1>>)| {
            slots
                .iter()
                .enumerate()
                .map(|(slot, tensor)| (format!("{path}#{slot}"), tensor.to_data()))
                .collect::<Vec<_>>()
        };
        (self.slots.iter().flat_map(named).collect(), self.updates)
    }

    /// Takes up a state again.
    pub fn restore(&mut self, tensors: NamedTensors, updates: u64, device: &Device) {
        self.updates = updates;
        self.slots.clear();
        // The map is in the order of the names, so a parameter's slots come in theirs.
        for (name, data) in tensors {
            let path = name.rsplit_once('#').map_or(name.as_str(), |(path, _)| path);
            self.slots.entry(path.to_owned()).or_default().push(Tensor::from_data(data, device));
        }
    }
}

/// What to multiply every gradient with so that their common norm keeps the limit, as torch's `clip_grad_norm_`.
fn clip_scale<M: Module>(model: &M, gradients: &GradientsParams, limit: f64) -> Option<Tensor<1>> {
    let mut norm = SquaredNorm { gradients, sum: None };
    model.visit(&mut norm);
    let norm = norm.sum?.sqrt();
    Some((norm.add_scalar(1e-6).recip().mul_scalar(limit)).clamp_max(1.0))
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a mut GradientsParams,
    scale: Option<Tensor<1>>,
    lr: f64,
    path: Vec<String>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let slots = self.optimizer.slots.entry(self.path.join(".")).or_default();
        // Norms and biases are vectors; only what multiplies activations decays.
        let decays = D > 1;
        param.map(|weight| {
            let shape = weight.dims();
            let mut gradient: Tensor<1> = gradient.reshape([-1]);
            if let Some(scale) = &self.scale {
                gradient = gradient * scale.clone();
            }
            let weight: Tensor<1> = weight.inner().reshape([-1]);
            let weight = match &self.optimizer.rule {
                Rule::Sgd(sgd) => sgd_update(sgd, weight, gradient, slots, self.lr, decays),
                Rule::Adamw(adamw) => {
                    adamw_update(adamw, weight, gradient, slots, self.lr, decays, self.optimizer.updates)
                }
            };
            Tensor::from_inner(weight.reshape::<D, _>(shape)).require_grad()
        })
    }
}

/// torch.optim.SGD with dampening 0: the first momentum is the first gradient.
fn sgd_update(
    sgd: &Sgd,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    slots: &mut Vec<Tensor<1>>,
    lr: f64,
    decays: bool,
) -> Tensor<1> {
    let gradient = match decays && sgd.weight_decay != 0.0 {
        true => gradient + weight.clone().mul_scalar(sgd.weight_decay),
        false => gradient,
    };
    if sgd.momentum == 0.0 {
        return weight - gradient.mul_scalar(lr);
    }
    let momentum = match slots.pop() {
        Some(momentum) => momentum.mul_scalar(sgd.momentum) + gradient.clone(),
        None => gradient.clone(),
    };
    slots.push(momentum.clone());
    let direction = match sgd.nesterov {
        true => gradient + momentum.mul_scalar(sgd.momentum),
        false => momentum,
    };
    weight - direction.mul_scalar(lr)
}

/// torch.optim.AdamW; `update` counts from 1.
fn adamw_update(
    adamw: &Adamw,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    slots: &mut Vec<Tensor<1>>,
    lr: f64,
    decays: bool,
    update: u64,
) -> Tensor<1> {
    let second = slots.pop().unwrap_or_else(|| gradient.zeros_like());
    let first = slots.pop().unwrap_or_else(|| gradient.zeros_like());
    let first = first.mul_scalar(adamw.beta1) + gradient.clone().mul_scalar(1.0 - adamw.beta1);
    let second = second.mul_scalar(adamw.beta2) + gradient.square().mul_scalar(1.0 - adamw.beta2);
    slots.push(first.clone());
    slots.push(second.clone());
    let power = update as f64;
    let correction1 = 1.0 - adamw.beta1.powf(power);
    let correction2 = 1.0 - adamw.beta2.powf(power);
    let weight = match decays && adamw.weight_decay != 0.0 {
        true => weight.mul_scalar(1.0 - lr * adamw.weight_decay),
        false => weight,
    };
    let root = second.sqrt().div_scalar(correction2.sqrt()).add_scalar(adamw.epsilon);
    weight - (first / root).mul_scalar(lr / correction1)
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::TensorData;
    use serde::Deserialize;

    use crate::weights;

    use super::*;

    /// One case of tests/golden/optimizers.json; optimizers.py beside it says what it is.
    #[derive(Deserialize)]
    struct Golden {
        name: String,
        spec: OptimizerSpec,
        clip_norm: f64,
        w: Vec<f32>,
        b: Vec<f32>,
    }

    fn problem(device: &Device) -> (Linear, Tensor<2>, Tensor<2>) {
        let weights = NamedTensors::from([
            ("weight".into(), TensorData::new(vec![0.1f32, -0.2, 0.3, 0.4, -0.5, 0.6], [3, 2])),
            ("bias".into(), TensorData::new(vec![0.05f32, -0.05], [2])),
        ]);
        let x = [[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [-0.2, 0.8, 0.1], [1.0, 1.0, -1.0]];
        let y = [[1.0, 0.0], [-0.5, 2.0], [0.3, 0.3], [0.0, -1.0]];
        let model = weights::restore(LinearConfig::new(3, 2).init(device), weights).unwrap();
        (model, Tensor::from_floats(x, device), Tensor::from_floats(y, device))
    }

    fn train(optimizer: &mut Optimizer, lr: f64, steps: usize, mut model: Linear, device: &Device) -> Linear {
        let (_, x, y) = problem(device);
        for _ in 0..steps {
            let loss = (model.forward(x.clone()) - y.clone()).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(model, gradients, lr);
        }
        model
    }

    fn floats(model: &Linear) -> (Vec<f32>, Vec<f32>) {
        let values = |data: TensorData| data.try_to_vec::<f32>().unwrap();
        (values(model.weight.val().into_data()), values(model.bias.as_ref().unwrap().val().into_data()))
    }

    #[test]
    fn twenty_steps_are_those_of_pytorch() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/optimizers.json")).unwrap();
        let device = Device::flex().autodiff();
        for case in cases {
            let mut optimizer = Optimizer::new(&case.spec, case.clip_norm);
            let model = train(&mut optimizer, case.spec.lr(), 20, problem(&device).0, &device);
            let (w, b) = floats(&model);
            for (found, expected) in w.iter().chain(&b).zip(case.w.iter().chain(&case.b)) {
                assert!((found - expected).abs() < 2e-6, "{}: {found} is not {expected}", case.name);
            }
        }
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_never_stopped() {
        let device = Device::flex().autodiff();
        for spec in [OptimizerSpec::Sgd(Sgd::default()), OptimizerSpec::Adamw(Adamw::default())] {
            let mut whole = Optimizer::new(&spec, 0.1);
            let expected = floats(&train(&mut whole, 0.05, 20, problem(&device).0, &device));
            let mut first = Optimizer::new(&spec, 0.1);
            let model = train(&mut first, 0.05, 7, problem(&device).0, &device);
            let (tensors, updates) = first.state();
            let mut second = Optimizer::new(&spec, 0.1);
            second.restore(tensors, updates, &Device::flex());
            assert_eq!(floats(&train(&mut second, 0.05, 13, model, &device)), expected, "{spec:?}");
        }
    }
}
