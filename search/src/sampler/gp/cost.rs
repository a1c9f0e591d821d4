//! What an epoch of a point will cost: expected improvement per second (Snoek et al. 2012, arXiv 1206.2944).
//!
//! Cheap points first and the best at any price at last: the weight of the cost falls with the share of the trials that is
//! left (Lee et al. 2020, arXiv 2003.10870); how many there will be is said by the study or by the plan of its time.
//! Without either, the weight stays one. Where a plan has measured the models, its paces are what a point costs before
//! anything is known of its like, and the process learns only by how much trials differ from them.

use super::model::Model;
use crate::domain::Point;
use crate::record::Trial;
use crate::sampler::View;

/// The model is made of no more trials than this, the latest.
const MOST_TRIALS: usize = 100;
/// No fewer, for a model.
const LEAST_TRIALS: usize = 4;
/// Costs whose logarithms deviate by less than this do not matter to the choice.
const LEAST_DEVIATION: f64 = 0.1;

/// The weighted logarithm of seconds, up to a constant; zero while costs are alike or not known.
pub(in crate::sampler) struct Cost<'a> {
    view: &'a View<'a>,
    weight: f64,
    /// Of what the plan's paces leave open, and its scale.
    model: Option<(Model, f64)>,
}

impl<'a> Cost<'a> {
    pub(in crate::sampler) fn new(view: &'a View<'a>) -> Self {
        let left = |most: u64| 1.0 - (view.trial.0 as f64 / most.max(1) as f64).min(1.0);
        let weight = view.history.expected().or(view.config.max_trials).map_or(1.0, left);
        if view.config.cost.is_none() || weight <= 0.0 {
            return Self { view, weight: 0.0, model: None };
        }
        let cost = |trial: &Trial| (trial.cost > 0.0).then(|| (trial.cost / trial.step() as f64).ln());
        let known = view.trials.iter().rev().filter_map(|trial| Some((trial, cost(trial)?))).take(MOST_TRIALS);
        let beyond = |(trial, log): (&Trial, f64)| {
            let point = view.domain.encode(&trial.params);
            (log - view.log_pace(&point), point)
        };
        let (logs, points): (Vec<f64>, Vec<Point>) = known.map(beyond).unzip();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let deviation = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / logs.len().max(1) as f64).sqrt();
        if logs.len() < LEAST_TRIALS || deviation < LEAST_DEVIATION {
            return Self { view, weight, model: None };
        }
        let targets = logs.iter().map(|log| (log - mean) / deviation).collect();
        Self { view, weight, model: Some((Model::fit(view.domain, points, targets), deviation)) }
    }

    pub(in crate::sampler) fn log_seconds(&self, point: &[f64]) -> f64 {
        if self.weight == 0.0 {
            return 0.0;
        }
        let beyond = self.model.as_ref().map_or(0.0, |(model, deviation)| deviation * model.predict(point).0);
        self.weight * (self.view.log_pace(point) + beyond)
    }
}
