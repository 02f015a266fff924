//! String literals, by the rules of Go: `"…"` and `'…'` with escapes, `` `…` `` as it stands.
//!
//! `"a\tb\x41\u00e9"` is a, a tab, b, A, é. Bytes may be written one by one but must be UTF-8 in the end.

/// What a literal, quotes included, means; or what is wrong with it.
pub(super) fn unquote(literal: &str) -> Result<String, String> {
    let quote = literal.chars().next().ok_or("it is empty")?;
    let inside = literal[quote.len_utf8()..].strip_suffix(quote).ok_or("it is not terminated")?;
    if quote == '`' {
        return Ok(inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => return Err("a line ends in it".to_owned()),
            '\\' => bytes.extend(escape(&mut chars, quote)?),
            _ => push(&mut bytes, c),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// As a double-quoted literal with no other escapes than for backslash, quote and line end.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The bytes that the characters behind a backslash stand for.
fn escape(chars: &mut std::str::Chars<'_>, quote: char) -> Result<Vec<u8>, String> {
    let kind = chars.next().ok_or("a backslash ends it")?;
    let byte = |byte: u8| Ok(vec![byte]);
    match kind {
        'a' => byte(0x07),
        'b' => byte(0x08),
        'f' => byte(0x0c),
        'n' => byte(b'\n'),
        'r' => byte(b'\r'),
        't' => byte(b'\t'),
        'v' => byte(0x0b),
        '\\' => byte(b'\\'),
        'x' => byte(u8::try_from(digits(chars, 2, 16, 0)?).expect("two hexadecimal digits are a byte")),
        '0'..='7' => {
            let first = kind.to_digit(8).expect("matched as an octal digit");
            u8::try_from(digits(chars, 2, 8, first)?)
                .map(|value| vec![value])
                .map_err(|_| "an octal escape is more than a byte".to_owned())
        }
        'u' | 'U' => {
            let code = digits(chars, if kind == 'u' { 4 } else { 8 }, 16, 0)?;
            let c = char::from_u32(code).ok_or_else(|| format!("{code:x} is no character"))?;
            let mut bytes = Vec::new();
            push(&mut bytes, c);
            Ok(bytes)
        }
        _ if kind == quote => byte(quote as u8),
        _ => Err(format!("`\\{kind}` is no escape")),
    }
}

/// A number of `count` more digits behind `value`. Eight hexadecimal digits at most: they fit.
fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32, mut value: u32) -> Result<u32, String> {
    for _ in 0..count {
        let digit = chars.next().and_then(|c| c.to_digit(radix)).ok_or("an escape lacks digits")?;
        value = value * radix + digit;
    }
    Ok(value)
}
