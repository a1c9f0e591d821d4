//! The value over two parameters as a field: the mean of the complete trials, each weighed by a Gaussian of its distance
//! (Nadaraya and Watson 1964) whose width follows Scott's rule for two dimensions.

use super::importance::most_important;
use super::map::pair;
use super::material::Material;
use super::{Content, Kind, Mark, Panel};

/// Cells along the axes: a panel is wider than high.
const CELLS: (usize, usize) = (64, 32);

pub(super) fn contour(material: &Material) -> Content {
    let is_numbers = |label: &String| {
        material.column(label).is_some_and(|column| !matches!(material.axis(column).kind, Kind::Words(_)))
    };
    let labels = most_important(material, usize::MAX);
    let [x, y, ..] = labels.iter().filter(|label| is_numbers(label)).collect::<Vec<_>>()[..] else {
        return Content::Nothing("The space has no two parameters that are numbers.".to_owned());
    };
    let mut panel = pair(material, x, y);
    let Some(field) = field(&panel) else {
        return Content::Nothing(format!("Three complete trials with {x} and {y} are needed."));
    };
    panel.marks.insert(0, field);
    Content::Panels(vec![panel])
}

fn field(panel: &Panel) -> Option<Mark> {
    let Some(Mark::Dots { x, y, values, .. }) = panel.marks.first() else { return None };
    if x.len() < 3 {
        return None;
    }
    let dots: Vec<(f64, f64, f64)> =
        x.iter().zip(y).zip(values).map(|((x, y), value)| (panel.x.place(*x), panel.y.place(*y), *value)).collect();
    // Of even points in [0, 1] the spread is 0.29.
    let width = 0.29 * (dots.len() as f64).powf(-1.0 / 6.0);
    let at = |cell: usize, of: usize| (cell as f64 + 0.5) / of as f64;
    let mean = |x: f64, y: f64| {
        let distance = |dot: &(f64, f64, f64)| ((dot.0 - x).powi(2) + (dot.1 - y).powi(2)) / (2.0 * width * width);
        // The nearest has the weight 1, so that far from all the sum is not 0.
        let nearest = dots.iter().map(distance).fold(f64::INFINITY, f64::min);
        let (sum, weights) = dots.iter().fold((0.0, 0.0), |(sum, weights), dot| {
            let weight = (nearest - distance(dot)).exp();
            (sum + weight * dot.2, weights + weight)
        });
        sum / weights
    };
    Some(Mark::Field {
        x: (0..CELLS.0).map(|cell| panel.x.value(at(cell, CELLS.0))).collect(),
        y: (0..CELLS.1).map(|cell| panel.y.value(at(cell, CELLS.1))).collect(),
        values: (0..CELLS.1)
            .map(|row| (0..CELLS.0).map(|column| mean(at(column, CELLS.0), at(row, CELLS.1))).collect())
            .collect(),
    })
}
