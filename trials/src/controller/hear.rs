//! What the controller makes of the news of its workers.

use std::collections::BTreeMap;

use nightsweep_search::{Attempt, Event, FailureCause, PauseReason, TrialNumber, Verdict};
use nightsweep_store::{Level, Provenance};
use tracing::{info, warn};

use super::seat::{Job, Life, Why, back_off};
use super::session::{Ending, RunError};
use super::{Controller, Phase, Requeue};
use crate::executor::{Executor, News, WorkerId};
use crate::protocol::{self, FromWorker, Outcome, ToWorker};
use crate::worker::speaks_of_memory;

/// Lines of standard error of one attempt that go into the trial's log.
const MAX_LINES: u32 = 1000;

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
            News::Gone { message, is_out_of_memory, .. } => self.gone(place, &message, is_out_of_memory).await,
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
        self.log(Event::Reported { trial, attempt, step, value, metrics }).await?;
        self.seats[place].was_of_use();
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
        let breaks_worker =
            matches!(outcome, Outcome::Failed { cause: FailureCause::Crashed | FailureCause::OutOfMemory, .. });
        if !is_settled {
            let event = match outcome {
                Outcome::Completed { value, .. } => Event::Completed { trial, attempt, value },
                Outcome::Interrupted => {
                    let interrupted = Event::Paused { trial, attempt, reason: PauseReason::Interrupted };
                    self.wished(trial, attempt).unwrap_or(interrupted)
                }
                Outcome::Failed { cause, message } => Event::Failed { trial, attempt, cause, message },
                Outcome::DiskFull { message } => {
                    // Room for this trial's checkpoint and those of its neighbours.
                    if !self.make_room(u64::MAX).await? {
                        self.end(Ending::DiskFull { message: message.clone() }).await?;
                    }
                    Event::Requeued { trial, attempt, message }
                }
                Outcome::Paused | Outcome::Stopped => {
                    self.kill(place, Why::Faulty("the worker ended it unasked".to_owned()));
                    return Ok(());
                }
            };
            self.settle(place, event).await?;
        }
        if matches!(self.seats[place].life, Life::Busy { .. }) {
            self.seats[place].last_words.clear();
            self.seats[place].life = Life::Idle { worker };
            if breaks_worker {
                self.kill(place, Why::Faulty("a trial broke it".to_owned()));
            } else {
                self.seats[place].was_of_use();
            }
        }
        Ok(())
    }

    /// Logs the end of the trial that the worker there has.
    async fn settle(&mut self, place: usize, event: Event) -> Result<(), RunError> {
        if let Some(job) = self.seats[place].job_mut() {
            job.is_settled = true;
        }
        let trial = event.trial();
        self.fail(event).await?;
        match trial {
            Some(trial) => self.keep_room(trial).await,
            None => Ok(()),
        }
    }

    /// The worker there is gone.
    pub(super) async fn gone(&mut self, place: usize, message: &str, is_out_of_memory: bool) -> Result<(), RunError> {
        let now = self.executor.now();
        let seat = &mut self.seats[place];
        let job = seat.open_job().cloned();
        let why = match &seat.life {
            Life::Dying { why, .. } => why.clone(),
            _ => Why::Faulty(format!("the worker {message}")),
        };
        let last_words: String = seat.last_words.iter().map(|line| format!("\n{line}")).collect();
        seat.vacate(now, self.options.max_deaths);
        let Some(Job { trial, attempt, .. }) = job else {
            let Why::Faulty(what) = why else { return Ok(()) };
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
            Why::Faulty(what) => {
                let is_out_of_memory = is_out_of_memory || speaks_of_memory(&last_words);
                self.lost(trial, attempt, format!("{what}{last_words}"), is_out_of_memory).await
            }
        }
    }

    /// A trial has no worker any more and is to go on, unless that happens all the time.
    async fn lost(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        message: String,
        is_out_of_memory: bool,
    ) -> Result<(), RunError> {
        let deaths = self.book.deaths(trial) + 1;
        warn!(%trial, "trial {trial}: {message}");
        if deaths >= self.options.max_deaths {
            let cause = if is_out_of_memory { FailureCause::OutOfMemory } else { FailureCause::Crashed };
            return self.fail(Event::Failed { trial, attempt, cause, message }).await;
        }
        let wait = back_off(deaths);
        if wait.is_zero() || matches!(self.phase, Phase::Ending { .. }) {
            return self.log(Event::Requeued { trial, attempt, message }).await;
        }
        self.store.append_log(self.id, trial, attempt, Level::Error, &message).await?;
        self.requeues.push(Requeue { from: self.executor.now() + wait, trial, attempt, message });
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
    async fn note(&mut self, place: usize, level: Level, text: &str) -> Result<(), RunError> {
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
