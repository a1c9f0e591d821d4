//! Which class was taken for which, and the figures that follow from it, as scikit-learn has them.

use serde::{Deserialize, Serialize};

/// Counts of images by true class (rows) and most likely class (columns).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// From the rows, one after the other.
    pub fn new(counts: Vec<u64>, classes: usize) -> Self {
        Self { counts: counts.chunks(classes).map(<[u64]>::to_vec).collect() }
    }

    /// Images of a class.
    fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Images taken for a class.
    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    fn classes(&self) -> impl Iterator<Item = usize> {
        0..self.counts.len()
    }

    /// Share of images that were taken for what they are.
    pub fn accuracy(&self) -> f64 {
        let hits: u64 = self.classes().map(|class| self.counts[class][class]).sum();
        let all: u64 = self.classes().map(|class| self.support(class)).sum();
        hits as f64 / all as f64
    }

    /// For each class the share of its images that were taken for it; `None` for a class without images.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        let recall = |class| {
            let support = self.support(class);
            (support > 0).then(|| self.counts[class][class] as f64 / support as f64)
        };
        self.classes().map(recall).collect()
    }

    /// Mean recall of the classes that have images (sklearn's `balanced_accuracy_score`).
    pub fn balanced_accuracy(&self) -> f64 {
        mean(self.recalls().into_iter().flatten())
    }

    /// Mean F1 of the classes that have images or were seen where they are not (sklearn's `f1_score`, macro).
    pub fn macro_f1(&self) -> f64 {
        let f1 = |class| {
            let both = self.support(class) + self.predicted(class);
            (both > 0).then(|| 2.0 * self.counts[class][class] as f64 / both as f64)
        };
        mean(self.classes().filter_map(f1))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_images_has_no_recall_but_may_cost_precision() {
        // Two of the first class are taken for the third, which has no images; the fourth is never seen.
        let confusion = Confusion::new(vec![2, 0, 2, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4);
        assert_eq!(confusion.recalls(), [Some(0.5), Some(1.0), None, None]);
        assert_eq!(confusion.accuracy(), 0.75);
        assert_eq!(confusion.balanced_accuracy(), 0.75);
        assert_eq!(confusion.macro_f1(), (2.0 * 2.0 / 6.0 + 1.0 + 0.0) / 3.0);
    }
}
