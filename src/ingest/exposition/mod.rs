//! Prometheus's text format 0.0.4 and OpenMetrics 1.0, line by line over borrowed bytes.
//!
//! ```text
//! # HELP http_requests_total Requests answered.              Line::Help
//! # TYPE http_requests_total counter                         Line::Type
//! http_requests_total{code="200"} 1027 1395066363000         Line::Sample   name, labels, value, time in ms
//! {"http.requests",code="200"} 1027                          Line::Sample   a name that needs quotes
//! http_requests_total{code=200} 3                            LineError      line 5: a label's value is not in quotes
//! ```
//!
//! [`lines`] is for everyone who reads such a text; `read.rs` pushes one, and looks known series up unread.
//!
//! Where the two formats differ: OpenMetrics has times in seconds with a fraction, a `UNIT` line, `\"` in help texts,
//! other kinds of metrics, and `# EOF` at its end. Everything else is read alike, so what one of them forbids only by
//! taste is taken in both: exemplars, blank lines, any number of blanks between parts, a comma behind the last label,
//! a carriage return before the line feed.
//!
//! Always true:
//! 1. A line stands or falls alone: an error names its number, and the next line is read as if it had not been there.
//! 2. A series' text decides by itself where it ends: whoever has read `up{a="b"}` once knows what every line that
//!    begins with it says. `read.rs` relies on it.
//! 3. Nothing is allocated for a sample in which nothing is escaped.

mod line;
mod number;
mod read;
mod series;

use std::borrow::Cow;
use std::fmt;

use super::MetricKind;

pub use read::TextPush;
pub use series::LabelPairs;

/// Which of the two formats a text is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What one line says. Blank lines and comments say nothing and are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// What a family means.
    Help {
        /// The family's name.
        family: Cow<'a, str>,
        /// For people.
        help: Cow<'a, str>,
    },
    /// What kind of metric a family is.
    Type {
        /// The family's name.
        family: Cow<'a, str>,
        /// Its kind.
        kind: MetricKind,
    },
    /// What a family counts in.
    Unit {
        /// The family's name.
        family: Cow<'a, str>,
        /// Such as `seconds`.
        unit: &'a str,
    },
    /// A sample.
    Sample(Sample<'a>),
}

/// A sample as it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name, never empty.
    pub name: Cow<'a, str>,
    /// The other labels, in the order of the text. What a series may have is not yet checked, but for their number.
    pub labels: LabelPairs<'a>,
    /// The value; whatever is not a number is the one NaN that Prometheus stores for it.
    pub value: f64,
    /// When, in ms since 1970 UTC, if the line says so.
    pub timestamp_ms: Option<i64>,
}

/// A line that is not of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Format {
    /// The format that a `Content-Type` announces: OpenMetrics where it says so, else the text format. Nothing for the
    /// protobuf forms of either, which are not read.
    pub fn of_content_type(content_type: Option<&str>) -> Option<Format> {
        let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/openmetrics-text" => Some(Format::OpenMetrics),
            protobuf if protobuf.contains("protobuf") => None,
            _ => Some(Format::Text),
        }
    }
}

/// Everything that a text says, line by line.
pub fn lines(text: &[u8], format: Format) -> Lines<'_> {
    Lines { raw: RawLines::new(text), format, ended: false }
}

/// The lines of a text; made by [`lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    raw: RawLines<'a>,
    format: Format,
    ended: bool,
}

impl Lines<'_> {
    /// Number of the line that was given last, from 1.
    pub fn number(&self) -> usize {
        self.raw.number
    }

    /// Whether `# EOF` was met. OpenMetrics without it was cut off.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = self.raw.next()?;
            let read = if self.ended { Err(BEHIND_THE_END) } else { line::read(bytes, self.format) };
            match read {
                Ok(line::Read::Line(line)) => return Some(Ok(line)),
                Ok(line::Read::End) => self.ended = true,
                Ok(line::Read::Nothing) => {}
                Err(what) => return Some(Err(LineError { line: self.raw.number, what })),
            }
        }
    }
}

/// What is wrong with every line that follows `# EOF`.
const BEHIND_THE_END: &str = "it stands behind # EOF";

/// Lines that are not blank, without blanks before them and without what ends them.
#[derive(Clone, Debug)]
struct RawLines<'a> {
    rest: &'a [u8],
    /// Of the line that was given last, from 1; blank ones are counted.
    number: usize,
}

impl<'a> RawLines<'a> {
    fn new(text: &'a [u8]) -> RawLines<'a> {
        RawLines { rest: text, number: 0 }
    }
}

impl<'a> Iterator for RawLines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.number += 1;
            let line = line::without_blanks_before(line.strip_suffix(b"\r").unwrap_or(line));
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
