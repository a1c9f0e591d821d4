//! The report of a study as one HTML document that needs nothing else and prints well: what the command line says, with
//! figures, the recipe, and how to get the same again.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use nightsweep_store::{QueryError, Store, StudyRow};
use pulldown_cmark::{Options, Parser};

use crate::figure::{self, Format, Theme};
use crate::format;

/// Figures that answer what the morning asks: how it went, what mattered, what was wasted.
const FIGURES: [&str; 6] = ["history", "importance", "curves", "pareto", "slots", "failures"];

const STYLE: &str = include_str!("../assets/report.css");

/// What the command line has to say of a study.
#[derive(Clone, Debug)]
pub struct ReportText {
    /// Who won, what was tried, what was wasted; as Markdown.
    pub markdown: String,
    /// The winner's recipe as TOML.
    pub recipe: Option<String>,
}

/// The report as a document of its own.
pub async fn report(
    store: &Store,
    study: &StudyRow,
    markdown: &str,
    recipe: Option<&str>,
) -> Result<String, QueryError> {
    let text = ReportText { markdown: markdown.to_owned(), recipe: recipe.map(str::to_owned) };
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
pub(crate) async fn body(store: &Store, study: &StudyRow, text: ReportText) -> Result<Markup, QueryError> {
    let material = figure::material(store, study).await?;
    let drawn = tokio::task::spawn_blocking(move || {
        let all = FIGURES.iter().filter_map(|name| figure::figure(name, &material));
        all.filter_map(|figure| {
            let svg = String::from_utf8(figure.file(Format::Svg, Theme::Light).ok()?).ok()?;
            Some((figure.title, figure.about, svg))
        })
        .collect::<Vec<_>>()
    });
    let drawn = drawn.await.unwrap_or_default();
    Ok(html! {
        article.report {
            (from_markdown(&text.markdown))
            h2 { "Figures" }
            @for (title, about, svg) in drawn {
                figure { div role="img" aria-label=(title) { (PreEscaped(svg)) } figcaption { (about) } }
            }
            @if let Some(recipe) = &text.recipe { h2 { "The winner's recipe" } pre { (recipe) } }
            h2 { "The same again" }
            pre {
                "nightsweep export best --study " (study.name) " -o best/\n"
                "nightsweep train best/recipe.toml\n"
                "nightsweep replay " (study.name) "\n"
            }
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
