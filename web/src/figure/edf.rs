//! The empirical distribution of the values.

use nightsweep_search::Direction;

use super::axis::{Axis, Kind};
use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};

pub(super) fn edf(material: &Material) -> Content {
    let mut values: Vec<f64> = material.complete().map(|(_, value)| value).collect();
    if values.is_empty() {
        return Content::Nothing("No trial is complete yet.".to_owned());
    }
    values.sort_by(f64::total_cmp);
    let worse_first = material.study.direction == Direction::Maximize;
    let count = values.len() as f64;
    if !worse_first {
        values.reverse();
    }
    // A step at each value, from the worst on.
    let thinned = thin_dots(&(0..).zip(values.iter().copied()).collect::<Vec<(u32, f64)>>());
    let step =
        |(place, value): &(u32, f64)| [(*value, f64::from(*place) / count), (*value, f64::from(place + 1) / count)];
    let steps: Vec<(f64, f64)> = thinned.iter().flat_map(step).collect();
    let x = Axis::over(&*material.study.metric, Kind::Linear, values);
    let y = Axis { label: "share as good or worse".to_owned(), kind: Kind::Linear, low: 0.0, high: 1.05 };
    Content::Panels(vec![Panel::new("", x, y).with(Mark::Line {
        name: String::new(),
        x: steps.iter().map(|step| step.0).collect(),
        y: steps.iter().map(|step| step.1).collect(),
        trial: None,
        colour: Colour::Blue,
        dashed: false,
    })])
}
