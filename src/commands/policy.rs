//! `nightsweep policy`: which augmentation suits some images.

mod compare;
pub mod harm;
mod learn;
pub mod study;

use std::path::PathBuf;
use std::sync::Arc;

use miette::{IntoDiagnostic, Result};
use nightsweep_trainer::data::{self, Dataset, Images};
use nightsweep_trainer::device::Device;
use nightsweep_trainer::policy::even_sample;
use nightsweep_trainer::recipe::ModelSpec;
use nightsweep_trainer::{Recipe, TrialSeed};

use super::subject::Subject;
use super::train::choose_device;
use crate::cli::{Children, Policy};
use crate::failure::{Ending, advise};

/// Does one of the three.
pub fn policy(arguments: &Policy) -> Result<Ending> {
    match arguments {
        Policy::Harm(arguments) => harm::harm(arguments),
        Policy::Learn(arguments) => learn::learn(arguments),
        Policy::Compare(arguments) => compare::compare(arguments),
    }
}

/// All that trains a child.
struct Nursery {
    recipe: Recipe,
    data: Dataset,
    /// What `data.path` was.
    name: String,
    spec: data::DataSpec,
    folder: PathBuf,
    seed: TrialSeed,
    device: Device,
    /// For people.
    device_name: String,
}

impl Nursery {
    fn open(children: &Children) -> Result<Self> {
        let Subject { mut recipe, data: spec, folder, mut seed } = Subject::read(&children.subject)?;
        if let Some(kind) = &children.model {
            recipe.model = model(kind)?;
        }
        if let Some(epochs) = children.epochs {
            recipe.epochs = epochs;
        }
        if let Some(given) = children.seed {
            seed.study = given;
        }
        recipe.check().into_diagnostic()?;
        let name = children.device.unwrap_or_else(|| choose_device(None));
        // Before anything else computes: the number of threads cannot change afterwards.
        let device = name.open().into_diagnostic()?;
        let mut data = data::load(&spec, &folder, seed.study).into_diagnostic()?;
        data.notices.iter().for_each(|notice| println!("note: {notice}"));
        if let Some(most) = children.reduced {
            data.train = Arc::new(reduced(&data.train, most));
        }
        let path = spec.path.clone();
        Ok(Self { recipe, data, name: path, spec, folder, seed, device, device_name: name.to_string() })
    }

    /// Told first: what will be trained on.
    fn introduce(&self) {
        let Self { data, device_name, recipe, .. } = self;
        println!(
            "{}: {} training and {} validation images of {} classes, {} epochs on {device_name}",
            self.name,
            data.train.len(),
            data.validation.len(),
            data.classes.len(),
            recipe.epochs,
        );
    }
}

/// The network of that name with its defaults.
fn model(kind: &str) -> Result<ModelSpec> {
    serde_json::from_value(serde_json::json!({ "kind": kind })).map_err(|error| {
        advise(
            format!("`--model {kind}`: {error}"),
            "docs/recipes.md lists the networks; a recipe file sets their fields",
        )
    })
}

/// The first images of each class, as many as make so many in all.
fn reduced(images: &Images, most: usize) -> Images {
    let which = even_sample(&images.labels, most);
    Images {
        pixels: which.iter().flat_map(|index| images.image(*index)).copied().collect(),
        labels: which.iter().map(|index| images.labels[*index]).collect(),
        ..*images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_there_is_not_is_named() {
        assert!(model("convnet").is_ok());
        assert!(model("convnett").unwrap_err().to_string().contains("convnett"));
    }
}
