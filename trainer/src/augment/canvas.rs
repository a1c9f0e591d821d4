//! The image that augmentation works on, in place where that can be.

use super::Size;

/// An image of 1 or 3 channels, `[height, width, channels]`, and room for its next version.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// Of the image.
    pub size: Size,
    /// The image as it is now.
    pub pixels: Vec<u8>,
    /// Takes what is computed from `pixels` where that cannot be done in place.
    pub(super) next: Vec<u8>,
    /// Keeps the tables of its filter.
    pub(super) resizer: fast_image_resize::Resizer,
}

impl Canvas {
    /// A black image.
    pub fn new(size: Size) -> Self {
        let black = vec![0; size.bytes()];
        Self { size, pixels: black.clone(), next: black, resizer: fast_image_resize::Resizer::new() }
    }

    /// What was written to `next` becomes the image.
    pub(super) fn swap(&mut self) {
        std::mem::swap(&mut self.pixels, &mut self.next);
    }

    /// Each value by a table, the same for all channels.
    pub(super) fn map(&mut self, value: impl Fn(u8) -> u8) {
        let table: [u8; 256] = std::array::from_fn(|byte| value(byte as u8));
        self.pixels.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
    }

    /// Each value by its channel's table, which is made from the channel's histogram.
    pub(super) fn map_channels(&mut self, table_of: impl Fn(&[u32; 256]) -> [u8; 256]) {
        for channel in 0..self.size.channels {
            let values = || self.pixels[channel..].iter().step_by(self.size.channels);
            let mut histogram = [0; 256];
            values().for_each(|byte| histogram[usize::from(*byte)] += 1);
            let table = table_of(&histogram);
            let values = self.pixels[channel..].iter_mut().step_by(self.size.channels);
            values.for_each(|byte| *byte = table[usize::from(*byte)]);
        }
    }

    /// Each pixel of a colour image by itself; a gray image stays as it is.
    pub(super) fn map_colours(&mut self, colour: impl Fn([u8; 3]) -> [u8; 3]) {
        if self.size.channels == 3 {
            self.pixels.as_chunks_mut().0.iter_mut().for_each(|pixel| *pixel = colour(*pixel));
        }
    }

    /// Left to right.
    pub(super) fn mirror(&mut self) {
        match self.size.channels {
            1 => self.pixels.chunks_exact_mut(self.size.width).for_each(<[u8]>::reverse),
            _ => {
                let lines = self.pixels.as_chunks_mut::<3>().0.chunks_exact_mut(self.size.width);
                lines.for_each(<[[u8; 3]]>::reverse);
            }
        }
    }

    /// Top to bottom.
    pub(super) fn turn_over(&mut self) {
        let mut lines = self.pixels.chunks_exact_mut(self.size.width * self.size.channels);
        while let (Some(upper), Some(lower)) = (lines.next(), lines.next_back()) {
            upper.swap_with_slice(lower);
        }
    }

    /// Fills a rectangle, its corner and sides in pixels, with values that may differ by channel.
    pub(super) fn fill(
        &mut self,
        [top, left]: [usize; 2],
        [height, width]: [usize; 2],
        mut value: impl FnMut(usize) -> u8,
    ) {
        let channels = self.size.channels;
        for line in self.pixels.chunks_exact_mut(self.size.width * channels).skip(top).take(height) {
            for (place, byte) in line[left * channels..(left + width) * channels].iter_mut().enumerate() {
                *byte = value(place % channels);
            }
        }
    }
}

/// ITU-R 601-2 as Pillow's `convert("L")` rounds it.
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canvas(channels: usize, pixels: &[u8]) -> Canvas {
        let size = Size { height: 2, width: pixels.len() / 2 / channels, channels };
        Canvas { pixels: pixels.to_vec(), ..Canvas::new(size) }
    }

    fn check(channels: usize, pixels: &[u8], change: impl Fn(&mut Canvas), expected: &[u8]) {
        let mut canvas = canvas(channels, pixels);
        change(&mut canvas);
        assert_eq!(canvas.pixels, expected);
    }

    #[test]
    fn mirrors_keep_the_pixels_of_a_colour_together() {
        check(1, &[1, 2, 3, 4, 5, 6], Canvas::mirror, &[3, 2, 1, 6, 5, 4]);
        check(3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], Canvas::mirror, &[4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
        check(1, &[1, 2, 3, 4, 5, 6], Canvas::turn_over, &[4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn a_rectangle_is_filled_by_channel() {
        let fill = |canvas: &mut Canvas| canvas.fill([1, 1], [1, 1], |channel| [7, 8, 9][channel]);
        check(3, &[0; 12], fill, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9]);
    }
}
