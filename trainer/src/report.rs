//! What a trial says of itself after each epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::Metric;

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
