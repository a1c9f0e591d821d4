//! Pairs of the parameters that mattered most, each trial coloured by its rank: where one colour gathers, the pair says
//! how good a trial is.

use super::importance::most_important;
use super::map::pair;
use super::material::Material;
use super::{Content, Mark};

/// Four parameters make six pairs.
const PARAMS: usize = 4;

pub(super) fn rank(material: &Material) -> Content {
    let labels = most_important(material, PARAMS);
    let mut values: Vec<f64> = material.complete().map(|(_, value)| value).collect();
    if labels.len() < 2 || values.is_empty() {
        return Content::Nothing("Two parameters and a complete trial are needed.".to_owned());
    }
    values.sort_by(f64::total_cmp);
    let rank_of = |value: f64| values.partition_point(|it| *it < value) as f64 / (values.len() - 1).max(1) as f64;
    let mut panels = Vec::new();
    for (place, x) in labels.iter().enumerate() {
        for y in &labels[place + 1..] {
            let mut panel = pair(material, x, y).scaled("rank", (0.0, 1.0));
            for mark in &mut panel.marks {
                if let Mark::Dots { values, .. } = mark {
                    values.iter_mut().for_each(|value| *value = rank_of(*value));
                }
            }
            panels.push(panel);
        }
    }
    Content::Panels(panels)
}
