//! What each slot did when: a bar for each turn of a trial, and nothing where it stood idle.

use std::collections::BTreeMap;

use nightsweep_search::TrialState;
use nightsweep_store::Turn;

use super::axis::{Axis, Kind};
use super::material::Material;
use super::{Bar, Colour, Content, Mark, Panel};
use crate::format;

/// The latest turns; earlier ones would be thinner than a pixel.
const MAX_TURNS: usize = 3000;

const STATES: [(TrialState, &str, Colour); 6] = [
    (TrialState::Complete, "complete", Colour::Green),
    (TrialState::Running, "running", Colour::Blue),
    (TrialState::Paused, "paused", Colour::Yellow),
    (TrialState::Pruned, "pruned", Colour::Grey),
    (TrialState::Failed, "failed or lost", Colour::Orange),
    (TrialState::Waiting, "back to the queue", Colour::Purple),
];

pub(super) fn slots(material: &Material) -> Content {
    let turns = &material.turns[material.turns.len().saturating_sub(MAX_TURNS)..];
    if turns.is_empty() {
        return Content::Nothing("No trial has started yet.".to_owned());
    }
    let end = |turn: &Turn| turn.to_ms.unwrap_or(material.now_ms);
    let slot = |turn: &Turn| turn.slot.clone().unwrap_or_else(|| "?".to_owned());
    let mut names: Vec<String> = turns.iter().map(slot).collect();
    names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
    names.dedup();
    let row = |turn: &Turn| names.iter().position(|name| *name == slot(turn)).unwrap_or(0) as f64;
    let times = turns.iter().flat_map(|turn| [material.clock(turn.from_ms), material.clock(end(turn))]);
    let x = Axis::over("", Kind::Time, times);
    let mut panel = Panel::new("", x, Axis::words("slot", names.clone())).noted(idle(turns, end));
    for (state, name, colour) in STATES {
        let failed =
            |turn: &&Turn| turn.left == state || (state == TrialState::Failed && turn.left == TrialState::Lost);
        let bars: Vec<Bar> = turns
            .iter()
            .filter(failed)
            .map(|turn| Bar {
                row: row(turn),
                from: material.clock(turn.from_ms),
                to: material.clock(end(turn)),
                label: format!(
                    "trial {}, attempt {}: {} for {}",
                    turn.trial,
                    turn.attempt,
                    format::state(turn.left).0,
                    format::duration((end(turn) - turn.from_ms).max(0).cast_unsigned()),
                ),
                trial: Some(turn.trial),
            })
            .collect();
        if !bars.is_empty() {
            panel.marks.push(Mark::Bars { name: name.to_owned(), colour, bars });
        }
    }
    Content::Panels(vec![panel])
}

/// Share of the time between a slot's first turn and its last in which it had no trial.
fn idle(turns: &[Turn], end: impl Fn(&Turn) -> i64) -> String {
    let mut slots = BTreeMap::<_, (i64, i64, i64)>::new();
    for turn in turns {
        let slot = slots.entry(turn.slot.clone()).or_insert((turn.from_ms, end(turn), 0));
        slot.1 = slot.1.max(end(turn));
        slot.2 += end(turn) - turn.from_ms;
    }
    let (whole, busy) = slots.values().fold((0, 0), |(whole, busy), it| (whole + it.1 - it.0, busy + it.2));
    let idle = (whole - busy).max(0);
    format!(
        "Idle between trials: {} of {} ({:.1} %).",
        format::duration(idle.cast_unsigned()),
        format::duration(whole.max(0).cast_unsigned()),
        100.0 * idle as f64 / whole.max(1) as f64,
    )
}
