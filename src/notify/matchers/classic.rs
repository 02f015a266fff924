//! The classic grammar: names of letters, digits, `_` and `:`; values may do without quotes and contain almost everything.

use crate::model::{MatchOp, Matcher};

/// The order matters: `=~` begins like `=`.
const OPERATORS: [MatchOp; 4] = [MatchOp::Matches, MatchOp::Equal, MatchOp::NotEqual, MatchOp::NotMatches];

/// Either brace may be there or not. Fails with what is wrong, for people.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    pieces(text).into_iter().map(matcher).collect()
}

/// Splits at the commas outside of quotes; nothing but space behind the last one is no piece.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, c) in text.char_indices() {
        match c {
            ',' if !is_quoted => {
                pieces.push(&text[start..index]);
                start = index + 1;
            }
            // A comma within quotes leaves an escape in force, as in Alertmanager.
            ',' => {}
            '"' if is_escaped => is_escaped = false,
            '"' => is_quoted = !is_quoted,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        pieces.push(last);
    }
    pieces
}

fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

fn matcher(piece: &str) -> Result<Matcher, String> {
    let bad = || format!("{piece:?} is no condition; write for instance severity=\"critical\"");
    let rest = piece.trim_start_matches(is_space);
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let (name, rest) = rest.split_at(rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let rest = rest.trim_start_matches(is_space);
    let found = OPERATORS.into_iter().find_map(|op| Some((op, rest.strip_prefix(super::sign(op))?)));
    let (op, raw) = found.ok_or_else(bad)?;
    Matcher::new(name, op, value(raw.trim_matches(is_space))?).map_err(|error| error.to_string())
}

/// The value with `\n`, `\"` and `\\` undone; any other backslash is itself.
fn value(raw: &str) -> Result<String, String> {
    let stray = || format!("the value {raw} has a double quote that is not escaped");
    let inside = match raw.strip_prefix('"') {
        None => raw,
        Some(inside) => closed(inside).ok_or_else(stray)?,
    };
    let (mut value, mut rest) = (String::with_capacity(inside.len()), inside.chars());
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('"', _) => return Err(stray()),
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some(escaped @ ('"' | '\\'))) => value.push(escaped),
            (_, _) => {
                value.push(c);
                continue;
            }
        }
        rest.next();
    }
    Ok(value)
}

/// Without the quote at its end, which must be no escaped one.
fn closed(inside: &str) -> Option<&str> {
    let before = inside.strip_suffix('"')?;
    let backslashes = before.len() - before.trim_end_matches('\\').len();
    backslashes.is_multiple_of(2).then_some(before)
}
