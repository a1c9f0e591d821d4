//! Which images an epoch has, and in which order.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::recipe::Sampling;
use crate::seed::{Purpose, TrialSeed};

/// Places of the images of an epoch (from 0), as many as there are. A place is that of the image, plus the number of
/// images for each time that it came before: what is random about it is then drawn anew.
pub fn epoch_order(labels: &[u32], sampling: Sampling, seed: TrialSeed, epoch: u64) -> Vec<usize> {
    let mut random = seed.stream(Purpose::Order, epoch, 0);
    let mut order: Vec<usize> = match sampling {
        Sampling::Shuffled => (0..labels.len()).collect(),
        Sampling::Balanced => balanced(labels, &mut random),
    };
    order.shuffle(&mut random);
    order
}

/// The same number of each class that has images (Kang 2020, arXiv 1910.09217, section 4), but in turns rather than by
/// chance: no image comes again before all of its class have come. What is left over goes to classes by lot.
fn balanced(labels: &[u32], random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut classes: Vec<Vec<usize>> = vec![Vec::new(); labels.iter().max().map_or(0, |last| *last as usize + 1)];
    labels.iter().enumerate().for_each(|(place, label)| classes[*label as usize].push(place));
    classes.retain(|class| !class.is_empty());
    classes.shuffle(random);
    let (each, more) = (labels.len() / classes.len().max(1), labels.len() % classes.len().max(1));
    let mut order = Vec::with_capacity(labels.len());
    for (number, class) in classes.iter_mut().enumerate() {
        let wanted = each + usize::from(number < more);
        for turn in 0..wanted.div_ceil(class.len()) {
            class.shuffle(random);
            let left = (wanted - turn * class.len()).min(class.len());
            order.extend(class[..left].iter().map(|place| place + turn * labels.len()));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

    fn labels(counts: &[usize]) -> Vec<u32> {
        (0..).zip(counts).flat_map(|(class, count)| vec![class; *count]).collect()
    }

    /// Images of each class in a balanced epoch.
    fn check(counts: &[usize], expected: &[usize]) {
        let labels = labels(counts);
        let order = epoch_order(&labels, Sampling::Balanced, SEED, 0);
        let mut found = vec![0; counts.len()];
        order.iter().for_each(|place| found[labels[place % labels.len()] as usize] += 1);
        found.sort_unstable();
        assert_eq!(found, expected, "{counts:?}");
    }

    #[test]
    fn a_balanced_epoch_has_as_many_images_of_each_class() {
        check(&[90, 9, 3], &[34, 34, 34]);
        check(&[3, 2, 2], &[2, 2, 3]);
        check(&[5, 0, 5], &[0, 5, 5]);
        check(&[], &[]);
    }

    #[test]
    fn no_image_comes_again_before_all_of_its_class() {
        let labels = labels(&[20, 3]);
        let order = epoch_order(&labels, Sampling::Balanced, SEED, 4);
        let mut times = [0; 3];
        order.iter().filter(|place| **place % 23 >= 20).for_each(|place| times[place % 23 - 20] += 1);
        assert!(times.iter().all(|times| [3, 4].contains(times)), "{times:?}");
        let mut places = order.clone();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), order.len(), "each time has a place of its own");
    }

    #[test]
    fn equal_classes_come_once_each_either_way() {
        for sampling in [Sampling::Shuffled, Sampling::Balanced] {
            let mut order = epoch_order(&labels(&[4, 4]), sampling, SEED, 0);
            assert_ne!(order, (0..8).collect::<Vec<_>>());
            order.sort_unstable();
            assert_eq!(order, (0..8).collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_epoch_has_its_own_order() {
        let order = |epoch| epoch_order(&labels(&[9, 3]), Sampling::Balanced, SEED, epoch);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
