//! String literals by the rules of Go, both ways.
//!
//! `"a\tb\x41\u00e9"` is a, a tab, b, A, é, and so is `'a\tb\x41\u00e9'`; between backquotes everything stands for
//! itself. Bytes may be written one by one, so that a literal need not be UTF-8.

use crate::model::{is_printable, push_quoted, unquoted};
pub(crate) use crate::model::{quoted as quote, quoted_bytes as quote_bytes};

/// The value of a literal, quotes included, that the lexer let pass: each escape in it is complete. Where the bytes
/// written are not UTF-8, the error is those bytes.
pub(super) fn unquote(literal: &str) -> Result<String, Vec<u8>> {
    let inside = &literal[1..literal.len() - 1];
    if literal.starts_with('`') || !inside.contains('\\') {
        return Ok(inside.to_owned());
    }
    let quote = if literal.starts_with('"') { '"' } else { '\'' };
    let bytes = unquoted(inside, quote).expect("the lexer refuses incomplete escapes");
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// A character in single quotes, as Go's `%q` writes it; the end of the text shows as the replacement character.
pub(super) fn quote_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_quoted(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'', false);
    out.push('\'');
    out
}

/// A character with its number, as Go's `%#U` writes it: `U+0063 'c'`.
pub(super) fn name_char(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if is_printable(c) { format!("{number} '{c}'") } else { number }
}
