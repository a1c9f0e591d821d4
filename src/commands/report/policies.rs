//! What the report says of augmentation policies: which won among a study's trials, where the learned one is from, what it
//! was worth, and which operations change the classes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use nightsweep_search::{Params, TrialState};
use nightsweep_store::TrialRow;
use nightsweep_trainer::policy::HarmTable;
use nightsweep_trainer::recipe::PolicySpec;
use nightsweep_trials::Plan;
use nightsweep_trials::policy::compare::Comparison;
use nightsweep_trials::policy::learning::PARAMETER;
use nightsweep_web::Picture;

use crate::commands::policy::harm;
use crate::commands::policy::study::{HARM, HARM_PICTURE};

/// What `policy compare --json` wrote, if somebody put it into the study's folder.
const COMPARISON: &str = "policy-compare.json";

/// Markdown; empty for a study whose policy does not vary.
pub fn section(trials: &[TrialRow], best: &TrialRow, plan: &Plan, folder: &Path) -> String {
    if plan.space.get(PARAMETER).is_none() {
        return String::new();
    }
    let mut text = "\n## Augmentation policies\n\n".to_owned();
    if let Some(learned) = &plan.learned {
        let _ = writeln!(
            text,
            "`custom` was learned by {} in {:.0} s on {} training images ({} tried), before the first trial.\n",
            learned.method.title(),
            learned.seconds,
            learned.images,
            learned.tried,
        );
        if let PolicySpec::Custom(policy) = &plan.recipe.augment.policy {
            let mix: Vec<String> = policy.mix.iter().map(ToString::to_string).collect();
            let _ = match mix.is_empty() {
                true => writeln!(text, "Its images are not mixed, unless the recipe does it.\n"),
                false => writeln!(text, "Its images are mixed: {}.\n", mix.join(", ")),
            };
        }
    }
    text.push_str(&table(trials, best, plan));
    text.push_str(&worth(trials, plan));
    if let Some(comparison) = read_comparison(folder) {
        let _ = write!(text, "\nOn the same fresh seeds ({COMPARISON}):\n\n{}\n", comparison.table());
    }
    if let Some(table) = plan.learned.as_ref().and_then(|_| read_harm(folder)) {
        text.push_str(&harmed(&table));
    }
    text
}

/// What operations do to images, where a study found out.
pub fn pictures(plan: &Plan, folder: &Path) -> Vec<Picture> {
    let png = plan.learned.as_ref().and_then(|_| fs::read(folder.join(HARM_PICTURE)).ok());
    let picture = |png| Picture {
        title: "What each operation does to images",
        about: "A row for each operation, as numbered in the table: green where it is harmless, red where a class changes, \
                amber where it can no longer be told.",
        png,
    };
    png.filter(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n")).map(picture).into_iter().collect()
}

/// The choices by their best trial, those that none got to its end last.
fn table(trials: &[TrialRow], best: &TrialRow, plan: &Plan) -> String {
    let metric = plan.metric.name();
    let sign = if plan.metric.is_maximized() { -1.0 } else { 1.0 };
    // Of each choice, how many trials there were, and what those that got to their end came to.
    let mut choices: BTreeMap<String, (usize, Vec<f64>)> = BTreeMap::new();
    for (trial, policy) in trials.iter().filter_map(|trial| Some((trial, policy(&trial.params)?))) {
        let (started, values) = choices.entry(policy).or_default();
        *started += 1;
        values.extend(complete(trial));
    }
    let mut rows: Vec<(String, (usize, Vec<f64>))> = choices.into_iter().collect();
    for (_, (_, values)) in &mut rows {
        values.sort_by(|a, b| (sign * a).total_cmp(&(sign * b)));
    }
    let first = |values: &[f64]| values.first().map_or(f64::INFINITY, |value| sign * value);
    rows.sort_by(|(_, (_, a)), (_, (_, b))| first(a).total_cmp(&first(b)));
    let mut text =
        format!("| policy | trials | to the end | best {metric} | median |\n| --- | ---: | ---: | ---: | ---: |\n");
    for (name, (started, values)) in &rows {
        let shown = |value: Option<&f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let won = if policy(&best.params).as_ref() == Some(name) { " (won)" } else { "" };
        let (ended, best, median) = (values.len(), shown(values.first()), shown(values.get(values.len() / 2)));
        let _ = writeln!(text, "| {name}{won} | {started} | {ended} | {best} | {median} |");
    }
    text
}

/// The learned policy beside none, all else being the recipe's: the first two trials.
fn worth(trials: &[TrialRow], plan: &Plan) -> String {
    if plan.learned.is_none() {
        return String::new();
    }
    let find = |params: Option<&Params>| {
        let trial = trials.iter().find(|trial| Some(&trial.params) == params)?;
        Some((trial.number, complete(trial)?))
    };
    let with = plan.knowledge.enqueue.first().filter(|point| policy(point).as_deref() == Some("custom"));
    let again = "`nightsweep policy compare` trains with several policies on the same fresh seeds.\n";
    match (find(plan.default.as_ref()), find(with)) {
        (Some((without, before)), Some((with, after))) => {
            let gain = if plan.metric.is_maximized() { after - before } else { before - after };
            let verdict = if gain > 0.0 { "better, which one seed does not prove" } else { "no gain" };
            format!(
                "\nThe recipe with the learned policy (trial {with}) has {after:.4}, as it is (trial {without}) {before:.4}: \
                 {gain:+.4}, {verdict}. {again}"
            )
        }
        _ => format!("\nThe recipe was not trained to its end both with the learned policy and as it is. {again}"),
    }
}

/// The operations that the search of the policy was not free to use.
fn harmed(table: &HarmTable) -> String {
    let doubt = harm::doubt(table).map_or(String::new(), |doubt| format!("Note: {doubt}.\n\n"));
    let mut text = format!(
        "\n### What operations do to the classes\n\n{doubt}Measured before by a child that recognises {:.1} % of {} \
         validation images; what is not in the table may be used freely.\n\n\
         | row | operation | may be used | what it does beyond |\n| ---: | --- | --- | --- |\n",
        100.0 * table.accuracy,
        table.images,
    );
    for (row, harm) in table.ops.iter().enumerate().filter(|(_, harm)| harm.most < 1.0) {
        // A bar would end the cell.
        let effect = harm::effect(harm).replace('|', "\\|");
        let _ = writeln!(text, "| {} | {} | {} | {effect} |", row + 1, harm::name(harm), harm::reach(harm));
    }
    text
}

fn policy(params: &Params) -> Option<String> {
    params.get(PARAMETER).map(ToString::to_string)
}

fn complete(trial: &TrialRow) -> Option<f64> {
    trial.value.filter(|_| trial.state == TrialState::Complete)
}

/// A file that somebody changed is as good as none.
fn read_comparison(folder: &Path) -> Option<Comparison> {
    serde_json::from_slice(&fs::read(folder.join(COMPARISON)).ok()?).ok()
}

fn read_harm(folder: &Path) -> Option<HarmTable> {
    toml::from_str(&fs::read_to_string(folder.join(HARM)).ok()?).ok()
}
