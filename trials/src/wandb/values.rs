//! What a parameter of a sweep may be, as a value, a list or a range of ours.

use toml_edit::{Array, InlineTable, Value};

use super::yaml::{Node, Plain};
use super::{Note, Parameter};
use crate::error::Mistake;

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One value.
    Fixed(Plain),
    /// One of these.
    List(Vec<Plain>),
    /// Anything between.
    Range(Range),
}

/// From low to high.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
    is_integer: bool,
    log: bool,
    step: Option<f64>,
    /// Where good values are believed to be.
    prior: Option<f64>,
}

/// All parameters, those inside others under `outer.inner`.
pub fn of_parameters(node: &Node, notes: &mut Vec<Note>) -> Result<Vec<Parameter>, Mistake> {
    let mut parameters = Vec::new();
    gather(node, "", &mut parameters, notes)?;
    Ok(parameters)
}

fn gather(node: &Node, outer: &str, found: &mut Vec<Parameter>, notes: &mut Vec<Note>) -> Result<(), Mistake> {
    for (key, node) in node.entries() {
        let name = if outer.is_empty() { key } else { format!("{outer}.{key}") };
        if let Some(inner) = node.get("parameters") {
            gather(inner, &name, found, notes)?;
            continue;
        }
        let mut remarks = Vec::new();
        let values = read(&name, node, &mut remarks)?;
        notes.extend(remarks.into_iter().map(|text| Note { line: node.line, key: name.clone(), text }));
        found.push(Parameter { name, line: node.line, values });
    }
    Ok(())
}

fn read(name: &str, node: &Node, remarks: &mut Vec<String>) -> Result<Values, Mistake> {
    let known = ["value", "values", "probabilities", "min", "max", "distribution", "q", "mu", "sigma", "a", "b"];
    if node.entries().next().is_none() {
        return Err(node.mistake(format!("`{name}` has neither a value nor values nor a range")));
    }
    if let Some((key, child)) = node.entries().find(|(key, _)| !known.contains(&key.as_str())) {
        return Err(Mistake::unknown(child.mistake("").span, &format!("key of `{name}`"), &key, &known));
    }
    if let Some(value) = node.get("value") {
        let plain = value.plain().ok_or_else(|| value.mistake(format!("`{name}` is a list or table, not a value")))?;
        return Ok(Values::Fixed(plain));
    }
    if let Some(values) = node.get("values") {
        let plain = |value: &Node| value.plain();
        let list: Option<Vec<Plain>> = values.list().and_then(|list| list.iter().map(plain).collect());
        let list = list.filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| values.mistake(format!("`{name}.values` is a list of numbers or words")))?;
        if node.get("probabilities").is_some() {
            remarks.push("its probabilities are not taken over".to_owned());
        }
        return Ok(if let [one] = list.as_slice() { Values::Fixed(one.clone()) } else { Values::List(list) });
    }
    range(name, node, remarks).map(Values::Range)
}

/// Distributions after <https://docs.wandb.ai/models/sweeps/sweep-config-keys>; those in `log` have their bounds as
/// exponents of e, those in `log…_values` as they are.
fn range(name: &str, node: &Node, remarks: &mut Vec<String>) -> Result<Range, Mistake> {
    let number = |key: &str| {
        let child = node.get(key);
        let number = child.and_then(Node::number);
        number.ok_or_else(|| child.unwrap_or(node).mistake(format!("`{name}` needs a number as `{key}`")))
    };
    let or = |key: &str, default: f64| if node.get(key).is_some() { number(key) } else { Ok(default) };
    let is_whole = |key: &str| matches!(node.get(key).and_then(Node::plain), Some(Plain::Int(_)));
    let given = node.get("distribution").and_then(Node::text);
    let default = if is_whole("min") && is_whole("max") { "int_uniform" } else { "uniform" };
    let distribution = given.as_deref().unwrap_or(default);
    let (step, plain) = match distribution.strip_prefix("q_") {
        Some(plain) => (Some(or("q", 1.0)?), plain),
        None => (None, distribution),
    };
    let range = match plain {
        "int_uniform" => Range { low: number("min")?, high: number("max")?, is_integer: true, ..Range::default() },
        "uniform" => Range { low: number("min")?, high: number("max")?, ..Range::default() },
        "log_uniform" => Range { low: number("min")?.exp(), high: number("max")?.exp(), log: true, ..Range::default() },
        // The inverse of a number that is uniform in the logarithm is so too.
        "log_uniform_values" | "inv_log_uniform_values" => {
            Range { low: number("min")?, high: number("max")?, log: true, ..Range::default() }
        }
        "inv_log_uniform" => {
            Range { low: (-number("max")?).exp(), high: (-number("min")?).exp(), log: true, ..Range::default() }
        }
        "normal" | "log_normal" => {
            let (mu, sigma) = (or("mu", 0.0)?, or("sigma", 1.0)?);
            remarks.push(format!("{distribution} becomes a range of three deviations around its middle, preferred"));
            if plain == "normal" {
                let cut = if mu > 0.0 { 0.0 } else { f64::NEG_INFINITY };
                Range { low: (mu - 3.0 * sigma).max(cut), high: mu + 3.0 * sigma, prior: Some(mu), ..Range::default() }
            } else {
                let bound = |deviations: f64| (mu + deviations * sigma).exp();
                Range { low: bound(-3.0), high: bound(3.0), log: true, prior: Some(mu.exp()), ..Range::default() }
            }
        }
        "beta" => {
            let (a, b) = (or("a", 1.0)?, or("b", 1.0)?);
            remarks.push("a beta distribution becomes its range, with its mean preferred".to_owned());
            Range { low: 0.0, high: 1.0, prior: Some(a / (a + b)), ..Range::default() }
        }
        "constant" | "categorical" | "categorical_w_probabilities" => {
            return Err(node.mistake(format!("`{name}` needs the value or values of a {distribution} one")));
        }
        _ => {
            let known = [
                "constant",
                "categorical",
                "int_uniform",
                "uniform",
                "q_uniform",
                "log_uniform",
                "log_uniform_values",
                "q_log_uniform",
                "q_log_uniform_values",
                "inv_log_uniform",
                "inv_log_uniform_values",
                "normal",
                "q_normal",
                "log_normal",
                "q_log_normal",
                "beta",
                "q_beta",
            ];
            let span = node.get("distribution").unwrap_or(node).mistake("").span;
            return Err(Mistake::unknown(span, "distribution", distribution, &known));
        }
    };
    if range.low.partial_cmp(&range.high) != Some(std::cmp::Ordering::Less) {
        return Err(node.mistake(format!("the range of `{name}` goes from {} to {}", range.low, range.high)));
    }
    Ok(match step {
        None => range,
        Some(step) if range.log => {
            remarks.push(format!("in the logarithm there are no steps: `q` ({step}) is not taken over"));
            range
        }
        // They round to multiples of the step.
        Some(step) => {
            let rounded = |bound: f64| (bound / step).round() * step;
            let is_integer = step.fract() == 0.0;
            Range { low: rounded(range.low), high: rounded(range.high), is_integer, step: Some(step), ..range }
        }
    })
}

impl Values {
    /// The words of a choice.
    pub fn words(&self) -> Option<Vec<String>> {
        let word = |plain: &Plain| match plain {
            Plain::Text(text) => Some(text.clone()),
            Plain::Bool(is) => Some(is.to_string()),
            Plain::Int(_) | Plain::Float(_) => None,
        };
        match self {
            Self::Fixed(plain) => Some(vec![word(plain)?]),
            Self::List(list) => list.iter().map(word).collect(),
            Self::Range(_) => None,
        }
    }

    /// The greatest number.
    pub fn greatest(&self) -> Option<f64> {
        match self {
            Self::Fixed(plain) => plain.number(),
            Self::List(list) => {
                list.iter().map(Plain::number).collect::<Option<Vec<_>>>()?.into_iter().max_by(f64::total_cmp)
            }
            Self::Range(range) => Some(range.high),
        }
    }

    /// As it stands in a study file, for a field that is a whole number or not.
    pub fn to_toml(&self, is_integer: bool) -> Value {
        match self {
            Self::Fixed(plain) => toml_of(plain, is_integer),
            Self::List(list) => {
                let mut list = list.clone();
                // Numbers are ordinal, which goes upwards.
                if list.iter().all(|plain| plain.number().is_some()) {
                    list.sort_by(|a, b| a.number().partial_cmp(&b.number()).expect("both are finite"));
                    list.dedup_by(|a, b| a.number() == b.number());
                }
                list.iter().map(|plain| toml_of(plain, is_integer)).collect::<Array>().into()
            }
            Self::Range(range) => range.to_toml(is_integer),
        }
    }
}

impl Range {
    fn to_toml(&self, field_is_integer: bool) -> Value {
        let is_integer = self.is_integer || field_is_integer;
        let number = |number: f64| if is_integer { Value::from(number.round() as i64) } else { Value::from(number) };
        let mut table = InlineTable::new();
        table.insert("low", number(self.low));
        table.insert("high", number(self.high));
        if self.log {
            table.insert("log", true.into());
        }
        if let Some(step) = self.step {
            table.insert("step", number(step));
        }
        if let Some(prior) = self.prior {
            table.insert("prior", number(prior));
        }
        table.into()
    }
}

fn toml_of(plain: &Plain, is_integer: bool) -> Value {
    match plain {
        Plain::Bool(is) => (*is).into(),
        Plain::Int(int) => (*int).into(),
        Plain::Float(float) if is_integer && float.fract() == 0.0 => (*float as i64).into(),
        Plain::Float(float) => (*float).into(),
        Plain::Text(text) => match plain.number() {
            Some(number) if is_integer && number.fract() == 0.0 => (number as i64).into(),
            Some(number) => number.into(),
            None => text.as_str().into(),
        },
    }
}
