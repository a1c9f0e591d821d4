//! Parallel coordinates: an axis for each parameter and one for the value, a line for each trial.

use nightsweep_search::{Direction, TrialNumber};
use serde::Serialize;

use super::axis::{Axis, Kind};
use super::material::{Material, thin};
use super::theme::{Rgb, hex};
use super::{ColourScale, Content, STOPS, Theme};

/// More lines than this nobody tells apart. The best stay.
const MAX_LINES: usize = 600;

/// An axis for each parameter, side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parallel {
    /// From left to right; the last one is the value.
    pub axes: Vec<ParallelAxis>,
    /// One for each trial, the best last.
    pub lines: Vec<ParallelLine>,
    /// What the colours say: the value. They are those by day.
    pub scale: ColourScale,
    /// The colours by night, likewise from the lowest value to the highest.
    pub night: Vec<String>,
    /// Which end of the scale is the good one.
    pub direction: Direction,
}

impl Parallel {
    /// Of the line of a trial whose value is at that place of the scale.
    pub(super) fn colour(&self, theme: Theme, place: f64) -> Rgb {
        colour(self.direction, theme, place)
    }
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
    let direction = material.study.direction;
    let colours = |theme| {
        let stops = (0..=STOPS).map(|stop| colour(direction, theme, f64::from(stop) / f64::from(STOPS)));
        stops.map(hex).collect()
    };
    Content::Parallel(Parallel {
        axes: names.zip(axes).map(|(name, axis)| ParallelAxis { name, ticks: ticks(&axis), axis }).collect(),
        lines,
        scale: ColourScale { label: material.study.metric.clone(), low, high, colours: colours(Theme::Light) },
        night: colours(Theme::Dark),
        direction,
    })
}

fn colour(direction: Direction, theme: Theme, place: f64) -> Rgb {
    theme.of_line(if direction == Direction::Maximize { place } else { 1.0 - place })
}

fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    axis.ticks(6).into_iter().map(|(value, text)| (axis.place(value), text)).collect()
}
