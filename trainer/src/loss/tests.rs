use burn::tensor::{Device, TensorData};
use serde::Deserialize;

use crate::recipe::ClassWeights;

use super::*;

/// tests/golden/losses.json; losses.py beside it says what it is.
#[derive(Deserialize)]
struct Golden {
    scores: Vec<f32>,
    labels: Vec<i64>,
    shares: Vec<f32>,
    counts: Vec<usize>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    loss: LossSpec,
    label_smoothing: f64,
    class_weights: ClassWeights,
    mixed: bool,
    value: f64,
    gradient: Vec<f64>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../tests/golden/losses.json")).unwrap()
    }

    /// Images of no pixels with as many labels of each class as the golden weights were made for.
    fn train(&self) -> Images {
        let labels = (0..).zip(&self.counts).flat_map(|(class, count)| vec![class; *count]).collect();
        Images { pixels: Vec::new(), labels, height: 0, width: 0, channels: 1 }
    }

    fn loss(&self, case: &Case) -> Loss {
        let recipe = Recipe {
            loss: case.loss.clone(),
            label_smoothing: case.label_smoothing,
            class_weights: case.class_weights.clone(),
            ..Default::default()
        };
        Loss::new(&recipe, &self.train(), self.counts.len())
    }

    /// Scores and targets of some of the images.
    fn batch(&self, images: std::ops::Range<usize>, mixed: bool, device: &Device) -> (Tensor<2>, Targets) {
        let classes = self.counts.len();
        let rows = |values: &[f32]| {
            let part = values[images.start * classes..images.end * classes].to_vec();
            Tensor::<2>::from_data(TensorData::new(part, [images.len(), classes]), device)
        };
        let labels = TensorData::new(self.labels[images.clone()].to_vec(), [images.len()]);
        let targets = match mixed {
            true => Targets::Shares(rows(&self.shares)),
            false => Targets::Classes(Tensor::from_data(labels, device)),
        };
        (rows(&self.scores).require_grad(), targets)
    }
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

fn check(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 2e-6 + 1e-5 * expected.abs(), "{what}: {found} is not {expected}");
}

#[test]
fn losses_and_their_gradients_are_those_of_torch_timm_and_torchvision() {
    let golden = Golden::read();
    let device = Device::flex().autodiff();
    for case in &golden.cases {
        let what = format!(
            "{:?} {} {:?} {}",
            case.loss,
            case.label_smoothing,
            case.class_weights,
            if case.mixed { "mixed" } else { "" }
        );
        let (scores, targets) = golden.batch(0..golden.labels.len(), case.mixed, &device);
        let loss = golden.loss(case).mean(scores.clone(), &targets);
        let gradient = scores.grad(&loss.backward()).unwrap().into_data();
        check(value(loss), case.value, &what);
        for (found, expected) in gradient.iter::<f64>().zip(&case.gradient) {
            check(found, *expected, &what);
        }
    }
}

#[test]
fn the_mean_of_the_parts_by_their_mass_is_the_batchs() {
    let golden = Golden::read();
    let device = Device::flex();
    for case in &golden.cases {
        let loss = golden.loss(case);
        let all = loss.mass(&golden.labels, case.mixed);
        let parts = [0..4, 4..6].map(|part| {
            let (scores, targets) = golden.batch(part.clone(), case.mixed, &device.clone().autodiff());
            value(loss.mean(scores, &targets)) * loss.mass(&golden.labels[part], case.mixed) / all
        });
        check(parts.iter().sum(), case.value, &format!("{:?} {:?}", case.loss, case.class_weights));
    }
}

#[test]
fn a_network_that_is_sure_has_a_finite_loss_and_gradient() {
    let device = Device::flex().autodiff();
    let golden = Golden::read();
    for case in golden.cases.iter().filter(|case| !case.mixed) {
        for scores in [[[1e4f32, -1e4, 0.0, 0.0]], [[-1e4, 1e4, 0.0, 0.0]]] {
            let scores = Tensor::<2>::from_floats(scores, &device).require_grad();
            let targets = Targets::Classes(Tensor::from_ints([0], &device));
            let loss = golden.loss(case).mean(scores.clone(), &targets);
            let gradient = scores.grad(&loss.backward()).unwrap().into_data();
            assert!(value(loss).is_finite(), "{:?}", case.loss);
            assert!(gradient.iter::<f32>().all(f32::is_finite), "{:?}: {gradient:?}", case.loss);
        }
    }
}
