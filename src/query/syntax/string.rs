//! String literals by the rules of Go, both ways.
//!
//! `"a\tb\x41\u00e9"` is a, a tab, b, A, é, and so is `'a\tb\x41\u00e9'`; between backquotes everything stands for
//! itself. Bytes may be written one by one, so that a literal need not be UTF-8.

use std::fmt::Write as _;

/// The value of a literal, quotes included, that the lexer let pass: each escape in it is complete. Where the bytes
/// written are not UTF-8, the error is those bytes.
pub(super) fn unquote(literal: &str) -> Result<String, Vec<u8>> {
    let inside = &literal[1..literal.len() - 1];
    if literal.starts_with('`') || !inside.contains('\\') {
        return Ok(inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(backslash) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..backslash]);
        rest = escape(&rest[backslash + 1..], &mut bytes);
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// Adds what the characters behind a backslash stand for, and gives what follows them.
fn escape<'t>(rest: &'t str, bytes: &mut Vec<u8>) -> &'t str {
    const CHECKED: &str = "the lexer refuses incomplete escapes";
    let number = |from: usize, to: usize, radix: u32| u32::from_str_radix(&rest[from..to], radix).expect(CHECKED);
    let byte = |value: u32| u8::try_from(value).expect(CHECKED);
    let kind = rest.as_bytes()[0];
    let length = match kind {
        b'a' => single(bytes, 0x07),
        b'b' => single(bytes, 0x08),
        b'f' => single(bytes, 0x0c),
        b'n' => single(bytes, b'\n'),
        b'r' => single(bytes, b'\r'),
        b't' => single(bytes, b'\t'),
        b'v' => single(bytes, 0x0b),
        b'0'..=b'7' => single(bytes, byte(number(0, 3, 8))) + 2,
        b'x' => single(bytes, byte(number(1, 3, 16))) + 2,
        b'u' | b'U' => {
            let end = if kind == b'u' { 5 } else { 9 };
            let c = char::from_u32(number(1, end, 16)).expect(CHECKED);
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            end
        }
        other => single(bytes, other),
    };
    &rest[length..]
}

/// Adds a byte that one letter behind the backslash stands for, and gives the letter's length.
fn single(bytes: &mut Vec<u8>, byte: u8) -> usize {
    bytes.push(byte);
    1
}

/// As a literal in double quotes, as Go's `%q` writes it.
pub(crate) fn quote(value: &str) -> String {
    quote_bytes(value.as_bytes())
}

/// As [`quote`], with bytes that are not UTF-8 by their numbers.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c, '"');
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    out.push('"');
    out
}

/// A character in single quotes, as Go's `%q` writes it; the end of the text shows as the replacement character.
pub(super) fn quote_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// A character with its number, as Go's `%#U` writes it: `U+0063 'c'`.
pub(super) fn name_char(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if is_printable(c) { format!("{number} '{c}'") } else { number }
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        _ if c == quote || c == '\\' => out.extend(['\\', c]),
        _ if is_printable(c) => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => {
            let number = u32::from(c);
            let written = match number {
                ..0x20 | 0x7f => write!(out, "\\x{number:02x}"),
                ..0x1_0000 => write!(out, "\\u{number:04x}"),
                _ => write!(out, "\\U{number:08x}"),
            };
            written.expect("a string takes everything");
        }
    }
}

/// Whether Go would print the character as it is. Rust's Debug goes by the same Unicode categories, but for a mark that
/// begins a string, before which the letter is put.
fn is_printable(c: char) -> bool {
    c == ' ' || matches!(c, '"' | '\'' | '\\') || format!("x{c}").escape_debug().eq(['x', c])
}
