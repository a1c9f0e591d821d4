//! What a trial's worker left for people to look at: the confusion matrix, the images that the model gets most wrong, and
//! what the training made of its images.

use maud::{Markup, html};
use nightsweep_search::TrialState;
use nightsweep_store::{StudyRow, TrialRow};

use super::trial_address;
use crate::files::{Augmented, CheckpointState, Evaluation, Seen, Worst, WorstImage};

/// More classes than this make a matrix that nobody reads; then the commonest mistakes are told.
const MATRIX: usize = 25;
/// Mistakes that are told.
const MISTAKES: usize = 20;

/// All of it. `steps` are the epochs that the trial has done.
pub(super) fn pictures(study: &StudyRow, trial: &TrialRow, seen: &Seen) -> Markup {
    let none = |what: &str| html! { p.none { (absent(trial, what)) } };
    html! {
        section.panel #confusion data-patch {
            @match &seen.evaluation {
                Some(evaluation) => (confusion(evaluation)),
                None => { h2 { "Which class is taken for which" } (none("Each epoch that counts leaves it.")) }
            }
        }
        section.panel #worst data-patch {
            h2 { "Most wrong" span.unit { "validation images whose right class the model finds least likely" } }
            @match &seen.worst {
                Some(file) => (worst(study, trial, file)),
                None => (none("Each epoch that counts leaves them.")),
            }
        }
        section.panel #augmented data-patch {
            h2 { "As the training sees them" span.unit { "some training images, and what becomes of them in an epoch" } }
            @match &seen.augmented {
                Some(file) => (augmented(study, trial, file)),
                None => (none("The beginning of a training leaves them.")),
            }
        }
    }
}

fn absent(trial: &TrialRow, when: &str) -> String {
    match trial.state {
        TrialState::Running | TrialState::Waiting if trial.steps == 0 => format!("Nothing yet. {when}"),
        _ => "Its files are not beside the store: they were deleted, or never written.".to_owned(),
    }
}

fn confusion(evaluation: &Evaluation) -> Markup {
    let Evaluation { epoch, classes, recalls, confusion } = evaluation;
    let images = evaluation.images();
    html! {
        h2 { "Which class is taken for which" span.unit { (images) " validation images, after epoch " (epoch) } }
        @if classes.len() > MATRIX { (mistakes(evaluation)) } @else {
            div.sideways tabindex="0" {
                table.confusion {
                    thead { tr {
                        th scope="col" { "true ╲ taken for" }
                        @for class in classes { th scope="col" title=(class) { span { (class) } } }
                        th scope="col" { span { "right" } }
                    } }
                    tbody { @for (own, ((class, row), recall)) in classes.iter().zip(confusion).zip(recalls).enumerate() {
                        @let all: u64 = row.iter().sum();
                        tr {
                            th scope="row" title=(class) { (class) }
                            @for (place, count) in row.iter().enumerate() {
                                td class={ "h" (shade(*count, all)) @if place == own { " own" } }
                                    title={ (count) " of " (all) " " (class) " taken for " (classes[place]) } {
                                    @if *count > 0 { (count) }
                                }
                            }
                            td.recall { (percent(*recall)) }
                        }
                    } }
                }
            }
            p.unit { "A row holds the images of one class; the last column says what share of them is right (recall)." }
        }
    }
}

/// One of eight tones for a share, 0 for nothing at all.
fn shade(count: u64, all: u64) -> u64 {
    if count == 0 { 0 } else { 1 + (count * 7).saturating_sub(1) / all.max(1) }.min(7)
}

fn mistakes(evaluation: &Evaluation) -> Markup {
    let Evaluation { classes, recalls, confusion, .. } = evaluation;
    let pairs = confusion.iter().enumerate().flat_map(|(own, row)| row.iter().enumerate().map(move |it| (own, it)));
    let mut wrong: Vec<(usize, usize, u64)> = pairs
        .filter(|(own, (taken, count))| own != taken && **count > 0)
        .map(|(own, (taken, n))| (own, taken, *n))
        .collect();
    wrong.sort_by_key(|(own, taken, count)| (std::cmp::Reverse(*count), *own, *taken));
    let mut weak: Vec<(usize, f64)> =
        recalls.iter().enumerate().filter_map(|(class, recall)| Some((class, (*recall)?))).collect();
    weak.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    html! {
        p.unit { (classes.len()) " classes are too many for a matrix: these are the commonest mistakes, and the classes that are right least often." }
        div.columns {
            table.plain { tbody { @for (own, taken, count) in wrong.into_iter().take(MISTAKES) {
                tr { th scope="row" { (classes[own]) " taken for " (classes[taken]) } td { (count) } }
            } } }
            table.plain { tbody { @for (class, recall) in weak.into_iter().take(MISTAKES) {
                tr { th scope="row" { (classes[class]) } td { (percent(Some(recall))) } }
            } } }
        }
    }
}

fn percent(share: Option<f64>) -> Markup {
    html! { @match share { Some(share) => { (format!("{:.0} %", 100.0 * share)) }, None => span.none { "–" } } }
}

fn worst(study: &StudyRow, trial: &TrialRow, file: &Worst) -> Markup {
    let Worst { epoch, tile, columns, images } = file;
    let columns = (*columns).max(1);
    let rows = u32::try_from(images.len()).unwrap_or(u32::MAX).div_ceil(columns);
    let sheet = Sheet { address: address(study, trial, "worst.png", *epoch), tile: *tile, columns, rows };
    html! {
        ul.worst {
            @for (place, image) in (0..).zip(images) {
                li {
                    (sheet.image(place, &format!("{}, taken for {}", image.class, image.predicted)))
                    (caption(image))
                }
            }
        }
        p.unit { "After epoch " (epoch) ", the one that counts. The share is the probability that the model gives its answer." }
    }
}

fn caption(image: &WorstImage) -> Markup {
    html! {
        strong { (image.class) }
        @if image.predicted == image.class {
            span { "right, with " (percent(image.own)) }
        } @else {
            span { "taken for " (image.predicted) ", " (percent(image.confidence)) }
        }
    }
}

fn augmented(study: &StudyRow, trial: &TrialRow, file: &Augmented) -> Markup {
    let Augmented { tile, epochs, classes } = file;
    let (columns, rows) = (u32::try_from(epochs.len()).unwrap_or(0) + 1, u32::try_from(classes.len()).unwrap_or(0));
    let sheet = Sheet { address: address(study, trial, "augmented.png", 0), tile: *tile, columns, rows };
    html! {
        div.sideways tabindex="0" {
            table.augmented {
                thead { tr {
                    th {} th scope="col" { "as it is" }
                    @for epoch in epochs {
                        th scope="col" class=[(*epoch > trial.steps).then_some("later")] { "epoch " (epoch) }
                    }
                } }
                tbody { @for (row, class) in (0..).zip(classes) {
                    tr {
                        th scope="row" { (class) }
                        @for column in 0..columns {
                            td class=[(column > 0 && epochs[column as usize - 1] > trial.steps).then_some("later")] {
                                (sheet.image(row * columns + column, class))
                            }
                        }
                    }
                } }
            }
        }
        p.unit {
            "Exactly what the network gets in that epoch; white where an epoch leaves an image out."
            @if epochs.iter().any(|epoch| *epoch > trial.steps) { " What lies ahead of it is pale." }
        }
    }
}

fn address(study: &StudyRow, trial: &TrialRow, file: &str, version: u64) -> String {
    format!("{}/{file}?v={version}", trial_address(&study.name, trial.number))
}

/// Images side by side in one file.
struct Sheet {
    address: String,
    /// Columns and rows of an image, in pixels.
    tile: [u32; 2],
    columns: u32,
    rows: u32,
}

impl Sheet {
    /// One of them, cut out by the browser.
    fn image(&self, place: u32, label: &str) -> Markup {
        let [width, height] = self.tile.map(u64::from);
        let (left, top) = (u64::from(place % self.columns) * width, u64::from(place / self.columns) * height);
        html! {
            svg.image viewBox={ (left) " " (top) " " (width) " " (height) } role="img" aria-label=(label) {
                image href=(self.address) width=(width * u64::from(self.columns)) height=(height * u64::from(self.rows)) {}
            }
        }
    }
}

/// How the trial's checkpoint is.
pub(super) fn checkpoint(state: &CheckpointState) -> Markup {
    let size = |bytes: &u64| format!("{:.1} MB", *bytes as f64 / 1e6);
    html! {
        @match state {
            CheckpointState::None => p.none { "None: it was never written, or deleted to make room." },
            CheckpointState::Whole { size_bytes, epoch, step } => table.plain { tbody {
                tr { th scope="row" { "stands at" } td { "epoch " (epoch) @if *step > 0 { ", batch " (step) " of the next" } } }
                tr { th scope="row" { "size" } td { (size(size_bytes)) } }
                tr { th scope="row" { "checksum" } td { "✓ right" } }
            } },
            CheckpointState::Damaged { size_bytes, reason } => {
                p.mistake { "It is damaged: " (reason) ". A trial that goes on takes the one before." }
                p.unit { (size(size_bytes)) }
            },
            CheckpointState::Unread { size_bytes } => p { (size(size_bytes)) ", too large to be checked for a page." },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tones_of_the_matrix_go_from_none_to_all() {
        let check = |count, all, expected| assert_eq!(shade(count, all), expected, "{count} of {all}");
        check(0, 100, 0);
        check(1, 100, 1);
        check(50, 100, 4);
        check(100, 100, 7);
        check(1, 1, 7);
        check(0, 0, 0);
    }
}
