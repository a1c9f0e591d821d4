//! A space as samplers see it: each parameter an axis from 0 to 1, or a number of choices, in a tree of choices.
//!
//! A point is a vector with one coordinate per axis: in [0, 1] for a number (after its scale), the index of the choice for a
//! categorical, NaN where the parameter is not active. A parameter has one axis, but for permutations and fixed values.

use crate::config::StudyConfig;
use crate::params::{ParamValue, Params};
use crate::space::{AxisPrior, Distribution, Forbid, Scale, SearchSpace, parameter};

/// One coordinate per axis; see the module.
pub(crate) type Point = Vec<f64>;

/// All parameters, in the order of the space.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    slots: Vec<Slot>,
    axes: Vec<Axis>,
    /// The slot of each axis.
    owners: Vec<usize>,
    /// What is believed of each axis.
    priors: Vec<Option<AxisPrior>>,
    /// What must not be, with the slot of each name.
    forbidden: Vec<(Forbid, Vec<(String, usize)>)>,
}

/// One parameter.
#[derive(Clone, Debug)]
struct Slot {
    name: String,
    /// Its first axis.
    first: usize,
    layout: Layout,
    /// The axis of its parent, and under which of the parent's choices it is active.
    parent: Option<(usize, Vec<bool>)>,
}

/// How a parameter lies on its axes.
#[derive(Clone, Debug)]
enum Layout {
    /// On one.
    Axis,
    /// On one less than it has items: its inversion table (Knuth, The Art of Computer Programming 5.1.1). The digit of
    /// an item says how many of the items listed before it come after it, so each order has one table, and two
    /// neighbours that change places change one digit by one.
    Permutation(Vec<ParamValue>),
    /// On none.
    Fixed(ParamValue),
}

/// How one axis is laid out.
#[derive(Clone, Debug)]
pub(crate) enum Axis {
    /// Every number between two bounds.
    Real { low: f64, high: f64, scale: Scale },
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
    /// A space of which nothing is believed and where nothing is forbidden.
    pub(crate) fn new(space: &SearchSpace) -> Self {
        let (mut axes, mut owners): (Vec<Axis>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut slots: Vec<Slot> = Vec::new();
        for (at, parameter) in space.0.iter().enumerate() {
            let parent_of = |condition: &crate::space::Condition| {
                let parent = slots.iter().find(|slot| slot.name == condition.parent)?.first;
                let Axis::Categorical { choices } = axes.get(parent)? else { return None };
                let holds = |choice: &ParamValue| condition.equals.iter().any(|wanted| wanted.same(choice));
                Some((parent, choices.iter().map(holds).collect()))
            };
            let parent = parameter.when.as_ref().and_then(parent_of);
            let first = axes.len();
            let layout = match &parameter.distribution {
                Distribution::Permutation { items } => {
                    let digit = |cells| Axis::Grid { low: 0.0, step: 1.0, cells: cells as f64, whole: true };
                    axes.extend((2..=items.len()).map(digit));
                    Layout::Permutation(items.clone())
                }
                Distribution::Fixed { value } => Layout::Fixed(value.clone()),
                distribution => {
                    axes.push(Axis::new(distribution));
                    Layout::Axis
                }
            };
            owners.resize(axes.len(), at);
            slots.push(Slot { name: parameter.name.clone(), first, layout, parent });
        }
        Self { slots, priors: vec![None; axes.len()], axes, owners, forbidden: Vec::new() }
    }

    /// The space of a study, with what is believed and forbidden.
    pub(crate) fn of(config: &StudyConfig) -> Self {
        let mut domain = Self::new(&config.space);
        for (name, prior) in &config.priors {
            let slot = domain.slots.iter().find(|slot| slot.name == *name);
            if let Some(at) = slot.filter(|slot| matches!(slot.layout, Layout::Axis)).map(|slot| slot.first) {
                domain.priors[at] = Some(AxisPrior::new(&domain.axes[at], prior));
            }
        }
        let slots_of = |forbid: &Forbid| {
            let slot = |name: &str| Some((name.to_owned(), parameter(&config.space, name)?));
            forbid.0.names().into_iter().filter_map(slot).collect()
        };
        domain.forbidden = config.forbid.iter().map(|forbid| (forbid.clone(), slots_of(forbid))).collect();
        domain
    }

    /// The same with one more real axis at the end, that is always active.
    pub(crate) fn with_axis(&self, name: &str) -> Self {
        let mut wider = self.clone();
        wider.owners.push(wider.slots.len());
        wider.slots.push(Slot { name: name.to_owned(), first: wider.axes.len(), layout: Layout::Axis, parent: None });
        wider.axes.push(Axis::Real { low: 0.0, high: 1.0, scale: Scale::Linear });
        wider.priors.push(None);
        wider
    }

    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// How many axes there are.
    pub(crate) fn len(&self) -> usize {
        self.axes.len()
    }

    /// Name of the parameter that lies on the axis.
    pub(crate) fn name(&self, axis: usize) -> &str {
        &self.slots[self.owners[axis]].name
    }

    /// Whether the axis is active, given the coordinates of those before it.
    pub(crate) fn is_active(&self, axis: usize, before: &[f64]) -> bool {
        self.slots[self.owners[axis]].is_active(before)
    }

    /// Whether no choice decides over the axis.
    pub(crate) fn is_always_active(&self, axis: usize) -> bool {
        self.slots[self.owners[axis]].parent.is_none()
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

    /// A coordinate for a number drawn evenly from [0, 1), spread over the axis as its prior says.
    pub(crate) fn spread(&self, axis: usize, uniform: f64) -> f64 {
        match self.priors[axis] {
            Some(prior) => self.axes[axis].snap(prior.quantile(uniform)),
            None => self.axes[axis].spread(uniform),
        }
    }

    /// Log density of all priors at the point, against that of even draws.
    pub(crate) fn log_prior(&self, point: &[f64]) -> f64 {
        let believed = self.priors.iter().zip(point).filter(|(_, at)| !at.is_nan());
        believed.filter_map(|(prior, at)| Some((*prior)?.log_density(*at))).sum()
    }

    /// Whether no rule forbids the point.
    pub(crate) fn allows(&self, point: &[f64]) -> bool {
        self.forbidden.iter().all(|(forbid, slots)| {
            let value = |name: &str| {
                let (_, slot) = slots.iter().find(|(known, _)| known == name)?;
                self.value(&self.slots[*slot], point)
            };
            !forbid.0.holds(&value)
        })
    }

    /// How far two points are from each other: squared along numbers, one for different choices.
    pub(crate) fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let along = |(axis, (a, b)): (&Axis, (&f64, &f64))| match (a.is_nan(), b.is_nan()) {
            (true, true) => 0.0,
            (false, false) if axis.choices().is_none() => (a - b).powi(2),
            _ => f64::from(u8::from(a.to_bits() != b.to_bits())),
        };
        self.axes.iter().zip(a.iter().zip(b)).map(along).sum()
    }

    /// The point of params that lie in the space.
    pub(crate) fn encode(&self, params: &Params) -> Point {
        let mut point = Vec::with_capacity(self.len());
        for slot in &self.slots {
            let value = params.get(&slot.name);
            match &slot.layout {
                Layout::Axis => point.push(value.map_or(f64::NAN, |value| self.axes[slot.first].encode(value))),
                Layout::Permutation(items) => {
                    let axes = &self.axes[slot.first..][..items.len().saturating_sub(1)];
                    point.extend(axes.iter().zip(1..).map(|(axis, item)| match value {
                        Some(ParamValue::List(order)) => axis.encode_number(inversions(items, order, item)),
                        _ => f64::NAN,
                    }));
                }
                Layout::Fixed(_) => {}
            }
        }
        point
    }

    pub(crate) fn decode(&self, point: &[f64]) -> Params {
        self.slots.iter().filter_map(|slot| Some((slot.name.clone(), self.value(slot, point)?))).collect()
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }

    /// Value at the point of the parameter of that name, if there is one and it is active.
    pub(crate) fn get(&self, name: &str, point: &[f64]) -> Option<ParamValue> {
        self.value(self.slot(name)?, point)
    }

    /// Axis and choices of the parameter of that name, if it is a categorical one.
    pub(crate) fn choices(&self, name: &str) -> Option<(usize, &[ParamValue])> {
        let slot = self.slot(name)?;
        match self.axes.get(slot.first)? {
            Axis::Categorical { choices } if matches!(slot.layout, Layout::Axis) => Some((slot.first, choices)),
            _ => None,
        }
    }

    /// The parameter's value at the point, where it is active.
    fn value(&self, slot: &Slot, point: &[f64]) -> Option<ParamValue> {
        if !slot.is_active(point) {
            return None;
        }
        Some(match &slot.layout {
            Layout::Axis => self.axes[slot.first].decode(point[slot.first]),
            Layout::Permutation(items) => {
                let mut order: Vec<ParamValue> = items.first().cloned().into_iter().collect();
                for (item, at) in items.iter().skip(1).zip(slot.first..) {
                    let after = self.axes[at].cell_index(point[at]) as usize;
                    order.insert(order.len() - after, item.clone());
                }
                ParamValue::List(order)
            }
            Layout::Fixed(value) => value.clone(),
        })
    }

    /// How many points there are, if they can be counted; in a conditional space, some are counted more than once.
    pub(crate) fn size(&self) -> Option<f64> {
        self.axes.iter().map(|axis| axis.cells()).product()
    }
}

impl Slot {
    fn is_active(&self, point: &[f64]) -> bool {
        match &self.parent {
            None => true,
            Some((parent, holds)) => !point[*parent].is_nan() && holds[point[*parent] as usize],
        }
    }
}

/// How many of the items listed before that one come after it in the order.
fn inversions(items: &[ParamValue], order: &[ParamValue], item: usize) -> f64 {
    let place = |item: &ParamValue| order.iter().position(|other| other.same(item));
    let here = place(&items[item]);
    items[..item].iter().filter(|earlier| place(earlier) > here).count() as f64
}

impl Axis {
    pub(crate) fn new(distribution: &Distribution) -> Self {
        match distribution {
            Distribution::Float { low, high, scale: Scale::Step(step) } => {
                Self::Grid { low: *low, step: *step, cells: cells(*low, *high, *step), whole: false }
            }
            Distribution::Float { low, high, scale } => Self::Real { low: *low, high: *high, scale: *scale },
            Distribution::Int { low, high, scale: Scale::Log } => Self::LogInt { low: *low as f64, high: *high as f64 },
            Distribution::Int { low, high, scale } => {
                let step = if let Scale::Step(step) = scale { *step } else { 1.0 };
                let (low, high) = (*low as f64, *high as f64);
                Self::Grid { low, step, cells: cells(low, high, step), whole: true }
            }
            Distribution::Ordinal { choices } => Self::Ordinal { choices: choices.clone() },
            Distribution::Categorical { choices } => Self::Categorical { choices: choices.clone() },
            Distribution::Permutation { .. } | Distribution::Fixed { .. } => {
                unreachable!("these have a layout of their own")
            }
        }
    }

    /// The value nearest to a number between the bounds.
    pub(crate) fn nearest(&self, number: f64) -> ParamValue {
        self.decode(self.encode_number(number))
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

    pub(crate) fn encode(&self, value: &ParamValue) -> f64 {
        match self {
            Self::Categorical { choices } => index_of(choices, value),
            Self::Ordinal { choices } => (index_of(choices, value) + 0.5) / choices.len() as f64,
            _ => self.encode_number(value.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(crate) fn encode_number(&self, value: f64) -> f64 {
        match self {
            Self::Real { low, high, .. } if low == high => 0.5,
            Self::Real { low, high, scale: Scale::Log } => ((value / low).ln() / (high / low).ln()).clamp(0.0, 1.0),
            Self::Real { low, high, scale: Scale::Logit } => {
                ((logit(value) - logit(*low)) / (logit(*high) - logit(*low))).clamp(0.0, 1.0)
            }
            Self::Real { low, high, .. } => ((value - low) / (high - low)).clamp(0.0, 1.0),
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

    /// Which of its cells, of a grid, the coordinate lies in.
    fn cell_index(&self, at: f64) -> f64 {
        let cells = self.cells().unwrap_or(1.0);
        (at * cells).floor().clamp(0.0, cells - 1.0)
    }

    pub(crate) fn decode(&self, at: f64) -> ParamValue {
        match self {
            Self::Real { low, high, .. } if low == high => ParamValue::Float(*low),
            Self::Real { low, high, scale } => {
                let value = match scale {
                    Scale::Log => (low.ln() + at * (high / low).ln()).exp(),
                    Scale::Logit => 1.0 / (1.0 + (-(logit(*low) + at * (logit(*high) - logit(*low)))).exp()),
                    Scale::Linear | Scale::Step(_) => low + at * (high - low),
                };
                ParamValue::Float(value.clamp(*low, *high))
            }
            Self::Grid { low, step, whole, .. } => {
                let value = low + step * self.cell_index(at);
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

fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::space::Parameter;

    fn domain(distribution: Distribution) -> Domain {
        Domain::new(&SearchSpace(vec![Parameter { name: "x".into(), distribution, when: None }]))
    }

    fn value(domain: &Domain, point: &[f64]) -> ParamValue {
        domain.decode(point).get("x").cloned().unwrap()
    }

    proptest! {
        #[test]
        fn a_logit_scale_rises_and_comes_back(low in 1e-6..0.5f64, high in 0.5..0.999_999f64, a in 0.0..=1.0f64, b in 0.0..=1.0f64) {
            let domain = domain(Distribution::Float { low, high, scale: Scale::Logit });
            let (a, b) = (a.min(b), a.max(b));
            let at = |at: f64| value(&domain, &[at]).as_f64().unwrap();
            prop_assert!(low <= at(a) && at(a) <= at(b) && at(b) <= high);
            prop_assert!(b - a < 1e-9 || at(a) < at(b));
            prop_assert!((domain.encode(&domain.decode(&[a]))[0] - a).abs() < 1e-9);
        }

        #[test]
        fn an_order_comes_back(items in 1usize..9, seed in any::<u64>()) {
            let domain = domain(Distribution::Permutation { items: (0..items as i64).map(ParamValue::Int).collect() });
            let mut bits = seed;
            let point = domain.build(|_, axis| {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                axis.spread((bits >> 11) as f64 / (1u64 << 53) as f64)
            });
            prop_assert_eq!(domain.encode(&domain.decode(&point)), point);
        }
    }

    #[test]
    fn neighbours_that_change_places_change_one_digit_by_one() {
        let items: Vec<ParamValue> = (0..4).map(ParamValue::Int).collect();
        let digits = |order: [i64; 4]| -> Vec<f64> {
            let order = order.map(ParamValue::Int);
            (1..4).map(|item| inversions(&items, &order, item)).collect()
        };
        assert_eq!(digits([0, 1, 2, 3]), [0.0, 0.0, 0.0]);
        assert_eq!(digits([0, 2, 1, 3]), [0.0, 1.0, 0.0]);
        assert_eq!(digits([3, 2, 1, 0]), [1.0, 2.0, 3.0]);
    }
}
