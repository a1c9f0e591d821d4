//! Gaussian blur and Gaussian noise.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Size;
use super::canvas::Canvas;

/// The weights of a Gaussian to three deviations, of which a side of this many pixels has room for a mirror image.
pub(crate) fn gaussian(sigma: f64, side: usize) -> Vec<f32> {
    let radius = ((3.0 * sigma).ceil() as usize).min(side.saturating_sub(1)) as i64;
    let weights: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// Where a place beyond the ends lies in their mirror, which does not repeat the last one.
fn mirrored(place: isize, count: usize) -> usize {
    let last = count as isize - 1;
    let place = place.abs();
    (if place > last { 2 * last - place } else { place }) as usize
}

/// Convolves over `count` rows, each value with those of its own column, mirrored beyond the first and the last. `padded` is
/// room.
fn convolve(values: &mut [f32], count: usize, kernel: &[f32], padded: &mut Vec<f32>) {
    let (len, radius) = (values.len() / count, (kernel.len() / 2) as isize);
    padded.clear();
    for place in -radius..count as isize + radius {
        let from = mirrored(place, count) * len;
        padded.extend_from_slice(&values[from..from + len]);
    }
    values.fill(0.0);
    for (step, weight) in kernel.iter().enumerate() {
        for (sum, value) in values.iter_mut().zip(&padded[step * len..]) {
            *sum += weight * value;
        }
    }
}

impl Canvas {
    /// Blurs with a Gaussian of this deviation in pixels, mirrored at the borders, as torchvision's `gaussian_blur`.
    pub fn blur(&mut self, sigma: f64) {
        let Size { height, width, channels } = self.size;
        let mut values: Vec<f32> = self.pixels.iter().map(|byte| f32::from(*byte)).collect();
        let (mut padded, kernel) = (Vec::new(), gaussian(sigma, width));
        for line in values.chunks_exact_mut(width * channels) {
            convolve(line, width, &kernel, &mut padded);
        }
        convolve(&mut values, height, &gaussian(sigma, height), &mut padded);
        self.pixels.iter_mut().zip(values).for_each(|(byte, value)| *byte = value.round_ties_even() as u8);
    }

    /// Adds to each value a normal number whose deviation is this share of the whole range.
    pub(super) fn add_noise(&mut self, deviation: f64, random: &mut ChaCha8Rng) {
        let deviation = 255.0 * deviation as f32;
        for byte in &mut self.pixels {
            let noise: f32 = StandardNormal.sample(random);
            // Half more, as the conversion cuts off; it also keeps to the range.
            *byte = (f32::from(*byte) + deviation * noise + 0.5) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

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
