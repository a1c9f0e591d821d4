//! `nightsweep import wandb`: a sweep of Weights & Biases becomes a study file.

use std::fs;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trials::wandb::{self, Given, Note};

use crate::cli::ImportWandb;
use crate::failure::{Ending, StudyFileReport, advise};

/// Writes the study file, and says what of the sweep is not in it.
pub fn import(arguments: &ImportWandb) -> Result<Ending> {
    let ImportWandb { sweep, data, output, force } = arguments;
    if output.exists() && !force {
        let help = "name another file with -o, or replace it with --force";
        return Err(advise(format!("`{}` exists already", output.display()), help));
    }
    let text = fs::read_to_string(sweep).into_diagnostic();
    let text = text.wrap_err_with(|| format!("could not read `{}`", sweep.display()))?;
    let name = sweep.file_stem().map_or("sweep".into(), |stem| stem.to_string_lossy());
    let imported = wandb::import(&text, Given { name: &name, data: data.as_deref() })
        .map_err(|mistake| StudyFileReport::from(mistake.in_file(sweep.clone(), &text)))?;
    fs::write(output, &imported.text)
        .into_diagnostic()
        .wrap_err_with(|| format!("could not write `{}`", output.display()))?;
    for Note { line, key, text } in &imported.notes {
        say!("{}:{line}: {key}: {text}", sweep.display());
    }
    say!("{}: run it with: nightsweep run {}", output.display(), output.display());
    Ok(Ending::Done)
}
