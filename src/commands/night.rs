//! What leads studies on this machine: its slots, its deadline, and the person at the keyboard.

use std::future::pending;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use miette::{IntoDiagnostic, Result};
use nightsweep_search::{Event, Study};
use nightsweep_store::{Store, StudyRow};
use nightsweep_trials::Plan;
use nightsweep_trials::confirm::is_confirmation;
use nightsweep_trials::controller::{self, Control, Options, Session, Summary, Work};
use nightsweep_trials::launch::Local;
use nightsweep_trials::notify::Herald;
use nightsweep_trials::slots::Slot;
use nightsweep_trials::worker::chain;
use nightsweep_web::Ordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::progress::Progress;

/// One call of the program that runs studies.
pub struct Night<'a> {
    /// Folder of the store and of all trials.
    pub runs: &'a Path,
    /// The store.
    pub store: &'a Store,
    /// Where trials train.
    pub slots: Vec<Slot>,
    /// When everything has to be over.
    pub deadline: Option<ZonedDateTime>,
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
    pub fn new(runs: &'a Path, store: &'a Store, slots: Vec<Slot>, deadline: Option<ZonedDateTime>) -> Self {
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
        Self { runs, store, slots, deadline, herald: None, files: None, orders, sender, listener }
    }

    /// Hands what people ask for on the pages on to whoever leads the study, as long as the task is not ended.
    pub fn take_orders(&self, mut pages: mpsc::UnboundedReceiver<Ordered>) -> JoinHandle<()> {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            while let Some(Ordered { by, order, answer }) = pages.recv().await {
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

    /// Leads a study to its end, or for that share of what is left of the night.
    pub async fn lead(
        &mut self,
        row: &StudyRow,
        plan: &Plan,
        study: &mut Study,
        work: &Work,
        share: f64,
    ) -> Result<Summary> {
        let mut progress = Progress::new(study, plan.metric, plan.trials);
        let deadline = self.left().map(|left| Instant::now() + left.mul_f64(share));
        let session = Session {
            study,
            store: self.store,
            id: row.id,
            work,
            slots: self.slots.clone(),
            options: Options {
                deadline,
                trial_limit: plan.trial_limit_seconds.map(Duration::from_secs),
                disk: plan.disk,
                ..Options::default()
            },
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
        summary.into_diagnostic()
    }

    /// Time until the deadline, if there is one.
    fn left(&self) -> Option<Duration> {
        let left = self.deadline.as_ref()?.duration_since(&ZonedDateTime::now());
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }
}

impl Drop for Night<'_> {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
