//! Records of Prometheus's log.
//!
//! ```text
//! series 1      (reference u64 │ labels: count, (length, text)… )…
//! samples 2     reference u64 │ time u64 │ (reference varint │ time varint │ value u64)…      both as differences to the first
//! tombstones 3  (reference u64 │ from varint │ to varint)…
//! exemplars 4, histograms 7 to 10: as samples, with a longer value
//! ```
//!
//! Everything else (5 where chunks lie, 6 help and types) holds no samples.

use super::bytes::Bytes;
use crate::model::{Sample, TimeRange};

/// Histograms whose bounds stand with them have this schema.
const CUSTOM_SCHEMA: i64 = -53;

/// What a record holds, still as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Series(&'a [u8]),
    Samples(&'a [u8]),
    Tombstones(&'a [u8]),
    Exemplars(&'a [u8]),
    /// Native histograms, of integers or floats.
    Histograms(&'a [u8], Buckets),
    Nothing,
    Unknown,
}

/// What the buckets of a histogram hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buckets {
    Integers,
    Floats,
}

impl Record<'_> {
    pub(super) fn of(record: &[u8]) -> Record<'_> {
        let Some((kind, body)) = record.split_first() else { return Record::Nothing };
        match kind {
            1 => Record::Series(body),
            2 => Record::Samples(body),
            3 => Record::Tombstones(body),
            4 => Record::Exemplars(body),
            5 | 6 => Record::Nothing,
            7 | 9 => Record::Histograms(body, Buckets::Integers),
            8 | 10 => Record::Histograms(body, Buckets::Floats),
            _ => Record::Unknown,
        }
    }
}

/// Gives each series: its reference, and its labels in pairs. `None`: the record ends early, or a text is not UTF-8.
pub(super) fn each_series<'a>(body: &'a [u8], mut give: impl FnMut(u64, &[(&'a str, &'a str)])) -> Option<()> {
    let mut bytes = Bytes::new(body);
    let mut pairs = Vec::new();
    while !bytes.rest().is_empty() {
        let reference = bytes.u64()?;
        pairs.clear();
        for _ in 0..bytes.length()? {
            pairs.push((text(&mut bytes)?, text(&mut bytes)?));
        }
        give(reference, &pairs);
    }
    Some(())
}

fn text<'a>(bytes: &mut Bytes<'a>) -> Option<&'a str> {
    let length = bytes.length()?;
    std::str::from_utf8(bytes.take(length)?).ok()
}

/// Gives each sample with the reference of its series. `None`: the record ends early.
pub(super) fn each_sample(body: &[u8], mut give: impl FnMut(u64, Sample)) -> Option<()> {
    each(body, |bytes, reference, timestamp_ms| {
        give(reference, Sample { timestamp_ms, value: f64::from_bits(bytes.u64()?) });
        Some(())
    })
}

/// Gives each tombstone: whose, and of which time.
pub(super) fn each_tombstone(body: &[u8], mut give: impl FnMut(u64, TimeRange)) -> Option<()> {
    let mut bytes = Bytes::new(body);
    while !bytes.rest().is_empty() {
        give(bytes.u64()?, TimeRange { from_ms: bytes.varint()?, to_ms: bytes.varint()? });
    }
    Some(())
}

/// How many exemplars there are.
pub(super) fn count_exemplars(body: &[u8]) -> Option<u64> {
    let mut count = 0;
    each(body, |bytes, _, _| {
        bytes.u64()?;
        for _ in 0..bytes.length()? {
            text(bytes)?;
            text(bytes)?;
        }
        count += 1;
        Some(())
    })?;
    Some(count)
}

/// Gives each histogram's series by its reference, and its time in ms.
pub(super) fn each_histogram(body: &[u8], buckets: Buckets, mut give: impl FnMut(u64, i64)) -> Option<()> {
    each(body, |bytes, reference, timestamp_ms| {
        pass_histogram(bytes, buckets)?;
        give(reference, timestamp_ms);
        Some(())
    })
}

/// What samples, exemplars and histograms have in common: whose, and of when.
fn each<'a>(body: &'a [u8], mut read: impl FnMut(&mut Bytes<'a>, u64, i64) -> Option<()>) -> Option<()> {
    if body.is_empty() {
        return Some(());
    }
    let mut bytes = Bytes::new(body);
    let (reference, start_ms) = (bytes.u64()?, bytes.u64()? as i64);
    while !bytes.rest().is_empty() {
        // Differences wrap as they did when written.
        let reference = reference.wrapping_add_signed(bytes.varint()?);
        let timestamp_ms = start_ms.wrapping_add(bytes.varint()?);
        read(&mut bytes, reference, timestamp_ms)?;
    }
    Some(())
}

/// Reset hint, schema, width and count of zero, count, sum, spans, buckets, bounds.
fn pass_histogram(bytes: &mut Bytes<'_>, buckets: Buckets) -> Option<()> {
    bytes.u8()?;
    let schema = bytes.varint()?;
    bytes.u64()?;
    for _ in 0..2 {
        match buckets {
            Buckets::Integers => bytes.uvarint()?,
            Buckets::Floats => bytes.u64()?,
        };
    }
    bytes.u64()?;
    for _ in 0..2 {
        for _ in 0..bytes.length()? {
            bytes.varint()?;
            bytes.uvarint()?;
        }
    }
    for _ in 0..2 {
        for _ in 0..bytes.length()? {
            match buckets {
                Buckets::Integers => bytes.varint().map(drop)?,
                Buckets::Floats => bytes.u64().map(drop)?,
            }
        }
    }
    if schema == CUSTOM_SCHEMA {
        for _ in 0..bytes.length()? {
            bytes.u64()?;
        }
    }
    Some(())
}
