//! Nights on other data, of which the program brings the best settings: where a study begins that names no earlier one of
//! its own. A first search then goes on from what did well elsewhere instead of blind (Feurer et al. 2015, "Initializing
//! Bayesian hyperparameter optimization via meta-learning").

use std::sync::LazyLock;

use nightsweep_search::{Distribution, ParamValue, Params, SamplerKind};
use nightsweep_trainer::Recipe;
use nightsweep_trainer::recipe::{Family, LrScaling, ModelSpec, overlay};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::bind;
use crate::plan::Plan;

/// What their names begin with; no study's of one's own can.
pub const PREFIX: &str = "shipped/";

static SHIPPED: LazyLock<Vec<Night>> = LazyLock::new(|| {
    let read = |(data, text): (&str, &str)| {
        let File { trial } = toml::from_str(text).expect("a night that comes with the program is read by a test");
        Night { name: format!("{PREFIX}{data}"), trials: trial }
    };
    [
        ("cifar10", include_str!("../../configs/nights/cifar10.toml")),
        ("mnist", include_str!("../../configs/nights/mnist.toml")),
    ]
    .map(read)
    .into()
});

/// The best of a search on some data.
#[derive(Debug)]
pub struct Night {
    /// What `warm_start` calls it, as `shipped/mnist`.
    pub name: String,
    trials: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trial: Vec<Known>,
}

/// What was trained to its end, and what it came to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    val_accuracy: f64,
    /// What the search had chosen of the recipe.
    recipe: Json,
}

/// Those that a study with no `warm_start` starts from. None where something else is looked for (settings of a fine-tuning,
/// a small loss, a compromise), where the sampler is one for a comparison, or where members of a population are to differ.
pub fn of(plan: &Plan) -> &'static [Night] {
    let Recipe { pretrained, lr_scaling, .. } = &plan.recipe;
    let is_from_scratch = pretrained.path.is_empty() && *lr_scaling == LrScaling::None;
    let is_accuracy = plan.metric.is_maximized() && plan.objectives.is_empty();
    let is_free = plan.sampler == SamplerKind::Auto && !plan.pruner.has_population();
    if is_from_scratch && is_accuracy && is_free { &SHIPPED } else { &[] }
}

/// What there is.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|night| night.name.as_str())
}

/// The night of that name.
pub fn named(name: &str) -> Option<&'static Night> {
    SHIPPED.iter().find(|night| night.name == name)
}

impl Night {
    /// How many settings it knows.
    pub fn count(&self) -> usize {
        self.trials.len()
    }

    /// Its settings as points of the study's space, as near as that allows, each with its accuracy, best first. Settings of an
    /// optimizer, of a kind of network, or of another choice that the study does not have are left out.
    pub fn points(&self, plan: &Plan) -> Vec<(Params, f64)> {
        let first = plan.default.as_ref().and_then(|point| bind::bind(&plan.recipe, point).ok());
        let first = first.unwrap_or_else(|| plan.recipe.clone());
        let networks = networks(plan, &first);
        let first = serde_json::to_value(first).expect("a recipe is JSON");
        let mut points: Vec<(Params, f64)> = Vec::new();
        for known in &self.trials {
            let point = known.point(plan, &first, &networks);
            let point = point.filter(|point| points.iter().all(|(other, _)| other != point));
            points.extend(point.map(|point| (point, known.val_accuracy)));
        }
        points
    }
}

impl Known {
    /// The settings over the recipe that the study tries first, for the network that is most like the one they were found with.
    fn point(&self, plan: &Plan, first: &Json, networks: &[ModelSpec]) -> Option<Params> {
        let own: ModelSpec = serde_json::from_value(self.recipe["model"].clone()).ok()?;
        let like =
            networks.iter().filter(|network| !same_kind(*network, &own) && are_like(network.family(), own.family()));
        let mut like: Vec<&ModelSpec> = like.collect();
        like.sort_by_key(|network| network.family() != own.family());
        [&own].into_iter().chain(like).find_map(|network| {
            let mut whole = first.clone();
            overlay(&mut whole, &self.recipe);
            if !same_kind(network, &own) {
                whole["model"] = serde_json::to_value(network).expect("a network is JSON");
            }
            let whole: Recipe = serde_json::from_value(whole).ok()?;
            let point = bind::nearest_point(&whole, &plan.space)?;
            let trained = bind::bind(&plan.recipe, &point).ok()?;
            let is_it = same_kind(&trained.model, &whole.model) && same_kind(&trained.optimizer, &whole.optimizer);
            (is_it && !plan.knowledge.forbids(&point)).then_some(point)
        })
    }
}

/// Those that the study can train: the network of what it tries first, and the space's in its order.
fn networks(plan: &Plan, first: &Recipe) -> Vec<ModelSpec> {
    let searched: &[ParamValue] = match plan.space.get("model").map(|parameter| &parameter.distribution) {
        Some(Distribution::Categorical { choices }) => choices,
        Some(Distribution::Fixed { value }) => std::slice::from_ref(value),
        _ => &[],
    };
    let searched = searched.iter().filter_map(ParamValue::as_str);
    let searched = searched.filter_map(|kind| serde_json::from_value(json!({ "kind": kind })).ok());
    [first.model.clone()].into_iter().chain(searched.filter(|network| !same_kind(network, &first.model))).collect()
}

/// Whether the settings of one may serve the other: both are 3×3 convolutions, each with a norm.
fn are_like(one: Family, other: Family) -> bool {
    [one, other].iter().all(|family| matches!(family, Family::Plain | Family::Residual))
}

fn same_kind<T>(one: &T, other: &T) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study_file;

    const HEAD: &str = "[study]\nname = 's'\n[data]\npath = 'fashion-mnist-mini'\n";

    fn plan(text: &str) -> Plan {
        study_file::parse(&format!("{HEAD}{text}"), ".".into()).unwrap()
    }

    fn points(plan: &Plan) -> Vec<Params> {
        of(plan).iter().flat_map(|night| night.points(plan)).map(|(point, _)| point).collect()
    }

    fn numbers(points: &[Params], name: &str) -> Vec<f64> {
        points.iter().filter_map(|point| point.get(name)?.as_f64()).collect()
    }

    #[test]
    fn every_night_knows_two_networks_and_two_optimizers() {
        let text = include_str!("../../configs/fashion-mnist-hour.toml");
        let plan = study_file::parse(text, ".".into()).unwrap();
        for night in of(&plan) {
            let points = night.points(&plan);
            assert_eq!(points.len(), night.count(), "{}", night.name);
            for name in ["model", "optimizer"] {
                let differ = |(point, _): &(Params, f64)| point.get(name) != points[0].0.get(name);
                assert!(points.iter().any(differ), "{} has one {name}", night.name);
            }
            let best = |(_, value): &(Params, f64)| *value <= points[0].1 && (0.5..1.0).contains(value);
            assert!(points.iter().all(best), "{}", night.name);
            assert_eq!(named(&night.name).map(Night::count), Some(night.count()));
        }
        assert_eq!(of(&plan).len(), names().count());
        assert!(named("shipped/minst").is_none());
    }

    #[test]
    fn numbers_go_as_near_as_the_space_allows() {
        let plan = plan(
            "[recipe]\nmodel = { kind = 'resnet20' }\noptimizer = { kind = 'sgd', lr = 0.1, momentum = 0.9 }\n\
             [space]\nbatch_size = [1024, 2048]\noptimizer.lr = { low = 5.0, high = 6.0 }\n",
        );
        let points = points(&plan);
        assert!(!points.is_empty());
        assert!(numbers(&points, "batch_size").iter().all(|batch| *batch == 1024.0), "{points:?}");
        assert!(numbers(&points, "optimizer.lr").iter().all(|rate| *rate == 5.0), "{points:?}");
        assert!(points.iter().all(|point| plan.space.contains(point).is_ok()));
    }

    #[test]
    fn settings_of_another_optimizer_or_kind_of_network_are_left_out() {
        let space = "[space.optimizer.adamw]\nlr = { low = 1e-4, high = 3e-2, log = true }\n\
                     [space.optimizer.lion]\nlr = { low = 1e-5, high = 1e-2, log = true }\n";
        let known = points(&plan(&format!("[recipe]\nmodel = {{ kind = 'wrn' }}\n{space}")));
        assert!(!known.is_empty());
        assert!(known.iter().all(|point| point.get("optimizer").unwrap().as_str() == Some("adamw")), "{known:?}");
        let rates = numbers(&known, "optimizer.adamw.lr");
        assert!(rates.iter().any(|rate| *rate > 1e-4 && *rate < 3e-2), "{rates:?}");
        assert!(points(&plan(&format!("[recipe]\nmodel = {{ kind = 'vit' }}\n{space}"))).is_empty());
    }

    #[test]
    fn a_network_that_no_night_had_takes_the_settings_of_its_like() {
        let rates = "lr = { low = 1e-2, high = 1.0, log = true }";
        let known = points(&plan(&format!(
            "[space.model.vit]\ndim = [32, 64]\n[space.model.resnet20]\n[space.optimizer.sgd]\n{rates}\n"
        )));
        assert!(!known.is_empty());
        assert!(known.iter().all(|point| point.get("model").unwrap().as_str() == Some("resnet20")), "{known:?}");
    }

    #[test]
    fn only_a_search_from_scratch_that_is_free_to_choose_starts_from_them() {
        let space =
            "[space]\nbatch_size = [32, 64, 128]\n[space.optimizer.sgd]\nlr = { low = 1e-2, high = 1.0, log = true }\n";
        let count = |text: &str| of(&plan(&format!("{text}{space}"))).len();
        assert!(count("") > 0);
        assert_eq!(count("[search]\nsampler = 'random'\n"), 0);
        assert_eq!(count("[search]\nsampler = 'tpe'\n"), 0);
        assert_eq!(count("[search]\npruner = 'pbt'\n"), 0);
        assert_eq!(count("[recipe]\npretrained = { path = 'w.safetensors' }\n"), 0);
        assert_eq!(count("[recipe]\nlr_scaling = 'linear'\n"), 0);
        let loss = format!("[study]\nname = 's'\nmetric = 'val_loss'\n[data]\npath = 'fashion-mnist-mini'\n{space}");
        assert!(of(&study_file::parse(&loss, ".".into()).unwrap()).is_empty());
    }

    #[test]
    fn a_point_comes_once_and_none_that_is_forbidden() {
        let space = "[recipe]\nmodel = { kind = 'convnet' }\n[space]\nbatch_size = [32, 64]\n\
                     [space.optimizer.sgd]\nlr = { low = 1e-3, high = 1e-2, log = true }\n\
                     [space.optimizer.adamw]\nlr = { low = 1e-4, high = 1e-3, log = true }\n";
        for night in of(&plan(space)) {
            // All rates are above both ranges.
            assert_eq!(night.points(&plan(space)).len(), 2, "{}", night.name);
        }
        let known = points(&plan(&format!("[search]\nforbid = [\"optimizer = 'sgd'\"]\n{space}")));
        assert!(!known.is_empty());
        assert!(known.iter().all(|point| point.get("optimizer").unwrap().as_str() == Some("adamw")), "{known:?}");
    }

    #[test]
    fn what_a_night_says_nothing_of_is_as_in_the_trial_that_comes_first() {
        // As a study has it that learned its policy: the recipe's own is the learned one, and the first trial has none.
        let mut plan = plan(
            "[recipe]\nmodel = { kind = 'convnet' }\nlabel_smoothing = 0.1\n\
             [space]\nclip_norm = [0.0, 1.0]\n[space.optimizer.sgd]\nlr = { low = 1e-2, high = 1.0, log = true }\n",
        );
        plan.recipe.clip_norm = 1.0;
        assert!(numbers(&points(&plan), "clip_norm").iter().all(|norm| *norm == 0.0));
    }
}
