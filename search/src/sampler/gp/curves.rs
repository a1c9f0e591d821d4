//! Learning curves as data: each trial's losses at a few epochs, on one more axis. What early epochs say of late ones is
//! then one more length scale to learn, and a trial that was stopped early still counts for what it showed.

use crate::domain::Point;
use crate::record::Trial;
use crate::sampler::View;

/// From one epoch of a curve that is looked at to the next: curves are steep early and flat late.
const SPACING: u64 = 3;
/// No more data than this, from the trials that went furthest.
const MOST_DATA: usize = 300;

/// What a model of curves is made of.
pub(super) struct Curves {
    /// With the epoch as their last coordinate.
    pub(super) points: Vec<Point>,
    /// How far each lies above the trend.
    pub(super) targets: Vec<f64>,
    /// The least loss seen, on the scale of trend and targets together.
    pub(super) best: f64,
    /// Epochs of a full training.
    pub(super) full: u64,
    trend: Trend,
}

impl Curves {
    pub(super) fn new(view: &View) -> Self {
        let longest = view.trials.iter().map(Trial::step).max().unwrap_or(1);
        let full = view.config.max_step.unwrap_or(longest).max(longest).max(2);
        let mut trials: Vec<&Trial> = view.trials.iter().filter(|trial| trial.step() > 0).collect();
        trials.sort_by_key(|trial| std::cmp::Reverse((trial.step(), trial.number)));
        let mut rows: Vec<Row> = Vec::new();
        for (at, trial) in trials.iter().enumerate() {
            let last = trial.step();
            let early = levels(full).take_while(|level| *level < last);
            let known =
                early.chain([last]).filter_map(|step| Some((step, trial.loss_at(step, view.config.direction)?)));
            rows.extend(known.map(|(step, loss)| Row { trial: at, step, loss: loss.get() }));
        }
        let warped = super::warp::to_normal(&rows.iter().map(|row| row.loss).collect::<Vec<f64>>());
        rows.iter_mut().zip(warped).for_each(|(row, loss)| row.loss = loss);
        let best = rows.iter().map(|row| row.loss).fold(f64::INFINITY, f64::min);
        let trend = Trend::new(&rows, full);
        rows.truncate(MOST_DATA);
        let point = |row: &Row| {
            let point = view.domain.encode(&trials[row.trial].params);
            point.into_iter().chain([place(row.step, full)]).collect()
        };
        Self {
            points: rows.iter().map(point).collect(),
            targets: rows.iter().map(|row| row.loss - trend.at(row.step)).collect(),
            best,
            full,
            trend,
        }
    }

    pub(super) fn trend(&self, step: u64) -> f64 {
        self.trend.at(step)
    }

    pub(super) fn place(&self, step: u64) -> f64 {
        place(step, self.full)
    }
}

/// Where the step lies on the axis of epochs: they count by their logarithm.
fn place(step: u64, full: u64) -> f64 {
    (step as f64).ln() / (full as f64).ln()
}

/// The loss of a trial after a step.
struct Row {
    trial: usize,
    step: u64,
    loss: f64,
}

/// The epochs that are looked at: the first, and each so many times the one before.
fn levels(full: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1u64), |level| level.checked_mul(SPACING)).take_while(move |level| *level <= full)
}

/// How losses fall on the whole, so that the model can spend itself on how they differ.
///
/// From the median change between two epochs of the same trial, not from medians at each epoch: only the better trials
/// are trained long, and the latter would show their choice and not their training.
struct Trend {
    /// Level and loss there, relative to the first.
    losses: Vec<(u64, f64)>,
}

impl Trend {
    fn new(rows: &[Row], full: u64) -> Self {
        let steps: Vec<u64> = levels(full).chain((!levels(full).any(|level| level == full)).then_some(full)).collect();
        let mut losses = vec![(1, 0.0)];
        for pair in steps.windows(2) {
            // The rows of a trial stand together, in the order of their steps.
            let next = |rows: &[Row]| {
                let [a, b] = rows else { return None };
                (a.trial == b.trial && [a.step, b.step] == *pair).then_some(b.loss - a.loss)
            };
            let mut changes: Vec<f64> = rows.windows(2).filter_map(next).collect();
            if changes.is_empty() {
                break;
            }
            changes.sort_by(f64::total_cmp);
            let before = losses.last().map_or(0.0, |(_, loss)| *loss);
            losses.push((pair[1], before + changes[changes.len() / 2]));
        }
        Self { losses }
    }

    /// Between levels in proportion to the logarithm of the epoch; flat beyond the last that is known.
    fn at(&self, step: u64) -> f64 {
        let after = self.losses.partition_point(|(level, _)| *level <= step);
        let (low, from) = self.losses[after.saturating_sub(1)];
        let Some((high, to)) = self.losses.get(after) else { return from };
        let share = (step as f64 / low as f64).ln() / (*high as f64 / low as f64).ln();
        from + (to - from) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_epochs_are_looked_at_more_rarely() {
        assert_eq!(levels(51).collect::<Vec<_>>(), [1, 3, 9, 27]);
        assert_eq!(levels(1).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_trend_is_known_between_levels_and_flat_beyond() {
        let trend = Trend { losses: vec![(1, 0.0), (9, -2.0)] };
        assert_eq!(trend.at(1), 0.0);
        assert!((trend.at(3) + 1.0).abs() < 1e-12);
        assert_eq!(trend.at(100), -2.0);
    }
}
