//! `nightsweep plot`: a figure of a study as a file, the same as on its page.

use std::path::Path;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_web::figure::{self, DrawError, Format, Theme};

use super::studies;
use crate::cli::Plot;
use crate::failure::{Ending, advise, misuse};

/// Draws the figure that the command line names.
pub async fn plot(runs: &Path, arguments: &Plot) -> Result<Ending> {
    let format = match arguments.output.extension().and_then(|it| it.to_str()) {
        Some("svg") => Format::Svg,
        Some("png") => Format::Png,
        _ => {
            let file = arguments.output.display();
            return Err(misuse(
                format!("`{file}` is neither an SVG nor a PNG file"),
                "let its name end in .svg or .png",
            ));
        }
    };
    let store = studies::open_existing(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    let material = figure::material(&store, &row).await.into_diagnostic()?;
    let Some(figure) = figure::figure(&arguments.figure, &material) else {
        let names: Vec<&str> = figure::names().map(|(name, _)| name).collect();
        return Err(misuse(
            format!("there is no figure `{}`", arguments.figure),
            format!("there are: {}", names.join(", ")),
        ));
    };
    let theme = if arguments.dark { Theme::Dark } else { Theme::Light };
    let bytes = figure.file(format, theme).map_err(|error| match error {
        DrawError::Nothing { why } => advise(format!("`{}` has nothing to draw", arguments.figure), why),
        error => miette::Report::from_err(error),
    })?;
    std::fs::write(&arguments.output, bytes)
        .into_diagnostic()
        .wrap_err_with(|| format!("could not write `{}`", arguments.output.display()))?;
    say!("{}: {}", figure.title, arguments.output.display());
    Ok(Ending::Done)
}
