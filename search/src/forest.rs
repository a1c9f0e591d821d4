//! A random forest over complete trials, and what it says of parameters: how much of the variance each explains alone
//! (fANOVA, Hutter et al. 2014, proceedings.mlr.press/v32/hutter14), and how the metric goes along each (partial dependence,
//! Friedman 2001). Both are exact for a tree, whose leaves are boxes, so neither needs samples.
//!
//! For parameters that every trial has; conditional ones are left to [`Study::importance`].

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::domain::{Axis, Domain};
use crate::importance::Importance;
use crate::params::ParamValue;
use crate::stream::{Purpose, stream};
use crate::study::Study;
use crate::trial::{Direction, Loss, TrialNumber, TrialState};

/// Trees, and the most splits from a tree's root to a leaf: those of Optuna's FanovaImportanceEvaluator.
const TREES: usize = 64;
const DEEPEST: usize = 64;
/// Values at which the dependence on a real number is told.
const PLACES: usize = 25;
/// Leaves that differ by no more than this share of their losses are equal: their means were rounded.
const ROUNDING: f64 = 1e-12;

/// What a study's complete trials say of its whole space.
#[derive(Clone, Debug)]
pub struct Forest {
    domain: Domain,
    direction: Direction,
    columns: Vec<Column>,
    trees: Vec<Tree>,
}

/// The metric at one value of a parameter, on average over all others.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependence {
    /// The parameter's value.
    pub value: ParamValue,
    /// Mean of the metric.
    pub mean: f64,
    /// How far the trees disagree on that mean: a standard deviation.
    pub deviation: f64,
}

/// An axis that every trial has.
#[derive(Clone, Debug)]
struct Column {
    axis: usize,
    /// Place of each choice, by its mean loss: so ordered, some split between neighbours is the best of all ways to part
    /// them (Fisher 1958). Empty for numbers.
    ranks: Vec<usize>,
}

impl Column {
    fn place(&self, coordinate: f64) -> f64 {
        match self.ranks.len() {
            0 => coordinate,
            choices => (self.ranks[coordinate as usize] as f64 + 0.5) / choices as f64,
        }
    }
}

/// The leaves of a tree: boxes that fill the unit cube.
#[derive(Clone, Debug)]
struct Tree {
    leaves: Vec<Leaf>,
}

#[derive(Clone, Debug)]
struct Leaf {
    /// Bounds along each column.
    bounds: Vec<(f64, f64)>,
    loss: f64,
}

impl Leaf {
    fn volume(&self) -> f64 {
        self.bounds.iter().map(|(low, high)| high - low).product()
    }
}

impl Study {
    /// A forest of the complete trials; `None` with fewer than two, or where nothing varies.
    pub fn forest(&self) -> Option<Forest> {
        let (domain, direction) = (self.domain(), self.config().direction);
        let complete = self.trials().iter().filter(|trial| trial.state == TrialState::Complete);
        let rows: Vec<(Vec<f64>, f64)> = complete
            .filter_map(|trial| Some((domain.encode(&trial.params), Loss::of(trial.value?, direction).get())))
            .collect();
        let varies = |axis: &usize| domain.is_always_active(*axis) && domain.axes()[*axis].cells() != Some(1.0);
        let columns: Vec<Column> =
            (0..domain.len()).filter(varies).map(|axis| Column { axis, ranks: ranks(domain, axis, &rows) }).collect();
        if rows.len() < 2 || columns.is_empty() {
            return None;
        }
        let placed = |(point, loss): &(Vec<f64>, f64)| {
            (columns.iter().map(|column| column.place(point[column.axis])).collect(), *loss)
        };
        let rows: Vec<(Vec<f64>, f64)> = rows.iter().map(placed).collect();
        let tree = |number| Tree::grow(&rows, &mut stream(self.config().seed, TrialNumber(number), Purpose::Forest));
        let trees = (0..TREES as u64).map(tree).collect();
        Some(Forest { domain: domain.clone(), direction, columns, trees })
    }
}

/// The place of each choice of a categorical axis, by mean loss.
fn ranks(domain: &Domain, axis: usize, rows: &[(Vec<f64>, f64)]) -> Vec<usize> {
    let count = domain.axes()[axis].choices().unwrap_or(0);
    let mean = |choice: usize| {
        let losses = || rows.iter().filter(|(point, _)| point[axis] == choice as f64).map(|(_, loss)| loss);
        losses().sum::<f64>() / losses().count().max(1) as f64
    };
    let means: Vec<f64> = (0..count).map(mean).collect();
    let rank = |choice: usize| (0..count).filter(|other| (means[*other], *other) < (means[choice], choice)).count();
    (0..count).map(rank).collect()
}

impl Forest {
    /// How much of the metric's variance over the space each parameter explains alone, greatest first. What is missing to 1
    /// is explained by several together.
    pub fn fanova(&self) -> Vec<Importance> {
        let mut importances: Vec<Importance> = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let shares: Vec<f64> = self.trees.iter().filter_map(|tree| tree.share(at)).collect();
            let share = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
            let param = self.domain.name(column.axis);
            // The axes of a permutation count together.
            match importances.iter_mut().find(|other| other.param == param) {
                Some(other) => other.share += share,
                None => importances.push(Importance { param: param.to_owned(), share }),
            }
        }
        importances.sort_by(|a, b| b.share.total_cmp(&a.share));
        importances
    }

    /// The metric along a parameter, in the order of its values. `None` for one that is conditional, fixed or an order.
    pub fn dependence(&self, param: &str) -> Option<Vec<Dependence>> {
        let mut of_param = self.columns.iter().enumerate().filter(|(_, column)| self.domain.name(column.axis) == param);
        let (at, column) = of_param.next()?;
        if of_param.next().is_some() {
            return None;
        }
        let axis = &self.domain.axes()[column.axis];
        let coordinates: Vec<f64> = match (axis, axis.cells()) {
            (Axis::Categorical { choices }, _) => (0..choices.len()).map(|choice| choice as f64).collect(),
            (_, Some(cells)) if cells <= PLACES as f64 => {
                (0..cells as usize).map(|cell| axis.snap((cell as f64 + 0.5) / cells)).collect()
            }
            _ => (0..PLACES).map(|place| axis.snap(place as f64 / (PLACES - 1) as f64)).collect(),
        };
        let sign = if self.direction == Direction::Minimize { 1.0 } else { -1.0 };
        let told = coordinates.into_iter().map(|coordinate| {
            let means: Vec<f64> = self.trees.iter().map(|tree| tree.mean_at(at, column.place(coordinate))).collect();
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            let squares: f64 = means.iter().map(|other| (other - mean).powi(2)).sum();
            let deviation = (squares / means.len() as f64).sqrt();
            Dependence { value: axis.decode(coordinate), mean: sign * mean, deviation }
        });
        let mut told: Vec<Dependence> = told.collect();
        told.dedup_by(|a, b| a.value == b.value);
        Some(told)
    }
}

impl Tree {
    /// Split until every leaf is pure, on a sample of the rows with repetition (Breiman 2001).
    fn grow(rows: &[(Vec<f64>, f64)], rng: &mut ChaCha8Rng) -> Self {
        let sample: Vec<&(Vec<f64>, f64)> = (0..rows.len()).map(|_| &rows[rng.random_range(0..rows.len())]).collect();
        let mut tree = Self { leaves: Vec::new() };
        tree.split(sample, vec![(0.0, 1.0); rows[0].0.len()], 0);
        tree
    }

    fn split(&mut self, mut rows: Vec<&(Vec<f64>, f64)>, bounds: Vec<(f64, f64)>, depth: usize) {
        let cut = if depth < DEEPEST { best_cut(&mut rows) } else { None };
        let Some((column, cut)) = cut else {
            let loss = rows.iter().map(|(_, loss)| loss).sum::<f64>() / rows.len() as f64;
            self.leaves.push(Leaf { bounds, loss });
            return;
        };
        let (left, right): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(point, _)| point[column] <= cut);
        let (mut below, mut above) = (bounds.clone(), bounds);
        below[column].1 = cut;
        above[column].0 = cut;
        self.split(left, below, depth + 1);
        self.split(right, above, depth + 1);
    }

    fn mean(&self) -> f64 {
        self.leaves.iter().map(|leaf| leaf.volume() * leaf.loss).sum()
    }

    /// Share of the variance over the whole space that one column explains; `None` if there is no variance.
    fn share(&self, column: usize) -> Option<f64> {
        let mean = self.mean();
        let variance: f64 = self.leaves.iter().map(|leaf| leaf.volume() * (leaf.loss - mean).powi(2)).sum();
        let largest = self.leaves.iter().map(|leaf| leaf.loss.abs()).fold(0.0, f64::max);
        if variance <= (ROUNDING * largest).powi(2) {
            return None;
        }
        let mut ends: Vec<f64> =
            self.leaves.iter().flat_map(|leaf| [leaf.bounds[column].0, leaf.bounds[column].1]).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        // A leaf adds to all intervals from its lower bound on, and takes it back from its upper bound on.
        let mut changes = vec![0.0; ends.len()];
        for leaf in &self.leaves {
            let (low, high) = leaf.bounds[column];
            let weighted = leaf.loss * leaf.volume() / (high - low);
            changes[ends.partition_point(|end| *end < low)] += weighted;
            changes[ends.partition_point(|end| *end < high)] -= weighted;
        }
        let mut here = 0.0;
        let explained: f64 = changes
            .iter()
            .zip(ends.windows(2))
            .map(|(change, interval)| {
                here += change;
                (interval[1] - interval[0]) * (here - mean).powi(2)
            })
            .sum();
        Some(explained / variance)
    }

    /// Mean loss where the column has that place.
    fn mean_at(&self, column: usize, place: f64) -> f64 {
        let here = self.leaves.iter().filter(|leaf| {
            let (low, high) = leaf.bounds[column];
            // As rows are parted: a cut belongs to the left.
            (low < place || low == 0.0) && place <= high
        });
        here.map(|leaf| leaf.loss * leaf.volume() / (leaf.bounds[column].1 - leaf.bounds[column].0)).sum()
    }
}

/// The column and the place between two of its values that leave the least squared error; `None` if all losses are equal
/// or all rows the same.
fn best_cut(rows: &mut [&(Vec<f64>, f64)]) -> Option<(usize, f64)> {
    let (first, columns) = (rows.first()?.1, rows.first()?.0.len());
    if rows.iter().all(|(_, loss)| *loss == first) {
        return None;
    }
    let total: f64 = rows.iter().map(|(_, loss)| loss - first).sum();
    let mut best: Option<(f64, usize, f64)> = None;
    for column in 0..columns {
        rows.sort_by(|(a, _), (b, _)| a[column].total_cmp(&b[column]));
        let mut left = 0.0;
        for (at, pair) in rows.windows(2).enumerate() {
            left += pair[0].1 - first;
            let (here, next) = (pair[0].0[column], pair[1].0[column]);
            if here == next {
                continue;
            }
            let (count, rest) = ((at + 1) as f64, (rows.len() - at - 1) as f64);
            // What the squared error falls by, but for a constant.
            let gain = left * left / count + (total - left) * (total - left) / rest;
            if best.is_none_or(|(most, ..)| gain > most) {
                best = Some((gain, column, (here + next) / 2.0));
            }
        }
    }
    best.map(|(_, column, cut)| (column, cut))
}
