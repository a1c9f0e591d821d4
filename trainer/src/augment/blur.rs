//! Gaussian blur and Gaussian noise.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::distribution::normals;

/// The weights of a Gaussian to three deviations, of which a side of this many pixels has room for a mirror image.
pub(crate) fn gaussian(sigma: f64, side: usize) -> Vec<f32> {
    let radius = ((3.0 * sigma).ceil() as usize).min(side.saturating_sub(1)) as i64;
    let weights: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// Convolves `count` values that lie `stride` apart, mirrored beyond their ends without repeating the last one.
fn convolve(values: &[f32], out: &mut [f32], stride: usize, count: usize, kernel: &[f32]) {
    let radius = kernel.len() / 2;
    let mirrored = |place: isize| {
        let last = count as isize - 1;
        let place = place.abs();
        (if place > last { 2 * last - place } else { place }) as usize
    };
    for place in 0..count {
        out[place * stride] = match place >= radius && place + radius < count {
            true => {
                let values = values[(place - radius) * stride..].iter().step_by(stride);
                kernel.iter().zip(values).map(|(weight, value)| weight * value).sum()
            }
            false => {
                let start = place as isize - radius as isize;
                let at = |step: usize| values[mirrored(start + step as isize) * stride];
                kernel.iter().enumerate().map(|(step, weight)| weight * at(step)).sum()
            }
        };
    }
}

impl Canvas {
    /// Blurs with a Gaussian of this deviation in pixels, mirrored at the borders, as torchvision's `gaussian_blur`.
    pub fn blur(&mut self, sigma: f64) {
        let (height, width, channels) = (self.size.height, self.size.width, self.size.channels);
        let line = width * channels;
        let mut values: Vec<f32> = self.pixels.iter().map(|byte| f32::from(*byte)).collect();
        let mut next = vec![0.0; values.len()];
        let kernel = gaussian(sigma, width);
        for row in 0..height {
            for start in row * line..row * line + channels {
                convolve(&values[start..], &mut next[start..], channels, width, &kernel);
            }
        }
        let kernel = gaussian(sigma, height);
        for start in 0..line {
            convolve(&next[start..], &mut values[start..], line, height, &kernel);
        }
        self.pixels.iter_mut().zip(values).for_each(|(byte, value)| *byte = value.round_ties_even() as u8);
    }

    /// Adds to each value a normal number whose deviation is this share of the whole range.
    pub(super) fn add_noise(&mut self, deviation: f64, random: &mut ChaCha8Rng) {
        let deviation = 255.0 * deviation;
        for pair in self.pixels.chunks_mut(2) {
            for (byte, noise) in pair.iter_mut().zip(normals(random)) {
                *byte = (f64::from(*byte) + deviation * noise).round() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::augment::Size;

    #[test]
    fn noise_has_its_deviation() {
        let size = Size { height: 100, width: 100, channels: 3 };
        let mut canvas = Canvas { pixels: vec![128; size.bytes()], ..Canvas::new(size) };
        canvas.add_noise(0.1, &mut ChaCha8Rng::seed_from_u64(1));
        let count = canvas.pixels.len() as f64;
        let mean = canvas.pixels.iter().map(|byte| f64::from(*byte)).sum::<f64>() / count;
        let variance = canvas.pixels.iter().map(|byte| (f64::from(*byte) - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 128.0).abs() < 0.5 && (variance.sqrt() - 25.5).abs() < 0.5, "{mean} {}", variance.sqrt());
    }

    #[test]
    fn a_flat_image_stays_flat_at_any_size() {
        for (height, width) in [(1, 1), (1, 9), (2, 3), (40, 5)] {
            let size = Size { height, width, channels: 1 };
            let mut canvas = Canvas { pixels: vec![77; size.bytes()], ..Canvas::new(size) };
            canvas.blur(3.0);
            assert_eq!(canvas.pixels, vec![77; size.bytes()], "{size:?}");
        }
    }
}
