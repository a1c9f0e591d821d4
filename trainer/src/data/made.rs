//! `arrows-and-disks`: drawn images of which it is known what changes their class, to see whether a method finds out.
//!
//! Gray arrows in four directions, and disks in red, green, blue and gray, on a dark ground with noise. Mirroring and quarter
//! turns make one arrow into another; turning hues and taking colours away makes one disk into another. Everything else
//! (moving and shearing a little, brightness, contrast, sharpness, blur, noise, …) leaves the class as it is.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    LoadError,
    shape::Looks,
    source::{Array, Kind, Labels, Pixels, ReadArray, Source, Split},
};

/// What the data set is called in `data.path`.
pub(super) const NAME: &str = "arrows-and-disks";

/// Arrows first, counter-clockwise.
const CLASSES: [&str; 8] =
    ["right arrow", "up arrow", "left arrow", "down arrow", "red disk", "green disk", "blue disk", "gray disk"];
const SIDE: usize = 24;
const TRAIN_PER_CLASS: usize = 300;
const TEST_PER_CLASS: usize = 100;
/// Pixels from the middle of an object to its edge: the largest translation of a policy leaves half of it in the image.
const REACH: f64 = 4.5;

pub(super) fn open() -> Source {
    let labels =
        |per_class: usize| (0..per_class * CLASSES.len()).map(|place| (place % CLASSES.len()) as u32).collect();
    Source {
        kind: Kind::Embedded,
        path: PathBuf::from(NAME),
        classes: CLASSES.map(str::to_owned).to_vec(),
        labels: Labels { train: labels(TRAIN_PER_CLASS), validation: None, test: Some(labels(TEST_PER_CLASS)) },
        looks: Looks::uniform(Array { pixels: vec![], height: SIDE as u32, width: SIDE as u32, channels: 3 }.look()),
        notices: vec![],
        pixels: Pixels::Arrays(Box::new(Drawn)),
    }
}

struct Drawn;

impl ReadArray for Drawn {
    fn read(&self, split: Split) -> Result<Array, LoadError> {
        let per_class = if split == Split::Test { TEST_PER_CLASS } else { TRAIN_PER_CLASS };
        let mut random = ChaCha8Rng::seed_from_u64(split as u64);
        let pixels =
            (0..per_class * CLASSES.len()).flat_map(|place| draw(place % CLASSES.len(), &mut random)).collect();
        Ok(Array { pixels, height: SIDE as u32, width: SIDE as u32, channels: 3 })
    }
}

/// One image of a class, of `SIDE` × `SIDE` pixels.
fn draw(class: usize, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut between = |low: f64, high: f64| low + (high - low) * random.random::<f64>();
    let middle = [0, 1].map(|_| SIDE as f64 / 2.0 + between(-1.5, 1.5));
    let colour = match class {
        4..7 => from_hue(120.0 * (class as f64 - 4.0) + between(-12.0, 12.0), between(0.7, 1.0), between(170.0, 235.0)),
        // As dark as the others are without their colours, too.
        7 => from_hue(between(0.0, 360.0), between(0.0, 0.08), between(50.0, 235.0)),
        _ => from_hue(between(0.0, 360.0), between(0.0, 0.08), between(170.0, 235.0)),
    };
    let ground = between(0.0, 20.0);
    // A white speck in one of the corners: no stretching of contrasts makes colours of grays then, or grays of colours.
    let corner = [between(0.0, 2.0) as usize, between(0.0, 2.0) as usize].map(|side| side * (SIDE - 2));
    // Degrees, counter-clockwise; a little off, as hand-drawn ones are.
    let tilt = (90.0 * class as f64 + between(-4.0, 4.0)).to_radians();
    let (sine, cosine) = tilt.sin_cos();
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for place in 0..SIDE * SIDE {
        let (x, y) = ((place % SIDE) as f64 + 0.5 - middle[0], middle[1] - (place / SIDE) as f64 - 0.5);
        let (along, across) = (x * cosine + y * sine, y * cosine - x * sine);
        let is_in = if class < 4 { in_arrow(along, across) } else { x.hypot(y) <= REACH };
        let is_speck = (corner[0]..corner[0] + 2).contains(&(place % SIDE))
            && (corner[1]..corner[1] + 2).contains(&(place / SIDE));
        for value in if is_speck {
            [255.0; 3]
        } else if is_in {
            colour
        } else {
            [ground; 3]
        } {
            pixels.push((value + between(-5.0, 5.0)).round().clamp(0.0, 255.0) as u8);
        }
    }
    pixels
}

/// Whether a place, in pixels along and across the arrow from its middle, lies in it.
fn in_arrow(along: f64, across: f64) -> bool {
    let shaft = (-REACH..=0.5).contains(&along) && across.abs() <= 1.0;
    let head = (0.0..=REACH).contains(&along) && across.abs() <= REACH - along;
    shaft || head
}

/// Red, green and blue of a hue in degrees, a saturation in [0, 1] and a value.
fn from_hue(hue: f64, saturation: f64, value: f64) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue / 60.0).rem_euclid(6.0);
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean colour of the middle of a class's images.
    fn middle(class: usize) -> [f64; 3] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let at = (SIDE / 2 * SIDE + SIDE / 2) * 3;
        let mut sums = [0.0; 3];
        for _ in 0..50 {
            let image = draw(class, &mut random);
            sums.iter_mut().zip(&image[at..]).for_each(|(sum, byte)| *sum += f64::from(*byte) / 50.0);
        }
        sums
    }

    #[test]
    fn disks_have_the_colours_of_their_names() {
        for (class, channel) in [(4, 0), (5, 1), (6, 2)] {
            let colour = middle(class);
            assert!((0..3).all(|other| other == channel || colour[channel] > colour[other] + 100.0), "{colour:?}");
        }
        let [red, green, blue] = middle(7);
        assert!((red - green).abs() < 10.0 && (green - blue).abs() < 10.0 && red > 100.0);
    }

    #[test]
    fn arrows_have_their_heads_where_they_point() {
        // Right, up, left, down, as columns and rows of the image's middle.
        for (class, [right, down]) in [(0, [1, 0]), (1, [0, -1]), (2, [-1, 0]), (3, [0, 1])] {
            let mut random = ChaCha8Rng::seed_from_u64(2);
            let (mut ahead, mut behind) = (0, 0);
            for _ in 0..20 {
                let image = draw(class, &mut random);
                for (place, pixel) in image.chunks(3).enumerate() {
                    let (x, y) = ((place % SIDE) as i32 - 12, (place / SIDE) as i32 - 12);
                    let (along, across) = (x * right + y * down, x * down - y * right);
                    // The head is wider than the shaft; the speck is farther away.
                    if pixel[0] > 120 && (3..8).contains(&across.abs()) && along.abs() < 8 {
                        if along >= -1 { ahead += 1 } else { behind += 1 }
                    }
                }
            }
            assert!(ahead > 10 * behind && ahead > 50, "{}: {ahead} {behind}", CLASSES[class]);
        }
    }
}
