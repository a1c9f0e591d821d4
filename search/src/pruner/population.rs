//! Populations that learn while they train (Jaderberg et al. 2017, arXiv 1711.09846): after each interval of epochs the
//! worst members give their places to forks of the best, which go on from there with other parameters.
//!
//! An interval is judged once all members have done it, so that what comes of it does not depend on how many workers there
//! are or who was first. Members rest until then, and parents until they were forked: each fork finds its parent's
//! checkpoint as it was. Everything follows from the curves, so there is nothing to keep.

use std::collections::BTreeSet;

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{Fork, Pruner, View};
use crate::config::ConfigError;
use crate::domain::Point;
use crate::event::{PauseReason, Verdict};
use crate::params::Params;
use crate::record::{Origin, Trial};
use crate::stream::{Purpose, stream};
use crate::trial::{Loss, TrialNumber, TrialState};

/// What PBT and PB2 have in common.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Their name, for people.
    pub(super) name: &'static str,
    /// Members of a population.
    pub(super) members: u64,
    /// Epochs between two judgements.
    pub(super) interval: u64,
    /// Share of the members that are replaced, and of those that they learn from.
    pub(super) quantile: f64,
    /// Chance of a parameter to be drawn anew.
    pub(super) resample: f64,
    /// Parameters that stay as the parent had them.
    pub(super) keep: Vec<String>,
}

impl Settings {
    pub(super) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        let bad = |setting, value, rule| Err(ConfigError::Pruner { setting, value, rule });
        let Some(max_step) = max_step else { return Err(ConfigError::NeedsMaxStep { pruner: self.name }) };
        match *self {
            Self { members: 0 | 1, .. } => bad("population", self.members as f64, "at least 2"),
            Self { interval: 0, .. } => bad("interval_epochs", 0.0, "at least 1"),
            Self { interval, .. } if interval >= max_step => {
                bad("interval_epochs", interval as f64, "fewer than a full training has")
            }
            Self { quantile, .. } if !(quantile > 0.0 && quantile <= 0.5) => {
                bad("quantile", quantile, "above 0 and at most 0.5")
            }
            Self { resample, .. } if !(0.0..=1.0).contains(&resample) => bad("resample", resample, "from 0 to 1"),
            _ => Ok(()),
        }
    }
}

/// Where a fork begins, and among whom.
pub(super) struct Site<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) settings: &'a Settings,
    pub(super) parent: &'a Trial,
    /// Epochs done.
    pub(super) epoch: u64,
    /// All trials that were ever members, the replaced ones too.
    pub(super) population: &'a [&'a Trial],
    /// Who trains from that epoch on.
    pub(super) beside: Vec<&'a Trial>,
}

/// How a fork's parameters come from its parent's.
pub(super) trait Explore {
    /// The fork's point, and what to tell people of it.
    fn explore(&self, site: &Site, rng: &mut ChaCha8Rng) -> (Point, String);
}

pub(super) struct Population {
    settings: Settings,
    explore: Box<dyn Explore + Send + Sync>,
}

/// What an interval has come to.
struct Judgement<'a> {
    /// Those whose place a fork takes, each with whom it may learn from.
    replaced: Vec<(&'a Trial, Vec<&'a Trial>)>,
    /// Those that go on.
    kept: Vec<&'a Trial>,
}

impl Population {
    pub(super) fn new(settings: Settings, explore: Box<dyn Explore + Send + Sync>) -> Self {
        Self { settings, explore }
    }

    /// The trials of each population in the order of their numbers. As many as it has members begin it; forks follow
    /// their parents.
    fn populations<'a>(&self, view: &View<'a>) -> Vec<Vec<&'a Trial>> {
        let mut populations: Vec<Vec<&Trial>> = Vec::new();
        let mut of_trial: Vec<usize> = Vec::new();
        let mut fresh = 0;
        for trial in view.trials {
            let population = match trial.origin {
                Some(origin) => of_trial[origin.parent.0 as usize],
                None => {
                    fresh += 1;
                    ((fresh - 1) / self.settings.members) as usize
                }
            };
            of_trial.push(population);
            if population == populations.len() {
                populations.push(Vec::new());
            }
            populations[population].push(trial);
        }
        populations
    }

    /// What comes of the interval that ended at the epoch; `None` while a member has yet to get there.
    fn judge<'a>(&self, population: &[&'a Trial], epoch: u64, view: &View<'a>) -> Option<Judgement<'a>> {
        let fresh =
            |trials: &mut dyn Iterator<Item = &Trial>| trials.filter(|trial| trial.origin.is_none()).count() as u64;
        let is_whole = fresh(&mut population.iter().copied()) == self.settings.members
            || view.config.max_trials.is_some_and(|most| fresh(&mut view.trials.iter()) >= most);
        let is_awaited = |trial: &&Trial| {
            trial.step() < epoch && !trial.state.is_finished() && trial.pause != Some(PauseReason::Asked)
        };
        let mut members = members_until(population, epoch);
        if !is_whole || members.iter().any(is_awaited) {
            return None;
        }
        // Who was done early has nothing to learn and nothing to teach.
        members.retain(|trial| trial.state != TrialState::Complete || trial.step() >= epoch);
        let loss = |trial: &Trial| trial.loss_at(epoch, view.direction).unwrap_or(Loss::DIVERGED);
        members.sort_by_key(|trial| (loss(trial), trial.number));
        let cut = ((self.settings.quantile * members.len() as f64) as usize).max(1).min(members.len() / 2);
        let best: Vec<&Trial> = members[..cut].iter().copied().filter(|trial| rests_at(trial, epoch)).collect();
        let is_replaced = |trial: &Trial| {
            population.iter().any(|fork| fork.origin.is_some_and(|origin| origin.replaces == trial.number))
        };
        let mut judgement = Judgement { replaced: Vec::new(), kept: Vec::new() };
        for (rank, trial) in members.iter().enumerate() {
            let is_worst = rank >= members.len() - cut || loss(trial) == Loss::DIVERGED;
            let is_gone = trial.state.is_finished() && trial.state != TrialState::Complete;
            let teachers: Vec<&Trial> = best.iter().copied().filter(|best| loss(best) < loss(trial)).collect();
            if is_worst && (is_gone || rests_at(trial, epoch)) && !teachers.is_empty() && !is_replaced(trial) {
                judgement.replaced.push((trial, teachers));
            } else if rests_at(trial, epoch) {
                judgement.kept.push(trial);
            }
        }
        Some(judgement)
    }

    /// The judgements that somebody rests for, with their epochs and populations; the first one is the most urgent.
    fn judgements<'a>(&self, view: &View<'a>) -> Vec<(Judgement<'a>, u64, Vec<&'a Trial>)> {
        let mut judgements = Vec::new();
        for population in self.populations(view) {
            let rests = population.iter().filter(|trial| rests_at(trial, trial.step()));
            let epochs: BTreeSet<u64> = rests.map(|trial| trial.step()).collect();
            for epoch in epochs {
                if let Some(judgement) = self.judge(&population, epoch, view) {
                    judgements.push((judgement, epoch, population.clone()));
                }
            }
        }
        judgements
    }
}

/// The members as they were when the interval ended at the epoch: forks take their places only after it.
fn members_until<'a>(population: &[&'a Trial], epoch: u64) -> Vec<&'a Trial> {
    let mut members: Vec<&Trial> = Vec::new();
    for trial in population {
        match trial.origin {
            None => members.push(trial),
            Some(origin) if origin.epoch < epoch => {
                members.iter_mut().filter(|member| member.number == origin.replaces).for_each(|member| *member = trial);
            }
            Some(_) => {}
        }
    }
    members
}

/// Whether the trial's checkpoint is that of the epoch, and nobody but us goes on with it.
fn rests_at(trial: &Trial, epoch: u64) -> bool {
    trial.state == TrialState::Paused && trial.pause == Some(PauseReason::Rung) && trial.step() == epoch
}

impl Pruner for Population {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let is_last = view.config.max_step.is_some_and(|most| trial.step() >= most);
        if trial.step().is_multiple_of(self.settings.interval) && !is_last { Verdict::Pause } else { Verdict::Continue }
    }

    fn fork(&self, view: &View) -> Option<Fork> {
        let judgements = self.judgements(view);
        let (Judgement { replaced, kept }, epoch, population) =
            judgements.iter().find(|(judgement, ..)| !judgement.replaced.is_empty())?;
        let (trial, teachers) = replaced.first()?;
        let mut rng = stream(view.config.seed, trial.number, Purpose::Explore);
        let parent = *teachers.choose(&mut rng)?;
        let begins_here = |trial: &&Trial| trial.origin.is_some_and(|origin| origin.epoch == *epoch);
        let beside = population.iter().copied().filter(begins_here).chain(kept.iter().copied()).collect();
        let site = Site { view, settings: &self.settings, parent, epoch: *epoch, population, beside };
        let (point, change) = self.explore.explore(&site, &mut rng);
        let value = |trial: &Trial| trial.curve.get(*epoch as usize - 1).and_then(|report| report.value);
        let said = |trial: &Trial| match value(trial) {
            Some(value) => format!("trial {} ({value:.4})", trial.number),
            None => format!("trial {}", trial.number),
        };
        let Settings { name, .. } = self.settings;
        let why = format!("{name}: from {} at epoch {epoch}, in place of {}: {change}", said(parent), said(trial));
        let origin = Origin { parent: parent.number, epoch: *epoch, replaces: trial.number };
        Some(Fork { params: decode(view, &parent.params, &point), why, origin })
    }

    fn promotable(&self, view: &View) -> Option<TrialNumber> {
        let judgements = self.judgements(view);
        // As long as a fork is due, its parent has to stay where it is.
        let mut settled = judgements.iter().filter(|(judgement, ..)| judgement.replaced.is_empty());
        settled.find_map(|(judgement, ..)| judgement.kept.iter().map(|trial| trial.number).min())
    }
}

/// The point's parameters. Those that are as the parent had them are so to the last bit.
fn decode(view: &View, parent: &Params, point: &Point) -> Params {
    let from = view.domain.decode(&view.domain.encode(parent));
    let values = view.domain.decode(point).0.into_iter().map(|(name, value)| match parent.get(&name) {
        Some(inherited) if from.get(&name) == Some(&value) => (name, inherited.clone()),
        _ => (name, value),
    });
    values.collect()
}
