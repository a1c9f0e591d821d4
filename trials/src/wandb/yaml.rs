//! YAML with the line of each node.

use std::ops::Range;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use crate::error::Mistake;

/// A node of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line of its key, or of itself, from 1.
    pub line: usize,
    /// The bytes of that line.
    span: Range<usize>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar(Plain),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    Null,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A word.
    Text(String),
}

/// The one document of a text.
pub fn parse(text: &str) -> Result<Node, Mistake> {
    let lines = Lines::of(text);
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        Mistake::new(Some(lines.span(error.marker().line())), format!("this is not YAML: {}", error.info()))
    })?;
    let [document] = documents.as_slice() else {
        return Err(Mistake::new(None, format!("a sweep is one YAML document, but there are {}", documents.len())));
    };
    let node = Node::of(document, document.span.start.line(), &lines)?;
    match node.content {
        Content::Table(_) => Ok(node),
        _ => Err(node.mistake("a sweep is a table of keys")),
    }
}

impl Node {
    fn of(yaml: &MarkedYaml, line: usize, lines: &Lines) -> Result<Self, Mistake> {
        let span = lines.span(line);
        let mistake = |message: &str| Mistake::new(Some(span.clone()), message);
        let content = match &yaml.data {
            YamlData::Value(Scalar::Null) => Content::Null,
            YamlData::Value(Scalar::Boolean(is)) => Content::Scalar(Plain::Bool(*is)),
            YamlData::Value(Scalar::Integer(int)) => Content::Scalar(Plain::Int(*int)),
            YamlData::Value(Scalar::FloatingPoint(float)) => Content::Scalar(Plain::Float(float.into_inner())),
            YamlData::Value(Scalar::String(text)) => Content::Scalar(Plain::Text(text.to_string())),
            YamlData::Sequence(items) => {
                let item = |item: &MarkedYaml| Self::of(item, item.span.start.line(), lines);
                Content::List(items.iter().map(item).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(entries) => {
                let entry = |(key, value): (&MarkedYaml, &MarkedYaml)| {
                    let line = key.span.start.line();
                    let name = match &key.data {
                        YamlData::Value(Scalar::String(text)) => text.to_string(),
                        YamlData::Value(Scalar::Boolean(is)) => is.to_string(),
                        YamlData::Value(Scalar::Integer(int)) => int.to_string(),
                        _ => return Err(Mistake::new(Some(lines.span(line)), "a key is a word")),
                    };
                    Ok((name, Self::of(value, line, lines)?))
                };
                Content::Table(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            _ => return Err(mistake("tags, aliases and the like are not understood here")),
        };
        Ok(Self { line, span, content })
    }

    /// A mistake at its place.
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(Some(self.span.clone()), message)
    }

    /// Keys and what they have, in order; none if it is no table.
    pub fn entries(&self) -> impl Iterator<Item = (String, &Self)> {
        let entries = if let Content::Table(entries) = &self.content { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, node)| (key.clone(), node))
    }

    /// What a key has.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Content::Table(entries) = &self.content else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<&[Self]> {
        if let Content::List(items) = &self.content { Some(items) } else { None }
    }

    /// The value, if it is one. `null` is the word `none`, as optimizers and schedules have it.
    pub fn plain(&self) -> Option<Plain> {
        match &self.content {
            Content::Scalar(plain) => Some(plain.clone()),
            Content::Null => Some(Plain::Text("none".to_owned())),
            Content::List(_) | Content::Table(_) => None,
        }
    }

    /// The value as a word.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Scalar(Plain::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// The value as a number.
    pub fn number(&self) -> Option<f64> {
        self.plain()?.number()
    }

    /// The value as a count.
    pub fn whole(&self) -> Option<u64> {
        if let Content::Scalar(Plain::Int(int)) = &self.content { u64::try_from(*int).ok() } else { None }
    }
}

impl Plain {
    /// As a number; a text too, since YAML 1.1 took `1e-4` for one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float).filter(|float| float.is_finite()),
            Self::Text(text) => text.trim().parse().ok().filter(|float: &f64| float.is_finite()),
            Self::Bool(_) => None,
        }
    }
}

/// Where the lines of a text begin, in bytes.
struct Lines(Vec<usize>, usize);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect(), text.len())
    }

    /// The bytes of a line, from 1, without its end.
    fn span(&self, line: usize) -> Range<usize> {
        let begin = self.0.get(line.saturating_sub(1)).copied().unwrap_or(self.1);
        let end = self.0.get(line).map_or(self.1, |next| next - 1);
        begin..end.max(begin)
    }
}
