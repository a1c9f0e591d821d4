//! First weights, from the trial's own stream rather than the device's: the same on every device.
//!
//! Convolutions: normal with deviation √(2 / fan-out) (He 2015, arXiv 1502.01852, as in torchvision's ResNet).
//! Linear layers: uniform within ±1/√fan-in, the bias too, as in PyTorch. Norms start as the identity.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::seed::{Purpose, TrialSeed};

/// Sets every weight of a model.
pub fn initialize<M: Module>(model: M, seed: TrialSeed) -> M {
    model.map(&mut FirstWeights { seed, path: Vec::new(), index: 0, fan_in: 1 })
}

struct FirstWeights {
    seed: TrialSeed,
    path: Vec<String>,
    /// Parameters met so far.
    index: u64,
    /// Inputs of the linear layer whose weight was met last; its bias comes next.
    fan_in: usize,
}

impl ModuleMapper for FirstWeights {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let mut random = self.seed.stream(Purpose::Weights, 0, self.index);
        self.index += 1;
        let shape: [usize; D] = param.lazy_shape().dims();
        let count = shape.iter().product();
        let values = match (D, self.path.last().map(String::as_str)) {
            (4, _) => {
                let fan_out = shape[0] * shape[2] * shape[3];
                normal(&mut random, count, (2.0 / fan_out as f64).sqrt())
            }
            (2, _) => {
                self.fan_in = shape[0];
                uniform(&mut random, count, 1.0 / (self.fan_in as f64).sqrt())
            }
            (1, Some("bias")) => uniform(&mut random, count, 1.0 / (self.fan_in as f64).sqrt()),
            // Norms and their statistics are made as the identity.
            _ => return param,
        };
        param.map(|old| {
            let device = old.device();
            let tracked = old.is_require_grad();
            Tensor::from_data(TensorData::new(values, shape), &device).set_require_grad(tracked)
        })
    }
}

fn uniform(random: &mut ChaCha8Rng, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-bound..=bound) as f32).collect()
}

/// Box and Muller's way, in pairs.
fn normal(random: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // In (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * random.random::<f64>();
        values.push((deviation * radius * angle.cos()) as f32);
        values.push((deviation * radius * angle.sin()) as f32);
    }
    values.truncate(count);
    values
}
