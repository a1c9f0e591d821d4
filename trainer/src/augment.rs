//! What is done to training images at random: on bytes, each image from its own stream, so that an image's view is a
//! pure function of (study seed, trial, epoch, image).

mod affine;
mod blur;
mod canvas;
mod crop;
mod distribution;
mod erase;
mod grid;
mod mix;
mod op;
mod policy;
mod published;
mod tone;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::Images;
use crate::recipe::{Augment, ErasedWith};
use affine::Affine;
use crop::Part;
use erase::LEAST_AREA;
use policy::Ready;

pub use canvas::Canvas;
pub(crate) use canvas::luma;
pub use crop::Draw;
pub(crate) use grid::Views;
pub use grid::augmented_grid;
pub use mix::Mix;
pub use op::{Around, ROWS, Row};
pub(crate) use policy::apply_share;

/// The size of an image: rows, columns and channels, in the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Bytes of a pixel.
    pub channels: usize,
}

impl Size {
    /// Of every image of a split.
    pub fn of(images: &Images) -> Self {
        Self { height: images.height, width: images.width, channels: images.channels }
    }

    /// Bytes of an image.
    pub fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// A recipe's augmentation, made ready for the images of a training split.
#[derive(Clone, Debug)]
pub struct Augmenter {
    augment: Augment,
    policy: Option<Ready>,
    /// Mean byte of each channel, where something is erased with it.
    mean: Vec<u8>,
    /// Whether images are more than shifted and mirrored.
    is_rich: bool,
}

impl Augmenter {
    /// For a checked recipe.
    pub fn new(augment: &Augment, images: &Images) -> Self {
        let erases = augment.erase > 0.0 || augment.cutout > 0;
        let mean = match erases {
            true => (0..images.channels).map(|channel| mean(images, channel)).collect(),
            false => Vec::new(),
        };
        Self { augment: augment.clone(), policy: Ready::new(&augment.policy), mean, is_rich: augment.is_rich() }
    }

    /// How a batch is mixed; `None` leaves it as it is.
    pub fn mix(&self, progress: f64, size: Size, random: &mut ChaCha8Rng) -> Option<Mix> {
        self.augment.mixing(progress).and_then(|mixing| Mix::draw(mixing, size, random))
    }

    /// Draws the view of an image onto the canvas; `progress` is the share of the training that is done, in [0, 1).
    pub fn view(&self, canvas: &mut Canvas, images: &Images, index: usize, progress: f64, random: &mut ChaCha8Rng) {
        let (image, size) = (images.image(index), canvas.size);
        if self.augment.is_off() {
            return canvas.pixels.copy_from_slice(image);
        }
        Draw::new(&self.augment, random).apply(image, &mut canvas.pixels, size);
        if self.is_rich {
            self.enrich(canvas, images, progress, random);
        }
    }

    /// What comes after shift and mirror. A stage that is off draws nothing, so that it changes no other.
    fn enrich(&self, canvas: &mut Canvas, images: &Images, progress: f64, random: &mut ChaCha8Rng) {
        let Augment { interpolation, fill, .. } = self.augment;
        let augment = &self.augment;
        let happens = |chance: f64, random: &mut ChaCha8Rng| chance > 0.0 && random.random::<f64>() < chance;
        if augment.crop_scale < 1.0 {
            canvas.zoom(Part::draw(canvas.size, augment.crop_scale, augment.crop_ratio, random));
        }
        if happens(augment.flip_vertical, random) {
            canvas.turn_over();
        }
        if augment.moves() {
            let mut reach = |most: f64| if most > 0.0 { most * (2.0 * random.random::<f64>() - 1.0) } else { 0.0 };
            let rotate = reach(augment.rotate);
            let [right, down] =
                [canvas.size.width, canvas.size.height].map(|side| reach(augment.translate * side as f64).round());
            let (scale, shear) = (1.0 + reach(augment.scale), reach(augment.shear));
            canvas.transform(
                Affine::around_centre(rotate, [right, down], scale, shear, canvas.size),
                interpolation,
                fill,
            );
        }
        if let Some(policy) = &self.policy {
            policy.apply(canvas, progress, &mut Around { images, interpolation, fill, random });
        }
        self.jitter(canvas, random);
        if happens(augment.grayscale, random) {
            canvas.grayscale();
        }
        if happens(augment.blur, random) {
            canvas.blur(0.1 + (augment.blur_sigma - 0.1) * random.random::<f64>());
        }
        if augment.noise > 0.0 {
            canvas.add_noise(augment.noise, random);
        }
        if happens(augment.erase, random) {
            let mut value = |channel: usize, random: &mut ChaCha8Rng| match augment.erase_with {
                ErasedWith::Mean => self.mean[channel],
                ErasedWith::Noise => random.random(),
            };
            let most = augment.erase_area;
            canvas.erase([LEAST_AREA.min(most), most], &mut value, random);
        }
        if augment.cutout > 0 {
            canvas.cut_out(augment.cutout, &mut |channel| self.mean[channel], random);
        }
    }

    /// Colour jitter, in random order as in torchvision's `ColorJitter`.
    fn jitter(&self, canvas: &mut Canvas, random: &mut ChaCha8Rng) {
        let Augment { brightness, contrast, saturation, hue, .. } = self.augment;
        if brightness.max(contrast).max(saturation).max(hue) == 0.0 {
            return;
        }
        let around_one = |reach: f64, canvas: &mut Canvas, random: &mut ChaCha8Rng, apply: fn(&mut Canvas, f64)| {
            if reach > 0.0 {
                let low = (1.0 - reach).max(0.0);
                apply(canvas, low + (1.0 + reach - low) * random.random::<f64>());
            }
        };
        let mut order = [0, 1, 2, 3];
        order.shuffle(random);
        for stage in order {
            match stage {
                0 => around_one(brightness, canvas, random, Canvas::brightness),
                1 => around_one(contrast, canvas, random, Canvas::contrast),
                2 => around_one(saturation, canvas, random, Canvas::saturation),
                _ if hue > 0.0 => canvas.hue(hue * (2.0 * random.random::<f64>() - 1.0)),
                _ => {}
            }
        }
    }
}

/// Mean byte of a channel.
fn mean(images: &Images, channel: usize) -> u8 {
    let values = || images.pixels[channel..].iter().step_by(images.channels);
    let sum: u64 = values().map(|byte| u64::from(*byte)).sum();
    (sum as f64 / values().len().max(1) as f64).round() as u8
}

#[cfg(test)]
mod tests;
