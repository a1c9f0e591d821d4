//! Crops: a shifted view of the padded image, and a random part made as large as the image again.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Size;
use super::canvas::Canvas;
use crate::recipe::Augment;

/// What was drawn for one image: how far the crop is shifted and whether it is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// Rows by which the crop starts above (negative) or below the image.
    pub down: isize,
    /// Columns by which the crop starts left (negative) or right of the image.
    pub right: isize,
    /// Whether the crop is mirrored left to right.
    pub flip: bool,
    /// What lies outside the image.
    pub fill: u8,
}

impl Draw {
    /// Draws for one image.
    pub fn new(augment: &Augment, random: &mut ChaCha8Rng) -> Self {
        let padding = augment.crop_padding as i64;
        let mut shift = || if padding == 0 { 0 } else { random.random_range(-padding..=padding) as isize };
        let (down, right) = (shift(), shift());
        Self { down, right, flip: random.random::<f64>() < augment.flip, fill: augment.fill }
    }

    /// Writes the drawn view of `image` to `view`. Both have the size's bytes.
    pub fn apply(self, image: &[u8], view: &mut [u8], size: Size) {
        let Size { height, width, channels } = size;
        for row in 0..height {
            let line = &mut view[row * width * channels..(row + 1) * width * channels];
            let source_row = row as isize + self.down;
            if source_row < 0 || source_row >= height as isize {
                line.fill(self.fill);
                continue;
            }
            let source = &image[source_row as usize * width * channels..][..width * channels];
            for (column, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let in_crop = if self.flip { width - 1 - column } else { column };
                let source_column = in_crop as isize + self.right;
                match (0..width as isize).contains(&source_column) {
                    true => pixel.copy_from_slice(&source[source_column as usize * channels..][..channels]),
                    false => pixel.fill(self.fill),
                }
            }
        }
    }
}

/// A part of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Part {
    /// A part of at least `least` of the image's area with an aspect between 1 / `ratio` and `ratio`, drawn by the rule
    /// of torchvision's `RandomResizedCrop`.
    pub fn draw(size: Size, least: f64, ratio: f64, random: &mut ChaCha8Rng) -> Self {
        let (height, width) = (size.height as f64, size.width as f64);
        for _ in 0..10 {
            let area = height * width * (least + (1.0 - least) * random.random::<f64>());
            let aspect = (ratio.ln() * (2.0 * random.random::<f64>() - 1.0)).exp();
            let [h, w] = [area / aspect, area * aspect].map(|square| square.sqrt().round_ties_even() as usize);
            if (1..=size.height).contains(&h) && (1..=size.width).contains(&w) {
                let (top, left) = (random.random_range(0..=size.height - h), random.random_range(0..=size.width - w));
                return Self { top, left, height: h, width: w };
            }
        }
        Self::middle(size, ratio)
    }

    /// The largest part in the middle with an aspect that is allowed.
    fn middle(size: Size, ratio: f64) -> Self {
        let within = |side: usize, other: usize| side.min((other as f64 * ratio).round_ties_even() as usize);
        let (height, width) = (within(size.height, size.width), within(size.width, size.height));
        Self { top: (size.height - height) / 2, left: (size.width - width) / 2, height, width }
    }
}

impl Canvas {
    /// Makes a part as large as the image, with the antialiased triangle filter.
    pub(super) fn zoom(&mut self, part: Part) {
        let Size { height, width, channels } = self.size;
        let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
        // Cut out first: the filter shall not reach beyond the part.
        let lines = self.pixels.chunks_exact(width * channels).skip(part.top).take(part.height);
        let cut = lines.flat_map(|line| &line[part.left * channels..(part.left + part.width) * channels]);
        let cut: Vec<u8> = cut.copied().collect();
        let from = ImageRef::new(part.width as u32, part.height as u32, &cut, kind).expect("a part has all its pixels");
        let mut to = Image::from_slice_u8(width as u32, height as u32, &mut self.next, kind)
            .expect("the next version has the same size");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer
            .resize(&from, &mut to, &options)
            .expect("both images have the same kind of pixels and some extent");
        self.swap();
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
    fn a_crop_is_shifted_then_mirrored_and_filled_outside() {
        check(Draw::default(), [1, 2, 3, 4, 5, 6]);
        check(Draw { flip: true, ..Default::default() }, [3, 2, 1, 6, 5, 4]);
        check(Draw { down: 1, ..Default::default() }, [4, 5, 6, 0, 0, 0]);
        check(Draw { right: -1, fill: 7, ..Default::default() }, [7, 1, 2, 7, 4, 5]);
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
        let draws: Vec<Draw> = (0..4000).map(|_| Draw::new(&augment, &mut random)).collect();
        assert!(draws.iter().all(|draw| draw.down.abs() <= 2 && draw.right.abs() <= 2));
        for shift in -2..=2 {
            let share = draws.iter().filter(|draw| draw.down == shift).count() as f64 / 4000.0;
            assert!((share - 0.2).abs() < 0.03, "{shift}: {share}");
        }
        let flipped = draws.iter().filter(|draw| draw.flip).count() as f64 / 4000.0;
        assert!((flipped - 0.25).abs() < 0.03, "{flipped}");
    }

    #[test]
    fn parts_keep_to_their_area_and_aspect() {
        let size = Size { height: 64, width: 48, channels: 1 };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let parts: Vec<Part> = (0..2000).map(|_| Part::draw(size, 0.3, 4.0 / 3.0, &mut random)).collect();
        for part in &parts {
            let (area, aspect) = ((part.height * part.width) as f64 / 3072.0, part.width as f64 / part.height as f64);
            assert!((0.28..=1.0).contains(&area) && (0.72..1.39).contains(&aspect), "{part:?}");
            assert!(part.top + part.height <= 64 && part.left + part.width <= 48, "{part:?}");
        }
        // torchvision's `get_params` has these means over 100,000 draws.
        let mean = |side: fn(&Part) -> usize| parts.iter().map(side).sum::<usize>() as f64 / 2000.0;
        assert!((mean(|part| part.height) - 42.12).abs() < 0.8, "{}", mean(|part| part.height));
        assert!((mean(|part| part.width) - 39.89).abs() < 0.8, "{}", mean(|part| part.width));
    }

    #[test]
    fn an_image_too_long_for_every_part_gives_its_middle() {
        let size = Size { height: 10, width: 100, channels: 1 };
        let part = Part::draw(size, 1.0, 1.5, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(part, Part { top: 0, left: 42, height: 10, width: 15 });
    }
}
