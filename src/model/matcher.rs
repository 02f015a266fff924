//! A condition on one label: `job="api"`, `path!~"/static/.*"`.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Most bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            MatchOp::Matches | MatchOp::NotMatches => Some(compile(&name, &value)?),
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

/// RE2 reads `\d`, `\w`, `\s` and `\b` as ASCII; so do we, while `.` and classes stay Unicode.
fn compile(name: &str, pattern: &str) -> Result<Regex, MatcherError> {
    let refuse = |what: String| MatcherError { name: name.to_owned(), pattern: pattern.to_owned(), what };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(refuse(format!("it has {} bytes, more than {PATTERN_BYTES_MAX}", pattern.len())));
    }
    RegexBuilder::new(&format!("^(?s:{})$", ascii_classes(pattern)))
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(2 * REGEX_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|error| refuse(error.to_string()))
}

/// Rewrites the Perl classes to the ASCII sets that RE2 means by them, also inside brackets.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_brackets = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), in_brackets) {
                (Some('d'), _) => out.push_str("[0-9]"),
                (Some('w'), _) => out.push_str("[0-9A-Za-z_]"),
                (Some('s'), _) => out.push_str("[\\t\\n\\f\\r ]"),
                (Some('D'), _) => out.push_str("[^0-9]"),
                (Some('W'), _) => out.push_str("[^0-9A-Za-z_]"),
                (Some('S'), _) => out.push_str("[^\\t\\n\\f\\r ]"),
                (Some('b'), false) => out.push_str("(?-u:\\b)"),
                (Some('Q'), false) => {
                    let rest = chars.as_str();
                    let end = rest.find("\\E").unwrap_or(rest.len());
                    out.push_str(&regex::escape(&rest[..end]));
                    chars = rest.get(end + 2..).unwrap_or("").chars();
                }
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push('\\'),
            },
            '[' if in_brackets => match chars.as_str().find(":]").filter(|_| chars.as_str().starts_with(':')) {
                Some(end) => {
                    let rest = chars.as_str();
                    out.push('[');
                    out.push_str(&rest[..end + 2]);
                    chars = rest[end + 2..].chars();
                }
                None => out.push_str("\\["),
            },
            '[' => {
                in_brackets = true;
                out.push('[');
                // A `]` right behind the opening is itself a member of the class.
                let rest = chars.as_str();
                let lead = if rest.starts_with("^]") {
                    "^]"
                } else if rest.starts_with(']') {
                    "]"
                } else {
                    ""
                };
                for member in lead.chars() {
                    out.push_str(if member == ']' { "\\]" } else { "^" });
                    chars.next();
                }
            }
            ']' => {
                in_brackets = false;
                out.push(']');
            }
            // `regex` reads these as set operators where RE2 sees two plain characters.
            '&' | '~' | '-' if in_brackets && chars.as_str().starts_with(c) => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
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
