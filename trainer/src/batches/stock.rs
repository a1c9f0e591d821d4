//! The images that epochs are made of: those of the training split, and generated ones in a ratio to them.

use std::sync::Arc;

use rand::seq::SliceRandom;

use super::order::epoch_order;
use crate::data::{Images, class_counts};
use crate::recipe::{Recipe, Sampling};
use crate::seed::{Purpose, TrialSeed};

/// The training split, with generated images behind it.
#[derive(Clone, Debug)]
pub struct Stock {
    images: Arc<Images>,
    /// How many of them are real.
    real: usize,
    /// Real and generated images of each class: what an epoch has is asked for at every step.
    counts: Arc<[Vec<usize>; 2]>,
}

impl From<Arc<Images>> for Stock {
    fn from(images: Arc<Images>) -> Self {
        let real = images.len();
        Self::new(images, real)
    }
}

impl Stock {
    /// Both in one; takes the memory of the training split once more.
    pub fn with_generated(real: &Images, generated: &Images) -> Self {
        let images = Images {
            pixels: [&real.pixels[..], &generated.pixels].concat(),
            labels: [&real.labels[..], &generated.labels].concat(),
            ..*real
        };
        Self::new(Arc::new(images), real.len())
    }

    fn new(images: Arc<Images>, real: usize) -> Self {
        let classes = images.labels.iter().max().map_or(0, |last| *last as usize + 1);
        let (of_real, of_generated) = images.labels.split_at(real);
        let counts = Arc::new([of_real, of_generated].map(|labels| class_counts(labels, classes)));
        Self { images, real, counts }
    }

    /// All of them.
    pub fn images(&self) -> &Arc<Images> {
        &self.images
    }

    /// Images of an epoch: as many as the training split has, and the generated ones.
    pub fn len_of_epoch(&self, recipe: &Recipe) -> usize {
        self.real + self.generated_of_epoch(recipe).iter().sum::<usize>()
    }

    /// Places of the images of an epoch (from 0). A place is that of the image, plus the number of all images for each
    /// time that it came before.
    pub fn order(&self, recipe: &Recipe, seed: TrialSeed, epoch: u64) -> Vec<usize> {
        let (real, generated) = self.images.labels.split_at(self.real);
        let mut order = epoch_order(real, recipe.sampling, seed, epoch);
        let wanted = self.generated_of_epoch(recipe);
        if wanted.iter().all(|wanted| *wanted == 0) {
            return order;
        }
        let all = self.images.len();
        order.iter_mut().for_each(|place| *place = *place % self.real + *place / self.real * all);
        let mut random = seed.stream(Purpose::Generated, epoch, 0);
        for (class, wanted) in wanted.into_iter().enumerate() {
            let of_class = generated.iter().zip(self.real..).filter(|(label, _)| **label as usize == class);
            let mut places: Vec<usize> = of_class.map(|(_, place)| place).collect();
            // In turns: none comes again before all have come.
            for turn in 0..wanted.div_ceil(places.len().max(1)) {
                places.shuffle(&mut random);
                let left = (wanted - turn * places.len()).min(places.len());
                order.extend(places[..left].iter().map(|place| place + turn * all));
            }
        }
        order.shuffle(&mut random);
        order
    }

    /// Generated images of each class in an epoch: the ratio times its real ones there.
    fn generated_of_epoch(&self, recipe: &Recipe) -> Vec<usize> {
        let [real, generated] = &*self.counts;
        let even = self.real / real.iter().filter(|count| **count > 0).count().max(1);
        let of_class = |(real, generated): (&usize, &usize)| {
            let real = match recipe.sampling {
                _ if *real == 0 || *generated == 0 => 0,
                Sampling::Shuffled => *real,
                Sampling::Balanced => even,
            };
            (recipe.augment.generated.ratio * real as f64).round() as usize
        };
        real.iter().zip(generated).map(of_class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Augment, Generated};

    const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

    fn images(counts: &[usize]) -> Images {
        let labels: Vec<u32> = (0..).zip(counts).flat_map(|(class, count)| vec![class; *count]).collect();
        Images { pixels: vec![0; labels.len()], labels, height: 1, width: 1, channels: 1 }
    }

    fn recipe(ratio: f64, sampling: Sampling) -> Recipe {
        let generated = Generated { path: "g.npz".to_owned(), ratio };
        Recipe { augment: Augment { generated, ..Augment::none() }, sampling, ..Default::default() }
    }

    /// Real and generated images of each class in an epoch.
    fn check(real: &[usize], generated: &[usize], recipe: &Recipe, expected: [&[usize]; 2]) {
        let stock = Stock::with_generated(&images(real), &images(generated));
        let order = stock.order(recipe, SEED, 0);
        let mut found = [vec![0; real.len()], vec![0; real.len()]];
        for place in order.iter().map(|place| place % stock.images.len()) {
            found[usize::from(place >= stock.real)][stock.images.labels[place] as usize] += 1;
        }
        assert_eq!(found, expected.map(<[usize]>::to_vec));
        assert_eq!(order.len(), stock.len_of_epoch(recipe));
        let mut distinct = order.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), order.len(), "each time has a place of its own");
    }

    #[test]
    fn an_epoch_has_generated_images_in_the_ratio() {
        check(&[20, 4], &[0, 9], &recipe(0.5, Sampling::Shuffled), [&[20, 4], &[0, 2]]);
        check(&[20, 4], &[0, 9], &recipe(2.0, Sampling::Shuffled), [&[20, 4], &[0, 8]]);
        // More than there are come again, once all have come.
        check(&[20, 4], &[3, 3], &recipe(2.0, Sampling::Shuffled), [&[20, 4], &[40, 8]]);
        check(&[20, 4], &[0, 9], &recipe(0.0, Sampling::Shuffled), [&[20, 4], &[0, 0]]);
        // Where classes are made even, so are the images to which the ratio is.
        check(&[20, 4], &[0, 9], &recipe(0.5, Sampling::Balanced), [&[12, 12], &[0, 6]]);
        check(&[3, 0], &[0, 9], &recipe(1.0, Sampling::Shuffled), [&[3, 0], &[0, 0]]);
    }

    #[test]
    fn they_are_drawn_anew_for_each_epoch_by_the_seed() {
        let stock = Stock::with_generated(&images(&[6, 2]), &images(&[0, 40]));
        let recipe = recipe(2.0, Sampling::Shuffled);
        let drawn = |seed, epoch| {
            let mut places = stock.order(&recipe, seed, epoch);
            places.retain(|place| *place >= 8);
            places
        };
        assert_eq!(drawn(SEED, 3), drawn(SEED, 3));
        assert_ne!(drawn(SEED, 3), drawn(SEED, 4));
        assert_ne!(drawn(SEED, 3), drawn(TrialSeed { trial: 1, ..SEED }, 3));
    }

    #[test]
    fn without_generated_images_the_order_is_what_it_was() {
        let real = images(&[9, 5]);
        let order = epoch_order(&real.labels, Sampling::Shuffled, SEED, 2);
        let off = recipe(0.0, Sampling::Shuffled);
        assert_eq!(Stock::with_generated(&real, &images(&[0, 9])).order(&off, SEED, 2), order);
        assert_eq!(Stock::from(Arc::new(real)).order(&recipe(1.0, Sampling::Shuffled), SEED, 2), order);
    }
}
