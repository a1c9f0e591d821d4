//! A model's tensors by name: taken out for checkpoints and exports, put back on resume, read from others' files.

mod file;
mod torch;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

#[cfg(test)]
pub(crate) use file::put_torch_into;
pub use file::{WeightsError, WeightsFile};
pub use torch::{Head, is_head, torch_file, torch_name};

/// Tensors by their path in the model, in a fixed order.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// Names of running statistics: part of a model, but never trained.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// All float tensors of a model, running statistics included. Waits for the device.
pub fn collect<M: Module>(model: &M) -> NamedTensors {
    let mut collector = Collector::default();
    model.visit(&mut collector);
    collector.tensors
}

/// Numbers that training changes.
pub fn count_trainable<M: Module>(model: &M) -> usize {
    let is_trainable = |path: &&String| !STATISTICS.iter().any(|name| path.ends_with(name));
    let tensors = collect(model);
    tensors.keys().filter(is_trainable).map(|path| tensors[path].num_elements()).sum()
}

/// Why tensors do not fit a model; lists every mismatch.
#[derive(Debug, thiserror::Error)]
#[error("the weights do not fit the model: {}", .mismatches.join("; "))]
pub struct MismatchError {
    /// One sentence for each missing, unknown or wrongly shaped tensor.
    pub mismatches: Vec<String>,
}

/// Puts tensors into a model of the same shape.
pub fn restore<M: Module>(model: M, tensors: NamedTensors) -> Result<M, MismatchError> {
    let mut restorer = Restorer { path: Vec::new(), tensors, mismatches: Vec::new() };
    let model = model.map(&mut restorer);
    let unknown = restorer.tensors.keys().map(|path| format!("`{path}` is not part of the model"));
    restorer.mismatches.extend(unknown);
    match restorer.mismatches.is_empty() {
        true => Ok(model),
        false => Err(MismatchError { mismatches: restorer.mismatches }),
    }
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    tensors: NamedTensors,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.insert(self.path.join("."), param.val().into_data());
    }
}

/// A parameter's new value in the place of its old one: with gradients if that had them, and kept in the same way.
pub fn tracked_as<const D: usize>(value: Tensor<D>, old: &Tensor<D>) -> Tensor<D> {
    match old.gradient_checkpointing_strategy() {
        Some(strategy) => Tensor::from_inner(value)
            .with_gradient_checkpointing_strategy(strategy)
            .set_require_grad(old.is_require_grad()),
        None => value,
    }
}

struct Restorer {
    path: Vec<String>,
    /// Those not yet used.
    tensors: NamedTensors,
    mismatches: Vec<String>,
}

impl ModuleMapper for Restorer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let expected: [usize; D] = param.lazy_shape().dims();
        match self.tensors.remove(&path) {
            None => self.mismatches.push(format!("`{path}` is missing")),
            Some(data) if data.shape().as_slice() != expected => {
                self.mismatches.push(format!("`{path}` has shape {:?} instead of {expected:?}", data.shape()));
            }
            Some(data) => {
                return param.map(|old| {
                    let tracked = old.is_require_grad();
                    Tensor::from_data(data, &old.device()).set_require_grad(tracked)
                });
            }
        }
        param
    }
}

#[cfg(test)]
mod tests;
