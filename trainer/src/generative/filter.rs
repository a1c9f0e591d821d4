//! What tells generated images of the asked class from others: a classifier that learned from the same training split, the
//! classes alike often.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::{Gan, GenerateError};
use crate::augment::Canvas;
use crate::data::{Dataset, Images};
use crate::fit::{Job, Observer};
use crate::policy::Child;
use crate::recipe::{Augment, Keep, Recipe, Sampling};

/// Images that are tried for each one that is wanted, at most. Where not one in so many passes, the generator has not
/// learned the class, and what passes is chance.
const TRIES: usize = 10;
/// Images that are tried at once.
const BATCH: usize = 256;

/// A classifier and how sure it must be.
#[derive(Debug)]
pub struct Filter {
    child: Child,
    classes: usize,
    likelihood: f64,
}

/// What came of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Sifted {
    /// The images that passed, no more than were wanted.
    pub images: Images,
    /// The first images that were generated, whether they passed or not.
    pub first: Images,
    /// Images that were generated.
    pub tried: usize,
    /// Of these, how many passed.
    pub passed: usize,
    /// Whether as many passed as were wanted.
    pub is_enough: bool,
}

impl Filter {
    /// Trains the classifier by the job's recipe, but for what is said here: of the augmentation only the crop stays, as
    /// others may make one class into another, and nothing but the training split is looked at, to choose an epoch by
    /// neither. An image passes if its asked class has at least this likelihood.
    pub fn train(job: &Job, likelihood: f64, observer: &mut dyn Observer) -> Result<Self, GenerateError> {
        let recipe = Recipe {
            augment: Augment { crop_padding: job.recipe.augment.crop_padding, ..Augment::none() },
            sampling: Sampling::Balanced,
            keep: Keep::Last,
            patience: 0,
            target: None,
            changes: Vec::new(),
            ..job.recipe.clone()
        };
        let data = Dataset { validation: job.data.train.clone(), ..job.data.clone() };
        let job = Job { recipe: &recipe, data: &data, checkpoints: None, ..*job };
        let (_, child) = Child::train(&job, observer)?;
        let child = child.ok_or(GenerateError::FilterDiverged)?;
        Ok(Self { child, classes: data.classes.len(), likelihood })
    }

    /// Generates images of a class until so many have passed, or ten times as many were tried. Waits for the device.
    pub fn sift(&self, gan: &Gan, class: usize, wanted: usize, random: &mut ChaCha8Rng) -> Sifted {
        let (mut kept, mut first) = (gan.images(class, 0, random), None);
        let (mut tried, mut passed) = (0, 0);
        while passed < wanted && tried < TRIES * wanted {
            let images = Arc::new(gan.images(class, BATCH.min(TRIES * wanted - tried), random));
            tried += images.len();
            first.get_or_insert_with(|| (*images).clone());
            for (place, likelihood) in self.likelihoods(&images, class).into_iter().enumerate() {
                if likelihood < self.likelihood {
                    continue;
                }
                passed += 1;
                if passed <= wanted {
                    kept.pixels.extend_from_slice(images.image(place));
                    kept.labels.push(class as u32);
                }
            }
        }
        let first = first.unwrap_or_else(|| kept.clone());
        Sifted { images: kept, first, tried, passed, is_enough: passed >= wanted }
    }

    /// What the classifier gives the class, for each image.
    fn likelihoods(&self, images: &Arc<Images>, class: usize) -> Vec<f64> {
        let view = |canvas: &mut Canvas, images: &Images, index| canvas.pixels.copy_from_slice(images.image(index));
        let logs = self.child.log_likelihoods(&self.child.prepare(images), (0..images.len()).collect(), view);
        logs.chunks_exact(self.classes).map(|row| f64::from(row[class]).exp()).collect()
    }
}
