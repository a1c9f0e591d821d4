//! `nightsweep report`: who won, what it beat, what was tried and what was wasted.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_search::{TrialNumber, TrialState};
use nightsweep_store::{BoardQuery, Sort, Store, StudyRow, TrialRow};
use nightsweep_trials::Plan;
use nightsweep_web::{ReportSource, ReportText};

use super::confirm::Confirmed;
use super::studies;
use crate::cli::Report;
use crate::failure::Ending;
use crate::progress::words;

/// Rows of the table.
const ROWS: u32 = 10;

/// Prints the report of a study.
pub async fn report(runs: &Path, arguments: &Report) -> Result<Ending> {
    let store = studies::open_existing(runs).await?;
    let row = studies::find(&store, arguments.study.as_deref()).await?;
    let plan = studies::plan(&row)?;
    let text = text(runs, &store, &row, &plan).await?;
    if let Some(path) = &arguments.markdown {
        save(path, &text)?;
    }
    if let Some(path) = &arguments.html {
        let recipe = match winner(runs, &store, &row).await? {
            Some(trial) => store.recipe(row.id, trial).await.into_diagnostic()?,
            None => None,
        };
        save(path, &nightsweep_web::report(&store, &row, &text, recipe.as_deref()).await.into_diagnostic()?)?;
    }
    if arguments.html.is_none() && arguments.markdown.is_none() {
        print!("{text}");
    }
    Ok(Ending::Done)
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))?;
    println!("report: {}", path.display());
    Ok(())
}

/// The confirmed winner, or the best trial as long as nothing is confirmed.
pub async fn winner(runs: &Path, store: &Store, row: &StudyRow) -> Result<Option<TrialNumber>> {
    if let Some(confirmed) = Confirmed::of(runs, store, &row.name).await? {
        return Ok(Some(confirmed.winner()));
    }
    Ok(store.best_trial(row.id).await.into_diagnostic()?.map(|trial| trial.number))
}

/// What the pages ask for the report of a study.
pub fn source(runs: &Path, store: &Store) -> ReportSource {
    let (runs, store) = (runs.to_owned(), store.clone());
    Arc::new(move |row: StudyRow| {
        let (runs, store) = (runs.clone(), store.clone());
        Box::pin(async move {
            let plan = studies::plan(&row).ok()?;
            let markdown = text(&runs, &store, &row, &plan).await.ok()?;
            let recipe = match winner(&runs, &store, &row).await.ok()? {
                Some(trial) => store.recipe(row.id, trial).await.ok()?,
                None => None,
            };
            Some(ReportText { markdown, recipe })
        })
    })
}

/// The report as text that reads well in a terminal and as Markdown.
pub async fn text(runs: &Path, store: &Store, row: &StudyRow, plan: &Plan) -> Result<String> {
    let summary = store.summary(row.id).await.into_diagnostic()?;
    let all = BoardQuery { sort: Sort::Rank, limit: u32::MAX, ..BoardQuery::default() };
    let board = store.board(row, &all).await.into_diagnostic()?;
    let metric = plan.metric.name();
    let mut text = format!("\n# {}\n\n", row.name);
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
    let _ = writeln!(
        text,
        "{} trials: {}; {} epochs; {} of training\n",
        counts.total(),
        states.join(", "),
        summary.steps,
        duration(summary.active_ms),
    );
    let Some(best) = board.trials.iter().find(|trial| trial.state == TrialState::Complete) else {
        text.push_str("No trial is complete yet.\n");
        return Ok(text);
    };
    let confirmed = Confirmed::of(runs, store, &row.name).await?;
    let selected = |number| board.trials.iter().find(|trial| trial.number == number)?.value;
    let winner = confirmed.as_ref().map(Confirmed::winner);
    let best = board.trials.iter().find(|trial| Some(trial.number) == winner).unwrap_or(best);
    match &confirmed {
        Some(confirmed) => text.push_str(&confirmed.text(metric, plan.metric.is_maximized(), selected)),
        None => {
            let value = best.value.unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "Winner: trial {} with {metric} {value:.4} (one seed, not confirmed on others)",
                best.number
            );
        }
    }
    // Four spaces are a block of code in Markdown.
    text.push('\n');
    for (name, it) in best.params.iter() {
        let _ = writeln!(text, "    {name} = {it}");
    }
    text.push('\n');
    text.push_str(&schedule(&store.ancestry(row.id, best.number).await.into_diagnostic()?));
    text.push_str(&constraints(best, plan));
    text.push_str(&against_default(&board.trials, best, plan));
    let _ = writeln!(
        text,
        "\n| rank | trial | {metric} | epochs | time | parameters |\n| ---: | ---: | ---: | ---: | ---: | --- |"
    );
    for trial in board.trials.iter().filter(|trial| trial.shown_value().is_some()).take(ROWS as usize) {
        let _ = writeln!(
            text,
            "| {} | {} | {:.4}{} | {} | {} | {} |",
            trial.rank.map_or("-".to_owned(), |rank| rank.to_string()),
            trial.number,
            trial.shown_value().unwrap_or(f64::NAN),
            if trial.state == TrialState::Complete { "" } else { " *" },
            trial.steps,
            duration(trial.active_ms),
            words(&trial.params),
        );
    }
    text.push_str("\n\\* not trained to the end\n");
    text.push_str(&wasted(&board.trials, summary.active_ms));
    Ok(text)
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
        (Some(value), Some(winner)) => format!(
            "The recipe that the search started from (trial {}) has {metric} {value:.4} after {} epochs: the winner is {:.4} better.\n",
            trial.number,
            trial.steps,
            if plan.metric.is_maximized() { winner - value } else { value - winner },
        ),
        _ => format!("The recipe that the search started from (trial {}) has no result.\n", trial.number),
    }
}

/// Time that went into trials without a result, by cause.
fn wasted(trials: &[TrialRow], total_ms: u64) -> String {
    let failed = trials.iter().filter(|trial| matches!(trial.state, TrialState::Failed | TrialState::Lost));
    let mut text = String::new();
    let mut sum = 0;
    for trial in failed {
        sum += trial.active_ms;
        let message = trial.message.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let cause = trial.cause.map_or("failed".to_owned(), |cause| format!("{cause:?}").to_lowercase());
        let _ = writeln!(text, "- trial {}: {cause}, {message}", trial.number);
    }
    match text.is_empty() {
        true => text,
        false => format!(
            "\nFailed trials took {} ({:.0} % of the training time):\n\n{text}",
            duration(sum),
            100.0 * sum as f64 / total_ms.max(1) as f64
        ),
    }
}

fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}
