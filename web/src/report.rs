//! The report of a study as one HTML document that needs nothing else and prints well: what the command line says, with
//! figures, the recipe, and how to get the same again.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use nightsweep_store::{QueryError, Store, StudyRow};
use pulldown_cmark::{Options, Parser};

use crate::figure::{self, Format, Theme};
use crate::format;

const STYLE: &str = include_str!("../assets/report.css");

/// What the command line has to say of a study.
#[derive(Clone, Debug)]
pub struct ReportText {
    /// In the order in which they are read.
    pub parts: Vec<ReportPart>,
    /// The winner's recipe as TOML.
    pub recipe: Option<String>,
}

/// A part of a report.
#[derive(Clone, Debug)]
pub struct ReportPart {
    /// What it says, as Markdown.
    pub markdown: String,
    /// Names of the figures that show it.
    pub figures: &'static [&'static str],
    /// Pictures of its own.
    pub pictures: Vec<Picture>,
}

/// A picture that lies in the document, as there may be nothing beside it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it is of.
    pub title: &'static str,
    /// How to read it.
    pub about: &'static str,
    /// PNG.
    pub png: Vec<u8>,
}

impl ReportText {
    /// All of it as Markdown, without figures.
    pub fn markdown(&self) -> String {
        self.parts.iter().map(|part| part.markdown.as_str()).collect()
    }
}

/// The report as a document of its own.
pub async fn report(store: &Store, study: &StudyRow, text: &ReportText) -> Result<String, QueryError> {
    let body = body(store, study, text).await?;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Report of " (study.name) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    Ok(document.into_string())
}

/// The report as a part of a page.
pub(crate) async fn body(store: &Store, study: &StudyRow, text: &ReportText) -> Result<Markup, QueryError> {
    let material = figure::material(store, study).await?;
    let figures: Vec<&str> = text.parts.iter().flat_map(|part| part.figures).copied().collect();
    let drawn = tokio::task::spawn_blocking(move || {
        let draw = |name| {
            let figure = figure::figure(name, &material)?;
            // What there is nothing of needs no place on paper.
            let svg = String::from_utf8(figure.file(Format::Svg, Theme::Light).ok()?).ok()?;
            Some((name, (figure.title, figure.about, svg)))
        };
        figures.into_iter().filter_map(draw).collect::<HashMap<_, _>>()
    });
    let drawn = drawn.await.unwrap_or_default();
    Ok(html! {
        article.report {
            @for part in &text.parts {
                (from_markdown(&part.markdown))
                @for (title, about, svg) in part.figures.iter().filter_map(|name| drawn.get(name)) {
                    figure { div role="img" aria-label=(title) { (PreEscaped(svg)) } figcaption { (about) } }
                }
                @for Picture { title, about, png } in &part.pictures {
                    figure {
                        img alt=(title) src={ "data:image/png;base64," (STANDARD.encode(png)) };
                        figcaption { (about) }
                    }
                }
            }
            @if let Some(recipe) = &text.recipe { h2 { "The winner's recipe" } pre { (recipe) } }
            p.small {
                "nightsweep " (env!("CARGO_PKG_VERSION")) "; seed of the study " (study.seed) "; begun "
                (format::day_and_time(study.created_at_ms)) ", written " (format::day_and_time(format::now_ms())) "."
            }
        }
    })
}

/// Names of studies and messages of trials are in it: nothing of them may act.
fn from_markdown(text: &str) -> Markup {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new_ext(text, Options::ENABLE_TABLES));
    PreEscaped(ammonia::Builder::default().rm_tags(["img"]).clean(&html).to_string())
}
