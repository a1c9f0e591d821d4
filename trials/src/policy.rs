//! Learning augmentation policies: where the searches of `search` meet the children of `trainer`. All methods are one
//! function of a [`Lab`], which trains and judges; each is a file of `policy/`.

mod bench;
pub mod compare;
mod controller;
mod density;
mod file;
pub mod learning;
mod mixing;
mod pba;
mod rand_augment;

use nightsweep_search::ConfigError;
use nightsweep_search::policy::Operation;
use nightsweep_trainer::FitError;
use nightsweep_trainer::policy::Move;
use nightsweep_trainer::recipe::{Mixing, Policy, PolicyOp, PolicySpec, SubPolicy, TrivialAugment};
use serde::{Deserialize, Serialize};

pub use bench::Bench;
pub use density::Density;
pub use file::{Origin, PolicyFile};
pub use learning::Learning;
pub use pba::Stretch;

/// How a policy is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Density matching, as Fast AutoAugment.
    Density,
    /// AutoAugment's controller.
    Controller,
    /// A differentiable relaxation, as DADA.
    Relaxed,
    /// Population-based training of a schedule, as PBA.
    Pba,
    /// RandAugment's two numbers, from a grid.
    RandAugment,
    /// TrivialAugment, with which nothing is learned.
    TrivialAugment,
}

impl Method {
    /// As a person says it, after "by".
    pub fn title(self) -> &'static str {
        match self {
            Self::Density => "density matching",
            Self::Controller => "a controller",
            Self::Relaxed => "a relaxation",
            Self::Pba => "a population",
            Self::RandAugment => "RandAugment's grid",
            Self::TrivialAugment => "no search",
        }
    }
}

/// What a policy can be tried on; the one that is not simulated is [`Bench`].
pub trait Lab {
    /// What a policy may use.
    fn moves(&self) -> &[Move];

    /// How a policy may mix images, beside not at all; empty where that is not to be learned.
    fn mixings(&self) -> &[Mixing];

    /// The validation accuracy of a child that is trained under a policy, on one of several seeds; `None` if its loss was no
    /// number or time ran out.
    fn train(&mut self, policy: &PolicySpec, seed: u64) -> Result<Option<f64>, FitError>;

    /// The mean likelihood of the right class, in [0, 1], that a child trained without the fold's images gives them under
    /// a sub-policy; `None` if there is no such child.
    fn judge(&mut self, fold: usize, folds: usize, ops: &[PolicyOp]) -> Result<Option<f64>, FitError>;

    /// Epochs of a training.
    fn epochs(&self) -> u64;

    /// Trains a part of a member's training, on from where the part before it ended, and gives the validation accuracy
    /// after each of its epochs; `None` as for `train`.
    fn go_on(&mut self, stretch: &Stretch) -> Result<Option<Vec<f64>>, FitError>;

    /// Trains a child whose policy learns with it, until this share of the time is spent.
    fn relax(&mut self, until: f64) -> Result<Policy, FitError>;

    /// Share of the time that is spent; 0 where it is not limited.
    fn spent(&self) -> f64;

    /// Whether the time is up.
    fn is_over(&self) -> bool {
        self.spent() >= 1.0
    }

    /// Told what was tried, in a sentence.
    fn notes(&mut self, text: &str);
}

/// What a method found.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The policy.
    pub policy: PolicySpec,
    /// Policies or sub-policies that were tried.
    pub tried: usize,
}

/// Why a method found nothing.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// There is nothing to make a policy of.
    #[error("no operation is left that a policy may use")]
    NoMoves,
    /// A schedule of one epoch is none.
    #[error("a schedule needs trainings of at least two epochs")]
    NoSchedule,
    /// Not even one policy could be tried.
    #[error("the time was up before anything was tried")]
    NoTime,
    /// A child cannot be trained.
    #[error("a child could not be trained")]
    Fit(#[from] FitError),
    /// The search cannot begin.
    #[error("the search of policies cannot begin")]
    Config(#[from] ConfigError),
}

/// Learns a policy by a method, until its own end or until the lab's time is up.
pub fn learn(method: Method, lab: &mut dyn Lab, seed: u64) -> Result<Learned, LearnError> {
    if lab.moves().is_empty() {
        return Err(LearnError::NoMoves);
    }
    match method {
        Method::Density => {
            let learned = density::learn(lab, Density::default(), seed)?;
            mixing::add(lab, learned)
        }
        Method::Controller => controller::learn(lab, seed),
        Method::Relaxed => {
            let policy = PolicySpec::Custom(lab.relax(mixing::search_ends(lab))?);
            mixing::add(lab, Learned { policy, tried: 1 })
        }
        Method::Pba => pba::learn(lab, seed),
        Method::RandAugment => rand_augment::learn(lab, seed),
        Method::TrivialAugment => {
            Ok(Learned { policy: PolicySpec::TrivialAugment(TrivialAugment::default()), tried: 0 })
        }
    }
}

/// The policy of a file's text.
pub fn parse_policy(text: &str) -> Result<PolicySpec, toml::de::Error> {
    PolicyFile::parse(text).map(|file| file.policy)
}

/// The moves as the search knows them.
fn operations(moves: &[Move]) -> Vec<Operation> {
    moves.iter().map(|one| Operation { name: one.name(), most: one.most }).collect()
}

fn sub_policy(ops: Vec<PolicyOp>) -> SubPolicy {
    SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops }
}

/// To as many digits as a policy's file shows.
fn digits(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
