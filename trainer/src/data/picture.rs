//! One image file, decoded to upright gray or RGB bytes.

use std::{io::Cursor, panic::catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation};
use thiserror::Error;

use super::{notice::Handling, shape::Look};

/// A decoded image.
pub(super) struct Picture {
    /// Row by row, pixel by pixel, channel by channel.
    pub pixels: Vec<u8>,
    pub height: u32,
    pub width: u32,
    /// 1 or 3.
    pub channels: usize,
}

/// Why an image file gives no image.
#[derive(Debug, Error)]
pub(super) enum Unreadable {
    #[error("not found")]
    Missing,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("empty")]
    Empty,
    #[error("not a JPEG, PNG or WebP")]
    UnknownFormat,
    #[error("cut short")]
    Truncated,
    #[error("too large: {width}×{height}")]
    TooLarge { width: u32, height: u32 },
    #[error("{0}")]
    Corrupt(#[from] ImageError),
    #[error("corrupt beyond what its decoder can tell")]
    DecoderPanicked,
}

/// Beyond this many bytes of pixels a header is believed to be corrupt: a photo of 170 megapixels has fewer.
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// The image in the bytes of a file, and what had to be done to it.
pub(super) fn decode(file: &[u8]) -> Result<(Picture, Vec<Handling>), Unreadable> {
    // The decoders are safe code and tested against broken files, but one file in a million must not end a night.
    catch_unwind(|| decode_unguarded(file)).unwrap_or(Err(Unreadable::DecoderPanicked))
}

/// Size and colour by the file's header; enough of the file's start will do.
pub(super) fn look(start: &[u8]) -> Result<Look, Unreadable> {
    let look = || {
        let mut decoder = decoder(start)?;
        let (width, height) = decoder.dimensions();
        let colour = decoder.color_type().has_color();
        let look = if is_on_its_side(decoder.orientation().unwrap_or(Orientation::NoTransforms)) {
            Look { height: width, width: height, colour }
        } else {
            Look { height, width, colour }
        };
        Ok(look)
    };
    catch_unwind(look).unwrap_or(Err(Unreadable::DecoderPanicked))
}

fn decode_unguarded(file: &[u8]) -> Result<(Picture, Vec<Handling>), Unreadable> {
    let mut decoder = decoder(file)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(Unreadable::TooLarge { width, height });
    }
    if is_jpeg(file) && !jpeg_is_whole(file) {
        return Err(Unreadable::Truncated);
    }
    let mut handled = vec![];
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    if orientation != Orientation::NoTransforms {
        image.apply_orientation(orientation);
        handled.push(Handling::Turned);
    }
    if is_jpeg(file) && jpeg_components(file) == Some(4) {
        handled.push(Handling::Cmyk);
    }
    if image.color().bytes_per_pixel() > image.color().channel_count() {
        handled.push(Handling::SixteenBit);
    }
    if image.color().has_alpha() {
        let (flat, transparent) = over_white(&image);
        image = flat;
        if transparent {
            handled.push(Handling::Transparent);
        }
    }
    Ok((picture(image), handled))
}

fn picture(image: DynamicImage) -> Picture {
    let (height, width) = (image.height(), image.width());
    let (pixels, channels) = match image.color().has_color() {
        true => (image.into_rgb8().into_raw(), 3),
        false => (image.into_luma8().into_raw(), 1),
    };
    Picture { pixels, height, width, channels }
}

fn decoder(file: &[u8]) -> Result<impl ImageDecoder, Unreadable> {
    if file.is_empty() {
        return Err(Unreadable::Empty);
    }
    // By content: a PNG that is called .jpg is common.
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) => Ok(reader.into_decoder()?),
        _ => Err(Unreadable::UnknownFormat),
    }
}

fn is_on_its_side(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The image over white, and whether anything shows through.
fn over_white(image: &DynamicImage) -> (DynamicImage, bool) {
    let over =
        |value: u8, alpha: u8| (u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255;
    let mut transparent = false;
    let mut flat = image.to_rgba8();
    for pixel in flat.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        transparent |= alpha < 255;
        pixel.0 = [over(red, alpha) as u8, over(green, alpha) as u8, over(blue, alpha) as u8, 255];
    }
    let flat = DynamicImage::ImageRgba8(flat);
    match image.color().has_color() {
        true => (flat.into_rgb8().into(), transparent),
        false => (flat.into_luma8().into(), transparent),
    }
}

fn is_jpeg(file: &[u8]) -> bool {
    file.starts_with(&[0xff, 0xd8])
}

/// Whether an end-of-image marker follows the last scan. The decoder fills what is missing with gray and says nothing.
/// Within a scan 0xff is always escaped, and a thumbnail's end stands before the scans.
fn jpeg_is_whole(file: &[u8]) -> bool {
    let last = |marker: u8| file.array_windows().rposition(|pair| *pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}

/// Number of components by the frame header: 4 for CMYK and YCCK.
fn jpeg_components(file: &[u8]) -> Option<u8> {
    let mut rest = file.get(2..)?;
    while let &[0xff, marker, high, low, ..] = rest {
        // SOF0 to SOF15, without the tables DHT, JPG and DAC that share the range.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            return rest.get(9).copied();
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pictures() -> Vec<(String, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/data/tests/pictures");
        let mut all: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
            .collect();
        all.sort();
        assert!(all.len() > 20);
        all
    }

    /// The middles of the quarters of a picture.
    fn quarters(picture: &Picture) -> Vec<&[u8]> {
        let pixel =
            |y: u32, x: u32| &picture.pixels[(y * picture.width + x) as usize * picture.channels..][..picture.channels];
        vec![pixel(4, 6), pixel(4, 18), pixel(12, 6), pixel(12, 18)]
    }

    #[test]
    fn every_kind_of_file_shows_what_it_shows_elsewhere() {
        let colour = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
        let gray = [76, 150, 29, 255].map(|gray| [gray]);
        let two_tone = [0, 0, 0, 255].map(|gray| [gray]);
        for (name, file) in pictures() {
            let (picture, _) = decode(&file).unwrap();
            let expected: Vec<&[u8]> = match name.as_str() {
                "two-tone.png" => two_tone.iter().map(|pixel| &pixel[..]).collect(),
                gray_name if gray_name.contains("gray") || gray_name.contains("sixteen") => {
                    gray.iter().map(|pixel| &pixel[..]).collect()
                }
                _ => colour.iter().map(|pixel| &pixel[..]).collect(),
            };
            assert_eq!((picture.height, picture.width), (16, 24), "{name}");
            // JPEG and lossy WebP are near it.
            let found = quarters(&picture);
            let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 12;
            let pairs = found.iter().zip(&expected);
            let all_near = pairs.clone().all(|(a, b)| a.len() == b.len() && a.iter().zip(*b).all(near));
            assert!(all_near, "{name}: {found:?}, not {expected:?}");
            let look = look(&file).unwrap();
            assert_eq!((look.height, look.width, look.colour), (16, 24, picture.channels == 3), "{name}");
        }
    }

    #[test]
    fn what_is_done_to_a_picture_is_told() {
        for (name, file) in pictures() {
            let expected = match name.as_str() {
                "cmyk.jpg" => vec![Handling::Cmyk],
                "sixteen.png" => vec![Handling::SixteenBit],
                turned if turned.starts_with("turned") => vec![Handling::Turned],
                transparent if transparent.contains("transparent") => vec![Handling::Transparent],
                _ => vec![],
            };
            assert_eq!(decode(&file).unwrap().1, expected, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_no_picture() {
        // Of an animation, the first frame is the picture: it may be whole where the rest is not.
        for (name, file) in pictures().into_iter().filter(|(name, _)| name != "animated.webp") {
            for length in (0..file.len() * 9 / 10).step_by(7) {
                assert!(decode_unguarded(&file[..length]).is_err(), "{name} cut to {length} of {} bytes", file.len());
            }
        }
    }

    #[test]
    fn broken_bytes_are_an_error_or_another_picture_but_no_panic() {
        let mut random = 1u64;
        for (_, file) in pictures() {
            for _ in 0..300 {
                let mut broken = file.clone();
                for _ in 0..3 {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let place = (random >> 33) as usize % broken.len();
                    broken[place] = (random >> 24) as u8;
                }
                _ = decode_unguarded(&broken);
                _ = look(&broken);
            }
        }
    }
}
