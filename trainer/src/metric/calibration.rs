//! Whether a network is as often right as it says (Guo 2017, arXiv 1706.04599).

/// Images by confidence, the probability of the most likely class, in bins of equal width.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Images in each bin.
    pub counts: Vec<f64>,
    /// Sum of their confidences.
    pub confidence: Vec<f64>,
    /// How many of them are right.
    pub hits: Vec<f64>,
}

impl Calibration {
    /// Bins of the paper's tables; the k-th of them holds confidences in (k / 15, (k + 1) / 15].
    pub const BINS: usize = 15;

    /// Expected calibration error: the mean over images of how far their bin's confidence is from its accuracy.
    pub fn expected_error(&self) -> f64 {
        let gaps = self.confidence.iter().zip(&self.hits).map(|(confidence, hits)| (confidence - hits).abs());
        gaps.sum::<f64>() / self.counts.iter().sum::<f64>()
    }
}
