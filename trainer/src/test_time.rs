//! Test-time augmentation: the class probabilities of several views of each image, averaged, on the device.

use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, activation};

use crate::recipe::TestTime;

/// Rows and columns, in units of the shift, by which views are off: the image itself, the diagonals, the sides.
const OFFSETS: [[isize; 2]; 9] = [[0, 0], [-1, -1], [1, 1], [-1, 1], [1, -1], [-1, 0], [1, 0], [0, -1], [0, 1]];

/// Scores of images `[batch, channels, height, width]` by a network: its own if there is one view, else the logarithms
/// of the mean probabilities, which are scores too.
pub fn scores(test_time: &TestTime, images: Tensor<4>, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> Tensor<2> {
    let TestTime { flip, crops, .. } = *test_time;
    if crops == 1 && !flip {
        return forward(images);
    }
    let views = OFFSETS[..crops].iter().map(|offset| shifted(images.clone(), *offset, test_time.shift));
    let views = views.flat_map(|view| [Some(view.clone()), flip.then(|| view.flip([3]))]).flatten();
    let probabilities = views.map(|view| activation::softmax(forward(view), 1));
    let count = crops * (1 + usize::from(flip));
    let sum = probabilities.reduce(|sum, more| sum + more).expect("there is a view at least");
    // The smallest normal number keeps the logarithm finite.
    sum.div_scalar(count as f64).clamp_min(f32::MIN_POSITIVE).log()
}

fn shifted(images: Tensor<4>, offset: [isize; 2], shift: usize) -> Tensor<4> {
    if offset == [0, 0] {
        return images;
    }
    let [count, channels, height, width] = images.dims();
    let padded = images.pad((shift, shift, shift, shift), PadMode::Edge);
    let [top, left] = offset.map(|sign| (shift as isize * (1 + sign)) as usize);
    padded.slice([0..count, 0..channels, top..top + height, left..left + width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    fn image() -> Tensor<4> {
        Tensor::from_data([[[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]]], &Device::flex())
    }

    #[test]
    fn a_view_starts_up_left_and_repeats_the_border() {
        let values = |offset| shifted(image(), offset, 1).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(values([0, 0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(values([-1, -1]), [1.0, 1.0, 2.0, 1.0, 1.0, 2.0]);
        assert_eq!(values([1, 0]), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn probabilities_are_averaged_over_the_views() {
        // A network that scores the upper left pixel against 0.
        let forward = |images: Tensor<4>| {
            let first = images.slice([0..1, 0..1, 0..1, 0..1]).reshape([1, 1]);
            Tensor::cat(vec![first.clone(), first.zeros_like()], 1)
        };
        let check = |flip, crops, firsts: &[f64]| {
            let found = scores(&TestTime { flip, crops, shift: 1 }, image(), forward);
            let found = activation::softmax(found, 1).into_data();
            let mean = firsts.iter().map(|x| 1.0 / (1.0 + (-x).exp())).sum::<f64>() / firsts.len() as f64;
            let expected = burn::tensor::TensorData::from([[mean as f32, 1.0 - mean as f32]]);
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        };
        check(false, 1, &[1.0]);
        check(true, 1, &[1.0, 3.0]);
        check(false, 3, &[1.0, 1.0, 5.0]);
        check(true, 2, &[1.0, 3.0, 1.0, 2.0]);
    }
}
