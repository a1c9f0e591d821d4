//! What trainings take, as measured: by short probes before the first trial (`probes.rs`), then by the trials themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use nightsweep_search::{ModelPace, TrialNumber};
use nightsweep_trainer::Recipe;
use nightsweep_trainer::probe::Probe;

/// Weight of a new observation in the running mean: the last six or so epochs count, as a machine gets busier or quieter.
const NEWS: f64 = 0.3;
/// By how much an epoch may take longer than its mean before a forecast is wrong.
const MARGIN: f64 = 1.1;

/// What decides how long an epoch takes, more than anything else of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The model with its sizes, as JSON.
    model: String,
    /// Its kind, as people call it.
    kind: String,
    batch_size: usize,
}

impl Family {
    /// That of a recipe.
    pub fn of(recipe: &Recipe) -> Self {
        let model = serde_json::to_value(&recipe.model).expect("a model is JSON");
        let kind = model.get("kind").and_then(|kind| kind.as_str()).unwrap_or("model").to_owned();
        Self { model: model.to_string(), kind, batch_size: recipe.batch_size }
    }

    /// The kind of the model, as `resnet18`.
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// What is known of one family.
#[derive(Clone, Debug)]
struct Known {
    family: Family,
    /// Seconds of an epoch with its validation and checkpoint.
    epoch: f64,
    /// Seconds of that for the validation; 0 where no probe told.
    validation: f64,
    memory: Option<u64>,
    checkpoint: u64,
}

/// What is known of all families.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    known: Vec<Known>,
    /// Seconds from an assignment to its first step, beyond the epoch itself.
    start_up: f64,
    /// Seconds of the last epoch of each trial.
    own: BTreeMap<TrialNumber, f64>,
}

impl Pace {
    /// Takes a probe in.
    pub fn learn_probe(&mut self, recipe: &Recipe, probe: &Probe, start_up: Duration) {
        let family = Family::of(recipe);
        self.known.retain(|known| known.family != family);
        self.known.push(Known {
            family,
            epoch: probe.epoch.as_secs_f64(),
            validation: probe.validation.as_secs_f64(),
            memory: probe.device_memory.or(probe.peak_memory),
            checkpoint: probe.checkpoint,
        });
        self.start_up = self.start_up.max(start_up.as_secs_f64());
    }

    /// Takes in how long a trial's epoch took. The first one of an assignment has the start-up in it.
    pub fn learn(&mut self, trial: TrialNumber, family: &Family, took: Duration, is_first: bool) {
        let took = took.as_secs_f64();
        let mean = |old: f64, new: f64| old + NEWS * (new - old);
        let Some(known) = self.known.iter_mut().find(|known| known.family == *family) else {
            let family = family.clone();
            self.known.push(Known { family, epoch: took, validation: 0.0, memory: None, checkpoint: 0 });
            self.own.insert(trial, took);
            return;
        };
        if is_first {
            let start_up = (took - known.epoch).max(0.0);
            self.start_up = mean(self.start_up, start_up);
            self.own.entry(trial).or_insert(took.min(known.epoch));
        } else {
            known.epoch = mean(known.epoch, took);
            self.own.insert(trial, took);
        }
    }

    /// Whether nothing was measured yet.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether an epoch of the recipe's family was measured.
    pub fn knows(&self, recipe: &Recipe) -> bool {
        let family = Family::of(recipe);
        self.known.iter().any(|known| known.family == family)
    }

    /// How long an epoch of the recipe takes: of the same model with the nearest batch, else of the slowest of its kind, else
    /// of the slowest at all. `None` if nothing was measured.
    pub fn epoch_of(&self, recipe: &Recipe) -> Option<Duration> {
        self.nearest(recipe).map(|known| Duration::from_secs_f64(known.epoch))
    }

    fn nearest(&self, recipe: &Recipe) -> Option<&Known> {
        let family = Family::of(recipe);
        let distance = |known: &&Known| (known.family.batch_size as f64 / family.batch_size as f64).ln().abs();
        let slowest = |a: &&Known, b: &&Known| a.epoch.total_cmp(&b.epoch);
        let same = self.known.iter().filter(|known| known.family.model == family.model);
        let kind = || self.known.iter().filter(|known| known.family.kind == family.kind).max_by(slowest);
        let any = || self.known.iter().max_by(slowest);
        same.min_by(|a, b| distance(a).total_cmp(&distance(b))).or_else(kind).or_else(any)
    }

    /// How long a trial will take for so many epochs from its assignment on, with a margin. `None` if nothing was measured.
    pub fn time_of(
        &self,
        trial: TrialNumber,
        recipe: impl FnOnce() -> Option<Recipe>,
        epochs: u64,
    ) -> Option<Duration> {
        let own = self.own.get(&trial).copied();
        let epoch = own.or_else(|| Some(self.epoch_of(&recipe()?)?.as_secs_f64()))?;
        Some(Duration::from_secs_f64(self.start_up + MARGIN * epoch * epochs as f64))
    }

    /// The slowest epoch of all families.
    pub fn slowest(&self) -> Option<Duration> {
        self.known.iter().map(|known| Duration::from_secs_f64(known.epoch)).max()
    }

    /// The slowest validation of all families.
    pub fn slowest_validation(&self) -> Duration {
        Duration::from_secs_f64(self.known.iter().map(|known| known.validation).fold(0.0, f64::max))
    }

    /// Forgets what single trials took, whose numbers another study gives to others.
    pub fn forget_trials(&mut self) {
        self.own.clear();
    }

    /// The mean epoch over all families.
    pub fn mean(&self) -> Option<Duration> {
        let sum: f64 = self.known.iter().map(|known| known.epoch).sum();
        (!self.known.is_empty()).then(|| Duration::from_secs_f64(sum / self.known.len() as f64))
    }

    /// From an assignment to its first step.
    pub fn start_up(&self) -> Duration {
        Duration::from_secs_f64(self.start_up)
    }

    /// Bytes of the largest checkpoint that was measured.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.known.iter().map(|known| known.checkpoint).max().unwrap_or(0)
    }

    /// Each family with its epoch and with the bytes that it takes at its peak, where that was measured.
    pub fn families(&self) -> impl Iterator<Item = (&Family, Duration, Option<u64>)> {
        self.known.iter().map(|known| (&known.family, Duration::from_secs_f64(known.epoch), known.memory))
    }

    /// What is known, for people.
    pub fn models(&self) -> Vec<ModelPace> {
        let shown = self.known.iter().map(|known| ModelPace {
            model: known.family.kind.clone(),
            batch_size: known.family.batch_size as u64,
            epoch_seconds: known.epoch,
            memory_bytes: known.memory,
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::{Convnet, Mlp, ModelSpec};

    use super::*;

    const TRIAL: TrialNumber = TrialNumber(3);

    fn recipe(model: ModelSpec, batch_size: usize) -> Recipe {
        Recipe { model, batch_size, ..Recipe::default() }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn probed(epochs: &[(ModelSpec, usize, f64)]) -> Pace {
        let mut pace = Pace::default();
        for (model, batch_size, epoch) in epochs.iter().cloned() {
            let (epoch, validation) = (seconds(epoch), seconds(0.1));
            let probe = Probe { epoch, validation, peak_memory: Some(7), device_memory: None, checkpoint: 5 };
            pace.learn_probe(&recipe(model, batch_size), &probe, seconds(2.0));
        }
        pace
    }

    fn mlp(width: usize) -> ModelSpec {
        ModelSpec::Mlp(Mlp { width, ..Mlp::default() })
    }

    #[test]
    fn an_epoch_is_that_of_the_same_model_with_the_nearest_batch() {
        let convnet = ModelSpec::Convnet(Convnet::default());
        let pace = probed(&[(mlp(8), 32, 9.0), (mlp(8), 512, 3.0), (convnet, 64, 20.0)]);
        let check = |model: ModelSpec, batch_size, expected| {
            assert_eq!(pace.epoch_of(&recipe(model, batch_size)), Some(seconds(expected)));
        };
        check(mlp(8), 32, 9.0);
        check(mlp(8), 64, 9.0);
        check(mlp(8), 256, 3.0);
        // Another size of the kind: the slowest one is assumed.
        check(mlp(9), 512, 9.0);
        assert_eq!(Pace::default().epoch_of(&recipe(mlp(8), 32)), None);
    }

    #[test]
    fn trials_correct_what_the_probe_said() {
        let mut pace = probed(&[(mlp(8), 64, 10.0)]);
        let family = Family::of(&recipe(mlp(8), 64));
        pace.learn(TRIAL, &family, seconds(26.0), true);
        assert_eq!(pace.epoch_of(&recipe(mlp(8), 64)), Some(seconds(10.0)));
        assert!(pace.start_up() > seconds(5.0));
        (0..30).for_each(|_| pace.learn(TRIAL, &family, seconds(20.0), false));
        let epoch = pace.epoch_of(&recipe(mlp(8), 64)).unwrap();
        assert!((epoch.as_secs_f64() - 20.0).abs() < 0.1, "{epoch:?}");
        let whole = pace.time_of(TRIAL, || panic!("its own epochs are known"), 2).unwrap();
        assert!(whole > seconds(44.0) && whole < seconds(60.0), "{whole:?}");
    }
}
