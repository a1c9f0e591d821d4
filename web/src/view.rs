//! The pages as HTML. What a study brings along is text to maud and escaped by it.

mod actions;
mod board;
mod compare;
mod confirmation;
mod figures;
mod lineage;
mod morning;
mod outlook;
mod pictures;
mod policy;
mod provenance;
mod recipe;
mod studies;
mod trial;

use axum::http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use nightsweep_search::{Direction, TrialState};
use nightsweep_store::StudyRow;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use board::{BoardPage, board, is_fixed_column};
pub(crate) use compare::{ComparePage, compare};
pub(crate) use figures::figures;
pub(crate) use lineage::Lineage;
pub(crate) use morning::{Known, Morning};
pub(crate) use studies::studies;
pub(crate) use trial::{TrialPage, trial};

use crate::assets::asset;
use crate::format;

pub(crate) fn study_address(name: &str) -> String {
    format!("/studies/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

pub(crate) fn trial_address(study: &str, number: impl std::fmt::Display) -> String {
    format!("{}/trials/{number}", study_address(study))
}

/// The way to a study's own pages: a confirmation stands below its study.
fn trail(study: &str) -> Markup {
    html! {
        @if let Some((confirmed, _)) = nightsweep_search::race::confirmed_by(study) {
            a href=(study_address(confirmed)) { (confirmed) }
            a href=(study_address(study)) { "confirmation" }
        } @else { a href=(study_address(study)) { (study) } }
    }
}

/// Which page it is: what it follows, and the scripts that it needs.
enum Page<'a> {
    Plain,
    Board(&'a str),
    Figures(&'a str),
    Trial(&'a str),
    Compare(&'a str),
}

impl Page<'_> {
    fn study(&self) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::Board(name) | Self::Figures(name) | Self::Trial(name) | Self::Compare(name) => Some(name),
        }
    }

    fn scripts(&self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Board(_) => &["live.js", "figures.js", "board.js"],
            Self::Figures(_) | Self::Compare(_) => &["live.js", "figures.js"],
            Self::Trial(_) => &["live.js", "board.js"],
        }
    }
}

fn page(title: &str, page: Page<'_>, trail: Markup, content: Markup) -> Markup {
    let study = page.study().map(study_address);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · nightsweep" }
                link rel="icon" href=(asset("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(asset("style.css"));
                link rel="stylesheet" href=(asset("trial.css"));
                // Plotly would write its rules into an element of this name, which the policy does not allow.
                link rel="stylesheet" href=(asset("plotly.css")) id="plotly.js-style-global" class="no-inline-styles";
                @for script in page.scripts() { script type="module" src=(asset(script)) {} }
            }
            body data-study=[&study] data-api=[study.as_ref().map(|study| format!("/api/v1{study}"))] data-live=[study.as_ref().map(|study| format!("{study}/live"))] data-plotly=(asset("plotly.js")) {
                header.top {
                    a.brand href="/studies" { (moon()) "nightsweep" }
                    nav.trail aria-label="You are here" { (trail) }
                    span.connection #connection role="status" {}
                }
                main { (content) }
            }
        }
    }
}

/// What the command line would report, as a page.
pub(crate) fn report(study: &StudyRow, body: Markup) -> Markup {
    let address = study_address(&study.name);
    let trail = html! { a href=(&address) { (study.name) } span { "report" } };
    let markup = html! {
        div.headline { h1 { "Report" } a href={ (address) "/report.html" } download { "as one file" } (tabs(study, "report")) }
        section.panel.plot { (body) }
    };
    page(&format!("Report of {}", study.name), Page::Plain, trail, markup)
}

/// The pages of a study.
fn tabs(study: &StudyRow, current: &str) -> Markup {
    let address = study_address(&study.name);
    let pages = [("board", "Board", ""), ("figures", "Figures", "/figures"), ("report", "Report", "/report")];
    html! {
        nav.tabs aria-label="Pages of the study" {
            @for (name, title, path) in pages {
                a href={ (address) (path) } aria-current=[(name == current).then_some("page")] { (title) }
            }
        }
    }
}

fn moon() -> Markup {
    html! {
        svg.moon viewBox="0 0 16 16" aria-hidden="true" { path d="M11.6 11.9A6.2 6.2 0 0 1 6.3 1.7a6.4 6.4 0 1 0 8 8.2 6.2 6.2 0 0 1-2.7 2z" {} }
    }
}

/// A page that says why there is none.
pub(crate) fn error(status: StatusCode, message: &str) -> Markup {
    let content = html! {
        section.notice {
            p.big { (status.as_u16()) }
            h1 { (status.canonical_reason().unwrap_or("Error")) }
            p { (message) }
            p { a href="/studies" { "All studies" } }
        }
    };
    page(status.canonical_reason().unwrap_or("Error"), Page::Plain, html! {}, content)
}

/// Asks for the token.
pub(crate) fn login(wrong: bool) -> Markup {
    let content = html! {
        section.notice {
            h1 { "This leaderboard needs its token" }
            p { "It was printed when the server started." }
            @if wrong { p.mistake role="alert" { "That is not the token." } }
            form.login method="post" action="/login" {
                input type="password" name="token" aria-label="Token" autocomplete="off" required autofocus;
                button { "Open" }
            }
        }
    };
    page("Token", Page::Plain, html! {}, content)
}

fn badge(state: TrialState) -> Markup {
    let (word, sign) = format::state(state);
    html! { span class={ "badge " (word) } { span.sign aria-hidden="true" { (sign) } (word) } }
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Minimize => "lower is better",
        Direction::Maximize => "higher is better",
    }
}

fn metric(value: Option<f64>) -> Markup {
    match value {
        Some(value) => html! { (format::metric(value)) },
        None => html! { span.none { "–" } },
    }
}

/// A figure that has a wide and a narrow form, of which the style sheet shows one.
fn drawn(label: &str, draw: impl Fn((u32, u32)) -> Option<String>) -> Markup {
    html! {
        @match (draw((1180, 200)), draw((380, 200))) {
            (Some(wide), Some(narrow)) => {
                div.plot.wide role="img" aria-label=(label) { (PreEscaped(wide)) }
                div.plot.narrow role="img" aria-label=(label) { (PreEscaped(narrow)) }
            }
            _ => p.none { "Nothing to draw yet." }
        }
    }
}
