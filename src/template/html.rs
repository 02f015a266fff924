//! Values in a page, each escaped by where it stands: in text, in an attribute, or in an attribute that is an address.
//!
//! ```text
//! <b>{{ "a<b" }}</b>                   <b>a&lt;b</b>
//! <a href="{{ "javascript:x" }}">      <a href="#ZgotmplZ">
//! ```
//!
//! Always true: a value ends no tag, no attribute and no page, and makes no address that runs a script.

use super::value::Value;

/// What Go puts where an address would be dangerous.
const REFUSED_ADDRESS: &str = "#ZgotmplZ";
/// Attributes that are addresses.
const ADDRESSES: [&str; 5] = ["href", "src", "action", "cite", "background"];

/// Where a value stands.
#[derive(Debug, PartialEq)]
enum Place<'a> {
    Text,
    /// In an attribute: its quote, if it has one; if it is an address, what of it is there already.
    Attribute {
        quote: Option<char>,
        address: Option<&'a str>,
    },
}

/// The value behind what was written so far.
pub(super) fn printed(before: &str, value: &Value) -> String {
    let text = value.printed();
    match place(before) {
        Place::Text if matches!(value, Value::Html(_)) => text,
        Place::Text => escaped(&text, true),
        Place::Attribute { quote, address: None } => escaped(&text, quote.is_some()),
        Place::Attribute { quote, address: Some(start) } => {
            let in_query = start.contains(['?', '#']);
            let is_refused = start.is_empty() && !matches!(value, Value::Url(_)) && runs_a_script(&text);
            let text = if is_refused { REFUSED_ADDRESS } else { &text };
            escaped(&address(text, in_query), quote.is_some())
        }
    }
}

/// What stands in the template itself, with each `<` that opens no tag escaped.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for (at, piece) in text.split('<').enumerate() {
        let opens_tag = piece.starts_with(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '!'));
        if at > 0 {
            literal.push_str(if opens_tag { "<" } else { "&lt;" });
        }
        literal.push_str(piece);
    }
    literal
}

/// Looks back to the tag that is open, if one is.
fn place(before: &str) -> Place<'_> {
    let Some(open) = before.rfind('<') else { return Place::Text };
    let tag = &before[open + 1..];
    if !tag.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/') {
        return Place::Text;
    }
    let (mut quote, mut value_start) = (None, None);
    for (at, letter) in tag.char_indices() {
        match (quote, letter) {
            (Some(end), _) if letter == end => (quote, value_start) = (None, None),
            (Some(_), _) => {}
            (None, '>') => return Place::Text,
            (None, '=') => value_start = Some(at),
            (None, '"' | '\'') if value_start == Some(at.wrapping_sub(1)) => quote = Some(letter),
            (None, _) if letter.is_whitespace() => value_start = None,
            (None, _) => {}
        }
    }
    let Some(equals) = value_start else { return Place::Attribute { quote, address: None } };
    let name = tag[..equals].trim_end().rsplit(char::is_whitespace).next().unwrap_or("").to_ascii_lowercase();
    let written = &tag[equals + 1 + usize::from(quote.is_some())..];
    Place::Attribute { quote, address: ADDRESSES.contains(&name.as_str()).then_some(written) }
}

/// Whether an address has a scheme that is not one of those that lead somewhere.
fn runs_a_script(address: &str) -> bool {
    let scheme = address.split(['/', '?', '#']).next().unwrap_or("").split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// Bytes that an address cannot have become `%` and two digits; in its query, also those that mean something there.
fn address(text: &str, in_query: bool) -> String {
    let mut address = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let has_meaning = b"!#$&*+,/:;=?@[]".contains(&byte);
        let digits = text.as_bytes().get(at + 1..at + 3);
        let is_escape = byte == b'%' && digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_plain || !in_query && (has_meaning || is_escape) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02x}"));
        }
    }
    address
}

fn escaped(text: &str, is_quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\0' => escaped.push('\u{fffd}'),
            '"' | '\'' | '+' => escaped.push_str(&format!("&#{};", u32::from(letter))),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '=' | '`' if !is_quoted => {
                escaped.push_str(&format!("&#{};", u32::from(letter)));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}
