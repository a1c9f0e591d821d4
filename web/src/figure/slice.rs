//! The value over each parameter by itself.

use super::axis::{Axis, Kind};
use super::importance::most_important;
use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};

pub(super) fn slice(material: &Material) -> Content {
    let complete: Vec<_> = material.complete().collect();
    if complete.is_empty() {
        return Content::Nothing("No trial is complete yet.".to_owned());
    }
    let last = material.trials.last().map_or(1.0, |trial| trial.number.0.max(1) as f64);
    let panels = most_important(material, 12).into_iter().filter_map(|label| {
        let column = material.column(&label)?;
        let x = material.axis(column);
        let y = Axis::over(&*material.study.metric, Kind::Linear, complete.iter().map(|(_, value)| *value));
        let place = |(trial, value): &(&nightsweep_store::TrialRow, f64)| {
            Some((material.place(column, &x, &trial.params)?, *value, trial.number))
        };
        let dots: Vec<_> = complete.iter().filter_map(place).collect();
        let dots = thin_dots(&dots);
        let mark = Mark::Dots {
            name: String::new(),
            x: dots.iter().map(|dot| dot.0).collect(),
            y: dots.iter().map(|dot| dot.1).collect(),
            trials: dots.iter().map(|dot| dot.2).collect(),
            colour: Colour::Blue,
            values: dots.iter().map(|dot| dot.2.0 as f64).collect(),
            hollow: false,
        };
        Some(Panel::new(label, x, y).with(mark).scaled("trial", (0.0, last)))
    });
    Content::Panels(panels.collect())
}
