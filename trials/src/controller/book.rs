//! What the controller keeps in mind beside the search: read off the log, so that it survives the controller.

use std::collections::{BTreeMap, BTreeSet};

use nightsweep_search::{Event, FailureCause, TrialNumber};

/// What the events say of deaths and failures.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// How often a trial lost its worker since it last got anywhere.
    deaths: BTreeMap<TrialNumber, u32>,
    /// How often a trial ran out of memory, ever.
    halvings: BTreeMap<TrialNumber, u32>,
    /// Trials whose last word is a report, so that its verdict may not have been acted on.
    undecided: BTreeSet<TrialNumber>,
    last_failure: Option<(FailureCause, String)>,
    failures_in_row: u32,
}

impl Book {
    /// Learns from an event.
    pub fn hear(&mut self, event: &Event) {
        if let Some(trial) = event.trial()
            && !matches!(event, Event::Fenced { .. } | Event::Annotated { .. } | Event::Ordered { .. })
        {
            self.undecided.remove(&trial);
        }
        match event {
            Event::Reported { trial, .. } => {
                self.undecided.insert(*trial);
                self.deaths.remove(trial);
            }
            Event::Requeued {
                trial, cause: Some(FailureCause::OutOfMemory | FailureCause::HostOutOfMemory), ..
            } => {
                *self.halvings.entry(*trial).or_default() += 1;
            }
            Event::Requeued { trial, .. } => *self.deaths.entry(*trial).or_default() += 1,
            Event::Failed { trial, cause, message, .. } => {
                self.deaths.remove(trial);
                self.count_failure(*cause, message);
            }
            Event::Completed { .. } | Event::Paused { .. } | Event::Pruned { .. } => self.failures_in_row = 0,
            _ => {}
        }
    }

    /// A new run is a new try: what failed before it does not end it.
    pub fn forgive(&mut self) {
        self.failures_in_row = 0;
    }

    /// How often the trial lost its worker since it last reported.
    pub fn deaths(&self, trial: TrialNumber) -> u32 {
        self.deaths.get(&trial).copied().unwrap_or(0)
    }

    /// How often the trial ran out of memory: so often is what goes through its network at once halved.
    pub fn halvings(&self, trial: TrialNumber) -> u32 {
        self.halvings.get(&trial).copied().unwrap_or(0)
    }

    /// Whether the trial's last event is a report.
    pub fn is_undecided(&self, trial: TrialNumber) -> bool {
        self.undecided.contains(&trial)
    }

    /// How many trials have failed in the same way since one did not, and how.
    pub fn failures_in_row(&self) -> (u32, &str) {
        (self.failures_in_row, self.last_failure.as_ref().map_or("", |(_, message)| message))
    }

    /// A diverged or slow trial speaks of its recipe, the others of something that may be wrong with all.
    fn count_failure(&mut self, cause: FailureCause, message: &str) {
        if matches!(cause, FailureCause::Diverged | FailureCause::TimedOut) {
            return;
        }
        let is_same = |(last, text): &(FailureCause, String)| *last == cause && shape(text) == shape(message);
        self.failures_in_row =
            if self.last_failure.as_ref().is_some_and(is_same) { self.failures_in_row + 1 } else { 1 };
        self.last_failure = Some((cause, message.to_owned()));
    }
}

/// A message without its numbers, which tell one trial's failure from the next one's.
fn shape(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use nightsweep_search::Attempt;

    use super::*;

    fn failed(trial: u64, cause: FailureCause, message: &str) -> Event {
        let (trial, attempt) = (TrialNumber(trial), Attempt::FIRST);
        Event::Failed { trial, attempt, cause, message: message.to_owned() }
    }

    #[test]
    fn failures_are_equal_but_for_their_numbers() {
        let mut book = Book::default();
        book.hear(&failed(0, FailureCause::Crashed, "no file `trial-0`"));
        book.hear(&failed(1, FailureCause::Crashed, "no file `trial-1`"));
        book.hear(&failed(2, FailureCause::Diverged, "the loss was NaN"));
        book.hear(&failed(3, FailureCause::Crashed, "no file `trial-3`"));
        assert_eq!(book.failures_in_row(), (3, "no file `trial-3`"));
        book.hear(&failed(4, FailureCause::OutOfMemory, "no file `trial-4`"));
        assert_eq!(book.failures_in_row().0, 1);
        book.hear(&Event::Completed { trial: TrialNumber(5), attempt: Attempt::FIRST, value: 0.5 });
        assert_eq!(book.failures_in_row().0, 0);
    }

    #[test]
    fn a_report_makes_up_for_the_deaths_before_it() {
        let (trial, attempt) = (TrialNumber(0), Attempt::FIRST);
        let requeued = Event::Requeued { trial, attempt, cause: None, message: String::new() };
        let reported = Event::Reported { trial, attempt, step: 1, value: None, metrics: BTreeMap::new() };
        let mut book = Book::default();
        book.hear(&requeued);
        book.hear(&requeued);
        assert_eq!(book.deaths(trial), 2);
        book.hear(&reported);
        assert_eq!((book.deaths(trial), book.is_undecided(trial)), (0, true));
        book.hear(&requeued);
        assert_eq!((book.deaths(trial), book.is_undecided(trial)), (1, false));
    }
}
