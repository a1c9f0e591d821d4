//! What a run shows while it runs: bars in a terminal, plain lines in a pipe.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use nightsweep_search::{Event, Origin, Params, Study, TrialNumber};
use nightsweep_trainer::Metric;

use crate::commands::timing;

/// Follows a study's events.
pub struct Progress {
    metric: Metric,
    epochs: u64,
    best: Option<(TrialNumber, f64)>,
    params: BTreeMap<TrialNumber, Params>,
    /// Epochs that each trial has reported.
    steps: BTreeMap<TrialNumber, u64>,
    /// Whether the frame of the night was said.
    is_planned: bool,
    bars: Option<Bars>,
}

struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<TrialNumber, ProgressBar>,
}

impl Progress {
    /// Starts where the study stands.
    pub fn new(study: &Study, metric: Metric, trials: Option<u64>) -> Self {
        let best = study.best().and_then(|trial| Some((trial.number, trial.value?)));
        let params = study.trials().iter().map(|trial| (trial.number, trial.params.clone())).collect();
        let steps = study.trials().iter().map(|trial| (trial.number, trial.step())).collect();
        let bars = stderr().is_terminal().then(|| Bars::new(study, trials));
        Self { metric, epochs: study.config().max_step.unwrap_or(0), best, params, steps, is_planned: false, bars }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Started { trial, params, .. } => {
                self.params.insert(*trial, params.clone());
                self.say(&format!("trial {trial} started: {}", words(params)));
                self.begin(*trial);
            }
            Event::Forked { trial, params, origin, .. } => {
                let Origin { parent, epoch, replaces } = origin;
                self.params.insert(*trial, params.clone());
                self.steps.insert(*trial, *epoch);
                let from = format!("from trial {parent} at epoch {epoch}, in place of trial {replaces}");
                self.say(&format!("trial {trial} started {from}: {}", words(params)));
                self.begin(*trial);
            }
            Event::Resumed { trial, attempt } => {
                self.say(&format!("trial {trial} goes on (attempt {attempt})"));
                self.begin(*trial);
            }
            Event::Reported { trial, step, value, .. } => self.report(*trial, *step, *value),
            Event::Paused { trial, .. } => {
                self.say(&format!("trial {trial} paused"));
                self.end(*trial, false);
            }
            Event::Requeued { trial, message, .. } => {
                self.say(&format!("trial {trial} lost its worker and will go on: {message}"));
                self.end(*trial, false);
            }
            Event::Completed { trial, value, .. } => {
                self.end(*trial, true);
                let is_best = self.best.is_none_or(|(_, best)| self.metric.is_better(*value, best));
                self.say(&format!(
                    "trial {trial} complete: {} {value:.4}{}",
                    self.metric.name(),
                    if is_best { ", the best so far" } else { "" }
                ));
                if is_best {
                    self.best = Some((*trial, *value));
                }
            }
            Event::Pruned { trial, .. } => {
                self.say(&format!("trial {trial} pruned"));
                self.end(*trial, true);
            }
            Event::Failed { trial, message, .. } => {
                self.say(&format!("trial {trial} failed: {message}"));
                self.end(*trial, true);
            }
            Event::Planned { outlook } => {
                self.say(&timing::describe(outlook));
                if !std::mem::replace(&mut self.is_planned, true) {
                    self.say(&timing::describe_frame(outlook));
                }
            }
            Event::Opened { .. }
            | Event::Enqueued { .. }
            | Event::Imported { .. }
            | Event::Fenced { .. }
            | Event::Annotated { .. }
            | Event::Ordered { .. }
            | Event::Closed { .. } => {}
        }
    }

    /// Leaves the terminal clean.
    pub fn finish(&mut self) {
        if let Some(bars) = &self.bars {
            bars.running.values().for_each(ProgressBar::finish_and_clear);
            bars.total.finish_and_clear();
        }
    }

    /// A line above the bars, or on its own.
    fn say(&self, line: &str) {
        match &self.bars {
            // A terminal that went away is no reason to stop.
            Some(bars) => drop(bars.multi.println(line)),
            None => say!("{line}"),
        }
    }

    fn begin(&mut self, trial: TrialNumber) {
        let step = self.steps.get(&trial).copied().unwrap_or(0);
        let Some(bars) = &mut self.bars else { return };
        let style = ProgressStyle::with_template("  trial {prefix:>4} {bar:20.cyan/blue} {pos:>3}/{len} {wide_msg}");
        let bar = bars.multi.add(ProgressBar::new(self.epochs)).with_prefix(trial.to_string()).with_position(step);
        bar.set_style(style.expect("the template is one"));
        if let Some(params) = self.params.get(&trial) {
            bar.set_message(words(params));
        }
        bars.running.insert(trial, bar);
    }

    fn report(&mut self, trial: TrialNumber, step: u64, value: Option<f64>) {
        self.steps.insert(trial, step);
        let shown = value.map_or("no number".to_owned(), |value| format!("{value:.4}"));
        match &self.bars {
            Some(bars) => {
                if let Some(bar) = bars.running.get(&trial) {
                    bar.set_position(step);
                    let params = self.params.get(&trial).map(words).unwrap_or_default();
                    bar.set_message(format!("{shown}  {params}"));
                }
            }
            None => say!("trial {trial} epoch {step}/{}: {} {shown}", self.epochs, self.metric.name()),
        }
    }

    fn end(&mut self, trial: TrialNumber, is_finished: bool) {
        let Some(bars) = &mut self.bars else { return };
        if let Some(bar) = bars.running.remove(&trial) {
            bar.finish_and_clear();
        }
        if is_finished {
            bars.total.inc(1);
        }
        if let Some((best, value)) = self.best {
            bars.total.set_message(format!("best {value:.4} (trial {best})"));
        }
    }
}

impl Bars {
    fn new(study: &Study, trials: Option<u64>) -> Self {
        let multi = MultiProgress::new();
        let finished = study.trials().iter().filter(|trial| trial.state.is_finished()).count() as u64;
        let template = match trials {
            Some(_) => "{elapsed_precise} {bar:30.green} {pos}/{len} trials finished {msg}",
            None => "{elapsed_precise} {spinner} {pos} trials finished {msg}",
        };
        let total = multi.add(ProgressBar::new(trials.unwrap_or(0)).with_position(finished));
        total.set_style(ProgressStyle::with_template(template).expect("the template is one"));
        total.enable_steady_tick(Duration::from_millis(500));
        Self { multi, total, running: BTreeMap::new() }
    }
}

/// A point in one line, without the paths of its names.
pub fn words(params: &Params) -> String {
    let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let value = |value: &nightsweep_search::ParamValue| match value {
        nightsweep_search::ParamValue::Float(float) => format_float(*float),
        other => other.to_string(),
    };
    params.iter().map(|(name, it)| format!("{}={}", short(name), value(it))).collect::<Vec<_>>().join(" ")
}

/// A number of things, as `1 trial` or `3 trials`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    if count == N::from(1) { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Three digits that mean something.
pub fn format_float(float: f64) -> String {
    match float != 0.0 && (float.abs() < 1e-3 || float.abs() >= 1e4) {
        true => format!("{float:.2e}"),
        false => format!("{:.4}", float).trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}
