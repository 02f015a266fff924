//! Go's `Sprintf`, `Sprint` and `Sprintln`.
//!
//! `printf "%-5s|%5.1f%%" "ab" 12.34` is `ab   | 12.3%`. What does not fit is told in the text: `%d` of `"x"` is
//! `%!d(string=x)`.

use super::value::Value;
use super::{escape, number};

/// Largest width and precision.
const WIDTH_MAX: usize = 10_000;

/// `print`: without spaces, but between two operands of which neither is a text.
pub(super) fn print(values: &[Value]) -> String {
    joined(values, pointed)
}

/// The same for `html`, `js` and `urlquery`, which see what a pointer points to.
pub(super) fn print_pointed_to(values: &[Value]) -> String {
    joined(values, Value::formatted)
}

fn joined(values: &[Value], shown: fn(&Value) -> String) -> String {
    let mut printed = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            printed.push(' ');
        }
        printed.push_str(&shown(value));
    }
    printed
}

/// `println`.
pub(super) fn println(values: &[Value]) -> String {
    let parts: Vec<String> = values.iter().map(pointed).collect();
    parts.join(" ") + "\n"
}

/// A sample is a pointer, which an operand shows and an action that prints it does not.
fn pointed(value: &Value) -> String {
    let sign = if matches!(value, Value::Sample(_)) { "&" } else { "" };
    format!("{sign}{}", value.formatted())
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::Text(_))
}

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut printer = Printer { values, next: 0, is_reordered: false, out: String::new() };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        printer.out.push_str(&rest[..percent]);
        rest = printer.directive(&rest[percent + 1..]);
    }
    printer.out.push_str(rest);
    if !printer.is_reordered && printer.next < values.len() {
        let extra: Vec<String> = values[printer.next..].iter().map(typed).collect();
        printer.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    printer.out
}

/// `type=value`.
fn typed(value: &Value) -> String {
    match value {
        Value::Nothing => "<nil>".to_owned(),
        _ => format!("{}={}", value.type_name(), pointed(value)),
    }
}

struct Printer<'a> {
    values: &'a [Value],
    next: usize,
    /// A directive said which value it means.
    is_reordered: bool,
    out: String,
}

impl Printer<'_> {
    /// Writes what one directive comes to, and returns what is behind it.
    fn directive<'f>(&mut self, text: &'f str) -> &'f str {
        let (mut flags, mut rest) = (Flags::default(), text);
        while let Some(flag) = rest.chars().next() {
            match flag {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut is_index_bad = false;
        rest = self.index(rest, &mut is_index_bad);
        rest = self.width(rest, &mut flags);
        if let Some(behind) = rest.strip_prefix('.') {
            rest = self.index(behind, &mut is_index_bad);
            rest = self.precision(rest, &mut flags);
        }
        rest = self.index(rest, &mut is_index_bad);
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return rest;
        };
        let value = self.values.get(self.next);
        let written = match value {
            _ if verb == '%' => "%".to_owned(),
            _ if is_index_bad => format!("%!{verb}(BADINDEX)"),
            None => format!("%!{verb}(MISSING)"),
            Some(value) => {
                self.next += 1;
                by_verb(value, verb, flags)
            }
        };
        self.out.push_str(&written);
        &rest[verb.len_utf8()..]
    }

    /// `[2]`: the value that is meant, counted from 1.
    fn index<'f>(&mut self, text: &'f str, is_bad: &mut bool) -> &'f str {
        let Some((inside, behind)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return text };
        self.is_reordered = true;
        match inside.parse::<usize>() {
            Ok(index) if (1..=self.values.len()).contains(&index) => self.next = index - 1,
            _ => *is_bad = true,
        }
        behind
    }

    fn width<'f>(&mut self, text: &'f str, flags: &mut Flags) -> &'f str {
        if let Some(behind) = text.strip_prefix('*') {
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            return behind;
        }
        let (width, behind) = leading_number(text);
        flags.width = width;
        behind
    }

    fn precision<'f>(&mut self, text: &'f str, flags: &mut Flags) -> &'f str {
        if let Some(behind) = text.strip_prefix('*') {
            match self.star() {
                Some(precision) => flags.precision = usize::try_from(precision).ok(),
                None => self.out.push_str("%!(BADPREC)"),
            }
            return behind;
        }
        let (precision, behind) = leading_number(text);
        flags.precision = Some(precision.unwrap_or(0));
        behind
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?.integer();
        self.next += 1;
        value.filter(|value| value.unsigned_abs() <= WIDTH_MAX as u64)
    }
}

fn leading_number(text: &str) -> (Option<usize>, &str) {
    let length = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    (text[..length].parse().ok().map(|number: usize| number.min(WIDTH_MAX)), &text[length..])
}

fn by_verb(value: &Value, verb: char, flags: Flags) -> String {
    match verb {
        'T' => return padded(value.type_name().to_owned(), flags),
        'p' if !matches!(value, Value::Labels(_) | Value::Map(_) | Value::Samples(_) | Value::Sample(_)) => {
            return misfit(value, verb, flags);
        }
        'v' if matches!(value, Value::Float(_)) => {}
        'v' if matches!(value, Value::Int(_) | Value::Byte(_)) => return by_verb(value, 'd', flags),
        'v' if flags.sharp && is_text(value) => return padded(escape::quoted(&value.formatted(), false), flags),
        'v' if is_text(value) => return by_verb(value, 's', flags),
        'v' if matches!(value, Value::Labels(_) | Value::Map(_) | Value::Sample(_)) => {}
        'v' => return padded(value.formatted(), Flags { zero: false, ..flags }),
        _ => {}
    }
    let written = match value {
        Value::Nothing => return format!("%!{verb}(<nil>)"),
        Value::Bool(value) if verb == 't' => Some(padded(value.to_string(), flags)),
        Value::Float(value) => float(*value, verb, flags),
        Value::Int(number) => integer(*number, verb, flags),
        Value::Byte(number) => integer(i64::from(*number), verb, flags),
        Value::Named { number, .. } | Value::Duration(super::moment::Duration(number)) => {
            integer(*number, verb, flags).or_else(|| text(&value.formatted(), verb, flags))
        }
        Value::Text(_) | Value::Html(_) | Value::Url(_) | Value::Histogram(_) | Value::Moment(_) | Value::Kv(_) => {
            text(&value.formatted(), verb, flags)
        }
        Value::Labels(labels) => {
            Some(map(labels.iter().map(|(name, value)| (name, Value::Text(value.clone()))), verb, flags))
        }
        Value::Map(values) => Some(map(values.iter().map(|(name, value)| (name, value.clone())), verb, flags)),
        Value::Sample(sample) => {
            let labels = by_verb(&Value::Labels(sample.labels.clone()), verb, flags);
            Some(format!("&{{{labels} {}}}", by_verb(&Value::Float(sample.value), verb, flags)))
        }
        Value::Samples(_) | Value::Data(_) if verb == 's' => Some(padded(value.formatted(), flags)),
        _ => None,
    };
    written.unwrap_or_else(|| misfit(value, verb, flags))
}

/// Each name and each value by the verb.
fn map<'a>(entries: impl Iterator<Item = (&'a String, Value)>, verb: char, flags: Flags) -> String {
    let entry = |(name, value): (&String, Value)| {
        format!("{}:{}", by_verb(&Value::text(name), verb, flags), by_verb(&value, verb, flags))
    };
    format!("map[{}]", entries.map(entry).collect::<Vec<String>>().join(" "))
}

/// `%!d(string=x)`, the value by the same flags.
fn misfit(value: &Value, verb: char, flags: Flags) -> String {
    let shown = match value {
        Value::Text(text) => padded(cut(text, flags), flags),
        Value::Int(_) | Value::Byte(_) | Value::Float(_) | Value::Bool(_) => by_verb(value, 'v', flags),
        _ => return format!("%!{verb}({})", typed(value)),
    };
    format!("%!{verb}({}={shown})", value.type_name())
}

fn text(text: &str, verb: char, flags: Flags) -> Option<String> {
    let cut = cut(text, flags);
    let written = match verb {
        's' => cut,
        'q' if flags.sharp && !cut.contains(['`', '\n', '\r']) => format!("`{cut}`"),
        'q' => escape::quoted(&cut, flags.plus),
        'x' | 'X' => hexadecimal(cut.as_bytes(), verb, flags),
        _ => return None,
    };
    Some(padded(written, flags))
}

/// As many characters as the precision says.
fn cut(text: &str, flags: Flags) -> String {
    match flags.precision {
        Some(count) => text.chars().take(count).collect(),
        None => text.to_owned(),
    }
}

fn hexadecimal(bytes: &[u8], verb: char, flags: Flags) -> String {
    let prefix = if flags.sharp && !bytes.is_empty() { if verb == 'x' { "0x" } else { "0X" } } else { "" };
    let byte = |byte: &u8| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
    let parts: Vec<String> = bytes.iter().map(byte).collect();
    if flags.space {
        parts.iter().map(|part| format!("{prefix}{part}")).collect::<Vec<_>>().join(" ")
    } else {
        format!("{prefix}{}", parts.concat())
    }
}

fn integer(value: i64, verb: char, flags: Flags) -> Option<String> {
    let magnitude = value.unsigned_abs();
    let (digits, prefix) = match verb {
        'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' => (format!("{magnitude:o}"), "0"),
        'O' => (format!("0o{magnitude:o}"), ""),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        'c' | 'q' | 'U' => return character(value, verb, flags),
        _ => return None,
    };
    let prefix = if flags.sharp { prefix } else { "" };
    let mut digits = digits;
    if let Some(precision) = flags.precision {
        digits = if precision == 0 && value == 0 { String::new() } else { format!("{digits:0>precision$}") };
    }
    let sign = sign_of(value < 0, flags);
    if let (true, false, None, Some(width)) = (flags.zero, flags.minus, flags.precision, flags.width) {
        let width = width.saturating_sub(sign.len());
        digits = format!("{digits:0>width$}");
    }
    Some(padded(format!("{sign}{prefix}{digits}"), Flags { zero: false, ..flags }))
}

fn character(value: i64, verb: char, flags: Flags) -> Option<String> {
    let letter = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let written = match verb {
        'c' => letter.to_string(),
        'q' => escape::quoted_character(letter, flags.plus),
        _ if flags.sharp => super::lexer::code_point(letter),
        _ => format!("U+{value:04X}"),
    };
    Some(padded(written, flags))
}

fn sign_of(is_negative: bool, flags: Flags) -> &'static str {
    match (is_negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn float(value: f64, verb: char, flags: Flags) -> Option<String> {
    let digits = match verb {
        'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F' => {
            number::formatted(value.abs(), verb.to_ascii_lowercase(), flags.precision)
        }
        _ => return None,
    };
    let digits = if matches!(verb, 'E' | 'G') {
        digits.to_uppercase().replace("INF", "Inf").replace("NAN", "NaN")
    } else {
        digits
    };
    let digits =
        if flags.sharp && value.is_finite() { number::with_point(&digits, verb, flags.precision) } else { digits };
    // NaN has a sign only where one is asked for, and infinity always.
    let digits = digits.trim_start_matches('+');
    let sign = match sign_of(value.is_sign_negative() && !value.is_nan(), flags) {
        "" if value.is_infinite() => "+",
        " " if value.is_infinite() => " ",
        sign => sign,
    };
    if let (true, false, true, Some(width)) = (flags.zero, flags.minus, value.is_finite(), flags.width) {
        let width = width.saturating_sub(sign.len());
        return Some(format!("{sign}{digits:0>width$}"));
    }
    Some(padded(format!("{sign}{digits}"), Flags { zero: false, ..flags }))
}

fn padded(text: String, flags: Flags) -> String {
    let width = flags.width.unwrap_or(0);
    match (flags.minus, flags.zero) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    }
}
