//! The learning-rate range test (Smith 2015, arXiv 1506.01186, section 3.3): a short training whose rate grows by the
//! same ratio at each update, and what its losses say of the rate to train with.

use serde::{Deserialize, Serialize};

use super::{FitError, Job, Next, Observer, Training};
use crate::batches::training_batches;
use crate::optimizer::Rates;
use crate::recipe::Recipe;
use crate::report::EpochReport;

/// Weight of the older losses in the running mean: fastai's.
const SMOOTHING: f64 = 0.98;
/// The test ends once the running mean is this many times its lowest: fastai's.
const DIVERGED: f64 = 4.0;
/// Fewest updates that still show a slope.
pub const MIN_UPDATES: u64 = 20;

/// From where to where the rate goes. Defaults are fastai's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeTest {
    /// The first rate, as the recipe's `lr`.
    pub low: f64,
    /// The last one.
    pub high: f64,
    /// Updates from one to the other.
    pub updates: u64,
}

impl Default for RangeTest {
    fn default() -> Self {
        Self { low: 1e-7, high: 10.0, updates: 100 }
    }
}

impl RangeTest {
    fn lr(&self, update: u64) -> f64 {
        self.low * (self.high / self.low).powf(update as f64 / (self.updates - 1) as f64)
    }
}

/// One update of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatePoint {
    /// The recipe's `lr`.
    pub lr: f64,
    /// The training loss before the update.
    pub loss: f64,
    /// The running mean of the losses until here.
    pub smoothed: f64,
}

/// What a test found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateCurve {
    /// One an update, until the loss went up for good.
    pub points: Vec<RatePoint>,
}

/// The rates that a curve suggests, as the recipe's `lr`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuggestedRates {
    /// Where the loss falls most steeply.
    pub steepest: f64,
    /// In the middle of the longest way down; a good rate to train with.
    pub valley: f64,
    /// The range worth searching: from where the loss begins to fall to where it is lowest.
    pub low: f64,
    /// Its end.
    pub high: f64,
}

/// Why a test gives no curve.
#[derive(Debug, thiserror::Error)]
pub enum LrFindError {
    /// It cannot be trained.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The bounds are no range.
    #[error("a range test needs a low rate above 0, a higher high one, and at least {MIN_UPDATES} updates")]
    NoRange,
}

/// Trains with growing rates; `go_on` hears of each update and may end the test. Nothing is kept.
pub fn lr_find(
    job: &Job,
    test: RangeTest,
    go_on: &mut dyn FnMut(&RatePoint) -> bool,
) -> Result<RateCurve, LrFindError> {
    let is_range = test.low > 0.0 && test.high.is_finite() && test.low < test.high && test.updates >= MIN_UPDATES;
    if !is_range {
        return Err(LrFindError::NoRange);
    }
    super::check(job)?;
    // Small data are gone through more often than the recipe says.
    let recipe = Recipe { epochs: job.recipe.epochs.max(test.updates), ..job.recipe.clone() };
    let scaling = recipe.lr(0) / recipe.optimizer.lr();
    let scaling = if scaling.is_finite() { scaling } else { 1.0 };
    let job = Job { recipe: &recipe, checkpoints: None, ..*job };
    let mut training = Training::start_or_resume(&job, &mut Deaf)?;
    let per_update = training.epoch_shape().batches_per_update;
    let (mut points, mut losses, mut mean) = (Vec::new(), Vec::new(), 0.0);
    for epoch in 0..recipe.epochs {
        (training.place.epoch, training.place.step) = (epoch, 0);
        let (stock, scaling_of_bytes, augmenter) =
            (training.stock.clone(), training.scaling.clone(), training.augmenter.clone());
        for batch in training_batches(stock, scaling_of_bytes, augmenter, &recipe, job.seed, epoch, 0) {
            let update = points.len() as u64;
            let rates = Rates { epoch: 0, lr: test.lr(update) * scaling, momentum: None };
            // Waits for the device: the test ends by what the losses are.
            losses.push(f64::from(training.learn(batch, rates).into_scalar::<f32>()));
            if (losses.len() as u64) < per_update {
                continue;
            }
            let loss = losses.drain(..).sum::<f64>() / per_update as f64;
            mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
            let smoothed = mean / (1.0 - SMOOTHING.powf(update as f64 + 1.0));
            let point = RatePoint { lr: test.lr(update), loss, smoothed };
            if !smoothed.is_finite() {
                return Ok(RateCurve { points });
            }
            points.push(point);
            let lowest = points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
            if !go_on(&point) || smoothed > DIVERGED * lowest || points.len() as u64 == test.updates {
                return Ok(RateCurve { points });
            }
        }
    }
    Ok(RateCurve { points })
}

/// Nobody is told of a range test's weights.
struct Deaf;

impl Observer for Deaf {
    fn report(&mut self, _: &EpochReport) -> Next {
        Next::Train
    }
}

impl RateCurve {
    /// What the losses say; nothing if they never fall. As fastai does, the first tenth, in which the mean settles, and
    /// the last five updates, in which the loss goes up, are not looked at.
    pub fn suggest(&self) -> Option<SuggestedRates> {
        let end = self.points.len().saturating_sub(5);
        let points = self.points.get(self.points.len() / 10..end)?;
        let (first, lowest) = (points.first()?, (1..points.len()).min_by(|a, b| loss_at(points, *a, *b))?);
        let fall = first.smoothed - points[lowest].smoothed;
        if points.len() < 3 || fall <= 0.0 {
            return None;
        }
        let slope =
            |i: usize| (points[i + 1].smoothed - points[i].smoothed) / (points[i + 1].lr.ln() - points[i].lr.ln());
        let steepest = (0..points.len() - 1).min_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
        let valley = valley(&points.iter().map(|point| point.smoothed).collect::<Vec<_>>());
        // Smith's lower bound is where the network begins to learn; a tenth of the fall is beyond the noise.
        let begins = points.iter().position(|point| point.smoothed < first.smoothed - 0.1 * fall)?;
        let (steepest, valley) = (points[steepest].lr, points[valley].lr);
        let high = points[lowest].lr.max(steepest).max(valley);
        // Less than a factor of ten is nothing to search.
        let low = points[begins].lr.min(steepest).min(valley).min(high / 10.0);
        Some(SuggestedRates { steepest, valley, low, high })
    }
}

fn loss_at(points: &[RatePoint], a: usize, b: usize) -> std::cmp::Ordering {
    points[a].smoothed.total_cmp(&points[b].smoothed)
}

/// The place that fastai calls valley: the middle of the longest falling subsequence, which is taken to end where it
/// does and to have no gaps.
fn valley(losses: &[f64]) -> usize {
    // Length of the longest falling subsequence that ends at each place.
    let mut lengths = vec![1usize; losses.len()];
    let mut end = 0;
    for i in 1..losses.len() {
        let longest = (0..i).filter(|&j| losses[i] < losses[j]).map(|j| lengths[j] + 1).max();
        lengths[i] = longest.unwrap_or(1);
        if lengths[i] > lengths[end] {
            end = i;
        }
    }
    let start = end.saturating_sub(lengths[end]);
    let third = (end - start) as f64 / 3.0;
    start + third as usize + (third / 2.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve of 100 rates from 1e-7 to 10 whose running mean is a function of the place.
    fn curve(smoothed: impl Fn(f64) -> f64) -> RateCurve {
        let point = |update: u64| {
            let smoothed = smoothed(update as f64);
            RatePoint { lr: RangeTest::default().lr(update), loss: smoothed, smoothed }
        };
        RateCurve { points: (0..100).map(point).collect() }
    }

    #[test]
    fn the_rates_grow_by_one_ratio() {
        let test = RangeTest { low: 1e-3, high: 10.0, updates: 5 };
        let rates = [0, 1, 2, 3, 4].map(|update| test.lr(update));
        for (found, expected) in rates.into_iter().zip([1e-3, 1e-2, 1e-1, 1.0, 10.0]) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_suggestions_are_those_of_fastai() {
        // tests/golden/lr_find.py: flat, then down along half a cosine from 40 to 80, then up.
        let flat_down_up = |i: f64| match i {
            ..40.0 => 2.0 + 0.001 * (i * 1.7).sin(),
            ..80.0 => 1.0 + (std::f64::consts::PI * (i - 40.0) / 40.0).cos(),
            _ => 0.05 * (i - 80.0),
        };
        let found = curve(flat_down_up).suggest().unwrap();
        let expected = [0.007054802310718645, 0.0027825594022071257];
        for (found, expected) in [found.steepest, found.valley].into_iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!(found.low <= found.valley && found.valley <= found.high, "{found:?}");
        assert!((found.high / RangeTest::default().lr(80) - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        assert_eq!(curve(|i| 1.0 + i).suggest(), None);
        assert_eq!(curve(|_| 1.0).suggest(), None);
        assert_eq!(RateCurve { points: Vec::new() }.suggest(), None);
    }
}
