//! Where trials stopped, and how many of those that came so far went on: at once, or when they were promoted later.

use std::collections::{BTreeMap, BTreeSet};

use nightsweep_search::{PauseReason, TrialNumber, TrialState};

use super::axis::{Axis, Kind};
use super::material::Material;
use super::{Bar, Colour, Content, Mark, Panel};

/// A pruner that stops at any epoch has no rungs to speak of: the epochs where most trials stopped are shown.
const MAX_RUNGS: usize = 10;

pub(super) fn rungs(material: &Material) -> Content {
    // Steps at which a trial paused for its rung.
    let mut pauses: BTreeMap<TrialNumber, BTreeSet<u64>> = BTreeMap::new();
    for turn in material.turns.iter().filter(|turn| turn.pause == Some(PauseReason::Rung)) {
        pauses.entry(turn.trial).or_default().insert(turn.steps);
    }
    let mut stops: BTreeMap<u64, usize> = BTreeMap::new();
    for steps in pauses.values().flatten() {
        *stops.entry(*steps).or_default() += 1;
    }
    for trial in material.trials.iter().filter(|trial| trial.state == TrialState::Pruned) {
        *stops.entry(trial.steps).or_default() += 1;
    }
    if stops.is_empty() {
        return Content::Nothing("No trial was paused at a rung or pruned yet.".to_owned());
    }
    let mut rungs: Vec<(u64, usize)> = stops.into_iter().collect();
    rungs.sort_by_key(|(_, stopped)| std::cmp::Reverse(*stopped));
    rungs.truncate(MAX_RUNGS);
    rungs.sort_unstable();
    let words = rungs.iter().map(|(step, _)| format!("epoch {step}")).collect();
    let parts: [(&str, Colour); 3] =
        [("went on at once", Colour::Green), ("promoted later", Colour::Blue), ("stopped or waits", Colour::Grey)];
    let mut marks = parts.map(|(name, colour)| (name, colour, Vec::new()));
    let mut most = 0;
    for (row, (rung, _)) in (0..).map(f64::from).zip(&rungs) {
        let reached: Vec<_> = material.trials.iter().filter(|trial| trial.steps >= *rung).collect();
        let paused = |number: &TrialNumber| pauses.get(number).is_some_and(|steps| steps.contains(rung));
        let ended = |state| state == TrialState::Complete || state == TrialState::Running;
        let on = |trial: &nightsweep_store::TrialRow| trial.steps > *rung || ended(trial.state);
        let later = reached.iter().filter(|trial| on(trial) && paused(&trial.number)).count();
        let at_once = reached.iter().filter(|trial| on(trial)).count() - later;
        let counts = [at_once, later, reached.len() - later - at_once];
        most = most.max(reached.len());
        let mut from = 0;
        for ((_, _, bars), count) in marks.iter_mut().zip(counts) {
            if count > 0 {
                let label = count.to_string();
                bars.push(Bar { row, from: from as f64, to: (from + count) as f64, label, trial: None });
            }
            from += count;
        }
    }
    let x = Axis { kind: Kind::Whole, ..Axis::from_zero("trials", [0.0, most as f64]) };
    let mut panel = Panel::new("", x, Axis::words("", words));
    for (name, colour, bars) in marks {
        panel.marks.push(Mark::Bars { name: name.to_owned(), colour, bars });
    }
    Content::Panels(vec![panel])
}
