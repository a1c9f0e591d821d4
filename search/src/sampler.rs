//! How new points are chosen: the trait, and the list of all samplers.

mod auto;
mod bohb;
mod cma_es;
mod feasible;
mod gp;
pub(crate) mod grid;
mod nsga2;
mod parzen;
mod race;
pub(crate) mod random;
mod sobol;
mod tpe;
pub(crate) mod transfer;

pub(crate) use self::gp::{Cholesky, Forecast, regret, row};
pub(crate) use self::parzen::{Component, Parzen};

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{ConfigError, StudyConfig};
use crate::domain::{Domain, Point};
use crate::history::History;
use crate::params::ParamValue;
use crate::pruner::PrunerKind;
use crate::record::Trial;
use crate::space::SearchSpace;
use crate::trial::TrialNumber;

/// What a sampler may look at.
pub(crate) struct View<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) history: &'a History,
    /// Number of the trial that the point is for.
    pub(crate) trial: TrialNumber,
    pub(crate) config: &'a StudyConfig,
    /// All trials, for those who look at whole curves.
    pub(crate) trials: &'a [Trial],
    /// Where earlier studies found good points.
    pub(crate) warm: Option<Parzen<'a>>,
}

/// πBO's β: so many results outweigh a prior; a tenth of its experiments' budgets.
const BELIEF: f64 = 10.0;
/// Where a plan of the time says how many points there will be, no more than one in so many is drawn without looking at
/// results: SMAC3's default (Lindauer et al. 2022, arXiv 2109.09831).
const STARTUP_SHARE: u64 = 4;
/// But so many are: no model says anything of fewer.
const LEAST_STARTUP: usize = 4;
/// Among so many times the points to begin with, the cheap ones are chosen.
const CHOICE: u64 = 2;
/// Paces within this factor count as one.
const SAME_PACE: f64 = 1.5;

impl View<'_> {
    /// Results before the first model, for a sampler that would have so many.
    pub(crate) fn startup(&self, wanted: usize) -> usize {
        let most = self.history.expected().map_or(wanted, |points| (points / STARTUP_SHARE) as usize);
        wanted.min(most.max(LEAST_STARTUP))
    }

    /// One of the points to begin with, of which there are `startup`: the next of a Sobol sequence. Where a plan of the time
    /// knows that models differ in what an epoch takes, the cheapest of the first of it, so that much is known before the
    /// dear ones are tried (the cost-effective initial design of Lee et al. 2020, arXiv 2003.10870).
    pub(crate) fn first_point(&self, startup: usize, rng: &mut ChaCha8Rng) -> Point {
        let at = |index| sobol::point(self.domain, index, self.config.seed);
        let is_open = |point: &Point| {
            let params = self.domain.decode(point);
            self.domain.allows(point) && self.trials.iter().all(|trial| trial.params != params)
        };
        let open: Vec<Point> = (0..CHOICE * startup as u64).filter_map(at).filter(is_open).collect();
        let least = open.iter().map(|point| self.log_pace(point)).fold(f64::INFINITY, f64::min);
        let next = open.into_iter().find(|point| self.log_pace(point) < least + SAME_PACE.ln());
        next.unwrap_or_else(|| self.even_point(rng))
    }

    /// The trial's point of a Sobol sequence; where that has ended, a random one.
    pub(crate) fn even_point(&self, rng: &mut ChaCha8Rng) -> Point {
        let point = sobol::point(self.domain, self.trial.0, self.config.seed);
        point.unwrap_or_else(|| random::draw(self.domain, rng))
    }

    /// Logarithm of the seconds that an epoch of the point takes, as far as a plan of the time has measured that.
    pub(crate) fn log_pace(&self, point: &[f64]) -> f64 {
        let model = self.domain.get("model", point);
        let model = model.as_ref().and_then(ParamValue::as_str);
        let batch_size = self.domain.get("batch_size", point).and_then(|size| size.as_f64());
        self.history.log_pace(model, batch_size)
    }

    /// What to add to an acquisition function's logarithm for what is believed of the point: π to the power β / n, as
    /// πBO has it (Hvarfner et al. 2022, arXiv 2204.11051, equation 6).
    pub(crate) fn log_belief(&self, point: &[f64]) -> f64 {
        let earlier = self.warm.as_ref().map_or(0.0, |warm| warm.log_density(point));
        let belief = self.domain.log_prior(point) + earlier;
        belief * BELIEF / self.history.len().max(1) as f64
    }
}

/// A point, and what to tell people of it.
pub(crate) struct Choice {
    pub(crate) point: Point,
    pub(crate) why: String,
}

/// A way to choose points. A pure function of what it was told, the view and the stream, so that a log can be replayed.
pub(crate) trait Sampler {
    /// The next point; `None` if there are no more.
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice>;

    /// The view's trial begins, with the point at that place of the history.
    fn started(&mut self, _view: &View, _at: usize) {}

    /// The last result is known of the point at that place.
    fn learned(&mut self, _view: &View, _at: usize) {}
}

/// The samplers by the names that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SamplerKind {
    /// Independent, evenly spread points.
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
    /// The tree-structured Parzen estimator.
    Tpe,
    /// The Parzen estimator of BOHB, for the pruner `hyperband`.
    Bohb,
    /// Every point of a countable space.
    Grid,
    /// Bayesian optimization with a Gaussian process.
    Gp,
    /// A normal distribution that adapts its covariance.
    CmaEs,
    /// A genetic algorithm for several objectives.
    Nsga2,
    /// Chooses by the space and by how much is known.
    Auto,
    /// Trains candidates again until the best is clear. For the space of [`crate::race::space`] alone, so that it is
    /// not among the names to choose from.
    Race,
}

const NAMES: [(&str, SamplerKind); 9] = [
    ("auto", SamplerKind::Auto),
    ("bohb", SamplerKind::Bohb),
    ("cma_es", SamplerKind::CmaEs),
    ("gp", SamplerKind::Gp),
    ("grid", SamplerKind::Grid),
    ("nsga2", SamplerKind::Nsga2),
    ("random", SamplerKind::Random),
    ("sobol", SamplerKind::Sobol),
    ("tpe", SamplerKind::Tpe),
];

/// The name of [`SamplerKind::Race`].
const RACE: &str = "race";

/// A name that no sampler has.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "there is no sampler `{name}`{}; there are {}",
    if PrunerKind::named(name).is_some() { " (it is a pruner)" } else { "" },
    SamplerKind::names().collect::<Vec<_>>().join(", ")
)]
pub struct UnknownSampler {
    /// What was asked for.
    pub name: String,
}

impl SamplerKind {
    /// The names of all samplers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// All samplers.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(_, kind)| *kind)
    }

    pub(crate) fn validate(self, space: &SearchSpace) -> Result<(), ConfigError> {
        let domain = Domain::new(space);
        let endless = domain.axes().iter().position(|axis| axis.cells().is_none());
        match (self, endless) {
            (Self::Race, _) if crate::race::Field::of(space).is_none() => Err(ConfigError::NoRace),
            (Self::Grid, Some(axis)) => Err(ConfigError::EndlessGrid { param: domain.name(axis).to_owned() }),
            _ => Ok(()),
        }
    }

    pub(crate) fn sampler(self, config: &StudyConfig) -> Box<dyn Sampler + Send + Sync> {
        match self {
            Self::Random => Box::new(random::Random),
            Self::Sobol => Box::new(sobol::Sobol),
            Self::CmaEs => Box::new(cma_es::CmaEs::new(config)),
            Self::Nsga2 => Box::new(nsga2::Nsga2::new(config)),
            Self::Gp => Box::new(gp::Gp),
            Self::Grid => Box::new(grid::Grid),
            Self::Tpe => Box::new(tpe::Tpe),
            Self::Auto => Box::new(auto::Auto),
            Self::Bohb => Box::new(bohb::Bohb),
            Self::Race => Box::new(race::Race),
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, kind)| kind == self).map_or(RACE, |(name, _)| name))
    }
}

impl FromStr for SamplerKind {
    type Err = UnknownSampler;

    fn from_str(text: &str) -> Result<Self, UnknownSampler> {
        let named = NAMES.iter().chain([&(RACE, Self::Race)]).find(|(name, _)| *name == text);
        named.map(|(_, kind)| *kind).ok_or_else(|| UnknownSampler { name: text.into() })
    }
}

impl TryFrom<String> for SamplerKind {
    type Error = UnknownSampler;

    fn try_from(text: String) -> Result<Self, UnknownSampler> {
        text.parse()
    }
}

impl From<SamplerKind> for String {
    fn from(kind: SamplerKind) -> Self {
        kind.to_string()
    }
}

/// Box and Muller's transform; the second number is not kept, so that a draw has no memory.
pub(crate) fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * rng.random::<f64>()).cos()
}
