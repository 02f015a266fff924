//! What is wrong with a query, and where.

/// Why a text is no query, in Prometheus's words where it has them, since those are what people search for.
///
/// Shows as `1:14: parse error: unexpected <op:*> in aggregation`: line and column count from 1, the column in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: parse error: {what}")]
pub(crate) struct SyntaxError {
    place: Place,
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// An empty query has no places.
    Unknown,
    At {
        line: usize,
        column: usize,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Unknown => out.write_str("unknown position"),
            Place::At { line, column } => write!(out, "{line}:{column}"),
        }
    }
}

impl SyntaxError {
    /// An error at a byte of the query's text.
    pub(crate) fn at(text: &str, byte: usize, what: impl Into<String>) -> SyntaxError {
        let what = what.into();
        if text.is_empty() {
            return SyntaxError { place: Place::Unknown, what };
        }
        let before = &text.as_bytes()[..byte.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        SyntaxError { place: Place::At { line, column }, what }
    }

    /// Line and column, from 1; none for an empty query.
    pub(crate) fn position(&self) -> Option<(usize, usize)> {
        match self.place {
            Place::Unknown => None,
            Place::At { line, column } => Some((line, column)),
        }
    }

    /// The message without its position.
    #[cfg(test)]
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

/// An error while the text is still at hand: the byte it is at, and the message.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Fault {
        Fault { at, what: what.into() }
    }

    pub(super) fn place(self, text: &str) -> SyntaxError {
        SyntaxError::at(text, self.at, self.what)
    }
}

/// What every step of the reading gives.
pub(super) type Parsed<T> = Result<T, Fault>;
