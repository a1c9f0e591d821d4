//! What a command that needs images and a recipe is pointed at: images alone, a recipe file, or a study file.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{Recipe, TrialSeed};
use nightsweep_trials::study_file;

use crate::failure::StudyFileReport;
use crate::recipe_file::RecipeFile;

/// Images, and how to train on them.
pub struct Subject {
    /// Of images alone, the default.
    pub recipe: Recipe,
    /// Which images.
    pub data: DataSpec,
    /// Where relative paths start.
    pub folder: PathBuf,
    /// Of the file; else 0.
    pub seed: TrialSeed,
}

impl Subject {
    /// A file that ends in .toml is a study or a recipe; all else are images.
    pub fn read(subject: &Path) -> Result<Self> {
        if subject.extension().is_none_or(|extension| extension != "toml") {
            let data = DataSpec::new(subject.display().to_string());
            let seed = TrialSeed { study: 0, trial: 0 };
            return Ok(Self { recipe: Recipe::default(), data, folder: PathBuf::from("."), seed });
        }
        let text = fs::read_to_string(subject)
            .into_diagnostic()
            .wrap_err_with(|| format!("could not read `{}`", subject.display()))?;
        if text.lines().any(|line| line.trim() == "[study]") {
            let plan = study_file::read(subject, &[]).map_err(StudyFileReport::from)?;
            let seed = TrialSeed { study: plan.seed, trial: 0 };
            return Ok(Self { recipe: plan.recipe, data: plan.data, folder: plan.folder, seed });
        }
        let file = RecipeFile::read(subject)?;
        Ok(Self { recipe: file.recipe, data: file.data, folder: RecipeFile::folder(subject), seed: file.seed })
    }
}
