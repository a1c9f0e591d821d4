//! What the numbers of a recipe must keep to.

/// A recipe that cannot be trained with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// A number is out of its range.
    #[error("`{field}` must be {rule}, but is {value}")]
    Number {
        /// Path of the field, as in a study file.
        field: &'static str,
        /// What would be right.
        rule: &'static str,
        /// What it is.
        value: f64,
    },
    /// A change in the course of training makes no sense.
    #[error("the change after epoch {after}: {reason}")]
    Change {
        /// Epochs done before it.
        after: u64,
        /// What is wrong with it, for people: serde's words, or the rule that it breaks.
        reason: String,
    },
}

impl RecipeError {
    /// Path of the field, as in a study file.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Number { field, .. } => field,
            Self::Change { .. } => "changes",
        }
    }
}

/// A row of the rules that numbers of a recipe keep: where, what, which, and whether it holds.
pub(super) type Rule = (&'static str, &'static str, f64, fn(f64) -> bool);

/// In [0, 1).
pub(super) fn share(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

/// In [0, 1].
pub(super) fn closed_share(x: f64) -> bool {
    (0.0..=1.0).contains(&x)
}

/// 0 or more, and a number.
pub(super) fn not_negative(x: f64) -> bool {
    x >= 0.0 && x.is_finite()
}

/// Above 0, and a number.
pub(super) fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// At least 1, and a number.
pub(super) fn at_least_one(x: f64) -> bool {
    x >= 1.0 && x.is_finite()
}
