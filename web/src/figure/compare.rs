//! The curves of a few trials over one another: the study's metric, and whatever else they reported.

use nightsweep_store::{Report, StudyRow, TrialRow};

use super::axis::{Axis, Kind};
use super::theme::SERIES;
use super::{Content, Figure, Mark, Panel};

/// More trials than this at once cannot be told apart.
pub(crate) const COMPARED: usize = 10;
/// More panels than this nobody looks at.
const PANELS: usize = 6;

pub(crate) fn compare(study: &StudyRow, trials: &[(TrialRow, Vec<Report>)]) -> Figure {
    let mut names: Vec<&str> = vec![&study.metric];
    for name in trials.iter().flat_map(|(_, reports)| reports).flat_map(|report| report.metrics.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names[1..].sort_by_key(|name| (!name.contains("loss"), *name));
    names.truncate(PANELS);
    let value = |report: &Report, name: &str| match name == study.metric {
        true => report.value,
        false => report.metrics.get(name).copied(),
    };
    let panel = |name: &&str| {
        let lines: Vec<(Vec<f64>, Vec<f64>)> = trials
            .iter()
            .map(|(_, reports)| {
                reports.iter().filter_map(|report| Some((report.step as f64, value(report, name)?))).unzip()
            })
            .collect();
        let last = lines.iter().flat_map(|(x, _)| x).copied().fold(1.0, f64::max);
        let x = Axis { label: "epochs".to_owned(), kind: Kind::Whole, low: 0.5, high: last + 0.5 };
        let y = Axis::over(*name, Kind::Linear, lines.iter().flat_map(|(_, y)| y.iter().copied()));
        let mut panel = Panel::new(*name, x, y);
        for (place, ((trial, _), (x, y))) in trials.iter().zip(lines).enumerate() {
            panel.marks.push(Mark::Line {
                name: format!("trial {}", trial.number),
                x,
                y,
                trial: Some(trial.number),
                colour: SERIES[place % SERIES.len()],
                // The sixth trial has the first one's colour.
                dashed: place >= SERIES.len(),
            });
        }
        panel
    };
    Figure { name: "compare", title: "Curves", about: "", content: Content::Panels(names.iter().map(panel).collect()) }
}
