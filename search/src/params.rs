//! A point of a search space: the value of each active parameter, by name.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A categorical choice between switches.
    Bool(bool),
    /// An integer, or a choice that is one.
    Int(i64),
    /// A real number, or a choice that is one.
    Float(f64),
    /// A categorical choice by name.
    Text(String),
    /// An order of things.
    List(Vec<ParamValue>),
}

impl ParamValue {
    /// The value as a number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float),
            Self::Bool(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The value as a name, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether both are the same choice: equal, where 1 and 1.0 are one number.
    pub fn same(&self, other: &Self) -> bool {
        self == other || matches!((self.as_f64(), other.as_f64()), (Some(a), Some(b)) if a == b)
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(switch) => switch.fmt(f),
            Self::Int(int) => int.fmt(f),
            Self::Float(float) => float.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::List(list) => {
                let words: Vec<String> = list.iter().map(Self::to_string).collect();
                write!(f, "[{}]", words.join(", "))
            }
        }
    }
}

/// The active parameters of a trial, in the order of its space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub IndexMap<String, ParamValue>);

impl Params {
    /// The value of the parameter, if it is active.
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.0.get(name)
    }

    /// Names and values in the order of the space.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromIterator<(String, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, ParamValue)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
