//! What a model says of each image: gathers on the device while batches are evaluated, and comes home once.

use burn::tensor::{Int, Tensor, activation};

/// What a model says of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Probability that it gives the right class; NaN if its scores are no numbers.
    pub own: f64,
    /// The class that it finds most likely.
    pub predicted: usize,
    /// Probability that it gives that class.
    pub confidence: f64,
}

/// Answers in the order of the images.
#[derive(Debug, Default)]
pub struct Answers {
    /// `[3, batch]` each: the probability of the right class, the most likely class, and its probability. A class is a
    /// float, exact up to 2²⁴.
    batches: Vec<Tensor<2>>,
}

impl Answers {
    /// Takes a batch: scores `[batch, classes]`, labels `[batch]`.
    pub fn add(&mut self, scores: Tensor<2>, labels: Tensor<1, Int>) {
        let probabilities = activation::softmax(scores.clone(), 1);
        let own = probabilities.clone().gather(1, labels.unsqueeze_dim(1));
        let columns = vec![own, scores.argmax(1).float(), probabilities.max_dim(1)];
        self.batches.push(Tensor::cat(columns, 1).transpose());
    }

    /// Waits for the device, once.
    pub fn read(self) -> Vec<Answer> {
        if self.batches.is_empty() {
            return Vec::new();
        }
        let all: Vec<f64> = Tensor::cat(self.batches, 1).into_data().iter::<f64>().collect();
        let (own, rest) = all.split_at(all.len() / 3);
        let (predicted, confidence) = rest.split_at(own.len());
        let answers = own.iter().zip(predicted).zip(confidence);
        answers
            .map(|((own, predicted), confidence)| Answer {
                own: *own,
                predicted: *predicted as usize,
                confidence: *confidence,
            })
            .collect()
    }
}

/// Places of the images that a model gets most wrong, no more than so many: those with the least probability of the
/// right class first, and before them those whose scores are no numbers.
pub fn worst(answers: &[Answer], most: usize) -> Vec<usize> {
    let key = |place: &usize| Some(answers[*place].own).filter(|own| !own.is_nan()).unwrap_or(f64::NEG_INFINITY);
    let mut places: Vec<usize> = (0..answers.len()).collect();
    places.sort_by(|a, b| key(a).total_cmp(&key(b)));
    places.truncate(most);
    places
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn read(batches: &[(&[[f32; 3]], &[i64])]) -> Vec<Answer> {
        let device = Device::flex();
        let mut answers = Answers::default();
        for (scores, labels) in batches {
            let scores = TensorData::new(scores.concat(), [labels.len(), 3]);
            let labels = TensorData::new(labels.to_vec(), [labels.len()]);
            answers.add(Tensor::from_data(scores, &device), Tensor::from_data(labels, &device));
        }
        answers.read()
    }

    #[test]
    fn answers_come_in_the_order_of_the_images() {
        let (two, seven) = (2.0f32.ln(), 7.0f32.ln());
        let found = read(&[(&[[two, seven, 0.0], [0.0, two, seven]], &[0, 2]), (&[[seven, 0.0, two]], &[1])]);
        let expected = [(0.2, 1, 0.7), (0.7, 2, 0.7), (0.1, 0, 0.7)];
        for (answer, (own, predicted, confidence)) in found.iter().zip(expected) {
            assert!((answer.own - own).abs() < 1e-6 && (answer.confidence - confidence).abs() < 1e-6, "{answer:?}");
            assert_eq!(answer.predicted, predicted);
        }
        assert_eq!(found.len(), 3);
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn the_worst_are_those_whose_right_class_is_least_likely() {
        let check = |own: &[f64], most: usize, expected: &[usize]| {
            let answer = |own: &f64| Answer { own: *own, predicted: 0, confidence: 0.5 };
            assert_eq!(worst(&own.iter().map(answer).collect::<Vec<_>>(), most), expected);
        };
        check(&[0.5, 0.1, 0.9, 0.2], 3, &[1, 3, 0]);
        check(&[0.5, f64::NAN, 0.0], 2, &[1, 2]);
        check(&[0.3, 0.3], 9, &[0, 1]);
        check(&[], 4, &[]);
    }
}
