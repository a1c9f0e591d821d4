//! Changes in the course of training: other values of a recipe from some epoch on, as a population that learns while it
//! trains finds them. A recipe with its changes says all that a training did, so it can be trained again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Recipe, RecipeError};

/// Other values from an epoch on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Epochs done before it.
    pub after: u64,
    /// Keys of the recipe with what they are from then on. Tables are put into each other; one of another `kind` takes
    /// the place of the old one.
    #[serde(flatten)]
    pub set: Map<String, Value>,
}

/// Whether a key of a recipe may have another value later in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changing {
    /// At the end of any epoch.
    Freely,
    /// It stays as training began with it: the optimizer's state or what was measured until then would not fit.
    Never,
    /// It stays, and who goes on from another's weights must have the same.
    WithTheWeights,
}

/// Keys that stay; what begins with one stays too. The rest may change.
const STAYING: [(&str, Changing); 16] = [
    ("model", Changing::WithTheWeights),
    ("epochs", Changing::WithTheWeights),
    ("pretrained", Changing::Never),
    ("preprocess", Changing::Never),
    // The file is read once, as training starts.
    ("augment.generated", Changing::Never),
    ("normalize", Changing::Never),
    ("precision", Changing::Never),
    ("gradient_checkpointing", Changing::Never),
    ("micro_batch", Changing::Never),
    ("test_time", Changing::Never),
    ("ema.keep", Changing::Never),
    ("patience", Changing::Never),
    ("diverge_factor", Changing::Never),
    ("target", Changing::Never),
    ("keep", Changing::Never),
    ("changes", Changing::Never),
];
/// Fields of a model that its weights do not know of.
const RATES: [&str; 2] = ["dropout", "stochastic_depth"];

impl Changing {
    /// Of the key, as a study file names it: `optimizer.sgd.lr` or `optimizer.lr`.
    pub fn of(key: &str) -> Self {
        let (first, last) = (key.split('.').next().unwrap_or(key), key.rsplit('.').next().unwrap_or(key));
        // Which optimizer it is; its numbers may change.
        if key == "optimizer" || key == "optimizer.kind" {
            return Self::Never;
        }
        if first == "model" && RATES.contains(&last) {
            return Self::Freely;
        }
        let begins =
            |staying: &str| key == staying || key.strip_prefix(staying).is_some_and(|rest| rest.starts_with('.'));
        STAYING.iter().find(|(staying, _)| begins(staying)).map_or(Self::Freely, |(_, changing)| *changing)
    }
}

impl Change {
    /// What has to change after so many epochs to go from one recipe to another; nothing, if they are equal but for
    /// changes of their own.
    pub fn between(after: u64, from: &Recipe, to: &Recipe) -> Option<Self> {
        match difference(&plain(from), &plain(to)) {
            Some(Value::Object(set)) => Some(Self { after, set }),
            _ => None,
        }
    }

    /// The keys that it sets, down to the last table.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for (key, value) in &self.set {
            gather_keys(value, key.clone(), &mut keys);
        }
        keys
    }
}

impl Recipe {
    /// What an epoch (from 0) is trained with, as a recipe without changes. The error is of the first change that makes
    /// no recipe; one that passed [`Recipe::check`] has none.
    pub fn at(&self, epoch: u64) -> Result<Self, RecipeError> {
        let mut recipe = Self { changes: Vec::new(), ..self.clone() };
        for change in self.changes.iter().filter(|change| change.after <= epoch) {
            let mut value = plain(&recipe);
            overlay(&mut value, &Value::Object(change.set.clone()));
            recipe = serde_json::from_value(value)
                .map_err(|error| RecipeError::Change { after: change.after, reason: error.to_string() })?;
        }
        Ok(recipe)
    }

    /// Whether both train the first so many epochs alike, so that one can go on where the other stands.
    pub fn agrees_until(&self, other: &Self, epochs: u64) -> bool {
        let changes = self.changes.iter().chain(&other.changes).map(|change| change.after);
        let mut beginnings = changes.chain([0]).filter(|after| *after < epochs);
        self.epochs == other.epochs
            && beginnings.all(|epoch| self.at(epoch).is_ok_and(|own| other.at(epoch) == Ok(own)))
    }

    pub(super) fn check_changes(&self) -> Result<(), RecipeError> {
        let mut earlier = 0;
        for change in &self.changes {
            let fail = |reason: String| Err(RecipeError::Change { after: change.after, reason });
            if change.after <= earlier || change.after >= self.epochs {
                let epochs = self.epochs;
                return fail(format!(
                    "`after` must be above {earlier}, as changes are in order, and below `epochs`, {epochs}"
                ));
            }
            earlier = change.after;
            if let Some(key) = change.keys().into_iter().find(|key| Changing::of(key) != Changing::Freely) {
                return fail(format!("`{key}` cannot change in the course of training"));
            }
            self.at(change.after)?.check().or_else(|error| fail(error.to_string()))?;
        }
        Ok(())
    }
}

/// A recipe as JSON, without its changes.
fn plain(recipe: &Recipe) -> Value {
    let recipe = Recipe { changes: Vec::new(), ..recipe.clone() };
    serde_json::to_value(recipe).expect("a recipe is JSON")
}

/// Puts one value over another: tables into each other, but for one of another `kind`.
pub fn overlay(under: &mut Value, over: &Value) {
    let kind = |value: &Value| value.get("kind").cloned();
    match over.as_object() {
        Some(fields) if under.is_object() && (kind(over).is_none() || kind(over) == kind(under)) => {
            let under = under.as_object_mut().expect("it is a table");
            for (key, value) in fields {
                overlay(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *under = over.clone(),
    }
}

/// What makes the second of the first when it is put over it.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    match (from.as_object(), to.as_object()) {
        (Some(old), Some(new)) if old.get("kind") == new.get("kind") => {
            let changed = new
                .iter()
                .filter_map(|(key, to)| Some((key.clone(), difference(old.get(key).unwrap_or(&Value::Null), to)?)));
            let changed: Map<String, Value> = changed.collect();
            (!changed.is_empty()).then_some(Value::Object(changed))
        }
        _ => (from != to).then(|| to.clone()),
    }
}

fn gather_keys(value: &Value, key: String, keys: &mut Vec<String>) {
    match value.as_object() {
        Some(fields) => fields.iter().for_each(|(field, value)| gather_keys(value, format!("{key}.{field}"), keys)),
        None => keys.push(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Recipe {
        toml::from_str(text).unwrap()
    }

    const CHANGING: &str = "epochs = 9\nbatch_size = 32\n\
        [[changes]]\nafter = 3\noptimizer.lr = 0.03\nlabel_smoothing = 0.1\n\
        [[changes]]\nafter = 6\nschedule = { kind = 'one_cycle', peak_at = 0.2 }\nmodel.dropout = 0.2\n";

    #[test]
    fn a_change_holds_from_its_epoch_on() {
        let recipe = recipe(CHANGING);
        recipe.check().unwrap();
        let at = |epoch| recipe.at(epoch).unwrap();
        assert_eq!(at(0), Recipe { epochs: 9, batch_size: 32, ..Recipe::default() });
        assert_eq!(at(2), at(0));
        assert_eq!((at(3).optimizer.lr(), at(3).label_smoothing, at(3).schedule.clone()), (0.03, 0.1, at(0).schedule));
        assert_eq!((at(6).optimizer.lr(), at(6).batch_size, at(6).changes.len()), (0.03, 32, 0));
        assert_ne!(at(6).schedule, at(5).schedule);
        assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
        assert!(!toml::to_string(&Recipe::default()).unwrap().contains("changes"));
    }

    #[test]
    fn the_changes_between_recipes_make_one_of_the_other() {
        let whole = recipe(CHANGING);
        let (first, second, third) = (whole.at(0).unwrap(), whole.at(3).unwrap(), whole.at(6).unwrap());
        let changes = vec![Change::between(3, &first, &second).unwrap(), Change::between(6, &second, &third).unwrap()];
        assert_eq!(
            serde_json::to_string(&changes[0]).unwrap(),
            r#"{"after":3,"optimizer":{"lr":0.03},"label_smoothing":0.1}"#
        );
        let again = Recipe { changes, ..first.clone() };
        assert!((0..9).all(|epoch| again.at(epoch) == whole.at(epoch)));
        assert_eq!(Change::between(3, &first, &first), None);
    }

    #[test]
    fn two_recipes_agree_until_one_of_them_changes() {
        let (changing, plain) = (recipe(CHANGING), Recipe { changes: Vec::new(), ..recipe(CHANGING) });
        let agree: Vec<bool> = (1..=9).map(|epochs| changing.agrees_until(&plain, epochs)).collect();
        assert_eq!(agree, [true, true, true, false, false, false, false, false, false]);
        assert!(changing.agrees_until(&changing, 9) && plain.agrees_until(&changing, 3));
        assert!(!plain.agrees_until(&Recipe { batch_size: 16, ..plain.clone() }, 1));
    }

    #[test]
    fn what_cannot_change_is_refused_by_name() {
        let check = |changes: &str, expected: &str| {
            let error = recipe(&format!("epochs = 9\nchanges = [{changes}]")).check().unwrap_err();
            assert_eq!(error.to_string(), expected, "{changes}");
        };
        let stays = |key: &str| format!("the change after epoch 3: `{key}` cannot change in the course of training");
        check("{ after = 3, epochs = 12 }", &stays("epochs"));
        check("{ after = 3, model = { kind = 'resnet20' } }", &stays("model.kind"));
        check("{ after = 3, optimizer = { kind = 'adamw' } }", &stays("optimizer.kind"));
        check("{ after = 3, precision = 'bf16' }", &stays("precision"));
        check("{ after = 3, batch_size = 0 }", "the change after epoch 3: `batch_size` must be at least 1, but is 0");
        let order = "the change after epoch 3: `after` must be above 3, as changes are in order, and below `epochs`, 9";
        check("{ after = 3, batch_size = 8 }, { after = 3, batch_size = 16 }", order);
        let late = "the change after epoch 9: `after` must be above 0, as changes are in order, and below `epochs`, 9";
        check("{ after = 9, batch_size = 8 }", late);
        let unknown = recipe("epochs = 9\nchanges = [{ after = 3, batchsize = 8 }]").check().unwrap_err().to_string();
        assert!(unknown.starts_with("the change after epoch 3: unknown field `batchsize`"), "{unknown}");
    }

    #[test]
    fn each_key_says_whether_it_may_change() {
        let free = [
            "optimizer.sgd.lr",
            "optimizer.lr",
            "batch_size",
            "augment.flip",
            "schedule",
            "schedule.cosine.warmup_epochs",
        ];
        assert!(free.iter().all(|key| Changing::of(key) == Changing::Freely));
        assert!(
            ["model.mlp.dropout", "model.stochastic_depth"].iter().all(|key| Changing::of(key) == Changing::Freely)
        );
        assert!(["model", "model.mlp.depth", "epochs"].iter().all(|key| Changing::of(key) == Changing::WithTheWeights));
        assert!(["optimizer", "precision", "ema.keep", "keep"].iter().all(|key| Changing::of(key) == Changing::Never));
        assert_eq!(Changing::of("ema.decay"), Changing::Freely);
    }
}
