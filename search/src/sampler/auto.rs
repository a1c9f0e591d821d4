//! The default: the Gaussian process while it can afford to look at all that is known, the Parzen estimator beyond. Where
//! results at different epochs are mixed, the two take turns once the estimator has the results that it begins with: one trusts
//! the ranks that halving gave, the other the curves, and which is right differs from task to task.

use rand_chacha::ChaCha8Rng;

use super::gp::Gp;
use super::sobol::Sobol;
use super::tpe::{STARTUP, Tpe};
use super::transfer::{self, Transfer};
use super::{Choice, Sampler, View};

/// Beyond so many results the process would leave out most of them, and an ask takes longer than it is worth.
const MOST_RESULTS: usize = 1000;
/// Beyond so many parameters that are active at once there are too few results to learn a length scale for each.
const MOST_AXES: usize = 50;

/// After so many results without a better one, and at least as many as there are parameters, the samplers take turns.
const PATIENCE: usize = 10;

struct Near;

impl Sampler for Near {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        Gp::suggest_near(view, rng)
    }
}

pub(super) struct Auto;

impl Sampler for Auto {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        if let Some(Transfer { point, why }) = transfer::due(view) {
            return Some(Choice { point, why: format!("auto (a network without a full training): {why}") });
        }
        let results = view.history.len();
        let axes = view.history.mean_active().ceil() as usize;
        let (reason, sampler): (String, &dyn Sampler) = if view.config.pruner.has_population() {
            // Its members learn from each other: what they need at first is to differ.
            ("a population".into(), &Sobol)
        } else if axes > MOST_AXES {
            (format!("{axes} parameters at once"), &Tpe)
        } else if results > MOST_RESULTS {
            (format!("{results} results"), &Tpe)
        } else if view.history.is_mixed() && results >= view.startup(STARTUP) && view.trial.0.is_multiple_of(2) {
            ("results at different epochs, by rank".into(), &Tpe)
        } else if view.history.is_mixed() {
            ("results at different epochs, by curve".into(), &Gp)
        } else if view.history.since_best() > PATIENCE.max(axes) {
            let turn = [&Tpe as &dyn Sampler, &Near, &Gp][view.trial.0 as usize % 3];
            (format!("no better for {} results", view.history.since_best()), turn)
        } else {
            (format!("{results} results, {axes} parameters at once"), &Gp)
        };
        let Choice { point, why } = sampler.suggest(view, rng)?;
        Some(Choice { point, why: format!("auto ({reason}): {why}") })
    }
}
