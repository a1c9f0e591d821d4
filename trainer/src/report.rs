//! What a trial says of itself after each epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::Metric;

/// What an epoch reports beside its metrics, where there is such a figure.
const FIGURES: [&str; 9] = [
    "train_loss",
    "lr",
    "train_seconds",
    "images_per_second",
    "input_wait_share",
    "peak_memory_bytes",
    "device_memory_bytes",
    "loss_scale",
    "skipped_updates",
];
/// Before the metrics of the weights themselves, or of their mean, when the other is what the trial is judged by.
const BESIDE: [&str; 2] = ["raw", "ema"];

/// All names that a report can have.
pub fn names() -> impl Iterator<Item = String> {
    let metrics = || Metric::ALL.map(Metric::name);
    let beside = BESIDE.iter().flat_map(move |model| metrics().map(|metric| format!("{model}_{metric}")));
    metrics().into_iter().chain(FIGURES).map(str::to_owned).chain(beside)
}

/// The figures of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epochs done, from 1.
    pub epoch: u64,
    /// By name; those that are not finite are left out.
    pub metrics: BTreeMap<String, f64>,
}

impl EpochReport {
    /// A report of the given figures.
    pub fn new<'a>(epoch: u64, metrics: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let finite = metrics.into_iter().filter(|(_, value)| value.is_finite());
        Self { epoch, metrics: finite.map(|(name, value)| (name.to_owned(), value)).collect() }
    }

    /// The study's metric; NaN if it was not finite.
    pub fn value(&self, metric: Metric) -> f64 {
        self.metrics.get(metric.name()).copied().unwrap_or(f64::NAN)
    }
}
