//! The networks: from a batch of images to one score per class.

mod convnet;
mod fused;
mod init;
mod mlp;
mod resnet;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::recipe::ModelSpec;
use crate::seed::TrialSeed;

pub use convnet::Convnet;
pub use mlp::Mlp;
pub use resnet::Resnet;

/// A network of any kind.
#[expect(clippy::large_enum_variant, reason = "a trial has one model, and moves it about by the step")]
#[derive(Module, Debug)]
pub enum Model {
    /// Fully connected layers.
    Mlp(Mlp),
    /// Convolutions and pooling.
    Convnet(Convnet),
    /// A residual network.
    Resnet(Resnet),
}

/// What a network is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Classes to tell apart.
    pub classes: usize,
}

impl Model {
    /// Builds the network of a recipe with the first weights of a trial.
    pub fn new(spec: &ModelSpec, shape: InputShape, seed: TrialSeed, device: &Device) -> Self {
        let model = match spec {
            ModelSpec::Mlp(mlp) => Self::Mlp(Mlp::new(mlp, shape, device)),
            ModelSpec::Convnet(convnet) => Self::Convnet(Convnet::new(convnet, shape, device)),
            ModelSpec::Resnet8(_) => Self::Resnet(Resnet::cifar(1, shape, device)),
            ModelSpec::Resnet20(_) => Self::Resnet(Resnet::cifar(3, shape, device)),
            ModelSpec::Resnet18(resnet18) => Self::Resnet(Resnet::resnet18(resnet18.stem, shape, device)),
        };
        init::initialize(model, seed)
    }

    /// Images `[batch, channels, height, width]` to scores `[batch, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(images),
            Self::Convnet(convnet) => convnet.forward(images),
            Self::Resnet(resnet) => resnet.forward(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;

    use crate::recipe::{self, Resnet8, Resnet18, Resnet20, Stem};

    use super::*;

    const CIFAR: InputShape = InputShape { channels: 3, height: 32, width: 32, classes: 10 };
    const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

    /// Trainable parameters, without the running statistics of batch norms.
    fn check(spec: ModelSpec, shape: InputShape, expected: usize) {
        let device = Device::flex().autodiff();
        let model = Model::new(&spec, shape, SEED, &device);
        assert_eq!(crate::weights::count_trainable(&model), expected, "{spec:?}");
        let images = Tensor::ones([2, shape.channels, shape.height, shape.width], &device);
        assert_eq!(model.forward(images).dims(), [2, shape.classes], "{spec:?}");
    }

    #[test]
    fn parameter_counts_are_those_of_the_papers() {
        // ResNet-20: 0.27 M in He 2016, table 6. ResNet-18: torchvision's, with 1,000 and with 10 classes.
        check(ModelSpec::Resnet8(Resnet8 {}), CIFAR, 75_290);
        check(ModelSpec::Resnet20(Resnet20 {}), CIFAR, 269_722);
        check(ModelSpec::Resnet18(Resnet18 { stem: Stem::Large }), CIFAR, 11_181_642);
        let imagenet = InputShape { channels: 3, height: 64, width: 64, classes: 1000 };
        check(ModelSpec::Resnet18(Resnet18 { stem: Stem::Large }), imagenet, 11_689_512);
        check(ModelSpec::Mlp(recipe::Mlp::default()), CIFAR, 3072 * 256 + 256 + 256 * 256 + 256 + 2570);
        check(ModelSpec::Mlp(recipe::Mlp { depth: 0, ..Default::default() }), CIFAR, 3072 * 10 + 10);
        check(ModelSpec::Convnet(recipe::Convnet::default()), CIFAR, 432 + 32 + 4608 + 64 + 18432 + 128 + 650);
    }

    #[test]
    fn odd_and_small_images_pass() {
        for spec in [
            ModelSpec::Convnet(Default::default()),
            ModelSpec::Resnet8(Resnet8 {}),
            ModelSpec::Resnet18(Default::default()),
        ] {
            for (height, width) in [(28, 28), (9, 13), (8, 8)] {
                let shape = InputShape { channels: 1, height, width, classes: 3 };
                let device = Device::flex().autodiff();
                let images = Tensor::ones([2, 1, height, width], &device);
                let scores = Model::new(&spec, shape, SEED, &device).forward(images);
                assert_eq!(scores.dims(), [2, 3], "{spec:?} {height}x{width}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_another_does_not() {
        let device = Device::flex();
        let scores = |seed| {
            let model = Model::new(&ModelSpec::Resnet8(Resnet8 {}), CIFAR, seed, &device);
            model.forward(Tensor::ones([1, 3, 32, 32], &device)).into_data()
        };
        assert_eq!(scores(SEED), scores(SEED));
        assert_ne!(scores(SEED), scores(TrialSeed { trial: 1, ..SEED }));
    }

    #[test]
    fn convolutions_start_with_the_deviation_of_he() {
        let device = Device::flex();
        let model = Model::new(&ModelSpec::Resnet18(Default::default()), CIFAR, SEED, &device);
        let Model::Resnet(resnet) = model else { unreachable!("a resnet18 is a resnet") };
        let weight = resnet.stages[3].blocks[1].conv2.weight.val();
        let deviation = weight.clone().reshape([-1]).var(0).sqrt();
        let expected = (2.0f32 / (512.0 * 9.0)).sqrt();
        deviation.into_data().assert_approx_eq::<f32>(
            &Tensor::<1>::from_floats([expected], &device).into_data(),
            Tolerance::relative(0.01),
        );
    }
}
