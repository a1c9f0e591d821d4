//! `nightsweep export`: a trial as files that stand for themselves, and a study as files for other programs.

mod pytorch;
mod timm;

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::{TrialNumber, TrialState};
use nightsweep_store::{AttemptProvenance, BoardQuery, EventFiles, OptunaError, Sort, Store, StudyRow, TrialRow};
use nightsweep_trainer::recipe::PolicySpec;
use nightsweep_trainer::{CheckpointFolder, Recipe, TrialSeed, data, weights};
use nightsweep_trials::Plan;
use nightsweep_trials::policy::PolicyFile;
use nightsweep_web::ReportText;
use serde::Serialize;

use super::confirm::{Confirmation, Confirmed};
use super::{report, studies};
use crate::cli::{Export, ExportFormat};
use crate::failure::{Ending, advise, misuse};
use crate::progress::counted;
use crate::recipe_file::{Expected, RecipeFile};

/// What result.json says.
#[derive(Serialize)]
struct ResultFile<'a> {
    study: &'a str,
    trial: TrialNumber,
    state: TrialState,
    metric: &'a str,
    value: f64,
    epoch: u64,
    epochs_trained: u64,
    params: &'a nightsweep_search::Params,
    seed: TrialSeed,
    device: Option<&'a str>,
    data_fingerprint: &'a str,
    /// What each attempt ran on and with.
    provenance: &'a [AttemptProvenance],
    /// How it did on fresh seeds, if it was confirmed.
    confirmed: Option<Confirmation>,
    nightsweep: &'static str,
}

/// Writes the trial that the command line names.
pub async fn export(runs: &Path, arguments: &Export) -> Result<Ending> {
    let store = studies::open_existing(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    if let Some(format) = arguments.format {
        if arguments.trial != "best" {
            let message = format!("`--format` writes a study as a whole, and not `{}` alone", arguments.trial);
            return Err(misuse(message, "leave it out; `--study NAME` says which study"));
        }
        return whole(&store, &row, format, arguments.output.as_deref()).await;
    }
    let output = arguments.output.as_deref().unwrap_or(Path::new("best"));
    let plan = studies::plan(&row)?;
    let report = report::text(runs, &store, &row, &plan).await?;
    let export = Exported { runs, store: &store, row: &row, plan: &plan, report: &report };
    let written = match arguments.trial.as_str() {
        "best" => export.best(output).await?,
        number => {
            let number = number
                .parse()
                .map(TrialNumber)
                .map_err(|_| misuse(format!("`{number}` is no trial"), "say `best`, or the number of a trial"))?;
            let trial = store.trial(row.id, number).await.into_diagnostic()?;
            let trial =
                trial.ok_or_else(|| advise(format!("there is no trial {number}"), "`nightsweep report` lists them"))?;
            let confirmed = Confirmed::of(runs, &store, &row.name).await?;
            export.write(&trial, confirmed.as_ref(), output).await?;
            Some(number)
        }
    };
    match written {
        Some(trial) => {
            say!("trial {trial} of {}: {}", row.name, output.display());
            Ok(Ending::Done)
        }
        None => Err(advise("no trial has a result yet", "`nightsweep report` says how the study stands")),
    }
}

/// Writes all trials to one file, or to a folder of them.
async fn whole(store: &Store, row: &StudyRow, format: ExportFormat, output: Option<&Path>) -> Result<Ending> {
    let default = match format {
        ExportFormat::Csv => "trials.csv",
        ExportFormat::Json => "trials.json",
        ExportFormat::Optuna => "optuna.db",
        ExportFormat::Tensorboard => "tensorboard",
    };
    let path = output.unwrap_or(Path::new(default));
    if format == ExportFormat::Optuna {
        let trials = store.export_optuna(row, path).await.map_err(|error| match error {
            OptunaError::Exists { .. } => advise(error.to_string(), "name another file with --output, or move it away"),
            error => miette::Report::from_err(error),
        })?;
        say!("{} of {}: sqlite:///{}", counted(trials, "trial"), row.name, path.display());
        return Ok(Ending::Done);
    }
    if format == ExportFormat::Tensorboard {
        let mut files = EventFiles::open(row.clone(), path).into_diagnostic()?;
        let trials = files.catch_up(store).await.into_diagnostic()?;
        say!("{} of {}: tensorboard --logdir {}", counted(trials, "trial"), row.name, path.display());
        return Ok(Ending::Done);
    }
    let all = BoardQuery { sort: Sort::Number, limit: u32::MAX, ..BoardQuery::default() };
    let trials = store.board(row, &all).await.into_diagnostic()?.trials;
    let bytes = match format {
        ExportFormat::Csv => nightsweep_web::trials_csv(row, &trials),
        _ => serde_json::to_vec_pretty(&trials).into_diagnostic()?,
    };
    save(path.to_owned(), &bytes)?;
    say!("{} of {}: {}", counted(trials.len(), "trial"), row.name, path.display());
    Ok(Ending::Done)
}

/// A study whose trials are written to folders, and what its report says.
pub struct Exported<'a> {
    /// Folder of the store and of all trials.
    pub runs: &'a Path,
    /// The store.
    pub store: &'a Store,
    /// The study.
    pub row: &'a StudyRow,
    /// What it was begun with.
    pub plan: &'a Plan,
    /// Of the study as it stands.
    pub report: &'a ReportText,
}

impl Exported<'_> {
    /// Writes the confirmed winner, else the best trial, if any has a result. One that is complete goes before one that is
    /// not.
    pub async fn best(&self, folder: &Path) -> Result<Option<TrialNumber>> {
        let Self { runs, store, row, .. } = *self;
        let confirmed = Confirmed::of(runs, store, &row.name).await?;
        let trial = match &confirmed {
            Some(confirmed) => store.trial(row.id, confirmed.winner()).await.into_diagnostic()?,
            None => store.best_trial(row.id).await.into_diagnostic()?,
        };
        let Some(trial) = trial else { return Ok(None) };
        self.write(&trial, confirmed.as_ref(), folder).await?;
        Ok(Some(trial.number))
    }

    async fn write(&self, trial: &TrialRow, confirmed: Option<&Confirmed>, folder: &Path) -> Result<()> {
        let Self { runs, store, row, plan, report } = *self;
        let checkpoints = CheckpointFolder::new(studies::trial_folder(runs, &row.name, trial.number));
        let checkpoint = checkpoints.load().into_diagnostic()?.ok_or_else(|| {
            advise(
                format!("trial {} has no checkpoint in `{}`", trial.number, checkpoints.last().display()),
                "was it deleted because the disk was short, was the folder moved, or is --runs another one?",
            )
        })?;
        let (epoch, value) = checkpoint.place.best.ok_or_else(|| {
            advise(format!("trial {} has not finished an epoch", trial.number), "wait for its first report")
        })?;
        // With what changed in the course of training, as the parameters alone do not say.
        let mut recipe = checkpoint.place.recipe.clone();
        if !recipe.pretrained.path.is_empty() {
            recipe.pretrained.path = plan.folder.join(&recipe.pretrained.path).display().to_string();
        }
        let generated = &mut recipe.augment.generated;
        if !generated.path.is_empty() {
            generated.path = plan.folder.join(&generated.path).display().to_string();
        }
        let seed = checkpoint.place.seed;
        let expected = Expected {
            value,
            epoch,
            device: trial.device.clone().unwrap_or_else(|| "cpu:1".to_owned()),
            fingerprint: checkpoint.place.data.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let result = ResultFile {
            study: &row.name,
            trial: trial.number,
            state: trial.state,
            metric: plan.metric.name(),
            value,
            epoch,
            epochs_trained: checkpoint.place.epoch,
            params: &trial.params,
            seed,
            device: trial.device.as_deref(),
            data_fingerprint: &checkpoint.place.data,
            provenance: &store.provenance(row.id, trial.number).await.into_diagnostic()?,
            confirmed: confirmed.and_then(|it| it.of_trial(trial.number)),
            nightsweep: env!("CARGO_PKG_VERSION"),
        };
        fs::create_dir_all(folder)
            .into_diagnostic()
            .wrap_err_with(|| format!("could not make `{}`", folder.display()))?;
        save(folder.join("result.json"), serde_json::to_string_pretty(&result).into_diagnostic()?.as_bytes())?;
        // Of an older version's trials there is none.
        if let Ok(evaluation) = fs::read(checkpoints.evaluation()) {
            save(folder.join("evaluation.json"), &evaluation)?;
        }
        save(folder.join("weights.safetensors"), &checkpoint.weights_file().into_diagnostic()?)?;
        for_others(plan, &recipe, seed, checkpoint.weights(), folder)?;
        RecipeFile { seed, expected: Some(expected), ..RecipeFile::of(plan, recipe) }
            .write(&folder.join("recipe.toml"))?;
        let document = nightsweep_web::report(store, row, report).await.into_diagnostic()?;
        save(folder.join("report.html"), document.as_bytes())
    }
}

/// What other programs and other studies can use: a policy file, the command line of timm, weights by PyTorch's names.
fn for_others(
    plan: &Plan,
    recipe: &Recipe,
    seed: TrialSeed,
    tensors: &weights::NamedTensors,
    folder: &Path,
) -> Result<()> {
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    if let policy @ PolicySpec::Custom(_) = &recipe.augment.policy {
        let head = "# For `augment.policy = { kind = \"file\", path = \"policy.toml\" }` of another study.\n";
        let text = PolicyFile { policy: policy.clone(), learned: None }.text().into_diagnostic()?;
        files.push(("policy.toml", format!("{head}{text}").into_bytes()));
    }
    files.push(("timm.sh", timm::script(recipe, seed, images(plan)).into_bytes()));
    if pytorch::has_names(&recipe.model) {
        files.push((pytorch::WEIGHTS, weights::torch_file(tensors).into_diagnostic()?));
    }
    if let Some(script) = pytorch::script(&recipe.model, tensors) {
        files.push(("pytorch.py", script.into_bytes()));
    }
    // What an earlier winner left there is not this one's.
    for name in ["policy.toml", pytorch::WEIGHTS, "pytorch.py"] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).into_diagnostic(),
            _ => {}
        }
    }
    files.into_iter().try_for_each(|(name, bytes)| save(folder.join(name), &bytes))
}

/// The images that a study trains on, as far as one sees without decoding them; nothing if they are not there any more.
fn images(plan: &Plan) -> Option<timm::Images> {
    let seen = data::describe(&plan.data.path, &plan.folder).ok()?;
    let (height, width) = match plan.data.image_size {
        Some(side) => (side as usize, side as usize),
        None => seen.default_size,
    };
    let channels = plan.data.channels.map_or(seen.channels, |channels| channels as usize);
    Some(timm::Images { channels, height, width, classes: seen.classes.len() })
}

fn save(path: PathBuf, bytes: &[u8]) -> Result<()> {
    fs::write(&path, bytes).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))
}
