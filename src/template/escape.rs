//! Texts within pages, scripts, addresses and quotes.

use crate::model::{is_printable, push_quoted};

/// `<` is `&lt;`.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// `<` is `\u003C`.
pub(super) fn javascript(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '\'' | '"' => escaped.extend(['\\', letter]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
            _ if is_printable(letter) => escaped.push(letter),
            _ => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
        }
    }
    escaped
}

/// A space is `+`, and what is not a letter, a digit or one of `-_.~` is a `%` with two digits for each byte.
pub(super) fn query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// In double quotes, as Go's `%q` writes it; with `only_ascii` as `%+q` does.
pub(super) fn quoted(text: &str, only_ascii: bool) -> String {
    let mut quoted = String::from("\"");
    text.chars().for_each(|letter| push_quoted(&mut quoted, letter, '"', only_ascii));
    quoted + "\""
}

/// A character in single quotes.
pub(super) fn quoted_character(letter: char, only_ascii: bool) -> String {
    let mut quoted = String::from("'");
    push_quoted(&mut quoted, letter, '\'', only_ascii);
    quoted + "'"
}
