//! `nightsweep policy compare`: several policies on the same fresh seeds.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::{Images, load_test};
use nightsweep_trainer::fit::{evaluate_weights, fit_weights};
use nightsweep_trainer::recipe::{Augment, PolicySpec};
use nightsweep_trainer::{EpochReport, Job, Metric, Next, Observer, Outcome, Recipe, TrialSeed};
use nightsweep_trials::policy::compare::{Comparison, Row};
use nightsweep_trials::policy::{Origin, PolicyFile};

use super::Nursery;
use super::harm::write;
use crate::cli::PolicyCompare;
use crate::failure::{Ending, advise};

/// Seeds that no search draws its trials from: their numbers begin here.
const FRESH: u64 = 1 << 32;

/// Trains, prints and writes.
pub fn compare(arguments: &PolicyCompare) -> Result<Ending> {
    let nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let default = Augment::default();
    let entrants = arguments.policies.iter().map(|name| entrant(name, &nursery.recipe.augment, &default));
    let entrants: Vec<Entrant> = entrants.collect::<Result<_>>()?;
    let against = against(arguments)?;
    let (judges, split): (Arc<Images>, _) = match nursery.data.has_test {
        true => (Arc::new(load_test(&nursery.spec, &nursery.folder, nursery.seed.study).into_diagnostic()?.0), "test"),
        false => (nursery.data.validation.clone(), "validation"),
    };
    println!("judged by {} {split} images", judges.len());
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
        for (Entrant { augment, .. }, row) in entrants.iter().zip(&mut comparison.rows) {
            let begin = Instant::now();
            let accuracy = train(&nursery, augment, FRESH + repetition, &judges)?;
            row.seconds += (begin.elapsed().as_secs_f64() - row.seconds) / (repetition + 1) as f64;
            row.accuracies.push(accuracy);
            let text = accuracy.map_or("diverged".to_owned(), |accuracy| format!("{accuracy:.4}"));
            println!("seed {} of {}  {}  {text}", repetition + 1, arguments.seeds, row.policy);
        }
        if let Some(path) = &arguments.json {
            write(path, serde_json::to_string_pretty(&comparison).into_diagnostic()?.as_bytes())?;
        }
    }
    println!("\n{}", comparison.table());
    Ok(Ending::Done)
}

/// The accuracy of a training on fresh weights, order and draws; `None` if its loss was no number.
fn train(nursery: &Nursery, augment: &Augment, trial: u64, judges: &Arc<Images>) -> Result<Option<f64>> {
    let recipe = Recipe { augment: augment.clone(), ..nursery.recipe.clone() };
    let job = Job {
        recipe: &recipe,
        data: &nursery.data,
        base: &nursery.folder,
        seed: TrialSeed { study: nursery.seed.study, trial },
        metric: Metric::ValAccuracy,
        device: &nursery.device,
        checkpoints: None,
        reported: 0,
    };
    let (outcome, weights) = fit_weights(&job, &mut Quiet).into_diagnostic()?;
    let Outcome::Completed { .. } = outcome else { return Ok(None) };
    let evaluation =
        evaluate_weights(&recipe, &nursery.data, weights, judges.clone(), &nursery.device).into_diagnostic()?;
    Ok(Some(evaluation.accuracy))
}

/// Places of the policies that all others are held against.
fn against(arguments: &PolicyCompare) -> Result<Vec<usize>> {
    let place = |name: &String| {
        arguments.policies.iter().position(|policy| policy == name).ok_or_else(|| {
            advise(
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
    augment: Augment,
    /// Where it is from, if its file says so.
    learned: Option<Origin>,
}

/// What a name of parts means; what is neither flip, crop nor policy stays as the recipe has it.
fn entrant(name: &str, recipe: &Augment, default: &Augment) -> Result<Entrant> {
    let mut augment = Augment { flip: 0.0, crop_padding: 0, policy: PolicySpec::default(), ..recipe.clone() };
    let mut learned = None;
    for part in if Path::new(name).exists() { vec![name] } else { name.split('+').collect() } {
        match part {
            "none" => {}
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
            kind => {
                let policy = serde_json::from_value(serde_json::json!({ "kind": kind }));
                augment.policy = policy.map_err(|_| {
                    advise(
                        format!("`{kind}` of `{name}` is no policy"),
                        "there are none, flip, crop, rand_augment, trivial_augment, auto_augment, aug_mix and files that end \
                         in .toml",
                    )
                })?;
            }
        }
    }
    Recipe { augment: augment.clone(), ..Recipe::default() }
        .check()
        .map_err(|error| advise(format!("`{name}` cannot be trained with: {error}"), "mend the policy's file"))?;
    Ok(Entrant { augment, learned })
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
        let recipe = Augment { erase: 0.25, ..Augment::default() };
        let check = |name: &str, expected: Augment| {
            assert_eq!(entrant(name, &recipe, &Augment::default()).unwrap().augment, expected)
        };
        let bare = Augment { erase: 0.25, ..Augment::none() };
        let trivial = PolicySpec::TrivialAugment(TrivialAugment::default());
        check("none", bare.clone());
        check("flip+crop", recipe.clone());
        check("trivial_augment", Augment { policy: trivial.clone(), ..bare });
        check("trivial_augment+flip+crop", Augment { policy: trivial, ..recipe.clone() });
    }

    #[test]
    fn what_is_no_part_is_named() {
        let error = |name: &str| entrant(name, &Augment::default(), &Augment::default()).unwrap_err().to_string();
        assert_eq!(error("flipp+crop"), "`flipp` of `flipp+crop` is no policy");
        assert_eq!(error("nowhere.toml"), "could not read `nowhere.toml`");
    }
}
