//! The page of all figures of a study.

use maud::{Markup, html};
use nightsweep_store::StudyRow;

use super::{Page, page, study_address, tabs};
use crate::figure;

/// A place for each figure, which the browser fills.
pub(crate) fn figures(study: &StudyRow) -> Markup {
    let trail = html! { a href=(study_address(&study.name)) { (study.name) } span { "figures" } };
    let content = html! {
        div.headline { h1 { (study.name) } (tabs(study, "figures")) }
        div.figures {
            @for (name, title) in figure::names() { (panel(study, name, title)) }
        }
    };
    page(&format!("Figures of {}", study.name), Page::Figures(&study.name), trail, content)
}

fn panel(study: &StudyRow, name: &str, title: &str) -> Markup {
    let file = format!("{}/figures/{name}", study_address(&study.name));
    html! {
        section.panel.figure-panel id=(name) data-figure={ "/api/v1" (file) } {
            h2 { (title) span.files { a href={ (file) ".svg" } { "SVG" } " " a href={ (file) ".png" } { "PNG" } } }
            p.unit { (figure::about(name)) }
            div.area { p.none { "Loading…" } }
        }
    }
}

/// Parallel coordinates above the board, closed until they are asked for.
pub(super) fn brush(study: &StudyRow) -> Markup {
    let address = format!("/api/v1{}/figures/parallel", study_address(&study.name));
    html! {
        details.panel #brush {
            summary { "Parallel coordinates" span.unit { " drag along an axis to filter the board" } }
            div data-figure=(address) { div.area { p.none { "Loading…" } } }
        }
    }
}
