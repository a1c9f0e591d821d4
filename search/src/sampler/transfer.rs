//! One full training of each network by the best settings found with another.
//!
//! Under successive halving, networks are judged by their first epochs, in which the larger one of two is often behind; and
//! where seconds count, a search stays with the cheap one for long. So each network is trained to its end once, as soon as
//! there are settings that are worth it: settings found on a small network are good ones on a large one more often than not
//! (which is what Yang et al. 2022, arXiv 2203.03466, make exact by their parametrization).

use super::{SamplerKind, View};
use crate::domain::{Domain, Point};
use crate::history::{Observation, Stage};
use crate::params::ParamValue;
use crate::record::Trial;

/// So many complete trials have the best settings among them: one of three is what successive halving would promote.
const LEAST_COMPLETE: usize = 3;
/// The training takes no more than this share of the time that is left.
const MOST_OF_TIME: f64 = 0.25;

/// A point to train to its end, and why.
pub(crate) struct Transfer {
    pub(crate) point: Point,
    pub(crate) why: String,
}

/// The next transfer that is due: of the best settings to the fastest network that has no trial of its own yet that trained to
/// its end, the recipe's own aside. None without a plan of the time that has measured the networks.
pub(crate) fn due(view: &View) -> Option<Transfer> {
    let full = view.config.max_step?;
    let left_seconds = view.history.left_seconds();
    let is_for_rungs = view.history.is_mixed() && !view.config.pruner.has_population();
    // What is known without a look at the trials comes first: this is asked at each start, in a replay too.
    if view.config.sampler != SamplerKind::Auto || left_seconds <= 0.0 || !is_for_rungs {
        return None;
    }
    let (axis, networks) = view.domain.choices("model")?;
    let was_trained = |network: &ParamValue| {
        let went_far =
            |trial: &&Trial| (trial.is_spared || trial.step() >= full) && !view.config.is_baseline(trial.number);
        view.trials.iter().filter(went_far).any(|trial| trial.params.get("model") == Some(network))
    };
    let mut untrained = networks.iter().enumerate().filter(|(_, network)| !was_trained(network)).peekable();
    untrained.peek()?;
    let is_complete = |known: &&Observation| matches!(known.result, Some((Stage::Complete, _)));
    // By rank, so that settings which break a constraint come last.
    let best: Vec<&Observation> = view.history.ranked().take_while(is_complete).take(LEAST_COMPLETE).collect();
    if best.len() < LEAST_COMPLETE {
        return None;
    }
    let settings = &best[0].point;
    let seconds = |point: &Point| view.log_pace(point).exp() * full as f64;
    let points = untrained.map(|(choice, network)| (with_choice(view.domain, settings, axis, choice), network));
    let (point, network) = points
        .filter(|(point, _)| view.domain.allows(point) && !view.history.was_tried(point))
        .min_by(|(a, _), (b, _)| seconds(a).total_cmp(&seconds(b)))
        .filter(|(point, _)| seconds(point) <= MOST_OF_TIME * left_seconds)?;
    let lends = |trial: &&Trial| view.domain.distance(&view.domain.encode(&trial.params), settings) == 0.0;
    let lender = view.trials.iter().find(lends);
    let whose = lender.map_or("earlier results".into(), |trial| format!("trial {}", trial.number.0));
    let why = format!("the settings of {whose}, the best so far, for {network}: to its end");
    Some(Transfer { point, why })
}

/// The point with another choice on that axis; what exists only under that choice is in the middle of what is believed of it.
fn with_choice(domain: &Domain, point: &[f64], axis: usize, choice: usize) -> Point {
    domain.build(|at, _| match point[at] {
        _ if at == axis => choice as f64,
        old if old.is_nan() => domain.spread(at, 0.5),
        old => old,
    })
}
