//! A picture of what a recipe does to images, for people to look at.

use std::io::Cursor;
use std::sync::Arc;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use super::{Augmenter, Canvas, Size};
use crate::data::Images;
use crate::recipe::Recipe;
use crate::seed::{Purpose, TrialSeed};

/// Views of each image beside the image itself.
const VIEWS: usize = 8;
/// Sides below this are shown larger, by a whole factor.
const LEAST_SIDE: usize = 64;
/// Pixels between images.
const GAP: usize = 4;

/// A PNG of the first `count` training images: each row an image as it is after preprocessing, then its views at eight
/// places spread evenly over the training, mixed among the rows where the recipe mixes.
pub fn augmented_grid(images: &Arc<Images>, recipe: &Recipe, seed: TrialSeed, count: usize) -> Vec<u8> {
    let images = &*recipe.preprocess.apply(images);
    let size = Size::of(images);
    let count = count.clamp(1, images.len());
    let augmenter = Augmenter::new(&recipe.augment, images);
    let mut canvas = Canvas::new(size);
    let mut columns = vec![images.pixels[..count * size.bytes()].to_vec()];
    for view in 0..VIEWS as u64 {
        let progress = view as f64 / VIEWS as f64;
        let mut column = Vec::new();
        for index in 0..count {
            let mut random = seed.stream(Purpose::Augment, view, index as u64);
            augmenter.view(&mut canvas, images, index, progress, &mut random);
            column.extend_from_slice(&canvas.pixels);
        }
        if let Some(mix) = augmenter.mix(progress, size, &mut seed.stream(Purpose::Mix, view, 0)) {
            // Mixtures are made of planes.
            let plane = |image: &[u8], from: usize, step: usize| image[from..].iter().step_by(step).copied().collect();
            let planes = |image: &[u8]| -> Vec<u8> {
                (0..size.channels).flat_map(|c| -> Vec<u8> { plane(image, c, size.channels) }).collect()
            };
            let mut values: Vec<f32> = column.chunks_exact(size.bytes()).flat_map(planes).map(f32::from).collect();
            mix.apply(&mut values, size);
            let pixels = size.height * size.width;
            let bytes = values.chunks_exact(size.bytes()).flat_map(|image| {
                (0..size.bytes()).map(move |at| image[at % size.channels * pixels + at / size.channels].round() as u8)
            });
            column = bytes.collect();
        }
        columns.push(column);
    }
    png(&columns, size, count)
}

fn png(columns: &[Vec<u8>], size: Size, rows: usize) -> Vec<u8> {
    let zoom = LEAST_SIDE.div_ceil(size.height.min(size.width)).max(1);
    let (tile_width, tile_height) = (size.width * zoom + GAP, size.height * zoom + GAP);
    let (width, height) = (columns.len() * tile_width - GAP, rows * tile_height - GAP);
    let mut sheet = vec![255; width * height * size.channels];
    for (column, images) in columns.iter().enumerate() {
        for (row, image) in images.chunks_exact(size.bytes()).enumerate() {
            for y in 0..size.height * zoom {
                for x in 0..size.width * zoom {
                    let from = (y / zoom * size.width + x / zoom) * size.channels;
                    let to = ((row * tile_height + y) * width + column * tile_width + x) * size.channels;
                    sheet[to..to + size.channels].copy_from_slice(&image[from..from + size.channels]);
                }
            }
        }
    }
    let (width, height) = (width as u32, height as u32);
    let sheet: DynamicImage = match size.channels {
        1 => GrayImage::from_raw(width, height, sheet).expect("the sheet has all its pixels").into(),
        _ => RgbImage::from_raw(width, height, sheet).expect("the sheet has all its pixels").into(),
    };
    let mut png = Cursor::new(Vec::new());
    sheet.write_to(&mut png, ImageFormat::Png).expect("memory takes what is written to it");
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Augment;

    #[test]
    fn a_grid_has_a_row_an_image_and_a_column_a_view() {
        for (channels, mixup) in [(1, 0.0), (3, 1.0)] {
            let pixels = (0..5 * 20 * 30 * channels).map(|i| (i % 251) as u8).collect();
            let images = Arc::new(Images { pixels, labels: vec![0; 5], height: 20, width: 30, channels });
            let augment = Augment { mixup, ..Augment::none() };
            let recipe = Recipe { augment, ..Default::default() };
            let png = augmented_grid(&images, &recipe, TrialSeed { study: 1, trial: 0 }, 3);
            let sheet = image::load_from_memory(&png).unwrap();
            assert_eq!((sheet.width(), sheet.height()), (9 * (4 * 30 + 4) - 4, 3 * (4 * 20 + 4) - 4));
            // Without augmentation every view is the image, unless it is mixed.
            let sheet = sheet.into_rgb8();
            let same = (0..30).all(|x| sheet.get_pixel(4 * x, 8) == sheet.get_pixel(4 * x + 124, 8));
            assert_eq!(same, mixup == 0.0);
        }
    }
}
