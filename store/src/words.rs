//! How small enums, counts and times stand in the columns: words as serde spells them, whole numbers, milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::open::QueryError;

/// The word that serde writes for a variant without data.
pub(crate) fn word_of<T: Serialize>(variant: &T) -> String {
    match serde_json::to_value(variant) {
        Ok(Value::String(word)) => word,
        other => unreachable!("a variant without data is a word, not {other:?}"),
    }
}

/// The variant that a stored word names.
pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Result<T, QueryError> {
    serde_json::from_value(Value::String(word)).map_err(QueryError::Unreadable)
}

/// What a stored JSON text holds.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, QueryError> {
    serde_json::from_str(text).map_err(QueryError::Unreadable)
}

/// The least number for a negative one, which no constraint lets in.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// SQLite's integers are signed; counts beyond them are beyond any study.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
