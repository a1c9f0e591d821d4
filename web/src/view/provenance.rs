//! What a trial ran on and with: what has to be the same for it to come out the same.

use maud::{Markup, html};
use nightsweep_store::{AttemptProvenance, Provenance};

/// A column for each attempt, or for several in a row that ran on the same and with the same.
pub(super) fn provenance(attempts: &[AttemptProvenance]) -> Markup {
    let runs: Vec<&[AttemptProvenance]> = attempts.chunk_by(|one, next| one.provenance == next.provenance).collect();
    html! {
        section.panel #provenance data-patch {
            h2 { "What it ran on" span.unit { "the same again gives the same result on a CPU, bit for bit" } }
            @if runs.is_empty() { p.none { "No worker has told it." } } @else {
                div.sideways tabindex="0" { table.plain {
                    thead { tr { th scope="col" { "" } @for run in &runs { th scope="col" { (label(run)) } } } }
                    tbody { @for (name, value) in ROWS {
                        tr {
                            th scope="row" { (name) }
                            @for run in &runs { td { (value(&run[0].provenance)) } }
                        }
                    } }
                } }
            }
        }
    }
}

fn label(run: &[AttemptProvenance]) -> String {
    match run {
        [only] => format!("attempt {}", only.attempt),
        [first, .., last] => format!("attempts {} to {}", first.attempt, last.attempt),
        [] => String::new(),
    }
}

type Row = (&'static str, fn(&Provenance) -> Markup);

const ROWS: [Row; 8] = [
    ("version", |it| html! { (it.version) }),
    ("device", |it| html! { (it.device) }),
    ("hardware", |it| html! { (it.hardware) }),
    ("libraries", |it| {
        let libraries: Vec<String> = it.libraries.iter().map(|(name, version)| format!("{name} {version}")).collect();
        html! { (libraries.join(", ")) }
    }),
    ("seed of the study", |it| html! { (it.study_seed) }),
    ("seed of the trial", |it| html! { (it.trial_seed) }),
    ("images as seen", |it| html! { code.hash { (it.data) } }),
    ("files of the data", |it| {
        html! {
            @match &it.files { Some(files) => code.hash { (files) }, None => span.none { "not known" } }
        }
    }),
];
