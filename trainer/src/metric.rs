//! What a trial can be judged by, and how it is counted.

mod answers;
mod calibration;
mod confusion;
mod tally;

use serde::{Deserialize, Serialize};

pub use answers::{Answer, Answers, worst};
pub use calibration::Calibration;
pub use confusion::Confusion;
pub(crate) use tally::one_hot;
pub use tally::{Evaluation, Tally};

/// A figure of the validation split that a study can optimize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of validation images whose most likely class is the right one.
    #[default]
    ValAccuracy,
    /// Mean negative log-likelihood of the right class, in nats, whatever the recipe's loss is.
    #[serde(alias = "val_nll")]
    ValLoss,
    /// Share of validation images whose right class is among the five most likely.
    ValTop5Accuracy,
    /// Mean of the classes' recalls: what accuracy would be if all classes were equally frequent.
    ValBalancedAccuracy,
    /// Mean of the classes' F1, the harmonic mean of precision and recall.
    ValMacroF1,
    /// Expected calibration error: how far confidence is from accuracy (Guo 2017, arXiv 1706.04599).
    ValEce,
}

/// A metric's row: itself, its name in study files and in reports, and whether larger is better.
type Row = (Metric, &'static str, bool);

const ROWS: [Row; 6] = [
    (Metric::ValAccuracy, "val_accuracy", true),
    (Metric::ValLoss, "val_loss", false),
    (Metric::ValTop5Accuracy, "val_top5_accuracy", true),
    (Metric::ValBalancedAccuracy, "val_balanced_accuracy", true),
    (Metric::ValMacroF1, "val_macro_f1", true),
    (Metric::ValEce, "val_ece", false),
];

impl Metric {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::ValAccuracy,
        Self::ValLoss,
        Self::ValTop5Accuracy,
        Self::ValBalancedAccuracy,
        Self::ValMacroF1,
        Self::ValEce,
    ];

    fn row(self) -> Row {
        ROWS[self as usize]
    }

    /// The name in study files and in reports.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether larger is better.
    pub fn is_maximized(self) -> bool {
        self.row().2
    }

    /// Whether `value` beats `best`; a NaN beats nothing, and everything else beats a NaN.
    pub fn is_better(self, value: f64, best: f64) -> bool {
        match self.is_maximized() {
            true => value > best || (best.is_nan() && !value.is_nan()),
            false => value < best || (best.is_nan() && !value.is_nan()),
        }
    }

    /// Whether `value` is as good as `target` or better.
    pub fn reaches(self, value: f64, target: f64) -> bool {
        if self.is_maximized() { value >= target } else { value <= target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_written_as_it_is_reported() {
        for (metric, row) in Metric::ALL.into_iter().zip(ROWS) {
            assert_eq!(metric, row.0);
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        assert_eq!(serde_json::from_str::<Metric>("\"val_nll\"").unwrap(), Metric::ValLoss);
    }

    #[test]
    fn a_target_is_reached_from_its_own_side() {
        let check = |metric: Metric, value: f64, expected: bool| assert_eq!(metric.reaches(value, 0.5), expected);
        check(Metric::ValAccuracy, 0.5, true);
        check(Metric::ValAccuracy, 0.4, false);
        check(Metric::ValEce, 0.4, true);
        check(Metric::ValEce, 0.6, false);
        check(Metric::ValEce, f64::NAN, false);
    }
}
