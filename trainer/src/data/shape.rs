//! The one size and number of channels that all images of a data set get.

use super::{DataSpec, Filter};

/// Size of every prepared image, and how it comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub filter: Filter,
    /// Share of each side that is kept, around the middle.
    pub crop: f64,
}

/// Size of one image as it is on the disk, upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub height: u32,
    pub width: u32,
    pub colour: bool,
}

/// Sizes of many images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    /// Height and width, if all are alike.
    pub common: Option<(u32, u32)>,
    /// Least, median and greatest short side.
    pub short_sides: [u32; 3],
    /// Whether any is in colour.
    pub colour: bool,
    /// Whether any is gray.
    pub gray: bool,
}

/// Without a wish, photos become squares of at most this side: the size at which a small network on a CPU, or on a part
/// of a GPU, goes through thousands of photos in minutes, and most classes of objects can still be told apart.
const DEFAULT_SIDE: u32 = 64;

impl Looks {
    /// All images have this look.
    pub fn uniform(look: Look) -> Self {
        Self::of(&[look]).expect("one look is not none")
    }

    /// `None` for no images.
    pub fn of(looks: &[Look]) -> Option<Self> {
        let first = looks.first()?;
        let mut short: Vec<u32> = looks.iter().map(|look| look.height.min(look.width)).collect();
        short.sort_unstable();
        Some(Self {
            common: looks
                .iter()
                .all(|look| (look.height, look.width) == (first.height, first.width))
                .then_some((first.height, first.width)),
            short_sides: [short[0], short[short.len() / 2], short[short.len() - 1]],
            colour: looks.iter().any(|look| look.colour),
            gray: looks.iter().any(|look| !look.colour),
        })
    }

    /// The size that images get: as wished by a spec that was checked, or by the rule that [`DataSpec::image_size`] states.
    pub fn shape(&self, spec: &DataSpec) -> Shape {
        let (height, width) = match (spec.image_size, self.common) {
            (Some(side), _) => (side, side),
            (None, Some((height, width))) if height.min(width) <= DEFAULT_SIDE => (height, width),
            (None, _) => [self.short_sides[1].min(DEFAULT_SIDE); 2].into(),
        };
        Shape {
            height: height as usize,
            width: width as usize,
            channels: spec.channels.map_or([1, 3][usize::from(self.colour)], |channels| channels as usize),
            filter: spec.filter.unwrap_or_default(),
            crop: spec.crop.unwrap_or(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[(u32, u32)], wish: Option<u32>, expected: (usize, usize)) {
        let looks: Vec<Look> = sizes.iter().map(|&(height, width)| Look { height, width, colour: true }).collect();
        let spec = DataSpec { image_size: wish, ..DataSpec::new("x") };
        let shape = Looks::of(&looks).unwrap().shape(&spec);
        assert_eq!((shape.height, shape.width), expected, "{sizes:?}");
    }

    #[test]
    fn small_images_of_one_size_stay_and_others_become_squares_of_the_median_short_side() {
        check(&[(28, 28), (28, 28)], None, (28, 28));
        check(&[(20, 32), (20, 32)], None, (20, 32));
        check(&[(96, 96), (96, 96)], None, (64, 64));
        check(&[(480, 640), (640, 480), (30, 30)], None, (64, 64));
        check(&[(40, 50), (48, 60), (56, 70)], None, (48, 48));
        check(&[(28, 28), (28, 28)], Some(32), (32, 32));
    }
}
