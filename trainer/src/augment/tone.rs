//! Changing values and leaving pixels where they are, as Pillow's `ImageOps`, `ImageEnhance` and HSV conversion do it,
//! byte for byte.

use super::canvas::{Canvas, luma};

impl Canvas {
    /// 255 minus each value.
    pub(super) fn invert(&mut self) {
        self.map(|value| 255 - value);
    }

    /// Inverts the values from a threshold on.
    pub(super) fn solarize(&mut self, threshold: f64) {
        self.map(|value| if f64::from(value) < threshold { value } else { 255 - value });
    }

    /// Adds to the values below 128.
    pub(super) fn solarize_add(&mut self, amount: f64) {
        self.map(|value| if value < 128 { (f64::from(value) + amount).clamp(0.0, 255.0) as u8 } else { value });
    }

    /// Keeps the upper bits of each value, from 0 to 8.
    pub(super) fn posterize(&mut self, bits: u32) {
        let mask = (0xff00_u32 >> bits) as u8;
        self.map(|value| value & mask);
    }

    /// Stretches each channel to the whole range.
    pub(super) fn auto_contrast(&mut self) {
        self.map_channels(|histogram| {
            let low = histogram.iter().position(|count| *count > 0).unwrap_or(0);
            let high = histogram.iter().rposition(|count| *count > 0).unwrap_or(0);
            std::array::from_fn(|value| match high > low {
                true => {
                    let scale = 255.0 / (high - low) as f64;
                    (value as f64 * scale + -(low as f64) * scale).clamp(0.0, 255.0) as u8
                }
                false => value as u8,
            })
        });
    }

    /// Makes each channel's histogram flat.
    pub(super) fn equalize(&mut self) {
        self.map_channels(|histogram| {
            let last = histogram.iter().rfind(|count| **count > 0).copied().unwrap_or(0);
            let step = (histogram.iter().sum::<u32>() - last) / 255;
            let mut sum = step / 2;
            std::array::from_fn(|value| match step {
                0 => value as u8,
                _ => {
                    let flat = (sum / step).min(255) as u8;
                    sum += histogram[value];
                    flat
                }
            })
        });
    }

    /// Away from black (or towards it, below 1).
    pub(super) fn brightness(&mut self, factor: f64) {
        self.map(|value| blend(0, value, factor as f32));
    }

    /// Away from the image's mean gray (or towards it, below 1).
    pub(super) fn contrast(&mut self, factor: f64) {
        let sum: u64 = match self.size.channels {
            1 => self.pixels.iter().map(|value| u64::from(*value)).sum(),
            _ => self.pixels.as_chunks().0.iter().map(|pixel| u64::from(luma(*pixel))).sum(),
        };
        let mean = (sum as f64 / (self.size.height * self.size.width) as f64 + 0.5) as u8;
        self.map(|value| blend(mean, value, factor as f32));
    }

    /// Away from gray (or towards it, below 1); a gray image stays as it is.
    pub(super) fn saturation(&mut self, factor: f64) {
        self.map_colours(|pixel| pixel.map(|value| blend(luma(pixel), value, factor as f32)));
    }

    /// Away from a smoothed version (or towards it, below 1).
    pub(super) fn sharpness(&mut self, factor: f64) {
        self.smooth();
        for (smooth, value) in self.next.iter_mut().zip(&self.pixels) {
            *smooth = blend(*smooth, *value, factor as f32);
        }
        self.swap();
    }

    /// Pillow's `ImageFilter.SMOOTH` into `next`: the pixel has five times its neighbours' weight; the border stays.
    fn smooth(&mut self) {
        const EDGE: f32 = 1.0 / 13.0;
        const MIDDLE: f32 = 5.0 / 13.0;
        let (channels, line) = (self.size.channels, self.size.width * self.size.channels);
        self.next.copy_from_slice(&self.pixels);
        if self.size.height < 3 || self.size.width < 3 {
            return;
        }
        let value = |place: usize| f32::from(self.pixels[place]);
        let three = |place: usize, middle: f32| {
            value(place - channels) * EDGE + value(place) * middle + value(place + channels) * EDGE
        };
        for row in 1..self.size.height - 1 {
            for place in row * line + channels..(row + 1) * line - channels {
                // In Pillow's order, for floating-point sums depend on it.
                let sum = 0.5 + three(place + line, EDGE) + three(place, MIDDLE) + three(place - line, EDGE);
                self.next[place] = sum as u8;
            }
        }
    }

    /// All channels their luma; a gray image stays as it is.
    pub(super) fn grayscale(&mut self) {
        self.map_colours(|pixel| [luma(pixel); 3]);
    }

    /// Turns the colour circle by a share of it, in [-0.5, 0.5]; a gray image stays as it is.
    pub(super) fn hue(&mut self, turn: f64) {
        let shift = (turn * 255.0) as i32 as u8;
        self.map_colours(|pixel| {
            let [hue, saturation, value] = to_hsv(pixel);
            to_rgb([hue.wrapping_add(shift), saturation, value])
        });
    }

    /// A mixture with another image of the same size, of which it has this share.
    pub(super) fn blend_with(&mut self, other: &[u8], share: f64) {
        for (value, other) in self.pixels.iter_mut().zip(other) {
            *value = blend(*value, *other, share as f32);
        }
    }
}

/// From `from` towards `to`, and beyond it above 1.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    // The conversion cuts off at 0 and 255.
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (low, high) = (red.min(green).min(blue), red.max(green).max(blue));
    if low == high {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let below = |value: u8| f32::from(high - value) / range;
    let sixths = match high {
        _ if red == high => below(blue) - below(green),
        _ if green == high => (2.0 + f64::from(below(red)) - f64::from(below(blue))) as f32,
        _ => (4.0 + f64::from(below(green)) - f64::from(below(red))) as f32,
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(high);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, high]
}

fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = sixths.floor();
    let rest = f64::from((sixths - sector) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let part = |share: f64| (f64::from(value) * (1.0 - share)).round() as u8;
    let (none, falling, rising) = (part(saturation), part(saturation * rest), part(saturation * (1.0 - rest)));
    match sector as u8 % 6 {
        0 => [value, rising, none],
        1 => [falling, value, none],
        2 => [none, value, rising],
        3 => [none, falling, value],
        4 => [rising, none, value],
        _ => [value, none, falling],
    }
}
