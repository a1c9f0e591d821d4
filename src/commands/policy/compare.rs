//! `nightsweep policy compare`: several policies on the same fresh seeds.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::{Images, load_test};
use nightsweep_trainer::fit::{evaluate_weights, fit_weights};
use nightsweep_trainer::recipe::{Augment, Generated, PolicySpec, Sampling};
use nightsweep_trainer::{EpochReport, Next, Observer, Outcome, Recipe, TrialSeed};
use nightsweep_trials::policy::compare::{Comparison, Row};
use nightsweep_trials::policy::{Origin, PolicyFile};

use super::Nursery;
use super::harm::write;
use crate::cli::PolicyCompare;
use crate::failure::{Ending, advise, misuse};

/// Seeds that no search draws its trials from: their numbers begin here.
const FRESH: u64 = 1 << 32;

/// Trains, prints and writes.
pub fn compare(arguments: &PolicyCompare) -> Result<Ending> {
    let nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let entrants = arguments.policies.iter().map(|name| entrant(name, &nursery.recipe));
    let entrants: Vec<Entrant> = entrants.collect::<Result<_>>()?;
    let against = against(arguments)?;
    let (judges, split): (Arc<Images>, _) = match nursery.data.test_images {
        0 => (nursery.data.validation.clone(), "validation"),
        _ => {
            let test = load_test(&nursery.spec, &nursery.folder, nursery.seed.study);
            let (images, notices) = test.into_diagnostic()?;
            notices.iter().for_each(|notice| say!("note: {notice}"));
            (Arc::new(images), "test")
        }
    };
    say!("judged by {} {split} images", judges.len());
    let row = |(name, entrant): (&String, &Entrant)| Row {
        policy: name.clone(),
        learned: entrant.learned.clone(),
        accuracies: Vec::new(),
        seconds: 0.0,
    };
    let rows = arguments.policies.iter().zip(&entrants).map(row).collect();
    let mut comparison = Comparison { data: nursery.name.clone(), split: split.to_owned(), rows, against };
    // All policies on one seed before any on the next, so that what was done can be compared at any time.
    for repetition in 0..arguments.seeds {
        for (Entrant { recipe, .. }, row) in entrants.iter().zip(&mut comparison.rows) {
            let begin = Instant::now();
            let accuracy = train(&nursery, recipe, FRESH + repetition, &judges)?;
            row.seconds += (begin.elapsed().as_secs_f64() - row.seconds) / (repetition + 1) as f64;
            row.accuracies.push(accuracy);
            let text = accuracy.map_or("diverged".to_owned(), |accuracy| format!("{accuracy:.4}"));
            say!("seed {} of {}  {}  {text}", repetition + 1, arguments.seeds, row.policy);
        }
        if let Some(path) = &arguments.json {
            write(path, serde_json::to_string_pretty(&comparison).into_diagnostic()?.as_bytes())?;
        }
    }
    say!("\n{}", comparison.table());
    Ok(Ending::Done)
}

/// The accuracy of a training on fresh weights, order and draws; `None` if its loss was no number.
fn train(nursery: &Nursery, recipe: &Recipe, trial: u64, judges: &Arc<Images>) -> Result<Option<f64>> {
    let job = nursery.job(recipe, TrialSeed { trial, ..nursery.seed });
    let (outcome, weights) = fit_weights(&job, &mut Quiet).into_diagnostic()?;
    let Outcome::Completed { .. } = outcome else { return Ok(None) };
    let evaluation =
        evaluate_weights(recipe, &nursery.data, weights, judges.clone(), &nursery.device).into_diagnostic()?;
    Ok(Some(evaluation.accuracy))
}

/// Places of the policies that all others are held against.
fn against(arguments: &PolicyCompare) -> Result<Vec<usize>> {
    let place = |name: &String| {
        arguments.policies.iter().position(|policy| policy == name).ok_or_else(|| {
            misuse(
                format!("`{name}` of --against is not compared"),
                "name one of those of --policies, as it stands there",
            )
        })
    };
    if arguments.against.is_empty() { Ok(vec![0]) } else { arguments.against.iter().map(place).collect() }
}

/// A policy that is compared.
#[derive(Debug, PartialEq)]
struct Entrant {
    recipe: Recipe,
    /// Where it is from, if its file says so.
    learned: Option<Origin>,
}

/// What a name of parts means; what is none of them stays as the recipe has it.
fn entrant(name: &str, recipe: &Recipe) -> Result<Entrant> {
    let default = Augment::default();
    let bare = Augment { flip: 0.0, crop_padding: 0, policy: PolicySpec::default(), ..recipe.augment.clone() };
    let mut recipe = Recipe { augment: bare, ..recipe.clone() };
    let augment = &mut recipe.augment;
    let mut learned = None;
    for part in if Path::new(name).exists() { vec![name] } else { name.split('+').collect() } {
        match part {
            "none" => {}
            "balanced" => recipe.sampling = Sampling::Balanced,
            "flip" => augment.flip = default.flip,
            "crop" => augment.crop_padding = default.crop_padding,
            file if file.ends_with(".toml") => {
                let text =
                    fs::read_to_string(file).into_diagnostic().wrap_err_with(|| format!("could not read `{file}`"))?;
                let read = PolicyFile::parse(&text).map_err(|error| {
                    advise(format!("`{file}` is no policy: {error}"), "`nightsweep policy learn` writes one")
                })?;
                (augment.policy, learned) = (read.policy, read.learned);
            }
            file if file.contains(".npz") => augment.generated = generated(file)?,
            kind => {
                let policy = serde_json::from_value(serde_json::json!({ "kind": kind }));
                augment.policy = policy.map_err(|_| {
                    misuse(
                        format!("`{kind}` of `{name}` is no policy"),
                        "there are none, flip, crop, balanced, rand_augment, trivial_augment, auto_augment, aug_mix, files that \
                         end in .toml and generated images as generated.npz@0.5",
                    )
                })?;
            }
        }
    }
    recipe
        .check()
        .map_err(|error| advise(format!("`{name}` cannot be trained with: {error}"), "mend the policy's file"))?;
    Ok(Entrant { recipe, learned })
}

/// A file with a ratio behind an @; 1 without one.
fn generated(part: &str) -> Result<Generated> {
    let (file, ratio) = match part.rsplit_once(".npz@") {
        Some((stem, ratio)) => (format!("{stem}.npz"), ratio.parse().ok()),
        None => (part.to_owned(), Some(1.0)),
    };
    let ratio = ratio.ok_or_else(|| {
        misuse(format!("the ratio of `{part}` is no number"), "as generated.npz@0.5: so many for each real image")
    })?;
    // As seen from here, wherever the recipe is.
    let path = std::path::absolute(&file).into_diagnostic()?.display().to_string();
    Ok(Generated { path, ratio })
}

struct Quiet;

impl Observer for Quiet {
    fn report(&mut self, _: &EpochReport) -> Next {
        Next::Train
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::TrivialAugment;

    use super::*;

    #[test]
    fn a_name_is_made_of_parts() {
        let recipe = Recipe { augment: Augment { erase: 0.25, ..Augment::default() }, ..Default::default() };
        let check = |name: &str, augment: Augment| {
            assert_eq!(entrant(name, &recipe).unwrap().recipe, Recipe { augment, ..recipe.clone() })
        };
        let (bare, whole) = (Augment { erase: 0.25, ..Augment::none() }, recipe.augment.clone());
        let trivial = PolicySpec::TrivialAugment(TrivialAugment::default());
        check("none", bare.clone());
        check("flip+crop", whole.clone());
        check("trivial_augment", Augment { policy: trivial.clone(), ..bare.clone() });
        check("trivial_augment+flip+crop", Augment { policy: trivial, ..whole.clone() });
        let generated = |ratio| Generated { path: "/there/g.npz".to_owned(), ratio };
        check("/there/g.npz", Augment { generated: generated(1.0), ..bare.clone() });
        check("flip+crop+/there/g.npz@0.5", Augment { generated: generated(0.5), ..whole });
        let balanced = entrant("balanced", &recipe).unwrap().recipe;
        assert_eq!(balanced, Recipe { augment: bare, sampling: Sampling::Balanced, ..recipe });
    }

    #[test]
    fn what_is_no_part_is_named() {
        let error = |name: &str| entrant(name, &Recipe::default()).unwrap_err().to_string();
        assert_eq!(error("flipp+crop"), "`flipp` of `flipp+crop` is no policy");
        assert_eq!(error("nowhere.toml"), "could not read `nowhere.toml`");
        assert_eq!(error("g.npz@much"), "the ratio of `g.npz@much` is no number");
        assert!(error("g.npz@-1").contains("`augment.generated.ratio` must be from 0 to 100, but is -1"));
    }
}
