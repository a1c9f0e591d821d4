//! A small language for filtering trials, as in `lr < 0.1 and (optimizer = sgd or state != complete)`: parsed, its names
//! looked up in a space, and then asked of each trial. Words in quotes alone are looked for in notes and tags.

use std::cmp::Ordering;

use nightsweep_search::SearchSpace;
use thiserror::Error;

use crate::column::{Cell, Column};
use crate::standings::Standing;

/// How deeply parentheses and `not` may nest, so that no request exhausts the stack.
const MAX_DEPTH: usize = 32;
/// More than anyone types.
const MAX_COMPARISONS: usize = 100;

/// A condition on a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Condition);

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Compare { name: String, operator: Operator, value: Literal },
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

impl Operator {
    /// Whether it asks which is greater.
    fn is_of_size(self) -> bool {
        !matches!(self, Self::Equal | Self::Unequal | Self::Contains)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Number(f64),
    Text(String),
}

impl Literal {
    fn word(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What is wrong with a filter or with the name of a column.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FilterError {
    /// The text goes on where it should end, or otherwise.
    #[error("expected {expected} at `{found}`")]
    Unexpected {
        /// What would fit there.
        expected: &'static str,
        /// What is there; `the end` if nothing is.
        found: String,
    },
    /// Neither a column nor a parameter.
    #[error("there is no column or parameter `{name}`")]
    UnknownName {
        /// What was asked for.
        name: String,
    },
    /// Words have no order.
    #[error("`{name}` cannot be compared by size with the word `{word}`")]
    WordWithoutOrder {
        /// The column.
        name: String,
        /// What it was compared with.
        word: String,
    },
    /// Too much for one filter.
    #[error("the filter is too long")]
    TooLong,
}

impl Filter {
    /// Reads a filter; nothing for an empty text.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        let tokens = tokenize(text)?;
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut parser = Parser { tokens: &tokens, comparisons: 0 };
        let condition = parser.any(0)?;
        match parser.tokens {
            [] => Ok(Some(Self(condition))),
            [token, ..] => Err(unexpected("`and`, `or` or the end", Some(token))),
        }
    }

    /// With its names looked up in a space.
    pub(crate) fn bind(&self, space: &SearchSpace) -> Result<Bound, FilterError> {
        self.0.bind(space)
    }
}

/// A filter whose names are columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bound {
    Compare { column: Column, operator: Operator, value: Literal },
    Not(Box<Bound>),
    All(Vec<Bound>),
    Any(Vec<Bound>),
}

impl Condition {
    fn bind(&self, space: &SearchSpace) -> Result<Bound, FilterError> {
        let each = |parts: &[Self]| parts.iter().map(|part| part.bind(space)).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Self::Compare { name, operator, value } => {
                let column = Column::named(name, space)?;
                match value {
                    Literal::Text(word) if operator.is_of_size() => {
                        return Err(FilterError::WordWithoutOrder { name: name.clone(), word: word.clone() });
                    }
                    _ => Bound::Compare { column, operator: *operator, value: value.clone() },
                }
            }
            Self::Not(inner) => Bound::Not(Box::new(inner.bind(space)?)),
            Self::All(parts) => Bound::All(each(parts)?),
            Self::Any(parts) => Bound::Any(each(parts)?),
        })
    }
}

impl Bound {
    /// Whether it holds of a trial.
    pub(crate) fn holds(&self, trial: &Standing, rank: Option<u64>, now_ms: i64) -> bool {
        match self {
            Self::Compare { column: Column::Tag, operator, value } if !operator.is_of_size() => {
                let word = value.word();
                match operator {
                    Operator::Equal => trial.tags.contains(&word),
                    Operator::Unequal => !trial.tags.contains(&word),
                    _ => trial.tags.iter().any(|tag| contains(tag, &word)),
                }
            }
            Self::Compare { column, operator, value } => compare(&column.of(trial, rank, now_ms), *operator, value),
            Self::Not(inner) => !inner.holds(trial, rank, now_ms),
            Self::All(parts) => parts.iter().all(|part| part.holds(trial, rank, now_ms)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(trial, rank, now_ms)),
        }
    }
}

/// A trial without the column is unequal to everything, and neither less nor greater: two-valued, so that `not` works.
fn compare(cell: &Cell<'_>, operator: Operator, value: &Literal) -> bool {
    let order = match (cell, value) {
        (Cell::Number(number), Literal::Number(value)) => number.partial_cmp(value),
        (Cell::Number(number), Literal::Text(word)) => match word.as_str() {
            // A switch is a number.
            "true" => number.partial_cmp(&1.0),
            "false" => number.partial_cmp(&0.0),
            _ => None,
        },
        (Cell::Text(text), Literal::Text(word)) => Some(text.as_ref().cmp(word)),
        // `note = ""`: the trials without one.
        (Cell::Nothing, Literal::Text(word)) if word.is_empty() => Some(Ordering::Equal),
        (Cell::Text(_), Literal::Number(_)) | (Cell::Nothing, _) => None,
    };
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::Unequal => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Operator::Contains => match cell {
            Cell::Nothing => false,
            Cell::Number(number) => contains(&number.to_string(), &value.word()),
            Cell::Text(text) => contains(text, &value.word()),
        },
    }
}

/// Whichever way both are written.
fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Operator(Operator),
    Open,
    Close,
}

fn tokenize(text: &str) -> Result<Vec<Token>, FilterError> {
    const SIGNS: [(&str, Operator); 8] = [
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("!=", Operator::Unequal),
        ("==", Operator::Equal),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("=", Operator::Equal),
        ("~", Operator::Contains),
    ];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if let Some((sign, operator)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            tokens.push(Token::Operator(*operator));
            sign.len()
        } else if first == '(' || first == ')' {
            tokens.push(if first == '(' { Token::Open } else { Token::Close });
            1
        } else if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or_else(|| FilterError::Unexpected {
                expected: "a word with its closing quote",
                found: rest.to_owned(),
            })?;
            tokens.push(Token::Quoted(rest[1..=end].to_owned()));
            end + 2
        } else {
            let ends = |letter: char| letter.is_whitespace() || "<>=!~()\"'".contains(letter);
            let end = rest.find(ends).unwrap_or(rest.len());
            if end == 0 {
                return Err(FilterError::Unexpected { expected: "a name", found: rest.to_owned() });
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    comparisons: usize,
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Condition, FilterError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_keyword("or") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Result<Condition, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.takes_keyword("and") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Condition, FilterError> {
        if depth > MAX_DEPTH {
            return Err(FilterError::TooLong);
        }
        if self.takes_keyword("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if let [Token::Open, rest @ ..] = self.tokens {
            self.tokens = rest;
            let inner = self.any(depth + 1)?;
            return match self.tokens {
                [Token::Close, rest @ ..] => {
                    self.tokens = rest;
                    Ok(inner)
                }
                other => Err(unexpected("`)`", other.first())),
            };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Condition, FilterError> {
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return Err(FilterError::TooLong);
        }
        // Words in quotes alone are looked for in notes and tags.
        if let [Token::Quoted(words), rest @ ..] = self.tokens
            && !matches!(rest.first(), Some(Token::Operator(_)))
        {
            self.tokens = rest;
            let value = Literal::Text(words.clone());
            return Ok(Condition::Compare { name: "text".to_owned(), operator: Operator::Contains, value });
        }
        let name = match self.tokens.first() {
            Some(Token::Word(name) | Token::Quoted(name)) => name.clone(),
            other => return Err(unexpected("a name", other)),
        };
        let operator = match self.tokens.get(1) {
            Some(Token::Operator(operator)) => *operator,
            other => return Err(unexpected("`=`, `!=`, `<`, `<=`, `>`, `>=` or `~`", other)),
        };
        let value = match self.tokens.get(2) {
            Some(Token::Quoted(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) => match word.parse::<f64>() {
                Ok(number) if number.is_finite() => Literal::Number(number),
                _ => Literal::Text(word.clone()),
            },
            other => return Err(unexpected("a number or a word", other)),
        };
        self.tokens = &self.tokens[3..];
        Ok(Condition::Compare { name, operator, value })
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        match self.tokens {
            [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case(keyword) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn unexpected(expected: &'static str, found: Option<&Token>) -> FilterError {
    let found = match found {
        None => "the end".to_owned(),
        Some(Token::Word(text) | Token::Quoted(text)) => text.clone(),
        Some(Token::Open) => "(".to_owned(),
        Some(Token::Close) => ")".to_owned(),
        Some(Token::Operator(_)) => "an operator".to_owned(),
    };
    FilterError::Unexpected { expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let said = match Filter::parse(text) {
            Ok(filter) => format!("{filter:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn and_binds_closer_than_or() {
        let parse = |text| Filter::parse(text).unwrap().unwrap();
        assert_eq!(parse("a=1 or b=2 and c=3"), parse("a = 1 OR (b == 2 AND c = 3)"));
        assert_ne!(parse("a=1 or b=2 and c=3"), parse("(a=1 or b=2) and c=3"));
    }

    #[test]
    fn an_error_says_what_would_fit() {
        check("  ", "None");
        check("lr", "expected `=`, `!=`, `<`, `<=`, `>`, `>=` or `~` at `the end`");
        check("lr <", "expected a number or a word at `the end`");
        check("lr < 1 optimizer", "expected `and`, `or` or the end at `optimizer`");
        check("(lr < 1", "expected `)` at `the end`");
        check("x = 'a", "expected a word with its closing quote at `'a`");
        check("! = 1", "expected a name at `! = 1`");
        check(&"(".repeat(10_000), "the filter is too long");
        check(&"not ".repeat(10_000), "the filter is too long");
        check(&vec!["a=1"; 1000].join(" or "), "the filter is too long");
    }
}
