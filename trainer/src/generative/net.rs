//! The two networks, after DCGAN (Radford 2016, arXiv 1511.06434): a generator with conditional batch norm (Miyato 2018,
//! arXiv 1802.05957) that enlarges by copying pixels and then convolving, as that leaves no checkerboard (Odena 2016,
//! doi:10.23915/distill.00003), and a spectrally normalized discriminator whose features are projected on the class
//! (Miyato & Koyama 2018, arXiv 1802.05637).

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation};

use super::spectral::{SpectralConv, SpectralLinear};
use crate::augment::Size;
use crate::model::{Conv, Norm, linear};
use crate::recipe::NormKind;

/// Slope of the discriminator's rectifier below zero (Miyato 2018, table 3).
const LEAK: f64 = 0.1;
/// The smallest side of a map of features.
const LEAST_SIDE: usize = 4;
/// Channels of the widest map over those of the narrowest.
const WIDEST: usize = 4;

/// How often maps of features are halved.
fn halvings(size: Size) -> usize {
    let mut sides = [size.height, size.width];
    let mut halvings = 0;
    while sides.iter().all(|side| side % 2 == 0 && side / 2 >= LEAST_SIDE) {
        sides = sides.map(|side| side / 2);
        halvings += 1;
    }
    halvings
}

/// Channels after so many halvings.
fn channels(width: usize, halvings: usize) -> usize {
    width * WIDEST.min(1 << halvings)
}

/// From noise and a class to an image.
#[derive(Module, Debug)]
pub(super) struct Generator {
    first: Linear,
    norm: ClassNorm,
    stages: Vec<Stage>,
    last: Conv,
    shift: Param<Tensor<1>>,
    /// Of the first map of features: channels, rows, columns.
    #[module(skip)]
    start: [usize; 3],
}

/// An enlargement to twice the sides.
#[derive(Module, Debug)]
struct Stage {
    conv: Conv,
    norm: ClassNorm,
}

/// A batch norm whose scale and shift depend on the class.
#[derive(Module, Debug)]
struct ClassNorm {
    norm: Norm,
    scale: Linear,
    shift: Linear,
}

impl ClassNorm {
    fn new(channels: usize, classes: usize, device: &Device) -> Self {
        let of_class =
            || LinearConfig::new(classes, channels).with_bias(false).with_initializer(Initializer::Zeros).init(device);
        Self { norm: Norm::new(NormKind::Batch, channels, device), scale: of_class(), shift: of_class() }
    }

    fn forward(&self, x: Tensor<4>, classes: Tensor<2>) -> Tensor<4> {
        let [batch, channels, _, _] = x.dims();
        let [scale, shift] = [&self.scale, &self.shift]
            .map(|of_class| of_class.forward(classes.clone()).reshape([batch, channels, 1, 1]));
        self.norm.forward(x) * scale.add_scalar(1.0) + shift
    }
}

impl Generator {
    pub(super) fn new(size: Size, noise: usize, width: usize, classes: usize, device: &Device) -> Self {
        let halvings = halvings(size);
        let start = [channels(width, halvings), size.height >> halvings, size.width >> halvings];
        let stage = |halvings| {
            let [inputs, outputs] = [channels(width, halvings), channels(width, halvings - 1)];
            Stage { conv: Conv::new([inputs, outputs], 3, 1, device), norm: ClassNorm::new(outputs, classes, device) }
        };
        Self {
            first: linear(noise, start.iter().product(), device),
            norm: ClassNorm::new(start[0], classes, device),
            stages: (1..=halvings).rev().map(stage).collect(),
            last: Conv::new([width, size.channels], 3, 1, device),
            shift: Initializer::Zeros.init([size.channels], device),
            start,
        }
    }

    /// Noise `[batch, noise]` and classes, one-hot, to images `[batch, channels, height, width]` of values from -1 to 1.
    pub(super) fn forward(&self, noise: Tensor<2>, classes: Tensor<2>) -> Tensor<4> {
        let [batch, _] = noise.dims();
        let [channels, height, width] = self.start;
        let x = self.first.forward(noise).reshape([batch, channels, height, width]);
        let mut x = activation::relu(self.norm.forward(x, classes.clone()));
        for Stage { conv, norm } in &self.stages {
            x = activation::relu(norm.forward(conv.forward(enlarged(x)), classes.clone()));
        }
        let [channels] = self.shift.val().dims();
        (self.last.forward(x) + self.shift.val().reshape([1, channels, 1, 1])).tanh()
    }
}

/// Every pixel four times.
fn enlarged(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let pixels = x.reshape([batch, channels, height, 1, width, 1]);
    pixels.expand([batch, channels, height, 2, width, 2]).reshape([batch, channels, 2 * height, 2 * width])
}

/// From an image and a class to how real it is.
#[derive(Module, Debug)]
pub(super) struct Discriminator {
    convs: Vec<SpectralConv>,
    score: SpectralLinear,
    shift: Param<Tensor<1>>,
    /// A vector of features for each class.
    classes: SpectralLinear,
}

impl Discriminator {
    pub(super) fn new(size: Size, width: usize, classes: usize, device: &Device) -> Self {
        let halvings = halvings(size);
        let half = |halving| SpectralConv::new([channels(width, halving - 1), channels(width, halving)], 2, device);
        let first = SpectralConv::new([size.channels, width], 1, device);
        let features = channels(width, halvings);
        Self {
            convs: [first].into_iter().chain((1..=halvings).map(half)).collect(),
            score: SpectralLinear::new(features, 1, device),
            shift: Initializer::Zeros.init([1], device),
            classes: SpectralLinear::new(classes, features, device),
        }
    }

    /// Images `[batch, channels, height, width]` and classes, one-hot, to scores `[batch]`.
    pub(super) fn forward(&self, images: Tensor<4>, classes: Tensor<2>) -> Tensor<1> {
        let mut x = images;
        for conv in &self.convs {
            x = activation::leaky_relu(conv.forward(x), LEAK);
        }
        let [batch, features, _, _] = x.dims();
        let x = x.sum_dim(2).sum_dim(3).reshape([batch, features]);
        let score = self.score.forward(x.clone()).reshape([batch]) + self.shift.val();
        score + projected(x, self.classes.forward(classes))
    }

    /// One power iteration for each layer.
    pub(super) fn iterate(&mut self) {
        self.convs.iter_mut().for_each(SpectralConv::iterate);
        self.score.iterate();
        self.classes.iterate();
    }
}

/// The inner products of features and their classes' vectors, both `[batch, features]`.
fn projected(features: Tensor<2>, of_classes: Tensor<2>) -> Tensor<1> {
    let [batch, _] = features.dims();
    (features * of_classes).sum_dim(1).reshape([batch])
}

/// The discriminator's hinge loss (Lim & Ye 2017, arXiv 1705.02894; Miyato 2018): real scores above 1, others below -1.
pub(super) fn hinge(real: Tensor<1>, generated: Tensor<1>) -> Tensor<1> {
    let above = |scores: Tensor<1>| activation::relu(scores.add_scalar(1.0)).mean();
    above(real.neg()) + above(generated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Scheme, initialize};
    use crate::seed::TrialSeed;

    fn vector(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn the_hinge_asks_for_one_and_minus_one() {
        let check = |real: &[f32], generated: &[f32], expected: f32| {
            assert_eq!(numbers(hinge(vector(real), vector(generated))), [expected], "{real:?} {generated:?}");
        };
        check(&[1.0, 5.0], &[-1.0, -9.0], 0.0);
        check(&[0.0, 0.0], &[0.0, 0.0], 2.0);
        check(&[0.5, 2.0], &[-1.0, 1.0], 0.25 + 1.0);
    }

    #[test]
    fn a_projection_is_the_product_of_features_and_their_class() {
        let rows = |values: &[f32]| vector(values).reshape([2, 2]);
        assert_eq!(numbers(projected(rows(&[1.0, 2.0, 3.0, 4.0]), rows(&[5.0, 6.0, -1.0, 0.5]))), [17.0, -1.0]);
    }

    #[test]
    fn enlarging_copies_pixels() {
        let image = vector(&[1.0, 2.0]).reshape([1, 1, 1, 2]);
        assert_eq!(numbers(enlarged(image)), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn the_networks_fit_every_size() {
        let device = Device::flex().autodiff();
        for (height, width, channels) in [(8, 8, 1), (12, 8, 3), (24, 24, 3), (28, 28, 1), (64, 64, 3)] {
            let size = Size { height, width, channels };
            let seed = TrialSeed { study: 1, trial: 0 };
            let generator = initialize(Generator::new(size, 5, 4, 3, &device), Scheme::Resnet, seed);
            let mut discriminator = initialize(Discriminator::new(size, 4, 3, &device), Scheme::Resnet, seed);
            discriminator.iterate();
            let classes = Tensor::<2>::from_floats([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], &device);
            let images = generator.forward(Tensor::ones([2, 5], &device), classes.clone());
            assert_eq!(images.dims(), [2, channels, height, width]);
            assert_eq!(discriminator.forward(images, classes).dims(), [2]);
        }
    }
}
