//! Figures as SVG. Their colours are attributes that the style sheet replaces in the dark; as files they are as here.

use nightsweep_search::{Direction, TrialState};
use nightsweep_store::Point;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::format;

/// Okabe and Ito's palette: told apart with every kind of colour blindness.
pub(crate) const PALETTE: [RGBColor; 5] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
];
const RULE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const INK: RGBColor = RGBColor(0x55, 0x55, 0x55);
const FAINT: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// More dots than this only make a page slow; the line of the best is of all trials nevertheless.
const MAX_DOTS: usize = 1500;

/// Lines over the steps of a trial.
pub(crate) struct Curves {
    /// One a colour of the palette, by step.
    pub lines: Vec<Vec<(u64, f64)>>,
    /// Steps after which another attempt went on.
    pub attempts: Vec<u64>,
}

impl Curves {
    /// Nothing if there is nothing to draw.
    pub(crate) fn svg(&self, size: (u32, u32)) -> Option<String> {
        let points = || self.lines.iter().flatten().copied();
        let last = points().map(|(step, _)| step).max()?;
        let x = 0.5..(last as f64 + 0.5);
        let y = padded(points().map(|(_, value)| value))?;
        draw(size, |area| {
            let mut chart = chart(area).build_cartesian_2d(x, y.clone())?;
            let labels = usize::try_from(last).unwrap_or(8).clamp(2, 8);
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(RULE)
                .axis_style(RULE)
                .label_style(("sans-serif", 12).into_font().color(&INK))
                .x_labels(labels)
                .x_label_formatter(&whole)
                .y_labels(5)
                .y_label_formatter(&|value| format::short(*value))
                .draw()?;
            for step in &self.attempts {
                let at = *step as f64 + 0.5;
                let line = vec![(at, y.start), (at, y.end)];
                chart.draw_series(DashedLineSeries::new(line, 3, 3, FAINT.stroke_width(1)))?;
            }
            for (line, colour) in self.lines.iter().zip(PALETTE.iter().cycle()) {
                let line: Vec<_> = line.iter().map(|(step, value)| (*step as f64, *value)).collect();
                if line.len() <= 40 {
                    chart.draw_series(line.iter().map(|point| Circle::new(*point, 2, colour.filled())))?;
                }
                chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
            }
            Ok(())
        })
    }
}

/// Values of a study's trials in the order of their ends, and the best of the complete ones so far.
pub(crate) fn history(points: &[Point], direction: Direction, size: (u32, u32)) -> Option<String> {
    let complete = |point: &Point| point.state == TrialState::Complete;
    // What has only begun would squeeze the scale.
    let settled = |point: &&Point| !matches!(point.state, TrialState::Running | TrialState::Waiting);
    let points: Vec<_> = points.iter().filter(settled).collect();
    let y = padded(points.iter().map(|point| point.value))?;
    let at = |place: usize| place as f64 + 1.0;
    let mut best: Vec<(f64, f64)> = Vec::new();
    for (place, point) in points.iter().enumerate().filter(|(_, point)| complete(point)) {
        let before = best.last().map(|(_, value)| *value);
        let value = match (before, direction) {
            (None, _) => point.value,
            (Some(before), Direction::Minimize) => before.min(point.value),
            (Some(before), Direction::Maximize) => before.max(point.value),
        };
        if before != Some(value) {
            best.extend(before.map(|before| (at(place), before)));
            best.push((at(place), value));
        }
    }
    best.extend(best.last().map(|(_, value)| (at(points.len()) - 1.0, *value)));
    draw(size, |area| {
        let mut chart = chart(area).build_cartesian_2d(0.0..at(points.len()), y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .axis_style(RULE)
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .x_labels(points.len().clamp(2, 8))
            .x_label_formatter(&whole)
            .y_labels(5)
            .y_label_formatter(&|value| format::short(*value))
            .draw()?;
        let every = points.len().div_ceil(MAX_DOTS).max(1);
        chart.draw_series(points.iter().enumerate().step_by(every).map(|(place, point)| {
            let style = if complete(point) { PALETTE[0].filled() } else { FAINT.stroke_width(1) };
            Circle::new((at(place), point.value), if complete(point) { 3 } else { 2 }, style)
        }))?;
        chart.draw_series(LineSeries::new(best, PALETTE[1].stroke_width(2)))?;
        Ok(())
    })
}

/// A small curve for a row of the board, as the points of a polyline 100 wide and 24 high; all rows on one scale.
pub(crate) fn spark(curve: &[(u64, f64)], last_step: u64, low: f64, high: f64) -> String {
    let width = last_step.max(2) as f64 - 1.0;
    let height = if high > low { high - low } else { 1.0 };
    let place = |(step, value): &(u64, f64)| {
        let x = 2.0 + 96.0 * (*step as f64 - 1.0) / width;
        let y = 22.0 - 20.0 * ((value - low) / height).clamp(0.0, 1.0);
        format!("{x:.1},{y:.1}")
    };
    curve.iter().map(place).collect::<Vec<_>>().join(" ")
}

type DrawResult = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> DrawResult) -> Option<String> {
    let mut svg = String::new();
    let painted = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area).and_then(|()| Ok(area.present()?))
    };
    match painted {
        Ok(()) => Some(svg),
        Err(error) => {
            tracing::warn!(%error, "a figure could not be drawn");
            None
        }
    }
}

fn chart<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(4).margin_right(14).x_label_area_size(24).y_label_area_size(54);
    builder
}

fn whole(value: &f64) -> String {
    if (value - value.round()).abs() < 1e-6 && *value >= 0.5 { format!("{value:.0}") } else { String::new() }
}

/// From the least to the greatest with some space, also if they are equal; nothing if there are none.
fn padded(values: impl Iterator<Item = f64>) -> Option<std::ops::Range<f64>> {
    // Beyond this the span itself would overflow.
    let values = values.filter(|value| value.abs() < 1e300);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
    if low > high {
        return None;
    }
    let space = if high > low { (high - low) * 0.06 } else { low.abs().max(1e-9) * 0.05 };
    Some(low - space..high + space)
}

#[cfg(test)]
mod tests {
    use nightsweep_search::TrialNumber;

    use super::*;

    #[test]
    fn every_curve_can_be_drawn_or_is_left_out() {
        let check = |line: &[(u64, f64)], drawn: bool| {
            let curves = Curves { lines: vec![line.to_vec()], attempts: vec![1] };
            assert_eq!(curves.svg((400, 200)).is_some_and(|svg| svg.contains("</svg>")), drawn, "{line:?}");
        };
        check(&[], false);
        check(&[(1, 0.0)], true);
        check(&[(1, 0.5), (2, 0.5)], true);
        check(&[(1, 1e-300), (2, 1e299)], true);
        check(&[(1, f64::MAX)], false);
        check(&(1..1000).map(|step| (step, 1.0 / step as f64)).collect::<Vec<_>>(), true);
    }

    #[test]
    fn the_best_so_far_never_gets_worse() {
        let point = |value, state| Point { trial: TrialNumber(0), state, value, at_ms: 0 };
        let points: Vec<_> = [0.5, 0.9, 0.7, 0.95].map(|value| point(value, TrialState::Complete)).into();
        let svg = history(&points, Direction::Maximize, (400, 200)).unwrap();
        let line = svg.rsplit("points=\"").next().unwrap().split('"').next().unwrap();
        let heights = line.split_whitespace().map(|point| point.split_once(',').unwrap().1.parse::<i32>().unwrap());
        assert!(heights.clone().is_sorted_by(|one, next| one >= next), "{line}");
        assert_eq!(heights.count(), 6);
        assert!(history(&[], Direction::Minimize, (400, 200)).is_none());
    }
}
