//! How much an image of each class weighs where classes are not equally frequent.

use crate::data::class_counts;
use crate::recipe::ClassWeights;

/// A weight for each class, or `None` if all are the same. A class without images weighs nothing.
pub fn class_weights(spec: &ClassWeights, labels: &[u32], classes: usize) -> Option<Vec<f32>> {
    let counts = class_counts(labels, classes);
    let each = |weight: &dyn Fn(f64) -> f64| -> Vec<f64> {
        counts.iter().map(|count| if *count > 0 { weight(*count as f64) } else { 0.0 }).collect()
    };
    let weights = match spec {
        ClassWeights::None(_) => return None,
        // sklearn's: the mean over all images is 1.
        ClassWeights::Inverse(_) => each(&|count| labels.len() as f64 / (classes as f64 * count)),
        // The paper's: their sum is the number of classes.
        ClassWeights::EffectiveNumber(number) => {
            let weights = each(&|count| (1.0 - number.beta) / (1.0 - number.beta.powf(count)));
            let scale = classes as f64 / weights.iter().sum::<f64>();
            weights.into_iter().map(|weight| weight * scale).collect()
        }
    };
    Some(weights.into_iter().map(|weight| weight as f32).collect())
}

#[cfg(test)]
mod tests {
    use crate::recipe::{EffectiveNumber, Inverse};

    use super::*;

    fn check(spec: ClassWeights, counts: &[usize], expected: &[f32]) {
        let labels: Vec<u32> = (0..).zip(counts).flat_map(|(class, count)| vec![class; *count]).collect();
        let found = class_weights(&spec, &labels, counts.len()).unwrap();
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 2e-6), "{found:?}");
    }

    #[test]
    fn rare_classes_weigh_more() {
        // sklearn.utils.class_weight.compute_class_weight("balanced") of these counts.
        check(ClassWeights::Inverse(Inverse {}), &[60, 30, 10], &[0.555_556, 1.111_111, 3.333_333]);
        // The paper's published code with these counts.
        let number = |beta| ClassWeights::EffectiveNumber(EffectiveNumber { beta });
        check(number(0.99), &[60, 30, 10], &[0.401_302, 0.698_145, 1.900_553]);
        check(number(0.0), &[60, 30, 10], &[1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_class_without_images_weighs_nothing() {
        check(ClassWeights::Inverse(Inverse {}), &[5, 0, 5], &[0.666_667, 0.0, 0.666_667]);
    }
}
