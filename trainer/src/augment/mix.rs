//! Mixing the images of a batch: Mixup (Zhang 2018, arXiv 1710.09412) and CutMix (Yun 2019, arXiv 1905.04899), drawn
//! once a batch and with image n − 1 − i as the partner of image i, as timm does by default.

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Size, distribution::beta};
use crate::recipe::Mixing;

/// How the images of one batch are mixed.
#[derive(Clone, Debug, PartialEq)]
pub enum Mix {
    /// Every value is this share of the image's own and the rest of its partner's.
    Blend {
        /// Of the image itself, in [0, 1].
        share: f32,
    },
    /// A rectangle is the partner's.
    Paste {
        /// Its rows.
        rows: Range<usize>,
        /// Its columns.
        columns: Range<usize>,
    },
}

impl Mix {
    /// Draws for one batch by a way of mixing that holds and is not off; `None` leaves it as it is.
    pub fn draw(mixing: Mixing, size: Size, random: &mut ChaCha8Rng) -> Option<Self> {
        let Mixing { mixup, cutmix, chance, switch, .. } = mixing;
        if random.random::<f64>() >= chance {
            return None;
        }
        let pastes = mixup == 0.0 || (cutmix > 0.0 && random.random::<f64>() < switch);
        Some(match pastes {
            false => Self::Blend { share: beta(mixup, random) as f32 },
            true => {
                let share = beta(cutmix, random);
                let (row, column) = (random.random_range(0..size.height), random.random_range(0..size.width));
                Self::paste(share, row, column, size)
            }
        })
    }

    /// A rectangle of the image's proportions around a pixel, cut off at the borders; `share` of the image would stay
    /// if nothing were cut off.
    fn paste(share: f64, row: usize, column: usize, size: Size) -> Self {
        let around = |centre: usize, side: usize| {
            let cut = (side as f64 * (1.0 - share).sqrt()) as usize;
            centre.saturating_sub(cut / 2)..(centre + cut - cut / 2).min(side)
        };
        Self::Paste { rows: around(row, size.height), columns: around(column, size.width) }
    }

    /// The share of an image's own class in its mixture.
    pub fn share(&self, size: Size) -> f32 {
        match self {
            Self::Blend { share } => *share,
            Self::Paste { rows, columns } => {
                1.0 - (rows.len() * columns.len()) as f32 / (size.height * size.width) as f32
            }
        }
    }

    /// Mixes the images of a batch, `[count, channels, height, width]`.
    pub fn apply(&self, pixels: &mut [f32], size: Size) {
        let mut images = pixels.chunks_exact_mut(size.bytes());
        // The middle one of an odd count is its own partner.
        while let (Some(first), Some(second)) = (images.next(), images.next_back()) {
            match self {
                Self::Blend { share } => {
                    for (x, y) in first.iter_mut().zip(second) {
                        (*x, *y) = (share * *x + (1.0 - share) * *y, share * *y + (1.0 - share) * *x);
                    }
                }
                Self::Paste { rows, columns } => {
                    let planes = size.height * size.width;
                    for (plane, other) in first.chunks_exact_mut(planes).zip(second.chunks_exact_mut(planes)) {
                        for row in rows.clone() {
                            let line = row * size.width + columns.start..row * size.width + columns.end;
                            plane[line.clone()].swap_with_slice(&mut other[line]);
                        }
                    }
                }
            }
        }
    }

    /// The same for images that are still bytes, `[count, height, width, channels]`.
    pub(crate) fn apply_to_bytes(&self, images: &mut [u8], size: Size) {
        let mut values = planes_of(images, size);
        self.apply(&mut values, size);
        let pixels = size.height * size.width;
        for (image, values) in images.chunks_exact_mut(size.bytes()).zip(values.chunks_exact(size.bytes())) {
            for (at, byte) in image.iter_mut().enumerate() {
                *byte = values[at % size.channels * pixels + at / size.channels].round() as u8;
            }
        }
    }
}

/// Bytes `[count, height, width, channels]` as values `[count, channels, height, width]`.
fn planes_of(bytes: &[u8], size: Size) -> Vec<f32> {
    let plane = |image: &[u8], channel: usize| -> Vec<f32> {
        image[channel..].iter().step_by(size.channels).copied().map(f32::from).collect()
    };
    let images = bytes.chunks_exact(size.bytes());
    images.flat_map(|image| (0..size.channels).flat_map(move |channel| plane(image, channel))).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::recipe::{Augment, Policy, PolicySpec, SubPolicy};

    const SIZE: Size = Size { height: 2, width: 3, channels: 1 };

    fn check(mix: Mix, expected: [[f32; 6]; 3], share: f32) {
        let mut batch = [[1.0; 6], [2.0; 6], [5.0; 6]].concat();
        mix.apply(&mut batch, SIZE);
        assert_eq!(batch, expected.concat(), "{mix:?}");
        assert_eq!(mix.share(SIZE), share, "{mix:?}");
    }

    #[test]
    fn an_image_is_mixed_with_its_opposite_in_the_batch() {
        check(Mix::Blend { share: 0.75 }, [[2.0; 6], [2.0; 6], [4.0; 6]], 0.75);
        let pasted = Mix::Paste { rows: 1..2, columns: 0..2 };
        check(pasted, [[1.0, 1.0, 1.0, 5.0, 5.0, 1.0], [2.0; 6], [5.0, 5.0, 5.0, 1.0, 1.0, 5.0]], 1.0 - 2.0 / 6.0);
    }

    #[test]
    fn the_rectangle_is_timms() {
        // timm 1.0's rand_bbox((10, 20), share) with these centres: rows, columns.
        let size = Size { height: 10, width: 20, channels: 3 };
        for (share, centre, rows, columns) in [
            (0.5, (0, 0), 0..4, 0..7),
            (0.5, (5, 10), 2..9, 3..17),
            (0.1, (9, 19), 5..10, 10..20),
            (1.0, (4, 4), 4..4, 4..4),
            (0.0, (4, 4), 0..9, 0..14),
        ] {
            assert_eq!(Mix::paste(share, centre.0, centre.1, size), Mix::Paste { rows, columns }, "{share} {centre:?}");
        }
    }

    #[test]
    fn what_is_drawn_follows_the_chances() {
        let count = |augment: Augment, progress: f64| {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let draw = |_| augment.mixing(progress).and_then(|mixing| Mix::draw(mixing, SIZE, &mut random));
            let draws = (0..1000).map(draw);
            draws.fold([0, 0, 0], |[none, blends, pastes], mix| match mix {
                None => [none + 1, blends, pastes],
                Some(Mix::Blend { .. }) => [none, blends + 1, pastes],
                Some(Mix::Paste { .. }) => [none, blends, pastes + 1],
            })
        };
        let both = Augment { mixup: 0.2, cutmix: 1.0, ..Default::default() };
        assert_eq!(count(Augment::default(), 0.0), [1000, 0, 0]);
        assert_eq!(count(Augment { mixup: 0.2, ..Default::default() }, 0.0), [0, 1000, 0]);
        assert_eq!(count(Augment { cutmix: 0.2, ..Default::default() }, 0.0), [0, 0, 1000]);
        assert_eq!(count(Augment { mix_until: 0.8, ..both.clone() }, 0.8), [1000, 0, 0]);
        let [none, blends, pastes] = count(Augment { mix_chance: 0.6, mix_switch: 0.25, ..both.clone() }, 0.5);
        assert!((360..440).contains(&none) && (410..490).contains(&blends) && (110..190).contains(&pastes));
        // A policy that says how stands in the place of all five, also where it leaves a part of the training out.
        let under = |mix: &[Mixing]| {
            let nothing = SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops: Vec::new() };
            let policy = PolicySpec::Custom(Policy { mix: mix.to_vec(), ..Policy::new(vec![nothing]) });
            Augment { policy, mix_until: 0.1, ..both.clone() }
        };
        let half = Mixing { until: 0.5, ..Mixing::of(0.2, 0.0) };
        assert_eq!(count(under(&[half]), 0.4), [0, 1000, 0]);
        assert_eq!(count(under(&[half]), 0.5), [1000, 0, 0]);
        assert_eq!(count(under(&[half, Mixing::of(0.0, 1.0)]), 0.4), [0, 1000, 0]);
        assert_eq!(count(under(&[half, Mixing::of(0.0, 1.0)]), 0.5), [0, 0, 1000]);
        assert_eq!(count(under(&[Mixing::default()]), 0.0), [1000, 0, 0]);
        assert_eq!(count(under(&[]), 0.2), [1000, 0, 0]);
    }
}
