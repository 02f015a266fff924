//! Influx's line protocol, stored as VictoriaMetrics does, which is what its users who know PromQL expect.
//!
//! ```text
//! POST /write?db=shop
//! disk,host=web1 used=12i,ok=true,state="fine" 1700000000000000000
//!
//! disk_used{db="shop", host="web1"} 12 @1700000000000
//! disk_ok{db="shop", host="web1"}    1 @1700000000000
//! ```
//!
//! A field is a series: `<measurement>_<field>`, the names made such that PromQL reads them. `db` becomes a label where
//! no tag has that name. Texts cannot be stored; agents always send some, so they are stepped over, counted
//! ([`IngestCounters::texts_skipped`](super::IngestCounters::texts_skipped)), and no reason to refuse anything.
//!
//! Always true: a line is stored as a whole or, when it cannot be read, refused as a whole, and its neighbours stored.

mod line;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::iter;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::foreign::{label_name, metric_name};
use super::rows::{RowsBuilder, SeriesRow};
use super::{Ingest, IngestError, Written};
use crate::model::METRIC_NAME;
use line::{Head, Line, Lines, Value, head, unescaped};

/// What the address of a write says about the lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfluxWrite<'a> {
    /// The database of version 1; empty where none is named.
    pub db: &'a str,
    /// What timestamps count.
    pub precision: InfluxPrecision,
}

/// What a timestamp counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InfluxPrecision {
    /// What is meant where nothing is said.
    #[default]
    Nanoseconds,
    /// `u`, `us`, `µ`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`, in version 1 alone.
    Minutes,
    /// `h`, in version 1 alone.
    Hours,
}

impl InfluxPrecision {
    /// Reads the parameter `precision` of either version; empty is nanoseconds.
    pub fn read(text: &str) -> Option<InfluxPrecision> {
        Some(match text {
            "" | "n" | "ns" => InfluxPrecision::Nanoseconds,
            "u" | "us" | "µ" => InfluxPrecision::Microseconds,
            "ms" => InfluxPrecision::Milliseconds,
            "s" => InfluxPrecision::Seconds,
            "m" => InfluxPrecision::Minutes,
            "h" => InfluxPrecision::Hours,
            _ => return None,
        })
    }

    fn to_ms(self, timestamp: i64) -> Option<i64> {
        match self {
            InfluxPrecision::Nanoseconds => Some(timestamp.div_euclid(1_000_000)),
            InfluxPrecision::Microseconds => Some(timestamp.div_euclid(1_000)),
            InfluxPrecision::Milliseconds => Some(timestamp),
            InfluxPrecision::Seconds => timestamp.checked_mul(1_000),
            InfluxPrecision::Minutes => timestamp.checked_mul(60_000),
            InfluxPrecision::Hours => timestamp.checked_mul(3_600_000),
        }
    }
}

impl Ingest {
    /// Takes lines of Influx's line protocol. As for remote write, `Ok` means that all of it is on disk but for texts,
    /// and a refusal that other lines survived is [`IngestError::Partial`].
    pub async fn influx(
        &self,
        write: InfluxWrite<'_>,
        encoding: Option<&str>,
        body: Bytes,
    ) -> Result<Written, IngestError> {
        let now_ms = self.clock.now_ms();
        let texts = &self.counters.texts_skipped;
        let read = |body: &[u8], rows: &mut RowsBuilder<'_>| {
            let skipped = read(body, write, now_ms, rows)?;
            texts.fetch_add(skipped, Ordering::Relaxed);
            Ok(())
        };
        self.take_rows(body, encoding, read).await
    }
}

/// Reads a body, and says how many texts it had.
pub(super) fn read(
    body: &[u8],
    write: InfluxWrite<'_>,
    now_ms: i64,
    rows: &mut RowsBuilder<'_>,
) -> Result<u64, IngestError> {
    let mut lines = Lines::new(body);
    let mut batch = Batch { write, now_ms, key: Vec::new(), texts_skipped: 0 };
    while let Some((bytes, line)) = lines.next() {
        match line.map_err(Trouble::Line).and_then(|line| batch.take(&line, rows)) {
            Ok(()) => {}
            Err(Trouble::Line(reason)) => rows.refuse(1, reason, || format!("line {}, {}", lines.number, shown(bytes))),
            Err(Trouble::Request(error)) => return Err(*error),
        }
    }
    Ok(batch.texts_skipped)
}

/// What ends the reading of a line, or of all lines.
enum Trouble {
    Line(&'static str),
    Request(Box<IngestError>),
}

impl From<&'static str> for Trouble {
    fn from(reason: &'static str) -> Trouble {
        Trouble::Line(reason)
    }
}

impl From<IngestError> for Trouble {
    fn from(error: IngestError) -> Trouble {
        Trouble::Request(Box::new(error))
    }
}

/// The lines of one body.
struct Batch<'a> {
    write: InfluxWrite<'a>,
    now_ms: i64,
    key: Vec<u8>,
    texts_skipped: u64,
}

impl Batch<'_> {
    fn take(&mut self, line: &Line<'_>, rows: &mut RowsBuilder<'_>) -> Result<(), Trouble> {
        let timestamp_ms = match line.timestamp {
            Some(timestamp) => {
                let read = self.write.precision.to_ms(timestamp);
                read.ok_or("its timestamp is out of range: is the precision right?")?
            }
            None => self.now_ms,
        };
        let mut names = SeriesNames { series: line.series, key: self.key_of_line(line.series, rows), head: None };
        let mut samples = Vec::with_capacity(line.fields.len());
        for field in &line.fields {
            if let Value::Number(number) = field.value {
                samples.push((self.series(&mut names, field.key, rows)?, number));
            }
        }
        self.texts_skipped += (line.fields.len() - samples.len()) as u64;
        for (series, number) in samples {
            rows.sample(series, timestamp_ms, number)?;
        }
        Ok(())
    }

    /// The part of its series' keys that a line's fields share: so measurement and tags are hashed once.
    fn key_of_line(&mut self, series: &[u8], rows: &RowsBuilder<'_>) -> u128 {
        self.key.clear();
        self.key.extend_from_slice(self.write.db.as_bytes());
        self.key.push(KEY_PIECE_END);
        self.key.extend_from_slice(series);
        rows.key(&self.key)
    }

    /// A series that came before, in this request or another, costs the hash of its field's name and a look-up or two.
    fn series(
        &mut self,
        names: &mut SeriesNames<'_>,
        field: &[u8],
        rows: &mut RowsBuilder<'_>,
    ) -> Result<SeriesRow, Trouble> {
        self.key.clear();
        self.key.push(KEY_OF_INFLUX);
        self.key.extend_from_slice(&names.key.to_le_bytes());
        self.key.extend_from_slice(field);
        let key = rows.key(&self.key);
        if let Some(known) = rows.known_by(key) {
            return Ok(known);
        }
        let head = names.head()?;
        let field_name = unescaped(field)?;
        // Made when the pairs are asked for, which they are not where this request has begun the series before.
        let name = OnceCell::new();
        let made = || metric_name(&format!("{}_{field_name}", head.measurement)).into_owned();
        let named = iter::once_with(|| (METRIC_NAME, name.get_or_init(made).as_str()));
        let tags = head.tags.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let db = head.tags.iter().all(|(name, _)| name != "db").then_some(("db", self.write.db));
        Ok(rows.series_by(key, tags.chain(named).chain(db))?)
    }
}

/// What names the series of a line. Most lines are known by their key, and are read no further.
struct SeriesNames<'a> {
    series: &'a [u8],
    key: u128,
    head: Option<Head<'a>>,
}

impl<'a> SeriesNames<'a> {
    /// Measurement and tags, the tags' names made such that PromQL reads them.
    fn head(&mut self) -> Result<&Head<'a>, &'static str> {
        if self.head.is_none() {
            let mut head = head(self.series)?;
            if head.measurement.is_empty() {
                return Err("it has no measurement");
            }
            for (name, _) in &mut head.tags {
                *name = Cow::Owned(label_name(name).into_owned());
            }
            self.head = Some(head);
        }
        Ok(self.head.as_ref().expect("it was read above, if not before"))
    }
}

/// Begins the key of a series, and no other protocol's.
const KEY_OF_INFLUX: u8 = b'i';
/// Ends the database in a key. No byte of UTF-8, and only what is UTF-8 is ever known by its key.
const KEY_PIECE_END: u8 = 0xff;

/// The beginning of a line that is refused.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_SHOWN)]);
    format!("{text:?}")
}

const LINE_BYTES_SHOWN: usize = 80;
