//! How the controller spends the time until its deadline.

use std::time::{Duration, Instant};

use nightsweep_search::{Event, Loss, Order, Outlook, PauseReason, Suggestion, Trial, TrialNumber, TrialState};

use super::session::RunError;
use super::{Controller, Life};
use crate::executor::Executor;
use crate::time_plan::{self, Stage, TimePlan};

/// In whose name trials are finished that the pruner had paused.
const PLANNER: &str = "the time plan";
/// Share of a training's time, margin included, that must be left for it in a race.
const RACE_MARGIN: f64 = 0.9;
/// Share of a night after which its outlook is logged again.
const BETWEEN_OUTLOOKS: f64 = 0.05;

/// When what was planned last ends, and when it was logged.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// When nothing may run any more.
    pub finish: Option<Instant>,
    /// When an outlook was logged, and how much time it reserved.
    logged: Option<(Instant, Duration)>,
    /// When this run began, and the epochs that had been reported then.
    begin: Option<(Instant, u64)>,
}

impl<E: Executor> Controller<'_, E> {
    /// Plans the rest of the time anew, and logs what is expected of it if that is news.
    pub(super) async fn plan_time(&mut self) -> Result<(), RunError> {
        let Some(deadline) = self.options.deadline else { return Ok(()) };
        let Some(time) = self.time.as_deref() else {
            self.schedule.finish = Some(deadline);
            return Ok(());
        };
        let now = self.executor.now();
        let reserved = time.reserved(self.study, self.work, self.open_slots());
        let goodbye = time.goodbye();
        self.schedule.finish = Some(deadline.checked_sub(reserved + goodbye).unwrap_or(now));
        let Stage::Search { night, .. } = time.stage else { return Ok(()) };
        let is_news = self.schedule.logged.is_none_or(|(at, before)| {
            now >= at + night.mul_f64(BETWEEN_OUTLOOKS) || reserved.abs_diff(before) > night.mul_f64(BETWEEN_OUTLOOKS)
        });
        if !is_news {
            return Ok(());
        }
        self.schedule.begin.get_or_insert((now, reported_epochs(self.study.trials())));
        self.schedule.logged = Some((now, reserved));
        let outlook = self.outlook(deadline.saturating_duration_since(now), reserved);
        self.log(Event::Planned { outlook }).await
    }

    /// Lets everything be over after so long instead of when it was to be, and plans the rest anew.
    pub(super) async fn move_deadline(&mut self, left: Duration) -> Result<(), RunError> {
        let Some(before) = self.options.deadline else { return Ok(()) };
        let deadline = self.executor.now() + left.saturating_sub(self.options.aftermath);
        self.options.deadline = Some(deadline);
        if let Some(TimePlan { stage: Stage::Search { night, .. }, .. }) = self.time.as_deref_mut() {
            *night = time_plan::moved(*night, before, deadline);
        }
        // Whoever moved it wants to see what is expected now.
        self.schedule.logged = None;
        self.plan_time().await
    }

    fn outlook(&self, left: Duration, reserved: Duration) -> Outlook {
        let time = self.time.as_deref().expect("only a run with a time plan has an outlook");
        let (trials, workers) = (self.study.trials(), self.open_slots());
        let config = self.study.config();
        let reported = reported_epochs(trials);
        let now = self.executor.now();
        let search = left.saturating_sub(reserved).as_secs_f64();
        // Epochs a second of this run, once it has had some; until then, as if all slots trained the mean model.
        let so_far = self.schedule.begin.and_then(|(begin, before)| {
            let seconds = now.saturating_duration_since(begin).as_secs_f64();
            let epochs = reported.saturating_sub(before);
            (epochs >= 3 * workers as u64 && seconds > 0.0).then(|| epochs as f64 / seconds)
        });
        let rate = so_far.or_else(|| Some(workers as f64 / time.pace.mean()?.as_secs_f64().max(1e-9)));
        let epochs = reported + (search * rate.unwrap_or(0.0)) as u64;
        let complete = trials.iter().filter(|trial| trial.state == TrialState::Complete).count() as u64;
        let growth = epochs as f64 / reported.max(1) as f64;
        let grown = |count: u64| (count as f64 * growth).round() as u64;
        let is_early = growth > 10.0;
        let (trials, complete) = match time.forecast {
            Some((trials, complete)) if is_early => (trials, complete),
            _ => (grown(trials.len() as u64).max(trials.len() as u64), grown(complete).max(complete)),
        };
        let trials = config.max_trials.map_or(trials, |most| trials.min(most));
        let max_epochs = config.max_step.unwrap_or(0);
        Outlook {
            left_seconds: left.as_secs_f64(),
            reserved_seconds: reserved.as_secs_f64(),
            workers: workers as u64,
            max_epochs,
            brackets: config.pruner.brackets(max_epochs),
            trials,
            complete: complete.min(trials),
            epochs,
            disk_bytes: trials * time.pace.checkpoint_bytes(),
            models: time.pace.models(),
        }
    }

    /// What a free worker is to do with the time that is left: what the search suggests, or to finish a paused trial if
    /// what is suggested would not get to its end any more. `None` if nothing gets anywhere.
    pub(super) async fn timely(&mut self, suggestion: Suggestion) -> Result<Option<Suggestion>, RunError> {
        let (Some(time), Some(finish)) = (self.time.as_deref(), self.schedule.finish) else {
            return Ok(Some(suggestion));
        };
        let left = finish.saturating_duration_since(self.executor.now());
        let (trial, done, waits) = match &suggestion {
            Suggestion::Start { trial, .. } => (*trial, 0, false),
            Suggestion::Fork { trial, origin, .. } => (*trial, origin.epoch, false),
            Suggestion::Resume { trial } => {
                let known = self.study.trial(*trial).expect("the search knows what it suggests");
                let waits = known.pause != Some(PauseReason::Rung);
                (*trial, known.step(), waits)
            }
            Suggestion::Wait | Suggestion::Done => return Ok(Some(suggestion)),
        };
        let recipe = || {
            let params = match &suggestion {
                Suggestion::Start { params, .. } | Suggestion::Fork { params, .. } => params,
                _ => &self.study.trial(trial)?.params,
            };
            self.work.recipe_of(params).ok()
        };
        let whole = time.pace.time_of(trial, recipe, self.work.recipe.epochs.saturating_sub(done));
        // Of what nothing is known, everything is tried.
        if whole.is_none_or(|whole| whole <= left) {
            return Ok(Some(suggestion));
        }
        if time.stage == Stage::Race {
            // Nothing comes after it that a training could be in the way of.
            let fits = whole.is_some_and(|whole| whole.mul_f64(RACE_MARGIN) <= left);
            return Ok(fits.then_some(suggestion));
        }
        if !waits && let Some(trial) = self.best_to_finish(time, left) {
            self.log(Event::Ordered { by: PLANNER.to_owned(), order: Order::Finish { trial } }).await?;
            return Ok(Some(self.study.ask()));
        }
        let is_of_use = time.pace.time_of(trial, recipe, 1).is_none_or(|epoch| epoch <= left);
        Ok(is_of_use.then_some(suggestion))
    }

    /// The best trial that waits on a rung and can be trained to its end in that time.
    fn best_to_finish(&self, time: &TimePlan, left: Duration) -> Option<TrialNumber> {
        let direction = self.study.config().direction;
        let paused = self.study.trials().iter().filter(|trial| trial.pause == Some(PauseReason::Rung));
        let mut paused: Vec<(Loss, &Trial)> =
            paused.filter_map(|trial| Some((Loss::of(trial.last_value()?, direction), trial))).collect();
        paused.sort_by_key(|(loss, trial)| (*loss, trial.number));
        let fits = |trial: &Trial| {
            let recipe = || self.work.recipe_of(&trial.params).ok();
            let epochs = self.work.recipe.epochs.saturating_sub(trial.step());
            time.pace.time_of(trial.number, recipe, epochs).is_some_and(|whole| whole <= left)
        };
        paused.into_iter().map(|(_, trial)| trial).find(|trial| fits(trial)).map(|trial| trial.number)
    }

    /// Learns from the report of the worker there how long the epoch took, and what it had of a GPU.
    pub(super) fn learn_pace(&mut self, place: usize, train_seconds: Option<f64>, gpu_bytes: Option<f64>) {
        let now = self.executor.now();
        let Life::Busy { job, .. } = &mut self.seats[place].life else { return };
        let took = now.saturating_duration_since(job.since);
        let is_first = !std::mem::replace(&mut job.has_reported, true);
        job.since = now;
        // A report that was lost on its way is told again and took no time now.
        let is_told_again = took.is_zero() || train_seconds.is_some_and(|seconds| took.as_secs_f64() < 0.5 * seconds);
        if is_told_again {
            return;
        }
        if let Some(time) = self.time.as_deref_mut() {
            time.pace.learn(job.trial, &job.family, took, is_first);
        }
        // The first epoch of an assignment has its start-up in it.
        if !is_first {
            let peak = gpu_bytes.map(|bytes| bytes as u64);
            self.packing.reported(&self.seats[place].slot, took, peak, now);
        }
    }
}

fn reported_epochs(trials: &[Trial]) -> u64 {
    trials.iter().map(Trial::step).sum()
}
