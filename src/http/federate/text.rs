//! The answer as text: Prometheus's format 0.0.4.

use std::fmt::Write;

use super::super::parameters::{Escaping, escape_name};
use super::{Newest, Value, each_newest};
use crate::model::format_general;
use crate::model::{Matcher, TimeRange};
use crate::query::{Cancelled, QueryError};
use crate::storage::view::ReadView;

pub(super) fn told(
    view: &ReadView,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    escaping: Escaping,
    cancelled: &Cancelled,
) -> Result<Vec<u8>, QueryError> {
    let (mut text, mut family) = (String::new(), None);
    each_newest(view, selectors, range, cancelled, |newest| {
        // The text cannot say a histogram.
        let Value::Number(value) = newest.value else { return Ok(()) };
        let name = escape_name(newest.name, escaping);
        if family.as_deref() != Some(newest.name) {
            family = Some(newest.name.to_owned());
            text.push_str("# TYPE ");
            write_name(&mut text, &name);
            text.push_str(" untyped\n");
        }
        write_series(&mut text, &name, newest, escaping);
        writeln!(text, " {} {}", format_general(value), newest.time_ms).expect("a string takes all writes");
        Ok(())
    })?;
    Ok(text.into_bytes())
}

fn write_series(text: &mut String, name: &str, newest: &Newest<'_>, escaping: Escaping) {
    let is_plain = is_plain_name(name);
    if is_plain {
        text.push_str(name);
    }
    text.push('{');
    if !is_plain {
        write_name(text, name);
        text.push(',');
    }
    for (index, (name, value)) in newest.labels().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        write_name(text, &escape_name(name, escaping));
        text.push('=');
        write_quoted(text, value);
    }
    text.push('}');
}

/// Whether a name needs no quotes, as that of a metric.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |(index, byte): (usize, u8)| {
        byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || index > 0 && byte.is_ascii_digit()
    };
    !name.is_empty() && name.bytes().enumerate().all(is_plain)
}

fn write_name(text: &mut String, name: &str) {
    if is_plain_name(name) { text.push_str(name) } else { write_quoted(text, name) }
}

fn write_quoted(text: &mut String, content: &str) {
    text.push('"');
    for character in content.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}
