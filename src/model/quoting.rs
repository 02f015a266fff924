//! Texts in quotes as Go writes and reads them: PromQL, templates and the conditions of routes all do as Go does.
//!
//! A bell, a tab, `é` and a zero-width space are `"\a\té\u200b"` when written; `"\x41\101\u0041"` is read as `AAA`. Bytes may
//! be given one by one, so that what is read need not be UTF-8.

use std::fmt::Write as _;

/// In double quotes, as Go's `%q` writes it.
pub(crate) fn quoted(text: &str) -> String {
    quoted_bytes(text.as_bytes())
}

/// As [`quoted`], with bytes that are not UTF-8 by their numbers.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|letter| push_quoted(&mut out, letter, '"', false));
        chunk.invalid().iter().for_each(|byte| push(&mut out, format_args!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

/// Adds a letter of a text that stands within `quote`; with `only_ascii` as Go's `%+q` does.
pub(crate) fn push_quoted(out: &mut String, letter: char, quote: char, only_ascii: bool) {
    match letter {
        _ if letter == quote || letter == '\\' => out.extend(['\\', letter]),
        _ if is_printable(letter) && (letter.is_ascii() || !only_ascii) => out.push(letter),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => match u32::from(letter) {
            number @ (..0x20 | 0x7f) => push(out, format_args!("\\x{number:02x}")),
            number @ ..0x1_0000 => push(out, format_args!("\\u{number:04x}")),
            number => push(out, format_args!("\\U{number:08x}")),
        },
    }
}

fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a string takes everything");
}

/// Whether Go would print the letter as it is. Rust's Debug goes by the same Unicode categories, but for a mark that
/// begins a string, before which the letter is put.
pub(crate) fn is_printable(letter: char) -> bool {
    letter == ' ' || matches!(letter, '"' | '\'' | '\\') || format!("x{letter}").escape_debug().eq(['x', letter])
}

/// What an escape stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaped {
    /// One byte, of UTF-8 or not.
    Byte(u8),
    /// A letter.
    Letter(char),
}

/// What stands between two quotes of this kind, with its escapes undone. `None` where there is a line's end, the quote
/// itself, or an escape that Go does not know.
pub(crate) fn unquoted(inside: &str, quote: char) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find(['\\', '\n', quote]) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let (escaped, behind) = unescaped(rest[at..].strip_prefix('\\')?, quote)?;
        match escaped {
            Escaped::Byte(byte) => bytes.push(byte),
            Escaped::Letter(letter) => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// What a backslash before `rest` stands for within these quotes, and what is behind it.
pub(crate) fn unescaped(rest: &str, quote: char) -> Option<(Escaped, &str)> {
    let kind = rest.chars().next()?;
    let behind = &rest[kind.len_utf8()..];
    let byte = |(number, behind)| Some((Escaped::Byte(u8::try_from(number).ok()?), behind));
    let letter = |(number, behind)| Some((Escaped::Letter(char::from_u32(number)?), behind));
    let plain = |letter| Some((Escaped::Letter(letter), behind));
    match kind {
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0c'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\x0b'),
        '\\' => plain('\\'),
        _ if kind == quote => plain(quote),
        '0'..='7' => digits(rest, 3, 8).and_then(byte),
        'x' => digits(behind, 2, 16).and_then(byte),
        'u' => digits(behind, 4, 16).and_then(letter),
        'U' => digits(behind, 8, 16).and_then(letter),
        _ => None,
    }
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let (digits, behind) = text.split_at_checked(count)?;
    // A sign is none.
    let are_digits = digits.chars().all(|digit| digit.is_digit(radix));
    are_digits.then(|| u32::from_str_radix(digits, radix).ok())?.map(|number| (number, behind))
}
