//! A running mean of the weights, which often does better than the last of them (Polyak 1992, Tarvainen 2017, arXiv
//! 1703.01780), as timm's ModelEmaV3: of running statistics too, and with its warm-up.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use nightsweep_kernels::update::Towards;

use crate::cpu;
use crate::recipe::Ema;
use crate::weights::{self, MismatchError, NamedTensors};

/// The power of timm's warm-up: decay 0.99 after 1,000 updates, 0.999 after 31,600.
const WARMUP_POWER: f64 = 2.0 / 3.0;

/// The mean of a model's weights so far; nothing before the first update.
#[derive(Debug)]
pub struct Average<M> {
    ema: Ema,
    mean: Option<M>,
}

impl<M: Module> Average<M> {
    /// The mean that a recipe asks for, if it does.
    pub fn new(ema: &Ema) -> Option<Self> {
        (ema.decay > 0.0).then(|| Self { ema: ema.clone(), mean: None })
    }

    /// The mean as a model without gradients.
    pub fn model(&self) -> Option<&M> {
        self.mean.as_ref()
    }

    /// Takes in the weights (a model without gradients) after an update, from 1.
    pub fn follow(&mut self, model: M, update: u64) {
        self.mean = Some(match self.mean.take() {
            None => model,
            Some(mean) => {
                let mut tensors = Tensors::default();
                model.visit(&mut tensors);
                let share = 1.0 - self.decay(update);
                mean.map(&mut Follow { tensors: tensors.by_path, share, path: Vec::new() })
            }
        });
    }

    /// The mean's tensors by path, for a checkpoint. Waits for the device.
    pub fn state(&self) -> NamedTensors {
        self.mean.as_ref().map(weights::collect).unwrap_or_default()
    }

    /// Takes up a state again; `model` is any model of the same shape, without gradients.
    pub fn restore(&mut self, tensors: NamedTensors, model: M) -> Result<(), MismatchError> {
        self.mean = (!tensors.is_empty()).then(|| weights::restore(model, tensors)).transpose()?;
        Ok(())
    }

    /// How much of the mean stays at an update, from 1; the first update is all there is.
    fn decay(&self, update: u64) -> f64 {
        let earlier = update.saturating_sub(1) as f64;
        match self.ema.warmup {
            true => (1.0 - (1.0 + earlier).powf(-WARMUP_POWER)).min(self.ema.decay),
            false if update <= 1 => 0.0,
            false => self.ema.decay,
        }
    }
}

#[derive(Default)]
struct Tensors {
    by_path: BTreeMap<String, Tensor<1>>,
    path: Vec<String>,
}

impl ModuleVisitor for Tensors {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.by_path.insert(self.path.join("."), param.val().reshape([-1]));
    }
}

struct Follow {
    tensors: BTreeMap<String, Tensor<1>>,
    share: f64,
    path: Vec<String>,
}

impl ModuleMapper for Follow {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(new) = self.tensors.remove(&self.path.join(".")) else { return param };
        param.map(|mean| {
            let dims = mean.dims();
            let mean: Tensor<1> = mean.reshape([-1]);
            let at_once = cpu::step(Towards(self.share), &mean, &new, []).map(|(mean, [])| mean);
            let mean = at_once.unwrap_or_else(|| mean.mul_scalar(1.0 - self.share) + new.mul_scalar(self.share));
            mean.reshape::<D, _>(dims)
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// A model of two weights.
    fn model(weights: [f32; 2]) -> Linear {
        let layer = LinearConfig::new(2, 1).with_bias(false).init(&Device::flex());
        weights::restore(layer, NamedTensors::from([("weight".into(), TensorData::new(weights.to_vec(), [2, 1]))]))
            .unwrap()
    }

    /// The mean after each update, of weights that count up and down; tests/golden/average.py made the expected ones.
    fn check(ema: Ema, expected: [[f32; 2]; 6]) {
        let mut average = Average::new(&ema).unwrap();
        assert!(average.model().is_none());
        for (update, expected) in (1..).zip(expected) {
            average.follow(model([update as f32, -0.5 * update as f32]), update);
            // Through a checkpoint each time.
            let state = average.state();
            average.restore(state, model([0.0; 2])).unwrap();
            let found: Vec<f32> = average.state()["weight"].try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{ema:?} after {update}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn the_mean_is_that_of_timm() {
        check(Ema { decay: 0.9, warmup: false, ..Default::default() }, GOLDEN_PLAIN);
        check(Ema { decay: 0.6, warmup: true, ..Default::default() }, GOLDEN_WARM);
    }

    const GOLDEN_PLAIN: [[f32; 2]; 6] =
        [[1.0, -0.5], [1.1, -0.55], [1.29, -0.645], [1.561, -0.7805], [1.9049, -0.95245], [2.31441, -1.157205]];
    const GOLDEN_WARM: [[f32; 2]; 6] = [
        [1.0, -0.5],
        [1.629961, -0.81498],
        [2.288607, -1.144303],
        [2.973164, -1.486582],
        [3.783898, -1.891949],
        [4.670339, -2.33517],
    ];
}
