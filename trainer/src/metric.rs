//! What a trial can be judged by.

use serde::{Deserialize, Serialize};

/// A figure of the validation split that a study can optimize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of validation images whose most likely class is the right one.
    #[default]
    ValAccuracy,
    /// Mean cross-entropy on the validation split, in nats.
    ValLoss,
}

impl Metric {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::ValAccuracy, Self::ValLoss];

    /// The name in study files and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValAccuracy => "val_accuracy",
            Self::ValLoss => "val_loss",
        }
    }

    /// Whether larger is better.
    pub fn is_maximized(self) -> bool {
        matches!(self, Self::ValAccuracy)
    }

    /// Whether `value` beats `best`; a NaN beats nothing, and everything else beats a NaN.
    pub fn is_better(self, value: f64, best: f64) -> bool {
        match self.is_maximized() {
            true => value > best || (best.is_nan() && !value.is_nan()),
            false => value < best || (best.is_nan() && !value.is_nan()),
        }
    }
}
