//! The syntax of one line.
//!
//! ```text
//! disk,host=web\ 1,path=/var used=12i,free=0.5,state="ok, \"fine\"" 1700000000000000000
//! └── series ──────────────┘ └── fields ──────────────────────────┘ └── timestamp
//! ```
//!
//! `\` stands before a comma, an equals sign, a space or itself that is part of a name or value; before anything else it
//! is itself. A quoted text may have line feeds in it.
//!
//! Always true: a line that cannot be read ends with its first line feed, whatever quotes it opened, so one forgotten
//! quote does not take the lines behind it along. What a line costs grows with its length alone.

use std::borrow::Cow;

use crate::ingest::foreign::number;
use crate::model::{LABELS_BYTES_MAX, LABELS_COUNT_MAX};

/// Longest measurement with tags: twice what a series may have, since each byte may have an escape before it.
const SERIES_BYTES_MAX: usize = 2 * LABELS_BYTES_MAX;
/// Most fields of a line, texts among them.
const FIELDS_MAX: usize = 4096;

/// One line, borrowed from the body.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// Measurement and tags as they are written: lines of equal bytes here are of the same series.
    pub(super) series: &'a [u8],
    pub(super) fields: Vec<Field<'a>>,
    /// In the precision of the request.
    pub(super) timestamp: Option<i64>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Field<'a> {
    /// As it is written.
    pub(super) key: &'a [u8],
    pub(super) value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    /// A quoted text, which cannot be stored.
    Text,
}

/// What names a line's series.
#[derive(Debug, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) measurement: Cow<'a, str>,
    /// Those without a name or value are left out.
    pub(super) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Walks the lines of a body.
pub(super) struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    /// Of the line that was read last, from 1.
    pub(super) number: usize,
    feeds: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(body: &'a [u8]) -> Lines<'a> {
        Lines { body, at: 0, number: 0, feeds: 0 }
    }

    /// The next line, those without content and comments left out: its bytes, and what they say or what is wrong.
    pub(super) fn next(&mut self) -> Option<(&'a [u8], Result<Line<'a>, &'static str>)> {
        self.skip_empty();
        if self.at == self.body.len() {
            return None;
        }
        self.number = self.feeds + 1;
        let rest = &self.body[self.at..];
        let mut cursor = Cursor { rest };
        let read = cursor.line();
        let length = match read {
            Ok(_) => rest.len() - cursor.rest.len(),
            Err(_) => first_line(rest),
        };
        self.step(length);
        Some((&rest[..length], read))
    }

    fn skip_empty(&mut self) {
        while let Some(byte) = self.body.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.step(1),
                b'#' => self.step(first_line(&self.body[self.at..])),
                _ => break,
            }
        }
    }

    fn step(&mut self, length: usize) {
        let passed = &self.body[self.at..self.at + length];
        self.feeds += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at += length;
    }
}

fn first_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

/// What is left of the body; each method takes what it names from its front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn line(&mut self) -> Result<Line<'a>, &'static str> {
        let start = self.rest;
        self.until(b" ");
        let series = &start[..start.len() - self.rest.len()];
        if series.len() > SERIES_BYTES_MAX {
            return Err("its measurement and tags are longer than a series may be");
        }
        let mut fields = Vec::new();
        self.skip_spaces();
        loop {
            if fields.len() == FIELDS_MAX {
                return Err("it has more than 4096 fields");
            }
            fields.push(self.field()?);
            match self.rest.first() {
                Some(b',') => self.rest = &self.rest[1..],
                Some(b' ' | b'\r' | b'\n') | None => break,
                Some(_) => return Err("there is something between a field's closing quote and the comma"),
            }
        }
        self.skip_spaces();
        Ok(Line { series, fields, timestamp: self.timestamp()? })
    }

    fn field(&mut self) -> Result<Field<'a>, &'static str> {
        let key = self.until(b"=, ");
        if self.rest.first() != Some(&b'=') {
            return Err("it has no field, which is name=value behind a space");
        }
        if key.is_empty() {
            return Err("a field has no name");
        }
        self.rest = &self.rest[1..];
        let value = if self.rest.first() == Some(&b'"') { self.quoted()? } else { value(self.until(b", "))? };
        Ok(Field { key, value })
    }

    /// Steps over a quoted text.
    fn quoted(&mut self) -> Result<Value, &'static str> {
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err("a text has no closing quote"),
            }
        }
        self.rest = &self.rest[at + 1..];
        Ok(Value::Text)
    }

    fn timestamp(&mut self) -> Result<Option<i64>, &'static str> {
        let digits = self.until(b" ");
        self.skip_spaces();
        if !matches!(self.rest.first(), Some(b'\r' | b'\n') | None) {
            return Err("there is something behind the timestamp");
        }
        if digits.is_empty() {
            return Ok(None);
        }
        let read = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        read.map(Some).ok_or("its timestamp is not a whole number of 64 bits")
    }

    /// Takes all before the first of these bytes that no `\` stands before, or before the end of the line.
    fn until(&mut self, stops: &[u8]) -> &'a [u8] {
        let mut at = 0;
        while let Some(byte) = self.rest.get(at) {
            match byte {
                b'\r' | b'\n' => break,
                b'\\' if !matches!(self.rest.get(at + 1), Some(b'\r' | b'\n') | None) => at += 2,
                byte if stops.contains(byte) => break,
                _ => at += 1,
            }
        }
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

fn value(bytes: &[u8]) -> Result<Value, &'static str> {
    const WRONG: &str = "a field's value is not a number, a truth value or a quoted text";
    let text = std::str::from_utf8(bytes).map_err(|_| WRONG)?;
    let whole = |digits: &str| digits.parse::<i64>().ok().map(|number| number as f64);
    let unsigned = |digits: &str| digits.parse::<u64>().ok().map(|number| number as f64);
    let read = match text {
        "t" | "T" | "true" | "True" | "TRUE" => Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => Some(0.0),
        _ => match bytes.last() {
            Some(b'i') => whole(&text[..text.len() - 1]),
            Some(b'u') => unsigned(&text[..text.len() - 1]),
            _ => number(text),
        },
    };
    read.map(Value::Number).ok_or(WRONG)
}

/// Reads measurement and tags.
pub(super) fn head(series: &[u8]) -> Result<Head<'_>, &'static str> {
    let mut cursor = Cursor { rest: series };
    let measurement = unescaped(cursor.until(b","))?;
    let mut tags = Vec::new();
    while let [b',', rest @ ..] = cursor.rest {
        cursor.rest = rest;
        let name = unescaped(cursor.until(b"=,"))?;
        let [b'=', rest @ ..] = cursor.rest else { return Err("a tag has no value") };
        cursor.rest = rest;
        let value = unescaped(cursor.until(b","))?;
        if !name.is_empty() && !value.is_empty() {
            if tags.len() == LABELS_COUNT_MAX {
                return Err("it has more tags than a series may have labels");
            }
            tags.push((name, value));
        }
    }
    Ok(Head { measurement, tags })
}

/// A name or value without its escapes.
pub(super) fn unescaped(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut clean = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some(&escaped @ (' ' | ',' | '=' | '\\'))) => {
                letters.next();
                clean.push(escaped);
            }
            _ => clean.push(letter),
        }
    }
    Ok(Cow::Owned(clean))
}
