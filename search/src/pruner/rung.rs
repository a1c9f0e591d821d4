//! The results recorded at one budget, and who of them moves up.

use crate::trial::{Loss, TrialNumber};

/// The results recorded at one budget, best first.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub(super) budget: u64,
    results: Vec<(Loss, TrialNumber)>,
    promoted: Vec<TrialNumber>,
}

impl Rung {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, results: Vec::new(), promoted: Vec::new() }
    }

    pub(super) fn record(&mut self, loss: Loss, trial: TrialNumber) {
        let at = self.results.partition_point(|result| *result < (loss, trial));
        self.results.insert(at, (loss, trial));
    }

    pub(super) fn promote(&mut self, trial: TrialNumber) {
        if let Err(at) = self.promoted.binary_search(&trial) {
            self.promoted.insert(at, trial);
        }
    }

    pub(super) fn has_promoted(&self, trial: TrialNumber) -> bool {
        self.promoted.binary_search(&trial).is_ok()
    }

    /// Those in the top 1/reduction that have not moved up yet, best first.
    pub(super) fn promotable(&self, reduction: u64) -> impl Iterator<Item = TrialNumber> {
        let seats = self.results.len() / reduction as usize;
        let top = self.results[..seats].iter().filter(|(loss, _)| *loss < Loss::DIVERGED);
        top.map(|(_, trial)| *trial).filter(|trial| !self.has_promoted(*trial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses at the first rung, who moves up.
    fn check(losses: &[f64], expected: &[u64]) {
        let mut rung = Rung::new(1);
        for (number, loss) in losses.iter().enumerate() {
            rung.record(Loss::from(*loss), TrialNumber(number as u64));
        }
        let up: Vec<u64> = rung.promotable(3).map(|trial| trial.0).collect();
        assert_eq!(up, expected);
    }

    #[test]
    fn the_best_third_moves_up() {
        check(&[0.3, 0.1], &[]);
        check(&[0.3, 0.1, 0.2], &[1]);
        check(&[0.3, 0.1, 0.2, 0.5, 0.6, 0.05], &[5, 1]);
    }

    #[test]
    fn a_diverged_trial_never_moves_up() {
        check(&[f64::NAN, 0.9, f64::INFINITY], &[1]);
        check(&[f64::NAN, f64::NAN, f64::NAN], &[]);
    }

    #[test]
    fn a_seat_is_given_once() {
        let mut rung = Rung::new(1);
        (0..3).for_each(|number| rung.record(Loss::from(0.5), TrialNumber(number)));
        rung.promote(TrialNumber(0));
        assert_eq!(rung.promotable(3).next(), None);
    }
}
