//! One line of JSON becomes labels and samples.
//!
//! Read by hand and not by a library, since what is sent is not always JSON: `vmctl` writes bare `NaN` and `+Inf`, and label
//! values with the escapes of Go.

use super::{LEFT_OUT, NAN_BITS, NORMAL_NAN_BITS};
use crate::model::LABELS_COUNT_MAX;

/// How deep values may be nested in fields that are passed over.
const DEPTH_MAX: usize = 32;

/// Why a line gives no samples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonLineError {
    /// There is nothing in it.
    #[error("the line is empty")]
    Empty,
    /// It has more than the caller takes.
    #[error("the line has too many samples")]
    TooManySamples,
    /// It is not of the form.
    #[error("at byte {at}: {what}")]
    Malformed {
        /// Where in the line, in bytes.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// A line that was read. Its memory is used again for the next one.
#[derive(Clone, Debug, Default)]
pub struct JsonLine {
    labels: Vec<(String, String)>,
    values: Vec<f64>,
    timestamps_ms: Vec<i64>,
    nan_bits: Vec<u64>,
}

impl JsonLine {
    /// Reads a line, with or without its end. After an error nothing in it is of use.
    pub fn read(&mut self, line: &[u8], samples_max: usize) -> Result<(), JsonLineError> {
        self.labels.clear();
        self.values.clear();
        self.timestamps_ms.clear();
        self.nan_bits.clear();
        let line = line.trim_ascii_end();
        if line.trim_ascii_start().is_empty() {
            return Err(JsonLineError::Empty);
        }
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => return Err(JsonLineError::Malformed { at: error.valid_up_to(), what: "it is not UTF-8" }),
        };
        let mut cursor = Cursor { text, at: 0 };
        self.read_fields(&mut cursor, samples_max)?;
        self.join(&cursor)
    }

    /// Names and values in the order of the line, those without a value left out.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Times in ms and values, in the order of the line.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (i64, f64)> + '_ {
        self.timestamps_ms.iter().copied().zip(self.values.iter().copied())
    }

    fn read_fields(&mut self, cursor: &mut Cursor<'_>, samples_max: usize) -> Result<(), JsonLineError> {
        // Of `metric`, `values`, `timestamps`, `nan_bits`.
        let mut seen = [false; 4];
        let mut once = |cursor: &Cursor<'_>, field: usize| match std::mem::replace(&mut seen[field], true) {
            true => Err(cursor.wrong("a field comes twice")),
            false => Ok(()),
        };
        cursor.object(|cursor, key| match key {
            "metric" => {
                once(cursor, 0)?;
                cursor.object(|cursor, name| {
                    let value = cursor.string().map_err(|_| cursor.wrong("the value of a label is no string"))?;
                    if value.is_empty() {
                        return Ok(());
                    }
                    if self.labels.len() == LABELS_COUNT_MAX {
                        return Err(cursor.wrong("it has more labels than a series may have"));
                    }
                    self.labels.push((name.to_owned(), value));
                    Ok(())
                })
            }
            "values" => {
                once(cursor, 1)?;
                cursor.array(|cursor| {
                    self.values.push(cursor.value()?);
                    if self.values.len() > samples_max { Err(JsonLineError::TooManySamples) } else { Ok(()) }
                })
            }
            "timestamps" => {
                once(cursor, 2)?;
                cursor.array(|cursor| {
                    self.timestamps_ms.push(cursor.timestamp_ms()?);
                    if self.timestamps_ms.len() > samples_max { Err(JsonLineError::TooManySamples) } else { Ok(()) }
                })
            }
            NAN_BITS => {
                once(cursor, 3)?;
                cursor.array(|cursor| {
                    self.nan_bits.push(cursor.nan_bits()?);
                    if self.nan_bits.len() > samples_max { Err(JsonLineError::TooManySamples) } else { Ok(()) }
                })
            }
            LEFT_OUT => Err(cursor.wrong("the export left out what was damaged; this line names it")),
            _ => cursor.skip(DEPTH_MAX),
        })?;
        cursor.end()
    }

    /// Checks that the parts belong together, and gives the NaNs their bits.
    fn join(&mut self, cursor: &Cursor<'_>) -> Result<(), JsonLineError> {
        if self.labels.is_empty() {
            return Err(cursor.wrong("the object \"metric\" is missing or empty"));
        }
        if self.values.is_empty() {
            return Err(cursor.wrong("the list \"values\" is missing or empty"));
        }
        if self.values.len() != self.timestamps_ms.len() {
            return Err(cursor.wrong("\"values\" and \"timestamps\" are not of one length"));
        }
        if self.nan_bits.is_empty() {
            return Ok(());
        }
        let nans = self.values.iter_mut().filter(|value| value.is_nan());
        let mut bits = self.nan_bits.iter();
        let mut given = 0;
        for value in nans {
            given += 1;
            if let Some(bits) = bits.next() {
                *value = f64::from_bits(*bits);
            }
        }
        if given != self.nan_bits.len() {
            return Err(cursor.wrong("\"nan_bits\" are not as many as the values that are no numbers"));
        }
        Ok(())
    }
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn wrong(&self, what: &'static str) -> JsonLineError {
        JsonLineError::Malformed { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Steps over space and this sign.
    fn expect(&mut self, sign: u8, what: &'static str) -> Result<(), JsonLineError> {
        self.skip_space();
        if self.peek() != Some(sign) {
            return Err(self.wrong(what));
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), JsonLineError> {
        self.skip_space();
        if self.at < self.text.len() { Err(self.wrong("something stands behind the object")) } else { Ok(()) }
    }

    /// Reads `{"key": …, …}`; `field` reads what belongs to a key.
    fn object(
        &mut self,
        mut field: impl FnMut(&mut Cursor<'a>, &str) -> Result<(), JsonLineError>,
    ) -> Result<(), JsonLineError> {
        self.expect(b'{', "here should be an object: {")?;
        self.entries(b'}', |cursor| {
            let key = cursor.string()?;
            cursor.expect(b':', "here should be a colon")?;
            field(cursor, &key)
        })
    }

    /// Reads `[…, …]`; `item` reads one of it.
    fn array(&mut self, item: impl FnMut(&mut Cursor<'a>) -> Result<(), JsonLineError>) -> Result<(), JsonLineError> {
        self.expect(b'[', "here should be a list: [")?;
        self.entries(b']', item)
    }

    fn entries(
        &mut self,
        end: u8,
        mut entry: impl FnMut(&mut Cursor<'a>) -> Result<(), JsonLineError>,
    ) -> Result<(), JsonLineError> {
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            entry(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(sign) if sign == end => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("here should be a comma, or the end of the list or object")),
            }
        }
    }

    /// A string, its escapes read: those of JSON, and those that Go has besides.
    fn string(&mut self) -> Result<String, JsonLineError> {
        self.expect(b'"', "here should be a string")?;
        let mut read = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = rest.find(['"', '\\']) else { return Err(self.wrong("a string does not end")) };
            read.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(read);
            }
            read.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonLineError> {
        let letter = self.peek().ok_or_else(|| self.wrong("a string does not end"))?;
        // A letter of several bytes is no escape, and must not be cut in two.
        if !letter.is_ascii() {
            return Err(self.wrong("an escape is unknown"));
        }
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => letter as char,
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'a' => '\u{7}',
            b'v' => '\u{b}',
            b'u' => return self.utf16(),
            b'x' => {
                let byte = self.hex(2)?;
                char::from_u32(byte).filter(char::is_ascii).ok_or_else(|| self.wrong("an escape is not UTF-8"))?
            }
            b'U' => {
                let letter = self.hex(8)?;
                char::from_u32(letter).ok_or_else(|| self.wrong("an escape is no character"))?
            }
            _ => return Err(self.wrong("an escape is unknown")),
        })
    }

    /// What follows `\u`: one unit of UTF-16, or two of a pair.
    fn utf16(&mut self) -> Result<char, JsonLineError> {
        let first = self.hex(4)?;
        if let Some(letter) = char::from_u32(first) {
            return Ok(letter);
        }
        let half = "an escape is half of a character";
        if first >= 0xdc00 || !self.text[self.at..].starts_with("\\u") {
            return Err(self.wrong(half));
        }
        self.at += 2;
        let second = self.hex(4)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.wrong(half));
        }
        let letter = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(letter).ok_or_else(|| self.wrong(half))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, JsonLineError> {
        let text = self.text.get(self.at..self.at + digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        self.at += if number.is_some() { digits } else { 0 };
        number.ok_or_else(|| self.wrong("an escape is cut short"))
    }

    /// A number or a word without quotes.
    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = &self.text[self.at..];
        let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.bytes().take_while(is_of_word).count();
        self.at += length;
        &rest[..length]
    }

    fn value(&mut self) -> Result<f64, JsonLineError> {
        self.skip_space();
        let start = self.at;
        let quoted;
        let word = if self.peek() == Some(b'"') {
            quoted = self.string()?;
            // A number in quotes is a mistake of the sender, as VictoriaMetrics sees it.
            special(&quoted)
        } else {
            let word = self.word();
            number(word).or_else(|| special(word))
        };
        word.ok_or(JsonLineError::Malformed { at: start, what: "a value is no number" })
    }

    fn timestamp_ms(&mut self) -> Result<i64, JsonLineError> {
        self.skip_space();
        let start = self.at;
        let read = self.word().parse();
        read.map_err(|_| JsonLineError::Malformed { at: start, what: "a timestamp is no whole number of ms" })
    }

    fn nan_bits(&mut self) -> Result<u64, JsonLineError> {
        self.skip_space();
        let start = self.at;
        let text = self.string()?;
        let bits = u64::from_str_radix(&text, 16).ok().filter(|bits| f64::from_bits(*bits).is_nan());
        bits.ok_or(JsonLineError::Malformed { at: start, what: "the bits are not of a NaN" })
    }

    /// Steps over any value.
    fn skip(&mut self, depth: usize) -> Result<(), JsonLineError> {
        self.skip_space();
        match (self.peek(), depth.checked_sub(1)) {
            (Some(b'"'), _) => self.string().map(drop),
            (Some(b'{' | b'['), None) => Err(self.wrong("it is nested too deep")),
            (Some(b'{'), Some(depth)) => self.object(|cursor, _| cursor.skip(depth)),
            (Some(b'['), Some(depth)) => self.array(|cursor| cursor.skip(depth)),
            _ if self.word().is_empty() => Err(self.wrong("here should be a value")),
            _ => Ok(()),
        }
    }
}

/// A number in digits; one that is too large for 64 bits is none.
fn number(word: &str) -> Option<f64> {
    let is_of_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let number: f64 = word.bytes().all(is_of_number).then(|| word.parse().ok())??;
    number.is_finite().then_some(number)
}

fn special(word: &str) -> Option<f64> {
    let (is_negative, name) = match word.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    match name {
        "Infinity" | "infinity" | "Inf" | "inf" if is_negative => Some(f64::NEG_INFINITY),
        "Infinity" | "infinity" | "Inf" | "inf" => Some(f64::INFINITY),
        "null" | "Null" | "NaN" | "nan" => Some(f64::from_bits(NORMAL_NAN_BITS)),
        _ => None,
    }
}
