//! Generated images beside real ones, for people to judge.

use crate::augment::Size;
use crate::data::Images;
use crate::sheet::{Layout, sheet};

/// Images in a row.
const COLUMNS: usize = 12;
/// Sides below this are shown larger, by a whole factor.
const LEAST_SIDE: usize = 48;
/// Pixels between images.
const GAP: usize = 2;

/// A PNG with two rows for each of some classes: the first real images, then the first generated ones.
pub fn picture(real: &Images, generated: &Images, classes: &[usize]) -> Vec<u8> {
    let row = |images: &Images, class: usize| -> Vec<Option<Vec<u8>>> {
        let places = (0..images.len()).filter(|place| images.labels[*place] as usize == class);
        let shown = places.take(COLUMNS).map(|place| Some(images.image(place).to_vec()));
        shown.chain(std::iter::repeat(None)).take(COLUMNS).collect()
    };
    let tiles: Vec<_> = classes.iter().flat_map(|class| [row(real, *class), row(generated, *class)].concat()).collect();
    let size = Size::of(real);
    let zoom = LEAST_SIDE.div_ceil(size.height.min(size.width)).max(1);
    sheet(&tiles, size, Layout { columns: COLUMNS, zoom, gap: GAP })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_a_row_of_real_images_and_one_of_generated_ones() {
        let images = |gray: u8, labels: Vec<u32>| Images {
            pixels: labels.iter().flat_map(|label| vec![gray + *label as u8; 48 * 48]).collect(),
            labels,
            height: 48,
            width: 48,
            channels: 1,
        };
        let png = picture(&images(10, vec![0, 1, 2]), &images(100, vec![2; 20]), &[2, 1]);
        let sheet = image::load_from_memory(&png).unwrap().into_luma8();
        assert_eq!((sheet.width(), sheet.height()), (12 * 50 - 2, 4 * 50 - 2));
        let tile = |row: u32, column: u32| sheet.get_pixel(50 * column, 50 * row).0[0];
        assert_eq!([tile(0, 0), tile(0, 1), tile(1, 0), tile(1, 11)], [12, 255, 102, 102]);
        assert_eq!([tile(2, 0), tile(3, 0)], [11, 255]);
    }
}
