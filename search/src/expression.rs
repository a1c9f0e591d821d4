//! Small expressions over named values, as users write them in a rule: `optimizer = 'sgd' and batch_size > 512`.
//!
//! From weak to strong: `or`; `and`; `not`; the comparisons `=` (or `==`), `!=`, `<`, `<=`, `>`, `>=` and `in [a, b]`;
//! `+` and `-`; `*` and `/`. Words stand in quotes, names without.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::params::ParamValue;

/// A rule as written, and as understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Name(String),
    Value(ParamValue),
    List(Vec<Node>),
    Not(Box<Node>),
    Minus(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Plus,
    Minus,
    Times,
    Over,
}

/// How strongly each operator binds.
const OPERATORS: [(&str, Operator, u8); 14] = [
    ("or", Operator::Or, 1),
    ("and", Operator::And, 2),
    ("==", Operator::Equal, 4),
    ("!=", Operator::Unequal, 4),
    ("<=", Operator::AtMost, 4),
    (">=", Operator::AtLeast, 4),
    ("=", Operator::Equal, 4),
    ("<", Operator::Less, 4),
    (">", Operator::Greater, 4),
    ("in", Operator::In, 4),
    ("+", Operator::Plus, 5),
    ("-", Operator::Minus, 5),
    ("*", Operator::Times, 6),
    ("/", Operator::Over, 6),
];
const COMPARISON: u8 = 4;
const NOT: u8 = 3;
const SIGN: u8 = 7;
/// Parentheses and signs within one another; more is a mistake, and would cost the parser its stack.
const DEEPEST: usize = 50;
/// Bytes of a rule; a chain of operators is a tree as deep as it is long.
const LONGEST: usize = 4096;

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not understood at `{}`: expected {expected}", rest(text, *at))]
pub struct ExpressionError {
    /// The whole text.
    pub text: String,
    /// Byte at which it stops to make sense.
    pub at: usize,
    /// What would fit there.
    pub expected: &'static str,
}

fn rest(text: &str, at: usize) -> &str {
    match text.get(at..) {
        Some("") | None => "the end",
        Some(rest) => rest,
    }
}

impl Expression {
    /// Reads the text.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.len() > LONGEST {
            return Err(parser.error("a shorter rule"));
        }
        let root = parser.binary(0)?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.error("`and`, `or`, a comparison, or the end"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// Names in it, in order; one may come twice.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            if let Node::Name(name) = node {
                names.push(name.as_str());
            }
        });
        names
    }

    /// Words in quotes, in order; one may come twice.
    pub fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        self.root.visit(&mut |node| {
            if let Node::Value(ParamValue::Text(word)) = node {
                words.push(word.as_str());
            }
        });
        words
    }

    /// Whether it is true of these values. A comparison with a name that has no value is false.
    pub fn holds(&self, lookup: &impl Fn(&str) -> Option<ParamValue>) -> bool {
        self.root.is_true(lookup)
    }

    /// By how much a comparison of two numbers misses to be true; 0 if it is. `None` where a value is missing or the
    /// expression is no such comparison.
    pub fn violation(&self, lookup: &impl Fn(&str) -> Option<ParamValue>) -> Option<f64> {
        let Node::Binary(operator, left, right) = &self.root else { return None };
        let difference = left.value(lookup)?.as_f64()? - right.value(lookup)?.as_f64()?;
        let violation = match operator {
            Operator::Less | Operator::AtMost => difference,
            Operator::Greater | Operator::AtLeast => -difference,
            _ => return None,
        };
        Some(violation.max(0.0))
    }

    /// Whether [`Expression::violation`] can have a value.
    pub fn is_inequality(&self) -> bool {
        use Operator::{AtLeast, AtMost, Greater, Less};
        matches!(self.root, Node::Binary(Less | AtMost | Greater | AtLeast, ..))
    }
}

impl Node {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match self {
            Self::Name(_) | Self::Value(_) => {}
            Self::List(items) => items.iter().for_each(|item| item.visit(see)),
            Self::Not(inner) | Self::Minus(inner) => inner.visit(see),
            Self::Binary(_, left, right) => {
                left.visit(see);
                right.visit(see);
            }
        }
    }

    fn is_true(&self, lookup: &impl Fn(&str) -> Option<ParamValue>) -> bool {
        self.value(lookup) == Some(ParamValue::Bool(true))
    }

    fn value(&self, lookup: &impl Fn(&str) -> Option<ParamValue>) -> Option<ParamValue> {
        let boolean = |value| Some(ParamValue::Bool(value));
        match self {
            Self::Name(name) => lookup(name),
            Self::Value(value) => Some(value.clone()),
            Self::List(items) => {
                items.iter().map(|item| item.value(lookup)).collect::<Option<_>>().map(ParamValue::List)
            }
            Self::Not(inner) => boolean(!inner.is_true(lookup)),
            Self::Minus(inner) => Some(ParamValue::Float(-inner.value(lookup)?.as_f64()?)),
            Self::Binary(Operator::Or, left, right) => boolean(left.is_true(lookup) || right.is_true(lookup)),
            Self::Binary(Operator::And, left, right) => boolean(left.is_true(lookup) && right.is_true(lookup)),
            Self::Binary(operator, left, right) => {
                let (Some(left), Some(right)) = (left.value(lookup), right.value(lookup)) else {
                    return operator.is_comparison().then_some(ParamValue::Bool(false));
                };
                operator.apply(&left, &right)
            }
        }
    }
}

impl Operator {
    fn is_comparison(self) -> bool {
        OPERATORS.iter().any(|(_, operator, strength)| *operator == self && *strength == COMPARISON)
    }

    fn apply(self, left: &ParamValue, right: &ParamValue) -> Option<ParamValue> {
        let numbers = left.as_f64().zip(right.as_f64());
        let holds = match self {
            Self::Equal => left.same(right),
            Self::Unequal => !left.same(right),
            Self::In => matches!(right, ParamValue::List(list) if list.iter().any(|item| item.same(left))),
            Self::Less => numbers.is_some_and(|(a, b)| a < b),
            Self::AtMost => numbers.is_some_and(|(a, b)| a <= b),
            Self::Greater => numbers.is_some_and(|(a, b)| a > b),
            Self::AtLeast => numbers.is_some_and(|(a, b)| a >= b),
            Self::Plus => return numbers.map(|(a, b)| ParamValue::Float(a + b)),
            Self::Minus => return numbers.map(|(a, b)| ParamValue::Float(a - b)),
            Self::Times => return numbers.map(|(a, b)| ParamValue::Float(a * b)),
            Self::Over => return numbers.map(|(a, b)| ParamValue::Float(a / b)),
            Self::Or | Self::And => return None,
        };
        Some(ParamValue::Bool(holds))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Operators that bind at least so strongly, the stronger first (Pratt 1973).
    fn binary(&mut self, least: u8) -> Result<Node, ExpressionError> {
        let mut left = self.operand()?;
        while let Some((operator, strength, length)) = self.operator().filter(|(_, strength, _)| *strength >= least) {
            self.at += length;
            let right = self.binary(strength + 1)?;
            if strength == COMPARISON && matches!(&left, Node::Binary(inner, ..) if inner.is_comparison()) {
                return Err(self.error("one comparison at a time: join two by `and`"));
            }
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Node, ExpressionError> {
        self.skip_space();
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("fewer parentheses"));
        }
        let node = match self.text[self.at..].chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.binary(0)?;
                self.expect(')', "`)`")?;
                inner
            }
            Some('[') => self.list()?,
            Some('-') => {
                self.at += 1;
                Node::Minus(Box::new(self.binary(SIGN)?))
            }
            Some(quote @ ('\'' | '"')) => {
                let inner = &self.text[self.at + 1..];
                let length = inner.find(quote).ok_or_else(|| self.error("a closing quote"))?;
                self.at += length + 2;
                Node::Value(ParamValue::Text(inner[..length].to_owned()))
            }
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number()?,
            Some(letter) if letter.is_alphabetic() || letter == '_' => match self.word() {
                "not" => {
                    self.at += "not".len();
                    Node::Not(Box::new(self.binary(NOT)?))
                }
                word => {
                    if OPERATORS.iter().any(|(name, ..)| *name == word) {
                        return Err(self.error("a name, a number or a word in quotes"));
                    }
                    self.at += word.len();
                    match word {
                        "true" => Node::Value(ParamValue::Bool(true)),
                        "false" => Node::Value(ParamValue::Bool(false)),
                        name => Node::Name(name.to_owned()),
                    }
                }
            },
            _ => return Err(self.error("a name, a number or a word in quotes")),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn list(&mut self) -> Result<Node, ExpressionError> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            items.push(self.operand()?);
            self.skip_space();
            if !self.text[self.at..].starts_with(',') {
                break;
            }
            self.at += 1;
        }
        self.expect(']', "`,` or `]`")?;
        Ok(Node::List(items))
    }

    fn number(&mut self) -> Result<Node, ExpressionError> {
        let rest = &self.text[self.at..];
        let mut last = ' ';
        let length = rest.find(|c: char| {
            let fits = c.is_ascii_digit() || ".eE_".contains(c) || ("+-".contains(c) && "eE".contains(last));
            last = c;
            !fits
        });
        let text = &rest[..length.unwrap_or(rest.len())];
        let plain = text.replace('_', "");
        let int = plain.parse().map(ParamValue::Int);
        let value = int.or_else(|_| plain.parse().map(ParamValue::Float)).map_err(|_| self.error("a number"))?;
        self.at += text.len();
        Ok(Node::Value(value))
    }

    /// The operator that comes next, with its strength and length.
    fn operator(&mut self) -> Option<(Operator, u8, usize)> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let word = self.word();
        let fits = |name: &str| if word.is_empty() { rest.starts_with(name) } else { word == name };
        let (name, operator, strength) = OPERATORS.iter().find(|(name, ..)| fits(name))?;
        Some((*operator, *strength, name.len()))
    }

    /// The letters, digits, `_` and `.` that come next; a dotted name is one word.
    fn word(&self) -> &'a str {
        let rest = &self.text[self.at..];
        if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return "";
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        &rest[..end.unwrap_or(rest.len())]
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), ExpressionError> {
        self.skip_space();
        if !self.text[self.at..].starts_with(wanted) {
            return Err(self.error(expected));
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn error(&self, expected: &'static str) -> ExpressionError {
        ExpressionError { text: self.text.to_owned(), at: self.at, expected }
    }
}

impl PartialEq for Expression {
    /// As written.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Expression {
    type Error = ExpressionError;

    fn try_from(text: String) -> Result<Self, ExpressionError> {
        Self::parse(&text)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<ParamValue> {
        Some(match name {
            "optimizer" => ParamValue::Text("sgd".into()),
            "batch_size" => ParamValue::Int(512),
            "optimizer.sgd.lr" => ParamValue::Float(0.1),
            "nesterov" => ParamValue::Bool(true),
            _ => return None,
        })
    }

    fn check(text: &str, expected: bool) {
        assert_eq!(Expression::parse(text).unwrap().holds(&values), expected, "{text}");
    }

    #[test]
    fn rules_read_as_they_are_meant() {
        check("optimizer = 'sgd' and batch_size > 256", true);
        check("optimizer == \"adamw\" or batch_size >= 512 and optimizer.sgd.lr<.2", true);
        check("not optimizer = 'sgd' or batch_size > 512", false);
        check("not (optimizer = 'sgd' and batch_size > 512)", true);
        check("optimizer in ['adamw', 'sgd'] and batch_size != 1e3", true);
        check("batch_size * optimizer.sgd.lr / 2 - 1 > 24 and nesterov", true);
        check("batch_size + 2 * -1 = 510", true);
        check("1 - 1 - 1 = -1", true);
    }

    #[test]
    fn a_comparison_with_what_is_not_there_is_false() {
        check("optimizer.adamw.lr > 0", false);
        check("optimizer.adamw.lr != 0", false);
        check("not optimizer.adamw.lr > 0", true);
        check("optimizer > 3", false);
    }

    #[test]
    fn what_is_not_understood_is_shown_from_there() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Expression::parse(text).unwrap_err().to_string(), expected);
        };
        check("a >", "`a >` is not understood at `the end`: expected a name, a number or a word in quotes");
        check("a > 1 b", "`a > 1 b` is not understood at `b`: expected `and`, `or`, a comparison, or the end");
        check("(a", "`(a` is not understood at `the end`: expected `)`");
        check("a = 'b", "`a = 'b` is not understood at `'b`: expected a closing quote");
        check(
            "1 < a < 2",
            "`1 < a < 2` is not understood at `the end`: expected one comparison at a time: join two by `and`",
        );
        check("", "`` is not understood at `the end`: expected a name, a number or a word in quotes");
        assert!(Expression::parse(&"(".repeat(100_000)).is_err());
        assert!(Expression::parse(&"not ".repeat(100_000)).is_err());
    }

    #[test]
    fn an_inequality_says_by_how_much_it_is_missed() {
        let check = |text: &str, expected| {
            let expression = Expression::parse(text).unwrap();
            assert_eq!((expression.violation(&values), expression.is_inequality()), expected, "{text}");
        };
        check("batch_size <= 500", (Some(12.0), true));
        check("batch_size > 500", (Some(0.0), true));
        check("batch_size = 500", (None, false));
        check("latency < 1", (None, true));
    }
}
