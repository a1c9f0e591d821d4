//! What is done to training images at random, on bytes, each image from its own stream.

mod distribution;
mod mix;

pub use mix::Mix;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::recipe::Augment;

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
    /// Bytes of an image.
    pub fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// What was drawn for one image: how far the crop is shifted and whether it is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// Rows by which the crop starts above (negative) or below the image.
    pub down: isize,
    /// Columns by which the crop starts left (negative) or right of the image.
    pub right: isize,
    /// Whether the crop is mirrored left to right.
    pub flip: bool,
}

impl Augment {
    /// Whether each image by itself stays as it is.
    pub fn is_off(&self) -> bool {
        self.flip == 0.0 && self.crop_padding == 0
    }

    /// Draws for one image.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> Draw {
        let padding = self.crop_padding as i64;
        let mut shift = || if padding == 0 { 0 } else { random.random_range(-padding..=padding) as isize };
        let (down, right) = (shift(), shift());
        Draw { down, right, flip: random.random::<f64>() < self.flip }
    }
}

impl Draw {
    /// Writes the drawn view of `image` to `view`; what lies outside the image is black. Both have the size's bytes.
    pub fn apply(self, image: &[u8], view: &mut [u8], size: Size) {
        let Size { height, width, channels } = size;
        for row in 0..height {
            let line = &mut view[row * width * channels..(row + 1) * width * channels];
            let source_row = row as isize + self.down;
            if source_row < 0 || source_row >= height as isize {
                line.fill(0);
                continue;
            }
            let source = &image[source_row as usize * width * channels..][..width * channels];
            for (column, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let in_crop = if self.flip { width - 1 - column } else { column };
                let source_column = in_crop as isize + self.right;
                match (0..width as isize).contains(&source_column) {
                    true => pixel.copy_from_slice(&source[source_column as usize * channels..][..channels]),
                    false => pixel.fill(0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn check(draw: Draw, expected: [u8; 6]) {
        let mut view = [9; 6];
        draw.apply(&[1, 2, 3, 4, 5, 6], &mut view, Size { height: 2, width: 3, channels: 1 });
        assert_eq!(view, expected, "{draw:?}");
    }

    #[test]
    fn a_crop_is_shifted_then_mirrored_and_black_outside() {
        check(Draw::default(), [1, 2, 3, 4, 5, 6]);
        check(Draw { flip: true, ..Default::default() }, [3, 2, 1, 6, 5, 4]);
        check(Draw { down: 1, ..Default::default() }, [4, 5, 6, 0, 0, 0]);
        check(Draw { right: -1, ..Default::default() }, [0, 1, 2, 0, 4, 5]);
        check(Draw { right: -1, flip: true, ..Default::default() }, [2, 1, 0, 5, 4, 0]);
        check(Draw { down: -5, ..Default::default() }, [0; 6]);
    }

    #[test]
    fn the_pixels_of_a_colour_stay_together() {
        let mut view = [0; 6];
        let size = Size { height: 1, width: 2, channels: 3 };
        Draw { flip: true, ..Default::default() }.apply(&[1, 2, 3, 4, 5, 6], &mut view, size);
        assert_eq!(view, [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn draws_keep_to_their_bounds_and_chances() {
        let augment = Augment { flip: 0.25, crop_padding: 2, ..Default::default() };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<Draw> = (0..4000).map(|_| augment.draw(&mut random)).collect();
        assert!(draws.iter().all(|draw| draw.down.abs() <= 2 && draw.right.abs() <= 2));
        for shift in -2..=2 {
            let share = draws.iter().filter(|draw| draw.down == shift).count() as f64 / 4000.0;
            assert!((share - 0.2).abs() < 0.03, "{shift}: {share}");
        }
        let flipped = draws.iter().filter(|draw| draw.flip).count() as f64 / 4000.0;
        assert!((flipped - 0.25).abs() < 0.03, "{flipped}");
    }
}
