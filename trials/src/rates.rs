//! Learning rates that a study file leaves to a range test: `lr = "find"` in `[space]`. They are measured once, when the
//! study begins, and are part of its space from then on.

use nightsweep_search::{Distribution, Parameter, Params, Scale, SearchSpace};
use nightsweep_trainer::{RangeTest, Recipe};

use crate::bind::{self, BindError};
use crate::plan::Plan;

/// The word that a study file has instead of a range.
pub const FIND: &str = "find";

/// What stands in the space until the rate is found: all that the test goes through.
pub fn unfound() -> Distribution {
    let RangeTest { low, high, .. } = RangeTest::default();
    Distribution::Float { low, high, scale: Scale::Log }
}

/// What a parameter needs others to be, outermost first.
pub fn conditions(space: &SearchSpace, parameter: &Parameter) -> Params {
    let mut found = Vec::new();
    let mut child = parameter;
    while let Some(when) = &child.when {
        let Some(parent) = space.0.iter().find(|other| other.name == when.parent) else { break };
        found.push((parent.name.clone(), when.equals[0].clone()));
        child = parent;
    }
    found.into_iter().rev().collect()
}

impl Plan {
    /// The recipe with which a rate is to be measured: the study's, with the choice that the rate belongs to.
    pub fn recipe_to_measure(&self, rate: &str) -> Result<Recipe, BindError> {
        let parameter = self.space.0.iter().find(|parameter| parameter.name == rate);
        let parameter = parameter.ok_or_else(|| BindError::NoSuchField { param: rate.to_owned() })?;
        bind::bind(&self.recipe, &conditions(&self.space, parameter))
    }

    /// Searches a rate in a range that was found.
    pub fn search_rate(&mut self, rate: &str, low: f64, high: f64) {
        for parameter in self.space.0.iter_mut().filter(|parameter| parameter.name == rate) {
            parameter.distribution = Distribution::Float { low, high, scale: Scale::Log };
        }
        self.default = bind::point_of(&self.recipe, &self.space).ok();
    }

    /// Searches all rates where the plan that the study began with does.
    pub fn take_found_rates(&mut self, earlier: &Self) {
        for rate in self.finds.clone().into_iter().filter(|rate| earlier.finds.contains(rate)) {
            let found = earlier.space.0.iter().find(|parameter| parameter.name == rate);
            if let Some(Distribution::Float { low, high, .. }) = found.map(|parameter| &parameter.distribution) {
                self.search_rate(&rate, *low, *high);
            }
        }
    }
}

/// Whether a parameter can be left to a range test.
pub fn can_be_found(name: &str) -> bool {
    name.starts_with("optimizer.") && name.ends_with(".lr")
}

#[cfg(test)]
mod tests {
    use nightsweep_search::ParamValue;

    use crate::study_file::parse;

    use super::*;

    const HEAD: &str = "[study]\nname = \"s\"\n[data]\npath = \"fashion-mnist-mini\"\n[space]\n";

    fn plan(space: &str) -> Plan {
        parse(&format!("{HEAD}{space}"), ".".into()).unwrap()
    }

    #[test]
    fn a_rate_is_measured_with_its_own_optimizer() {
        let plan =
            plan("[space.optimizer.sgd]\nlr = 'find'\n[space.optimizer.lion]\nlr = 'find'\nbeta1 = [0.9, 0.95]\n");
        assert_eq!(plan.finds, ["optimizer.sgd.lr", "optimizer.lion.lr"]);
        let kinds: Vec<String> = plan
            .finds
            .iter()
            .map(|rate| serde_json::to_value(plan.recipe_to_measure(rate).unwrap().optimizer).unwrap())
            .map(|optimizer| optimizer["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["sgd", "lion"]);
        assert!(plan.recipe_to_measure("optimizer.adamw.lr").is_err());
    }

    #[test]
    fn a_resumed_study_has_the_space_that_was_found() {
        let text = "optimizer.lr = 'find'\nbatch_size = [64, 128]\n";
        let mut begun = plan(text);
        assert_eq!(begun.finds, ["optimizer.lr"]);
        begun.search_rate("optimizer.lr", 0.01, 0.5);
        let value = begun.default.as_ref().and_then(|point| point.get("optimizer.lr")).cloned();
        assert_eq!(value, Some(ParamValue::Float(0.1)), "the recipe itself lies in what was found");
        let mut resumed = plan(text);
        assert_eq!(begun.difference(&resumed), Some("space"));
        resumed.take_found_rates(&begun);
        assert_eq!((begun.difference(&resumed), &resumed.default), (None, &begun.default));
        let mut other = plan("optimizer.lr = { low = 0.1, high = 1 }\nbatch_size = [64, 128]\n");
        other.take_found_rates(&begun);
        assert_eq!(begun.difference(&other), Some("space"));
    }
}
