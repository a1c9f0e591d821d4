//! Counts that gather on the device while batches are evaluated, and come home once.

use burn::tensor::{Device, Int, Tensor, activation};

use super::{Calibration, Confusion};

/// Ranks that count as right for [`Evaluation::top5_accuracy`].
const TOP: f64 = 5.0;

/// How well a model does on some images.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean negative log-likelihood of the right class, in nats.
    pub loss: f64,
    /// Share of images whose most likely class is the right one.
    pub accuracy: f64,
    /// Share of images whose right class is among the five most likely.
    pub top5_accuracy: f64,
    /// Which class was taken for which.
    pub confusion: Confusion,
    /// How often the model is right at each confidence.
    pub calibration: Calibration,
}

impl Evaluation {
    /// All figures by their name in reports.
    pub fn metrics(&self) -> [(&'static str, f64); 6] {
        [
            ("val_loss", self.loss),
            ("val_accuracy", self.accuracy),
            ("val_top5_accuracy", self.top5_accuracy),
            ("val_balanced_accuracy", self.confusion.balanced_accuracy()),
            ("val_macro_f1", self.confusion.macro_f1()),
            ("val_ece", self.calibration.expected_error()),
        ]
    }
}

/// Sums over the images evaluated so far. Counts are floats, exact up to 2²⁴ in each cell.
#[derive(Debug)]
pub struct Tally {
    images: usize,
    classes: usize,
    /// Sum of the losses, `[1]`.
    loss: Tensor<1>,
    /// Images whose right class is among the most likely, `[1]`.
    top: Tensor<1>,
    /// Images, confidences and hits of each bin, `[3, bins]`.
    bins: Tensor<2>,
    /// Images by true and by most likely class, `[classes, classes]`.
    confusion: Tensor<2>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(classes: usize, device: &Device) -> Self {
        Self {
            images: 0,
            classes,
            loss: Tensor::zeros([1], device),
            top: Tensor::zeros([1], device),
            bins: Tensor::zeros([3, Calibration::BINS], device),
            confusion: Tensor::zeros([classes, classes], device),
        }
    }

    /// Counts a batch: scores `[batch, classes]`, labels `[batch]`.
    pub fn add(&mut self, scores: Tensor<2>, labels: Tensor<1, Int>) {
        let [count, classes] = scores.dims();
        self.images += count;
        let labels: Tensor<2, Int> = labels.unsqueeze_dim(1);
        let likelihood = activation::log_softmax(scores.clone(), 1).gather(1, labels.clone()).mean();
        self.loss = self.loss.clone() + likelihood.neg().mul_scalar(count as f64);
        let predicted = scores.clone().argmax(1);
        let hits = predicted.clone().equal(labels.clone()).float();

        let rank = rank(scores.clone(), labels.clone());
        self.top = self.top.clone() + rank.lower_elem(TOP).float().sum();

        let confidence = activation::softmax(scores, 1).max_dim(1);
        let bin = (confidence.clone().mul_scalar(Calibration::BINS as f64).ceil().int() - 1)
            .clamp(0, Calibration::BINS as i64 - 1);
        let in_bin = one_hot(bin, Calibration::BINS);
        let rows = [Tensor::ones_like(&hits), confidence, hits];
        // Not a product of matrices, which a GPU may round to fewer digits.
        let rows = rows.map(|column| (in_bin.clone() * column).sum_dim(0));
        self.bins = self.bins.clone() + Tensor::cat(rows.to_vec(), 0);

        let pairs = one_hot(labels, classes).transpose().matmul(one_hot(predicted, classes));
        self.confusion = self.confusion.clone() + pairs;
    }

    /// Waits for the device, once.
    pub fn read(self) -> Evaluation {
        let Self { images, classes, loss, top, bins, confusion } = self;
        let all = Tensor::cat(vec![loss, top, bins.reshape([-1]), confusion.reshape([-1])], 0);
        let all: Vec<f64> = all.into_data().iter::<f64>().collect();
        let (sums, rest) = all.split_at(2);
        let (bins, counts) = rest.split_at(3 * Calibration::BINS);
        let bins = |row: usize| bins[row * Calibration::BINS..][..Calibration::BINS].to_vec();
        let confusion = Confusion::new(counts.iter().map(|count| *count as u64).collect(), classes);
        Evaluation {
            loss: sums[0] / images as f64,
            accuracy: confusion.accuracy(),
            top5_accuracy: sums[1] / images as f64,
            confusion,
            calibration: Calibration { counts: bins(0), confidence: bins(1), hits: bins(2) },
        }
    }
}

/// How many classes come before the right one, `[batch, 1]`: those with a higher score, and of equal ones the earlier.
/// Behind all classes where the score is no number.
fn rank(scores: Tensor<2>, labels: Tensor<2, Int>) -> Tensor<2> {
    let [count, classes] = scores.dims();
    let own = scores.clone().gather(1, labels.clone());
    let no_number = own.clone().is_nan().float().mul_scalar(classes as f64);
    let own = own.expand([count, classes]);
    let is_earlier = numbers(count, classes, &scores.device()).lower(labels.expand([count, classes]));
    let before = scores.clone().greater(own.clone()).float() + scores.equal(own).bool_and(is_earlier).float();
    before.sum_dim(1) + no_number
}

/// `[batch, 1]` to `[batch, classes]` with a one in each row.
pub(crate) fn one_hot(indices: Tensor<2, Int>, classes: usize) -> Tensor<2> {
    let [count, _] = indices.dims();
    numbers(count, classes, &indices.device()).equal(indices.expand([count, classes])).float()
}

/// 0, 1, … in each row.
fn numbers(rows: usize, columns: usize, device: &Device) -> Tensor<2, Int> {
    Tensor::<1, Int>::arange(0..columns as i64, device).unsqueeze_dim::<2>(0).expand([rows, columns])
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use serde::Deserialize;

    use super::*;

    /// tests/golden/metrics.json; metrics.py beside it says what it is.
    #[derive(Deserialize)]
    struct Golden {
        name: String,
        classes: usize,
        scores: Vec<f32>,
        labels: Vec<i64>,
        metrics: std::collections::BTreeMap<String, f64>,
        recalls: Vec<Option<f64>>,
        confusion: Confusion,
    }

    fn evaluate(classes: usize, scores: &[f32], labels: &[i64], batch: usize) -> Evaluation {
        let device = Device::flex();
        let mut tally = Tally::new(classes, &device);
        for (scores, labels) in scores.chunks(batch * classes).zip(labels.chunks(batch)) {
            let scores = TensorData::new(scores.to_vec(), [labels.len(), classes]);
            let labels = TensorData::new(labels.to_vec(), [labels.len()]);
            tally.add(Tensor::from_data(scores, &device), Tensor::from_data(labels, &device));
        }
        tally.read()
    }

    #[test]
    fn every_figure_is_that_of_scikit_learn_and_torchmetrics() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap();
        for case in cases {
            let found = evaluate(case.classes, &case.scores, &case.labels, 32);
            for (name, value) in found.metrics() {
                let expected = case.metrics[name];
                assert!((value - expected).abs() < 1e-6, "{} {name}: {value} is not {expected}", case.name);
            }
            assert_eq!(found.confusion, case.confusion, "{}", case.name);
            for (found, expected) in found.confusion.recalls().iter().zip(&case.recalls) {
                assert_eq!(found.is_some(), expected.is_some(), "{}", case.name);
                assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12, "{}", case.name);
            }
        }
    }

    #[test]
    fn equal_scores_are_ranked_as_the_most_likely_class_is_chosen() {
        // Six equal scores: the first class is the most likely one, and the last is not among five.
        let found = evaluate(6, &[1.0; 12], &[0, 5], 2);
        assert_eq!((found.accuracy, found.top5_accuracy), (0.5, 0.5));
    }

    #[test]
    fn a_score_that_is_no_number_is_never_right() {
        let found = evaluate(6, &[f32::NAN; 6], &[3], 1);
        assert_eq!(found.top5_accuracy, 0.0);
        assert!(found.loss.is_nan());
    }
}
