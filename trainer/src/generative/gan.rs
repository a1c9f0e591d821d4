//! How the two networks learn from each other: the discriminator by the hinge loss, with a faster rate than the generator
//! (Heusel 2017, arXiv 1706.08500); what generates in the end is the running mean of the generator's weights (Yazıcı
//! 2019, arXiv 1806.04498).

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::augment::DiffAugment;
use super::net::{Discriminator, Generator, hinge};
use super::{GenerateError, SIDES};
use crate::augment::Size;
use crate::average::Average;
use crate::data::Images;
use crate::metric::one_hot;
use crate::model::{Scheme, initialize, normal};
use crate::optimizer::{Gradients, Optimizer, Rates};
use crate::recipe::{Adam, Ema, OptimizerSpec, Recipe};
use crate::seed::{Purpose, TrialSeed};

/// Images that are generated at once.
const BATCH: usize = 64;
/// Steps after which it is looked whether the losses are numbers.
const LOOK: u64 = 50;

/// How a generator is built and learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GanSettings {
    /// Steps, of both networks.
    pub steps: u64,
    /// Images of a step: DCGAN has 128, SNGAN 64; half of that, as steps on a CPU are dear.
    pub batch: usize,
    /// Numbers that an image is made of, beside its class; SNGAN's.
    pub noise: usize,
    /// Channels of the largest map of features: SNGAN has 64, for 50,000 images on a GPU; a CPU has time for a quarter.
    pub width: usize,
    /// Adam's rate for the generator; SAGAN's (Zhang 2019, arXiv 1805.08318) is 0.0001 over a million steps, SNGAN's, for
    /// fewer, twice that.
    pub lr: f64,
    /// Adam's rate for the discriminator, four times the generator's as SAGAN's.
    pub lr_discriminator: f64,
    /// Adam's weights of older gradients and squares; SAGAN's.
    pub betas: [f64; 2],
    /// Share of the mean of the generator's weights that stays at a step, at most; with timm's warm-up for short
    /// trainings. The paper has 0.999 and 0.9999.
    pub decay: f64,
}

impl Default for GanSettings {
    fn default() -> Self {
        let (lr, lr_discriminator) = (2e-4, 8e-4);
        Self { steps: 3000, batch: 32, noise: 128, width: 16, lr, lr_discriminator, betas: [0.0, 0.9], decay: 0.999 }
    }
}

/// A generator that has learned.
#[derive(Debug)]
pub struct Gan {
    generator: Generator,
    settings: GanSettings,
    classes: usize,
    size: Size,
    device: Device,
    steps: u64,
}

impl Gan {
    /// Learns from images (of so many classes in all): half of each batch are of the wanted classes, each as often; the
    /// others are of the rest, from which the wanted ones have the look of the data that a few images do not show. `go_on`
    /// hears of each step, with how many there are, and may end it.
    pub fn train(
        (images, classes): (&Images, usize),
        wanted: &[usize],
        settings: GanSettings,
        seed: TrialSeed,
        device: &Device,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Self, GenerateError> {
        let size = Size::of(images);
        let Size { height, width, .. } = size;
        if [height, width].iter().any(|side| side % 4 != 0 || !SIDES.contains(side)) {
            return Err(GenerateError::Size { height, width });
        }
        let draws = Draws::new(images, classes, wanted);
        let mut duel = Duel::new(size, classes, settings, seed, device);
        for step in 0..settings.steps {
            if !go_on(step, settings.steps) {
                break;
            }
            let mut random = seed.stream(Purpose::Generate, 0, step);
            let indices: Vec<usize> = (0..settings.batch).map(|_| draws.draw(&mut random)).collect();
            let losses = duel.step(images, &indices, &mut random);
            // Waits for the device.
            if step % LOOK == LOOK - 1 && !losses.into_scalar::<f32>().is_finite() {
                return Err(GenerateError::Diverged { step });
            }
        }
        let steps = duel.steps;
        let generator = duel.average.model().cloned().unwrap_or_else(|| duel.generator.valid());
        Ok(Self { generator, settings, classes, size, device: device.clone().inner(), steps })
    }

    /// Steps for which it learned.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Images of a class, of the size that it learned from. Waits for the device.
    pub fn images(&self, class: usize, count: usize, random: &mut ChaCha8Rng) -> Images {
        let Size { height, width, channels } = self.size;
        let mut pixels = Vec::with_capacity(count * self.size.bytes());
        let mut left = count;
        while left > 0 {
            let batch = left.min(BATCH);
            let noise = noise(batch, self.settings.noise, random, &self.device);
            let classes = one_hot_of(&vec![class as i64; batch], self.classes, &self.device);
            let values = self.generator.forward(noise, classes).permute([0, 2, 3, 1]).into_data();
            pixels.extend(values.iter::<f32>().map(|value| ((value + 1.0) * 127.5).round() as u8));
            left -= batch;
        }
        Images { pixels, labels: vec![class as u32; count], height, width, channels }
    }
}

/// Which images a step learns from.
struct Draws {
    /// Places of the images of each wanted class, and of each other one that has any.
    wanted: Vec<Vec<usize>>,
    others: Vec<Vec<usize>>,
}

impl Draws {
    fn new(images: &Images, classes: usize, wanted: &[usize]) -> Self {
        let mut places = vec![Vec::new(); classes];
        images.labels.iter().enumerate().for_each(|(place, label)| places[*label as usize].push(place));
        let places = places.into_iter().enumerate().filter(|(_, places)| !places.is_empty());
        let (inside, outside): (Vec<_>, Vec<_>) = places.partition(|(class, _)| wanted.contains(class));
        let [wanted, others] = [inside, outside].map(|some| some.into_iter().map(|(_, places)| places).collect());
        Self { wanted, others }
    }

    fn draw(&self, random: &mut ChaCha8Rng) -> usize {
        let side = match self.others.is_empty() || random.random() {
            true => &self.wanted,
            false => &self.others,
        };
        let places = &side[random.random_range(0..side.len())];
        places[random.random_range(0..places.len())]
    }
}

/// Both networks under training.
struct Duel {
    generator: Generator,
    discriminator: Discriminator,
    optimizers: [Optimizer; 2],
    average: Average<Generator>,
    settings: GanSettings,
    classes: usize,
    size: Size,
    /// With gradients.
    device: Device,
    steps: u64,
}

impl Duel {
    fn new(size: Size, classes: usize, settings: GanSettings, seed: TrialSeed, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let generator = Generator::new(size, settings.noise, settings.width, classes, &device);
        let discriminator = Discriminator::new(size, settings.width, classes, &device);
        // Each network its own stream of first weights.
        let other = TrialSeed { trial: seed.trial.wrapping_add(1), ..seed };
        let [beta1, beta2] = settings.betas;
        let adam = |lr| OptimizerSpec::Adam(Adam { lr, beta1, beta2, ..Default::default() });
        let optimizer = |lr| Optimizer::new(&Recipe { optimizer: adam(lr), ..Default::default() });
        let ema = Ema { decay: settings.decay, warmup: true, keep: true };
        Self {
            generator: initialize(generator, Scheme::Resnet, seed),
            discriminator: initialize(discriminator, Scheme::Resnet, other),
            optimizers: [settings.lr, settings.lr_discriminator].map(optimizer),
            average: Average::new(&ema).expect("a decay above zero has a mean"),
            settings,
            classes,
            size,
            device,
            steps: 0,
        }
    }

    /// One step of each network on the same generated images; gives the sum of both losses, on the device.
    fn step(&mut self, images: &Images, indices: &[usize], random: &mut ChaCha8Rng) -> Tensor<1> {
        let count = indices.len();
        let labels: Vec<i64> = indices.iter().map(|index| i64::from(images.labels[*index])).collect();
        let classes = one_hot_of(&labels, self.classes, &self.device);
        let real = self.values(images, indices);
        let noise = noise(count, self.settings.noise, random, &self.device);
        let generated = self.generator.forward(noise, classes.clone());
        let mut augmented = |images: Tensor<4>| DiffAugment::draw(count, self.size, random, &self.device).apply(images);

        let both = Tensor::cat(vec![augmented(real), augmented(generated.clone().detach())], 0);
        let for_generator = augmented(generated);
        self.discriminator.iterate();
        let scores = self.discriminator.forward(both, Tensor::cat(vec![classes.clone(), classes.clone()], 0));
        let loss = hinge(scores.clone().narrow(0, 0, count), scores.narrow(0, count, count));
        let gradients = GradientsParams::from_grads(loss.clone().backward(), &self.discriminator);
        let gradients = Gradients::of(&self.discriminator, gradients);
        let rates = |lr| Rates { epoch: 0, lr, momentum: None };
        let [of_generator, of_discriminator] = &mut self.optimizers;
        self.discriminator =
            of_discriminator.step(self.discriminator.clone(), gradients, rates(self.settings.lr_discriminator));

        let own = self.discriminator.clone().no_grad().forward(for_generator, classes).mean().neg();
        let gradients = GradientsParams::from_grads(own.clone().backward(), &self.generator);
        let gradients = Gradients::of(&self.generator, gradients);
        self.generator = of_generator.step(self.generator.clone(), gradients, rates(self.settings.lr));
        self.steps += 1;
        self.average.follow(self.generator.valid(), self.steps);
        loss.inner() + own.inner()
    }

    /// Images as values from -1 to 1, `[count, channels, height, width]`.
    fn values(&self, images: &Images, indices: &[usize]) -> Tensor<4> {
        let Size { height, width, channels } = self.size;
        let values = indices.iter().flat_map(|index| images.image(*index)).map(|byte| f32::from(*byte) / 127.5 - 1.0);
        let values = TensorData::new(values.collect::<Vec<_>>(), [indices.len(), height, width, channels]);
        Tensor::<4>::from_data(values, &self.device).permute([0, 3, 1, 2])
    }
}

fn noise(count: usize, length: usize, random: &mut ChaCha8Rng, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = normal(random, 1.0).take(count * length).collect();
    Tensor::from_data(TensorData::new(values, [count, length]), device)
}

/// `[count, classes]`.
fn one_hot_of(labels: &[i64], classes: usize, device: &Device) -> Tensor<2> {
    let labels = Tensor::from_data(TensorData::new(labels.to_vec(), [labels.len(), 1]), device);
    one_hot(labels, classes)
}
