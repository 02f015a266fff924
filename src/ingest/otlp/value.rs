//! The value of an attribute as the text of a label: numbers and lists as OpenTelemetry's collector writes them.
//!
//! `true`, `-7`, `0.25`, `[1,"a"]`, `{"a":1}`; bytes in base64.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::message::{Broken, KeyValue, child, is_message, text};
use crate::ingest::wire::{Fields, Value};

/// How deep lists and maps may lie within each other.
const DEPTH_MAX: u32 = 16;

/// The text of an `AnyValue`; empty for one that has no value.
pub(super) fn value_text<'a>(message: Fields<'a>) -> Result<Cow<'a, str>, Broken> {
    let Some((number, value)) = one_of(message)? else { return Ok("".into()) };
    if let (1, Value::Bytes(bytes)) = (number, value) {
        return text(bytes).map(Cow::Borrowed);
    }
    let mut written = String::new();
    match (number, value) {
        (7, Value::Bytes(bytes)) => BASE64_STANDARD.encode_string(bytes, &mut written),
        _ => write_json(message, DEPTH_MAX, &mut written)?,
    }
    Ok(written.into())
}

/// The field that is set; of a message that sets several the last, as protobuf has it. A list or map that is set twice
/// would have to be merged, and is refused.
fn one_of(mut message: Fields<'_>) -> Result<Option<(u32, Value<'_>)>, Broken> {
    let mut found: Option<(u32, Value<'_>)> = None;
    while let Some((number, value)) = message.next()? {
        let fits = match (number, value) {
            (5 | 6, Value::Bytes(_)) if found.is_some_and(|(known, _)| known == number) => {
                return Err(message.error("a message for the second time where one may stand").into());
            }
            (1 | 5 | 6 | 7, Value::Bytes(_)) | (2 | 3, Value::Varint(_)) | (4, Value::Fixed64(_)) => true,
            (1..=7, _) => return Err(message.error("a value of another type than its field has").into()),
            _ => false,
        };
        if fits {
            found = Some((number, value));
        }
    }
    Ok(found)
}

/// Writes an `AnyValue` as Go writes JSON: keys sorted, nothing between the signs.
fn write_json(message: Fields<'_>, depth: u32, out: &mut String) -> Result<(), Broken> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Broken::Refused(format!("an attribute has lists within lists, more than {DEPTH_MAX} deep")));
    };
    match one_of(message)? {
        Some((1, Value::Bytes(bytes))) => write_string(text(bytes)?, out),
        Some((2, Value::Varint(flag))) => out.push_str(if flag == 0 { "false" } else { "true" }),
        Some((3, Value::Varint(number))) => write_number(number as i64, out),
        Some((4, Value::Fixed64(bits))) => write_float(f64::from_bits(bits), out),
        Some((7, Value::Bytes(bytes))) => write_string(&BASE64_STANDARD.encode(bytes), out),
        Some((5, Value::Bytes(bytes))) => {
            let mut items = Vec::new();
            let mut list = Fields::new(bytes, message.base());
            while let Some((number, value)) = list.next()? {
                if is_message(number, 1, value, &list)? {
                    let mut item = String::new();
                    write_json(child(value, &list), depth, &mut item)?;
                    items.push(item);
                }
            }
            write!(out, "[{}]", items.join(",")).expect("a string takes all writes");
        }
        Some((6, Value::Bytes(bytes))) => {
            let mut entries = Vec::new();
            let mut map = Fields::new(bytes, message.base());
            while let Some((number, value)) = map.next()? {
                if is_message(number, 1, value, &map)? {
                    let pair = KeyValue::read(child(value, &map))?;
                    let mut entry = String::new();
                    write_string(pair.key, &mut entry);
                    entry.push(':');
                    match pair.value {
                        Some(value) => write_json(value, depth, &mut entry)?,
                        None => entry.push_str("null"),
                    }
                    entries.push((pair.key, entry));
                }
            }
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries.into_iter().map(|(_, entry)| entry).collect();
            write!(out, "{{{}}}", entries.join(",")).expect("a string takes all writes");
        }
        _ => out.push_str("null"),
    }
    Ok(())
}

fn write_number(number: i64, out: &mut String) {
    write!(out, "{number}").expect("a string takes all writes");
}

/// As JavaScript and Go's JSON write it: an exponent only for the very small and the very large.
fn write_float(number: f64, out: &mut String) {
    let size = number.abs();
    let plain = size == 0.0 || (1e-6..1e21).contains(&size) || !number.is_finite();
    let written = if plain {
        write!(out, "{number}")
    } else if size < 1.0 {
        write!(out, "{number:e}")
    } else {
        write!(out, "{}", format!("{number:e}").replacen('e', "e+", 1))
    };
    written.expect("a string takes all writes");
}

/// As Go's JSON does it, which also spells out what could end a script.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes all writes");
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
