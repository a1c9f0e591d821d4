//! First weights, from the trial's own stream rather than the device's: the same on every device.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::seed::{Purpose, TrialSeed};

/// Which paper's first weights a network has. Norms start as the identity in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Convolutions: normal with deviation √(2 / fan-out) (He 2015, arXiv 1502.01852, as in torchvision's ResNet), no
    /// bias. Linear layers: uniform within ±1/√fan-in, the bias too, as in PyTorch.
    Resnet,
    /// Convolutions: normal with deviation √(2 / fan-out of a group). Linear layers: uniform within ±1/√fan-out. Biases
    /// are zero. TensorFlow's EfficientNet, as in timm.
    Efficientnet,
    /// Linear layers, positions and their biases: normal with deviation 0.02, cut at two deviations; biases are zero.
    /// Patches as in PyTorch, other convolutions as in `Efficientnet`. As in timm's ViT.
    Transformer,
}

/// A linear layer of zeros, which takes nothing from the device's generator; [`initialize`] draws its weights.
pub fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).with_initializer(Initializer::Zeros).init(device)
}

/// Sets every weight of a model.
pub fn initialize<M: Module>(model: M, scheme: Scheme, seed: TrialSeed) -> M {
    model.map(&mut FirstWeights { scheme, seed, path: Vec::new(), index: 0, bias: Law::Zero })
}

/// What a tensor's values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Zero,
    /// Up to this far from zero.
    Uniform(f64),
    /// With this deviation.
    Normal(f64),
    /// With this deviation before it was cut at two of them.
    Truncated(f64),
}

struct FirstWeights {
    scheme: Scheme,
    seed: TrialSeed,
    path: Vec<String>,
    /// Parameters met so far.
    index: u64,
    /// Of the layer whose weight was met last; its bias comes next.
    bias: Law,
}

impl FirstWeights {
    /// The law of a weight, and that of the bias which follows it.
    fn laws(&self, shape: &[usize]) -> Option<(Law, Law)> {
        let path = self.path.join(".");
        let area: usize = shape.iter().skip(2).product();
        Some(match (shape.len(), self.scheme) {
            (4, Scheme::Transformer) if path.ends_with("patch_embed.proj.weight") => {
                let law = Law::Uniform(1.0 / ((shape[1] * area) as f64).sqrt());
                (law, law)
            }
            (4, scheme) => {
                let is_depthwise = path.contains("conv_dw") || path.contains("conv2_kxk");
                let outputs = if scheme != Scheme::Resnet && is_depthwise { 1 } else { shape[0] };
                (Law::Normal((2.0 / (outputs * area) as f64).sqrt()), Law::Zero)
            }
            (3, _) if path.ends_with("cls_token") => (Law::Normal(1e-6), Law::Zero),
            (3, _) => (Law::Truncated(0.02), Law::Zero),
            (2, Scheme::Resnet) => {
                let law = Law::Uniform(1.0 / (shape[0] as f64).sqrt());
                (law, law)
            }
            (2, Scheme::Efficientnet) if path.ends_with(".weight") => {
                (Law::Uniform(1.0 / (shape[1] as f64).sqrt()), Law::Zero)
            }
            (2, _) => (Law::Truncated(0.02), Law::Zero),
            (1, _) if path.ends_with(".bias") => (self.bias, Law::Zero),
            // Norms and their statistics are made as the identity.
            _ => return None,
        })
    }
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
        let Some((law, bias)) = self.laws(&shape) else { return param };
        self.bias = bias;
        let values = law.draw(&mut random, shape.iter().product());
        param.map(|old| {
            let device = old.device();
            let tracked = old.is_require_grad();
            Tensor::from_data(TensorData::new(values, shape), &device).set_require_grad(tracked)
        })
    }
}

impl Law {
    fn draw(self, random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
        match self {
            Self::Zero => vec![0.0; count],
            Self::Uniform(bound) => (0..count).map(|_| random.random_range(-bound..=bound) as f32).collect(),
            Self::Normal(deviation) => normal(random, deviation).take(count).collect(),
            Self::Truncated(deviation) => {
                let inner = |value: &f32| f64::from(value.abs()) <= 2.0 * deviation;
                normal(random, deviation).filter(inner).take(count).collect()
            }
        }
    }
}

/// Normal numbers, by Box and Muller's way, in pairs.
pub fn normal(random: &mut ChaCha8Rng, deviation: f64) -> impl Iterator<Item = f32> {
    std::iter::repeat_with(move || {
        // In (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * random.random::<f64>();
        [(deviation * radius * angle.cos()) as f32, (deviation * radius * angle.sin()) as f32]
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deviation of many draws, and the largest.
    fn check(law: Law, deviation: f64, largest: f64) {
        let mut random = TrialSeed { study: 1, trial: 0 }.stream(Purpose::Weights, 0, 0);
        let values: Vec<f64> = law.draw(&mut random, 40_000).into_iter().map(f64::from).collect();
        let found = (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
        assert!((found / deviation - 1.0).abs() < 0.02, "{law:?}: {found}");
        assert!(values.iter().all(|x| x.abs() <= largest), "{law:?}");
    }

    #[test]
    fn draws_have_the_deviation_of_their_law() {
        check(Law::Uniform(0.3), 0.3 / 3f64.sqrt(), 0.3 + 1e-6);
        check(Law::Normal(0.1), 0.1, 0.6);
        // A normal cut at two deviations keeps 0.8796 of its deviation.
        check(Law::Truncated(0.02), 0.02 * 0.8796, 0.04 + 1e-6);
    }
}
