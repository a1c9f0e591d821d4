//! The policy that a study learns before its first trial, on its own data and with its recipe's model.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::SearchSpace;
use nightsweep_store::Store;
use nightsweep_trainer::DeviceName;
use nightsweep_trainer::policy::HarmTable;
use nightsweep_trainer::recipe::Op;
use nightsweep_trials::Plan;
use nightsweep_trials::policy::PolicyFile;
use nightsweep_trials::policy::learning::{Learning, Within};
use tokio::process::Command;

use crate::commands::studies;
use crate::failure::advise;
use crate::recipe_file::RecipeFile;

/// What a study's folder has of its policy.
pub const POLICY: &str = "policy.toml";
/// What operations do to its classes, for programs and for people.
pub const HARM: &str = "harm.toml";
pub const HARM_PICTURE: &str = "harm.png";

/// Learns the policy that the study file asks for, or takes it from the study if it was begun already.
pub async fn learn_policy(
    store: &Store,
    plan: &mut Plan,
    folder: &Path,
    device: DeviceName,
    deadline: Option<Instant>,
) -> Result<()> {
    if let Some(row) = store.study_named(&plan.name).await.into_diagnostic()? {
        // One that was begun without it is told apart by its plan.
        plan.take_learned_policy(&studies::plan(&row)?);
        return Ok(());
    }
    let Some(learning) = plan.policy.clone() else { return Ok(()) };
    check_time(&learning, deadline)?;
    say!("policy: learned by {} within {}, before the first trial", learning.method.title(), learning.budget);
    let recipe = folder.join("policy-recipe.toml");
    RecipeFile::of(plan, plan.recipe.clone()).write(&recipe)?;
    let children = Children { recipe: &recipe, learning: &learning, device };
    let [policy, harm, picture] = [POLICY, HARM, HARM_PICTURE].map(|name| folder.join(name));
    if learning.within == Within::Harm {
        // Twice the epochs, as half of what that child sees is plain.
        let epochs = 2 * learning.epochs.unwrap_or(plan.recipe.epochs);
        children.run("harm", epochs, &[("--output", &harm), ("--picture", &picture)], &[]).await?;
    }
    let method = serde_json::to_value(learning.method).into_diagnostic()?;
    let mut words = vec!["--method", method.as_str().unwrap_or_default(), "--budget", learning.budget.as_str()];
    words.extend(varies_mixing(&plan.space).then_some("--without-mixing"));
    let mut files = vec![("--output", policy.as_path())];
    files.extend((learning.within == Within::Harm).then_some(("--within", harm.as_path())));
    children.run("learn", learning.epochs.unwrap_or(plan.recipe.epochs), &files, &words).await?;
    if learning.within == Within::Harm && plan.recipe.augment.flip > 0.0 && !may_flip(&harm)? {
        say!(
            "note: the trials mirror images, which changes classes: `augment.flip` is 0.5 unless the study file says 0"
        );
    }
    let text = std::fs::read_to_string(&policy).into_diagnostic().wrap_err("could not read the learned policy")?;
    plan.take_policy(PolicyFile::parse(&text).into_diagnostic()?);
    say!("policy: {}, a choice of `augment.policy` as `custom`", policy.display());
    Ok(())
}

/// Whether trials differ by how they mix: a policy that mixes would stand in the place of that.
fn varies_mixing(space: &SearchSpace) -> bool {
    let mixes = |name: &str| name.starts_with("augment.mix") || name.starts_with("augment.cutmix");
    space.0.iter().any(|parameter| mixes(&parameter.name))
}

/// Whether mirroring leaves the classes alone.
fn may_flip(harm: &Path) -> Result<bool> {
    let text = std::fs::read_to_string(harm).into_diagnostic().wrap_err("could not read the table of harm")?;
    let table: HarmTable = toml::from_str(&text).into_diagnostic()?;
    Ok(table.moves().iter().any(|one| one.op == Op::Flip))
}

/// A search of policies that leaves nothing for the trials is a mistake of the study file.
fn check_time(learning: &Learning, deadline: Option<Instant>) -> Result<()> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let budget = learning.budget().unwrap_or(Duration::ZERO);
    match left {
        Some(left) if budget >= left => Err(advise(
            format!("`policy.budget` of {} leaves no time for trials before the deadline", learning.budget),
            "lower it, or give the study more time",
        )),
        _ => Ok(()),
    }
}

/// What trains the children of a search.
struct Children<'a> {
    recipe: &'a Path,
    learning: &'a Learning,
    device: DeviceName,
}

impl Children<'_> {
    /// Runs one of the commands as a process of its own, so that no device stays taken and no failure is ours.
    async fn run(&self, what: &str, epochs: u64, files: &[(&str, &Path)], words: &[&str]) -> Result<()> {
        let Self { recipe, learning: Learning { reduced, .. }, device } = self;
        let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
        command.args(["policy", what]).arg(recipe).args(["--device", &device.to_string()]);
        command.arg(format!("--epochs={epochs}")).args(reduced.map(|reduced| format!("--reduced={reduced}")));
        for (name, path) in files {
            command.arg(name).arg(path);
        }
        command.args(words);
        let output = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().into_diagnostic()?;
        let output = output.wait_with_output().await.into_diagnostic()?;
        if output.status.success() {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(advise(
            format!("the study's policy could not be learned (`policy {what}`): {}", errors.trim()),
            "change `[policy]` of the study file (a larger `budget`, fewer `epochs`), or leave it out",
        ))
    }
}
