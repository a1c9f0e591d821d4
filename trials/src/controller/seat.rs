//! A slot and its worker as the controller sees them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nightsweep_search::{Attempt, FailureCause, TrialNumber};

use crate::executor::WorkerId;
use crate::pace::Family;
use crate::slots::Slot;
use crate::worker::cause_of_text;

/// Lines of a worker's standard error that are kept for the message of its death.
const LAST_WORDS: usize = 8;
/// Longest wait before a slot gets a new worker.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// A slot, its worker, and what that one does.
#[derive(Debug)]
pub(super) struct Seat {
    pub slot: Slot,
    pub life: Life,
    /// Workers that died since one here was last of use.
    pub deaths: u32,
    /// Workers that died before they were ready, since one was.
    pub failed_starts: u32,
    /// Bytes of memory that the worker had after its first trial.
    pub baseline: Option<u64>,
    /// Process id of the worker, once it has said hello.
    pub pid: Option<u32>,
    /// When the worker was last heard of.
    pub heard: Instant,
    pub last_words: VecDeque<String>,
    /// A line that says what kind of failure it is, however much was said after it.
    pub sign: Option<String>,
}

/// The life of a worker.
#[derive(Debug)]
pub(super) enum Life {
    /// There is none; one may be started from then on.
    Absent { from: Instant },
    /// Has not said hello yet.
    Starting { worker: WorkerId },
    /// Is ready and has no trial.
    Idle { worker: WorkerId },
    /// Trains.
    Busy { worker: WorkerId, job: Job },
    /// Was killed; until it is gone, its trial may still report.
    Dying { worker: WorkerId, job: Option<Job>, why: Why, until: Instant },
    /// Too many workers died here before they were of any use.
    Retired,
}

/// Why a worker was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It does not follow the protocol.
    Faulty(String),
    /// It is silent.
    Hung(String),
    /// It keeps memory that it has no trial for.
    Bloated(String),
    /// Its trial took too long.
    TimedOut,
    /// The controller ends.
    Closing,
}

/// A trial in the hands of a worker.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub trial: TrialNumber,
    pub attempt: Attempt,
    pub begin: Instant,
    /// When it last reported, or else began.
    pub since: Instant,
    /// Whether it has reported.
    pub has_reported: bool,
    /// What decides how long its epochs take.
    pub family: Family,
    /// The log has its end already; the worker has yet to let go.
    pub is_settled: bool,
    /// Lines that its worker's standard error put into the trial's log.
    pub lines: u32,
}

impl Seat {
    pub fn new(slot: Slot, now: Instant) -> Self {
        Self {
            slot,
            life: Life::Absent { from: now },
            deaths: 0,
            failed_starts: 0,
            baseline: None,
            pid: None,
            heard: now,
            last_words: VecDeque::new(),
            sign: None,
        }
    }

    /// A worker is being started.
    pub fn start(&mut self, worker: WorkerId, now: Instant) {
        self.life = Life::Starting { worker };
        self.pid = None;
        self.baseline = None;
        self.heard = now;
    }

    /// The worker said hello.
    pub fn ready(&mut self, pid: u32) {
        if let Life::Starting { worker } = self.life {
            self.life = Life::Idle { worker };
            self.pid = Some(pid);
            self.failed_starts = 0;
        }
    }

    pub fn worker(&self) -> Option<WorkerId> {
        match self.life {
            Life::Starting { worker } | Life::Idle { worker } => Some(worker),
            Life::Busy { worker, .. } | Life::Dying { worker, .. } => Some(worker),
            Life::Absent { .. } | Life::Retired => None,
        }
    }

    pub fn job(&self) -> Option<&Job> {
        match &self.life {
            Life::Busy { job, .. } => Some(job),
            Life::Dying { job, .. } => job.as_ref(),
            _ => None,
        }
    }

    pub fn job_mut(&mut self) -> Option<&mut Job> {
        match &mut self.life {
            Life::Busy { job, .. } => Some(job),
            Life::Dying { job, .. } => job.as_mut(),
            _ => None,
        }
    }

    /// The trial whose end the log does not have yet.
    pub fn open_job(&self) -> Option<&Job> {
        self.job().filter(|job| !job.is_settled)
    }

    /// Keeps the end of what a worker says on its standard error.
    pub fn overhear(&mut self, line: String) {
        if cause_of_text(&line, self.slot.is_gpu()) != FailureCause::Crashed {
            self.sign = Some(line.clone());
        }
        if self.last_words.len() == LAST_WORDS {
            self.last_words.pop_front();
        }
        self.last_words.push_back(line);
    }

    /// The end of what it said, with the line before that tells most.
    pub fn last_words(&self) -> String {
        let sign = self.sign.iter().filter(|sign| !self.last_words.contains(sign));
        sign.chain(&self.last_words).map(|line| format!("\n{line}")).collect()
    }

    /// What was said belongs to a trial that is over.
    pub fn forget_words(&mut self) {
        self.last_words.clear();
        self.sign = None;
    }

    /// A worker here trained or ended a trial as it should.
    pub fn was_of_use(&mut self) {
        self.deaths = 0;
    }

    /// The worker is gone, and the slot free for another one, after a while; or for none, if that happens all the time.
    pub fn vacate(&mut self, now: Instant, max_failed_starts: u32) {
        self.deaths += 1;
        self.failed_starts += u32::from(self.pid.is_none());
        let is_hopeless = self.pid.is_none() && self.failed_starts >= max_failed_starts;
        self.life = if is_hopeless { Life::Retired } else { Life::Absent { from: now + back_off(self.deaths) } };
        self.forget_words();
    }
}

/// Nothing for the first death, which is mostly an accident; then 1, 2, 4 … seconds.
pub(super) fn back_off(deaths: u32) -> Duration {
    match deaths {
        0 | 1 => Duration::ZERO,
        more => LONGEST_BACK_OFF.min(Duration::from_secs(1 << (more - 2).min(16))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_no_time_and_the_wait_has_an_end() {
        let seconds: Vec<u64> = (0..9).map(|deaths| back_off(deaths).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off(u32::MAX), LONGEST_BACK_OFF);
    }
}
