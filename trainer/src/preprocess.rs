//! What is done to all images once, before any is augmented: denoising and equalization of brightness.

use std::sync::Arc;

use rayon::prelude::*;

use crate::augment::{Canvas, Size, luma};
use crate::data::Images;
use crate::recipe::{Clahe, Denoise, Equalize, Preprocess};

impl Preprocess {
    /// The images, preprocessed; the very same ones if nothing is to be done.
    pub fn apply(&self, images: &Arc<Images>) -> Arc<Images> {
        if *self == Self::default() || images.is_empty() {
            return images.clone();
        }
        let mut done = Images::clone(images);
        let size = Size::of(images);
        let canvas = || Canvas::new(size);
        done.pixels.par_chunks_exact_mut(size.bytes()).for_each_init(canvas, |canvas, image| {
            match &self.denoise {
                Denoise::None(_) => {}
                Denoise::Median(median) => medians(image, size, median.radius),
                Denoise::Gaussian(gaussian) => {
                    canvas.pixels.copy_from_slice(image);
                    canvas.blur(gaussian.sigma);
                    image.copy_from_slice(&canvas.pixels);
                }
            }
            match &self.equalize {
                Equalize::None(_) => {}
                Equalize::Histogram(_) => change_luma(image, size, flatten),
                Equalize::Clahe(clahe) => change_luma(image, size, |luma| equalize_tiles(luma, size, clahe)),
            }
        });
        Arc::new(done)
    }
}

/// Each value's median in a square, whose border pixels are repeated beyond the image.
fn medians(image: &mut [u8], size: Size, radius: usize) {
    let Size { height, width, channels } = size;
    let old = image.to_vec();
    let around = |place: usize, side: usize| {
        (place as isize - radius as isize..=(place + radius) as isize)
            .map(move |at| at.clamp(0, side as isize - 1) as usize)
    };
    let mut values = Vec::with_capacity((2 * radius + 1).pow(2));
    for (place, median) in image.iter_mut().enumerate() {
        let (row, column, channel) = (place / channels / width, place / channels % width, place % channels);
        values.clear();
        for row in around(row, height) {
            values.extend(around(column, width).map(|column| old[(row * width + column) * channels + channel]));
        }
        let middle = values.len() / 2;
        *median = *values.select_nth_unstable(middle).1;
    }
}

/// Changes the brightness of an image and leaves its colours: what the luma gains, every channel gains.
fn change_luma(image: &mut [u8], size: Size, change: impl Fn(&mut [u8])) {
    if size.channels == 1 {
        return change(image);
    }
    let pixels = image.as_chunks_mut::<3>().0;
    let old: Vec<u8> = pixels.iter().map(|pixel| luma(*pixel)).collect();
    let mut new = old.clone();
    change(&mut new);
    for (pixel, (old, new)) in pixels.iter_mut().zip(old.iter().zip(new)) {
        let gain = i16::from(new) - i16::from(*old);
        *pixel = pixel.map(|value| (i16::from(value) + gain).clamp(0, 255) as u8);
    }
}

fn histogram(values: impl Iterator<Item = u8>) -> [u32; 256] {
    let mut counts = [0; 256];
    values.for_each(|value| counts[usize::from(value)] += 1);
    counts
}

/// As OpenCV's `equalizeHist`.
fn flatten(values: &mut [u8]) {
    let counts = histogram(values.iter().copied());
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let others = values.len() as u32 - counts[first];
    if others == 0 {
        return;
    }
    let (scale, mut sum) = (255.0 / others as f32, 0);
    let table: [u8; 256] = std::array::from_fn(|value| {
        sum += if value > first { counts[value] } else { 0 };
        (sum as f32 * scale).round_ties_even() as u8
    });
    values.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// As OpenCV's CLAHE: a table for each tile, interpolated between the tiles' middles.
fn equalize_tiles(values: &mut [u8], size: Size, clahe: &Clahe) {
    let Size { height, width, .. } = size;
    let [down, across] = [height, width].map(|side| clahe.tiles.min(side));
    // Where the tiles do not fit, OpenCV adds to both sides, to one that fits a whole pixel a tile.
    let fits = height % down == 0 && width % across == 0;
    let tile_of = |side: usize, tiles: usize| if fits { side / tiles } else { side / tiles + 1 };
    let (tile_height, tile_width) = (tile_of(height, down), tile_of(width, across));
    let mirrored = |place: usize, side: usize| {
        let period = 2 * (side - 1).max(1);
        let place = place % period;
        if side == 1 { 0 } else { place.min(period - place) }
    };
    let tables: Vec<[u8; 256]> = (0..down * across)
        .map(|tile| {
            let (top, left) = (tile / across * tile_height, tile % across * tile_width);
            let rows = (top..top + tile_height).map(|row| mirrored(row, height));
            let pixels =
                rows.flat_map(|row| (left..left + tile_width).map(move |column| (row, mirrored(column, width))));
            let counts = histogram(pixels.map(|(row, column)| values[row * width + column]));
            table(counts, tile_height * tile_width, clahe.clip_limit)
        })
        .collect();
    let between = |place: usize, tile: usize, tiles: usize| {
        let at = place as f32 * (1.0 / tile as f32) - 0.5;
        let before = at.floor();
        ([(before as isize).max(0) as usize, ((before as isize + 1) as usize).min(tiles - 1)], at - before)
    };
    for row in 0..height {
        let ([above, below], down_share) = between(row, tile_height, down);
        for column in 0..width {
            let ([left, right], share) = between(column, tile_width, across);
            let value = &mut values[row * width + column];
            let of = |row: usize, column: usize| f32::from(tables[row * across + column][usize::from(*value)]);
            let line = |row: usize| of(row, left) * (1.0 - share) + of(row, right) * share;
            let mixed = line(above) * (1.0 - down_share) + line(below) * down_share;
            *value = mixed.round_ties_even() as u8;
        }
    }
}

/// A tile's table: its summed histogram, of which what exceeds the limit is spread over all values.
fn table(mut counts: [u32; 256], pixels: usize, clip_limit: f64) -> [u8; 256] {
    if clip_limit > 0.0 {
        let limit = ((clip_limit * pixels as f64 / 256.0) as u32).max(1);
        let clipped: u32 = counts.iter().map(|count| count.saturating_sub(limit)).sum();
        counts.iter_mut().for_each(|count| *count = (*count).min(limit) + clipped / 256);
        let rest = clipped as usize % 256;
        if let Some(step) = 256_usize.checked_div(rest) {
            counts.iter_mut().step_by(step).take(rest).for_each(|count| *count += 1);
        }
    }
    let (scale, mut sum) = (255.0 / pixels as f32, 0);
    counts.map(|count| {
        sum += count;
        (sum as f32 * scale).round_ties_even() as u8
    })
}

#[cfg(test)]
mod tests {
    use image::ImageReader;
    use serde::Deserialize;

    use super::*;
    use crate::recipe::{AsItIs, Gaussian, Median};

    #[derive(Debug, Deserialize)]
    struct Case {
        preprocess: Preprocess,
        /// Levels by which it may differ in gray and in colour.
        within: [u8; 2],
    }

    fn images(png: &[u8]) -> Images {
        let sheet = ImageReader::new(std::io::Cursor::new(png)).with_guessed_format().unwrap().decode().unwrap();
        // Tiles stand one below the other.
        let (height, width, channels) = (26, sheet.width() as usize, usize::from(sheet.color().channel_count()));
        let labels = vec![0; sheet.height() as usize / height];
        Images { pixels: sheet.into_bytes(), labels, height, width, channels }
    }

    fn check_sheet(png: &[u8]) {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/golden/preprocess.json")).unwrap();
        let sheet = images(png);
        assert_eq!(cases.len() + 1, sheet.len());
        let first = Images { pixels: sheet.image(0).to_vec(), labels: vec![0], ..sheet.clone() };
        let first = Arc::new(first);
        for (place, case) in cases.iter().enumerate() {
            let found = case.preprocess.apply(&first);
            let worst = found.pixels.iter().zip(sheet.image(place + 1)).map(|(a, b)| a.abs_diff(*b)).max();
            let within = case.within[usize::from(sheet.channels == 3)];
            assert!(worst <= Some(within), "{case:?}: off by {worst:?}");
        }
    }

    #[test]
    fn gray_images_come_out_as_opencvs() {
        check_sheet(include_bytes!("../tests/golden/preprocess-gray.png"));
    }

    #[test]
    fn colour_images_come_out_as_opencvs() {
        check_sheet(include_bytes!("../tests/golden/preprocess-colour.png"));
    }

    #[test]
    fn images_of_any_size_are_preprocessed() {
        for (height, width, channels) in [(1, 1, 1), (1, 7, 3), (5, 2, 1)] {
            let pixels = (0..height * width * channels).map(|i| (i * 40) as u8).collect();
            let images = Arc::new(Images { pixels, labels: vec![0], height, width, channels });
            for denoise in [Denoise::Median(Median { radius: 2 }), Denoise::Gaussian(Gaussian { sigma: 1.5 })] {
                for equalize in [Equalize::Histogram(AsItIs {}), Equalize::Clahe(Clahe::default())] {
                    let preprocess = Preprocess { denoise: denoise.clone(), equalize };
                    assert_eq!(preprocess.apply(&images).pixels.len(), images.pixels.len());
                }
            }
        }
    }

    #[test]
    fn without_preprocessing_the_images_are_not_copied() {
        let images = Arc::new(Images { pixels: vec![1], labels: vec![0], height: 1, width: 1, channels: 1 });
        assert!(Arc::ptr_eq(&images, &Preprocess::default().apply(&images)));
    }
}
