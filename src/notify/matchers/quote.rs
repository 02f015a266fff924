//! A text in quotes as Go writes and reads it.

/// In double quotes, with what cannot be printed escaped.
pub(in crate::notify) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            _ if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What stands between two double quotes, with its escapes undone; `None` where Go would refuse it.
pub(super) fn unquoted(inside: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '"' => return None,
            '\\' => escaped(&mut rest, &mut bytes)?,
            _ => push(c, &mut bytes),
        }
    }
    String::from_utf8(bytes).ok()
}

fn escaped(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    match rest.next()? {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        c @ ('\\' | '"') => push(c, bytes),
        'x' => bytes.push(u8::try_from(digits(rest, 2, 16, 0)?).ok()?),
        c @ '0'..='7' => bytes.push(u8::try_from(digits(rest, 2, 8, c.to_digit(8)?)?).ok()?),
        'u' => push(char::from_u32(digits(rest, 4, 16, 0)?)?, bytes),
        'U' => push(char::from_u32(digits(rest, 8, 16, 0)?)?, bytes),
        _ => return None,
    }
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32) -> Option<u32> {
    (0..count).try_fold(first, |sum, _| sum.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?))
}

fn push(c: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
