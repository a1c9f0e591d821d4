//! The whole view of a board stands in its address: parsed from it, and written to it again by every link.

use nightsweep_search::{SearchSpace, TrialState};
use nightsweep_store::{BoardQuery, Filter, FilterError, Sort};

use crate::error::Error;
use crate::format::STATES;
use crate::view;

/// Trials on one page of the board.
const PAGE: u32 = 100;
/// More than this at once nobody reads.
const MAX_PAGE: u32 = 1000;
/// Letters of a filter and of the name of what is sorted by; more than anyone types. Every link of the page repeats them.
const MOST: (usize, usize) = (8000, 1000);

/// What an address asks of a board.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardView {
    pub states: Vec<TrialState>,
    /// As typed, also if it is wrong.
    pub filter: String,
    pub sort: String,
    pub descending: bool,
    pub offset: u64,
    pub limit: u32,
    /// Which columns, in order; those that are always there if empty.
    pub columns: Vec<String>,
}

impl Default for BoardView {
    fn default() -> Self {
        let (states, filter) = (Vec::new(), String::new());
        let (sort, columns) = ("rank".to_owned(), Vec::new());
        Self { states, filter, sort, descending: false, offset: 0, limit: PAGE, columns }
    }
}

impl BoardView {
    /// Reads the pairs of an address for a study of that space; unknown names are left alone, as others may put theirs
    /// there. What is said twice counts once, so that no address makes a page of any size.
    pub(crate) fn parse(pairs: &[(String, String)], space: &SearchSpace) -> Result<Self, Error> {
        let mut view = Self::default();
        let params = columns(space);
        for (name, value) in pairs {
            match name.as_str() {
                "state" => {
                    for word in value.split(',').filter(|word| !word.is_empty()) {
                        let state = STATES.iter().find(|row| row.1 == word).ok_or_else(|| bad("state", word))?.0;
                        if !view.states.contains(&state) {
                            view.states.push(state);
                        }
                    }
                }
                "filter" if value.len() > MOST.0 => return Err(FilterError::TooLong.into()),
                "filter" => view.filter = value.trim().to_owned(),
                "sort" if value.len() > MOST.1 => return Err(bad("column of this study", value)),
                "sort" if !value.is_empty() => view.sort = value.clone(),
                "desc" => view.descending = matches!(value.as_str(), "1" | "true"),
                "offset" => view.offset = value.parse().map_err(|_| bad("offset", value))?,
                "columns" => {
                    view.columns.clear();
                    value.split(',').filter(|it| !it.is_empty()).try_for_each(|name| view.show(name, &params))?;
                }
                "column" => view.show(value, &params)?,
                "limit" => view.limit = value.parse().map_err(|_| bad("limit", value))?,
                _ => {}
            }
        }
        view.limit = view.limit.clamp(1, MAX_PAGE);
        Ok(view)
    }

    fn show(&mut self, name: &str, params: &[ParamColumn]) -> Result<(), Error> {
        if self.columns.iter().any(|shown| shown == name) {
            return Ok(());
        }
        if !view::is_fixed_column(name) && params.iter().all(|column| column.label != name) {
            return Err(bad("column of this study", name));
        }
        self.columns.push(name.to_owned());
        Ok(())
    }

    /// What the store is asked.
    pub(crate) fn query(&self) -> Result<BoardQuery, FilterError> {
        let sort = match self.sort.as_str() {
            "rank" => Sort::Rank,
            "number" => Sort::Number,
            "state" => Sort::State,
            "value" => Sort::Value,
            "steps" => Sort::Steps,
            "time" => Sort::Time,
            "best" => Sort::Best,
            "speed" => Sort::Speed,
            "memory" => Sort::Memory,
            "device" => Sort::Device,
            "started" => Sort::Started,
            "tags" => Sort::Tags,
            "note" => Sort::Note,
            param => Sort::Param(param.to_owned()),
        };
        Ok(BoardQuery {
            states: self.states.clone(),
            filter: Filter::parse(&self.filter)?,
            sort,
            descending: self.descending,
            limit: self.limit,
            offset: self.offset,
        })
    }

    /// Sorted by that, or the other way round if it is already; from the beginning.
    pub(crate) fn sorted_by(&self, sort: &str) -> Self {
        let greatest_first = ["value", "number", "best", "speed", "started"].contains(&sort);
        let descending = if self.sort == sort { !self.descending } else { greatest_first };
        Self { sort: sort.to_owned(), descending, offset: 0, ..self.clone() }
    }

    /// Only that state, or all again if it was that one only.
    pub(crate) fn only(&self, state: TrialState) -> Self {
        let states = if self.states == [state] { Vec::new() } else { vec![state] };
        Self { states, offset: 0, ..self.clone() }
    }

    pub(crate) fn at(&self, offset: u64) -> Self {
        Self { offset, ..self.clone() }
    }

    /// The part of an address after its path, without what is so anyway.
    pub(crate) fn address(&self) -> String {
        let standard = Self::default();
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        let words = STATES.iter().filter(|row| self.states.contains(&row.0)).map(|row| row.1);
        let words = words.collect::<Vec<_>>().join(",");
        if !words.is_empty() {
            pairs.append_pair("state", &words);
        }
        if !self.filter.is_empty() {
            pairs.append_pair("filter", &self.filter);
        }
        if self.sort != standard.sort {
            pairs.append_pair("sort", &self.sort);
        }
        if self.descending {
            pairs.append_pair("desc", "1");
        }
        if self.offset > 0 {
            pairs.append_pair("offset", &self.offset.to_string());
        }
        if self.limit != standard.limit {
            pairs.append_pair("limit", &self.limit.to_string());
        }
        if !self.columns.is_empty() {
            pairs.append_pair("columns", &self.columns.join(","));
        }
        let query = pairs.finish();
        if query.is_empty() { String::new() } else { format!("?{query}") }
    }
}

fn bad(name: &'static str, value: &str) -> Error {
    Error::bad_query(name, value)
}

/// A column of the board: a parameter, or several of one name of which a trial has at most one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParamColumn {
    /// What the head of the column says, and what is sorted by.
    pub label: String,
    /// Full names.
    pub names: Vec<String>,
}

/// The parameters of a space as columns: the `lr` of SGD and that of AdamW share one, as no trial has both.
pub(crate) fn columns(space: &SearchSpace) -> Vec<ParamColumn> {
    let mut columns: Vec<ParamColumn> = Vec::new();
    for parameter in &space.0 {
        let last = parameter.name.rsplit('.').next().unwrap_or(&parameter.name);
        let alike: Vec<_> = space.0.iter().filter(|other| other.name.rsplit('.').next() == Some(last)).collect();
        let parent = parameter.when.as_ref().map(|when| &when.parent);
        let exclusive = parent.is_some()
            && alike.iter().enumerate().all(|(place, one)| {
                let rest = &alike[place + 1..];
                one.when.as_ref().map(|when| &when.parent) == parent
                    && rest.iter().all(|other| match (&one.when, &other.when) {
                        (Some(one), Some(other)) => one.equals.iter().all(|value| !other.equals.contains(value)),
                        _ => false,
                    })
            });
        let label = if alike.len() == 1 || exclusive { last } else { &parameter.name };
        match columns.iter_mut().find(|column| column.label == label) {
            Some(column) => column.names.push(parameter.name.clone()),
            None => columns.push(ParamColumn { label: label.to_owned(), names: vec![parameter.name.clone()] }),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Distribution, Parameter, Scale};

    use super::*;

    fn space() -> SearchSpace {
        let distribution = Distribution::Float { low: 1e-3, high: 1.0, scale: Scale::Log };
        SearchSpace(vec![Parameter { name: "lr".to_owned(), distribution, when: None }])
    }

    fn pairs(query: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn an_address_holds_the_whole_view() {
        let check = |query: &str, expected: &str| {
            let view = BoardView::parse(&pairs(query), &space()).unwrap();
            assert_eq!(view.address(), expected);
            let again = BoardView::parse(&pairs(expected.trim_start_matches('?')), &space()).unwrap();
            assert_eq!(again.address(), expected);
        };
        check("", "");
        check("state=&filter=+&sort=", "");
        check("state=complete&state=running&x=1", "?state=running%2Ccomplete");
        check("filter=lr+%3C+0.1&sort=lr&desc=1&offset=100", "?filter=lr+%3C+0.1&sort=lr&desc=1&offset=100");
        check("limit=99999", "?limit=1000");
        check("columns=value,lr&sort=lr", "?sort=lr&columns=value%2Clr");
        check("column=value&column=lr", "?columns=value%2Clr");
        check(&format!("columns={}", "lr,value,".repeat(5000)), "?columns=lr%2Cvalue");
        check(&"state=failed&".repeat(5000), "?state=failed");
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        let check = |query: &str, expected: &str| {
            assert_eq!(BoardView::parse(&pairs(query), &space()).unwrap_err().to_string(), expected);
        };
        check("state=done", "`done` is no state");
        check("offset=-1", "`-1` is no offset");
        check("columns=lr,momentum", "`momentum` is no column of this study");
        check("column=", "`` is no column of this study");
        check(&format!("filter={}", "x".repeat(9000)), "the filter is too long");
        check(&format!("sort={}", "x".repeat(9000)), &format!("`{}…` is no column of this study", "x".repeat(100)));
    }
}
