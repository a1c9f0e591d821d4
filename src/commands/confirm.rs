//! `nightsweep confirm`, and the end of `nightsweep run`: the best trials train again on fresh seeds, and those that
//! cannot be told from the best are scored on the test split.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::race::{Fate, Standing, candidate_of, name_of, standings, winner};
use nightsweep_search::{Study, Suggestion, TrialNumber, TrialState};
use nightsweep_store::{NewStudy, Store, StudyRow};
use nightsweep_trainer::fit::evaluate_weights;
use nightsweep_trainer::{CheckpointFolder, data};
use nightsweep_trials::Plan;
use nightsweep_trials::confirm::{self, Repeats};
use nightsweep_trials::controller::Ending as RunEnding;
use nightsweep_trials::slots::{self, Slot};
use nightsweep_trials::time_plan::Stage;
use serde::{Deserialize, Serialize};

use super::night::Night;
use super::{run, studies};
use crate::cli::Confirm;
use crate::failure::{Ending, advise, misuse};
use crate::progress::counted;

/// Confirms a study of the store with what the command line says in place of its `[confirm]`.
pub async fn confirm(runs: &Path, arguments: &Confirm) -> Result<Ending> {
    if !runs.join("store.sqlite").exists() {
        studies::open_existing(runs).await?;
    }
    let store = studies::open(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    let mut plan = studies::plan(&row)?;
    plan.confirm.top = arguments.top.unwrap_or(plan.confirm.top);
    plan.confirm.seeds = arguments.seeds.unwrap_or(plan.confirm.seeds);
    plan.confirm.check().map_err(|(_, rule)| misuse(rule, "see `nightsweep confirm --help`"))?;
    let _lock = run::lock(&studies::folder(runs, &plan.name), &plan.name)?;
    let study = studies::told(&store, &row, &plan).await?;
    let slots = slots::find(&arguments.slots.options()).into_diagnostic()?;
    let mut night = Night::new(runs, &store, slots, None);
    night.files = run::fingerprint_files(&plan, runs).await?;
    let ending = match race(&mut night, &plan, &study).await? {
        Some(race) => {
            let ending = race.ending.clone();
            race.score(&night).await?;
            Some(ending)
        }
        None => None,
    };
    run::finish(runs, &store, &row, &plan).await?;
    match ending {
        Some(RunEnding::Interrupted | RunEnding::Aborted) => {
            say!("go on with: nightsweep confirm {}", plan.name);
            Ok(Ending::Interrupted)
        }
        Some(RunEnding::Done) => Ok(Ending::Done),
        Some(ending) => Err(advise(format!("the confirmation stopped: {ending}"), "mend the cause, then run it again")),
        None => {
            Err(advise("no trial is complete, so none can be confirmed", "`nightsweep run` goes on with the study"))
        }
    }
}

/// A race that was run, with what is needed to score its winners.
pub struct Race {
    /// How it ended.
    pub ending: RunEnding,
    study: Study,
    plan: Plan,
    repeats: Repeats,
    folder: PathBuf,
}

impl Race {
    /// Looks at the test split, if the race came to its end. Once, so when nothing more is to be confirmed.
    pub async fn score(self, night: &Night<'_>) -> Result<()> {
        if self.ending != RunEnding::Done {
            return Ok(());
        }
        let slot = night.slots[0].clone();
        let Self { study, plan, repeats, folder, .. } = self;
        let scored = tokio::task::spawn_blocking(move || score(&study, &plan, &repeats, &folder, &slot));
        scored.await.into_diagnostic()?
    }
}

/// Runs the race of a study's best trials; nothing if none is complete or none shall be confirmed.
pub async fn race(night: &mut Night<'_>, plan: &Plan, study: &Study) -> Result<Option<Race>> {
    let candidates = confirm::candidates(study, plan.confirm.top);
    if candidates.is_empty() {
        return Ok(None);
    }
    let numbers: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    let (plural, numbers) = (if candidates.len() > 1 { "s" } else { "" }, numbers.join(", "));
    say!("confirming trial{plural} {numbers} on up to {} each", counted(plan.confirm.seeds, "fresh seed"));
    let (row, race_plan) = find_or_create(night.store, plan, &candidates).await?;
    let mut race = studies::told(night.store, &row, &race_plan).await?;
    let folder = studies::folder(night.runs, &race_plan.name);
    fs::create_dir_all(&folder).into_diagnostic().wrap_err_with(|| format!("could not make `{}`", folder.display()))?;
    let repeats = Repeats::of(plan, study, &candidates).into_diagnostic()?;
    let mut work = confirm::work(&race_plan, repeats.clone(), std::path::absolute(&folder).into_diagnostic()?);
    work.files = night.files.clone();
    night.enter(Stage::Race);
    let ending = night.lead(&row, &race_plan, &mut race, &work).await?.ending;
    Ok(Some(Race { ending, study: race, plan: race_plan, repeats, folder }))
}

/// The confirmation of these candidates, or a new one.
async fn find_or_create(store: &Store, plan: &Plan, candidates: &[TrialNumber]) -> Result<(StudyRow, Plan)> {
    let latest = latest(store, &plan.name).await?;
    let number = match &latest {
        Some((number, row)) => {
            let earlier = studies::plan(row)?;
            if earlier.space == confirm::plan(plan, candidates, *number).space {
                return Ok((row.clone(), earlier));
            }
            number + 1
        }
        None => 1,
    };
    let race = confirm::plan(plan, candidates, number);
    let config = race.study_config();
    let new = NewStudy {
        name: race.name.clone(),
        source: race.source.clone(),
        plan: serde_json::to_value(&race).into_diagnostic()?,
        metric: race.metric.name().to_owned(),
        direction: config.direction,
        seed: race.seed,
        space: race.space.clone(),
    };
    store.create_study(new).await.into_diagnostic()?;
    let row = studies::find(store, Some(&race.name)).await?;
    Ok((row, race))
}

/// The last confirmation of a study, with its number.
async fn latest(store: &Store, study: &str) -> Result<Option<(u64, StudyRow)>> {
    let mut latest = None;
    for number in 1.. {
        match store.study_named(&name_of(study, number)).await.into_diagnostic()? {
            Some(row) => latest = Some((number, row)),
            None => break,
        }
    }
    Ok(latest)
}

/// What is kept of the one look at the test split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct TestScore {
    accuracy: f64,
    loss: f64,
}

/// Scores on the test split, by number of the confirmation's trial.
type TestScores = BTreeMap<TrialNumber, TestScore>;

/// Accuracies on the test split of a confirmation's trials; none before they were scored.
pub fn test_accuracies(folder: &Path) -> Result<BTreeMap<TrialNumber, f64>> {
    let path = folder.join("test.json");
    let Ok(text) = fs::read(&path) else { return Ok(BTreeMap::new()) };
    let scores: TestScores = serde_json::from_slice(&text)
        .into_diagnostic()
        .wrap_err_with(|| format!("`{}` is damaged; it can be deleted", path.display()))?;
    Ok(scores.into_iter().map(|(trial, score)| (trial, score.accuracy)).collect())
}

/// Scores each training of the best candidates on the test split, once: what is scored is kept in test.json.
fn score(race: &Study, plan: &Plan, repeats: &Repeats, folder: &Path, slot: &Slot) -> Result<()> {
    let path = folder.join("test.json");
    if path.exists() {
        return Ok(());
    }
    let data = data::load(&plan.data, &plan.folder, plan.seed).into_diagnostic()?;
    if data.test_images == 0 {
        return Ok(());
    }
    let (test, notices) = data::load_test(&plan.data, &plan.folder, plan.seed).into_diagnostic()?;
    notices.iter().for_each(|notice| say!("note: {notice}"));
    let test = std::sync::Arc::new(test);
    let device = slot.device.open_shared().into_diagnostic()?;
    let chosen: Vec<TrialNumber> = standings(race)
        .unwrap_or_default()
        .into_iter()
        .filter(|standing| matches!(standing.fate, Fate::Best | Fate::Tied))
        .map(|standing| standing.candidate)
        .collect();
    let mut scores = TestScores::new();
    for trial in race.trials().iter().filter(|trial| trial.state == TrialState::Complete) {
        let is_chosen = candidate_of(&trial.params).is_some_and(|candidate| chosen.contains(&candidate));
        if !is_chosen {
            continue;
        }
        let checkpoints = CheckpointFolder::new(nightsweep_trials::controller::trial_folder(folder, trial.number));
        let Some(checkpoint) = checkpoints.load().into_diagnostic()? else { continue };
        let (recipe, _) = repeats.resolve(plan.seed, &trial.params).into_diagnostic()?;
        let weights = checkpoint.weights().clone();
        let evaluation = evaluate_weights(&recipe, &data, weights, test.clone(), &device).into_diagnostic()?;
        scores.insert(trial.number, TestScore { accuracy: evaluation.accuracy, loss: evaluation.loss });
    }
    let text = serde_json::to_string_pretty(&scores).into_diagnostic()?;
    fs::write(&path, text).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))
}

/// How a trial did on fresh seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confirmation {
    /// Mean of the metric.
    mean: f64,
    /// Half the width of its interval at 95 %.
    half_width: Option<f64>,
    /// The metric on each seed.
    values: Vec<f64>,
    /// On the test split; none unless it is among the best.
    test_accuracies: Vec<f64>,
}

/// A confirmation as far as it is.
pub struct Confirmed {
    /// Its candidates, the best first.
    pub standings: Vec<Standing>,
    /// Accuracies on the test split, by candidate.
    test: BTreeMap<TrialNumber, Vec<f64>>,
    /// Whether it came to its end; before, nobody looks at the test split.
    is_over: bool,
}

impl Confirmed {
    /// The last confirmation of a study; `None` before one of its trials was trained twice.
    pub async fn of(runs: &Path, store: &Store, study: &str) -> Result<Option<Self>> {
        let Some((last, _)) = latest(store, study).await? else { return Ok(None) };
        // One that a deadline cut short takes nothing from the one before it.
        for number in (1..=last).rev() {
            if let Some(confirmed) = Self::of_number(runs, store, study, number).await? {
                return Ok(Some(confirmed));
            }
        }
        Ok(None)
    }

    async fn of_number(runs: &Path, store: &Store, study: &str, number: u64) -> Result<Option<Self>> {
        let row = studies::find(store, Some(&name_of(study, number))).await?;
        let plan = studies::plan(&row)?;
        let race = studies::told(store, &row, &plan).await?;
        let standings = standings(&race).unwrap_or_default();
        if winner(&standings).is_none() {
            return Ok(None);
        }
        let scores = test_accuracies(&studies::folder(runs, &plan.name))?;
        let mut test: BTreeMap<TrialNumber, Vec<f64>> = BTreeMap::new();
        for (trial, accuracy) in scores {
            if let Some(candidate) = race.trial(trial).and_then(|trial| candidate_of(&trial.params)) {
                test.entry(candidate).or_default().push(accuracy);
            }
        }
        Ok(Some(Self { standings, test, is_over: race.ask() == Suggestion::Done }))
    }

    /// The confirmed winner.
    pub fn winner(&self) -> TrialNumber {
        self.standings[0].candidate
    }

    /// How one of its candidates did.
    pub fn of_trial(&self, trial: TrialNumber) -> Option<Confirmation> {
        let standing = self.standings.iter().find(|standing| standing.candidate == trial)?;
        Some(Confirmation {
            mean: standing.mean()?,
            half_width: standing.half_width,
            values: standing.values.iter().map(|(_, value)| *value).collect(),
            test_accuracies: self.test.get(&trial).cloned().unwrap_or_default(),
        })
    }

    /// What the report says of it; `selected` is the value that a candidate was chosen by.
    pub fn text(&self, metric: &str, is_maximized: bool, selected: impl Fn(TrialNumber) -> Option<f64>) -> String {
        let best = &self.standings[0];
        let mut text = format!(
            "Winner: trial {}, confirmed on {}: {metric} {}\n",
            best.candidate,
            counted(best.values.len(), "fresh seed"),
            spread(metric, best)
        );
        if let Some(accuracies) = self.test.get(&best.candidate) {
            let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
            let (low, high) = accuracies
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
            let _ = writeln!(text, "- Test accuracy: {mean:.4} (from {low:.4} to {high:.4} over its seeds)");
        } else if !self.is_over {
            text.push_str("- The time did not last for the whole confirmation, so the test split was not looked at; ");
            text.push_str("`nightsweep confirm`, or `run` again, goes on with it\n");
        }
        // The one that was chosen first owes part of its value to luck.
        let chosen = self.standings.iter().filter_map(|standing| Some((selected(standing.candidate)?, standing)));
        let first = chosen.max_by(|(a, _), (b, _)| if is_maximized { a.total_cmp(b) } else { b.total_cmp(a) });
        if let Some((value, standing)) = first
            && let Some(mean) = standing.mean()
        {
            let luck = if is_maximized { value - mean } else { mean - value };
            let _ = writeln!(
                text,
                "- Luck of the selection (winner's curse): trial {} was chosen at {value:.4} and has {mean:.4} on fresh seeds: {luck:+.4}",
                standing.candidate,
            );
        }
        let tied: Vec<String> = self
            .standings
            .iter()
            .filter(|standing| standing.fate == Fate::Tied)
            .map(|standing| standing.candidate.to_string())
            .collect();
        if !tied.is_empty() {
            let _ = writeln!(text, "- Not to be told from the winner at 95 %: trial {}", tied.join(", trial "));
        }
        let _ = writeln!(
            text,
            "\n| candidate | chosen at | {metric}, mean ± 95 % | seeds | test accuracy | |\n| ---: | ---: | ---: | ---: | ---: | --- |"
        );
        for standing in &self.standings {
            let test = self.test.get(&standing.candidate);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                standing.candidate,
                selected(standing.candidate).map_or("-".to_owned(), |value| format!("{value:.4}")),
                spread(metric, standing),
                standing.values.len(),
                test.map_or("-".to_owned(), |all| format!("{:.4}", all.iter().sum::<f64>() / all.len() as f64)),
                match standing.fate {
                    Fate::Best => "winner",
                    Fate::Tied => "tied",
                    Fate::Beaten => "beaten",
                    Fate::Failed => "failed",
                },
            );
        }
        text.push('\n');
        text
    }
}

fn spread(metric: &str, standing: &Standing) -> String {
    let mean = standing.mean();
    mean.map_or("-".to_owned(), |mean| nightsweep_web::interval(metric, mean, standing.half_width))
}
