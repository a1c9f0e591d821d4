//! `nightsweep report`: who won, what it beat, what mattered, what was tried and what was wasted.

mod policies;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::TrialState;
use nightsweep_store::{BoardQuery, Sort, Store, StudyRow, Summary, TrialRow};
use nightsweep_trials::Plan;
use nightsweep_web::{ReportPart, ReportSource, ReportText, cause};

use super::confirm::Confirmed;
use super::studies;
use crate::cli::Report;
use crate::failure::Ending;
use crate::progress::{counted, words};

/// Rows of the table.
const ROWS: usize = 10;
/// Fewer complete trials say nothing of what mattered: of ten, one is the best tenth.
const ENOUGH: usize = 10;
/// Parameters that are named as those that mattered.
const PARAMETERS: usize = 8;

/// Prints the report of a study.
pub async fn report(runs: &Path, arguments: &Report) -> Result<Ending> {
    let store = studies::open_existing(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    let plan = studies::plan(&row)?;
    let text = text(runs, &store, &row, &plan).await?;
    if let Some(path) = &arguments.markdown {
        save(path, &text.markdown())?;
    }
    if let Some(path) = &arguments.html {
        save(path, &nightsweep_web::report(&store, &row, &text).await.into_diagnostic()?)?;
    }
    if arguments.html.is_none() && arguments.markdown.is_none() {
        say!("\n{}", text.markdown().trim_end());
    }
    Ok(Ending::Done)
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))?;
    say!("report: {}", path.display());
    Ok(())
}

/// What the pages ask for the report of a study.
pub fn source(runs: &Path, store: &Store) -> ReportSource {
    let (runs, store) = (runs.to_owned(), store.clone());
    Arc::new(move |row: StudyRow| {
        let (runs, store) = (runs.clone(), store.clone());
        Box::pin(async move {
            let plan = studies::plan(&row).ok()?;
            text(&runs, &store, &row, &plan).await.ok()
        })
    })
}

/// The report: its Markdown reads well in a terminal too.
pub async fn text(runs: &Path, store: &Store, row: &StudyRow, plan: &Plan) -> Result<ReportText> {
    let summary = store.summary(row.id).await.into_diagnostic()?;
    let all = BoardQuery { sort: Sort::Rank, limit: u32::MAX, ..BoardQuery::default() };
    let trials = store.board(row, &all).await.into_diagnostic()?.trials;
    let mut head = head(row, &summary);
    let Some(best) = trials.iter().find(|trial| trial.state == TrialState::Complete) else {
        head.push_str("No trial is complete yet.\n");
        return Ok(ReportText { parts: vec![part(head, &["curves"])], recipe: None });
    };
    let confirmed = Confirmed::of(runs, store, &row.name).await?;
    let winner = confirmed.as_ref().map_or(best.number, Confirmed::winner);
    let best = trials.iter().find(|trial| trial.number == winner).unwrap_or(best);
    let ancestry = store.ancestry(row.id, best.number).await.into_diagnostic()?;
    head.push_str(&won(&trials, best, &ancestry, confirmed.as_ref(), plan));
    let mattered = mattered(&trials, store, row, plan).await?;
    let folder = studies::folder(runs, &row.name);
    let policies = ReportPart {
        pictures: policies::pictures(plan, &folder),
        ..part(policies::section(&trials, best, plan, &folder), &[])
    };
    Ok(ReportText {
        parts: vec![
            part(head, &["history", "curves"]),
            part(mattered, &["importance", "slice"]),
            policies,
            part(table(&trials, plan), &["pareto"]),
            part(spent(&trials, summary.active_ms), &["slots", "failures"]),
            part(again(row), &[]),
        ],
        recipe: store.recipe(row.id, best.number).await.into_diagnostic()?,
    })
}

fn part(markdown: String, figures: &'static [&'static str]) -> ReportPart {
    ReportPart { markdown, figures, pictures: Vec::new() }
}

fn head(row: &StudyRow, summary: &Summary) -> String {
    let counts = summary.counts;
    let states = [
        ("complete", TrialState::Complete),
        ("paused", TrialState::Paused),
        ("pruned", TrialState::Pruned),
        ("failed", TrialState::Failed),
        ("lost", TrialState::Lost),
        ("waiting", TrialState::Waiting),
        ("running", TrialState::Running),
    ];
    let states = states.map(|(name, state)| (name, counts.of(state)));
    let states: Vec<String> =
        states.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
    let name = &row.name;
    if states.is_empty() {
        return format!("# {name}\n\nNo trial has started yet.\n\n");
    }
    format!(
        "# {name}\n\n{}: {}; {}; {} of training\n\n",
        counted(counts.total(), "trial"),
        states.join(", "),
        counted(summary.steps, "epoch"),
        duration(summary.active_ms),
    )
}

/// The winner with its interval, what cannot be told from it, and what the search was worth.
fn won(
    trials: &[TrialRow],
    best: &TrialRow,
    ancestry: &[TrialRow],
    confirmed: Option<&Confirmed>,
    plan: &Plan,
) -> String {
    let metric = plan.metric.name();
    let selected = |number| trials.iter().find(|trial| trial.number == number)?.value;
    let mut text = match confirmed {
        Some(confirmed) => confirmed.text(metric, plan.metric.is_maximized(), selected),
        None => format!(
            "Winner: trial {} with {metric} {:.4} (one seed, not confirmed on others)\n",
            best.number,
            best.value.unwrap_or(f64::NAN),
        ),
    };
    // Four spaces are a block of code in Markdown.
    text.push('\n');
    for (name, it) in best.params.iter() {
        let _ = writeln!(text, "    {name} = {it}");
    }
    text.push('\n');
    text.push_str(&schedule(ancestry));
    text.push_str(&constraints(best, plan));
    text.push_str(&against_default(trials, best, plan));
    text
}

/// What the winner of a population was trained with from epoch to epoch; `ancestry` ends with it.
fn schedule(ancestry: &[TrialRow]) -> String {
    if ancestry.len() < 2 {
        return String::new();
    }
    let mut text = "Those are its last parameters. It was trained with:\n\n".to_owned();
    let begun = |trial: &TrialRow| trial.origin.map_or(0, |origin| origin.epoch);
    for (place, trial) in ancestry.iter().enumerate() {
        let last = ancestry.get(place + 1).map_or(trial.steps, begun);
        let _ = writeln!(
            text,
            "    epochs {} to {last}, as trial {}: {}",
            begun(trial) + 1,
            trial.number,
            words(&trial.params)
        );
    }
    text.push('\n');
    text
}

/// Whether the winner keeps what the study asked for.
fn constraints(best: &TrialRow, plan: &Plan) -> String {
    let all: Vec<String> = plan.knowledge.constraints.iter().map(|constraint| format!("`{constraint}`")).collect();
    match all.join(", ") {
        none if none.is_empty() => none,
        all if best.violation > 0.0 => {
            format!("No complete trial keeps the constraints ({all}); the winner comes nearest to them.\n")
        }
        all => format!("The winner is the best that keeps the constraints: {all}.\n"),
    }
}

/// What the search was worth: the winner beside the recipe that it started from.
fn against_default(trials: &[TrialRow], best: &TrialRow, plan: &Plan) -> String {
    let Some(default) = &plan.default else { return String::new() };
    let Some(trial) = trials.iter().find(|trial| trial.params == *default) else { return String::new() };
    let metric = plan.metric.name();
    match (trial.shown_value(), best.value) {
        _ if trial.number == best.number => {
            format!("The recipe that the search started from (trial {}) won.\n", best.number)
        }
        // After fewer epochs any recipe is worse.
        (Some(value), Some(_)) if trial.steps < best.steps => format!(
            "The recipe that the search started from (trial {}) did not get as far: {metric} {value:.4} after {} of {}.\n",
            trial.number,
            trial.steps,
            counted(best.steps, "epoch"),
        ),
        (Some(value), Some(winner)) => format!(
            "The recipe that the search started from (trial {}) has {metric} {value:.4} after {}: the winner is {}.\n",
            trial.number,
            counted(trial.steps, "epoch"),
            better(if plan.metric.is_maximized() { winner - value } else { value - winner }),
        ),
        _ => format!("The recipe that the search started from (trial {}) has no result.\n", trial.number),
    }
}

/// By how much something is better, in the digits that are printed. A confirmed winner may be worse in the search.
fn better(by: f64) -> String {
    match by {
        ..=-5e-5 => format!("{:.4} worse", -by),
        5e-5.. => format!("{by:.4} better"),
        _ => "as good".to_owned(),
    }
}

/// The parameters by how much they mattered, as the search's analysis says.
async fn mattered(trials: &[TrialRow], store: &Store, row: &StudyRow, plan: &Plan) -> Result<String> {
    let complete = trials.iter().filter(|trial| trial.state == TrialState::Complete).count();
    if complete < ENOUGH {
        return Ok(String::new());
    }
    let importance = studies::told(store, row, plan).await?.importance();
    let named = importance.iter().filter(|it| it.share >= 0.01).take(PARAMETERS);
    let named: Vec<String> = named.map(|it| format!("{} {:.0} %", it.param, 100.0 * it.share)).collect();
    let first = "\n## What mattered\n\nShare in a trial being among the best tenth, over";
    Ok(format!("{first} {complete} complete trials: {}.\n", named.join(", ")))
}

fn table(trials: &[TrialRow], plan: &Plan) -> String {
    let metric = plan.metric.name();
    let mut text = format!(
        "\n## The best trials\n\n| rank | trial | {metric} | epochs | time | parameters |\n| ---: | ---: | ---: | ---: | ---: | --- |\n"
    );
    let shown: Vec<&TrialRow> = trials.iter().filter(|trial| trial.shown_value().is_some()).take(ROWS).collect();
    for trial in &shown {
        let _ = writeln!(
            text,
            "| {} | {} | {:.4}{} | {} | {} | {} |",
            trial.rank.map_or("-".to_owned(), |rank| rank.to_string()),
            trial.number,
            trial.shown_value().unwrap_or(f64::NAN),
            if trial.state == TrialState::Complete { "" } else { " *" },
            trial.steps,
            duration(trial.active_ms),
            // A bar would end the cell.
            words(&trial.params).replace('|', "\\|"),
        );
    }
    if shown.iter().any(|trial| trial.state != TrialState::Complete) {
        text.push_str("\n\\* not trained to the end\n");
    }
    text
}

/// Where the time went: what was trained to its end, what was stopped on the way, and what failed and why.
fn spent(trials: &[TrialRow], total_ms: u64) -> String {
    let rows: [(&str, &[TrialState]); 5] = [
        ("trained to the end", &[TrialState::Complete]),
        ("stopped early, since others were better", &[TrialState::Pruned]),
        ("paused and not gone on with", &[TrialState::Paused, TrialState::Waiting]),
        ("running", &[TrialState::Running]),
        ("failed", &[TrialState::Failed, TrialState::Lost]),
    ];
    let mut text = "\n## Where the time went\n\n| | trials | time | share |\n| --- | ---: | ---: | ---: |\n".to_owned();
    for (what, states) in rows {
        let some: Vec<_> = trials.iter().filter(|trial| states.contains(&trial.state)).collect();
        if some.is_empty() {
            continue;
        }
        let ms: u64 = some.iter().map(|trial| trial.active_ms).sum();
        let share = 100.0 * ms as f64 / total_ms.max(1) as f64;
        let _ = writeln!(text, "| {what} | {} | {} | {share:.0} % |", some.len(), duration(ms));
    }
    text.push_str(&failures(trials));
    text
}

/// Failed trials by cause, each with what the first one said.
fn failures(trials: &[TrialRow]) -> String {
    let mut causes = BTreeMap::<&str, Vec<&TrialRow>>::new();
    for trial in trials.iter().filter(|trial| matches!(trial.state, TrialState::Failed | TrialState::Lost)) {
        causes.entry(trial.cause.map_or("failed", cause)).or_default().push(trial);
    }
    let mut text = String::new();
    for (cause, mut failed) in causes {
        failed.sort_by_key(|trial| trial.number);
        let said = failed[0].message.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let numbers: Vec<String> = failed.iter().take(ROWS).map(|trial| trial.number.to_string()).collect();
        let more = if failed.len() > ROWS { ", …" } else { "" };
        let (plural, numbers) = (if failed.len() > 1 { "s" } else { "" }, numbers.join(", "));
        let _ = write!(text, "\n- {cause}: trial{plural} {numbers}{more}: {said}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn again(row: &StudyRow) -> String {
    let name = &row.name;
    format!(
        "\n## The same again\n\n    nightsweep export best --study {name} -o best/\n    nightsweep train best/recipe.toml\n    \
         nightsweep replay {name}\n"
    )
}

fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_is_not_printed_is_none() {
        assert_eq!(better(0.01), "0.0100 better");
        assert_eq!(better(0.00004), "as good");
        assert_eq!(better(-0.01), "0.0100 worse");
    }
}
