//! Single characters, and classes of them: `\n`, `\x{263a}`, `\d`, `\pN`, `[^a-z[:digit:]]`.
//!
//! Each function reads from the front of `rest` and leaves there what follows.

use std::fmt::Write as _;

/// The names that may stand in `[[:…:]]`.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Takes the next character.
pub(super) fn next(rest: &mut &str) -> Option<char> {
    let c = rest.chars().next()?;
    *rest = &rest[c.len_utf8()..];
    Some(c)
}

/// A whole class, behind its opening bracket.
pub(super) fn brackets(rest: &mut &str, out: &mut String) -> Result<(), String> {
    let whole = *rest;
    let unclosed = || format!("missing closing ]: `[{whole}`");
    out.push('[');
    if let Some(behind) = rest.strip_prefix('^') {
        *rest = behind;
        out.push('^');
    }
    let mut is_first = true;
    // A `]` right behind the opening is itself a member.
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if rest.is_empty() {
            return Err(unclosed());
        }
        if named(rest, out)? || group(rest, out)? {
            continue;
        }
        let before = *rest;
        let low = member(rest).ok_or_else(unclosed)??;
        let mut high = low;
        if let Some(behind) = rest.strip_prefix('-').filter(|behind| !behind.starts_with(']') && !behind.is_empty()) {
            *rest = behind;
            high = member(rest).ok_or_else(unclosed)??;
        }
        if high < low {
            let range = &before[..before.len() - rest.len()];
            return Err(format!("invalid character class range: `{range}`"));
        }
        write!(out, "\\x{{{low:x}}}-\\x{{{high:x}}}").expect("a string takes everything");
    }
    *rest = &rest[1..];
    out.push(']');
    Ok(())
}

/// `[:alpha:]` within brackets.
fn named(rest: &mut &str, out: &mut String) -> Result<bool, String> {
    let Some((name, behind)) = rest.strip_prefix("[:").and_then(|inside| inside.split_once(":]")) else {
        return Ok(false);
    };
    if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(format!("invalid character class range: `[:{name}:]`"));
    }
    write!(out, "[:{name}:]").expect("a string takes everything");
    *rest = behind;
    Ok(true)
}

/// One character within brackets, as its number; none at the end.
fn member(rest: &mut &str) -> Option<Result<u32, String>> {
    match next(rest)? {
        '\\' => Some(escape(rest)),
        c => Some(Ok(u32::from(c))),
    }
}

/// `\d`, `\W`, `\pN`, … within brackets or alone.
pub(super) fn group(rest: &mut &str, out: &mut String) -> Result<bool, String> {
    let Some(behind) = rest.strip_prefix('\\') else { return Ok(false) };
    let class = match behind.chars().next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('s') => "[\\t\\n\\x0c\\r ]",
        Some('S') => "[^\\t\\n\\x0c\\r ]",
        Some('p' | 'P') => {
            *rest = unicode(behind, out)?;
            return Ok(true);
        }
        _ => return Ok(false),
    };
    out.push_str(class);
    *rest = &behind[1..];
    Ok(true)
}

/// `pN`, `PN`, `p{Greek}` or `p{^Greek}`; what follows.
fn unicode<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let invalid = |name: &str| format!("invalid character class range: `\\{name}`");
    let mut rest = &text[1..];
    let name = match next(&mut rest) {
        None => return Err(invalid(text)),
        Some('{') => match rest.split_once('}') {
            None => return Err(invalid(text)),
            Some((name, behind)) => {
                rest = behind;
                name
            }
        },
        Some(_) => &text[1..text.len() - rest.len()],
    };
    let (name, is_turned) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(invalid(&text[..text.len() - rest.len()]));
    }
    let kind = if text.starts_with('P') == is_turned { 'p' } else { 'P' };
    write!(out, "\\{kind}{{{name}}}").expect("a string takes everything");
    Ok(rest)
}

/// The number of the character that is written behind a backslash.
pub(super) fn escape(rest: &mut &str) -> Result<u32, String> {
    let whole = *rest;
    let Some(c) = next(rest) else { return Err("trailing backslash at end of expression".to_owned()) };
    let found = match c {
        '0' => Some(octal(rest, 0)),
        // A digit alone would refer to what a group captured, which RE2 has not.
        '1'..='7' if rest.starts_with(|c: char| c.is_digit(8)) => Some(octal(rest, u32::from(c) - u32::from('0'))),
        'x' => hexadecimal(rest),
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    found.ok_or_else(|| format!("invalid escape sequence: `\\{}`", &whole[..whole.len() - rest.len()]))
}

/// Up to two more octal digits.
fn octal(rest: &mut &str, first: u32) -> u32 {
    let mut number = first;
    for _ in 0..2 {
        let Some(digit) = rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
        number = 8 * number + digit;
        *rest = &rest[1..];
    }
    number
}

/// `7f` or `{1f600}`.
fn hexadecimal(rest: &mut &str) -> Option<u32> {
    let (digits, behind) = match rest.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => (rest.get(..2)?, rest.get(2..)?),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(digits, 16).ok().filter(|number| *number <= u32::from(char::MAX))?;
    *rest = behind;
    Some(number)
}
