//! A condition on one label: `job="api"`, `path!~"/static/.*"`.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::Regex;

use super::pattern::compile_pattern;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends, the dot matching newlines too.
    Matches,
    /// `!~`
    NotMatches,
}

impl MatchOp {
    /// Whether it compares with a regular expression.
    pub fn is_pattern(self) -> bool {
        matches!(self, MatchOp::Matches | MatchOp::NotMatches)
    }
}

/// One comparison of a selector. A label that is absent compares as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

/// A pattern that is no regular expression, or too large a one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {pattern:?} of label {name:?} cannot be used: {what}")]
pub struct MatcherError {
    /// The label's name.
    pub name: String,
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub what: String,
}

impl Matcher {
    /// Compiles the pattern where there is one.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Matcher, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(compile_pattern(&value).map_err(|what| MatcherError {
                name: name.clone(),
                pattern: value.clone(),
                what,
            })?),
        };
        Ok(Matcher { name, op, value, regex })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label that is compared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it is compared with: the text, or the pattern as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What it is made of.
    fn key(&self) -> (&str, MatchOp, &str) {
        (&self.name, self.op, &self.value)
    }

    /// Whether a label of this value satisfies the condition; `""` stands for an absent label.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Matches, Some(regex)) => regex.is_match(value),
            (MatchOp::NotMatches, Some(regex)) => !regex.is_match(value),
            (MatchOp::Matches | MatchOp::NotMatches, None) => unreachable!("a pattern is compiled in Matcher::new"),
        }
    }

    /// Whether a series without the label satisfies the condition.
    pub fn matches_absent(&self) -> bool {
        self.matches("")
    }
}

/// Matchers are equal when they are written equally: then the same values satisfy them.
impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::NotMatches => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}
