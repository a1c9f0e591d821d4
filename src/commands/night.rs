//! What leads studies on this machine: its slots, its deadline and what is known of time, and the person at the keyboard.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, Result};
use nightsweep_search::{Event, Study};
use nightsweep_store::{Store, StudyRow};
use nightsweep_trials::Plan;
use nightsweep_trials::confirm::{Confirm, is_confirmation};
use nightsweep_trials::controller::{self, Control, Options, Session, Summary, Work};
use nightsweep_trials::launch::Local;
use nightsweep_trials::notify::Herald;
use nightsweep_trials::pace::Pace;
use nightsweep_trials::slots::{self, Slot};
use nightsweep_trials::time_plan::{self, Stage, TimePlan};
use nightsweep_trials::worker::chain;
use nightsweep_web::Ordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::progress::Progress;

/// Printing the report and writing the best recipe.
const REPORT: Duration = Duration::from_secs(2);
/// By how much the test split may be larger than the validation split.
const TEST_PER_VALIDATION: u32 = 2;
/// Share of a night that scoring and report may have.
const MOST_REPORT: f64 = 0.05;
/// Share of a night below which nothing new is begun after a confirmation.
const WORTH_IT: f64 = 0.02;
/// Share of a night that a search needs before another confirmation, to find what is worth one.
const WORTH_ANOTHER: f64 = 0.1;

/// What the time after a confirmation is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// For nothing.
    Nothing,
    /// For the search, which another night goes on with.
    Search,
    /// For the search, and for confirming what it finds.
    SearchAndConfirm,
}

/// One call of the program that runs studies.
pub struct Night<'a> {
    /// Folder of the store and of all trials.
    pub runs: &'a Path,
    /// The store.
    pub store: &'a Store,
    /// Where trials train.
    pub slots: Vec<Slot>,
    /// When trainings have to be over. By the clock that only goes on: who sets the other one does not move the end.
    deadline: Option<Instant>,
    /// The whole length of the night.
    length: Duration,
    /// What of it comes after the deadline: scoring the test split and the report.
    aftermath: Duration,
    /// With a deadline, what is known of the time that things take.
    time: Option<TimePlan>,
    /// Whether a confirmation is under way, of which nothing can be asked.
    is_racing: Arc<AtomicBool>,
    /// Who tells people what becomes of the study; it does not hear of its confirmation's trials.
    pub herald: Option<Herald>,
    /// Hash of the data's files, where it is known.
    pub files: Option<String>,
    orders: mpsc::UnboundedReceiver<Control>,
    sender: mpsc::UnboundedSender<Control>,
    listener: JoinHandle<()>,
}

impl<'a> Night<'a> {
    /// Listens to Ctrl-C from now on: the first time trials write their checkpoints, the second time it ends at once.
    pub fn new(runs: &'a Path, store: &'a Store, slots: Vec<Slot>, deadline: Option<Instant>) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        let interrupts = sender.clone();
        let listener = tokio::spawn(async move {
            for order in [Control::Interrupt, Control::Abort] {
                if super::for_interrupt().await.is_err() || interrupts.send(order).is_err() {
                    break;
                }
            }
            pending::<()>().await;
        });
        let length = deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        let is_racing = Arc::default();
        Self {
            runs,
            store,
            slots,
            deadline,
            length,
            aftermath: Duration::ZERO,
            time: None,
            is_racing,
            herald: None,
            files: None,
            orders,
            sender,
            listener,
        }
    }

    /// Plans the night of a study by what its models take. The end of it is left to scoring the test split and the report.
    pub fn plan_time(&mut self, plan: &Plan, pace: Pace, forecast: Option<(u64, u64)>) {
        let Some(deadline) = &mut self.deadline else { return };
        let trainings = (plan.confirm.top * plan.confirm.seeds) as u32;
        let scoring = pace.slowest_validation() * TEST_PER_VALIDATION * trainings;
        self.aftermath = (REPORT + scoring).min(self.length.mul_f64(MOST_REPORT));
        *deadline -= self.aftermath;
        self.time = Some(TimePlan { pace, stage: Stage::Race, forecast });
    }

    /// What the night is for from now on.
    pub fn enter(&mut self, stage: Stage) {
        self.is_racing.store(stage == Stage::Race, Ordering::Relaxed);
        if let Some(time) = &mut self.time {
            time.pace.forget_trials();
            time.stage = stage;
        }
    }

    /// The search of a study with that confirmation after it.
    pub fn search(&self, confirm: &Confirm) -> Stage {
        Stage::Search { confirm: confirm.clone(), night: self.length }
    }

    /// What else the rest of the night is good for, once the confirmation has left some of it.
    pub fn rest(&self, study: &Study, work: &Work, confirm: &Confirm) -> Rest {
        let (Some(left), Some(time)) = (self.left(), &self.time) else { return Rest::Nothing };
        let epoch = time.pace.mean().unwrap_or(self.length) + time.pace.start_up() + time.goodbye();
        let again = TimePlan { stage: self.search(confirm), ..time.clone() };
        let another =
            again.reserved(study, work, slots::certain(&self.slots).len()) + self.length.mul_f64(WORTH_ANOTHER);
        match left {
            left if left < epoch.max(self.length.mul_f64(WORTH_IT)) => Rest::Nothing,
            left if left < another => Rest::Search,
            _ => Rest::SearchAndConfirm,
        }
    }

    /// Hands what people ask for on the pages on to whoever leads the study, as long as the task is not ended.
    pub fn take_orders(&self, mut pages: mpsc::UnboundedReceiver<Ordered>) -> JoinHandle<()> {
        let (sender, is_racing) = (self.sender.clone(), self.is_racing.clone());
        tokio::spawn(async move {
            while let Some(Ordered { by, order, answer }) = pages.recv().await {
                if is_racing.load(Ordering::Relaxed) {
                    // The page may be gone.
                    let _ = answer.send(Err("the study is being confirmed: nothing can be asked of it now".to_owned()));
                    continue;
                }
                let (heard, hears) = oneshot::channel();
                if sender.send(Control::Order { by, order, answer: heard }).is_err() {
                    return;
                }
                tokio::spawn(async move {
                    let told = match hears.await {
                        Ok(told) => told.map_err(|error| chain(&error)),
                        Err(_) => Err("the study is being put down".to_owned()),
                    };
                    // The page may be gone.
                    let _ = answer.send(told);
                });
            }
        })
    }

    /// Leads a study to its end, or as long as the night lasts.
    pub async fn lead(&mut self, row: &StudyRow, plan: &Plan, study: &mut Study, work: &Work) -> Result<Summary> {
        let mut progress = Progress::new(study, plan.metric, plan.trials);
        let session = Session {
            study,
            store: self.store,
            id: row.id,
            work,
            slots: self.slots.clone(),
            options: Options {
                deadline: self.deadline,
                aftermath: self.aftermath,
                silence: plan.silence_seconds.map_or(Options::default().silence, Duration::from_secs),
                trial_limit: plan.trial_limit_seconds.map(Duration::from_secs),
                disk: plan.disk,
                ..Options::default()
            },
            time: self.time.as_mut(),
        };
        let mut herald = self.herald.as_mut().filter(|_| !is_confirmation(&plan.name));
        let mut show = |event: &Event| {
            progress.show(event);
            if let Some(herald) = &mut herald {
                herald.hear(event);
            }
        };
        let summary = controller::run(session, &mut Local::new(), &mut self.orders, &mut show).await;
        progress.finish();
        let summary = summary.into_diagnostic()?;
        if let (Some(before), Some(now)) = (self.deadline, summary.deadline) {
            // A person may have moved it.
            self.length = time_plan::moved(self.length, before, now);
            self.deadline = Some(now);
        }
        Ok(summary)
    }

    /// Time until the deadline, if there is one.
    pub fn left(&self) -> Option<Duration> {
        Some(self.deadline?.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Night<'_> {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
