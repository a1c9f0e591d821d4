//! PB2 (Parker-Holder et al. 2020, arXiv 2002.02518): population-based training where a Gaussian process of what members
//! gained from interval to interval, which forgets, chooses a fork's numbers. For small populations.
//!
//! The process has a member's numbers and its rank before the interval as inputs; what it gained is standardized among
//! those of the same interval, as gains get smaller the further training is.

mod process;

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::process::{Gain, Process};
use super::pbt::Pbt;
use super::population::{Explore, Settings, Site};
use crate::domain::Point;
use crate::record::Trial;
use crate::trial::Loss;

/// Chance of a choice without an order to be drawn anew, which the process says nothing of: PBT's.
const RESAMPLE: f64 = 0.25;
/// Gains before there is a process.
const LEAST_GAINS: usize = 4;
/// Points spread over the space, and rounds of as many around the best so far.
const SPREAD: usize = 500;
const ROUNDS: i32 = 4;

/// The settings of PB2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pb2 {
    /// Members that train side by side, on one worker in turns.
    pub population: u64,
    /// Epochs after which the worst members are replaced.
    pub interval_epochs: u64,
    /// Share of the members that are replaced each time, and of those from which they are continued; at most a half.
    pub quantile: f64,
    /// Parameters that stay as the parent had them.
    pub keep: Vec<String>,
}

impl Default for Pb2 {
    /// The larger of the paper's populations and the quantile of Ray Tune's implementation, which is by its authors; the
    /// interval is PBT's.
    fn default() -> Self {
        let interval_epochs = Pbt::default().interval_epochs;
        Self { population: 8, interval_epochs, quantile: 0.25, keep: Vec::new() }
    }
}

impl Pb2 {
    pub(super) fn settings(&self) -> Settings {
        let Self { population, interval_epochs, quantile, keep } = self.clone();
        let (members, interval) = (population, interval_epochs);
        Settings { name: "pb2", members, interval, quantile, resample: RESAMPLE, keep }
    }
}

impl Explore for Pb2 {
    fn explore(&self, site: &Site, rng: &mut ChaCha8Rng) -> (Point, String) {
        let domain = site.view.domain;
        let from = domain.encode(&site.parent.params);
        let keeps = |at: usize| site.settings.keep.iter().any(|kept| kept == domain.name(at));
        // Choices first, as in PBT; the numbers under them are what is searched.
        let choices = domain.build(|at, axis| match from[at] {
            here if here.is_nan() => domain.spread(at, rng.random()),
            here if keeps(at) || axis.choices().is_none() => here,
            here => {
                if rng.random::<f64>() < RESAMPLE {
                    domain.spread(at, rng.random())
                } else {
                    here
                }
            }
        });
        let with = |number: &mut dyn FnMut(usize) -> f64| {
            domain.build(|at, axis| {
                let is_fixed = axis.choices().is_some() || (keeps(at) && !from[at].is_nan());
                if is_fixed { choices[at] } else { number(at) }
            })
        };
        let gains = gains(site);
        if gains.len() < LEAST_GAINS {
            let point = with(&mut |at| domain.spread(at, rng.random()));
            return (point, format!("drawn anew, as {} gains say too little", gains.len()));
        }
        let count = gains.len();
        let process = Process::fit(gains);
        // Those that train meanwhile are taken as known where they are, so that no two try the same.
        let time = (site.epoch / site.settings.interval) as f64;
        let beside = site.beside.iter().map(|trial| (inputs(site, trial, site.epoch), time));
        let crowded = process.with(beside.collect());
        // The confidence bound of the authors' code.
        let caution = (0.2 + (0.4 * count as f64).ln().max(0.0)).sqrt();
        let promise = |point: &Point| {
            let inputs = inputs_of(point, rank(site, site.parent, site.epoch));
            process.mean(&inputs, time) + caution * crowded.deviation(&inputs, time)
        };
        let mut best: Option<(f64, Point)> = None;
        for round in 0..=ROUNDS {
            let center = best.clone().map(|(_, point)| point);
            // Ever nearer to the best so far.
            let reach = 0.5f64.powi(round + 1);
            for _ in 0..SPREAD {
                let point = with(&mut |at| match &center {
                    None => domain.spread(at, rng.random()),
                    Some(center) => (center[at] + reach * (rng.random::<f64>() - 0.5)).clamp(0.0, 1.0),
                });
                let promise = promise(&point);
                if domain.allows(&point) && best.as_ref().is_none_or(|(most, _)| promise > *most) {
                    best = Some((promise, point));
                }
            }
        }
        match best {
            Some((promise, point)) => (point, format!("confidence bound {promise:.2} of {count} gains")),
            None => (from, "as its parent, as all else is forbidden".into()),
        }
    }
}

/// What each member gained in each interval that it trained.
fn gains(site: &Site) -> Vec<Gain> {
    let Site { view, settings: Settings { interval, .. }, population, .. } = site;
    // By the interval's end: the inputs, and by how much the loss fell; infinite where it diverged.
    let mut by_end: BTreeMap<u64, Vec<(Vec<f64>, f64)>> = BTreeMap::new();
    for trial in population.iter() {
        let mut begin = trial.origin.map_or(0, |origin| origin.epoch);
        // What came later is left aside, or it would matter who was first.
        while begin < site.epoch
            && let Some(end) = trial.loss_at(begin + interval, view.direction)
        {
            // Before the first epoch all are alike.
            let before = if begin == 0 { Loss::from(0.0) } else { loss_at(site, trial, begin) };
            by_end.entry(begin + interval).or_default().push((inputs(site, trial, begin), before.get() - end.get()));
            begin += interval;
        }
    }
    let gains = by_end.into_iter().flat_map(|(end, gained)| {
        let time = (end / interval - 1) as f64;
        let standard = standardize(&gained.iter().map(|(_, gain)| *gain).collect::<Vec<_>>());
        gained.into_iter().zip(standard).map(move |((inputs, _), gain)| Gain { inputs, time, gain })
    });
    gains.collect()
}

/// Mean 0 and deviation 1; what is no number is a deviation below the least.
fn standardize(gains: &[f64]) -> Vec<f64> {
    let known: Vec<f64> = gains.iter().copied().filter(|gain| gain.is_finite()).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let variance = known.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / known.len().max(1) as f64;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let least = known.iter().fold(0.0f64, |least, gain| least.min((gain - mean) / deviation));
    gains.iter().map(|gain| if gain.is_finite() { (gain - mean) / deviation } else { least - 1.0 }).collect()
}

fn loss_at(site: &Site, trial: &Trial, epoch: u64) -> Loss {
    trial.loss_at(epoch, site.view.direction).unwrap_or(Loss::DIVERGED)
}

/// Where a trial stood at an epoch among all that got there: 0 for the best, 1 for the worst, a half before the first.
fn rank(site: &Site, trial: &Trial, epoch: u64) -> f64 {
    let own = loss_at(site, trial, epoch);
    let others: Vec<Loss> =
        site.population.iter().filter_map(|other| other.loss_at(epoch, site.view.direction)).collect();
    let better = others.iter().filter(|other| **other < own).count();
    if others.len() < 2 { 0.5 } else { better as f64 / (others.len() - 1) as f64 }
}

fn inputs(site: &Site, trial: &Trial, epoch: u64) -> Vec<f64> {
    inputs_of(&site.view.domain.encode(&trial.params), rank(site, trial, epoch))
}

/// All coordinates: a number that is not active lies in the middle of its axis.
fn inputs_of(point: &Point, rank: f64) -> Vec<f64> {
    point.iter().map(|at| if at.is_nan() { 0.5 } else { *at }).chain([rank]).collect()
}
