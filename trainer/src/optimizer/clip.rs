//! Limits on gradients before an update: by value, by unit, and by the norm of all of them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::Gradients;
use super::matrix::Matrix;
use crate::recipe::Recipe;

/// Least norm that a unit's weights are taken to have, and the least that one divides by: timm's.
const MIN_UNIT_NORM: f64 = 1e-3;
const MIN_GRADIENT_NORM: f64 = 1e-6;

/// The limits of a recipe; 0 is none. They act in the order of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clip {
    value: f64,
    adaptive: f64,
    norm: f64,
}

impl Clip {
    pub(super) fn new(recipe: &Recipe) -> Self {
        Self { value: recipe.clip_value, adaptive: recipe.clip_adaptive, norm: recipe.clip_norm }
    }

    /// What the gradients are yet to be multiplied by is returned; it is 1 where they lie on a GPU, which nobody is to wait
    /// for.
    pub(super) fn apply<M: Module>(self, gradients: &mut Gradients, model: &M, head: &str) -> f64 {
        if self.value > 0.0 {
            gradients.map(|_, gradient| gradient.clamp(-self.value, self.value));
        }
        if self.adaptive > 0.0 {
            // The last layer is left alone, as in the paper and in timm.
            let limit = self.adaptive;
            model.visit(&mut Adaptive { gradients: &mut gradients.sums, head, limit, path: Vec::new() });
        }
        if self.norm <= 0.0 {
            return 1.0;
        }
        // As torch's `clip_grad_norm_`.
        if let Some(norm) = gradients.norm_on_cpu() {
            let scale = self.norm / (norm + 1e-6);
            // What is no number stays none.
            return if scale > 1.0 { 1.0 } else { scale };
        }
        if let Some(norm) = gradients.norm() {
            let scale = norm.add_scalar(1e-6).recip().mul_scalar(self.norm).clamp_max(1.0);
            gradients.map(|_, gradient| gradient * scale.clone());
        }
        1.0
    }
}

/// Adaptive gradient clipping: no unit's gradient is larger than a share of its weights (Brock 2021, arXiv
/// 2102.06171, equation 3), as timm's `adaptive_clip_grad`.
struct Adaptive<'a> {
    gradients: &'a mut BTreeMap<String, Tensor<1>>,
    head: &'a str,
    limit: f64,
    path: Vec<String>,
}

impl ModuleVisitor for Adaptive<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if super::module_of(&path) == self.head {
            return;
        }
        let Some(gradient) = self.gradients.remove(&path) else { return };
        let weight = param.val().inner();
        let shape = weight.dims();
        let units = |tensor: Tensor<1>| Matrix::new(tensor, &shape);
        let norm = |matrix: &Matrix| matrix.rows.clone().square().sum_dim(1).sqrt();
        let largest = norm(&units(weight.reshape([-1]))).clamp_min(MIN_UNIT_NORM).mul_scalar(self.limit);
        let gradient = units(gradient);
        let found = norm(&gradient);
        let scale = largest.clone() / found.clone().clamp_min(MIN_GRADIENT_NORM);
        let is_small = found.lower(largest);
        let scale = scale.mask_fill(is_small, 1.0);
        self.gradients.insert(path, gradient.map(|rows| rows * scale));
    }
}
