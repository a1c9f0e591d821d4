//! Images under each operation at each strength, framed by what the table says of it.

use super::{Effect, OpHarm, around};
use crate::augment::{Canvas, Size, apply_share};
use crate::data::Images;
use crate::seed::{Purpose, TrialSeed};
use crate::sheet::{Layout, sheet};

/// Pixels of a frame.
const FRAME: usize = 1;
/// Pixels between images.
const GAP: usize = 4;
/// Sides below this are shown larger, by a whole factor.
const LEAST_SIDE: usize = 64;

/// A PNG with a row for each of the operations: an image as it is, then under the operation at each strength. Frames are
/// green up to the largest strength allowed, red where the class changes, amber where it is hidden. The image is one of
/// the class that is harmed most.
pub fn picture(images: &Images, classes: &[String], ops: &[OpHarm], seed: TrialSeed) -> Vec<u8> {
    let size = Size::of(images);
    let framed = Size { height: size.height + 2 * FRAME, width: size.width + 2 * FRAME, channels: 3 };
    let columns = 1 + ops.iter().map(|harm| harm.levels.len()).max().unwrap_or(0);
    let row = |harm: &OpHarm| -> Vec<Option<Vec<u8>>> {
        let index = example(images, classes, harm);
        let under = |column: usize| {
            let level = harm.levels.get(column - 1)?;
            let mut canvas = Canvas::new(size);
            canvas.pixels.copy_from_slice(images.image(index));
            let mut random = seed.stream(Purpose::Policy, column as u64, index as u64);
            apply_share(harm.op, harm.direction, level.magnitude, &mut canvas, &mut around(images, &mut random));
            let colour = match (level.magnitude <= harm.most, harm.effect) {
                (true, _) => [40, 160, 60],
                (false, Effect::ChangesClass) => [220, 40, 40],
                (false, _) => [240, 170, 30],
            };
            Some(frame(&canvas.pixels, size, colour))
        };
        let plain = Some(frame(images.image(index), size, [160; 3]));
        std::iter::once(plain).chain((1..columns).map(under)).collect()
    };
    let tiles: Vec<Option<Vec<u8>>> = ops.iter().flat_map(row).collect();
    let zoom = LEAST_SIDE.div_ceil(framed.height.min(framed.width)).max(1);
    sheet(&tiles, framed, Layout { columns, zoom, gap: GAP })
}

/// The first image of the class that is harmed most; the first of all where none is.
fn example(images: &Images, classes: &[String], harm: &OpHarm) -> usize {
    let harmed = harm.levels.iter().flat_map(|level| &level.harmed).next();
    let class = harmed.and_then(|harmed| classes.iter().position(|class| *class == harmed.class));
    class.and_then(|class| images.labels.iter().position(|label| *label as usize == class)).unwrap_or(0)
}

/// A colour image with a frame around it.
fn frame(image: &[u8], size: Size, colour: [u8; 3]) -> Vec<u8> {
    let (height, width) = (size.height + 2 * FRAME, size.width + 2 * FRAME);
    let pixel = |place: usize| {
        let (row, column) = (place / width, place % width);
        let is_inside = (FRAME..height - FRAME).contains(&row) && (FRAME..width - FRAME).contains(&column);
        match is_inside {
            true => {
                let at = ((row - FRAME) * size.width + column - FRAME) * size.channels;
                [0, 1, 2].map(|channel| image[at + channel.min(size.channels - 1)])
            }
            false => colour,
        }
    };
    (0..height * width).flat_map(pixel).collect()
}
