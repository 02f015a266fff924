//! Series as unit tests of rules and scripts write them: labels, and a value for each step.
//!
//! ```text
//! orders{node="1"}   1 _ stale 0+10x3 5x2 _x2 {{count:2 sum:5}}+{{count:1}}x1
//!                    1, none, the staleness marker, 0 10 20 30, 5 5 5, none twice, histograms of count 2 and 3
//! ```
//!
//! Always true: whatever is written, no more than [`VALUES_COUNT_MAX`] values come of it.

use std::sync::Arc;

use super::engine::Sampled;
use super::{Limits, lower, syntax};
use crate::model::{FloatHistogram, HistogramLiteral, Labels, MatchOp, stale_nan};

/// Most values of one series.
pub const VALUES_COUNT_MAX: usize = 1_000_000;

/// A value as it was written.
#[derive(Clone, Debug)]
pub struct WrittenValue {
    /// The value.
    pub value: Sampled,
    /// Whether it says what is known of counter resets.
    pub hint_is_given: bool,
}

/// A text that is no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NotationError {
    /// What is wrong, with the part of the text.
    pub what: String,
}

fn refuse<T>(what: impl Into<String>) -> Result<T, NotationError> {
    Err(NotationError { what: what.into() })
}

/// Reads `name{label="value"}` from the start of a text: the labels, and what follows them. An empty text has none.
pub fn parse_series(text: &str) -> Result<(Labels, &str), NotationError> {
    let text = text.trim_start();
    let (metric, rest) = text.split_at(metric_bytes(text)?);
    let inside = metric.trim();
    if inside.is_empty() || inside.starts_with('{') && inside[1..].trim_start() == "}" {
        return Ok((Labels::empty(), rest));
    }
    let told = |error: &dyn std::fmt::Display| NotationError { what: format!("{inside}: {error}") };
    let selector = syntax::parse_selector(inside, &Limits::default().syntax()).map_err(|error| told(&error))?;
    let matchers = lower::matchers(&selector, inside).map_err(|error| told(&error))?;
    if let Some(matcher) = matchers.iter().find(|matcher| matcher.op() != MatchOp::Equal) {
        return refuse(format!("{inside}: a series has {}=\"…\" for each label", matcher.name()));
    }
    let pairs = matchers.iter().map(|matcher| (matcher.name(), matcher.value()));
    Labels::from_pairs(pairs).map(|labels| (labels, rest)).map_err(|error| told(&error))
}

/// How long the name and the braces are.
fn metric_bytes(text: &str) -> Result<usize, NotationError> {
    let name_bytes = text.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(text.len());
    if !text[name_bytes..].starts_with('{') {
        return Ok(name_bytes);
    }
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in text[name_bytes..].char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(open) if c == '\\' && open != '`' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return Ok(name_bytes + at + 1),
            None => {}
        }
    }
    refuse(format!("{text}: a brace is never closed"))
}

/// Reads `1 2 _ stale 0+10x3 5x2 _x3 {{count:1}}x2`: the values one by one, none where there is no sample.
pub fn parse_values(text: &str) -> Result<Vec<Option<WrittenValue>>, NotationError> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") {
            histograms(rest, &mut all)?
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            numbers(&rest[..end], &mut all)?;
            &rest[end..]
        };
        let next = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && next.len() == rest.len() {
            return refuse(format!("between values there is a space, and not {rest:.20?}"));
        }
        rest = next;
    }
    Ok(all)
}

fn push(all: &mut Vec<Option<WrittenValue>>, value: Option<WrittenValue>) -> Result<(), NotationError> {
    if all.len() == VALUES_COUNT_MAX {
        return refuse(format!("a series has more than {VALUES_COUNT_MAX} values"));
    }
    all.push(value);
    Ok(())
}

fn number_value(value: f64) -> Option<WrittenValue> {
    Some(WrittenValue { value: Sampled::Number(value), hint_is_given: false })
}

/// Reads `{{…}}`, `{{…}}x3` or `{{…}}+{{…}}x3`, and returns what follows.
fn histograms<'t>(text: &'t str, all: &mut Vec<Option<WrittenValue>>) -> Result<&'t str, NotationError> {
    let literal = |text: &str| HistogramLiteral::parse(text).map_err(|error| NotationError { what: error.to_string() });
    let first = literal(text)?;
    let mut rest = &text[first.bytes..];
    let step = match rest.chars().next() {
        Some(sign @ ('+' | '-')) => {
            let step = literal(&rest[1..])?;
            rest = &rest[1 + step.bytes..];
            Some((sign, step.histogram))
        }
        _ => None,
    };
    let mut count = 0;
    if let Some(digits) = rest.strip_prefix('x') {
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        (count, rest) = (repetitions(&digits[..end])?, &digits[end..]);
    } else if step.is_some() {
        return refuse("a histogram that is added at each step needs a count: {{…}}+{{…}}x3");
    }
    let mut now: FloatHistogram = first.histogram.clone();
    for index in 0..=count {
        if index > 0 {
            let added = match &step {
                Some(('+', step)) => now.add(step).map(drop),
                Some((_, step)) => now.subtract(step).map(drop),
                None => Ok(()),
            };
            added.map_err(|error| NotationError { what: error.to_string() })?;
            now.hint = first.histogram.hint;
        }
        let value = Sampled::Histogram(Arc::new(now.clone()));
        push(all, Some(WrittenValue { value, hint_is_given: first.hint_is_given }))?;
    }
    Ok(rest)
}

fn repetitions(digits: &str) -> Result<usize, NotationError> {
    match digits.parse() {
        Ok(count) if count < VALUES_COUNT_MAX => Ok(count),
        _ => refuse(format!("{digits:?} is no count below {VALUES_COUNT_MAX}")),
    }
}

fn numbers(item: &str, all: &mut Vec<Option<WrittenValue>>) -> Result<(), NotationError> {
    if item == "stale" {
        return push(all, number_value(stale_nan()));
    }
    if let Some(rest) = item.strip_prefix('_') {
        let count = match rest.strip_prefix('x') {
            Some(digits) => repetitions(digits)?,
            None if rest.is_empty() => 1,
            None => return refuse(format!("{item:?} is neither _ nor _x3")),
        };
        return (0..count).try_for_each(|_| push(all, None));
    }
    let unknown = || format!("{item:?} is no value: write 1, 1x3, 1+2x3, _, _x3, stale or {{{{…}}}}");
    // `0x10` is eleven zeros, and `0xff` a number.
    let repeated = item.rsplit_once('x').filter(|(_, count)| count.bytes().all(|digit| digit.is_ascii_digit()));
    let Some((base, count)) = repeated else {
        return match parse_number(item) {
            Some(value) => push(all, number_value(value)),
            None => refuse(unknown()),
        };
    };
    let count = repetitions(count)?;
    let (mut value, step) = match decimal(base) {
        Some(value) => (value, 0.0),
        None => start_and_step(base).ok_or_else(|| NotationError { what: unknown() })?,
    };
    for index in 0..=count {
        // Added up one by one, as Prometheus does it.
        value = if index == 0 { value } else { value + step };
        push(all, number_value(value))?;
    }
    Ok(())
}

/// `5-2`: split at the last sign that is not one of an exponent.
fn start_and_step(base: &str) -> Option<(f64, f64)> {
    let is_of_exponent = |index: usize| matches!(base.as_bytes()[index - 1], b'e' | b'E' | b'+' | b'-');
    let signs = base.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    let (split, _) = signs.filter(|(index, _)| !is_of_exponent(*index)).last()?;
    Some((decimal(&base[..split])?, decimal(&base[split..])?))
}

/// A number that may stand before an `x`: of digits, not in words.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    parse_number(text).filter(|_| digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !digits.contains('x'))
}

/// A number as PromQL writes it, with a sign: `-1.5e3`, `0x1F`, `1_000`, `Inf`, `NaN`.
pub fn parse_number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let magnitude = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()? as f64
        }
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            let is_separated = unsigned.contains("__") || unsigned.ends_with('_');
            let number: f64 = unsigned.replace('_', "").parse().ok()?;
            Some(number).filter(|number| number.is_finite() && !is_separated)?
        }
        _ if unsigned.eq_ignore_ascii_case("inf") => f64::INFINITY,
        _ if unsigned.eq_ignore_ascii_case("nan") => f64::NAN,
        _ => return None,
    };
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}
