//! The pages as HTML. What a study brings along is text to maud and escaped by it.

mod board;
mod studies;
mod trial;

use axum::http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use nightsweep_search::{Direction, TrialState};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use board::{BoardPage, board};
pub(crate) use studies::studies;
pub(crate) use trial::{TrialPage, trial};

use crate::format;

pub(crate) fn study_address(name: &str) -> String {
    format!("/studies/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

pub(crate) fn trial_address(study: &str, number: impl std::fmt::Display) -> String {
    format!("{}/trials/{number}", study_address(study))
}

/// What a page follows, if it does.
enum Follows<'a> {
    Nothing,
    Study(&'a str),
}

fn page(title: &str, follows: Follows<'_>, trail: Markup, content: Markup) -> Markup {
    let live = match follows {
        Follows::Nothing => None,
        Follows::Study(name) => Some(format!("{}/live", study_address(name))),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · nightsweep" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                @if live.is_some() { script src="/assets/live.js" defer {} }
            }
            body data-live=[live] {
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
    page(status.canonical_reason().unwrap_or("Error"), Follows::Nothing, html! {}, content)
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
    page("Token", Follows::Nothing, html! {}, content)
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
fn figure(label: &str, draw: impl Fn((u32, u32)) -> Option<String>) -> Markup {
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
