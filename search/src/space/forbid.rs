//! Rules between parameters: points of which a rule is true are never tried.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Distribution, SearchSpace};
use crate::expression::Expression;
use crate::params::{ParamValue, Params};

/// What must not be, as `optimizer = 'sgd' and batch_size > 512`. A comparison with an inactive parameter is false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Forbid(pub Expression);

/// Why a rule makes no sense in its space.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ForbidError {
    /// The rule speaks of something that does not vary.
    #[error("the rule `{rule}` names `{name}`, which is no parameter of the space")]
    UnknownName {
        /// The rule.
        rule: String,
        /// What it names.
        name: String,
    },
    /// The rule compares a parameter with a word that it never is.
    #[error("the rule `{rule}` speaks of `{word}`, which is no choice of any of its parameters")]
    UnknownWord {
        /// The rule.
        rule: String,
        /// The word in quotes.
        word: String,
    },
    /// Nothing is left.
    #[error("the rules forbid every point that was looked at")]
    Everything,
}

impl Forbid {
    /// Whether the rule is true of the point.
    pub fn forbids(&self, params: &Params) -> bool {
        let value = |name: &str| params.get(name).or_else(|| params.get(name.strip_suffix(".kind")?)).cloned();
        self.0.holds(&value)
    }

    /// Whether every name is a parameter's, and every word one of their choices.
    pub(crate) fn validate(&self, space: &SearchSpace) -> Result<(), ForbidError> {
        let rule = || self.0.to_string();
        let names = self.0.names();
        if let Some(name) = names.iter().find(|name| parameter(space, name).is_none()) {
            return Err(ForbidError::UnknownName { rule: rule(), name: (*name).to_owned() });
        }
        let is_choice = |word: &str| {
            let mut named = names.iter().filter_map(|name| parameter(space, name));
            named.any(|at| match &space.0[at].distribution {
                Distribution::Categorical { choices } | Distribution::Permutation { items: choices } => {
                    choices.iter().any(|choice| matches!(choice, ParamValue::Text(text) if text == word))
                }
                Distribution::Fixed { value } => matches!(value, ParamValue::Text(text) if text == word),
                _ => false,
            })
        };
        match self.0.words().into_iter().find(|word| !is_choice(word)) {
            Some(word) => Err(ForbidError::UnknownWord { rule: rule(), word: word.to_owned() }),
            None => Ok(()),
        }
    }
}

/// Place of the parameter that a rule names. `optimizer.kind` is `optimizer`, as the recipe has it.
pub(crate) fn parameter(space: &SearchSpace, name: &str) -> Option<usize> {
    let place = |name: &str| space.0.iter().position(|parameter| parameter.name == name);
    place(name).or_else(|| place(name.strip_suffix(".kind")?))
}
