//! Removing parts of an image: random erasing (Zhong 2020, arXiv 1708.04896) and Cutout (DeVries 2017,
//! arXiv 1708.04552).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;

/// Least share of the area that is erased, and the reach of the aspect, as in torchvision's `RandomErasing`.
pub(super) const LEAST_AREA: f64 = 0.02;
const ASPECT: [f64; 2] = [0.3, 3.3];

impl Canvas {
    /// Fills a rectangle, whose share of the area lies between these two, with values by channel; drawn by torchvision's
    /// rule, by which nothing is done if ten of them do not fit.
    pub(super) fn erase(
        &mut self,
        [least, most]: [f64; 2],
        value: &mut dyn FnMut(usize, &mut ChaCha8Rng) -> u8,
        random: &mut ChaCha8Rng,
    ) {
        let (height, width) = (self.size.height, self.size.width);
        let [low, high] = ASPECT.map(f64::ln);
        for _ in 0..10 {
            let area = (height * width) as f64 * (least + (most - least) * random.random::<f64>());
            let aspect = (low + (high - low) * random.random::<f64>()).exp();
            let [h, w] = [area * aspect, area / aspect].map(|square| square.sqrt().round_ties_even() as usize);
            if h < height && w < width {
                let corner = [random.random_range(0..=height - h), random.random_range(0..=width - w)];
                return self.fill(corner, [h, w], |channel| value(channel, random));
            }
        }
    }

    /// Fills a square of this side around a random pixel, cut off at the borders, with values by channel.
    pub(super) fn cut_out(&mut self, side: usize, value: &mut dyn FnMut(usize) -> u8, random: &mut ChaCha8Rng) {
        let [rows, columns] = [self.size.height, self.size.width].map(|most| {
            let centre = random.random_range(0..most);
            centre.saturating_sub(side / 2)..(centre + side - side / 2).min(most)
        });
        self.fill([rows.start, columns.start], [rows.len(), columns.len()], value);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::augment::Size;

    const SIZE: Size = Size { height: 32, width: 40, channels: 3 };

    /// Shares of the image that 500 draws remove.
    fn removed(remove: impl Fn(&mut Canvas, &mut ChaCha8Rng)) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut share = || {
            let mut canvas = Canvas::new(SIZE);
            remove(&mut canvas, &mut random);
            canvas.pixels.iter().filter(|byte| **byte == 9).count() as f64 / SIZE.bytes() as f64
        };
        (0..500).map(|_| share()).collect()
    }

    #[test]
    fn what_is_erased_keeps_to_its_area() {
        let shares = |area| removed(|canvas, random| canvas.erase(area, &mut |_, _| 9, random));
        let drawn = shares([LEAST_AREA, 0.33]);
        assert!(drawn.iter().all(|share| (0.015..0.36).contains(share)), "{drawn:?}");
        let mean = drawn.iter().sum::<f64>() / 500.0;
        assert!((mean - 0.17).abs() < 0.02, "{mean}");
        assert!(shares([0.0; 2]).iter().all(|share| *share == 0.0));
        // Of half of the area few do not fit in ten draws, which leaves those images whole.
        let halves = shares([0.5; 2]);
        assert!(halves.iter().all(|share| *share == 0.0 || (*share - 0.5).abs() < 0.05), "{halves:?}");
        assert!(halves.iter().filter(|share| **share == 0.0).count() < 10, "{halves:?}");
    }

    #[test]
    fn a_square_is_cut_out_that_the_borders_cut_off() {
        let shares = removed(|canvas, random| canvas.cut_out(8, &mut |_| 9, random));
        let whole = 64.0 / 1280.0;
        assert_eq!(shares.iter().copied().fold(0.0, f64::max), whole);
        let least = shares.iter().copied().fold(1.0, f64::min);
        assert!(least >= whole / 4.0 && least < whole / 2.0, "{least}");
    }
}
