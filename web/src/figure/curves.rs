//! The metric after each epoch: of the best trials, and of others evenly over the study.

use nightsweep_search::TrialState;

use super::axis::{Axis, Kind};
use super::material::Material;
use super::{Colour, Content, Mark, Panel};

pub(super) fn curves(material: &Material) -> Content {
    let all = || material.curves.values().flatten();
    let Some(last) = all().map(|(step, _)| *step).max() else {
        return Content::Nothing("No trial has reported yet.".to_owned());
    };
    let x = Axis { label: "epochs".to_owned(), kind: Kind::Whole, low: 0.5, high: last as f64 + 0.5 };
    let y = Axis::over(&*material.study.metric, Kind::Linear, all().map(|(_, value)| *value));
    let row = |trial: &_| material.trials.iter().find(|row| row.number == *trial);
    let mut lines: Vec<_> = material.curves.iter().filter_map(|(trial, curve)| Some((row(trial)?, curve))).collect();
    // The best lie on top.
    lines.sort_by_key(|(trial, _)| std::cmp::Reverse((trial.rank, trial.number)));
    let mut named = Vec::new();
    let marks = lines.into_iter().map(|(trial, curve)| {
        let (name, colour) = match trial.state {
            _ if trial.rank == Some(1) => ("best", Colour::Orange),
            TrialState::Complete => ("complete", Colour::Green),
            TrialState::Running => ("running", Colour::Blue),
            _ => ("not to its end", Colour::Grey),
        };
        let first = !named.contains(&name);
        named.push(name);
        Mark::Line {
            name: if first { name.to_owned() } else { String::new() },
            x: curve.iter().map(|(step, _)| *step as f64).collect(),
            y: curve.iter().map(|(_, value)| *value).collect(),
            trial: Some(trial.number),
            colour,
            dashed: false,
        }
    });
    let mut panel = Panel::new("", x, y);
    panel.marks = marks.collect();
    if material.trials.len() > material.curves.len() {
        panel.note = format!("{} of {} trials, the best among them.", material.curves.len(), material.trials.len());
    }
    Content::Panels(vec![panel])
}
