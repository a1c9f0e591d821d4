//! The one place where a point of the space becomes a recipe.

use nightsweep_search::{
    Distribution, ParamValue, Parameter, Params, PointError, SearchSpace, Stretch, Trial, TrialNumber, lineage,
};
use nightsweep_trainer::Recipe;
use nightsweep_trainer::recipe::{Change, PolicySpec, RecipeError};
use serde_json::Value as Json;

/// Why a point is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The recipe does not have what the parameter names.
    #[error("the recipe has no `{param}`")]
    NoSuchField {
        /// Name of the parameter.
        param: String,
    },
    /// A confirmation is asked to repeat a trial that it does not have.
    #[error("trial {trial} is no candidate of this confirmation")]
    NoCandidate {
        /// The trial of the study that is confirmed.
        trial: TrialNumber,
    },
    /// Nothing is known of such a trial.
    #[error("there is no trial {trial}")]
    NoSuchTrial {
        /// The number.
        trial: TrialNumber,
    },
    /// The fields do not fit together.
    #[error("the parameters make no recipe")]
    Shape(#[source] serde_json::Error),
    /// A number breaks a rule.
    #[error(transparent)]
    Rule(#[from] RecipeError),
}

/// The recipe that the study fixes, with a point's values in it.
pub fn bind(base: &Recipe, params: &Params) -> Result<Recipe, BindError> {
    let mut recipe = serde_json::to_value(base).map_err(BindError::Shape)?;
    for (name, value) in params.iter() {
        let place = place(&mut recipe, name).ok_or_else(|| BindError::NoSuchField { param: name.to_owned() })?;
        match (place.get("kind").and_then(Json::as_str), value) {
            // The recipe's own settings of that choice stay.
            (Some(kind), ParamValue::Text(choice)) if kind == choice => {}
            (Some(_), ParamValue::Text(choice)) => *place = serde_json::json!({ "kind": choice }),
            _ => *place = serde_json::to_value(value).map_err(BindError::Shape)?,
        }
    }
    let recipe: Recipe = serde_json::from_value(recipe).map_err(BindError::Shape)?;
    recipe.check()?;
    Ok(recipe)
}

/// The recipe of a trial: for a fork, that of its first ancestor, with what changed at each fork since. Also the trial on
/// whose seeds all of them train, so that the recipe alone makes the same training again.
pub fn bind_trial(base: &Recipe, trials: &[Trial], trial: TrialNumber) -> Result<(Recipe, TrialNumber), BindError> {
    let stretches = lineage(trials, trial);
    let first = stretches.first().ok_or(BindError::NoSuchTrial { trial })?;
    let mut recipe = bind(base, &first.params)?;
    let mut last = recipe.clone();
    for Stretch { begin, params, .. } in &stretches[1..] {
        let next = bind(base, params)?;
        recipe.changes.extend(Change::between(*begin, &last, &next));
        last = next;
    }
    recipe.check()?;
    Ok((recipe, first.trial))
}

/// The point that a recipe is, if it lies in the space.
pub fn point_of(recipe: &Recipe, space: &SearchSpace) -> Result<Params, PointError> {
    let params = read(recipe, space, value_of)?;
    space.contains(&params).map(|()| params)
}

/// The point of the space nearest to a recipe: a number goes to the nearest bound, step or number of a list, and what is
/// fixed is as it is. `None` where the recipe chooses something that is no choice of the space.
pub fn nearest_point(recipe: &Recipe, space: &SearchSpace) -> Option<Params> {
    let nearest = |place: &Json, parameter: &Parameter| match &parameter.distribution {
        Distribution::Fixed { value } => Some(value.clone()),
        distribution => Some(distribution.nearest(&value_of(place, parameter)?)),
    };
    let params = read(recipe, space, nearest).ok()?;
    space.contains(&params).is_ok().then_some(params)
}

/// A value for each parameter that is active, of its place in the recipe.
fn read(
    recipe: &Recipe,
    space: &SearchSpace,
    value: impl Fn(&Json, &Parameter) -> Option<ParamValue>,
) -> Result<Params, PointError> {
    let mut recipe = serde_json::to_value(recipe).expect("a recipe is JSON");
    let mut params = Params::default();
    for parameter in &space.0 {
        let is_active = parameter
            .when
            .as_ref()
            .is_none_or(|when| params.get(&when.parent).is_some_and(|value| when.equals.contains(value)));
        if is_active {
            let value = place(&mut recipe, &parameter.name).and_then(|place| value(place, parameter));
            let value = value.ok_or_else(|| PointError::Missing { param: parameter.name.clone() })?;
            params.0.insert(parameter.name.clone(), value);
        }
    }
    Ok(params)
}

/// What a trial of an earlier study is in another one; `None` if it does not lie in its space, or was trained with another
/// augmentation policy of one's own: of such policies, a space knows only that there is one.
pub fn carry_over(earlier: &Recipe, params: &Params, recipe: &Recipe, space: &SearchSpace) -> Option<Params> {
    let trained = bind(earlier, params).ok()?;
    let is_another =
        matches!(trained.augment.policy, PolicySpec::Custom(_)) && trained.augment.policy != recipe.augment.policy;
    (!is_another).then(|| point_of(&trained, space).ok()).flatten()
}

/// The value at a place, in the parameter's own type.
fn value_of(place: &Json, parameter: &Parameter) -> Option<ParamValue> {
    let plain = place.get("kind").unwrap_or(place);
    let value: ParamValue = serde_json::from_value(plain.clone()).ok()?;
    match &parameter.distribution {
        Distribution::Float { .. } => value.as_f64().map(ParamValue::Float),
        Distribution::Ordinal { choices } | Distribution::Categorical { choices } => {
            let same = |choice: &&ParamValue| {
                **choice == value || (choice.as_f64().is_some() && choice.as_f64() == value.as_f64())
            };
            // A value that is no choice is for the space to refuse, by name.
            Some(choices.iter().find(same).cloned().unwrap_or(value))
        }
        Distribution::Fixed { value: ParamValue::Float(_) } => value.as_f64().map(ParamValue::Float),
        Distribution::Int { .. } | Distribution::Fixed { .. } | Distribution::Permutation { .. } => Some(value),
    }
}

/// The place in a recipe that a parameter's name reaches: `optimizer.sgd.lr` is `lr` of the optimizer, if that is sgd.
fn place<'a>(recipe: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    let mut here = recipe;
    for segment in name.split('.') {
        if here.get("kind").and_then(Json::as_str) == Some(segment) {
            continue;
        }
        // A field with its default may be one that the chosen kind has not spelled out yet.
        let is_kind = here.get("kind").is_some();
        let fields = here.as_object_mut()?;
        if !fields.contains_key(segment) && is_kind {
            fields.insert(segment.to_owned(), Json::Null);
        }
        here = fields.get_mut(segment)?;
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::{Adamw, Generated, OptimizerSpec};

    use super::*;

    fn params(values: &[(&str, ParamValue)]) -> Params {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn text(word: &str) -> ParamValue {
        ParamValue::Text(word.to_owned())
    }

    #[test]
    fn a_choice_and_its_fields_become_the_recipes() {
        let point = params(&[
            ("batch_size", ParamValue::Int(64)),
            ("optimizer", text("adamw")),
            ("optimizer.adamw.lr", ParamValue::Float(0.01)),
        ]);
        let recipe = bind(&Recipe::default(), &point).unwrap();
        assert_eq!(recipe.batch_size, 64);
        assert_eq!(recipe.optimizer, OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() }));
    }

    #[test]
    fn the_recipes_own_settings_of_the_same_choice_stay() {
        let base = Recipe {
            optimizer: OptimizerSpec::Adamw(Adamw { epsilon: 1e-6, ..Default::default() }),
            ..Default::default()
        };
        let point = params(&[("optimizer", text("adamw")), ("optimizer.adamw.lr", ParamValue::Float(0.5))]);
        let expected = OptimizerSpec::Adamw(Adamw { lr: 0.5, epsilon: 1e-6, ..Default::default() });
        assert_eq!(bind(&base, &point).unwrap().optimizer, expected);
    }

    #[test]
    fn a_field_of_the_fixed_choice_is_reached_without_its_kind() {
        let recipe = bind(&Recipe::default(), &params(&[("optimizer.lr", ParamValue::Float(0.5))])).unwrap();
        assert_eq!(recipe.optimizer.lr(), 0.5);
    }

    #[test]
    fn the_ratio_of_generated_images_is_searched_as_any_field() {
        let text = "[study]\nname = 's'\n[data]\npath = 'fashion-mnist-mini'\n\
                    [recipe.augment]\ngenerated = { path = 'g.npz' }\n\
                    [space.augment]\ngenerated.ratio = { low = 0, high = 4 }\n";
        let plan = crate::study_file::parse(text, ".".into()).unwrap();
        assert!(plan.space.get("augment.generated.ratio").is_some());
        let point = params(&[("augment.generated.ratio", ParamValue::Float(2.5))]);
        let expected = Generated { path: "g.npz".to_owned(), ratio: 2.5 };
        assert_eq!(bind(&plan.recipe, &point).unwrap().augment.generated, expected);
    }

    #[test]
    fn what_makes_no_recipe_is_an_error() {
        let error = |point| bind(&Recipe::default(), &params(point)).unwrap_err().to_string();
        assert_eq!(error(&[("speed", ParamValue::Int(1))]), "the recipe has no `speed`");
        assert_eq!(error(&[("batch_size", ParamValue::Int(0))]), "`batch_size` must be at least 1, but is 0");
        assert_eq!(error(&[("optimizer.momentumm", ParamValue::Float(0.5))]), "the parameters make no recipe");
    }
}
