//! `nightsweep policy`: which augmentation suits some images.

mod compare;
mod generate;
pub mod harm;
mod learn;
pub mod study;

use std::path::PathBuf;

use miette::{IntoDiagnostic, Result};
use nightsweep_trainer::data::{self, Dataset, Images};
use nightsweep_trainer::device::Device;
use nightsweep_trainer::policy::even_sample;
use nightsweep_trainer::recipe::ModelSpec;
use nightsweep_trainer::{Job, Metric, Recipe, TrialSeed};

use super::subject::Subject;
use super::train::choose_device;
use crate::cli::{Children, Policy};
use crate::failure::{Ending, misuse};
use crate::progress::counted;

/// Does one of the four.
pub fn policy(arguments: &Policy) -> Result<Ending> {
    match arguments {
        Policy::Harm(arguments) => harm::harm(arguments),
        Policy::Learn(arguments) => learn::learn(arguments),
        Policy::Compare(arguments) => compare::compare(arguments),
        Policy::Generate(arguments) => generate::generate(arguments),
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
        data.notices.iter().for_each(|notice| say!("note: {notice}"));
        if let Some(most) = children.reduced {
            let train = reduced(&data.train, most);
            data = data.with_train(train);
        }
        if !children.scarce.is_empty() {
            let train = scarce(&data, &children.scarce)?;
            data = data.with_train(train);
        }
        let path = spec.path.clone();
        Ok(Self { recipe, data, name: path, spec, folder, seed, device, device_name: name.to_string() })
    }

    /// A training of a recipe on these images that keeps no checkpoints.
    fn job<'a>(&'a self, recipe: &'a Recipe, seed: TrialSeed) -> Job<'a> {
        Job {
            recipe,
            data: &self.data,
            base: &self.folder,
            seed,
            metric: Metric::ValAccuracy,
            device: &self.device,
            checkpoints: None,
            reported: 0,
        }
    }

    /// Told first: what will be trained on.
    fn introduce(&self) {
        let Self { data, device_name, recipe, .. } = self;
        say!(
            "{}: {} training and {} validation images of {} classes, {} on {device_name}",
            self.name,
            data.train.len(),
            data.validation.len(),
            data.classes.len(),
            counted(recipe.epochs, "epoch"),
        );
    }
}

/// The network of that name with its defaults.
fn model(kind: &str) -> Result<ModelSpec> {
    serde_json::from_value(serde_json::json!({ "kind": kind })).map_err(|error| {
        misuse(
            format!("`--model {kind}`: {error}"),
            "docs/recipes.md lists the networks; a recipe file sets their fields",
        )
    })
}

/// The first images of each class, as many as make so many in all.
fn reduced(images: &Images, most: usize) -> Images {
    some_of(images, &even_sample(&images.labels, most))
}

/// The images, but of classes named as `class=n` only the first n.
fn scarce(data: &Dataset, words: &[String]) -> Result<Images> {
    let mut left = vec![usize::MAX; data.classes.len()];
    for word in words {
        let wrong = |text: String| misuse(text, format!("as --scarce \"{}=20\"", data.classes[0]));
        let (name, most) = word.rsplit_once('=').ok_or_else(|| wrong(format!("`--scarce {word}` has no `=`")))?;
        let class = data.classes.iter().position(|class| class == name);
        let class = class.ok_or_else(|| {
            wrong(format!("`--scarce {word}`: there is no class `{name}`; there are {}", data.classes.join(", ")))
        })?;
        let most = most.parse().ok().filter(|most| *most > 0);
        left[class] = most.ok_or_else(|| wrong(format!("`--scarce {word}` names no number of images")))?;
    }
    let fits = |index: &usize| {
        let left = &mut left[data.train.labels[*index] as usize];
        let fits = *left > 0;
        *left = left.saturating_sub(1);
        fits
    };
    Ok(some_of(&data.train, &(0..data.train.len()).filter(fits).collect::<Vec<_>>()))
}

fn some_of(images: &Images, which: &[usize]) -> Images {
    Images {
        pixels: which.iter().flat_map(|index| images.image(*index)).copied().collect(),
        labels: which.iter().map(|index| images.labels[*index]).collect(),
        ..*images
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_class_is_made_scarce_by_its_name() {
        let images = Arc::new(Images {
            pixels: (0..6).collect(),
            labels: vec![0, 1, 0, 1, 0, 1],
            height: 1,
            width: 1,
            channels: 1,
        });
        let classes = ["a=b", "c"].map(str::to_owned).to_vec();
        let data = Dataset {
            classes,
            train: images.clone(),
            validation: images,
            test_images: 0,
            notices: Vec::new(),
            fingerprint: String::new(),
        };
        let check = |words: &[&str], expected: Result<&[u8], &str>| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let found = scarce(&data, &words).map(|images| images.pixels).map_err(|error| error.to_string());
            assert_eq!(found, expected.map(<[u8]>::to_vec).map_err(str::to_owned), "{words:?}");
        };
        check(&["c=1"], Ok(&[0, 1, 2, 4]));
        check(&["a=b=2", "c=1"], Ok(&[0, 1, 2]));
        check(&["c=9"], Ok(&[0, 1, 2, 3, 4, 5]));
        check(&["d=1"], Err("`--scarce d=1`: there is no class `d`; there are a=b, c"));
        check(&["c"], Err("`--scarce c` has no `=`"));
        check(&["c=0"], Err("`--scarce c=0` names no number of images"));
    }

    #[test]
    fn a_network_that_there_is_not_is_named() {
        assert!(model("convnet").is_ok());
        assert!(model("convnett").unwrap_err().to_string().contains("convnett"));
    }
}
