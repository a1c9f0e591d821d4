//! Trials without a result by cause, and the time that went into them.

use std::collections::BTreeMap;

use super::axis::{Axis, Kind};
use super::material::Material;
use super::{Bar, Colour, Content, Mark, Panel};
use crate::format;

pub(super) fn failures(material: &Material) -> Content {
    let mut causes = BTreeMap::<&str, (usize, u64)>::new();
    for trial in &material.trials {
        let Some(cause) = trial.cause else { continue };
        let row = causes.entry(format::cause(cause)).or_default();
        row.0 += 1;
        row.1 += trial.active_ms;
    }
    if causes.is_empty() {
        return Content::Nothing("No trial has failed.".to_owned());
    }
    let words: Vec<String> = causes.keys().map(|word| (*word).to_owned()).collect();
    let panel = |title: &str, label: &str, kind: Kind, values: Vec<(f64, String)>| {
        let x = Axis { kind, ..Axis::from_zero(label, values.iter().map(|(value, _)| *value).chain([0.0])) };
        let bars = (0..).map(f64::from).zip(values);
        let bars = bars.map(|(row, (to, label))| Bar { row, from: 0.0, to, label, trial: None }).collect();
        let mark = Mark::Bars { name: String::new(), colour: Colour::Orange, bars };
        Panel::new(title, x, Axis::words("", words.clone())).with(mark)
    };
    Content::Panels(vec![
        panel("How many", "trials", Kind::Whole, causes.values().map(|it| (it.0 as f64, it.0.to_string())).collect()),
        panel(
            "Time that went into them",
            "minutes of training",
            Kind::Linear,
            causes.values().map(|it| (it.1 as f64 / 60_000.0, format::duration(it.1))).collect(),
        ),
    ])
}
