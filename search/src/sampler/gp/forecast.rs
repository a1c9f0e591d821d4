//! What a Gaussian process over points and epochs says of where curves go: the forecast by which freeze-thaw chooses between
//! trials that rest and new ones, and by which new points are chosen where results at different epochs are mixed.
//!
//! The promise is expected improvement per epoch over the best loss seen, after a number of further epochs that is drawn
//! anew for each decision (Rakotoarison et al. 2024, arXiv 2404.16795, draw it so): a short outlook asks who improves soonest,
//! a long one who ends best, and which of the two matters differs from task to task.

use rand::RngExt;

use super::acquisition::log_expected_improvement;
use super::curves::Curves;
use super::model::Model;
use super::{SPREAD, step};
use crate::domain::{Domain, Point};
use crate::params::Params;
use crate::pruner::PrunerKind;
use crate::record::Trial;
use crate::sampler::{View, random};
use crate::stream::{Purpose, stream};
use crate::trial::TrialNumber;

/// Steps from the most promising of the points that are spread over the space.
const CLIMBS: u32 = 100;

pub(crate) struct Forecast {
    model: Model,
    domain: Domain,
    curves: Curves,
    /// For how many more epochs a trial is thought of: see the module.
    outlook: u64,
    /// The same for a new one.
    aim: u64,
}

impl Forecast {
    pub(crate) fn new(view: &View) -> Self {
        let domain = view.domain.with_axis("epoch");
        let mut curves = Curves::new(view);
        let (points, targets) = (std::mem::take(&mut curves.points), std::mem::take(&mut curves.targets));
        let model = Model::fit_to_some(&domain, points, targets);
        // By what was learned, so that each decision has its own.
        let epochs = TrialNumber(view.trials.iter().map(Trial::step).sum());
        let outlook = stream(view.config.seed, epochs, Purpose::Outlook).random_range(1..=curves.full);
        // Where rungs decide who goes on, a short outlook is nobody's: within it no trial gets better than the best, and what
        // seems to lies where nothing is known.
        let is_thawed = matches!(view.config.pruner, PrunerKind::FreezeThaw(_));
        let aim = if is_thawed { outlook } else { curves.full };
        let mut forecast = Self { model, domain: view.domain.clone(), curves, outlook, aim };
        let pending = view.history.pending().map(|pending| forecast.at(&pending.point, forecast.curves.full));
        let pending = pending.collect();
        forecast.model.believe(pending);
        forecast
    }

    /// The promise of a trial that came so far.
    pub(crate) fn promise(&self, params: &Params, epochs: u64) -> f64 {
        self.promise_of(&self.domain.encode(params), epochs)
    }

    /// The greatest promise of a new point that is found soon.
    pub(crate) fn best_new(&self, view: &View) -> f64 {
        let mut rng = stream(view.config.seed, view.trial, Purpose::Forecast);
        let spread = (0..SPREAD).map(|_| random::draw(view.domain, &mut rng)).collect::<Vec<Point>>();
        let promises = spread.into_iter().map(|point| (self.promise_of(&point, 0), point));
        let Some((mut most, mut at)) = promises.max_by(|(a, _), (b, _)| a.total_cmp(b)) else {
            return f64::NEG_INFINITY;
        };
        for climb in 0..CLIMBS {
            // From a third of an axis to a hundredth.
            let next = step(view.domain, &at, 0.3 * 0.03f64.powf(f64::from(climb) / f64::from(CLIMBS)), &mut rng);
            let promise = self.promise_of(&next, 0);
            if promise > most {
                (most, at) = (promise, next);
            }
        }
        most
    }

    /// The least loss seen, on the scale of `predict`.
    pub(super) fn best(&self) -> f64 {
        self.curves.best
    }

    /// For how many epochs a new trial is thought of.
    pub(super) fn aim(&self) -> u64 {
        self.aim
    }

    /// Mean and deviation of a new point's loss after the epochs that it is thought of for.
    pub(super) fn predict(&self, point: &[f64]) -> (f64, f64) {
        self.predict_at(point, self.aim)
    }

    fn promise_of(&self, point: &[f64], epochs: u64) -> f64 {
        let until = (epochs + self.outlook).min(self.curves.full);
        let (mean, deviation) = self.predict_at(point, until);
        log_expected_improvement(self.best(), mean, deviation) - (until.saturating_sub(epochs).max(1) as f64).ln()
    }

    fn predict_at(&self, point: &[f64], epoch: u64) -> (f64, f64) {
        let (mean, deviation) = self.model.predict(&self.at(point, epoch));
        (mean + self.curves.trend(epoch), deviation)
    }

    fn at(&self, point: &[f64], epoch: u64) -> Point {
        point.iter().copied().chain([self.curves.place(epoch)]).collect()
    }
}
