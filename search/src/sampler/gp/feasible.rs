//! How likely it is that a point can be trained at all: a second process over which points failed (Gelbart et al. 2014,
//! arXiv 1403.5607). Expected improvement counts times that probability. The model of the losses sees failures as well, as
//! the worst loss: without that, the promise beyond the edge of what can be trained outweighs any probability.

use super::acquisition::log_normal_below;
use super::model::Model;
use crate::domain::Point;
use crate::history::{Observation, Stage};
use crate::sampler::View;

/// The process is made of no more points than this: the latest failures, and of the others the best and an even part.
const MOST_POINTS: usize = 200;
/// Labels are 1 for fine and -1 for failed. Of a place like none tried, being fine is expected: its probability is 0.84.
const EXPECTED: f64 = 1.0;

/// The probability; one everywhere while nothing has failed.
pub(super) struct Feasible {
    model: Option<Model>,
}

impl Feasible {
    pub(super) fn new(view: &View, fine: &[&Observation]) -> Self {
        if view.history.failed().len() == 0 {
            return Self { model: None };
        }
        let failed = view.history.failed().rev().take(MOST_POINTS / 2).map(|failed| (&failed.point, -1.0));
        let fine: Vec<&&Observation> =
            fine.iter().filter(|known| !matches!(known.result, Some((Stage::Failed, _)))).collect();
        let stride = fine.len().div_ceil(MOST_POINTS / 2).max(1);
        let fine = fine.iter().step_by(stride).map(|fine| (&fine.point, 1.0));
        let data = failed.chain(fine).map(|(point, label)| (point.clone(), label - EXPECTED));
        let (points, labels): (Vec<Point>, Vec<f64>) = data.unzip();
        Self { model: Some(Model::fit_exact(view.domain, points, labels)) }
    }

    /// Logarithm of the probability that a trial of the point does not fail.
    pub(super) fn log_probability(&self, point: &[f64]) -> f64 {
        let Some(model) = &self.model else { return 0.0 };
        let (mean, deviation) = model.predict(point);
        log_normal_below((EXPECTED + mean) / deviation)
    }
}
