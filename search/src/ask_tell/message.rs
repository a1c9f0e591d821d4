//! The lines of the protocol as types, and its way of writing a space.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Objective;
use crate::params::{ParamValue, Params};
use crate::space::{Condition, Distribution, Parameter, Scale, SearchSpace};
use crate::trial::{Direction, TrialNumber};

/// One line of the driver. Fields that are not known are ignored, as the protocol says.
#[derive(Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub(super) enum Command {
    Init(Init),
    Ask,
    Tell {
        trial: TrialNumber,
        value: Option<f64>,
        status: Option<String>,
        #[serde(default)]
        metrics: BTreeMap<String, f64>,
    },
    Report {
        trial: TrialNumber,
        step: u64,
        value: Option<f64>,
        #[serde(default)]
        metrics: BTreeMap<String, f64>,
    },
    Load {
        trials: Vec<LoadedTrial>,
    },
    Quit,
}

#[derive(Debug, Deserialize)]
pub(super) struct Init {
    pub(super) protocol: u64,
    pub(super) space: Map<String, Value>,
    pub(super) direction: Direction,
    pub(super) seed: u64,
    pub(super) sampler: String,
    #[serde(default = "one")]
    pub(super) workers: usize,
    pub(super) max_step: Option<u64>,
    pub(super) min_step: Option<u64>,
    pub(super) eta: Option<u64>,
    /// Beyond the protocol: what counts besides the value, by names among the `metrics` of a `tell` or `report`.
    #[serde(default)]
    pub(super) objectives: Vec<Objective>,
    /// Beyond the protocol: which of the `metrics` says what a step cost.
    pub(super) cost: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LoadedTrial {
    pub(super) params: Params,
    pub(super) value: f64,
}

fn one() -> usize {
    1
}

/// A parameter as the protocol writes it.
#[derive(Deserialize)]
struct Spec {
    #[serde(flatten)]
    kind: Kind,
    when: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Float {
        low: f64,
        high: f64,
        #[serde(default)]
        log: bool,
        step: Option<f64>,
    },
    Int {
        low: i64,
        high: i64,
        #[serde(default)]
        log: bool,
        step: Option<f64>,
    },
    Categorical {
        choices: Vec<ParamValue>,
    },
}

/// The space that the protocol describes; whether it makes sense is for its validation to say.
pub(super) fn space(specs: &Map<String, Value>) -> Result<SearchSpace, String> {
    let parameter = |(name, spec): (&String, &Value)| {
        let spec: Spec =
            serde_json::from_value(spec.clone()).map_err(|error| format!("parameter `{name}`: {error}"))?;
        let (distribution, when) = (distribution(name, spec.kind)?, spec.when);
        Ok(Parameter { name: name.clone(), distribution, when })
    };
    specs.iter().map(parameter).collect::<Result<_, String>>().map(SearchSpace)
}

fn distribution(name: &str, kind: Kind) -> Result<Distribution, String> {
    let scale = |log, step| match (log, step) {
        (true, Some(step)) if step != 1.0 => Err(format!("parameter `{name}`: log and step exclude one another")),
        (true, _) => Ok(Scale::Log),
        (false, Some(step)) => Ok(Scale::Step(step)),
        (false, None) => Ok(Scale::Linear),
    };
    Ok(match kind {
        Kind::Float { log: true, step: Some(_), .. } => {
            return Err(format!("parameter `{name}`: log and step exclude one another"));
        }
        Kind::Float { low, high, log, step } => Distribution::Float { low, high, scale: scale(log, step)? },
        Kind::Int { low, high, log, step } => Distribution::Int { low, high, scale: scale(log, step)? },
        Kind::Categorical { choices } => Distribution::Categorical { choices },
    })
}

/// The same values in the order of the space; those that the space does not have come last.
pub(super) fn in_order(space: &SearchSpace, params: &Params) -> Params {
    let known = space.0.iter().filter_map(|parameter| Some((&parameter.name, params.get(&parameter.name)?)));
    let unknown = params.0.iter().filter(|(name, _)| space.get(name).is_none());
    known.chain(unknown).map(|(name, value)| (name.clone(), value.clone())).collect()
}
