//! The operations of policies: a row each, with its range and what it does.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Size;
use super::affine::Affine;
use super::canvas::Canvas;
use crate::data::Images;
use crate::recipe::{Interpolation, Op};

/// What an operation may need beside the image.
pub struct Around<'a> {
    /// The training images, for those that take a second one.
    pub images: &'a Images,
    /// How moved pixels are computed.
    pub interpolation: Interpolation,
    /// What comes from outside the image.
    pub fill: u8,
    /// The image's own stream.
    pub random: &'a mut ChaCha8Rng,
}

/// An operation.
pub struct Row {
    /// Its name.
    pub op: Op,
    /// Its values at strength 0 and 1; the same at both if it has no strength.
    pub range: fn(Size) -> [f64; 2],
    /// Whether the value's sign is drawn.
    pub signed: bool,
    /// What it does, given the value.
    pub apply: fn(&mut Canvas, f64, &mut Around),
}

const NONE: fn(Size) -> [f64; 2] = |_| [0.0, 0.0];
const SHEAR: fn(Size) -> [f64; 2] = |_| [0.0, 0.3];
const FACTOR: fn(Size) -> [f64; 2] = |_| [0.0, 0.9];
const ACROSS: fn(Size) -> [f64; 2] = |size| [0.0, 150.0 / 331.0 * size.width as f64];
const DOWN: fn(Size) -> [f64; 2] = |size| [0.0, 150.0 / 331.0 * size.height as f64];

const fn row(op: Op, range: fn(Size) -> [f64; 2], signed: bool, apply: fn(&mut Canvas, f64, &mut Around)) -> Row {
    Row { op, range, signed, apply }
}

/// In the order of [`Op`]. The ranges are AutoAugment's as torchvision has them; those of `solarize_add` timm's, of
/// `cutout` and `sample_pairing` Fast AutoAugment's; from `flip` on, where AutoAugment has no such operation, they are
/// those of colour jitter (hue), SimCLR (blur) and ours (noise, quarter turns, erasing). Random erasing has 0.02 to 0.4 of
/// the area (Zhong 2020, arXiv 1708.04896); ours begins where nothing is done and ends at a half, so that a quarter is among
/// the strengths that harm is measured at. It erases with random bytes, which the paper found best.
pub const ROWS: [Row; 26] = [
    row(Op::Identity, NONE, false, |_, _, _| {}),
    row(Op::ShearX, SHEAR, true, |canvas, shift, around| around.transform(canvas, Affine::shear_x(shift))),
    row(Op::ShearY, SHEAR, true, |canvas, shift, around| around.transform(canvas, Affine::shear_y(shift))),
    row(Op::TranslateX, ACROSS, true, |canvas, pixels, around| {
        around.transform(canvas, Affine::translate(pixels.trunc(), 0.0));
    }),
    row(Op::TranslateY, DOWN, true, |canvas, pixels, around| {
        around.transform(canvas, Affine::translate(0.0, pixels.trunc()));
    }),
    row(
        Op::Rotate,
        |_| [0.0, 30.0],
        true,
        |canvas, degrees, around| {
            around.transform(canvas, Affine::rotate(degrees, canvas.size));
        },
    ),
    row(Op::AutoContrast, NONE, false, |canvas, _, _| canvas.auto_contrast()),
    row(Op::Invert, NONE, false, |canvas, _, _| canvas.invert()),
    row(Op::Equalize, NONE, false, |canvas, _, _| canvas.equalize()),
    row(Op::Solarize, |_| [255.0, 0.0], false, |canvas, threshold, _| canvas.solarize(threshold)),
    row(Op::SolarizeAdd, |_| [0.0, 110.0], false, |canvas, amount, _| canvas.solarize_add(amount.trunc())),
    row(Op::Posterize, |_| [8.0, 4.0], false, |canvas, bits, _| canvas.posterize(bits.round() as u32)),
    row(Op::Contrast, FACTOR, true, |canvas, change, _| canvas.contrast(1.0 + change)),
    row(Op::Color, FACTOR, true, |canvas, change, _| canvas.saturation(1.0 + change)),
    row(Op::Brightness, FACTOR, true, |canvas, change, _| canvas.brightness(1.0 + change)),
    row(Op::Sharpness, FACTOR, true, |canvas, change, _| canvas.sharpness(1.0 + change)),
    row(
        Op::Cutout,
        |size| [0.0, 0.2 * size.width as f64],
        false,
        |canvas, side, around| {
            let fill = around.fill;
            canvas.cut_out(side.round() as usize, &mut |_| fill, around.random);
        },
    ),
    row(
        Op::SamplePairing,
        |_| [0.0, 0.4],
        false,
        |canvas, share, around| {
            let other = around.random.random_range(0..around.images.len());
            canvas.blend_with(around.images.image(other), share);
        },
    ),
    row(Op::Flip, NONE, false, |canvas, _, _| canvas.mirror()),
    row(Op::FlipVertical, NONE, false, |canvas, _, _| canvas.turn_over()),
    row(Op::Hue, |_| [0.0, 0.5], true, |canvas, turn, _| canvas.hue(turn)),
    row(Op::Grayscale, NONE, false, |canvas, _, _| canvas.grayscale()),
    row(Op::Blur, |_| [0.1, 2.0], false, |canvas, sigma, _| canvas.blur(sigma)),
    row(Op::Noise, |_| [0.0, 0.2], false, |canvas, deviation, around| canvas.add_noise(deviation, around.random)),
    row(
        Op::Turn,
        |_| [90.0, 90.0],
        true,
        |canvas, degrees, around| {
            around.transform(canvas, Affine::rotate(degrees, canvas.size));
        },
    ),
    row(
        Op::Erase,
        |_| [0.0, 0.5],
        false,
        |canvas, share, around| {
            canvas.erase([share, share], &mut |_, random| random.random(), around.random);
        },
    ),
];

impl Op {
    /// The operation's row.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Whether it can be done more or less strongly.
    pub fn has_strength(self) -> bool {
        let size = Size { height: 100, width: 100, channels: 3 };
        let [low, high] = (self.row().range)(size);
        low != high
    }

    /// Whether a gray image stays as it is.
    pub fn leaves_gray(self) -> bool {
        matches!(self, Self::Identity | Self::Color | Self::Hue | Self::Grayscale)
    }
}

impl Around<'_> {
    fn transform(&self, canvas: &mut Canvas, map: Affine) {
        canvas.transform(map, self.interpolation, self.fill);
    }
}

/// How strong an operation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Strength {
    /// A share of its range, in [0, 1].
    Share(f64),
    /// A step of a scale, which starts at 0 and ends at `last`: how published methods count.
    Step {
        /// Place on the scale.
        place: u32,
        /// The scale's end.
        last: u32,
    },
}

impl Strength {
    /// The value in a range.
    pub fn value(self, [low, high]: [f64; 2]) -> f64 {
        match self {
            Self::Share(share) => low + (high - low) * share,
            // As torch's `linspace` does it in single precision, from whichever end is nearer: a rounding more or less
            // is a pixel more or less.
            Self::Step { place, last } => {
                let (low, high) = (low as f32, high as f32);
                let step = (high - low) / last as f32;
                f64::from(match place < last.div_ceil(2) {
                    true => step.mul_add(place as f32, low),
                    false => step.mul_add(-((last - place) as f32), high),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_at_its_place() {
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!(row.op as usize, place, "{:?}", row.op);
        }
    }
}
