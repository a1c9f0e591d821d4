//! Which trials go on: the trait, and the list of all pruners.

mod asha;
mod freeze_thaw;
mod hyperband;
mod median;
mod patience;
mod pb2;
mod pbt;
mod population;
mod rung;
mod successive_halving;
mod threshold;
mod wilcoxon;

use serde::{Deserialize, Serialize};

pub use self::asha::Asha;
pub use self::freeze_thaw::FreezeThaw;
pub use self::hyperband::Hyperband;
pub use self::median::{Median, Percentile};
pub use self::patience::Patience;
pub use self::pb2::Pb2;
pub use self::pbt::Pbt;
pub use self::successive_halving::SuccessiveHalving;
pub use self::threshold::Threshold;
pub use self::wilcoxon::Wilcoxon;
use crate::config::{ConfigError, StudyConfig};
use crate::domain::Domain;
use crate::event::Verdict;
use crate::history::History;
use crate::params::Params;
use crate::record::{Origin, Trial};
use crate::sampler::{self, SamplerKind};
use crate::space::SearchSpace;
use crate::trial::{Direction, TrialNumber};
use crate::warm::Warm;

/// What a pruner may look at.
pub(crate) struct View<'a> {
    pub(crate) trials: &'a [Trial],
    pub(crate) direction: Direction,
    pub(crate) config: &'a StudyConfig,
    pub(crate) domain: &'a Domain,
    pub(crate) history: &'a History,
    pub(crate) warm: &'a Warm,
}

impl View<'_> {
    /// What the sampler of the next trial may look at.
    pub(crate) fn search(&self) -> sampler::View<'_> {
        let Self { trials, config, domain, history, warm, .. } = *self;
        let trial = TrialNumber(trials.len() as u64);
        sampler::View { domain, history, trial, config, trials, warm: warm.density(domain) }
    }
}

/// A way to end or pause trials early. All it knows it was told, in the order of the log.
pub(crate) trait Pruner {
    /// The trial has just reported. Says what it is to do.
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict;

    /// The trial goes on after a pause.
    fn resumed(&mut self, _trial: TrialNumber) {}

    /// What a free worker should begin from another trial's checkpoint.
    fn fork(&self, _view: &View) -> Option<Fork> {
        None
    }

    /// The paused trial that a free worker should go on with.
    fn promotable(&self, _view: &View) -> Option<TrialNumber> {
        None
    }
}

/// A trial that begins where another stands.
pub(crate) struct Fork {
    pub(crate) params: Params,
    pub(crate) why: String,
    pub(crate) origin: Origin,
}

/// The pruners as users write them: `pruner = { kind = "asha", min_epochs = 1 }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PrunerKind {
    /// Every trial runs to its end.
    #[default]
    None,
    /// Asynchronous successive halving with promotion.
    Asha(Asha),
    /// Ends trials that are worse than the median of the finished ones.
    Median(Median),
    /// Ends trials that are worse than the best so many percent of the finished ones.
    Percentile(Percentile),
    /// Goes on with the trial whose forecast promises most.
    FreezeThaw(FreezeThaw),
    /// Several ASHA brackets, from eager to patient.
    Hyperband(Hyperband),
    /// Ends trials that do not improve for some epochs.
    Patience(Patience),
    /// A population whose worst go on as altered copies of its best.
    Pbt(Pbt),
    /// The same, where a model of what helped when chooses the alterations.
    Pb2(Pb2),
    /// Cohorts of which the best part goes on from each rung.
    SuccessiveHalving(SuccessiveHalving),
    /// Ends trials whose metric leaves its bounds.
    Threshold(Threshold),
    /// Ends trials that a signed-rank test finds worse than the best.
    Wilcoxon(Wilcoxon),
}

const NAMES: [&str; 12] = [
    "none",
    "asha",
    "freeze_thaw",
    "hyperband",
    "median",
    "percentile",
    "patience",
    "pb2",
    "pbt",
    "successive_halving",
    "threshold",
    "wilcoxon",
];

impl PrunerKind {
    /// The names of all pruners.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// The pruner of that name with its defaults.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "asha" => Self::Asha(Asha::default()),
            "freeze_thaw" => Self::FreezeThaw(FreezeThaw::default()),
            "hyperband" => Self::Hyperband(Hyperband::default()),
            "median" => Self::Median(Median::default()),
            "percentile" => Self::Percentile(Percentile::default()),
            "patience" => Self::Patience(Patience::default()),
            "pb2" => Self::Pb2(Pb2::default()),
            "pbt" => Self::Pbt(Pbt::default()),
            "successive_halving" => Self::SuccessiveHalving(SuccessiveHalving::default()),
            "threshold" => Self::Threshold(Threshold::default()),
            "wilcoxon" => Self::Wilcoxon(Wilcoxon::default()),
            _ => return None,
        })
    }

    /// Gives the first rung and the reduction factor to a pruner that has them.
    pub(crate) fn set_halving(&mut self, halving: Asha) {
        match self {
            Self::Asha(asha) => *asha = halving,
            Self::FreezeThaw(freeze_thaw) => {
                let Asha { min_epochs, reduction_factor } = halving;
                *freeze_thaw = FreezeThaw { min_epochs, reduction_factor };
            }
            Self::Hyperband(hyperband) => {
                let Asha { min_epochs, reduction_factor } = halving;
                *hyperband = Hyperband { min_epochs, reduction_factor };
            }
            Self::SuccessiveHalving(successive_halving) => {
                let Asha { min_epochs, reduction_factor } = halving;
                *successive_halving = SuccessiveHalving { min_epochs, reduction_factor };
            }
            _ => {}
        }
    }

    /// Whether some trials go on from the checkpoints of others.
    pub fn has_population(&self) -> bool {
        self.kept().is_some()
    }

    /// The parameters that a fork leaves as its parent had them; `None` for a pruner that does not fork.
    pub fn kept(&self) -> Option<&[String]> {
        match self {
            Self::Pbt(pbt) => Some(&pbt.keep),
            Self::Pb2(pb2) => Some(&pb2.keep),
            _ => None,
        }
    }

    /// Adds to what a fork leaves as its parent had it.
    pub fn keep(&mut self, params: impl IntoIterator<Item = String>) {
        match self {
            Self::Pbt(Pbt { keep, .. }) | Self::Pb2(Pb2 { keep, .. }) => {
                let new: Vec<String> = params.into_iter().filter(|param| !keep.contains(param)).collect();
                keep.extend(new);
            }
            _ => {}
        }
    }

    /// The first thing of the space or the sampler that a pruner with a population cannot live with.
    pub(crate) fn validate_space(&self, space: &SearchSpace, sampler: SamplerKind) -> Result<(), ConfigError> {
        let Some(kept) = self.kept() else { return Ok(()) };
        if sampler == SamplerKind::Grid {
            return Err(ConfigError::PopulationOnGrid);
        }
        match kept.iter().find(|param| space.get(param).is_none()) {
            Some(param) => Err(ConfigError::UnknownKept { param: param.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        match self {
            Self::None => Ok(()),
            Self::Asha(asha) => asha.validate(max_step),
            Self::FreezeThaw(freeze_thaw) => freeze_thaw.validate(max_step),
            Self::Hyperband(hyperband) => hyperband.validate(max_step),
            Self::Pbt(pbt) => pbt.settings().validate(max_step),
            Self::Pb2(pb2) => pb2.settings().validate(max_step),
            Self::Percentile(percentile) => percentile.validate(),
            Self::SuccessiveHalving(successive_halving) => successive_halving.validate(max_step),
            Self::Wilcoxon(wilcoxon) => wilcoxon.validate(),
            Self::Median(_) | Self::Patience(_) | Self::Threshold(_) => Ok(()),
        }
    }

    pub(crate) fn pruner(&self, config: &StudyConfig) -> Box<dyn Pruner + Send + Sync> {
        match self {
            Self::None => Box::new(Nothing),
            Self::Asha(asha) => Box::new(asha::Ladder::new(asha, config.max_step)),
            Self::FreezeThaw(freeze_thaw) => Box::new(freeze_thaw::Thaw::new(freeze_thaw.clone())),
            Self::Hyperband(hyperband) => Box::new(hyperband::Brackets::new(hyperband, config.max_step, config.seed)),
            Self::Median(median) => Box::new(median::PercentilePruner(median.into())),
            Self::Percentile(percentile) => Box::new(median::PercentilePruner(percentile.clone())),
            Self::Patience(patience) => Box::new(patience::PatiencePruner(patience.clone())),
            Self::Pbt(pbt) => Box::new(population::Population::new(pbt.settings(), Box::new(pbt.clone()))),
            Self::Pb2(pb2) => Box::new(population::Population::new(pb2.settings(), Box::new(pb2.clone()))),
            Self::SuccessiveHalving(settings) => Box::new(successive_halving::Cohorts::new(settings, config.max_step)),
            Self::Threshold(threshold) => Box::new(threshold::ThresholdPruner(threshold.clone())),
            Self::Wilcoxon(wilcoxon) => Box::new(wilcoxon::WilcoxonPruner(wilcoxon.clone())),
        }
    }
}

struct Nothing;

impl Pruner for Nothing {
    fn reported(&mut self, _trial: &Trial, _view: &View) -> Verdict {
        Verdict::Continue
    }
}
