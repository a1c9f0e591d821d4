//! Values of a study's trials in the order of their ends, and the best of the complete ones so far.

use nightsweep_search::{Direction, TrialState};
use nightsweep_store::Point;

use super::material::thin;
use super::{Axis, Colour, Kind, Mark, Panel};

/// No more than so many dots of each kind; the line of the best is of all trials, also where dots are left out.
pub(crate) fn history(points: &[Point], direction: Direction, metric: &str, most: usize) -> Panel {
    // What has only begun would squeeze the scale.
    let settled = |point: &&Point| !matches!(point.state, TrialState::Running | TrialState::Waiting);
    let points: Vec<&Point> = points.iter().filter(settled).collect();
    let mut dots =
        [(TrialState::Complete, "complete"), (TrialState::Pruned, "not to its end")].map(|row| (row, vec![]));
    let mut best: (Vec<f64>, Vec<f64>) = Default::default();
    for (place, point) in (1..).map(f64::from).zip(&points) {
        let complete = point.state == TrialState::Complete;
        dots[usize::from(!complete)].1.push((place, point.value, point.trial));
        if !complete {
            continue;
        }
        let before = best.1.last().copied();
        let value = before.map_or(point.value, |before: f64| match direction {
            Direction::Minimize => before.min(point.value),
            Direction::Maximize => before.max(point.value),
        });
        if before != Some(value) {
            for value in before.into_iter().chain([value]) {
                best.0.push(place);
                best.1.push(value);
            }
        }
    }
    if let Some(value) = best.1.last().copied() {
        best.0.push(points.len() as f64);
        best.1.push(value);
    }
    let x = Axis::over("trials by their ends", Kind::Whole, [0.5, points.len() as f64 + 0.5]);
    let y = Axis::over(metric, Kind::Linear, points.iter().map(|point| point.value));
    let mut panel = Panel::new("", x, y);
    for ((state, name), dots) in dots.into_iter().rev() {
        let dots = thin(&dots, most);
        let hollow = state != TrialState::Complete;
        panel.marks.push(Mark::Dots {
            name: name.to_owned(),
            x: dots.iter().map(|dot| dot.0).collect(),
            y: dots.iter().map(|dot| dot.1).collect(),
            trials: dots.iter().map(|dot| dot.2).collect(),
            colour: if hollow { Colour::Grey } else { Colour::Blue },
            values: Vec::new(),
            hollow,
        });
    }
    panel.with(Mark::Line {
        name: "best complete".to_owned(),
        x: best.0,
        y: best.1,
        trial: None,
        colour: Colour::Orange,
        dashed: false,
    })
}

#[cfg(test)]
mod tests {
    use nightsweep_search::TrialNumber;

    use super::*;

    #[test]
    fn the_best_so_far_never_gets_worse() {
        let point = |value, state| Point { trial: TrialNumber(0), state, value, at_ms: 0 };
        let check = |values: &[f64], direction, expected: &[f64]| {
            let points: Vec<_> = values.iter().map(|value| point(*value, TrialState::Complete)).collect();
            let panel = history(&points, direction, "m", 10);
            let Some(Mark::Line { y, .. }) = panel.marks.last() else { panic!("no line") };
            assert_eq!(y, expected);
        };
        check(&[0.5, 0.9, 0.7, 0.95], Direction::Maximize, &[0.5, 0.5, 0.9, 0.9, 0.95, 0.95]);
        check(&[0.5, 0.9, 0.4], Direction::Minimize, &[0.5, 0.5, 0.4, 0.4]);
        check(&[], Direction::Minimize, &[]);
    }
}
