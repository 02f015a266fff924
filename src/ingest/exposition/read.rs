//! A pushed text becomes rows: series that are known by their text are not parsed, only what stands behind them is.
//!
//! ```text
//! node_cpu_seconds_total{cpu="0",mode="idle"} 12.5 1700000000000
//! └─────────────── hash ──────────────────┘   └──── parsed ────┘
//! ```
//!
//! Where the text of a series ends is guessed from the end of the line, at its last `}`. A wrong guess is no series that
//! anybody knows, or has no number behind it, and the line is then read from its start. A right one is safe: by rule 2
//! of the [module](super) a line that begins with a known text is of that series.
//!
//! Labels that a request adds to all of its series are a part of the key.

use bytes::Bytes;

use super::line::{What, behind_series, sample};
use super::{BEHIND_THE_END, Format, Line, RawLines, line};
use crate::ingest::rows::{RowsBuilder, SeriesRow, over};
use crate::ingest::{Ingest, IngestError, MetricKind, Written};
use crate::model::METRIC_NAME;
use crate::storage::ShardBatch;

/// Lines that are looked up together: their look-ups miss the caches, and side by side they wait for memory once.
const LINES_TOGETHER: usize = 64;
/// Letters of a refused line that are told.
const LETTERS_TOLD_MAX: usize = 80;
/// Keeps the keys of these texts apart from those of any other protocol that is text too.
const KEY_OF_TEXT: u128 = 0x7465_7874_0000_0000_0000_0000_0000_0001;

/// What a request says of the text in its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextPush<'a> {
    /// `Content-Type`: OpenMetrics where it says so.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`: none, gzip, zstd or snappy.
    pub content_encoding: Option<&'a str>,
    /// Labels that every series gets, in place of its own of that name; an empty value takes the label away.
    pub extra_labels: &'a [(String, String)],
    /// The time of samples that have none, in ms since 1970 UTC; now where it is not given.
    pub timestamp_ms: Option<i64>,
}

impl Ingest {
    /// Takes a text of Prometheus's format or OpenMetrics. `Ok` means that all of it is on disk; lines that are refused
    /// while others are stored are [`IngestError::Partial`].
    pub async fn import_text(&self, push: TextPush<'_>, body: Bytes) -> Result<Written, IngestError> {
        let now_ms = self.clock.now_ms();
        self.take_rows(body, push.content_encoding, |text, rows| read(text, push, now_ms, rows)).await
    }

    /// What this text would bring to the shards, one batch each, without bringing it: for benches, and to look at.
    pub fn read_text(&self, push: TextPush<'_>, text: &[u8]) -> Result<Vec<ShardBatch>, IngestError> {
        let mut rows = RowsBuilder::new(&self.storage, &self.limits, &self.metadata);
        self.read_text_into(push, text, &mut rows)?;
        Ok(rows.finish().batches)
    }

    /// Makes rows of a text.
    pub(in crate::ingest) fn read_text_into(
        &self,
        push: TextPush<'_>,
        text: &[u8],
        rows: &mut RowsBuilder<'_>,
    ) -> Result<(), IngestError> {
        read(text, push, self.clock.now_ms(), rows)
    }
}

/// Reads a text into rows. Fails over a limit, and where the first line is no text.
fn read(text: &[u8], push: TextPush<'_>, now_ms: i64, rows: &mut RowsBuilder<'_>) -> Result<(), IngestError> {
    let format = Format::of_content_type(push.content_type).ok_or_else(|| unsupported(push.content_type))?;
    check_first_line(text)?;
    let mut reader = Reader {
        format,
        timestamp_ms: push.timestamp_ms.unwrap_or(now_ms),
        extra_labels: push.extra_labels,
        key_end: key_end(push.extra_labels),
        key: Vec::new(),
        waiting: Vec::with_capacity(LINES_TOGETHER),
        refused: Vec::new(),
        refused_count: 0,
        family: Family::default(),
        rows,
    };
    reader.text(text)
}

struct Reader<'a, 'r, 's> {
    format: Format,
    timestamp_ms: i64,
    extra_labels: &'a [(String, String)],
    /// What follows the text of a series in its key; empty without extra labels.
    key_end: Vec<u8>,
    key: Vec<u8>,
    waiting: Vec<Waiting<'a>>,
    /// How often a line was refused for a reason, once told already.
    refused: Vec<(What, u64)>,
    refused_count: usize,
    family: Family,
    rows: &'r mut RowsBuilder<'s>,
}

/// A line with a sample whose series is to be looked up.
struct Waiting<'a> {
    line: &'a [u8],
    number: usize,
    series_bytes: usize,
    key: u128,
    series: Option<SeriesRow>,
}

impl<'a> Reader<'a, '_, '_> {
    fn text(&mut self, text: &'a [u8]) -> Result<(), IngestError> {
        let mut lines = RawLines::new(text);
        let mut has_ended = false;
        while let Some(line) = lines.next() {
            if has_ended {
                self.refuse(line, lines.number, BEHIND_THE_END)?;
            } else if line[0] == b'#' {
                has_ended = self.comment(line, lines.number)?;
            } else {
                self.wait(line, lines.number)?;
            }
        }
        self.resolve()?;
        if self.format == Format::OpenMetrics && !has_ended {
            self.refuse(b"", lines.number, "the text ends without # EOF: it may have been cut off")?;
        }
        self.family.describe(self.rows);
        for (what, count) in std::mem::take(&mut self.refused) {
            self.rows.refuse(count, what, String::new);
        }
        Ok(())
    }

    #[inline]
    fn wait(&mut self, line: &'a [u8], number: usize) -> Result<(), IngestError> {
        let series_bytes = guessed_series_bytes(line, self.format);
        let key = self.key(&line[..series_bytes]);
        self.waiting.push(Waiting { line, number, series_bytes, key, series: None });
        if self.waiting.len() == LINES_TOGETHER { self.resolve() } else { Ok(()) }
    }

    fn resolve(&mut self) -> Result<(), IngestError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        for one in &mut waiting {
            one.series = self.rows.known_by(one.key);
        }
        for one in &waiting {
            self.sample(one)?;
        }
        waiting.clear();
        self.waiting = waiting;
        Ok(())
    }

    #[inline]
    fn sample(&mut self, one: &Waiting<'_>) -> Result<(), IngestError> {
        if let Some(series) = one.series
            && let Ok((value, timestamp_ms)) = behind_series(&one.line[one.series_bytes..], self.format)
        {
            return self.rows.sample(series, timestamp_ms.unwrap_or(self.timestamp_ms), value);
        }
        self.whole_line(one.line, one.number)
    }

    #[cold]
    fn whole_line(&mut self, line: &[u8], number: usize) -> Result<(), IngestError> {
        let Ok(text) = std::str::from_utf8(line) else {
            return self.refuse(line, number, "it is not UTF-8");
        };
        let (sample, series_bytes) = match sample(text, self.format) {
            Ok(read) => read,
            Err(what) => return self.refuse(line, number, what),
        };
        let key = self.key(&line[..series_bytes]);
        let series = match self.rows.known_by(key) {
            Some(series) => series,
            None => {
                let own: Vec<_> = sample.labels.iter().collect();
                let own = own.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
                let is_own = |(name, _): &(&str, &str)| self.extra_labels.iter().all(|(extra, _)| extra != name);
                let extra = self.extra_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let name = [(METRIC_NAME, sample.name.as_ref())];
                self.rows.series_by(key, name.into_iter().chain(own.filter(is_own)).chain(extra))?
            }
        };
        self.rows.sample(series, sample.timestamp_ms.unwrap_or(self.timestamp_ms), sample.value)
    }

    #[inline]
    fn key(&mut self, series: &[u8]) -> u128 {
        if self.key_end.is_empty() {
            return self.rows.key(series) ^ KEY_OF_TEXT;
        }
        self.key.clear();
        self.key.extend_from_slice(series);
        self.key.extend_from_slice(&self.key_end);
        self.rows.key(&self.key) ^ KEY_OF_TEXT
    }

    /// Takes a line that begins with `#`, and says whether it is the last one.
    fn comment(&mut self, line: &[u8], number: usize) -> Result<bool, IngestError> {
        match line::read(line, self.format) {
            Ok(line::Read::Line(told)) => self.family.learn(told, self.rows),
            Ok(line::Read::Nothing) => {}
            Ok(line::Read::End) => {
                self.resolve()?;
                return Ok(true);
            }
            Err(what) => {
                // What is refused is told in the order of the lines.
                self.resolve()?;
                self.refuse(line, number, what)?;
            }
        }
        Ok(false)
    }

    #[cold]
    fn refuse(&mut self, line: &[u8], number: usize, what: What) -> Result<(), IngestError> {
        self.refused_count += 1;
        if self.refused_count > self.rows.limits().samples_per_request_max {
            return Err(over("wrong lines", self.refused_count - 1, "samples_per_request_max"));
        }
        if let Some((_, count)) = self.refused.iter_mut().find(|(known, _)| *known == what) {
            *count += 1;
            return Ok(());
        }
        self.refused.push((what, 0));
        self.rows.refuse(1, what, || {
            let start = String::from_utf8_lossy(&line[..line.len().min(4 * LETTERS_TOLD_MAX)]);
            match start.is_empty() {
                true => format!("line {number}"),
                false => format!("line {number}, {:?}", start.chars().take(LETTERS_TOLD_MAX).collect::<String>()),
            }
        });
        Ok(())
    }
}

/// What is told of one family before the next one comes.
#[derive(Default)]
struct Family {
    /// How many were described before.
    described: usize,
    name: String,
    kind: MetricKind,
    help: String,
    unit: String,
}

impl Family {
    fn learn(&mut self, told: Line<'_>, rows: &mut RowsBuilder<'_>) {
        match told {
            Line::Help { family, help } => {
                self.of(&family, rows);
                help.as_ref().clone_into(&mut self.help);
            }
            Line::Type { family, kind } => {
                self.of(&family, rows);
                self.kind = kind;
            }
            Line::Unit { family, unit } => {
                self.of(&family, rows);
                unit.clone_into(&mut self.unit);
            }
            Line::Sample(_) => {}
        }
    }

    /// Goes on with this family, another one or the same.
    fn of(&mut self, family: &str, rows: &mut RowsBuilder<'_>) {
        if self.name != family {
            self.describe(rows);
            self.kind = MetricKind::Unknown;
            [&mut self.name, &mut self.help, &mut self.unit].into_iter().for_each(String::clear);
            self.name.push_str(family);
        }
    }

    /// Of families that are more than a request may have series, nothing is kept.
    fn describe(&mut self, rows: &mut RowsBuilder<'_>) {
        if !self.name.is_empty() && self.described < rows.limits().series_per_request_max {
            self.described += 1;
            rows.describe(&self.name, self.kind, &self.help, &self.unit);
        }
    }
}

/// How many bytes of a line its series may be: up to the last brace that closes, or to the first blank.
#[inline]
fn guessed_series_bytes(line: &[u8], format: Format) -> usize {
    let sample = match memchr::memchr(b'#', line) {
        Some(exemplar) if format == Format::OpenMetrics => &line[..exemplar],
        _ => line,
    };
    match memchr::memrchr(b'}', sample) {
        Some(brace) => brace + 1,
        None => memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len()),
    }
}

/// What stands in a key for the extra labels: begins with a byte that no text of a series has, and ends each part with
/// one that no UTF-8 has.
fn key_end(extra_labels: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in extra_labels {
        bytes.extend_from_slice(if bytes.is_empty() { b"\n" } else { b"" });
        for part in [name, value] {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0xff);
        }
    }
    bytes
}

/// Refuses what is no text at all, by its first line.
fn check_first_line(text: &[u8]) -> Result<(), IngestError> {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let first = &text[..end];
    let not_utf8 = std::str::from_utf8(first).err().map(|error| error.valid_up_to());
    let control = first.iter().position(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r'));
    match not_utf8.into_iter().chain(control).min() {
        None => Ok(()),
        Some(at) => Err(IngestError::Malformed(format!(
            "the body is not text: byte {at} is none of UTF-8 letters; was a Content-Encoding forgotten?"
        ))),
    }
}

#[cold]
fn unsupported(content_type: Option<&str>) -> IngestError {
    IngestError::Unsupported(format!(
        "Content-Type {:?} is not read; send the text format (text/plain; version=0.0.4) or \
         application/openmetrics-text",
        content_type.unwrap_or("")
    ))
}
