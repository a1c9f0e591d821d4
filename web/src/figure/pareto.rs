//! The value against the time that a trial trained: what nothing beats in both is on the front.

use nightsweep_search::Direction;

use super::axis::{Axis, Kind};
use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};

pub(super) fn pareto(material: &Material) -> Content {
    let mut all: Vec<_> =
        material.complete().map(|(trial, value)| (trial.active_ms as f64 / 1000.0, value, trial.number)).collect();
    if all.is_empty() {
        return Content::Nothing("No trial is complete yet.".to_owned());
    }
    let sign = if material.study.direction == Direction::Maximize { 1.0 } else { -1.0 };
    all.sort_by(|one, other| one.0.total_cmp(&other.0).then((sign * other.1).total_cmp(&(sign * one.1))));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for (seconds, value, _) in &all {
        if front.last().is_none_or(|(_, best)| sign * value > sign * best) {
            front.push((*seconds, *value));
        }
    }
    let kind = if all.iter().all(|it| it.0 > 0.0) { Kind::Log } else { Kind::Linear };
    let x = Axis::over("seconds of training", kind, all.iter().map(|it| it.0));
    let y = Axis::over(&*material.study.metric, Kind::Linear, all.iter().map(|it| it.1));
    let dots = thin_dots(&all);
    let note = format!("{} of {} complete trials are on the front.", front.len(), all.len());
    let dots = Mark::Dots {
        name: "complete".to_owned(),
        x: dots.iter().map(|dot| dot.0).collect(),
        y: dots.iter().map(|dot| dot.1).collect(),
        trials: dots.iter().map(|dot| dot.2).collect(),
        colour: Colour::Blue,
        values: Vec::new(),
        hollow: false,
    };
    let line = Mark::Line {
        name: "front".to_owned(),
        x: front.iter().map(|it| it.0).collect(),
        y: front.iter().map(|it| it.1).collect(),
        trial: None,
        colour: Colour::Orange,
        dashed: false,
    };
    Content::Panels(vec![Panel::new("", x, y).noted(note).with(dots).with(line)])
}
