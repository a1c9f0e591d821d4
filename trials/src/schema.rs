//! The recipe's schema as a tree, so that a key of a study file is checked where it stands.

use std::sync::LazyLock;

use nightsweep_trainer::Recipe;
use serde_json::{Map, Value};

static RECIPE: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Recipe).into());

/// A place in the recipe's schema.
#[derive(Clone, Copy, Debug)]
pub struct Node(&'static Value);

/// What a place in the recipe holds.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Named fields.
    Table(Fields),
    /// One of several alternatives, each with fields of its own.
    Choice(Vec<(&'static str, Fields)>),
    /// A real number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Switch,
    /// A list, which cannot vary.
    List,
    /// One of these words.
    Words(Vec<&'static str>),
    /// Any text.
    Text,
}

/// The fields of a table or of an alternative.
#[derive(Clone, Copy, Debug)]
pub struct Fields(&'static Map<String, Value>);

impl Fields {
    /// Names as the recipe declares them, without the `kind` of an alternative.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.keys().map(String::as_str).filter(|name| *name != "kind")
    }

    /// The place that a field names.
    pub fn get(self, name: &str) -> Option<Node> {
        (name != "kind").then(|| self.0.get(name).map(Node)).flatten()
    }
}

/// The fields of the recipe.
pub fn recipe() -> Fields {
    Fields(properties(&RECIPE).expect("a recipe is a table"))
}

/// Where the recipe has a field of that name, whichever alternative it belongs to, as `optimizer.lr`.
pub fn paths_to(name: &str) -> Vec<String> {
    let mut paths = Vec::new();
    find(recipe(), "", name, &mut paths);
    paths
}

fn find(fields: Fields, at: &str, wanted: &str, paths: &mut Vec<String>) {
    for (name, node) in fields.names().filter_map(|name| Some((name, fields.get(name)?))) {
        let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        if name == wanted && !paths.contains(&path) {
            paths.push(path.clone());
        }
        match node.shape() {
            Shape::Table(fields) => find(fields, &path, wanted, paths),
            Shape::Choice(choices) => choices.iter().for_each(|(_, fields)| find(*fields, &path, wanted, paths)),
            _ => {}
        }
    }
}

impl Node {
    /// What the place holds.
    pub fn shape(self) -> Shape {
        let schema = match self.0.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.trim_start_matches("#/$defs/");
                RECIPE.get("$defs").and_then(|defs| defs.get(name)).expect("a schema refers to what it defines")
            }
            None => self.0,
        };
        if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
            return alternatives_shape(alternatives);
        }
        if let Some(fields) = properties(schema) {
            return Shape::Table(Fields(fields));
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("number") => Shape::Number,
            Some("integer") => Shape::Integer,
            Some("boolean") => Shape::Switch,
            Some("string") if schema.get("enum").is_none() => Shape::Text,
            Some("array") => Shape::List,
            _ => Shape::Words(words(schema.get("enum").and_then(Value::as_array).into_iter().flatten())),
        }
    }
}

fn alternatives_shape(alternatives: &'static [Value]) -> Shape {
    let kind = |schema: &'static Value| Some((properties(schema)?.get("kind")?.get("const")?.as_str()?, schema));
    let choices: Option<Vec<_>> = alternatives.iter().map(kind).collect();
    match choices {
        Some(choices) => Shape::Choice(
            choices.into_iter().filter_map(|(kind, schema)| Some((kind, Fields(properties(schema)?)))).collect(),
        ),
        None => Shape::Words(words(alternatives.iter().flat_map(|schema| {
            let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            schema.get("const").into_iter().chain(several)
        }))),
    }
}

fn words(values: impl Iterator<Item = &'static Value>) -> Vec<&'static str> {
    values.filter_map(Value::as_str).collect()
}

fn properties(schema: &'static Value) -> Option<&'static Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_the_shapes_of_the_recipe() {
        let shape = |name: &str| recipe().get(name).unwrap().shape();
        assert!(matches!(shape("batch_size"), Shape::Integer));
        assert!(matches!(shape("label_smoothing"), Shape::Number));
        assert!(matches!(shape("keep"), Shape::Words(words) if words == ["best", "last"]));
        let Shape::Choice(optimizers) = shape("optimizer") else { panic!("an optimizer is a choice") };
        assert_eq!(optimizers.iter().take(3).map(|(kind, _)| *kind).collect::<Vec<_>>(), ["sgd", "adam", "adamw"]);
        assert!(matches!(optimizers[0].1.get("nesterov").unwrap().shape(), Shape::Switch));
        let Shape::Table(augment) = shape("augment") else { panic!("augment is a table") };
        assert_eq!(augment.names().take(2).collect::<Vec<_>>(), ["flip", "crop_padding"]);
        let Shape::Choice(schedules) = shape("schedule") else { panic!("a schedule is a choice") };
        let (_, steps) = schedules.iter().find(|(kind, _)| *kind == "multi_step").unwrap();
        assert!(matches!(steps.get("milestones").unwrap().shape(), Shape::List));
        assert!(recipe().get("kind").is_none() && recipe().get("lr").is_none());
    }
}
