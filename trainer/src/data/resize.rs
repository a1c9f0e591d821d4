//! Making an image the wanted size and number of channels.
//!
//! The largest centred part of the wanted aspect, or a share of it, is resized with an antialiased filter, as Pillow's
//! `ImageOps.fit` does.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions,
    images::{Image, ImageRef},
};

use super::{Filter, picture::Picture, shape::Shape};

/// Keeps the tables of the filter from image to image.
pub(super) struct Resizer(fast_image_resize::Resizer);

impl Resizer {
    pub fn new() -> Self {
        Self(fast_image_resize::Resizer::new())
    }

    /// Writes the image, made to fit, into the bytes of one prepared image.
    pub fn fit(&mut self, picture: &Picture, shape: Shape, out: &mut [u8]) {
        let with_channels = in_channels(picture, shape.channels);
        let pixels = with_channels.as_deref().unwrap_or(&picture.pixels);
        if !differs(picture, shape) {
            out.copy_from_slice(pixels);
            return;
        }
        let kind = if shape.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
        let from = ImageRef::new(picture.width, picture.height, pixels, kind).expect("a picture has all its pixels");
        let mut to = Image::from_slice_u8(shape.width as u32, shape.height as u32, out, kind)
            .expect("the place of a prepared image has its size");
        let filter = match shape.filter {
            Filter::Bilinear => FilterType::Bilinear,
            // Catmull and Rom's is the one of Pillow.
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
        };
        let (height, width) = (f64::from(picture.height), f64::from(picture.width));
        let aspect = shape.width as f64 / shape.height as f64;
        let (kept_height, kept_width) =
            (shape.crop * height.min(width / aspect), shape.crop * width.min(height * aspect));
        let (top, left) = ((height - kept_height) / 2.0, (width - kept_width) / 2.0);
        let part = |left: f64, top: f64, width: f64, height: f64| {
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, width, height)
        };
        const SAME_KIND: &str = "both images have the same kind of pixels and some extent";
        if shape.filter == Filter::Bilinear {
            let part = part(left, top, kept_width, kept_height);
            return self.0.resize(&from, &mut to, &part).expect(SAME_KIND);
        }
        // The sharper filters overshoot, and what is cut off in between depends on the order: Pillow's is lines first.
        let mut lines = Image::new(shape.width as u32, picture.height, kind);
        self.0.resize(&from, &mut lines, &part(left, 0.0, kept_width, height)).expect(SAME_KIND);
        let whole_lines = part(0.0, top, shape.width as f64, kept_height);
        self.0.resize(&lines, &mut to, &whole_lines).expect(SAME_KIND);
    }
}

/// Whether the image has another size than it shall have, or keeps not all of it.
pub(super) fn differs(picture: &Picture, shape: Shape) -> bool {
    (picture.height as usize, picture.width as usize) != (shape.height, shape.width) || shape.crop < 1.0
}

/// The pixels with another number of channels; `None` if they have it.
fn in_channels(picture: &Picture, channels: usize) -> Option<Vec<u8>> {
    match (picture.channels, channels) {
        (1, 3) => Some(picture.pixels.iter().flat_map(|&gray| [gray; 3]).collect()),
        (3, 1) => Some(picture.pixels.as_chunks().0.iter().map(luma).collect()),
        _ => None,
    }
}

/// ITU-R 601-2, rounded.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As tests/make-pictures.py makes it.
    fn pattern(height: usize, width: usize, channels: usize) -> Picture {
        let value = |y, x, c| ((x * x * 3 + y * x * 5 + y * y * 2 + c * 60) / 7 % 256) as u8;
        let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))));
        let pixels = places.map(|(y, x, c)| value(y, x, c)).collect();
        Picture { pixels, height: height as u32, width: width as u32, channels }
    }

    #[test]
    fn images_are_resized_as_pillow_does_it() {
        let mut expected: &[u8] = include_bytes!("tests/resized.bin");
        let mut resizer = Resizer::new();
        let whole = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos].map(|filter| (filter, 1.0));
        for (filter, crop) in whole.into_iter().chain([(Filter::Bilinear, 0.5), (Filter::Bicubic, 0.75)]) {
            for ((height, width, channels), (to_height, to_width)) in [
                ((37, 53, 3), (16, 16)),
                ((100, 80, 1), (28, 28)),
                ((20, 20, 3), (32, 32)),
                ((9, 200, 3), (8, 8)),
                ((64, 64, 1), (63, 63)),
                ((30, 40, 3), (12, 24)),
                ((7, 5, 1), (33, 21)),
            ] {
                let shape = Shape { height: to_height, width: to_width, channels, filter, crop };
                let mut found = vec![0; to_height * to_width * channels];
                resizer.fit(&pattern(height, width, channels), shape, &mut found);
                let pillow = expected.split_off(..found.len()).unwrap();
                let worst = found.iter().zip(pillow).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(1), "{filter:?} {height}×{width} to {to_height}×{to_width}: off by {worst:?}");
            }
        }
        assert!(expected.is_empty());
    }
}
