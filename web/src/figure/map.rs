//! The value over two parameters: the learning rate and the batch size, and whichever two are asked for.

use super::material::{Material, thin_dots};
use super::{Colour, Content, Mark, Panel};

pub(super) fn map(material: &Material) -> Content {
    let ends = |label: &str, word: &str| label == word || label.ends_with(&format!(".{word}"));
    let columns = |word: &str| material.columns.iter().filter(|it| ends(&it.label, word)).collect::<Vec<_>>();
    let (rates, batches) = (columns("lr"), columns("batch_size"));
    let Some(batch) = batches.first() else {
        return Content::Nothing("The space has no batch_size.".to_owned());
    };
    if rates.is_empty() {
        return Content::Nothing("The space has no lr.".to_owned());
    }
    Content::Panels(rates.iter().map(|rate| pair(material, &batch.label, &rate.label)).collect())
}

/// Complete trials on two columns, coloured by value.
pub(super) fn pair(material: &Material, x: &str, y: &str) -> Panel {
    let (Some(x), Some(y)) = (material.column(x), material.column(y)) else {
        unreachable!("asked for by the labels of columns")
    };
    let (x_axis, y_axis) = (material.axis(x), material.axis(y));
    let dots: Vec<_> = material
        .complete()
        .filter_map(|(trial, value)| {
            let place = (material.place(x, &x_axis, &trial.params)?, material.place(y, &y_axis, &trial.params)?);
            Some((place.0, place.1, trial.number, value))
        })
        .collect();
    let dots = thin_dots(&dots);
    let mark = Mark::Dots {
        name: String::new(),
        x: dots.iter().map(|dot| dot.0).collect(),
        y: dots.iter().map(|dot| dot.1).collect(),
        trials: dots.iter().map(|dot| dot.2).collect(),
        colour: Colour::Blue,
        values: dots.iter().map(|dot| dot.3).collect(),
        hollow: false,
    };
    let label = material.study.metric.clone();
    Panel::new("", x_axis, y_axis).with(mark).scaled(&label, material.colour_range())
}
