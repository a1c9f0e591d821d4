//! What was measured of the machine while trials ran: one panel for each measure that their reports have.

use super::axis::{Axis, Kind};
use super::material::{Material, thin_dots};
use super::theme::SERIES;
use super::{Content, Mark, Panel};

const MEASURES: [Measure; 5] = [
    Measure { name: "images_per_second", label: "images/s", unit: 1.0 },
    Measure { name: "gpu_utilization", label: "GPU busy, %", unit: 1.0 },
    Measure { name: "device_memory_bytes", label: "GPU memory, MiB", unit: MEBIBYTE },
    Measure { name: "peak_memory_bytes", label: "peak memory, MiB", unit: MEBIBYTE },
    Measure { name: "input_wait_share", label: "waiting for images, %", unit: 0.01 },
];
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A measure as reports name it, what its panel says, and how much of it is 1 there.
struct Measure {
    name: &'static str,
    label: &'static str,
    unit: f64,
}

pub(super) fn throughput(material: &Material) -> Content {
    let slot = |trial, attempt| {
        let turn = material.turns.iter().find(|turn| turn.trial == trial && turn.attempt == attempt);
        turn.and_then(|turn| turn.slot.clone()).unwrap_or_else(|| "?".to_owned())
    };
    let mut slots: Vec<String> = material.turns.iter().filter_map(|turn| turn.slot.clone()).collect();
    slots.sort();
    slots.dedup();
    let panels: Vec<Panel> = MEASURES
        .iter()
        .filter_map(|Measure { name, label, unit }| {
            let mut all = Vec::new();
            for (trial, reports) in &material.reports {
                for report in reports {
                    let Some(value) = report.metrics.get(*name) else { continue };
                    all.push((material.clock(report.at_ms), value / unit, *trial, slot(*trial, report.attempt)));
                }
            }
            if all.is_empty() {
                return None;
            }
            let x = Axis::over("", Kind::Time, all.iter().map(|dot| dot.0));
            let mut panel = Panel::new(*label, x, Axis::from_zero(*label, all.iter().map(|dot| dot.1)));
            for (slot, colour) in slots.iter().zip(SERIES.iter().cycle()) {
                let dots: Vec<_> = all.iter().filter(|dot| dot.3 == *slot).map(|dot| (dot.0, dot.1, dot.2)).collect();
                let dots = thin_dots(&dots);
                panel.marks.push(Mark::Dots {
                    name: format!("slot {slot}"),
                    x: dots.iter().map(|dot| dot.0).collect(),
                    y: dots.iter().map(|dot| dot.1).collect(),
                    trials: dots.iter().map(|dot| dot.2).collect(),
                    colour: *colour,
                    values: Vec::new(),
                    hollow: false,
                });
            }
            Some(panel)
        })
        .collect();
    if panels.is_empty() {
        Content::Nothing("No report has such a measure.".to_owned())
    } else {
        Content::Panels(panels)
    }
}
