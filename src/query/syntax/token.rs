//! Tokens, and how errors call them.

use super::string::quote;
use super::tree::{Aggregator, Operator, Span};

/// A token: what it is and where. Its text is that part of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    pub(super) fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Identifier,
    /// An identifier with a colon in it, as recording rules have.
    MetricIdentifier,
    Number,
    Duration,
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    /// `@`
    At,
    Operator(Operator),
    Aggregator(Aggregator),
    Keyword(Keyword),
    QueryWord(QueryWord),
}

/// Words that modify an operator, an aggregation or a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
}

/// Words that are functions of the query, of `@`, or of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryWord {
    End,
    MaxOf,
    MinOf,
    Range,
    Start,
    Step,
}

/// What a word is outside of braces, whatever its case; none for a plain identifier.
pub(super) fn word(text: &str) -> Option<Kind> {
    const LONGEST: usize = "count_values".len();
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let keyword = |keyword| Some(Kind::Keyword(keyword));
    match lower.as_str() {
        "anchored" => keyword(Keyword::Anchored),
        "bool" => keyword(Keyword::Bool),
        "by" => keyword(Keyword::By),
        "fill" => keyword(Keyword::Fill),
        "fill_left" => keyword(Keyword::FillLeft),
        "fill_right" => keyword(Keyword::FillRight),
        "group_left" => keyword(Keyword::GroupLeft),
        "group_right" => keyword(Keyword::GroupRight),
        "ignoring" => keyword(Keyword::Ignoring),
        "offset" => keyword(Keyword::Offset),
        "on" => keyword(Keyword::On),
        "smoothed" => keyword(Keyword::Smoothed),
        "without" => keyword(Keyword::Without),
        "and" | "or" | "unless" | "atan2" => Operator::from_name(&lower).map(Kind::Operator),
        "inf" | "nan" => Some(Kind::Number),
        "start" => Some(Kind::QueryWord(QueryWord::Start)),
        "end" => Some(Kind::QueryWord(QueryWord::End)),
        other => query_word(other).or_else(|| Aggregator::from_name(other).map(Kind::Aggregator)),
    }
}

/// The words that are functions within durations.
pub(super) fn query_word(lower: &str) -> Option<Kind> {
    let word = match lower {
        "step" => QueryWord::Step,
        "range" => QueryWord::Range,
        "max_of" => QueryWord::MaxOf,
        "min_of" => QueryWord::MinOf,
        _ => return None,
    };
    Some(Kind::QueryWord(word))
}

impl Kind {
    /// Whether a metric may have it for a name.
    pub(super) fn is_metric_name(self) -> bool {
        use Keyword::{Bool, GroupLeft, GroupRight, Ignoring, On};
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator(_) | Kind::QueryWord(_) => true,
            Kind::Operator(operator) => operator.is_set(),
            Kind::Keyword(keyword) => !matches!(keyword, Bool | GroupLeft | GroupRight | Ignoring | On),
            _ => false,
        }
    }

    /// Whether a label may be called so in `by (…)` and its like.
    pub(super) fn is_label_name(self) -> bool {
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator(_) | Kind::QueryWord(_) => true,
            Kind::Operator(operator) => operator.is_set() || operator == Operator::Atan2,
            Kind::Keyword(keyword) => keyword != Keyword::Without,
            _ => false,
        }
    }

    /// Whether an expression may begin with it.
    pub(super) fn begins_expression(self) -> bool {
        self.is_metric_name()
            || matches!(
                self,
                Kind::Number
                    | Kind::Duration
                    | Kind::Text
                    | Kind::LeftParen
                    | Kind::LeftBrace
                    | Kind::Operator(Operator::Add | Operator::Subtract)
            )
    }

    /// Whether it is the sign of a number.
    pub(super) fn is_sign(self) -> bool {
        matches!(self, Kind::Operator(Operator::Add | Operator::Subtract))
    }
}

/// How an error calls a token of this text.
pub(super) fn describe(kind: Kind, text: &str) -> String {
    match kind {
        Kind::End => "end of input".to_owned(),
        Kind::Identifier => format!("identifier {}", quote(text)),
        Kind::MetricIdentifier => format!("metric identifier {}", quote(text)),
        Kind::Number => format!("number {}", shortened(text)),
        Kind::Duration => format!("duration {}", shortened(text)),
        Kind::Text => format!("string {}", shortened(text)),
        Kind::Keyword(_) => format!("<{text}>"),
        Kind::Operator(_) | Kind::Matches | Kind::MatchesNot | Kind::At => format!("<op:{text}>"),
        Kind::Aggregator(_) => format!("<aggr:{text}>"),
        _ => shortened(text),
    }
}

/// Quoted, and cut behind ten characters.
fn shortened(text: &str) -> String {
    const BYTES_MAX: usize = 10;
    if text.len() <= BYTES_MAX {
        return quote(text);
    }
    let kept: String = text.chars().take(BYTES_MAX).collect();
    format!("{}...", quote(&kept))
}
