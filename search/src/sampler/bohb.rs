//! The model of BOHB (Falkner et al. 2018, arXiv 1807.01774): a Parzen estimator of the results at the highest epoch that
//! enough trials have reached, and every third point at random. For the pruner `hyperband`, with which it is BOHB.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::feasible::Feasible;
use super::parzen::{Component, Parzen};
use super::{Choice, Sampler, View, random};
use crate::domain::Point;
use crate::record::Trial;
use crate::trial::{Loss, TrialState};

/// The defaults of the paper's code, HpBandSter: share of random points, share of good results, candidates.
const RANDOM_SHARE: f64 = 1.0 / 3.0;
const GOOD_SHARE: f64 = 0.15;
const CANDIDATES: usize = 64;

pub(super) struct Bohb;

impl Sampler for Bohb {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        // The paper's N_min; two more make the first model.
        let least = view.domain.len() + 1;
        let at_random = rng.random::<f64>() < RANDOM_SHARE;
        let Some((epoch, results)) = highest(view, least + 2).filter(|_| !at_random) else {
            let point = random::untried(view.domain, view.history, rng);
            let why = if at_random { "bohb: one in three at random" } else { "bohb: too few results for a model" };
            return Some(Choice { point, why: why.into() });
        };
        let good = least.max((GOOD_SHARE * results.len() as f64) as usize).min(results.len());
        let bad = least.max(results.len() - good).min(results.len());
        let component = |point| Component { point, weight: 1.0 };
        let better = results[..good].iter().map(|(_, point)| component(point.as_slice()));
        // Points that run without a result count as bad, so that workers do not all try the same (constant liar).
        let pending = view.history.pending().map(|pending| component(pending.point.as_slice()));
        let worse = results[results.len() - bad..].iter().map(|(_, point)| component(point.as_slice())).chain(pending);
        let (better, worse) = (Parzen::new(view.domain, better.collect()), Parzen::new(view.domain, worse.collect()));
        let feasible = Feasible::new(view);
        let gain = |point: &Point| {
            let ratio = better.log_density(point) - worse.log_density(point);
            ratio + feasible.log_probability(point) + view.log_belief(point)
        };
        let drawn: Vec<Point> =
            (0..CANDIDATES).map(|_| better.draw(rng)).filter(|point| view.domain.allows(point)).collect();
        let best = drawn.into_iter().map(|point| (gain(&point), point)).max_by(|(a, _), (b, _)| a.total_cmp(b));
        Some(match best {
            Some((gain, point)) => {
                let count = results.len();
                Choice { point, why: format!("bohb: {good} good of {count} at epoch {epoch}, log ratio {gain:.2}") }
            }
            None => Choice { point: random::untried(view.domain, view.history, rng), why: "random".into() },
        })
    }
}

/// The highest epoch that so many trials have reached, and their losses there, best first. Trials that failed for a reason
/// of their own are the worst at every epoch.
fn highest(view: &View, least: usize) -> Option<(u64, Vec<(Loss, Point)>)> {
    let has_result = |trial: &&Trial| trial.last_value().is_some() || trial.step() > 0;
    let known: Vec<&Trial> = view.trials.iter().filter(has_result).collect();
    let mut steps: Vec<u64> = known.iter().map(|trial| trial.step()).collect();
    steps.sort_by(|a, b| b.cmp(a));
    let epoch = *steps.get(least - 1)?;
    let at = |trial: &Trial| {
        let value = trial.value.map(|value| Loss::of(value, view.config.direction));
        trial.loss_at(epoch, view.config.direction).or(value).unwrap_or(Loss::DIVERGED)
    };
    let reached = known.into_iter().filter(|trial| trial.step() >= epoch).map(|trial| (at(trial), trial));
    let failed = view.trials.iter().filter(|trial| trial.state == TrialState::Failed && trial.step() < epoch);
    let all = reached.chain(failed.map(|trial| (Loss::DIVERGED, trial)));
    let mut results: Vec<(Loss, Point)> = all.map(|(loss, trial)| (loss, view.domain.encode(&trial.params))).collect();
    results.sort_by_key(|(loss, _)| *loss);
    Some((epoch, results))
}
