//! Conditions on an alert's labels, as routes, inhibition and silences write them.
//!
//! ```text
//! severity="critical", team=~"shop|pay", "dc.name"!=eu      the grammar of today: any name, quoted or not
//! {severity=critical, url=~"/cart\?.*"}                     the classic one, tried where the other one fails
//! ```
//!
//! Alertmanager reads a text by both grammars. Where only one can read it, that one is right; where both can and
//! disagree, the classic one is, so that a file means what it meant for years.
//!
//! Always true: the conditions are sorted by name, value and operator, so that a route has the same key however its author
//! ordered them.
//!
//! A label that is absent compares as the empty text. The dot of a pattern matches a newline too.

mod classic;
mod grammar;

use std::fmt;

use crate::model::{Labels, MatchOp, Matcher, quoted};

/// Conditions that must all hold; without any, every alert satisfies them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// These conditions, sorted.
    pub fn new(mut matchers: Vec<Matcher>) -> Matchers {
        matchers.sort_by(|a, b| rank(a).cmp(&rank(b)));
        Matchers(matchers)
    }

    /// Reads conditions with commas between them, with or without braces around them. Fails with what is wrong.
    pub fn parse(text: &str) -> Result<Matchers, String> {
        match (grammar::parse(text), classic::parse(text)) {
            (Ok(matchers), Err(_)) => Ok(Matchers::new(matchers)),
            (_, Ok(matchers)) => Ok(Matchers::new(matchers)),
            (Err(what), Err(_)) => Err(what),
        }
    }

    /// Whether a label set satisfies all of them.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    }

    /// Each condition.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Matcher> {
        self.0.iter()
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn rank(matcher: &Matcher) -> (&str, &str, u8) {
    let op = match matcher.op() {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Matches => 2,
        MatchOp::NotMatches => 3,
    };
    (matcher.name(), matcher.value(), op)
}

/// Its sign in a text.
pub(super) fn sign(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Matches => "=~",
        MatchOp::NotMatches => "!~",
    }
}

/// `{a="b",c=~"d|e"}`, as Alertmanager writes it into keys of groups.
impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.0.iter().enumerate() {
            let (comma, op) = (if index == 0 { "" } else { "," }, sign(matcher.op()));
            if matcher.name().contains(grammar::is_reserved) {
                write!(f, "{comma}{}{op}{}", quoted(matcher.name()), quoted(matcher.value()))?;
            } else {
                let value = matcher.value().replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
                write!(f, "{comma}{}{op}\"{value}\"", matcher.name())?;
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
