//! A small language for filtering trials, as in `lr < 0.1 and (optimizer = sgd or state != complete)`, parsed here and
//! handed to SQLite as conditions with bound values.

use nightsweep_search::SearchSpace;
use sqlx::{QueryBuilder, Sqlite};
use thiserror::Error;

/// How deeply parentheses and `not` may nest, so that no request exhausts the stack.
const MAX_DEPTH: usize = 32;
/// More than anyone types, less than what SQLite's own limits on an expression take.
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
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Text(String),
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

/// What can be filtered and sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Rank,
    Number,
    State,
    Value,
    Steps,
    Attempt,
    Seconds,
    Cause,
    Note,
    Tag,
    /// Note and tags together.
    Text,
    Pinned,
    Starred,
    /// Full names of parameters of which at most one is active in a trial.
    Params(Vec<String>),
}

impl Column {
    fn named(name: &str, space: &SearchSpace) -> Result<Self, FilterError> {
        Ok(match name {
            "number" | "trial" => Self::Number,
            "state" => Self::State,
            "value" => Self::Value,
            "steps" | "epochs" => Self::Steps,
            "attempt" => Self::Attempt,
            "seconds" => Self::Seconds,
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
        let names = || space.0.iter().map(|parameter| &parameter.name);
        let exact: Vec<_> = names().filter(|known| *known == name).cloned().collect();
        if !exact.is_empty() {
            return Ok(Self::Params(exact));
        }
        let ending = format!(".{name}");
        let ends: Vec<_> = names().filter(|known| known.ends_with(&ending)).cloned().collect();
        if ends.is_empty() { Err(FilterError::UnknownName { name: name.to_owned() }) } else { Ok(Self::Params(ends)) }
    }

    pub(crate) fn push_to(&self, sql: &mut QueryBuilder<Sqlite>, now_ms: i64) {
        match self {
            Self::Rank => sql.push("t.rank"),
            Self::Number => sql.push("t.number"),
            Self::State => sql.push("t.state"),
            Self::Value => sql.push("t.shown"),
            Self::Steps => sql.push("t.steps"),
            Self::Attempt => sql.push("t.attempt"),
            Self::Seconds => {
                sql.push("((t.active_ms + coalesce(").push_bind(now_ms).push(" - t.running_since, 0)) / 1000.0)")
            }
            Self::Cause => sql.push("t.cause"),
            Self::Note => sql.push("coalesce(n.note, '')"),
            Self::Tag => sql.push("coalesce(n.tags, '')"),
            Self::Text => sql.push("(coalesce(n.note, '') || ' ' || coalesce(n.tags, ''))"),
            Self::Pinned => sql.push("coalesce(n.pinned, 0)"),
            Self::Starred => sql.push("coalesce(n.starred, 0)"),
            Self::Params(names) => {
                sql.push("coalesce(NULL");
                for name in names {
                    sql.push(", t.params ->> ").push_bind(name.clone());
                }
                sql.push(")")
            }
        };
    }
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

    /// Appends the condition on `trials t`.
    pub(crate) fn push_to(
        &self,
        sql: &mut QueryBuilder<Sqlite>,
        space: &SearchSpace,
        now_ms: i64,
    ) -> Result<(), FilterError> {
        self.0.push_to(sql, space, now_ms)
    }
}

impl Condition {
    fn push_to(&self, sql: &mut QueryBuilder<Sqlite>, space: &SearchSpace, now_ms: i64) -> Result<(), FilterError> {
        match self {
            Self::Compare { name, operator, value } => {
                compare(sql, name, &Column::named(name, space)?, *operator, value, now_ms)
            }
            Self::Not(inner) => {
                sql.push("NOT ");
                inner.push_to(sql, space, now_ms)
            }
            Self::All(parts) => join(sql, " AND ", parts, space, now_ms),
            Self::Any(parts) => join(sql, " OR ", parts, space, now_ms),
        }
    }
}

fn join(
    sql: &mut QueryBuilder<Sqlite>,
    word: &'static str,
    parts: &[Condition],
    space: &SearchSpace,
    now_ms: i64,
) -> Result<(), FilterError> {
    sql.push("(");
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            sql.push(word);
        }
        part.push_to(sql, space, now_ms)?;
    }
    sql.push(")");
    Ok(())
}

/// A trial without the column is unequal to everything, and neither less nor greater: two-valued, so that `not` works.
fn compare(
    sql: &mut QueryBuilder<Sqlite>,
    name: &str,
    column: &Column,
    operator: Operator,
    value: &Literal,
    now_ms: i64,
) -> Result<(), FilterError> {
    if let (Column::Tag, Operator::Equal | Operator::Unequal) = (column, operator) {
        let word = match value {
            Literal::Text(text) => text.clone(),
            Literal::Number(number) => number.to_string(),
        };
        sql.push(if operator == Operator::Equal { "EXISTS" } else { "NOT EXISTS" });
        sql.push(" (SELECT 1 FROM json_each(coalesce(n.tags, '[]')) WHERE value = ").push_bind(word).push(")");
        return Ok(());
    }
    let sign = match (operator, value) {
        (Operator::Equal, _) => " IS ",
        (Operator::Unequal, _) => " IS NOT ",
        (Operator::Contains, _) => {
            sql.push("coalesce(instr(lower(");
            column.push_to(sql, now_ms);
            let part = match value {
                Literal::Text(text) => text.to_lowercase(),
                Literal::Number(number) => number.to_string(),
            };
            sql.push("), ").push_bind(part).push(") > 0, 0)");
            return Ok(());
        }
        (_, Literal::Text(word)) => {
            return Err(FilterError::WordWithoutOrder { name: name.to_owned(), word: word.clone() });
        }
        (Operator::Less, _) => " < ",
        (Operator::LessOrEqual, _) => " <= ",
        (Operator::Greater, _) => " > ",
        (Operator::GreaterOrEqual, _) => " >= ",
    };
    match value {
        Literal::Number(number) => {
            // To SQLite every text is greater than every number.
            let within = if operator == Operator::Unequal { "NOT IN" } else { "IN" };
            let joint = if operator == Operator::Unequal { " OR " } else { " AND " };
            sql.push("(typeof(");
            column.push_to(sql, now_ms);
            sql.push(") ").push(within).push(" ('integer', 'real')").push(joint);
            column.push_to(sql, now_ms);
            sql.push(sign).push_bind(*number).push(")");
        }
        Literal::Text(text) => {
            sql.push("(");
            column.push_to(sql, now_ms);
            sql.push(sign);
            match (column, text.as_str()) {
                // SQLite gives a JSON switch as 1 or 0.
                (Column::Params(_) | Column::Pinned | Column::Starred, "true") => sql.push("1"),
                (Column::Params(_) | Column::Pinned | Column::Starred, "false") => sql.push("0"),
                _ => sql.push_bind(text.clone()),
            };
            sql.push(")");
        }
    }
    Ok(())
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
