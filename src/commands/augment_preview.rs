//! `nightsweep augment-preview`: what a recipe does to training images, to look at before a night is spent on it.

use std::fs;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::augment::augmented_grid;
use nightsweep_trainer::{TrialSeed, data};
use nightsweep_trials::study_file;

use crate::cli::AugmentPreview;
use crate::failure::{Ending, StudyFileReport};
use crate::recipe_file::RecipeFile;

/// Writes the picture.
pub fn augment_preview(arguments: &AugmentPreview) -> Result<Ending> {
    let AugmentPreview { file, output, images } = arguments;
    let text =
        fs::read_to_string(file).into_diagnostic().wrap_err_with(|| format!("could not read `{}`", file.display()))?;
    let is_study = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("study"));
    let (recipe, spec, folder, seed) = if is_study {
        let plan = study_file::read(file, &[]).map_err(StudyFileReport::from)?;
        (plan.recipe, plan.data, plan.folder, TrialSeed { study: plan.seed, trial: 0 })
    } else {
        let recipe_file = RecipeFile::read(file)?;
        (recipe_file.recipe, recipe_file.data, RecipeFile::folder(file), recipe_file.seed)
    };
    let data = data::load(&spec, &folder, seed.study).into_diagnostic()?;
    let grid = augmented_grid(&data.train, &recipe, seed, usize::from(*images));
    fs::write(output, grid).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", output.display()))?;
    say!("wrote {}: in each row an image, then what it is in some epochs of the training", output.display());
    Ok(Ending::Done)
}
