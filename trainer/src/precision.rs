//! Training in 16 bits (Micikevicius 2018, arXiv 1710.03740): the weights stay in 32-bit floats and are updated there; a
//! copy of them in 16 bits computes. Norms and losses are computed in 32 bits, as under torch's autocast.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::recipe::Precision;
use crate::weights;

/// Parameters and statistics of norms, which keep their 32 bits.
const OF_NORMS: [&str; 4] = ["gamma", "beta", "running_mean", "running_var"];

impl Precision {
    /// The numbers that activations and gradients are made of.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// The model that computes: itself in 32 bits, else a copy whose gradients are its own under the same parameters.
    /// Running statistics are shared with the model.
    pub fn of_model<M: Module>(self, model: &M) -> M {
        match self {
            Self::F32 => model.clone(),
            Self::Bf16 | Self::F16 => model.clone().map(&mut Rounding { dtype: self.dtype(), field: String::new() }),
        }
    }
}

/// What a norm makes of an input of any precision, computed in 32 bits.
pub(crate) fn in_32_bits<const D: usize>(input: Tensor<D>, norm: impl FnOnce(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    let dtype = input.dtype();
    norm(input.cast(FloatDType::F32)).cast(dtype)
}

struct Rounding {
    dtype: FloatDType,
    /// Name of the field that was entered last.
    field: String,
}

impl ModuleMapper for Rounding {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        name.clone_into(&mut self.field);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if OF_NORMS.contains(&self.field.as_str()) {
            return param;
        }
        param.map(|weight| weights::tracked_as(weight.clone().inner().cast(self.dtype), &weight))
    }
}

/// What the loss is multiplied with in half precision, so that small gradients do not vanish; it finds its size by trial,
/// as torch's `GradScaler`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// The factor.
    pub factor: f64,
    /// Steps without an overflow since it last changed.
    pub steady_steps: u32,
}

/// GradScaler's defaults.
impl LossScale {
    const FIRST: f64 = 65536.0;
    const GROWTH: f64 = 2.0;
    const BACK_OFF: f64 = 0.5;
    const GROWTH_INTERVAL: u32 = 2000;

    /// After a step: whether its gradients overflowed, in which case it was skipped.
    #[must_use]
    pub fn after(self, overflowed: bool) -> Self {
        let steady_steps = self.steady_steps + 1;
        match (overflowed, steady_steps == Self::GROWTH_INTERVAL) {
            (true, _) => Self { factor: self.factor * Self::BACK_OFF, steady_steps: 0 },
            (false, true) => Self { factor: self.grown(), steady_steps: 0 },
            (false, false) => Self { steady_steps, ..self },
        }
    }

    /// Not beyond what a 32-bit float holds.
    fn grown(self) -> f64 {
        let grown = self.factor * Self::GROWTH;
        if grown <= f64::from(f32::MAX) { grown } else { self.factor }
    }
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: Self::FIRST, steady_steps: 0 }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Initializer, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{DType, Device};

    use super::*;

    /// The factor and the steady steps after each of these runs of steps with or without overflow.
    fn check(runs: &[(u32, bool)], expected: &[(f64, u32)]) {
        let mut scale = LossScale::default();
        let found: Vec<(f64, u32)> = runs
            .iter()
            .map(|(steps, overflowed)| {
                (0..*steps).for_each(|_| scale = scale.after(*overflowed));
                (scale.factor, scale.steady_steps)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_scale_moves_as_that_of_torch() {
        // torch.amp.GradScaler's get_scale() and _get_growth_tracker() after the same overflows.
        check(&[(1, false), (1998, false), (1, false)], &[(65536.0, 1), (65536.0, 1999), (131072.0, 0)]);
        check(&[(3, true), (1999, false), (1, true)], &[(8192.0, 0), (8192.0, 1999), (4096.0, 0)]);
        check(&[(4000, false), (2, true)], &[(262144.0, 0), (65536.0, 0)]);
    }

    #[test]
    fn the_scale_never_grows_beyond_a_float() {
        let mut scale = LossScale { factor: 2f64.powi(127), steady_steps: 0 };
        (0..4000).for_each(|_| scale = scale.after(false));
        assert_eq!(scale.factor, 2f64.powi(127));
    }

    #[test]
    fn a_copy_computes_in_16_bits_and_its_gradients_are_the_models() {
        let device = Device::flex().autodiff();
        // Not drawn: burn's generator is the whole process's, and a training may be under way in another test.
        let initializer = Initializer::Constant { value: 0.37 };
        let model = LinearConfig::new(3, 2).with_initializer(initializer).init(&device);
        for (precision, dtype, digits) in [(Precision::Bf16, DType::BF16, 0.02), (Precision::F16, DType::F16, 0.002)] {
            let copy = precision.of_model(&model);
            let images = Tensor::<2>::from_floats([[0.5, -1.0, 2.0]], &device);
            let scores = copy.forward(images.clone().cast(precision.dtype()));
            assert_eq!(scores.dtype(), dtype);
            let mut found = GradientsParams::from_grads(scores.cast(FloatDType::F32).square().sum().backward(), &copy);
            let exact = model.forward(images).square().sum();
            let mut exact = GradientsParams::from_grads(exact.backward(), &model);
            let found = found.remove::<2>(model.weight.id).unwrap().into_data().iter::<f64>().collect::<Vec<_>>();
            let exact = exact.remove::<2>(model.weight.id).unwrap().into_data().iter::<f64>().collect::<Vec<_>>();
            for (found, exact) in found.iter().zip(&exact) {
                assert!((found - exact).abs() <= digits * exact.abs() + 1e-6, "{precision:?}: {found} {exact}");
            }
            assert_ne!(found, exact);
            assert_eq!(model.weight.val().dtype(), DType::F32);
        }
    }
}
