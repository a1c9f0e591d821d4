//! Images in rows on one PNG, for people to look at.

use std::io::Cursor;

use image::imageops::thumbnail;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use crate::augment::Size;

/// How images lie on a sheet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Images in a row.
    pub columns: usize,
    /// Pixels of the sheet for one of an image, in each direction.
    pub zoom: usize,
    /// White pixels between images.
    pub gap: usize,
}

/// A PNG of images of one size, row after row; a missing one is white.
pub(crate) fn sheet(images: &[Option<Vec<u8>>], size: Size, layout: Layout) -> Vec<u8> {
    let Layout { columns, zoom, gap } = layout;
    let (tile_width, tile_height) = (size.width * zoom + gap, size.height * zoom + gap);
    let (width, height) = (columns * tile_width - gap, images.len().div_ceil(columns).max(1) * tile_height - gap);
    let mut sheet = vec![255; width * height * size.channels];
    for (place, image) in images.iter().enumerate() {
        let Some(image) = image else { continue };
        let (left, top) = (place % columns * tile_width, place / columns * tile_height);
        for y in 0..size.height * zoom {
            for x in 0..size.width * zoom {
                let from = (y / zoom * size.width + x / zoom) * size.channels;
                let to = ((top + y) * width + left + x) * size.channels;
                sheet[to..to + size.channels].copy_from_slice(&image[from..from + size.channels]);
            }
        }
    }
    let mut png = Cursor::new(Vec::new());
    picture(sheet, width, height, size.channels)
        .write_to(&mut png, ImageFormat::Png)
        .expect("memory takes what is written to it");
    png.into_inner()
}

/// The image with no side above `most` pixels, and its size then.
pub(crate) fn shrunk(image: Vec<u8>, size: Size, most: usize) -> (Vec<u8>, Size) {
    let longest = size.height.max(size.width);
    if longest <= most {
        return (image, size);
    }
    let [height, width] = [size.height, size.width].map(|side| (side * most / longest).max(1));
    let picture = picture(image, size.width, size.height, size.channels);
    let (to_width, to_height) = (width as u32, height as u32);
    let bytes = match picture {
        DynamicImage::ImageLuma8(gray) => thumbnail(&gray, to_width, to_height).into_raw(),
        other => thumbnail(&other.into_rgb8(), to_width, to_height).into_raw(),
    };
    (bytes, Size { height, width, ..size })
}

fn picture(bytes: Vec<u8>, width: usize, height: usize, channels: usize) -> DynamicImage {
    const WHOLE: &str = "the picture has all its pixels";
    let (width, height) = (width as u32, height as u32);
    match channels {
        1 => GrayImage::from_raw(width, height, bytes).expect(WHOLE).into(),
        _ => RgbImage::from_raw(width, height, bytes).expect(WHOLE).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_rows_and_a_missing_one_is_white() {
        let size = Size { height: 1, width: 2, channels: 1 };
        let images = [Some(vec![1, 2]), None, Some(vec![5, 6])];
        let png = sheet(&images, size, Layout { columns: 2, zoom: 1, gap: 1 });
        let sheet = image::load_from_memory(&png).unwrap().into_luma8();
        assert_eq!((sheet.width(), sheet.height()), (5, 3));
        assert_eq!(sheet.into_raw(), [1, 2, 255, 255, 255, 255, 255, 255, 255, 255, 5, 6, 255, 255, 255]);
    }

    #[test]
    fn only_what_is_too_large_is_shrunk() {
        let size = Size { height: 4, width: 8, channels: 3 };
        let image: Vec<u8> = (0..96).map(|at| if at % 24 < 12 { 10 } else { 90 }).collect();
        assert_eq!(shrunk(image.clone(), size, 8), (image.clone(), size));
        let (small, to) = shrunk(image, size, 4);
        assert_eq!((to.height, to.width), (2, 4));
        assert_eq!(small[..12], [10, 10, 10, 10, 10, 10, 90, 90, 90, 90, 90, 90]);
    }
}
