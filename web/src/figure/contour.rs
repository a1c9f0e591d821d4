//! The value over two parameters as a field: the mean of the complete trials, each weighed by a Gaussian of its distance
//! (Nadaraya and Watson 1964) whose width follows Scott's rule for two dimensions. The numbers of a list stand
//! evenly, in their order, as the search has them.

use super::importance::most_important;
use super::map::pair;
use super::material::Material;
use super::{Content, Kind, Mark, Panel};

/// Cells along the axes: a panel is wider than high.
const CELLS: (usize, usize) = (64, 32);

pub(super) fn contour(material: &Material) -> Content {
    let has_numbers = |label: &String| material.column(label).is_some_and(|column| material.has_numbers(column));
    let labels: Vec<String> = most_important(material, usize::MAX).into_iter().filter(has_numbers).collect();
    if labels.len() < 2 {
        let why = "Two parameters with numbers are needed: between words there is nothing to smooth.";
        return Content::Nothing(why.to_owned());
    }
    // No trial may have both of the first two, where each belongs to one choice of a third.
    let pairs = (1..labels.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    let drawn = pairs.into_iter().find_map(|(first, second)| {
        let mut panel = side_by_side(material, &labels[first], &labels[second]);
        let field = field(&panel)?;
        panel.marks.insert(0, field);
        Some(panel)
    });
    drawn.map_or_else(
        || Content::Nothing("Three complete trials with the same two parameters are needed.".to_owned()),
        |panel| Content::Panels(vec![panel]),
    )
}

/// The two parameters, one that is a list along the x axis: upright its numbers would go down.
fn side_by_side(material: &Material, one: &str, other: &str) -> Panel {
    let panel = pair(material, one, other);
    if matches!(panel.y.kind, Kind::Words(_)) { pair(material, other, one) } else { panel }
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
