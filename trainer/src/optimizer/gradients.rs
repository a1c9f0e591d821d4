//! Gradients on their way to an update: summed over batches, flat, by parameter path.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::cpu;
use crate::weights::{self, NamedTensors};

/// The weighted sum of the gradients of the batches that make one update.
#[derive(Debug, Default)]
pub struct Gradients {
    pub(super) sums: BTreeMap<String, Tensor<1>>,
}

impl Gradients {
    /// The gradients of a single batch.
    pub fn of<M: Module>(model: &M, gradients: GradientsParams) -> Self {
        let mut sum = Self::default();
        sum.add(model, gradients, 1.0);
        sum
    }

    /// Adds a batch's gradients times its share of the update; the shares of an update add up to 1.
    pub fn add<M: Module>(&mut self, model: &M, gradients: GradientsParams, share: f64) {
        model.visit(&mut Adder { sums: &mut self.sums, gradients, share, path: Vec::new() });
    }

    /// The tensors by path, for a checkpoint in the midst of an update. Waits for the device.
    pub fn state(&self) -> NamedTensors {
        self.sums.iter().map(|(path, sum)| (path.clone(), sum.to_data())).collect()
    }

    /// Takes up a state again.
    pub fn restore(tensors: NamedTensors, device: &Device) -> Self {
        let sums = tensors.into_iter().map(|(path, data)| (path, Tensor::from_data(data, device)));
        Self { sums: sums.collect() }
    }

    /// Applies `change` to each gradient.
    pub(super) fn map(&mut self, change: impl Fn(&str, Tensor<1>) -> Tensor<1>) {
        let sums = std::mem::take(&mut self.sums);
        self.sums = sums
            .into_iter()
            .map(|(path, gradient)| {
                let gradient = change(&path, gradient);
                (path, gradient)
            })
            .collect();
    }

    /// Whether all of them are numbers that 32-bit floats hold. Waits for the device.
    pub fn are_finite(&self) -> bool {
        // Nothing times what is not finite is no number, and no number added to others is none.
        let sums = self.sums.values().map(|gradient| gradient.clone().mul_scalar(0.0).sum());
        sums.reduce(|all, sum| all + sum).is_none_or(|sum| sum.into_scalar::<f32>() == 0.0)
    }

    /// The model a step along these gradients away: each weight plus the factor times its gradient.
    pub(crate) fn shift<M: Module>(&self, model: M, factor: f64) -> M {
        model.map(&mut Shift { sums: &self.sums, factor, path: Vec::new() })
    }

    /// The norm of all gradients together, if they lie where the kernels for the CPU read.
    pub(super) fn norm_on_cpu(&self) -> Option<f64> {
        self.sums.values().map(cpu::square_sum).sum::<Option<f64>>().map(f64::sqrt)
    }

    /// The norm of all gradients together, on the device.
    pub(crate) fn norm(&self) -> Option<Tensor<1>> {
        let squares = self.sums.values().map(|gradient| gradient.clone().square().sum());
        squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
    }
}

struct Shift<'a> {
    sums: &'a BTreeMap<String, Tensor<1>>,
    factor: f64,
    path: Vec<String>,
}

impl ModuleMapper for Shift<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.sums.get(&self.path.join(".")) else { return param };
        param.map(|weight| {
            let step = gradient.clone().mul_scalar(self.factor).reshape::<D, _>(weight.dims());
            weights::tracked_as(weight.clone().inner() + step, &weight)
        })
    }
}

struct Adder<'a> {
    sums: &'a mut BTreeMap<String, Tensor<1>>,
    gradients: GradientsParams,
    share: f64,
    path: Vec<String>,
}

impl ModuleVisitor for Adder<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        // Of a network that computes in 16 bits too, the sum has 32.
        let gradient: Tensor<1> = gradient.reshape([-1]).cast(FloatDType::F32);
        let gradient = if self.share == 1.0 { gradient } else { gradient.mul_scalar(self.share) };
        let path = self.path.join(".");
        let sum = match self.sums.remove(&path) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.sums.insert(path, sum);
    }
}
