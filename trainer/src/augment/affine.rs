//! Moving pixels: rotation, translation, scale and shear as one map from the new image to the old, resampled as Pillow's
//! `Image.transform` does it, byte for byte.

use super::Size;
use super::canvas::Canvas;
use crate::recipe::Interpolation;

/// The place `(a x + b y + c, d x + e y + f)` of the old image that comes to `(x, y)` of the new one; places are in
/// pixels from the upper left corner of the image, pixel centres at halves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine(pub [f64; 6]);

impl Affine {
    /// Lines move along themselves by this much per line, around the upper left corner.
    pub fn shear_x(shift: f64) -> Self {
        Self([1.0, shift, 0.0, 0.0, 1.0, 0.0])
    }

    /// Columns move along themselves by this much per column, around the upper left corner.
    pub fn shear_y(shift: f64) -> Self {
        Self([1.0, 0.0, 0.0, shift, 1.0, 0.0])
    }

    /// The image moves right and down by these many pixels.
    pub fn translate(right: f64, down: f64) -> Self {
        Self([1.0, 0.0, -right, 0.0, 1.0, -down])
    }

    /// Counter-clockwise around the centre by degrees, as Pillow's `Image.rotate`.
    pub fn rotate(degrees: f64, size: Size) -> Self {
        let angle = -degrees.rem_euclid(360.0).to_radians();
        let [a, b, d, e] = [angle.cos(), angle.sin(), -angle.sin(), angle.cos()].map(to_15_digits);
        let (x, y) = (size.width as f64 / 2.0, size.height as f64 / 2.0);
        Self([a, b, a * -x + b * -y + x, d, e, d * -x + e * -y + y])
    }

    /// Rotation (clockwise), shear (both in degrees), scale and translation (in pixels) around the centre, as
    /// torchvision's `affine`.
    pub fn around_centre(rotate: f64, [right, down]: [f64; 2], scale: f64, shear: f64, size: Size) -> Self {
        let (angle, shear) = (rotate.to_radians(), shear.to_radians());
        let (x, y) = (size.width as f64 * 0.5, size.height as f64 * 0.5);
        let a = angle.cos();
        let b = -angle.cos() * shear.tan() - angle.sin();
        let c = angle.sin();
        let d = -angle.sin() * shear.tan() + angle.cos();
        let [a, b, d, e] = [d, -b, -c, a].map(|entry| entry / scale);
        Self([a, b, a * (-x - right) + b * (-y - down) + x, d, e, d * (-x - right) + e * (-y - down) + y])
    }
}

/// Python's `round(x, 15)`, by which Pillow makes the sine of a half turn 0.
fn to_15_digits(x: f64) -> f64 {
    format!("{x:.15}").parse().expect("a number that was printed can be read")
}

impl Canvas {
    /// Resamples; what comes from outside the old image is `fill`.
    pub(super) fn transform(&mut self, map: Affine, interpolation: Interpolation, fill: u8) {
        match (interpolation, self.size.channels) {
            (Interpolation::Nearest, 1) => self.nearest::<1>(map, fill),
            (Interpolation::Nearest, _) => self.nearest::<3>(map, fill),
            (Interpolation::Bilinear, 1) => self.bilinear::<1>(map, fill),
            (Interpolation::Bilinear, _) => self.bilinear::<3>(map, fill),
        }
        self.swap();
    }

    fn nearest<const C: usize>(&mut self, Affine([a, b, c, d, e, f]): Affine, fill: u8) {
        let Size { height, width, .. } = self.size;
        let old = self.pixels.as_chunks::<C>().0;
        let lines = self.next.as_chunks_mut::<C>().0.chunks_exact_mut(width);
        if b == 0.0 && d == 0.0 {
            // Without turning or shearing, Pillow adds up in floating point.
            let places = |start: f64, step: f64, count: usize, limit: usize| -> Vec<Option<usize>> {
                let mut place = start + step * 0.5;
                let mut next = || {
                    let here = (place >= 0.0 && place < limit as f64).then_some(place as usize);
                    place += step;
                    here
                };
                (0..count).map(|_| next()).collect()
            };
            let columns = places(c, a, width, width);
            for (line, row) in lines.zip(places(f, e, height, height)) {
                for (pixel, column) in line.iter_mut().zip(&columns) {
                    *pixel = row.zip(*column).map_or([fill; C], |(row, column)| old[row * width + column]);
                }
            }
            return;
        }
        // Otherwise it counts in 65,536ths of a pixel.
        let fixed = |x: f64| (x * 65536.0 + 0.5).floor() as i64;
        let (step, step_down) = ((fixed(a), fixed(d)), (fixed(b), fixed(e)));
        let mut start = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
        for line in lines {
            let (mut x, mut y) = start;
            for pixel in line {
                let (column, row) = (x >> 16, y >> 16);
                let is_inside = (0..width as i64).contains(&column) && (0..height as i64).contains(&row);
                *pixel = if is_inside { old[row as usize * width + column as usize] } else { [fill; C] };
                (x, y) = (x + step.0, y + step.1);
            }
            start = (start.0 + step_down.0, start.1 + step_down.1);
        }
    }

    fn bilinear<const C: usize>(&mut self, Affine([a, b, c, d, e, f]): Affine, fill: u8) {
        let Size { height, width, .. } = self.size;
        let old = self.pixels.as_chunks::<C>().0;
        let lines = self.next.as_chunks_mut::<C>().0.chunks_exact_mut(width);
        for (row, line) in lines.enumerate() {
            for (column, pixel) in line.iter_mut().enumerate() {
                let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
                let (x, y) = (a * x + b * y + c, d * x + e * y + f);
                if !((0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y)) {
                    *pixel = [fill; C];
                    continue;
                }
                // The pixels on both sides of a place, and how far it is behind the first. `floor` would be a call.
                let between = |place: f64, side: usize| {
                    let place = place - 0.5;
                    let whole = place as i32;
                    let before = whole - i32::from(f64::from(whole) > place);
                    let after = ((before + 1) as usize).min(side - 1);
                    ([before.max(0) as usize, after], place - f64::from(before))
                };
                let ((columns, dx), (rows, dy)) = (between(x, width), between(y, height));
                let corners = rows.map(|row| columns.map(|column| old[row * width + column]));
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let [upper, lower] = corners.map(|pair| {
                        let [left, right] = pair.map(|pixel| f64::from(pixel[channel]));
                        left + (right - left) * dx
                    });
                    *value = (upper + (lower - upper) * dy) as u8;
                }
            }
        }
    }
}
