//! Changes that real and generated images get before the discriminator sees them, through which gradients pass: with few
//! images it would otherwise learn them by heart (DiffAugment, Zhao 2020, arXiv 2006.10738, with its colour, translation
//! and cutout, in that order and of its strengths).

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::augment::Size;

/// Share of a side by which an image is moved at most.
const TRANSLATION: f64 = 0.125;
/// Share of a side that a cut-out rectangle has.
const CUTOUT: f64 = 0.5;

/// The changes of a batch's images, drawn.
pub(super) struct DiffAugment {
    /// `[batch, 1, 1, 1]`: what is added to values, and factors around the mean colour and around the mean.
    brightness: Tensor<4>,
    saturation: Tensor<4>,
    contrast: Tensor<4>,
    /// `[batch, 1, height, height]` and `[batch, 1, width, width]`: which row and column each one comes from.
    rows: Tensor<4>,
    columns: Tensor<4>,
    /// `[batch, 1, height, width]`: 0 where an image is cut out.
    mask: Tensor<4>,
}

impl DiffAugment {
    pub(super) fn draw(count: usize, size: Size, random: &mut ChaCha8Rng, device: &Device) -> Self {
        let Size { height, width, .. } = size;
        let mut colours: [Vec<f32>; 3] = Default::default();
        let (mut rows, mut columns) = (vec![0.0; count * height * height], vec![0.0; count * width * width]);
        let mut mask = vec![1.0; count * height * width];
        for image in 0..count {
            for (values, (low, high)) in colours.iter_mut().zip([(-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)]) {
                values.push(random.random_range(low..high));
            }
            for (moved, side) in [(&mut rows, height), (&mut columns, width)] {
                let most = (side as f64 * TRANSLATION).round() as i64;
                move_by(&mut moved[image * side * side..][..side * side], side, random.random_range(-most..=most));
            }
            let spans = [height, width].map(|side| cut(side, random));
            for y in spans[0].clone() {
                mask[image * height * width + y * width..][spans[1].clone()].fill(0.0);
            }
        }
        let tensor = |values: Vec<f32>, [height, width]: [usize; 2]| {
            Tensor::<4>::from_data(TensorData::new(values, [count, 1, height, width]), device)
        };
        let [brightness, saturation, contrast] = colours.map(|values| tensor(values, [1, 1]));
        Self {
            brightness,
            saturation,
            contrast,
            rows: tensor(rows, [height, height]),
            columns: tensor(columns, [width, width]),
            mask: tensor(mask, [height, width]),
        }
    }

    /// Images `[batch, channels, height, width]` of values from -1 to 1, changed; 0 is what comes from outside.
    pub(super) fn apply(&self, images: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = images.dims();
        let images = images + self.brightness.clone();
        let gray = images.clone().mean_dim(1);
        let images = (images - gray.clone()) * self.saturation.clone() + gray;
        let mean = images.clone().mean_dim(1).mean_dim(2).mean_dim(3);
        let images = (images - mean.clone()) * self.contrast.clone() + mean;
        let rows = self.rows.clone().expand([batch, channels, height, height]);
        let columns = self.columns.clone().expand([batch, channels, width, width]);
        rows.matmul(images).matmul(columns) * self.mask.clone()
    }
}

/// A matrix that moves what it is multiplied with: from the left, rows down; from the right, its transpose, columns.
fn move_by(matrix: &mut [f32], side: usize, shift: i64) {
    for to in 0..side {
        let from = to as i64 - shift;
        if (0..side as i64).contains(&from) {
            matrix[to * side + from as usize] = 1.0;
        }
    }
}

/// The rows or columns that are cut out around a random one.
fn cut(side: usize, random: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let length = (side as f64 * CUTOUT).round() as usize;
    let middle = random.random_range(0..side + (1 - length % 2));
    middle.saturating_sub(length / 2)..(middle + length - length / 2).min(side)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SIZE: Size = Size { height: 8, width: 12, channels: 1 };

    fn plain(random: &mut ChaCha8Rng) -> DiffAugment {
        let device = Device::flex();
        let one = |value: f32| Tensor::<4>::full([1, 1, 1, 1], value, &device);
        DiffAugment {
            brightness: one(0.0),
            saturation: one(1.0),
            contrast: one(1.0),
            mask: Tensor::ones([1, 1, 8, 12], &device),
            ..DiffAugment::draw(1, SIZE, random, &device)
        }
    }

    /// Where a single bright pixel in the middle goes to.
    fn moved(augment: &DiffAugment) -> Vec<usize> {
        let pixels = (0..96).map(|place| f32::from(u8::from(place == 4 * 12 + 6))).collect::<Vec<_>>();
        let image = Tensor::from_data(TensorData::new(pixels, [1, 1, 8, 12]), &Device::flex());
        let found: Vec<f32> = augment.apply(image).into_data().iter::<f32>().collect();
        (0..96).filter(|place| found[*place] > 0.5).collect()
    }

    #[test]
    fn images_move_by_an_eighth_of_a_side_at_most() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let [place] = moved(&plain(&mut random))[..] else { panic!("one pixel stays one") };
            seen.insert((place / 12, place % 12));
        }
        // An eighth of 8 is 1, of 12 is 1.5 and so 2.
        let expected = (3..=5).flat_map(|y| (4..=8).map(move |x| (y, x))).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn half_of_each_side_is_cut_out_unless_it_is_at_the_border() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let spans: Vec<_> = (0..200).map(|_| cut(8, &mut random)).collect();
        assert!(spans.iter().all(|span| span.end <= 8 && (2..=4).contains(&span.len())), "{spans:?}");
        assert!(spans.contains(&(2..6)) && spans.contains(&(0..2)) && spans.contains(&(6..8)), "{spans:?}");
    }

    #[test]
    fn colours_change_around_their_means() {
        let device = Device::flex();
        let one = |value: f32| Tensor::<4>::full([1, 1, 1, 1], value, &device);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let size = Size { height: 8, width: 8, channels: 3 };
        let mut still = DiffAugment::draw(1, size, &mut random, &device);
        let identity = Tensor::<2>::eye(8, &device).reshape([1, 1, 8, 8]);
        (still.rows, still.columns, still.mask) = (identity.clone(), identity, Tensor::ones([1, 1, 8, 8], &device));
        let pixel = |augment: &DiffAugment| -> Vec<f32> {
            let colour = Tensor::<1>::from_floats([0.1, 0.2, 0.6], &device).reshape([1, 3, 1, 1]);
            let image = colour.expand([1, 3, 8, 8]);
            augment.apply(image).into_data().iter::<f32>().step_by(64).collect()
        };
        let check = |[brightness, saturation, contrast]: [f32; 3], expected: [f32; 3]| {
            let (brightness, saturation, contrast) = (one(brightness), one(saturation), one(contrast));
            let still = DiffAugment {
                brightness,
                saturation,
                contrast,
                rows: still.rows.clone(),
                columns: still.columns.clone(),
                mask: still.mask.clone(),
            };
            for (found, expected) in pixel(&still).into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        };
        check([0.0, 1.0, 1.0], [0.1, 0.2, 0.6]);
        check([0.5, 1.0, 1.0], [0.6, 0.7, 1.1]);
        check([0.0, 0.0, 1.0], [0.3, 0.3, 0.3]);
        check([0.0, 2.0, 1.0], [-0.1, 0.1, 0.9]);
        check([0.0, 1.0, 0.5], [0.2, 0.25, 0.45]);
    }
}
