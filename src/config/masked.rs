//! Lines of a settings file as they may be shown: beside what is wrong in one may stand what is secret.
//!
//! ```text
//! - { routing_key: d9c1…, summry: x }     - { routing_key: *****, summry: x }
//! alertmanagers: 'http://me:hi@host/'     alertmanagers: 'http://***********'
//! ```
//!
//! Always true: what is left stands where it stood, so that a mark under it points at the same.

use std::sync::LazyLock;

use regex::Regex;

use super::shown::SECRET;

/// A key whose value may be secret, as people name such keys, up to its colon. The name of a file is none, see [`FILE`].
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    let key = r#"(?i)[\w.-]*(?:key|token|secret|passw|credential|authorization|auth\b|url|uri|chat_id|header|proxy)[\w.-]*["']?\s*:(?:\s+|$)"#;
    Regex::new(key).expect("our own pattern can be read")
});
/// What makes an address one, and what ends it.
const SCHEME_END: &str = "://";
const ADDRESS_ENDS: [char; 6] = [' ', '"', '\'', ',', '}', ']'];
/// In front of the colon of a key whose value is the name of a file.
const FILE: &str = "_file";

/// [`masked_line`] for each line.
pub(super) fn masked_text(text: &str) -> String {
    let befores = std::iter::once("").chain(text.lines());
    text.lines().zip(befores).map(|(line, before)| masked_line(line, before)).collect::<Vec<_>>().join("\n")
}

/// The line without addresses and without values that may be secret, letter for letter. `before`: the line above it.
pub(crate) fn masked_line(line: &str, before: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    // A text that begins on the line below its key.
    let opens = KEY.find_iter(before).last().filter(|key| is_secret(key.as_str()));
    if opens.is_some_and(|key| matches!(before[key.end()..].trim(), "" | "|" | ">" | "|-" | ">-" | "|+" | ">+")) {
        return stars(line);
    }
    while let Some(key) = KEY.find(rest) {
        let (head, tail) = rest.split_at(key.end());
        shown.push_str(head);
        let length = if is_secret(key.as_str()) { value_bytes(tail, line.contains(['{', '['])) } else { 0 };
        shown.push_str(&stars(&tail[..length]));
        rest = &tail[length..];
    }
    without_addresses(&(shown + rest))
}

/// An address as it may be shown, without who calls it. It need not be well: whatever stands before its last `@` goes.
pub(crate) fn without_login(url: &str) -> String {
    let Some((login, place)) = url.rsplit_once('@') else { return url.to_owned() };
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    match login.split_once(SCHEME_END) {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}{SCHEME_END}{SECRET}@{place}"),
        _ => format!("{SECRET}@{place}"),
    }
}

fn without_addresses(line: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((scheme, address)) = rest.split_once(SCHEME_END) {
        let length = address.find(ADDRESS_ENDS).unwrap_or(address.len());
        shown.extend([scheme, SCHEME_END, &stars(&address[..length])]);
        rest = &address[length..];
    }
    shown + rest
}

fn is_secret(key: &str) -> bool {
    !key.trim_end().trim_end_matches(':').trim_end_matches([' ', '"', '\'']).ends_with(FILE)
}

/// How long the value is with which `text` begins. What opens a map or a list is none; what is in it comes later.
fn value_bytes(text: &str, is_flow: bool) -> usize {
    match text.chars().next() {
        None | Some('{' | '[') => 0,
        Some(quote @ ('"' | '\'')) => text[1..].find(quote).map_or(text.len(), |end| end + 2),
        Some(_) if is_flow => text.find([',', '}', ']']).unwrap_or(text.len()),
        Some(_) => text.len(),
    }
}

fn stars(text: &str) -> String {
    text.chars().map(|letter| if letter.is_whitespace() { letter } else { '*' }).collect()
}
