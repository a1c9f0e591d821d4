//! The `[space]` table: it mirrors the recipe, with a range or a list wherever something may vary.

use std::ops::Range;

use nightsweep_search::{Condition, Distribution, ParamValue, Parameter, Prior, Priors, Scale, SearchSpace};
use serde_json::Value as Json;
use toml_edit::{Item, TableLike, Value};

use crate::error::Mistake;
use crate::rates;
use crate::schema::{self, Fields, Node, Shape};

/// Checks that every key of a `[recipe]` table, or of a part of it, is one of the recipe's.
pub fn check_recipe(table: &dyn TableLike) -> Result<(), Mistake> {
    check_fields(table, schema::recipe(), "")
}

/// What a `[space]` table says.
#[derive(Default)]
pub struct SpaceTable {
    /// What varies.
    pub space: SearchSpace,
    /// What is believed of it.
    pub priors: Priors,
    /// Names of the parameters whose range is to be found.
    pub finds: Vec<String>,
}

/// Reads the `[space]` table; `recipe` is the recipe that the study fixes, as JSON.
pub fn read_space(table: &dyn TableLike, recipe: &Json) -> Result<SpaceTable, Mistake> {
    let mut reader = Reader { parameters: Vec::new(), priors: Priors::new(), finds: Vec::new() };
    reader.read_table(table, schema::recipe(), Some(recipe), "", None)?;
    Ok(SpaceTable { space: SearchSpace(reader.parameters), priors: reader.priors, finds: reader.finds })
}

fn check_fields(table: &dyn TableLike, fields: Fields, path: &str) -> Result<(), Mistake> {
    for (key, item) in table.iter() {
        let at = join(path, key);
        let node = field(table, fields, key, &at)?;
        match (node.shape(), item.as_table_like()) {
            (Shape::Table(fields), Some(table)) => check_fields(table, fields, &at)?,
            (Shape::Choice(choices), Some(table)) => check_choice(table, &choices, &at)?,
            (Shape::Table(_), None) => return Err(Mistake::new(item.span(), format!("`{at}` is a table"))),
            (Shape::Choice(choices), None) => {
                let kind = choices.first().map_or("…", |(kind, _)| kind);
                return Err(Mistake::new(item.span(), format!("`{at}` is a table"))
                    .with_help(format!("write `{at} = {{ kind = \"{kind}\" }}`")));
            }
            (Shape::Words(words), None) => match item.as_str() {
                Some(word) if words.contains(&word) => {}
                Some(word) => return Err(Mistake::unknown(item.span(), &format!("`{at}`"), word, &words)),
                None => return Err(Mistake::new(item.span(), format!("`{at}` is one of: {}", words.join(", ")))),
            },
            // Numbers and switches are serde's to check.
            _ => {}
        }
    }
    Ok(())
}

fn check_choice(table: &dyn TableLike, choices: &[(&'static str, Fields)], at: &str) -> Result<(), Mistake> {
    let kinds: Vec<&str> = choices.iter().map(|(kind, _)| *kind).collect();
    let item = table.get("kind").ok_or_else(|| {
        let span = table.iter().next().and_then(|(key, _)| key_span(table, key));
        Mistake::new(span, format!("`{at}` needs a `kind`")).with_help(format!("one of: {}", kinds.join(", ")))
    })?;
    let kind = item.as_str().unwrap_or_default();
    let Some((_, fields)) = choices.iter().find(|(name, _)| *name == kind) else {
        return Err(Mistake::unknown(item.span(), &format!("`{at}.kind`"), kind, &kinds));
    };
    for (key, _) in table.iter().filter(|(key, _)| *key != "kind") {
        field(table, *fields, key, &join(at, key))?;
    }
    Ok(())
}

/// The place that a key names, or the mistake of a key that names none.
fn field(table: &dyn TableLike, fields: Fields, key: &str, at: &str) -> Result<Node, Mistake> {
    fields.get(key).ok_or_else(|| {
        let known: Vec<&str> = fields.names().collect();
        let prefix = at.strip_suffix(key).unwrap_or_default();
        let mut mistake = Mistake::unknown(key_span(table, key), "recipe key", key, &known);
        if let Some(help) = &mut mistake.help {
            *help = help.replacen("did you mean `", &format!("did you mean `{prefix}"), 1);
        }
        let elsewhere = elsewhere(key, at);
        if !elsewhere.is_empty() {
            mistake.help = Some(format!("did you mean `{}`?", elsewhere.join("` or `")));
        }
        mistake.message = format!("the recipe has no `{at}`");
        mistake
    })
}

/// Where the recipe has a field of that name outside the table of the path.
fn elsewhere(key: &str, at: &str) -> Vec<String> {
    let is_outside =
        |path: &String| path.rsplit_once('.').is_none_or(|(table, _)| !at.starts_with(&format!("{table}.")));
    schema::paths_to(key).into_iter().filter(is_outside).collect()
}

fn key_span(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    table.key(key).and_then(|key| key.span())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

struct Reader {
    parameters: Vec<Parameter>,
    finds: Vec<String>,
    priors: Priors,
}

impl Reader {
    /// `fixed` is what the recipe has at this place, if the place is always there.
    fn read_table(
        &mut self,
        table: &dyn TableLike,
        fields: Fields,
        fixed: Option<&Json>,
        path: &str,
        when: Option<&Condition>,
    ) -> Result<(), Mistake> {
        for (key, item) in table.iter() {
            let at = join(path, key);
            let node = field(table, fields, key, &at)?;
            let here = fixed.and_then(|fixed| fixed.get(key));
            let span = item.span().or_else(|| key_span(table, key));
            match (node.shape(), item.as_table_like()) {
                (Shape::Table(fields), Some(table)) => self.read_table(table, fields, here, &at, when)?,
                (Shape::Choice(choices), Some(table)) => self.read_choice(table, &choices, here, &at, when)?,
                (Shape::Choice(choices), None) => {
                    let kinds: Vec<&str> = choices.iter().map(|(kind, _)| *kind).collect();
                    self.push(&at, words_of(item, &kinds, &at, span)?, when);
                }
                (Shape::Table(_), None) => {
                    return Err(Mistake::new(span, format!("`{at}` is a table"))
                        .with_help(format!("vary one of its fields: `{at}.… = [ … ]`")));
                }
                (Shape::Number, None) if item.as_str() == Some(rates::FIND) => {
                    if !rates::can_be_found(&at) {
                        return Err(Mistake::new(span, format!("`{at}` cannot be found by a range test"))
                            .with_help("only an optimizer's `lr` can; give a range, as `{ low = …, high = … }`"));
                    }
                    self.finds.push(at.clone());
                    self.push(&at, rates::unfound(), when);
                }
                (shape, table) => {
                    self.push(&at, distribution(item, &shape, &at, span)?, when);
                    if let Some(prior) = table.and_then(|table| prior(table, &shape, &at).transpose()) {
                        self.priors.insert(at, prior?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Either a table of alternatives, or fields of the alternative that the recipe fixes.
    fn read_choice(
        &mut self,
        table: &dyn TableLike,
        choices: &[(&'static str, Fields)],
        fixed: Option<&Json>,
        at: &str,
        when: Option<&Condition>,
    ) -> Result<(), Mistake> {
        let kinds: Vec<&str> = choices.iter().map(|(kind, _)| *kind).collect();
        let names_kinds = table.iter().filter(|(key, _)| kinds.contains(key)).count();
        if names_kinds == 0 {
            let kind = fixed.and_then(|fixed| fixed.get("kind")).and_then(Json::as_str);
            let Some((kind, fields)) = choices.iter().find(|(name, _)| Some(*name) == kind) else {
                return Err(Mistake::new(None, format!("`{at}` needs one of: {}", kinds.join(", "))));
            };
            // A misspelt alternative is more likely than a misspelt field where neither fits.
            if let Some((key, _)) = table.iter().find(|(key, _)| fields.get(key).is_none()) {
                let mut known = kinds.clone();
                known.extend(fields.names());
                return Err(Mistake::unknown(
                    key_span(table, key),
                    &format!("choice or field of `{at}` ({kind})"),
                    key,
                    &known,
                ));
            }
            return self.read_table(table, *fields, fixed, at, when);
        }
        if let Some((key, _)) = table.iter().find(|(key, _)| !kinds.contains(key)) {
            return Err(Mistake::unknown(key_span(table, key), &format!("choice of `{at}`"), key, &kinds));
        }
        let named: Vec<&str> = table.iter().map(|(key, _)| key).collect();
        let choices_of = named.iter().map(|kind| ParamValue::Text((*kind).to_owned())).collect();
        self.push(at, Distribution::Categorical { choices: choices_of }, when);
        for (kind, item) in table.iter() {
            let path = join(at, kind);
            let Some((_, fields)) = choices.iter().find(|(name, _)| *name == kind) else { continue };
            let Some(children) = item.as_table_like() else {
                return Err(Mistake::new(item.span(), format!("`{path}` is a table of what may vary"))
                    .with_help(format!("`{path} = {{}}` varies nothing of it")));
            };
            let under = Condition { parent: at.to_owned(), equals: vec![ParamValue::Text(kind.to_owned())] };
            self.read_table(children, *fields, None, &path, Some(&under))?;
        }
        Ok(())
    }

    fn push(&mut self, name: &str, distribution: Distribution, when: Option<&Condition>) {
        self.parameters.push(Parameter { name: name.to_owned(), distribution, when: when.cloned() });
    }
}

fn words_of(item: &Item, known: &[&str], at: &str, span: Option<Range<usize>>) -> Result<Distribution, Mistake> {
    let wanted = || {
        Mistake::new(span.clone(), format!("`{at}` varies over a list of words"))
            .with_help(format!("for example `{at} = [\"{}\"]`", known.join("\", \"")))
    };
    let word = |value: &Value| match value.as_str() {
        Some(word) if known.contains(&word) => Ok(ParamValue::Text(word.to_owned())),
        Some(word) => Err(Mistake::unknown(value.span(), &format!("`{at}`"), word, known)),
        None => Err(wanted()),
    };
    if let Some(value) = item.as_value().filter(|value| value.is_str()) {
        return Ok(Distribution::Fixed { value: word(value)? });
    }
    let array = item.as_array().ok_or_else(wanted)?;
    Ok(Distribution::Categorical { choices: array.iter().map(word).collect::<Result<_, _>>()? })
}

/// A list of any texts.
fn texts_of(item: &Item, at: &str, span: Option<Range<usize>>) -> Result<Distribution, Mistake> {
    let texts = item.as_array().and_then(|array| array.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let texts = texts.ok_or_else(|| Mistake::new(span, format!("`{at}` varies over a list of texts")))?;
    Ok(Distribution::Categorical { choices: texts.into_iter().map(|text| ParamValue::Text(text.to_owned())).collect() })
}

/// What a table `{ …, prior = …, prior_width = … }` believes, if it does.
fn prior(table: &dyn TableLike, shape: &Shape, at: &str) -> Result<Option<Prior>, Mistake> {
    let Some(item) = table.get("prior") else {
        return match key_span(table, "prior_width") {
            Some(span) => Err(Mistake::new(Some(span), format!("`{at}.prior_width` is the width of a `prior`"))
                .with_help(format!("name its center: `{at} = {{ …, prior = … }}`"))),
            None => Ok(None),
        };
    };
    let value = item.as_value().ok_or_else(|| Mistake::new(item.span(), format!("`{at}.prior` is one value")))?;
    let center = match (shape, value) {
        (_, Value::String(word)) => ParamValue::Text(word.value().clone()),
        (_, Value::Boolean(switch)) => ParamValue::Bool(*switch.value()),
        (shape, value) => number(value, matches!(shape, Shape::Integer), &format!("{at}.prior"))?,
    };
    let width = match table.get("prior_width").map(|item| (item, item.as_value())) {
        None => Prior::WIDTH,
        Some((_, Some(value))) => {
            number(value, false, &format!("{at}.prior_width"))?.as_f64().expect("a number is a number")
        }
        Some((item, None)) => return Err(Mistake::new(item.span(), format!("`{at}.prior_width` is a number"))),
    };
    Ok(Some(Prior { center, width }))
}

/// A range `{ low, high, … }`, a list, a table `{ values, … }` around one, or the one value of a branch.
fn distribution(item: &Item, shape: &Shape, at: &str, span: Option<Range<usize>>) -> Result<Distribution, Mistake> {
    if let Some((table, values)) = item.as_table_like().and_then(|table| Some((table, table.get("values")?))) {
        check_keys(table, &["values", "prior", "prior_width"], at)?;
        return distribution(values, shape, at, span);
    }
    match shape {
        Shape::Words(words) => return words_of(item, words, at, span),
        Shape::Text => return texts_of(item, at, span),
        Shape::List => {
            return Err(Mistake::new(span, format!("`{at}` is a list, and lists do not vary"))
                .with_help("give the list under [recipe]"));
        }
        Shape::Switch if item.as_bool().is_some() => {
            let value = ParamValue::Bool(item.as_bool().unwrap_or_default());
            return Ok(Distribution::Fixed { value });
        }
        Shape::Switch => {
            let switches = item.as_array().map(|array| array.iter().map(Value::as_bool).collect::<Option<Vec<_>>>());
            let choices =
                switches.flatten().ok_or_else(|| Mistake::new(span, format!("`{at}` varies over `[true, false]`")))?;
            return Ok(Distribution::Categorical { choices: choices.into_iter().map(ParamValue::Bool).collect() });
        }
        _ => {}
    }
    let is_integer = matches!(shape, Shape::Integer);
    if let Some(array) = item.as_array() {
        let choices = array.iter().map(|value| number(value, is_integer, at)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Distribution::Ordinal { choices });
    }
    match item.as_table_like() {
        Some(table) => range(table, is_integer, at, span),
        None => match item.as_value() {
            Some(value) => Ok(Distribution::Fixed { value: number(value, is_integer, at)? }),
            None => Err(Mistake::new(span, format!("`{at}` is a range, a list or a value"))
                .with_help(format!("write `{at} = {{ low = …, high = … }}`"))),
        },
    }
}

fn check_keys(table: &dyn TableLike, known: &[&str], at: &str) -> Result<(), Mistake> {
    match table.iter().find(|(key, _)| !known.contains(key)) {
        Some((key, _)) => Err(Mistake::unknown(key_span(table, key), &format!("key of the range `{at}`"), key, known)),
        None => Ok(()),
    }
}

fn number(value: &Value, is_integer: bool, at: &str) -> Result<ParamValue, Mistake> {
    match (value.as_integer(), value.as_float()) {
        (Some(int), _) if is_integer => Ok(ParamValue::Int(int)),
        (Some(int), _) => Ok(ParamValue::Float(int as f64)),
        (None, Some(float)) if !is_integer && float.is_finite() => Ok(ParamValue::Float(float)),
        _ if is_integer => Err(Mistake::new(value.span(), format!("`{at}` is a whole number"))),
        _ => Err(Mistake::new(value.span(), format!("`{at}` is a finite number"))),
    }
}

fn range(
    table: &dyn TableLike,
    is_integer: bool,
    at: &str,
    span: Option<Range<usize>>,
) -> Result<Distribution, Mistake> {
    check_keys(table, &["low", "high", "log", "logit", "step", "prior", "prior_width"], at)?;
    let bound = |key: &str| {
        let item =
            table.get(key).ok_or_else(|| Mistake::new(span.clone(), format!("the range `{at}` needs `{key}`")))?;
        let value = item.as_value().ok_or_else(|| Mistake::new(item.span(), format!("`{at}.{key}` is a number")))?;
        number(value, is_integer, &format!("{at}.{key}"))
    };
    let switch = |key: &str| match table.get(key) {
        None => Ok(false),
        Some(item) => item.as_bool().ok_or_else(|| Mistake::new(item.span(), format!("`{at}.{key}` is true or false"))),
    };
    let step = table.contains_key("step").then(|| bound("step")).transpose()?;
    let scale = match (switch("log")?, switch("logit")?, step) {
        (false, false, None) => Scale::Linear,
        (true, false, None) => Scale::Log,
        (false, true, None) => Scale::Logit,
        (false, false, Some(step)) => Scale::Step(step.as_f64().expect("a bound is a number")),
        _ => return Err(Mistake::new(span, format!("`{at}` can have one of `log`, `logit` and `step`"))),
    };
    match (bound("low")?, bound("high")?) {
        (ParamValue::Int(low), ParamValue::Int(high)) => Ok(Distribution::Int { low, high, scale }),
        (low, high) => {
            let number = |value: ParamValue| value.as_f64().expect("a bound is a number");
            Ok(Distribution::Float { low: number(low), high: number(high), scale })
        }
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::Recipe;

    use super::*;

    fn read(text: &str) -> Result<SearchSpace, Mistake> {
        let document = toml_edit::Document::parse(text).unwrap();
        let recipe = serde_json::to_value(Recipe::default()).unwrap();
        read_space(document.as_table(), &recipe).map(|table| table.space)
    }

    fn check(text: &str, expected: &[(&str, Option<&str>)]) {
        let space = read(text).unwrap();
        let when = |parameter: &Parameter| parameter.when.as_ref().map(|when| when.parent.clone());
        let found: Vec<_> = space.0.iter().map(|parameter| (parameter.name.clone(), when(parameter))).collect();
        let expected: Vec<_> =
            expected.iter().map(|(name, parent)| ((*name).to_owned(), parent.map(str::to_owned))).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn check_mistake(text: &str, at: &str, message: &str, help: &str) {
        let mistake = read(text).unwrap_err();
        assert_eq!((mistake.message.as_str(), mistake.help.as_deref().unwrap_or_default()), (message, help));
        assert_eq!(mistake.span.map(|span| &text[span]).unwrap_or_default(), at, "{text}");
    }

    #[test]
    fn a_choice_carries_its_own_parameters() {
        check(
            "batch_size = [64, 128]\n[optimizer.sgd]\nlr = { low = 1e-3, high = 1 }\n[optimizer.adamw]\n",
            &[("batch_size", None), ("optimizer", None), ("optimizer.sgd.lr", Some("optimizer"))],
        );
    }

    #[test]
    fn a_field_reaches_into_the_recipes_fixed_choice() {
        check("optimizer.lr = { low = 0.1, high = 1 }", &[("optimizer.lr", None)]);
        check("augment.flip = [0.0, 0.5]", &[("augment.flip", None)]);
        check("model = ['mlp', 'resnet8']\nkeep = ['best', 'last']", &[("model", None), ("keep", None)]);
    }

    #[test]
    fn ranges_take_the_type_of_the_recipes_field() {
        let space =
            read("epochs = { low = 1, high = 9, step = 2 }\nlabel_smoothing = { low = 0, high = 0.2 }").unwrap();
        assert_eq!(space.0[0].distribution, Distribution::Int { low: 1, high: 9, scale: Scale::Step(2.0) });
        assert_eq!(space.0[1].distribution, Distribution::Float { low: 0.0, high: 0.2, scale: Scale::Linear });
    }

    #[test]
    fn a_misspelt_key_is_shown_with_the_nearest() {
        check_mistake("batch_sise = [1]", "batch_sise", "the recipe has no `batch_sise`", "did you mean `batch_size`?");
        check_mistake(
            "[optimizer.sgd]\nmomentun = [0.9]",
            "momentun",
            "the recipe has no `optimizer.sgd.momentun`",
            "did you mean `optimizer.sgd.momentum`?",
        );
        check_mistake(
            "[optimizer.sgdd]\nlr = [0.9]",
            "sgdd",
            "unknown choice or field of `optimizer` (sgd) `sgdd`",
            "did you mean `sgd`?",
        );
        check_mistake("lr = [0.1]", "lr", "the recipe has no `lr`", "did you mean `optimizer.lr`?");
        check_mistake(
            "[schedule.cosine]\nbatch_size = [64]",
            "batch_size",
            "the recipe has no `schedule.cosine.batch_size`",
            "did you mean `batch_size`?",
        );
        check_mistake(
            "epochs = { low = 1, hihg = 3 }",
            "hihg",
            "unknown key of the range `epochs` `hihg`",
            "did you mean `high`?",
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        check_mistake("epochs = { low = 1.5, high = 3 }", "1.5", "`epochs.low` is a whole number", "");
        check_mistake(
            "[schedule.multi_step]\nmilestones = [0.5, 0.75]",
            "[0.5, 0.75]",
            "`schedule.multi_step.milestones` is a list, and lists do not vary",
            "give the list under [recipe]",
        );
        check_mistake(
            "optimizer.momentum = 'find'",
            "'find'",
            "`optimizer.momentum` cannot be found by a range test",
            "only an optimizer's `lr` can; give a range, as `{ low = …, high = … }`",
        );
        check_mistake("epochs = 3.5", "3.5", "`epochs` is a whole number", "");
        check_mistake("keep = ['bets']", "'bets'", "unknown `keep` `bets`", "did you mean `best`?");
        check_mistake("keep = 'bets'", "'bets'", "unknown `keep` `bets`", "did you mean `best`?");
        check_mistake(
            "optimizer.lr = { low = 0.1, high = 0.2, log = true, logit = true }",
            "{ low = 0.1, high = 0.2, log = true, logit = true }",
            "`optimizer.lr` can have one of `log`, `logit` and `step`",
            "",
        );
        check_mistake(
            "batch_size = { values = [64, 128], prior_width = 1 }",
            "prior_width",
            "`batch_size.prior_width` is the width of a `prior`",
            "name its center: `batch_size = { …, prior = … }`",
        );
    }

    #[test]
    fn one_value_is_fixed_and_costs_no_dimension() {
        let space = read("[optimizer.sgd]\nnesterov = true\nmomentum = 0.9\n[optimizer.adamw]\n").unwrap();
        let fixed = |value| Distribution::Fixed { value };
        assert_eq!(space.0[1].distribution, fixed(ParamValue::Bool(true)));
        assert_eq!(space.0[2].distribution, fixed(ParamValue::Float(0.9)));
        assert_eq!(read("keep = 'last'").unwrap().0[0].distribution, fixed(ParamValue::Text("last".into())));
    }

    #[test]
    fn a_prior_has_a_center_and_a_width() {
        let priors = |text: &str| {
            let document = toml_edit::Document::parse(text).unwrap();
            read_space(document.as_table(), &serde_json::to_value(Recipe::default()).unwrap()).unwrap().priors
        };
        let lr = priors("optimizer.lr = { low = 1e-3, high = 1, log = true, prior = 0.1, prior_width = 0.1 }");
        assert_eq!(lr["optimizer.lr"], Prior { center: ParamValue::Float(0.1), width: 0.1 });
        let batch = priors("batch_size = { values = [64, 128], prior = 128 }");
        assert_eq!(batch["batch_size"], Prior { center: ParamValue::Int(128), width: Prior::WIDTH });
    }
}
