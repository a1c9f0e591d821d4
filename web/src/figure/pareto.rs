//! The value against what else the study makes better, or against the time of training: what nothing beats in both is on
//! the front.

use nightsweep_search::{Direction, TrialNumber};

use super::axis::{Axis, Kind};
use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};

pub(super) fn pareto(material: &Material) -> Content {
    if material.complete().next().is_none() {
        return Content::Nothing("No trial is complete yet.".to_owned());
    }
    if material.objectives.is_empty() {
        let seconds = material.complete().map(|(trial, value)| (trial.active_ms as f64 / 1000.0, value, trial.number));
        return Content::Panels(vec![panel(material, "seconds of training", Direction::Minimize, seconds.collect())]);
    }
    let panels = material.objectives.iter().map(|(objective, measured)| {
        let places = material
            .complete()
            .filter_map(|(trial, value)| Some((*measured.get(&trial.number)?, value, trial.number)))
            .collect();
        panel(material, &objective.metric, objective.direction, places)
    });
    Content::Panels(panels.collect())
}

fn panel(material: &Material, other: &str, better: Direction, all: Vec<(f64, f64, TrialNumber)>) -> Panel {
    let front = front(&all, better, material.study.direction);
    let kind = if all.iter().all(|it| it.0 > 0.0) { Kind::Log } else { Kind::Linear };
    let x = Axis::over(other, kind, all.iter().map(|it| it.0));
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
    let front = Mark::Dots {
        name: String::new(),
        x: front.iter().map(|it| it.0).collect(),
        y: front.iter().map(|it| it.1).collect(),
        trials: front.iter().map(|it| it.2).collect(),
        colour: Colour::Orange,
        values: Vec::new(),
        hollow: false,
    };
    Panel::new("", x, y).noted(note).with(dots).with(line).with(front)
}

/// What nothing beats in both, from the best of the first on.
fn front(all: &[(f64, f64, TrialNumber)], first: Direction, second: Direction) -> Vec<(f64, f64, TrialNumber)> {
    let gain = |direction| if direction == Direction::Maximize { 1.0 } else { -1.0 };
    let (first, second) = (gain(first), gain(second));
    let mut sorted = all.to_vec();
    let order = |it: &(f64, f64, TrialNumber)| (first * it.0, second * it.1);
    sorted.sort_by(|one, other| {
        let (one, other) = (order(one), order(other));
        other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1))
    });
    let mut front: Vec<(f64, f64, TrialNumber)> = Vec::new();
    for place in sorted {
        if front.last().is_none_or(|last| second * place.1 > second * last.1) {
            front.push(place);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beats_what_is_on_the_front() {
        let check = |places: &[(f64, f64)], first, second, expected: &[u64]| {
            let all: Vec<_> =
                (0..).map(TrialNumber).zip(places).map(|(trial, place)| (place.0, place.1, trial)).collect();
            let numbers: Vec<u64> = front(&all, first, second).into_iter().map(|it| it.2.0).collect();
            assert_eq!(numbers, expected);
        };
        use Direction::{Maximize, Minimize};
        let places = [(1.0, 0.5), (2.0, 0.9), (2.0, 0.8), (3.0, 0.7), (4.0, 0.95)];
        check(&places, Minimize, Maximize, &[0, 1, 4]);
        check(&places, Maximize, Maximize, &[4]);
        check(&places, Minimize, Minimize, &[0]);
        check(&places, Maximize, Minimize, &[4, 3, 0]);
        check(&[], Minimize, Maximize, &[]);
    }
}
