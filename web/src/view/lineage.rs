//! Where a trial of a population comes from: its ancestors with the epochs that each trained, what changed at each fork,
//! and the forks that went on from it.

use maud::{Markup, html};
use nightsweep_search::TrialNumber;
use nightsweep_store::TrialRow;

use super::trial_address;
use crate::format;

/// The relatives of a trial.
pub(crate) struct Lineage {
    /// The first one first, the trial itself last.
    pub ancestry: Vec<TrialRow>,
    /// The forks that began where the trial stood.
    pub forks: Vec<TrialRow>,
}

/// The schedule of parameters that a population has found, and who went on from it; nothing for a trial without relatives.
pub(crate) fn lineage(study: &str, lineage: &Lineage) -> Markup {
    let Lineage { ancestry, forks } = lineage;
    let link = |number: TrialNumber| html! { a href=(trial_address(study, number)) { "#" (number) } };
    html! {
        @if ancestry.len() > 1 || !forks.is_empty() {
            section.panel #lineage {
                h2 { "Lineage" span.unit { "a fork goes on from its parent's weights with other parameters" } }
                @if ancestry.len() > 1 {
                    div.sideways { table.plain {
                        thead { tr { th { "epochs" } th { "trial" } th { "parameters" } } }
                        tbody {
                            @for (place, trial) in ancestry.iter().enumerate() {
                                tr {
                                    th scope="row" { (epochs(ancestry, place)) }
                                    td { (link(trial.number)) }
                                    td { (changes(place.checked_sub(1).map(|parent| &ancestry[parent]), trial)) }
                                }
                            }
                        }
                    } }
                }
                @if !forks.is_empty() {
                    p.unit {
                        "Forked into "
                        @for (place, fork) in forks.iter().enumerate() {
                            @if place > 0 { ", " }
                            (link(fork.number)) " after epoch " (fork.origin.map_or(0, |origin| origin.epoch))
                        }
                    }
                }
            }
        }
    }
}

/// Those that the trial at that place of its ancestry trained for the lineage.
fn epochs(ancestry: &[TrialRow], place: usize) -> String {
    let begun = |trial: &TrialRow| trial.origin.map_or(0, |origin| origin.epoch);
    let first = begun(&ancestry[place]) + 1;
    match ancestry.get(place + 1).map_or(ancestry[place].steps, begun) {
        last if last < first => format!("from {first}"),
        last if last == first => first.to_string(),
        last => format!("{first} to {last}"),
    }
}

/// All parameters of the first one, and of the others what is not their parent's.
fn changes(parent: Option<&TrialRow>, trial: &TrialRow) -> String {
    let changed =
        trial.params.iter().filter(|(name, value)| parent.is_none_or(|parent| parent.params.get(name) != Some(*value)));
    let words: Vec<String> = changed.map(|(name, value)| format!("{name} = {}", format::param(value))).collect();
    if words.is_empty() { "as before".to_owned() } else { words.join(", ") }
}
