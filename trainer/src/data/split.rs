//! Setting a fraction of labelled images apart, stratified: each class gives the same fraction.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::source::Split;

/// Divides `among` (places in `labels`) into what stays and what is set apart for a split, both in their order.
///
/// A pure function of its arguments. Each class of at least two images gives the rounded fraction, at least one and not
/// all; a class of one image stays.
pub(super) fn set_apart(
    labels: &[u32],
    among: &[usize],
    fraction: f64,
    seed: u64,
    split: Split,
) -> (Vec<usize>, Vec<usize>) {
    let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
    let mut members = vec![Vec::new(); classes];
    for &place in among {
        members[labels[place] as usize].push(place);
    }
    let mut apart = vec![false; labels.len()];
    for (class, mut members) in members.into_iter().enumerate() {
        if members.len() < 2 || fraction <= 0.0 {
            continue;
        }
        let count = (members.len() as f64 * fraction).round() as usize;
        members.shuffle(&mut stream(seed, split, class));
        for place in &members[..count.clamp(1, members.len() - 1)] {
            apart[*place] = true;
        }
    }
    among.iter().partition(|&&place| !apart[place])
}

/// A class has a stream of its own, so that a class more or an image more elsewhere moves none of its images.
fn stream(seed: u64, split: Split, class: usize) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("nightsweep data split");
    hasher.update(&seed.to_le_bytes()).update(&[split as u8]).update(&(class as u64).to_le_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(counts: &[usize]) -> Vec<u32> {
        counts.iter().enumerate().flat_map(|(class, &n)| std::iter::repeat_n(class as u32, n)).collect()
    }

    fn apart(counts: &[usize], fraction: f64, seed: u64) -> Vec<usize> {
        let labels = labels(counts);
        let all: Vec<usize> = (0..labels.len()).collect();
        let (stays, apart) = set_apart(&labels, &all, fraction, seed, Split::Validation);
        let mut both = [stays, apart.clone()].concat();
        both.sort_unstable();
        assert_eq!(both, all, "each image is in exactly one part");
        apart
    }

    fn check(counts: &[usize], fraction: f64, expected: &[usize]) {
        let labels = labels(counts);
        let mut found = vec![0; counts.len()];
        for place in apart(counts, fraction, 1) {
            found[labels[place] as usize] += 1;
        }
        assert_eq!(found, expected, "{fraction} of {counts:?}");
    }

    #[test]
    fn each_class_gives_its_fraction() {
        check(&[100, 10, 54], 0.1, &[10, 1, 5]);
        check(&[3, 2, 1, 0], 0.1, &[1, 1, 0, 0]);
        check(&[3, 2, 1], 0.9, &[2, 1, 0]);
        check(&[10, 10], 0.0, &[0, 0]);
    }

    #[test]
    fn the_seed_decides_which_images() {
        assert_eq!(apart(&[50, 50], 0.2, 7), apart(&[50, 50], 0.2, 7));
        assert_ne!(apart(&[50, 50], 0.2, 7), apart(&[50, 50], 0.2, 8));
    }

    #[test]
    fn the_split_of_a_seed_stays_what_it_was() {
        // A change here changes every score of every study.
        assert_eq!(apart(&[12, 8], 0.25, 1), [5, 8, 9, 13, 14]);
    }
}
