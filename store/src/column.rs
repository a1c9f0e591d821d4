//! What trials are filtered and sorted by: a name becomes a column once, and a column gives a cell for each trial.

use std::borrow::Cow;
use std::cmp::Ordering;

use nightsweep_search::{ParamValue, SearchSpace};

use crate::filter::FilterError;
use crate::standings::Standing;
use crate::words::word_of;

/// What can be filtered and sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Rank,
    Number,
    State,
    Value,
    Best,
    Steps,
    Attempt,
    Seconds,
    /// Images a second at the latest report.
    Speed,
    /// Most memory that the latest attempt took, in MiB.
    Memory,
    /// Slot and what it computes on.
    Device,
    /// Milliseconds since 1970.
    Started,
    Cause,
    Note,
    Tag,
    /// Note and tags together.
    Text,
    Pinned,
    Starred,
    /// Places in the space of parameters of which at most one is active in a trial.
    Params(Vec<usize>),
}

impl Column {
    pub(crate) fn named(name: &str, space: &SearchSpace) -> Result<Self, FilterError> {
        Ok(match name {
            "rank" => Self::Rank,
            "number" | "trial" => Self::Number,
            "state" => Self::State,
            "value" => Self::Value,
            "best" => Self::Best,
            "steps" | "epochs" => Self::Steps,
            "attempt" => Self::Attempt,
            "seconds" => Self::Seconds,
            "speed" => Self::Speed,
            "memory" => Self::Memory,
            "device" => Self::Device,
            "started" => Self::Started,
            "cause" => Self::Cause,
            "note" => Self::Note,
            "tag" | "tags" => Self::Tag,
            "text" => Self::Text,
            "pinned" => Self::Pinned,
            "starred" => Self::Starred,
            _ => return Self::of_param(name, space),
        })
    }

    /// The parameter of that name, or those whose last part it is: `lr` is that of whichever optimizer a trial has.
    pub(crate) fn of_param(name: &str, space: &SearchSpace) -> Result<Self, FilterError> {
        let places = |is: &dyn Fn(&str) -> bool| {
            let all = space.0.iter().enumerate().filter(|(_, parameter)| is(&parameter.name));
            all.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let exact = places(&|known| known == name);
        if !exact.is_empty() {
            return Ok(Self::Params(exact));
        }
        let ending = format!(".{name}");
        let ends = places(&|known| known.ends_with(&ending));
        if ends.is_empty() { Err(FilterError::UnknownName { name: name.to_owned() }) } else { Ok(Self::Params(ends)) }
    }

    /// What a trial has in it.
    pub(crate) fn of<'a>(&self, trial: &'a Standing, rank: Option<u64>, now_ms: i64) -> Cell<'a> {
        let count = |count: u64| Cell::Number(count as f64);
        match self {
            Self::Rank => rank.map_or(Cell::Nothing, count),
            Self::Number => count(trial.number.0),
            Self::State => Cell::Text(word_of(&trial.state).into()),
            Self::Value => Cell::number(trial.shown),
            Self::Best => Cell::number(trial.best_value),
            Self::Steps => count(trial.steps),
            Self::Attempt => count(u64::from(trial.attempt)),
            Self::Seconds => Cell::Number(trial.active_ms_at(now_ms) as f64 / 1000.0),
            Self::Speed => Cell::number(trial.images_per_second),
            Self::Memory => Cell::number(trial.peak_memory_bytes.map(|bytes| bytes / f64::from(1 << 20))),
            Self::Device => match (&trial.slot, &trial.device) {
                (Some(slot), Some(device)) => Cell::Text(format!("{slot} {device}").into()),
                _ => Cell::Nothing,
            },
            Self::Started => Cell::Number(trial.started_at_ms as f64),
            Self::Cause => trial.cause.map_or(Cell::Nothing, |cause| Cell::Text(word_of(&cause).into())),
            Self::Note if trial.note.is_empty() => Cell::Nothing,
            Self::Note => Cell::text(&trial.note),
            Self::Tag if trial.tags.is_empty() => Cell::Nothing,
            Self::Tag => Cell::Text(trial.tags.join(" ").into()),
            Self::Text => Cell::Text(format!("{} {}", trial.note, trial.tags.join(" ")).into()),
            Self::Pinned => Cell::Number(f64::from(u8::from(trial.pinned))),
            Self::Starred => Cell::Number(f64::from(u8::from(trial.starred))),
            Self::Params(places) => {
                let value = places.iter().find_map(|place| trial.params.get(*place)?.as_ref());
                value.map_or(Cell::Nothing, Cell::of_param)
            }
        }
    }
}

/// What stands in a column for a trial.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Nothing,
    /// Also a switch, as 1 or 0.
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn of_param(value: &'a ParamValue) -> Self {
        match value {
            ParamValue::Bool(switch) => Self::Number(f64::from(u8::from(*switch))),
            ParamValue::Int(_) | ParamValue::Float(_) => Self::number(value.as_f64()),
            ParamValue::Text(text) => Self::text(text),
            ParamValue::List(_) => Self::Text(value.to_string().into()),
        }
    }

    /// What is sorted by: numbers before words, and trials without either last, whichever way the others go.
    pub(crate) fn sorts_before(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Nothing, Self::Nothing) => return Ordering::Equal,
            (Self::Nothing, _) => return Ordering::Greater,
            (_, Self::Nothing) => return Ordering::Less,
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
        };
        if descending { order.reverse() } else { order }
    }
}
