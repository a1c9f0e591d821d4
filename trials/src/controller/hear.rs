//! What the controller makes of the news of its workers.

use std::collections::BTreeMap;
use std::time::Duration;

use nightsweep_search::{Attempt, Event, FailureCause, PauseReason, TrialNumber, Verdict};
use nightsweep_store::{Level, Provenance};
use tracing::{info, warn};

use super::remedy::{self, HALVINGS, Remedy};
use super::seat::{Job, Life, Why, back_off};
use super::session::{Ending, RunError};
use super::{Controller, Phase, Requeue};
use crate::executor::{Executor, News, WorkerId};
use crate::protocol::{self, FromWorker, Outcome, ToWorker};
use crate::worker::cause_of_text;

/// Lines of standard error of one attempt that go into the trial's log.
const MAX_LINES: u32 = 1000;
/// Bytes that a worker may keep beyond what it did at first: allocators keep what they may need again.
const BLOAT: u64 = 1 << 30;

impl<E: Executor> Controller<'_, E> {
    pub(super) async fn hear(&mut self, news: News) -> Result<(), RunError> {
        let (News::Line { worker, .. } | News::Aside { worker, .. } | News::Gone { worker, .. }) = &news;
        let Some(place) = self.seats.iter().position(|seat| seat.worker() == Some(*worker)) else {
            // A worker that was given up.
            return self.hear_stranger(*worker, news).await;
        };
        self.seats[place].heard = self.executor.now();
        match news {
            News::Line { worker, line } => match protocol::parse(&line) {
                Ok(message) => self.hear_worker(place, worker, message).await,
                Err(error) => {
                    self.note(place, Level::Error, &error.to_string()).await?;
                    self.kill(place, Why::Faulty(error.to_string()));
                    Ok(())
                }
            },
            News::Aside { line, .. } => {
                self.seats[place].overhear(line.clone());
                self.note_aside(place, &line).await
            }
            News::Gone { message, cause, .. } => self.gone(place, &message, cause).await,
        }
    }

    async fn hear_worker(&mut self, place: usize, worker: WorkerId, message: FromWorker) -> Result<(), RunError> {
        match message {
            FromWorker::Hello { protocol, version, .. } if protocol != protocol::VERSION => {
                let ours = protocol::VERSION;
                let text = format!("the worker (version {version}) speaks protocol {protocol} instead of {ours}");
                self.kill(place, Why::Faulty(text));
                Ok(())
            }
            FromWorker::Hello { pid, device, .. } => {
                info!(pid, "worker {pid} is ready on {device}");
                self.seats[place].ready(pid);
                Ok(())
            }
            FromWorker::Heartbeat => Ok(()),
            FromWorker::Began { trial, attempt, provenance } => match self.holds(place, trial, attempt) {
                true => {
                    let provenance = Provenance { files: self.work.files.clone(), ..provenance };
                    Ok(self.store.record_provenance(self.id, trial, attempt, &provenance).await?)
                }
                false => Ok(()),
            },
            FromWorker::Report { trial, attempt, step, metrics } => {
                match self.holds(place, trial, attempt) {
                    true => self.reported(place, worker, step, metrics).await,
                    false => {
                        let what = format!("a report of epoch {step}");
                        self.fence(place, trial, attempt, &what).await?;
                        // Whoever trains it is to stop.
                        let verdict = Verdict::Stop;
                        self.executor.send(worker, &ToWorker::Verdict { trial, attempt, step, verdict });
                        Ok(())
                    }
                }
            }
            FromWorker::Log { trial, attempt, level, text } => match self.holds(place, trial, attempt) {
                true => self.note(place, level, &text).await,
                false => Ok(()),
            },
            FromWorker::Ended { trial, attempt, outcome } => match self.holds(place, trial, attempt) {
                true => self.ended(place, worker, outcome).await,
                false => self.fence(place, trial, attempt, "its end").await,
            },
        }
    }

    /// Whether the worker there has that trial in that attempt.
    fn holds(&self, place: usize, trial: TrialNumber, attempt: Attempt) -> bool {
        self.seats[place].job().is_some_and(|job| (job.trial, job.attempt) == (trial, attempt))
    }

    async fn reported(
        &mut self,
        place: usize,
        worker: WorkerId,
        step: u64,
        metrics: BTreeMap<String, f64>,
    ) -> Result<(), RunError> {
        let Job { trial, attempt, is_settled, .. } = self.seats[place].job().expect("the caller looked").clone();
        let answer = |verdict| ToWorker::Verdict { trial, attempt, step, verdict };
        if is_settled {
            return self.fence(place, trial, attempt, &format!("a report of epoch {step}")).await;
        }
        let last = self.study.trial(trial).map_or(0, |trial| trial.step());
        if step <= last {
            // Trained again from an older checkpoint: it went on then, so it goes on now.
            self.executor.send(worker, &answer(Verdict::Continue));
            return Ok(());
        }
        if step > last + 1 {
            let message = format!("the worker reported epoch {step} after epoch {last}");
            self.kill(place, Why::Faulty(message));
            return Ok(());
        }
        let value = metrics.get(self.work.metric.name()).copied();
        let figure = |name: &str| metrics.get(name).copied();
        let (train_seconds, gpu_bytes) = (figure("train_seconds"), figure("device_memory_bytes"));
        self.log(Event::Reported { trial, attempt, step, value, metrics }).await?;
        self.seats[place].was_of_use();
        self.learn_pace(place, train_seconds, gpu_bytes);
        self.plan_time().await?;
        let verdict = self.study.verdict(trial);
        let end = match verdict {
            _ if self.study.trial(trial).is_some_and(|trial| trial.wish.is_some()) => self.wished(trial, attempt),
            Verdict::Continue => None,
            Verdict::Pause => Some(Event::Paused { trial, attempt, reason: PauseReason::Rung }),
            Verdict::Stop => Some(Event::Pruned { trial, attempt }),
        };
        if let Some(end) = end {
            // The checkpoint is on disk, so the worker need not be waited for.
            self.settle(place, end).await?;
        }
        self.executor.send(worker, &answer(verdict));
        Ok(())
    }

    async fn ended(&mut self, place: usize, worker: WorkerId, outcome: Outcome) -> Result<(), RunError> {
        let Job { trial, attempt, is_settled, .. } = self.seats[place].job().expect("the caller looked").clone();
        let breaks_worker = matches!(
            outcome,
            Outcome::Failed {
                cause: FailureCause::Crashed
                    | FailureCause::OutOfMemory
                    | FailureCause::HostOutOfMemory
                    | FailureCause::DeviceLost,
                ..
            }
        );
        if !is_settled {
            let event = match outcome {
                Outcome::Completed { value, .. } => Some(Event::Completed { trial, attempt, value }),
                Outcome::Interrupted => {
                    let interrupted = Event::Paused { trial, attempt, reason: PauseReason::Interrupted };
                    Some(self.wished(trial, attempt).unwrap_or(interrupted))
                }
                Outcome::Failed { cause, message } if self.is_final(cause) => {
                    Some(Event::Failed { trial, attempt, cause, message })
                }
                Outcome::Failed { cause: FailureCause::OutOfMemory, message } if self.was_crowded(place) => {
                    // Its neighbours had the memory: there will be fewer of them, and it stays as it is.
                    Some(Event::Requeued { trial, attempt, cause: None, message })
                }
                Outcome::Failed { cause, message } => {
                    self.close_job(place);
                    self.lost(trial, attempt, message, cause).await?;
                    None
                }
                Outcome::DiskFull { message } => {
                    // Room for this trial's checkpoint and those of its neighbours.
                    if !self.make_room(u64::MAX).await? {
                        self.end(Ending::DiskFull { message: message.clone() }).await?;
                    }
                    Some(Event::Requeued { trial, attempt, cause: None, message })
                }
                Outcome::Paused | Outcome::Stopped => {
                    self.kill(place, Why::Faulty("the worker ended it unasked".to_owned()));
                    return Ok(());
                }
            };
            if let Some(event) = event {
                self.settle(place, event).await?;
            }
        }
        if matches!(self.seats[place].life, Life::Busy { .. }) {
            self.seats[place].forget_words();
            self.seats[place].life = Life::Idle { worker };
            self.packing.ended(&self.seats[place].slot, self.executor.now());
            if breaks_worker {
                self.kill(place, Why::Faulty("a trial broke it".to_owned()));
            } else {
                self.seats[place].was_of_use();
                self.look_at_memory(place, worker);
            }
        }
        Ok(())
    }

    /// Replaces a worker that keeps much more memory between trials than it did after its first one.
    fn look_at_memory(&mut self, place: usize, worker: WorkerId) {
        let Some(bytes) = self.executor.memory_of(worker) else { return };
        let baseline = *self.seats[place].baseline.get_or_insert(bytes);
        if bytes > (2 * baseline).max(baseline + BLOAT) {
            let (now, then) = (bytes >> 20, baseline >> 20);
            self.kill(place, Why::Bloated(format!("the worker keeps {now} MiB where it kept {then} MiB at first")));
        }
    }

    fn was_crowded(&mut self, place: usize) -> bool {
        let now = self.executor.now();
        self.packing.out_of_memory(&self.seats[place].slot, now)
    }

    /// Whether a worker that is alive and says so has said the last word. A panic comes again with the same seed.
    fn is_final(&self, cause: FailureCause) -> bool {
        cause == FailureCause::Crashed || remedy::remedy(cause, self.options.max_deaths) == Remedy::Fail
    }

    /// The worker there has nothing more to say of its trial.
    fn close_job(&mut self, place: usize) {
        if let Some(job) = self.seats[place].job_mut() {
            job.is_settled = true;
        }
    }

    /// Logs the end of the trial that the worker there has.
    async fn settle(&mut self, place: usize, event: Event) -> Result<(), RunError> {
        self.close_job(place);
        let trial = event.trial();
        self.fail(event).await?;
        match trial {
            Some(trial) => self.keep_room(trial).await,
            None => Ok(()),
        }
    }

    /// The worker there is gone.
    pub(super) async fn gone(&mut self, place: usize, message: &str, cause: FailureCause) -> Result<(), RunError> {
        let now = self.executor.now();
        let seat = &mut self.seats[place];
        let is_on_gpu = seat.slot.is_gpu();
        let job = seat.open_job().cloned();
        let why = match &seat.life {
            Life::Dying { why, .. } => why.clone(),
            _ => Why::Faulty(format!("the worker {message}")),
        };
        let last_words = seat.last_words();
        seat.vacate(now, self.options.max_deaths);
        self.packing.ended(&self.seats[place].slot, now);
        let Some(Job { trial, attempt, .. }) = job else {
            let (Why::Faulty(what) | Why::Hung(what) | Why::Bloated(what)) = why else { return Ok(()) };
            warn!("{what}{last_words}");
            return self.give_up_without_workers(&format!("{what}{last_words}")).await;
        };
        match why {
            Why::Closing => self.log(Event::Paused { trial, attempt, reason: PauseReason::Interrupted }).await,
            Why::TimedOut => {
                let limit = self.options.trial_limit.unwrap_or_default().as_secs_f64();
                let message = format!("it trained for longer than {limit} s");
                self.fail(Event::Failed { trial, attempt, cause: FailureCause::TimedOut, message }).await
            }
            Why::Hung(what) => self.lost(trial, attempt, format!("{what}{last_words}"), FailureCause::Hung).await,
            Why::Faulty(what) | Why::Bloated(what) => {
                let cause = if cause == FailureCause::Crashed { cause_of_text(&last_words, is_on_gpu) } else { cause };
                self.lost(trial, attempt, format!("{what}{last_words}"), cause).await
            }
        }
    }

    /// A trial came to nothing this time, and is to go on, unless that happens all the time.
    async fn lost(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        message: String,
        cause: FailureCause,
    ) -> Result<(), RunError> {
        let (deaths, halvings) = (self.book.deaths(trial) + 1, self.book.halvings(trial));
        warn!(%trial, "trial {trial}: {message}");
        let remedy = remedy::remedy(cause, self.options.max_deaths);
        let is_enough = match remedy {
            Remedy::Fail => true,
            Remedy::Again { times } => deaths >= times,
            Remedy::Smaller => halvings >= HALVINGS,
            Remedy::PauseStudy { .. } => false,
        };
        if is_enough {
            return self.fail(Event::Failed { trial, attempt, cause, message }).await;
        }
        if let Remedy::PauseStudy { times } = remedy
            && deaths >= times
        {
            let text = message.clone();
            let ending = match cause {
                FailureCause::BadData => Ending::BadData { message: text },
                _ => Ending::DeviceLost { message: text },
            };
            self.end(ending).await?;
        }
        let wait = if remedy == Remedy::Smaller { Duration::ZERO } else { back_off(deaths) };
        if wait.is_zero() || matches!(self.phase, Phase::Ending { .. }) {
            return self.log(Event::Requeued { trial, attempt, cause: Some(cause), message }).await;
        }
        self.store.append_log(self.id, trial, attempt, Level::Error, &message).await?;
        self.requeues.push(Requeue { from: self.executor.now() + wait, trial, attempt, cause, message });
        Ok(())
    }

    /// Records that an older attempt spoke.
    async fn fence(&mut self, place: usize, trial: TrialNumber, attempt: Attempt, what: &str) -> Result<(), RunError> {
        let is_known = self.study.trial(trial).is_some() && attempt <= self.attempt(trial);
        if is_known {
            return self.log(Event::Fenced { trial, attempt, message: what.to_owned() }).await;
        }
        self.kill(place, Why::Faulty(format!("the worker spoke of attempt {attempt} of trial {trial}, which is none")));
        Ok(())
    }

    /// Nothing of a worker that was given up counts any more, but it is on record.
    async fn hear_stranger(&mut self, worker: WorkerId, news: News) -> Result<(), RunError> {
        let News::Line { line, .. } = news else { return Ok(()) };
        self.executor.kill(worker);
        match protocol::parse(&line) {
            Ok(FromWorker::Report { trial, attempt, step, .. }) if self.study.trial(trial).is_some() => {
                let message = format!("a report of epoch {step}");
                self.log(Event::Fenced { trial, attempt, message }).await
            }
            Ok(FromWorker::Ended { trial, attempt, .. }) if self.study.trial(trial).is_some() => {
                self.log(Event::Fenced { trial, attempt, message: "its end".to_owned() }).await
            }
            _ => Ok(()),
        }
    }

    /// A line of standard error goes into the log of the trial that its worker has.
    async fn note_aside(&mut self, place: usize, line: &str) -> Result<(), RunError> {
        let Some(job) = self.seats[place].job_mut() else { return Ok(()) };
        job.lines += 1;
        match job.lines {
            MAX_LINES => self.note(place, Level::Warn, "further lines are left out").await,
            lines if lines < MAX_LINES => self.note(place, Level::Info, line).await,
            _ => Ok(()),
        }
    }

    /// Something for people to read beside the trial that the worker there has.
    pub(super) async fn note(&mut self, place: usize, level: Level, text: &str) -> Result<(), RunError> {
        match self.seats[place].job() {
            Some(Job { trial, attempt, .. }) => {
                Ok(self.store.append_log(self.id, *trial, *attempt, level, text).await?)
            }
            None => {
                warn!("a worker said: {text}");
                Ok(())
            }
        }
    }
}
