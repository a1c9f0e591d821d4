//! The file of one trial that trains again anywhere: recipe, data, seeds, and the score to be met.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{Metric, Recipe, TrialSeed};
use nightsweep_trials::error::Mistake;
use nightsweep_trials::{Plan, study_file};
use serde::{Deserialize, Serialize};

use crate::failure::StudyFileReport;

/// What `export` writes as recipe.toml and `train` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// What the trial is judged by.
    #[serde(default)]
    pub metric: Metric,
    /// Where all randomness comes from; the split of the data too.
    pub seed: TrialSeed,
    /// What to train on.
    pub data: DataSpec,
    /// How to train.
    #[serde(default)]
    pub recipe: Recipe,
    /// What came out where the file was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

/// The score to be met, and under what it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The metric's value.
    pub value: f64,
    /// The epoch that has it, from 1.
    pub epoch: u64,
    /// Where it was trained.
    pub device: String,
    /// Hash of the data it was trained on.
    pub fingerprint: String,
    /// Version of the binary.
    pub version: String,
}

impl RecipeFile {
    /// A recipe on a study's data, which are found from wherever it is read; with the seed of a process that looks at them
    /// before the first trial.
    pub fn of(plan: &Plan, recipe: Recipe) -> Self {
        let mut data = plan.data.clone();
        if plan.folder.join(&data.path).exists() {
            data.path = plan.folder.join(&data.path).display().to_string();
        }
        let seed = TrialSeed { study: plan.seed, trial: 0 };
        Self { metric: plan.metric, seed, data, recipe, expected: None }
    }

    /// Reads a file, with mistakes shown where they are.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .into_diagnostic()
            .wrap_err_with(|| format!("could not read `{}`", path.display()))?;
        let fail = |mistake: Mistake| StudyFileReport::from(mistake.in_file(path.to_owned(), &text));
        study_file::check_recipe_table(&text).map_err(fail)?;
        let mut file: Self = toml::from_str(&text).map_err(|error| fail(Mistake::from_toml(&error)))?;
        study_file::read_policy(&mut file.recipe, &Self::folder(path))
            .map_err(|message| fail(Mistake::new(None, message)))?;
        file.data.check().map_err(|error| fail(study_file::data_mistake(&error, &text)))?;
        file.recipe.check().map_err(|error| fail(Mistake::new(None, error.to_string())))?;
        Ok(file)
    }

    /// Writes the file, headed by how to use it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let body = toml::to_string(self).into_diagnostic()?;
        let score = match &self.expected {
            Some(Expected { epoch, .. }) if *epoch < self.recipe.epochs => {
                format!("to the same score in epoch {epoch} of {}", self.recipe.epochs)
            }
            _ => "to the same score".to_owned(),
        };
        let text = format!("# Trains again {score}: nightsweep train {}\n\n{body}", path.display());
        fs::write(path, text).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))
    }

    /// The folder where relative paths of the data start.
    pub fn folder(path: &Path) -> PathBuf {
        path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")).to_owned()
    }
}
