//! The policy that a study learns before its first trial: `[policy]` of a study file. It is the recipe's own from then on,
//! and so the choice `custom` of the space, beside whatever other policies the space has.

use std::time::Duration;

use jiff::SignedDuration;
use nightsweep_search::{Distribution, ParamValue, Parameter, SearchSpace};
use nightsweep_trainer::Recipe;
use nightsweep_trainer::recipe::{Op, Policy, PolicyOp, PolicySpec};
use serde::{Deserialize, Serialize};

use super::{Method, PolicyFile, sub_policy};
use crate::bind;
use crate::plan::Plan;

/// The parameter that has the policies, the recipe's own among its choices, and none.
pub const PARAMETER: &str = "augment.policy";
const OWN: &str = "custom";
const NONE: &str = "none";

/// How a study's policy is learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learning {
    /// By what.
    pub method: Method,
    /// How long the search may take, as `20m`; what it may use is found out before.
    pub budget: String,
    /// What it may use.
    pub within: Within,
    /// Epochs of each child; the recipe's if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Training images that children see, the same number of each class; all of them if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduced: Option<u64>,
}

/// What a study's policy may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// What a table of harm allows, which is measured first.
    Harm,
    /// Every operation at every strength.
    All,
}

impl Default for Learning {
    fn default() -> Self {
        Self { method: Method::Density, budget: "10m".to_owned(), within: Within::Harm, epochs: None, reduced: None }
    }
}

impl Learning {
    /// The first broken rule, as (key, rule).
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self { method: Method::RandAugment | Method::TrivialAugment, .. } => Err((
                "method",
                "`policy.method` must be density, controller, relaxed or pba; RandAugment's numbers are searched as \
                 `[space.augment.policy.rand_augment]`, and TrivialAugment has none",
            )),
            _ if self.budget().is_none() => Err(("budget", "`policy.budget` must be a duration, as \"20m\" or \"1h\"")),
            Self { epochs: Some(0), .. } => Err(("epochs", "`policy.epochs` must be at least 1")),
            Self { reduced: Some(0), .. } => Err(("reduced", "`policy.reduced` must be at least 1")),
            _ => Ok(()),
        }
    }

    /// How long the search may take; `None` if the study file does not say it right.
    pub fn budget(&self) -> Option<Duration> {
        let duration = Duration::try_from(self.budget.parse::<SignedDuration>().ok()?).ok()?;
        (!duration.is_zero()).then_some(duration)
    }
}

/// Makes the recipe's own policy a choice of the space, beside those that are there, or beside none.
pub fn add_choice(space: &mut SearchSpace) {
    let own = ParamValue::Text(OWN.to_owned());
    match space.0.iter_mut().find(|parameter| parameter.name == PARAMETER) {
        Some(Parameter { distribution: Distribution::Categorical { choices }, .. }) => {
            if !choices.contains(&own) {
                choices.push(own);
            }
        }
        Some(Parameter { distribution, .. }) => {
            if let Distribution::Fixed { value } = distribution.clone() {
                *distribution = Distribution::Categorical { choices: vec![value, own] };
            }
        }
        None => {
            let choices = vec![ParamValue::Text(NONE.to_owned()), own];
            let distribution = Distribution::Categorical { choices };
            space.0.push(Parameter { name: PARAMETER.to_owned(), distribution, when: None });
        }
    }
}

/// The recipe with a policy of its own, as long as none is learned: it does nothing.
pub fn unlearned(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    let nothing = sub_policy(vec![PolicyOp::new(Op::Identity)]);
    recipe.augment.policy = PolicySpec::Custom(Policy::new(vec![nothing]));
    recipe
}

impl Plan {
    /// Whether a policy is to be learned that is not known yet.
    pub fn lacks_policy(&self) -> bool {
        self.policy.is_some() && self.learned.is_none()
    }

    /// Takes a policy that does nothing for the one that is to be learned, to see how long trials take.
    pub fn expect_policy(&mut self) {
        if self.lacks_policy() {
            self.recipe = unlearned(&self.recipe);
        }
    }

    /// Takes a policy that was learned for the recipe's own. The recipe with it is tried first of all, after the recipe
    /// without.
    pub fn take_policy(&mut self, file: PolicyFile) {
        self.recipe.augment.policy = file.policy;
        self.learned = file.learned;
        let point = bind::point_of(&self.recipe, &self.space).ok();
        let point = point.filter(|point| !self.knowledge.forbids(point));
        self.knowledge.enqueue.splice(0..0, point);
    }

    /// Takes the policy with which the study began.
    pub fn take_learned_policy(&mut self, earlier: &Self) {
        if self.policy == earlier.policy && earlier.learned.is_some() {
            let (policy, learned) = (earlier.recipe.augment.policy.clone(), earlier.learned.clone());
            self.take_policy(PolicyFile { policy, learned });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Origin;
    use crate::study_file::parse;

    use super::*;

    const HEAD: &str = "[study]\nname = 's'\n[data]\npath = 'fashion-mnist-mini'\n[policy]\nbudget = '20m'\n";

    fn learned(method: Method) -> PolicyFile {
        let version = "0.1.0".to_owned();
        let learned = Origin { method, data: "x".to_owned(), images: 9, seconds: 1.5, tried: 3, seed: 1, version };
        let sub_policies = vec![sub_policy(vec![PolicyOp::new(Op::Rotate)])];
        PolicyFile { policy: PolicySpec::Custom(Policy::new(sub_policies)), learned: Some(learned) }
    }

    #[test]
    fn the_learned_policy_is_a_choice_beside_those_of_the_space() {
        let check = |tail: &str, expected: &[&str]| {
            let plan = parse(&format!("{HEAD}{tail}"), ".".into()).unwrap();
            let choices = expected.iter().map(|choice| ParamValue::Text((*choice).to_owned())).collect();
            let parameter = plan.space.get(PARAMETER).unwrap();
            assert_eq!(parameter.distribution, Distribution::Categorical { choices }, "{tail}");
        };
        check("", &["none", "custom"]);
        check("[space.augment]\npolicy = ['none', 'trivial_augment']", &["none", "trivial_augment", "custom"]);
        check("[space.augment]\npolicy = ['custom', 'none']", &["custom", "none"]);
        check("[space.augment]\npolicy = 'aug_mix'", &["aug_mix", "custom"]);
        check(
            "[space.augment.policy.none]\n[space.augment.policy.rand_augment]\nm = [5, 9]",
            &["none", "rand_augment", "custom"],
        );
    }

    #[test]
    fn the_recipe_is_tried_without_the_policy_and_then_with_it() {
        let mut plan = parse(&format!("{HEAD}[space]\nbatch_size = [64, 128]\n"), ".".into()).unwrap();
        assert!(plan.lacks_policy());
        let of = |params: &nightsweep_search::Params| params.get(PARAMETER).cloned();
        plan.take_policy(learned(Method::Density));
        assert!(!plan.lacks_policy());
        assert_eq!(plan.default.as_ref().and_then(of), Some(ParamValue::Text("none".to_owned())));
        let [first] = &plan.knowledge.enqueue[..] else { panic!("{:?}", plan.knowledge.enqueue) };
        assert_eq!(of(first), Some(ParamValue::Text("custom".to_owned())));
        let trained = |point| bind::bind(&plan.recipe, point).unwrap().augment.policy;
        assert_eq!(trained(first), learned(Method::Density).policy);
        assert_eq!(trained(plan.default.as_ref().unwrap()), PolicySpec::default());
    }

    #[test]
    fn a_resumed_study_has_the_policy_that_was_learned() {
        let text = format!("{HEAD}[space]\nbatch_size = [64, 128]\n");
        let mut begun = parse(&text, ".".into()).unwrap();
        begun.take_policy(learned(Method::Density));
        let mut resumed = parse(&text, ".".into()).unwrap();
        resumed.take_learned_policy(&begun);
        assert_eq!((begun.difference(&resumed), &resumed.learned), (None, &begun.learned));
        let mut other = parse(&text.replace("20m", "10m"), ".".into()).unwrap();
        other.take_learned_policy(&begun);
        assert!(other.lacks_policy());
        assert_eq!(begun.difference(&other), Some("policy"));
    }

    #[test]
    fn mistakes_are_told_with_their_key() {
        let check = |policy: &str, expected: &str| {
            let error = parse(&HEAD.replace("budget = '20m'\n", policy), ".".into()).unwrap_err();
            assert!(error.message.contains(expected), "{policy}: {}", error.message);
        };
        check("method = 'rand_augment'\n", "`policy.method` must be density");
        check("budget = 'soon'\n", "`policy.budget` must be a duration");
        check("budget = '0s'\n", "`policy.budget` must be a duration");
        check("epochs = 0\n", "`policy.epochs` must be at least 1");
        check("within = 'harmm'\n", "unknown variant `harmm`");
        check("bugdet = '20m'\n", "unknown field `bugdet`");
        check("[recipe.augment]\npolicy = { kind = 'aug_mix' }\n", "learns the recipe's policy");
    }
}
