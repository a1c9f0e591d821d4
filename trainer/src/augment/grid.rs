//! A picture of what a recipe does to images, for people to look at.

use std::sync::Arc;

use super::{Augmenter, Size};
use crate::batches::{Epoch, Stock};
use crate::data::Images;
use crate::recipe::Recipe;
use crate::seed::TrialSeed;
use crate::sheet::{Layout, sheet};

/// Epochs that are looked at, spread evenly over the training.
const VIEWS: u64 = 8;
/// Sides below this are shown larger, by a whole factor.
const LEAST_SIDE: usize = 64;
/// Pixels between images.
const GAP: usize = 4;

/// What becomes of some training images in some epochs of a training.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    /// The epochs (from 0).
    pub epochs: Vec<u64>,
    /// Places of the images in the split, a row each.
    pub places: Vec<usize>,
    /// Row after row: an image as it is after preprocessing, then what it is in each of the epochs; nothing where the
    /// epoch leaves it out.
    pub images: Vec<Option<Vec<u8>>>,
    /// Of each image.
    pub size: Size,
}

impl Views {
    /// Of `count` images spread evenly over the split, which are preprocessed already, exactly as the training has them;
    /// the stock is what the training's epochs are made of.
    pub(crate) fn new(images: &Images, stock: &Stock, recipe: &Recipe, seed: TrialSeed, count: usize) -> Self {
        let augmenter = Arc::new(Augmenter::new(&recipe.augment, images));
        let mut epochs: Vec<u64> = (0..VIEWS).map(|view| view * recipe.epochs / VIEWS).collect();
        epochs.dedup();
        let seen = epochs.iter().map(|epoch| Epoch::new(stock, augmenter.clone(), recipe, seed, *epoch));
        let seen: Vec<Epoch> = seen.collect();
        let count = count.min(images.len());
        let places: Vec<usize> = (0..count).map(|row| row * images.len() / count).collect();
        let row = |place: &usize| {
            let views = seen.iter().map(|epoch| epoch.image(stock.images(), *place));
            std::iter::once(Some(images.image(*place).to_vec())).chain(views).collect::<Vec<_>>()
        };
        Self { images: places.iter().flat_map(row).collect(), epochs, places, size: Size::of(images) }
    }
}

/// A PNG of `count` training images spread evenly over the split: each row an image as it is after preprocessing, then what it is in up to
/// eight epochs spread evenly over the training, mixed with its partner there where the recipe mixes.
pub fn augmented_grid(images: &Arc<Images>, recipe: &Recipe, seed: TrialSeed, count: usize) -> Vec<u8> {
    let images = recipe.preprocess.apply(images);
    let Views { epochs, images, size, .. } = Views::new(&images, &images.clone().into(), recipe, seed, count.max(1));
    let zoom = LEAST_SIDE.div_ceil(size.height.min(size.width)).max(1);
    sheet(&images, size, Layout { columns: 1 + epochs.len(), zoom, gap: GAP })
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
            let recipe = Recipe { augment, batch_size: 5, ..Default::default() };
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
