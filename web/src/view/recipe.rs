//! The recipe of a trial: as TOML to copy, and beside the default recipe and the winner's.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use nightsweep_store::{StudyRow, TrialRow};
use serde_json::Value;

use super::trial_address;
use crate::format;

/// A recipe's values by their paths.
type Flat = BTreeMap<String, Value>;

/// The recipes that a trial is compared with.
pub(super) struct Recipes<'a> {
    pub own: Option<&'a str>,
    /// The best trial and its recipe, if it is another one.
    pub winner: Option<(&'a TrialRow, Option<&'a str>)>,
}

/// What differs, and the whole.
pub(super) fn recipe(study: &StudyRow, trial: &TrialRow, recipes: &Recipes<'_>) -> Markup {
    let default = study.plan.get("recipe").filter(|_| recipes.own.is_some()).map(|recipe| flat(recipe.clone()));
    let own = recipes.own.and_then(parse).unwrap_or_else(|| of_params(trial));
    let winner = recipes.winner.map(|(trial, text)| (trial, text.and_then(parse).unwrap_or_else(|| of_params(trial))));
    let names: BTreeSet<&String> = own.keys().chain(winner.iter().flat_map(|(_, flat)| flat.keys())).collect();
    fn cell<'a>(flat: Option<&'a Flat>, name: &str) -> Option<&'a Value> {
        flat.and_then(|flat| flat.get(name))
    }
    let rows: Vec<_> = names
        .into_iter()
        .map(|name| {
            (name, cell(Some(&own), name), cell(default.as_ref(), name), cell(winner.as_ref().map(|it| &it.1), name))
        })
        .filter(|(_, own, from, other)| (default.is_some() && own != from) || (winner.is_some() && own != other))
        .collect();
    let copied = |value: Option<&Value>, own: Option<&Value>| {
        html! {
            td class=[(value != own).then_some("other")] {
                @match value { Some(value) => (text(value)), None => span.none { "–" } }
            }
        }
    };
    html! {
        section.panel {
            h2 { "Recipe" span.unit { "what differs from the default recipe and from the best trial's; other values are the same in all" } }
            @if rows.is_empty() { p.none { @match (default.is_some(), winner.is_some()) {
                (true, true) => "It is the default recipe, and the best trial's.",
                (true, false) => "It is the default recipe.",
                (false, true) => "It is the best trial's recipe.",
                (false, false) => "There is no recipe to compare it with.",
            } } } @else {
                div.sideways tabindex="0" { table.plain.recipes {
                    thead { tr {
                        th {} th scope="col" { "this trial" }
                        @if default.is_some() { th scope="col" { "default" } }
                        @if let Some((winner, _)) = &winner {
                            th scope="col" { "best: " a href=(trial_address(&study.name, winner.number)) { "trial " (winner.number) } }
                        }
                    } }
                    tbody { @for (name, own, from, other) in &rows {
                        tr {
                            th scope="row" { (name) }
                            td { @match own { Some(value) => b { (text(value)) }, None => span.none { "–" } } }
                            @if default.is_some() { (copied(*from, *own)) }
                            @if winner.is_some() { (copied(*other, *own)) }
                        }
                    } }
                } }
            }
            p.unit { "Chosen by: " (trial.why) }
            @if let Some(text) = recipes.own {
                details {
                    summary { "The whole recipe, as TOML" }
                    button.copy type="button" data-copy="recipe-text" { "Copy" }
                    pre.recipe #recipe-text tabindex="0" { (text) }
                }
            }
        }
    }
}

fn parse(text: &str) -> Option<Flat> {
    toml::from_str::<Value>(text).ok().map(flat)
}

/// As long as the recipe is not known, what the sampler chose is all there is.
fn of_params(trial: &TrialRow) -> Flat {
    let value = |value: &nightsweep_search::ParamValue| serde_json::to_value(value).unwrap_or_default();
    trial.params.iter().map(|(name, it)| (name.to_owned(), value(it))).collect()
}

fn flat(value: Value) -> Flat {
    let mut flat = Flat::new();
    flatten("", value, &mut flat);
    flat
}

fn flatten(path: &str, value: Value, flat: &mut Flat) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(&path, value, flat);
            }
        }
        // TOML has no word for it.
        Value::Null => {}
        value => {
            flat.insert(path.to_owned(), without_nulls(value));
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        value => value,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format::short(number.as_f64().unwrap_or(f64::NAN)),
        // Such as a policy's sub-policies, which would fill the page; the whole recipe has them.
        Value::Array(items) if items.iter().any(Value::is_object) => match items.len() {
            1 => "1 entry".to_owned(),
            count => format!("{count} entries"),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_the_same_from_toml_and_from_json() {
        let toml = "epochs = 3\nlabels = [1, 2]\n[optimizer]\nkind = \"sgd\"\nlr = 1.0\n";
        let json = serde_json::json!({
            "epochs": 3, "labels": [1, 2], "optimizer": { "kind": "sgd", "lr": 1.0 }, "nothing": null
        });
        assert_eq!(parse(toml), Some(flat(json)));
        assert_eq!(parse(toml).unwrap()["optimizer.kind"], "sgd");
        assert_eq!(parse("= no"), None);
    }

    #[test]
    fn lists_of_tables_are_the_same_in_any_order_of_their_keys_and_shown_by_their_length() {
        let toml = "[[mix]]\nchance = 1.0\nmixup = 0.2\n[[mix]]\nmixup = 0.1\n";
        let json = serde_json::json!({ "mix": [{ "mixup": 0.2, "from": null, "chance": 1.0 }, { "mixup": 0.1 }] });
        let flat = flat(json);
        assert_eq!(parse(toml).as_ref(), Some(&flat));
        assert_eq!(text(&flat["mix"]), "2 entries");
    }
}
