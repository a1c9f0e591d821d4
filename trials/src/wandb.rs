//! A sweep of Weights & Biases, made into a study file: <https://docs.wandb.ai/models/sweeps/sweep-config-keys>.
//!
//! A sweep names the arguments of a training program, so it is guessed by their usual names what they mean in our recipe.
//! What is taken over is checked by reading the study file that comes of it; what is not is told with its line.

mod names;
mod values;
mod yaml;

use std::path::PathBuf;

use nightsweep_trainer::{Metric, Recipe};
use toml_edit::{DocumentMut, Item, Table, Value};

use self::names::{Field, Home};
use self::values::Values;
use self::yaml::Node;
use crate::error::Mistake;
use crate::schema::{self, Fields, Shape};
use crate::study_file;

/// A study file, and what of the sweep is not in it as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The study file.
    pub text: String,
    /// In the order of the sweep.
    pub notes: Vec<Note>,
}

/// What became of a key of a sweep, where that is not plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Line of the sweep, from 1.
    pub line: usize,
    /// The key.
    pub key: String,
    /// What became of it.
    pub text: String,
}

/// What a sweep does not say.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Name of the study, if the sweep has none.
    pub name: &'a str,
    /// What to train on.
    pub data: Option<&'a str>,
}

/// Makes a study file of a sweep's text. The mistake is one of the YAML, at its place in that text.
pub fn import(text: &str, given: Given) -> Result<Imported, Mistake> {
    let sweep = yaml::parse(text)?;
    let mut writer = Writer::new(given);
    writer.read_head(&sweep, given);
    let parameters = match sweep.get("parameters") {
        Some(parameters) => values::of_parameters(parameters, &mut writer.notes)?,
        None => return Err(sweep.mistake("a sweep has `parameters`")),
    };
    writer.read_parameters(parameters);
    Ok(writer.finish())
}

/// A key of `parameters`, with its full name.
struct Parameter {
    name: String,
    line: usize,
    values: Values,
}

/// The study file as far as it is written. Whatever is put into it is still a study file.
struct Writer {
    document: DocumentMut,
    notes: Vec<Note>,
}

impl Writer {
    fn new(given: Given) -> Self {
        let mut document = DocumentMut::new();
        for name in ["study", "data", "recipe", "space", "search", "confirm"] {
            document.insert(name, Item::Table(Table::new()));
        }
        document["study"]["name"] = toml_edit::value(plain_name(given.name));
        document["data"]["path"] = toml_edit::value(given.data.unwrap_or("data"));
        Self { document, notes: Vec::new() }
    }

    fn note(&mut self, line: usize, key: &str, text: impl Into<String>) {
        self.notes.push(Note { line, key: key.to_owned(), text: text.into() });
    }

    /// Puts a value somewhere, unless no study file comes of it; then the mistake is returned.
    fn put(&mut self, path: &[&str], value: impl Into<Value>) -> Result<(), String> {
        let before = self.document.clone();
        let (last, tables) = path.split_last().expect("a path has a key");
        let mut table = self.document.as_table_mut();
        for name in tables {
            let entry = table.entry(name).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(true);
                Item::Table(table)
            });
            table = entry.as_table_mut().expect("choices are tables before their fields");
        }
        table.insert(last, Item::Value(value.into()));
        let parsed = study_file::parse(&self.document.to_string(), PathBuf::from("."));
        parsed.map(drop).map_err(|mistake| {
            self.document = before;
            mistake.message
        })
    }

    /// Everything but the parameters.
    fn read_head(&mut self, sweep: &Node, given: Given) {
        for (key, node) in sweep.entries() {
            let line = node.line;
            match key.as_str() {
                "parameters" | "description" => {}
                "program" | "command" | "project" | "entity" => {}
                "name" => match node.text() {
                    Some(name) => drop(self.put(&["study", "name"], plain_name(&name))),
                    None => self.note(line, &key, "a name is a text"),
                },
                "run_cap" => match node.whole().and_then(|cap| i64::try_from(cap).ok()) {
                    Some(cap) => self.put_or_note(line, &key, &["study", "trials"], cap),
                    None => self.note(line, &key, "it is a number of runs"),
                },
                "method" => self.read_method(node),
                "metric" => self.read_metric(node),
                "early_terminate" => self.read_early_terminate(node),
                _ => self.note(line, &key, "nightsweep has nothing like it"),
            }
        }
        if given.data.is_none() {
            self.note(1, "data", "a sweep does not say where its images are: set `[data] path`");
        }
    }

    fn put_or_note(&mut self, line: usize, key: &str, path: &[&str], value: impl Into<Value>) {
        if let Err(message) = self.put(path, value) {
            self.note(line, key, format!("left out: {message}"));
        }
    }

    fn read_method(&mut self, node: &Node) {
        let sampler = match node.text().as_deref() {
            Some("random") => "random",
            Some("grid") => "grid",
            // Theirs is a Gaussian process; ours begins with one too, and knows when to change.
            Some("bayes") => "auto",
            _ => return self.note(node.line, "method", "it is none of random, grid and bayes: `auto` searches"),
        };
        self.put_or_note(node.line, "method", &["search", "sampler"], sampler);
    }

    fn read_metric(&mut self, node: &Node) {
        let named = node.get("name").and_then(Node::text).unwrap_or_default();
        let metric = names::metric(&named);
        match metric {
            Some(metric) => self.put_or_note(node.line, "metric.name", &["study", "metric"], metric.name()),
            None => {
                let text = format!("`{named}` is none of ours: trials are judged by `val_accuracy`");
                self.note(node.line, "metric.name", text);
            }
        }
        let is_maximized = metric.unwrap_or(Metric::ValAccuracy).is_maximized();
        let goal = node.get("goal").and_then(Node::text).unwrap_or_else(|| "minimize".to_owned());
        if is_maximized != (goal == "maximize") {
            let name = metric.unwrap_or(Metric::ValAccuracy).name();
            let ours = if is_maximized { "maximized" } else { "minimized" };
            self.note(node.line, "metric.goal", format!("the sweep says {goal}, but `{name}` is {ours}"));
        }
        for (key, child) in node.entries().filter(|(key, _)| key != "name" && key != "goal") {
            self.note(child.line, &format!("metric.{key}"), "a study ends by its trials or its time");
        }
    }

    /// Their hyperband is one bracket of successive halving.
    fn read_early_terminate(&mut self, node: &Node) {
        if node.get("type").and_then(Node::text).as_deref() != Some("hyperband") {
            return self.note(node.line, "early_terminate", "only hyperband is known: no trial ends early");
        }
        let number = |key: &str| node.get(key).and_then(Node::number);
        let eta = number("eta").unwrap_or(3.0);
        let least = match (number("min_iter"), number("max_iter")) {
            (Some(least), _) => least,
            // As they do: the last of `s` rungs is `max_iter`.
            (None, Some(most)) => most / eta.powf(number("s").unwrap_or(1.0)),
            (None, None) => 1.0,
        };
        let mut pruner = toml_edit::InlineTable::new();
        pruner.insert("kind", "asha".into());
        pruner.insert("min_epochs", (least.max(1.0) as i64).into());
        pruner.insert("reduction_factor", (eta.round().max(2.0) as i64).into());
        self.put_or_note(node.line, "early_terminate", &["search", "pruner"], pruner);
        if eta.fract() != 0.0 {
            self.note(node.line, "early_terminate.eta", "rounded");
        }
        for (key, child) in node.entries() {
            if !["type", "min_iter", "max_iter", "eta", "s", "strict"].contains(&key.as_str()) {
                self.note(child.line, &format!("early_terminate.{key}"), "nightsweep has nothing like it");
            }
        }
    }

    /// Choices first, since they decide where the others go.
    fn read_parameters(&mut self, parameters: Vec<Parameter>) {
        let known = parameters.into_iter().map(|parameter| (names::field(&parameter.name), parameter));
        let (choices, others): (Vec<_>, Vec<_>) = known.partition(|(field, _)| matches!(field, Some(Field::Choice(_))));
        for (field, parameter) in choices.into_iter().chain(others) {
            match field {
                Some(Field::Choice(home)) => self.put_choice(home, &parameter),
                Some(Field::Of(home, name)) => self.put_of_choice(home, name, &parameter),
                Some(Field::Plain(path)) => self.put_plain(path, &parameter),
                Some(Field::Epochs) => self.put_epochs(&parameter),
                Some(Field::Study(path)) => self.put_fixed(path, &parameter),
                None => self.note(parameter.line, &parameter.name, "no name of ours is like it"),
            }
        }
        self.notes.sort_by_key(|note| note.line);
    }

    fn put_choice(&mut self, home: Home, parameter: &Parameter) {
        let Parameter { name, line, values } = parameter;
        let Some(words) = values.words() else {
            return self.note(*line, name, format!("left out: `{}` is a choice between words", home.path()));
        };
        let all = home.kinds();
        let mut kinds: Vec<&str> = Vec::new();
        for word in &words {
            match home.kind(word, &all) {
                Some(kind) if kinds.contains(&kind) => self.note(*line, name, format!("`{word}` is `{kind}` again")),
                Some(kind) => kinds.push(kind),
                None => self.note(*line, name, format!("`{word}` is none of ours and is left out")),
            }
        }
        let path: Vec<&str> = home.path().split('.').collect();
        match kinds.as_slice() {
            [] => {}
            [kind] => {
                let mut table = toml_edit::InlineTable::new();
                table.insert("kind", (*kind).into());
                self.put_or_note(*line, name, &within("recipe", &path, &[]), table);
            }
            kinds => {
                // A table for each, where its own fields go.
                for kind in kinds {
                    let place = within("space", &path, &[*kind]);
                    self.make_table(&place);
                }
            }
        }
    }

    fn make_table(&mut self, path: &[&str]) {
        let (last, parents) = path.split_last().expect("a path has a key");
        let mut table = self.document.as_table_mut();
        for name in parents {
            let entry = table.entry(name).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(true);
                Item::Table(table)
            });
            table = entry.as_table_mut().expect("only tables are made here");
        }
        table.insert(last, Item::Table(Table::new()));
    }

    /// The alternatives of a choice that are tried, and whether there is more than one.
    fn tried(&self, home: Home) -> (Vec<String>, bool) {
        let at = |top: &str| home.path().split('.').try_fold(self.document.get(top)?, |item, name| item.get(name));
        let all = home.kinds();
        let of_space = at("space").and_then(Item::as_table).map(|table| {
            let names = table.iter().map(|(name, _)| name.to_owned());
            names.filter(|name| all.iter().any(|(kind, _)| kind == name)).collect::<Vec<_>>()
        });
        if let Some(kinds) = of_space.filter(|kinds| !kinds.is_empty()) {
            return (kinds, true);
        }
        let fixed = at("recipe").and_then(|item| item.get("kind")).and_then(Item::as_str).map(str::to_owned);
        (vec![fixed.unwrap_or_else(|| home.default_kind())], false)
    }

    /// A field that only some alternatives have goes to those that are tried and have it.
    fn put_of_choice(&mut self, home: Home, fields: &[&str], parameter: &Parameter) {
        let Parameter { name, line, values } = parameter;
        let all = home.kinds();
        let (kinds, varies) = self.tried(home);
        let path: Vec<&str> = home.path().split('.').collect();
        let mut taken = false;
        for kind in &kinds {
            let Some((_, own)) = all.iter().find(|(known, _)| known == kind) else { continue };
            // The first of the names that the alternative has.
            let Some(field) = fields.iter().find(|field| own.get(field).is_some()) else { continue };
            let shape = own.get(field).expect("it was just found").shape();
            taken = true;
            let place = match (varies, values) {
                (true, _) => within("space", &path, &[kind.as_str(), *field]),
                (false, Values::Fixed(_)) => within("recipe", &path, &[*field]),
                (false, _) => within("space", &path, &[*field]),
            };
            if place[0] == "recipe" {
                self.name_kind(&path, kind);
            }
            self.put_values(&place, &shape, parameter);
        }
        if !taken {
            self.note(*line, name, format!("left out: {} has no `{}`", kinds.join(", "), fields[0]));
        }
    }

    /// A table of the recipe that has fields names its alternative first.
    fn name_kind(&mut self, path: &[&str], kind: &str) {
        let (last, parents) = path.split_last().expect("a path has a key");
        let mut table = self.document["recipe"].as_table_mut().expect("it was made so");
        for name in parents {
            table =
                table.entry(name).or_insert(Item::Table(Table::new())).as_table_mut().expect("only tables are made");
        }
        let entry = table.entry(last).or_insert(Item::Table(Table::new()));
        if let Item::Value(Value::InlineTable(inline)) = entry {
            *entry = Item::Table(inline.clone().into_table());
        }
        let table = entry.as_table_mut().expect("a choice is a table");
        if !table.contains_key("kind") {
            table.insert("kind", toml_edit::value(kind));
        }
    }

    fn put_plain(&mut self, path: &str, parameter: &Parameter) {
        let names: Vec<&str> = path.split('.').collect();
        let shape = shape_of(&names).expect("the table of names has only the recipe's");
        let top = if matches!(parameter.values, Values::Fixed(_)) { "recipe" } else { "space" };
        self.put_values(&within(top, &names, &[]), &shape, parameter);
    }

    fn put_values(&mut self, place: &[&str], shape: &Shape, parameter: &Parameter) {
        let Parameter { name, line, values } = parameter;
        if let Err(message) = self.put(place, values.to_toml(matches!(shape, Shape::Integer))) {
            self.note(*line, name, format!("left out: {message}"));
        }
    }

    /// A pruner compares trials by their epochs, so these do not vary.
    fn put_epochs(&mut self, parameter: &Parameter) {
        let Parameter { name, line, values } = parameter;
        match values.greatest() {
            Some(most) => {
                self.put_or_note(*line, name, &["recipe", "epochs"], most as i64);
                if !matches!(values, Values::Fixed(_)) {
                    let text = "trials train for the most of them; a pruner ends those early that do not pay";
                    self.note(*line, name, text);
                }
            }
            None => self.note(*line, name, "left out: it is no number"),
        }
    }

    fn put_fixed(&mut self, path: &[&str], parameter: &Parameter) {
        let Parameter { name, line, values } = parameter;
        match values {
            Values::Fixed(_) => self.put_or_note(*line, name, path, values.to_toml(true)),
            _ => self.note(*line, name, format!("left out: `{}` does not vary in a study", path.join("."))),
        }
    }

    fn finish(mut self) -> Imported {
        // An empty table says nothing.
        let empty = |item: &Item| item.as_table().is_some_and(Table::is_empty);
        for name in ["recipe", "search", "confirm", "space"] {
            if self.document.get(name).is_some_and(empty) {
                self.document.remove(name);
            } else if let Some(table) = self.document.get_mut(name).and_then(Item::as_table_mut) {
                let only_tables = table.iter().all(|(_, item)| item.is_table());
                table.set_implicit(only_tables);
            }
        }
        let mut text = String::from("# From a sweep of Weights & Biases, by `nightsweep import wandb`.\n");
        for Note { line, key, text: note } in &self.notes {
            text += &format!("# Line {line}, {key}: {note}.\n");
        }
        Imported { text: format!("{text}\n{}", self.document), notes: self.notes }
    }
}

/// A path below one of the file's tables.
fn within<'a>(table: &'a str, path: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [&[table][..], path, rest].concat()
}

/// What the recipe holds at a path without choices on the way.
fn shape_of(path: &[&str]) -> Option<Shape> {
    let (last, tables) = path.split_last()?;
    let mut fields: Fields = schema::recipe();
    for name in tables {
        let Shape::Table(inner) = fields.get(name)?.shape() else { return None };
        fields = inner;
    }
    fields.get(last).map(|node| node.shape())
}

/// A name is also a folder and a part of an address.
fn plain_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).take(100).collect();
    if plain.trim_matches('-').is_empty() { "sweep".to_owned() } else { plain }
}

/// The recipe's own choice, where a sweep names none.
fn default_kind(path: &str) -> String {
    let recipe = serde_json::to_value(Recipe::default()).expect("a recipe is JSON");
    let place = path.split('.').fold(&recipe, |place, name| &place[name]);
    place["kind"].as_str().expect("the paths are those of choices").to_owned()
}

#[cfg(test)]
mod tests;
