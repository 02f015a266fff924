//! A series becomes a line of JSON.

use std::io::Write;

use super::{LEFT_OUT, NAN_BITS, NORMAL_NAN_BITS};
use crate::model::Labels;

/// Between these, numbers are written without an exponent.
const PLAIN_MIN: f64 = 1e-5;
const PLAIN_MAX: f64 = 1e17;

/// Appends a line of these samples, its end included. Both columns are of one length, and not empty.
pub fn append_line(labels: &Labels, timestamps_ms: &[i64], values: &[f64], text: &mut Vec<u8>) {
    assert_eq!(timestamps_ms.len(), values.len(), "columns of one series");
    text.extend_from_slice(b"{\"metric\":{");
    list(labels.iter(), text, |(name, value), text| {
        append_string(name, text);
        text.push(b':');
        append_string(value, text);
    });
    text.extend_from_slice(b"},\"values\":[");
    list(values, text, |value, text| append_value(*value, text));
    text.extend_from_slice(b"],\"timestamps\":[");
    list(timestamps_ms, text, |timestamp_ms, text| put(text, format_args!("{timestamp_ms}")));
    text.push(b']');
    let nans = || values.iter().filter(|value| value.is_nan()).map(|value| value.to_bits());
    if nans().any(|bits| bits != NORMAL_NAN_BITS) {
        put(text, format_args!(",\"{NAN_BITS}\":["));
        list(nans(), text, |bits, text| put(text, format_args!("\"{bits:016x}\"")));
        text.push(b']');
    }
    text.extend_from_slice(b"}\n");
}

/// Appends a line that says what an export had to leave out. Whoever imports it is told so: it is refused by its number.
pub fn append_left_out(what: &[String], text: &mut Vec<u8>) {
    put(text, format_args!("{{\"{LEFT_OUT}\":["));
    list(what, text, |what, text| append_string(what, text));
    text.extend_from_slice(b"]}\n");
}

fn list<T>(items: impl IntoIterator<Item = T>, text: &mut Vec<u8>, mut append: impl FnMut(T, &mut Vec<u8>)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        append(item, text);
    }
}

/// The fewest digits that are read back as the same 64 bits.
fn append_value(value: f64, text: &mut Vec<u8>) {
    let size = value.abs();
    if value.is_nan() {
        text.extend_from_slice(b"null");
    } else if value.is_infinite() {
        text.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else if size == 0.0 || (PLAIN_MIN..PLAIN_MAX).contains(&size) {
        put(text, format_args!("{value}"));
    } else {
        put(text, format_args!("{value:e}"));
    }
}

fn append_string(string: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in string.bytes() {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            0..0x20 => put(text, format_args!("\\u{byte:04x}")),
            _ => text.push(byte),
        }
    }
    text.push(b'"');
}

fn put(text: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a vector takes all writes");
}
