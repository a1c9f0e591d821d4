//! A space as samplers see it: each parameter an axis from 0 to 1, or a number of choices, in a tree of choices.
//!
//! A point is a vector with one coordinate per parameter: in [0, 1] for a number (after its scale), the index of the choice
//! for a categorical, NaN for one that is not active.

use crate::params::{ParamValue, Params};
use crate::space::{Distribution, Scale, SearchSpace};

/// One coordinate per parameter; see the module.
pub(crate) type Point = Vec<f64>;

/// All axes, in the order of the space.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    names: Vec<String>,
    axes: Vec<Axis>,
    parents: Vec<Option<(usize, Vec<bool>)>>,
}

/// How one parameter is laid out.
#[derive(Clone, Debug)]
pub(crate) enum Axis {
    /// Every number between two bounds.
    Real { low: f64, high: f64, log: bool },
    /// The numbers low, low + step, …, in cells of equal width.
    Grid { low: f64, step: f64, cells: f64, whole: bool },
    /// Integers, in cells of equal ratio.
    LogInt { low: f64, high: f64 },
    /// Ascending numbers, in cells of equal width.
    Ordinal { choices: Vec<ParamValue> },
    /// Choices without an order.
    Categorical { choices: Vec<ParamValue> },
}

impl Domain {
    pub(crate) fn new(space: &SearchSpace) -> Self {
        let names: Vec<String> = space.0.iter().map(|parameter| parameter.name.clone()).collect();
        let axes: Vec<Axis> = space.0.iter().map(|parameter| Axis::new(&parameter.distribution)).collect();
        let parent_of = |condition: &crate::space::Condition| {
            let at = names.iter().position(|name| *name == condition.parent)?;
            let Axis::Categorical { choices } = &axes[at] else { return None };
            let holds = |choice: &ParamValue| condition.equals.iter().any(|wanted| wanted.same(choice));
            Some((at, choices.iter().map(holds).collect()))
        };
        let parents = space.0.iter().map(|parameter| parameter.when.as_ref().and_then(parent_of)).collect();
        Self { names, axes, parents }
    }

    /// The same with one more real axis at the end, that is always active.
    pub(crate) fn with_axis(&self, name: &str) -> Self {
        let mut wider = self.clone();
        wider.names.push(name.to_owned());
        wider.axes.push(Axis::Real { low: 0.0, high: 1.0, log: false });
        wider.parents.push(None);
        wider
    }

    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub(crate) fn len(&self) -> usize {
        self.axes.len()
    }

    pub(crate) fn name(&self, axis: usize) -> &str {
        &self.names[axis]
    }

    /// Whether the axis is active, given the coordinates of those before it.
    pub(crate) fn is_active(&self, axis: usize, before: &[f64]) -> bool {
        match &self.parents[axis] {
            None => true,
            Some((parent, holds)) => !before[*parent].is_nan() && holds[before[*parent] as usize],
        }
    }

    /// Whether no choice decides over the axis.
    pub(crate) fn is_always_active(&self, axis: usize) -> bool {
        self.parents[axis].is_none()
    }

    /// Builds a point by giving each active axis, in order, the coordinate that `draw` says.
    pub(crate) fn build(&self, mut draw: impl FnMut(usize, &Axis) -> f64) -> Point {
        let mut point = Vec::with_capacity(self.len());
        for (at, axis) in self.axes.iter().enumerate() {
            let coordinate = if self.is_active(at, &point) { axis.snap(draw(at, axis)) } else { f64::NAN };
            point.push(coordinate);
        }
        point
    }

    /// The point of params that lie in the space.
    pub(crate) fn encode(&self, params: &Params) -> Point {
        let coordinate = |(name, axis): (&String, &Axis)| params.get(name).map_or(f64::NAN, |value| axis.encode(value));
        self.names.iter().zip(&self.axes).map(coordinate).collect()
    }

    pub(crate) fn decode(&self, point: &[f64]) -> Params {
        let active = point.iter().enumerate().filter(|(_, coordinate)| !coordinate.is_nan());
        active.map(|(at, coordinate)| (self.names[at].clone(), self.axes[at].decode(*coordinate))).collect()
    }

    /// How many points there are, if they can be counted.
    pub(crate) fn size(&self) -> Option<f64> {
        self.axes.iter().map(|axis| axis.cells()).product()
    }
}

impl Axis {
    fn new(distribution: &Distribution) -> Self {
        match distribution {
            Distribution::Float { low, high, scale: Scale::Step(step) } => {
                Self::Grid { low: *low, step: *step, cells: cells(*low, *high, *step), whole: false }
            }
            Distribution::Float { low, high, scale } => {
                Self::Real { low: *low, high: *high, log: *scale == Scale::Log }
            }
            Distribution::Int { low, high, scale: Scale::Log } => Self::LogInt { low: *low as f64, high: *high as f64 },
            Distribution::Int { low, high, scale } => {
                let step = if let Scale::Step(step) = scale { *step } else { 1.0 };
                let (low, high) = (*low as f64, *high as f64);
                Self::Grid { low, step, cells: cells(low, high, step), whole: true }
            }
            Distribution::Ordinal { choices } => Self::Ordinal { choices: choices.clone() },
            Distribution::Categorical { choices } => Self::Categorical { choices: choices.clone() },
        }
    }

    /// Number of choices of a categorical.
    pub(crate) fn choices(&self) -> Option<usize> {
        if let Self::Categorical { choices } = self { Some(choices.len()) } else { None }
    }

    /// Number of different values, where there is one.
    pub(crate) fn cells(&self) -> Option<f64> {
        match self {
            Self::Real { low, high, .. } => (low == high).then_some(1.0),
            Self::Grid { cells, .. } => Some(*cells),
            Self::LogInt { low, high } => Some(high - low + 1.0),
            Self::Ordinal { choices } | Self::Categorical { choices } => Some(choices.len() as f64),
        }
    }

    /// The part of [0, 1] that means the same value as the coordinate; a point for a real axis.
    pub(crate) fn cell(&self, at: f64) -> (f64, f64) {
        let even = |cells: f64| {
            let index = (at * cells).floor().clamp(0.0, cells - 1.0);
            (index / cells, (index + 1.0) / cells)
        };
        match self {
            Self::Real { .. } | Self::Categorical { .. } => (at, at),
            Self::Grid { cells, .. } => even(*cells),
            Self::Ordinal { choices } => even(choices.len() as f64),
            Self::LogInt { low, high } => {
                let (start, span) = log_span(*low, *high);
                let value = (start + at * span).exp().round().clamp(*low, *high);
                (((value - 0.5).ln() - start) / span, ((value + 0.5).ln() - start) / span)
            }
        }
    }

    /// The coordinate that stands for all of its cell.
    pub(crate) fn snap(&self, at: f64) -> f64 {
        match self {
            Self::Real { low, high, .. } if low == high => 0.5,
            Self::Real { .. } => at.clamp(0.0, 1.0),
            Self::Categorical { choices } => at.floor().clamp(0.0, choices.len() as f64 - 1.0),
            Self::LogInt { low, high } => self.encode_number({
                let (start, span) = log_span(*low, *high);
                (start + at.clamp(0.0, 1.0) * span).exp().round().clamp(*low, *high)
            }),
            // As `encode` has it, to the bit: points are compared.
            Self::Grid { .. } | Self::Ordinal { .. } => {
                let cells = self.cells().unwrap_or(1.0);
                ((at * cells).floor().clamp(0.0, cells - 1.0) + 0.5) / cells
            }
        }
    }

    /// A coordinate for a number drawn evenly from [0, 1).
    pub(crate) fn spread(&self, uniform: f64) -> f64 {
        match self {
            Self::Categorical { choices } => self.snap(uniform * choices.len() as f64),
            _ => self.snap(uniform),
        }
    }

    fn encode(&self, value: &ParamValue) -> f64 {
        match self {
            Self::Categorical { choices } => index_of(choices, value),
            Self::Ordinal { choices } => (index_of(choices, value) + 0.5) / choices.len() as f64,
            _ => self.encode_number(value.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(crate) fn encode_number(&self, value: f64) -> f64 {
        match self {
            Self::Real { low, high, .. } if low == high => 0.5,
            Self::Real { low, high, log: false } => ((value - low) / (high - low)).clamp(0.0, 1.0),
            Self::Real { low, high, log: true } => ((value / low).ln() / (high / low).ln()).clamp(0.0, 1.0),
            Self::Grid { low, step, cells, .. } => {
                (((value - low) / step).round().clamp(0.0, cells - 1.0) + 0.5) / cells
            }
            Self::LogInt { low, high } => {
                let (start, span) = log_span(*low, *high);
                (value.ln() - start) / span
            }
            Self::Ordinal { .. } | Self::Categorical { .. } => f64::NAN,
        }
    }

    fn decode(&self, at: f64) -> ParamValue {
        match self {
            Self::Real { low, high, .. } if low == high => ParamValue::Float(*low),
            Self::Real { low, high, log: false } => ParamValue::Float((low + at * (high - low)).clamp(*low, *high)),
            Self::Real { low, high, log: true } => {
                ParamValue::Float((low.ln() + at * (high / low).ln()).exp().clamp(*low, *high))
            }
            Self::Grid { low, step, cells, whole } => {
                let value = low + step * (at * cells).floor().clamp(0.0, cells - 1.0);
                if *whole { ParamValue::Int(value as i64) } else { ParamValue::Float(value) }
            }
            Self::LogInt { low, high } => {
                let (start, span) = log_span(*low, *high);
                ParamValue::Int((start + at * span).exp().round().clamp(*low, *high) as i64)
            }
            Self::Ordinal { choices } => choices[((at * choices.len() as f64) as usize).min(choices.len() - 1)].clone(),
            Self::Categorical { choices } => choices[(at as usize).min(choices.len() - 1)].clone(),
        }
    }
}

fn cells(low: f64, high: f64, step: f64) -> f64 {
    // The slack keeps 0.3 on the grid of 0, 0.1, … where (0.3 - 0) / 0.1 is a little below 3.
    ((high - low) / step + 1e-9).floor() + 1.0
}

/// Where the axis of a log integer starts, and how long it is: half a value beyond each bound.
fn log_span(low: f64, high: f64) -> (f64, f64) {
    let start = (low - 0.5).ln();
    (start, (high + 0.5).ln() - start)
}

fn index_of(choices: &[ParamValue], value: &ParamValue) -> f64 {
    choices.iter().position(|choice| choice.same(value)).map_or(f64::NAN, |at| at as f64)
}
