//! Trials finished over time, and when the last one will be if the pace of the later half holds.

use super::axis::{Axis, Kind};
use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};
use crate::format;

pub(super) fn budget(material: &Material) -> Content {
    let mut ends: Vec<i64> = material.trials.iter().filter_map(|trial| trial.finished_at_ms).collect();
    let Some(begin) = material.trials.iter().map(|trial| trial.started_at_ms).min().filter(|_| !ends.is_empty()) else {
        return Content::Nothing("No trial has finished yet.".to_owned());
    };
    ends.sort_unstable();
    let finished: Vec<(i64, f64)> =
        [(begin, 0.0)].into_iter().chain(ends.iter().copied().zip((1..).map(f64::from))).collect();
    let wanted = material.study.plan.get("trials").and_then(serde_json::Value::as_u64);
    let left = wanted.map(|wanted| wanted.saturating_sub(ends.len() as u64)).filter(|left| *left > 0);
    let forecast = left.and_then(|left| forecast(&ends, begin, left));
    let note = match (wanted, forecast) {
        (Some(wanted), Some(end)) => {
            format!(
                "{} of {wanted} trials; at the pace of the later half the last ends {}.",
                ends.len(),
                format::day_and_time(end)
            )
        }
        (Some(wanted), None) => format!("{} of {wanted} trials.", ends.len()),
        (None, _) => format!("{} trials; the study names no number of them.", ends.len()),
    };
    let times = finished.iter().map(|it| it.0).chain(forecast).map(|it| material.clock(it));
    let x = Axis::over("", Kind::Time, times);
    let most = wanted.filter(|_| forecast.is_some()).map_or(ends.len() as f64, |wanted| wanted as f64);
    let y = Axis { kind: Kind::Whole, ..Axis::from_zero("trials finished", [0.0, most]) };
    let mut panel = Panel::new("", x, y).noted(note);
    let shown = thin_dots(&finished);
    panel = panel.with(Mark::Line {
        name: "finished".to_owned(),
        x: shown.iter().map(|it| material.clock(it.0)).collect(),
        y: shown.iter().map(|it| it.1).collect(),
        trial: None,
        colour: Colour::Blue,
        dashed: false,
    });
    if let (Some(end), Some(last), Some(wanted)) = (forecast, ends.last(), wanted) {
        panel = panel.with(Mark::Line {
            name: "forecast".to_owned(),
            x: vec![material.clock(*last), material.clock(end)],
            y: vec![ends.len() as f64, wanted as f64],
            trial: None,
            colour: Colour::Orange,
            dashed: true,
        });
    }
    Content::Panels(vec![panel])
}

/// When so many more are finished, in milliseconds since 1970.
fn forecast(ends: &[i64], begin: i64, left: u64) -> Option<i64> {
    let last = *ends.last()?;
    let half = ends.len() / 2;
    let from = if half == 0 { begin } else { ends[half - 1] };
    let each = (last - from) as f64 / (ends.len() - half) as f64;
    (each > 0.0).then(|| last + (each * left as f64) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_follows_the_later_half() {
        let check = |ends: &[i64], left, expected| assert_eq!(forecast(ends, 0, left), expected);
        check(&[10], 2, Some(30));
        check(&[10, 20, 120, 220], 2, Some(420));
        check(&[0, 0], 5, None);
    }
}
