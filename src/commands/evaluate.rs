//! `nightsweep evaluate`: weights on a split, without training.

use std::sync::Arc;

use miette::{IntoDiagnostic, Result};
use nightsweep_trainer::data;
use nightsweep_trainer::fit::{evaluate_weights, read_weights};

use super::train::choose_device;
use crate::cli::{Evaluate, SplitName};
use crate::failure::{Ending, misuse};
use crate::recipe_file::RecipeFile;

/// Prints how well weights do.
pub fn evaluate(arguments: &Evaluate) -> Result<Ending> {
    let RecipeFile { recipe, data: spec, seed, .. } = RecipeFile::read(&arguments.recipe)?;
    let base = RecipeFile::folder(&arguments.recipe);
    let weights = match &arguments.weights {
        Some(path) => path.clone(),
        None if recipe.pretrained.path.is_empty() => {
            return Err(misuse("no weights are named", "say --weights FILE, or set `pretrained.path` in the recipe"));
        }
        None => base.join(&recipe.pretrained.path),
    };
    let name = arguments.device.unwrap_or_else(|| choose_device(None));
    // Before anything else computes: the number of threads cannot change afterwards.
    let device = name.open().into_diagnostic()?;
    let data = data::load(&spec, &base, seed.study).into_diagnostic()?;
    let tensors = read_weights(&recipe, &data, &weights, &device).into_diagnostic()?;
    let mut notices = data.notices.clone();
    let (images, word) = match arguments.split {
        SplitName::Train => (data.train.clone(), "training"),
        SplitName::Val => (data.validation.clone(), "validation"),
        SplitName::Test => {
            let (images, more) = data::load_test(&spec, &base, seed.study).into_diagnostic()?;
            notices.extend(more);
            (Arc::new(images), "test")
        }
    };
    notices.iter().for_each(|notice| say!("note: {notice}"));
    say!("{} on {} {word} images, on {name}", weights.display(), images.len());
    let evaluation = evaluate_weights(&recipe, &data, tensors, images, &device).into_diagnostic()?;
    say!("accuracy {:.4}  loss {:.4}", evaluation.accuracy, evaluation.loss);
    Ok(Ending::Done)
}
