//! The text of a series: `name`, `name{label="value", …}` or `{"name", label="value", …}`.

use std::borrow::Cow;

use super::line::What;
use crate::model::{LABELS_COUNT_MAX, METRIC_NAME};

/// A series, and where its text ends.
pub(super) struct SeriesText<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) labels: LabelPairs<'a>,
    pub(super) end: usize,
}

/// The labels of a sample but its name, read from the text anew each time they are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelPairs<'a> {
    /// From behind the opening brace; empty where there is none.
    text: &'a str,
}

impl<'a> LabelPairs<'a> {
    /// Names and values, in the order of the text. Those without a value are left out, as they are no labels; the others
    /// are no more than a series may have.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let mut scanner = Scanner { text: self.text, at: 0 };
        // The text was read once when its line was: an error would have been told there.
        std::iter::from_fn(move || scanner.item().ok().flatten()).filter_map(|item| match item {
            Item::Label { name, value } if name != METRIC_NAME && !value.is_empty() => {
                Some((name, unescaped_label(value)))
            }
            Item::Label { .. } | Item::Name(_) => None,
        })
    }
}

/// Reads the series that `line` starts with.
pub(super) fn read(line: &str) -> Result<SeriesText<'_>, What> {
    let mut scanner = Scanner { text: line, at: 0 };
    let plain = scanner.word(is_name_start, is_name_part);
    let mut name = (!plain.is_empty()).then_some(Cow::Borrowed(plain));
    let name_end = scanner.at;
    scanner.blanks();
    if !scanner.take(b'{') {
        let name = name.ok_or("it starts with neither a metric's name nor {; other names go into quotes: {\"a.b\"}")?;
        if !matches!(line.as_bytes().get(name_end), None | Some(b' ' | b'\t')) {
            return Err("a metric's name is of letters, digits, _ and :; other names go into quotes: {\"a.b\"}");
        }
        return Ok(SeriesText { name, labels: LabelPairs { text: "" }, end: name_end });
    }
    let labels = LabelPairs { text: &line[scanner.at..] };
    let mut label_count = 0;
    while let Some(item) = scanner.item()? {
        let given = match item {
            Item::Name(given) => given,
            Item::Label { name, value } if name == METRIC_NAME => value,
            Item::Label { value, .. } => {
                label_count += usize::from(!value.is_empty());
                if label_count > LABELS_COUNT_MAX {
                    return Err("it has more labels than a series may have");
                }
                continue;
            }
        };
        if name.replace(unescaped_label(given)).is_some() {
            return Err("the metric is named twice");
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or("the metric has no name")?;
    Ok(SeriesText { name, labels, end: scanner.at })
}

/// Reads the labels of an exemplar, which `line` starts with, and says where they end.
pub(super) fn exemplar_end(line: &str) -> Result<usize, What> {
    let mut scanner = Scanner { text: line, at: 0 };
    if !scanner.take(b'{') {
        return Err("an exemplar does not start with {");
    }
    while let Some(item) = scanner.item()? {
        if matches!(item, Item::Name(_)) {
            return Err("a label of an exemplar has no value");
        }
    }
    Ok(scanner.at)
}

/// Reads the family's name that a line of metadata gives, and says where it ends.
pub(super) fn family(text: &str) -> Result<(Cow<'_, str>, usize), What> {
    let mut scanner = Scanner { text, at: 0 };
    let name = match text.as_bytes().first() {
        Some(b'"') => unescaped_label(scanner.quoted()?),
        _ => Cow::Borrowed(scanner.word(is_name_start, is_name_part)),
    };
    if name.is_empty() { Err("a metric's name is expected") } else { Ok((name, scanner.at)) }
}

/// One of the things between braces. Values are as they stand in the text, escapes and all.
enum Item<'a> {
    Name(&'a str),
    Label { name: Cow<'a, str>, value: &'a str },
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next item between braces; nothing when the closing one is read.
    fn item(&mut self) -> Result<Option<Item<'a>>, What> {
        self.blanks();
        if self.take(b'}') {
            return Ok(None);
        }
        let item = if self.peek() == Some(b'"') {
            let text = self.quoted()?;
            self.blanks();
            match self.take(b'=') {
                true => Item::Label { name: unescaped_label(text), value: self.value()? },
                false => Item::Name(text),
            }
        } else {
            let name = self.word(is_label_start, is_label_part);
            if name.is_empty() {
                return Err("a label's name or } is expected");
            }
            self.blanks();
            if !self.take(b'=') {
                return Err(
                    "= is expected behind a label's name; other names than letters, digits and _ go into quotes",
                );
            }
            Item::Label { name: Cow::Borrowed(name), value: self.value()? }
        };
        self.blanks();
        if !self.take(b',') && self.peek() != Some(b'}') {
            return Err(", or } is expected behind a label");
        }
        Ok(Some(item))
    }

    fn value(&mut self) -> Result<&'a str, What> {
        self.blanks();
        if self.peek() == Some(b'"') { self.quoted() } else { Err("a label's value is not in quotes") }
    }

    /// What stands between the quote that is next and the one that closes it.
    fn quoted(&mut self) -> Result<&'a str, What> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += found;
            if bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.text[start..at]);
            }
            at += 2;
        }
        Err("a text in quotes does not end")
    }

    /// Letters of which the first is one that `starts`, and the others are ones that `goes_on`.
    fn word(&mut self, starts: fn(u8) -> bool, goes_on: fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        if !rest.bytes().next().is_some_and(starts) {
            return "";
        }
        let length = rest.bytes().position(|byte| !goes_on(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

fn is_label_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_label_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_name_start(byte: u8) -> bool {
    is_label_start(byte) || byte == b':'
}

fn is_name_part(byte: u8) -> bool {
    is_label_part(byte) || byte == b':'
}

/// What stands in quotes: `\\`, `\"` and `\n` stand for what one expects, and any other escape for itself.
fn unescaped_label(text: &str) -> Cow<'_, str> {
    unescaped(text, true)
}

/// As [`unescaped_label`]; a quote is escaped only where `quotes` says so.
pub(super) fn unescaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('\\') => plain.push('\\'),
            Some('"') if quotes => plain.push('"'),
            other => {
                plain.push('\\');
                plain.extend(other);
            }
        }
    }
    Cow::Owned(plain)
}
