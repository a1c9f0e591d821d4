//! Parallel coordinates: an axis for each parameter and one for the value, a line for each trial.

use nightsweep_search::{Direction, TrialNumber};
use serde::Serialize;

use super::axis::{Axis, Kind};
use super::material::{Material, thin};
use super::{ColourScale, Content};

/// More lines than this nobody tells apart. The best stay.
const MAX_LINES: usize = 600;

/// An axis for each parameter, side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parallel {
    /// From left to right; the last one is the value.
    pub axes: Vec<ParallelAxis>,
    /// One for each trial, the best last.
    pub lines: Vec<ParallelLine>,
    /// What the colours say: the value.
    pub scale: ColourScale,
}

/// An axis and its ticks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParallelAxis {
    /// What a filter of the board calls it.
    pub name: String,
    /// Its values.
    pub axis: Axis,
    /// Places from 0 to 1 and what stands there.
    pub ticks: Vec<(f64, String)>,
}

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParallelLine {
    /// Which one.
    pub trial: TrialNumber,
    /// Where it crosses each axis, from 0 to 1; nowhere, where it has no such parameter.
    pub places: Vec<Option<f64>>,
    /// Its value.
    pub value: f64,
}

pub(super) fn parallel(material: &Material) -> Content {
    let mut complete: Vec<_> = material.complete().collect();
    if complete.is_empty() {
        return Content::Nothing("No trial is complete yet.".to_owned());
    }
    let sign = if material.study.direction == Direction::Maximize { 1.0 } else { -1.0 };
    complete.sort_by(|one, other| (sign * one.1).total_cmp(&(sign * other.1)));
    let best = complete.split_off(complete.len() - complete.len().min(MAX_LINES / 4));
    let mut shown = thin(&complete, MAX_LINES - best.len());
    shown.extend(best);
    let mut axes: Vec<Axis> = material.columns.iter().map(|column| material.axis(column)).collect();
    let value = Axis::over(&*material.study.metric, Kind::Linear, shown.iter().map(|(_, value)| *value));
    let lines = shown.iter().map(|(trial, it)| {
        let columns = material.columns.iter().zip(&axes);
        let places = columns.map(|(column, axis)| Some(axis.place(material.place(column, axis, &trial.params)?)));
        ParallelLine { trial: trial.number, places: places.chain([Some(value.place(*it))]).collect(), value: *it }
    });
    let lines = lines.collect();
    axes.push(value);
    let names = material.columns.iter().map(|column| column.label.clone()).chain(["value".to_owned()]);
    let (low, high) = material.colour_range();
    Content::Parallel(Parallel {
        axes: names.zip(axes).map(|(name, axis)| ParallelAxis { name, ticks: ticks(&axis), axis }).collect(),
        lines,
        scale: ColourScale::new(&*material.study.metric, low, high),
    })
}

fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    axis.ticks(6).into_iter().map(|(value, text)| (axis.place(value), text)).collect()
}
