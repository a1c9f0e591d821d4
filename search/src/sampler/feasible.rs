//! How likely it is that a point can be trained at all: failed trials are learned from, as in c-TPE (Watanabe and Hutter
//! 2023, arXiv 2211.14411).
//!
//! Two densities, one of points that failed and one of points that did not; the probability follows by Bayes' rule.

use super::View;
use super::parzen::{Component, Parzen};
use crate::history::Observation;

/// Each density is made of no more points than this: the latest failures, and the others evenly by rank.
const MOST_POINTS: usize = 200;

/// The probability; one everywhere while nothing has failed.
pub(super) struct Feasible<'a> {
    densities: Option<Densities<'a>>,
}

struct Densities<'a> {
    failed: Parzen<'a>,
    fine: Parzen<'a>,
    /// How much more often a trial fails than not, as a logarithm.
    log_odds: f64,
}

impl<'a> Feasible<'a> {
    pub(super) fn new(view: &View<'a>) -> Self {
        let failed = view.history.failed().len();
        let fine = view.history.len() - failed;
        if failed == 0 || fine == 0 {
            return Self { densities: None };
        }
        let parzen = |points: Vec<&'a Observation>| {
            let component = |observation: &'a Observation| Component { point: &observation.point, weight: 1.0 };
            Parzen::new(view.domain, points.into_iter().map(component).collect())
        };
        let stride = fine.div_ceil(MOST_POINTS);
        Self {
            densities: Some(Densities {
                failed: parzen(view.history.failed().rev().take(MOST_POINTS).collect()),
                // Failures have the last ranks.
                fine: parzen(view.history.ranked().take(fine).step_by(stride).collect()),
                log_odds: (failed as f64 / fine as f64).ln(),
            }),
        }
    }

    /// Logarithm of the probability that a trial of the point does not fail.
    pub(super) fn log_probability(&self, point: &[f64]) -> f64 {
        let Some(Densities { failed, fine, log_odds }) = &self.densities else { return 0.0 };
        let log_ratio = log_odds + failed.log_density(point) - fine.log_density(point);
        -log_ratio.exp().ln_1p()
    }
}
