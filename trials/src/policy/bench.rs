//! Children on real images, until the time is up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightsweep_trainer::augment::Augmenter;
use nightsweep_trainer::checkpoint::LoadError;
use nightsweep_trainer::data::{Dataset, Images};
use nightsweep_trainer::device::Device;
use nightsweep_trainer::policy::{Bilevel, Child, Move, even_sample, learn_relaxed};
use nightsweep_trainer::recipe::{Augment, Change, Mixing, Policy, PolicyOp, PolicySpec};
use nightsweep_trainer::seed::Purpose;
use nightsweep_trainer::{
    CheckpointFolder, EpochReport, FitError, Job, Metric, Next, Observer, Outcome, Recipe, TrialSeed, fit,
};

use super::{Lab, Stretch, sub_policy};

/// Held-out images by which a sub-policy is judged: the error of a mean likelihood is then below two in a hundred.
const JUDGES: usize = 600;

/// Trains and judges children on a data set.
pub struct Bench<'a> {
    /// How children are trained; its policy is replaced.
    pub recipe: &'a Recipe,
    /// On what.
    pub data: &'a Dataset,
    /// Where relative paths of the recipe start.
    pub base: &'a Path,
    /// An empty folder for the checkpoints of a population.
    pub scratch: &'a Path,
    /// Where to compute.
    pub device: &'a Device,
    /// Of all children.
    pub seed: u64,
    moves: Vec<Move>,
    mixings: Vec<Mixing>,
    limit: Option<Limit>,
    folds: BTreeMap<usize, Option<Fold>>,
    notes: Box<dyn FnMut(&str) + 'a>,
}

/// How much time there is.
#[derive(Clone, Copy, Debug)]
struct Limit {
    begin: Instant,
    time: Duration,
}

/// A child, and images that it was not trained on.
struct Fold {
    child: Child,
    held_out: Arc<Images>,
}

impl<'a> Bench<'a> {
    /// For policies of such moves that mix in such ways, with so much time from now on; `notes` hears what is tried.
    pub fn new(
        (recipe, data): (&'a Recipe, &'a Dataset),
        (base, scratch, device): (&'a Path, &'a Path, &'a Device),
        (moves, mixings): (Vec<Move>, Vec<Mixing>),
        seed: u64,
        time: Option<Duration>,
        notes: impl FnMut(&str) + 'a,
    ) -> Self {
        let limit = time.map(|time| Limit { begin: Instant::now(), time });
        let (folds, notes) = (BTreeMap::new(), Box::new(notes));
        Self { recipe, data, base, scratch, device, seed, moves, mixings, limit, folds, notes }
    }

    /// The children's recipe under a policy.
    fn under(&self, policy: PolicySpec) -> Recipe {
        Recipe { augment: Augment { policy, ..self.recipe.augment.clone() }, ..self.recipe.clone() }
    }

    fn job<'b>(&'b self, recipe: &'b Recipe, data: &'b Dataset, trial: u64) -> Job<'b> {
        Job {
            recipe,
            data,
            base: self.base,
            seed: TrialSeed { study: self.seed, trial },
            metric: Metric::ValAccuracy,
            device: self.device,
            checkpoints: None,
            reported: 0,
        }
    }

    /// Trains a child on some data under a policy.
    fn child(&self, data: &Dataset, policy: PolicySpec, trial: u64) -> Result<(Outcome, Option<Child>), FitError> {
        Child::train(&self.job(&self.under(policy), data, trial), &mut Timed { limit: self.limit })
    }

    /// The recipe of a member: one whose policy changes in the course of training.
    fn scheduled(&self, policies: &[(u64, Policy)]) -> Recipe {
        let under = |(_, policy): &(u64, Policy)| Recipe {
            // Each member trains to its end.
            patience: 0,
            target: None,
            ..self.under(PolicySpec::Custom(policy.clone()))
        };
        let recipes: Vec<Recipe> = policies.iter().map(under).collect();
        let changes = recipes.windows(2).zip(&policies[1..]);
        let changes = changes.filter_map(|(pair, (begin, _))| Change::between(*begin, &pair[0], &pair[1]));
        Recipe { changes: changes.collect(), ..recipes[0].clone() }
    }

    fn fold(&self, fold: usize, folds: usize) -> Result<Option<Fold>, FitError> {
        let (held_out, train) = split(&self.data.train, fold, folds);
        let (held_out, train) = (Arc::new(held_out), Arc::new(train));
        // The fold's own images say when the child is best: nothing else of the data is needed.
        let data = Dataset { train, validation: held_out.clone(), ..self.data.clone() };
        let (_, child) = self.child(&data, PolicySpec::default(), fold as u64)?;
        Ok(child.map(|child| Fold { held_out: child.prepare(&held_out), child }))
    }
}

impl Lab for Bench<'_> {
    fn moves(&self) -> &[Move] {
        &self.moves
    }

    fn mixings(&self) -> &[Mixing] {
        &self.mixings
    }

    fn train(&mut self, policy: &PolicySpec, seed: u64) -> Result<Option<f64>, FitError> {
        // All policies on the same seeds, so that they differ by nothing else.
        let (outcome, _) = self.child(self.data, policy.clone(), seed)?;
        Ok(if let Outcome::Completed { value, .. } = outcome { Some(value) } else { None })
    }

    fn judge(&mut self, fold: usize, folds: usize, ops: &[PolicyOp]) -> Result<Option<f64>, FitError> {
        if !self.folds.contains_key(&fold) {
            (self.notes)(&format!("training the child of fold {} of {folds}", fold + 1));
            let child = self.fold(fold, folds)?;
            self.folds.insert(fold, child);
        }
        let Some(Fold { child, held_out }) = &self.folds[&fold] else { return Ok(None) };
        let policy = Policy::new(vec![sub_policy(ops.to_vec())]);
        let augment = Augment { policy: PolicySpec::Custom(policy), ..Augment::none() };
        let augmenter = Augmenter::new(&augment, held_out);
        let order = even_sample(&held_out.labels, JUDGES);
        let labels: Vec<usize> = order.iter().map(|index| held_out.labels[*index] as usize).collect();
        let classes = self.data.classes.len();
        // The same draws for every sub-policy.
        let seed = TrialSeed { study: self.seed, trial: fold as u64 };
        let logs = child.log_likelihoods(held_out, order, move |canvas, images, index| {
            augmenter.view(canvas, images, index, 0.0, &mut seed.stream(Purpose::Policy, 3, index as u64));
        });
        let likelihood = logs.chunks_exact(classes).zip(&labels).map(|(row, label)| f64::from(row[*label]).exp());
        Ok(Some(likelihood.sum::<f64>() / labels.len() as f64))
    }

    fn epochs(&self) -> u64 {
        self.recipe.epochs
    }

    fn go_on(&mut self, stretch: &Stretch) -> Result<Option<Vec<f64>>, FitError> {
        let Stretch { member, from, done, until, .. } = *stretch;
        let recipe = self.scheduled(&stretch.policies);
        let folder = |member: u64| CheckpointFolder::new(self.scratch.join(member.to_string()));
        if let Some(from) = from.filter(|from| *from != member) {
            let inherited = folder(member).inherit(&folder(from));
            inherited.map_err(|source| LoadError::Read { path: folder(from).last(), source })?;
        }
        let job = Job { checkpoints: Some(folder(member)), reported: done, ..self.job(&recipe, self.data, 0) };
        let mut stretched = Stretched { timed: Timed { limit: self.limit }, until, values: Vec::new() };
        let outcome = fit(&job, &mut stretched)?;
        let is_done = matches!(outcome, Outcome::Completed { .. } | Outcome::Paused);
        Ok((is_done && stretched.values.len() as u64 == until - done).then_some(stretched.values))
    }

    fn relax(&mut self, until: f64) -> Result<Policy, FitError> {
        let recipe = self.under(PolicySpec::default());
        // Its fields by themselves, as the notes are borrowed beside them.
        let job = Job {
            recipe: &recipe,
            data: self.data,
            base: self.base,
            seed: TrialSeed { study: self.seed, trial: 0 },
            metric: Metric::ValAccuracy,
            device: self.device,
            checkpoints: None,
            reported: 0,
        };
        let (limit, notes) = (self.limit, &mut self.notes);
        learn_relaxed(&job, &self.moves, Bilevel::default(), &mut |step, total| {
            if step.is_multiple_of(50) {
                notes(&format!("step {step} of {total}"));
            }
            spent(limit) < until
        })
    }

    fn spent(&self) -> f64 {
        spent(self.limit)
    }

    fn notes(&mut self, text: &str) {
        (self.notes)(text);
    }
}

/// Share of the time; 0 where it is not limited.
fn spent(limit: Option<Limit>) -> f64 {
    limit.map_or(0.0, |Limit { begin, time }| begin.elapsed().as_secs_f64() / time.as_secs_f64())
}

/// The images of a fold and the others; each class gives the same share.
fn split(images: &Images, fold: usize, folds: usize) -> (Images, Images) {
    let mut seen = BTreeMap::new();
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..images.len()).partition(|index| {
        let place: &mut usize = seen.entry(images.labels[*index]).or_default();
        *place += 1;
        (*place - 1) % folds == fold
    });
    let part = |which: Vec<usize>| Images {
        pixels: which.iter().flat_map(|index| images.image(*index)).copied().collect(),
        labels: which.iter().map(|index| images.labels[*index]).collect(),
        ..*images
    };
    (part(inside), part(outside))
}

/// Ends a training when the time is up.
struct Timed {
    limit: Option<Limit>,
}

impl Timed {
    fn is_past(&self) -> bool {
        spent(self.limit) >= 1.0
    }
}

impl Observer for Timed {
    fn report(&mut self, _: &EpochReport) -> Next {
        if self.is_past() { Next::Stop } else { Next::Train }
    }

    fn is_interrupted(&mut self) -> bool {
        self.is_past()
    }
}

/// Ends a part of a training at its last epoch.
struct Stretched {
    timed: Timed,
    until: u64,
    values: Vec<f64>,
}

impl Observer for Stretched {
    fn report(&mut self, report: &EpochReport) -> Next {
        self.values.push(report.value(Metric::ValAccuracy));
        if report.epoch >= self.until { Next::Pause } else { self.timed.report(report) }
    }

    fn is_interrupted(&mut self) -> bool {
        self.timed.is_interrupted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_share_every_class_and_no_image() {
        let labels: Vec<u32> = (0..20).map(|i| i % 2).collect();
        let images = Images { pixels: (0..20).collect(), labels, height: 1, width: 1, channels: 1 };
        let mut all = Vec::new();
        for fold in 0..5 {
            let (inside, outside) = split(&images, fold, 5);
            assert_eq!((inside.len(), outside.len()), (4, 16));
            assert_eq!(inside.labels.iter().filter(|label| **label == 0).count(), 2);
            all.extend(inside.pixels);
        }
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<u8>>());
    }
}
