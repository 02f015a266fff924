//! Records of Prometheus's log.
//!
//! ```text
//! series 1      (reference u64 │ labels: count, (length, text)… )…
//! samples 2     reference u64 │ time u64 │ (reference varint │ time varint │ value u64)…      both as differences to the first
//! tombstones 3  (reference u64 │ from varint │ to varint)…
//! exemplars 4   as samples, with labels behind the value
//! histograms 7 to 10   as samples, with a longer value: of integers 7 and 9, of floats 8 and 10
//! ```
//!
//! Everything else (5 where chunks lie, 6 help and types) holds no samples.

use super::bytes::Bytes;
use crate::model::{
    BUCKETS_COUNT_MAX, CounterResetHint, FloatHistogram, HistogramError, IntegerHistogram, Sample, Side, Span,
    TimeRange,
};

/// Histograms whose bounds stand with them have this schema.
pub(super) const CUSTOM_SCHEMA: i64 = -53;

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
pub(in crate::import) enum Buckets {
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

/// Gives each histogram with the reference of its series and its time in ms, or why it may not be stored.
pub(super) fn each_histogram(
    body: &[u8],
    buckets: Buckets,
    mut give: impl FnMut(u64, i64, Result<FloatHistogram, HistogramError>),
) -> Option<()> {
    each(body, |bytes, reference, timestamp_ms| {
        let read = match buckets {
            Buckets::Integers => read_integers(bytes)?,
            Buckets::Floats => read_floats(bytes)?,
        };
        give(reference, timestamp_ms, read);
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
fn read_integers(bytes: &mut Bytes<'_>) -> Option<Result<FloatHistogram, HistogramError>> {
    let (hint, schema, zero_threshold) = read_head(bytes)?;
    let (zero_count, count) = (bytes.uvarint()?, bytes.uvarint()?);
    let sum = read_float(bytes)?;
    let (positive_spans, negative_spans) = (list(bytes, read_span)?, list(bytes, read_span)?);
    let (positive_deltas, negative_deltas) = (list(bytes, Bytes::varint)?, list(bytes, Bytes::varint)?);
    let custom_values = read_bounds(bytes, schema)?.into();
    Some(
        IntegerHistogram {
            hint,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_spans,
            positive_deltas,
            negative_spans,
            negative_deltas,
            custom_values,
        }
        .into_float(),
    )
}

fn read_floats(bytes: &mut Bytes<'_>) -> Option<Result<FloatHistogram, HistogramError>> {
    let (hint, schema, zero_threshold) = read_head(bytes)?;
    let (zero_count, count, sum) = (read_float(bytes)?, read_float(bytes)?, read_float(bytes)?);
    let (positive_spans, negative_spans) = (list(bytes, read_span)?, list(bytes, read_span)?);
    let positive = Side { spans: positive_spans, counts: list(bytes, read_float)? };
    let negative = Side { spans: negative_spans, counts: list(bytes, read_float)? };
    let custom_values = read_bounds(bytes, schema)?.into();
    let histogram =
        FloatHistogram { hint, schema, zero_threshold, zero_count, count, sum, positive, negative, custom_values };
    Some(histogram.admitted())
}

/// Hint, schema and zero threshold.
fn read_head(bytes: &mut Bytes<'_>) -> Option<(CounterResetHint, i32, f64)> {
    let hint = match bytes.u8()? {
        1 => CounterResetHint::Reset,
        3 => CounterResetHint::Gauge,
        // That it went on shows in the numbers.
        _ => CounterResetHint::Unknown,
    };
    let schema = i32::try_from(bytes.varint()?).ok()?;
    Some((hint, schema, read_float(bytes)?))
}

fn read_float(bytes: &mut Bytes<'_>) -> Option<f64> {
    bytes.u64().map(f64::from_bits)
}

fn read_span(bytes: &mut Bytes<'_>) -> Option<Span> {
    let offset = i32::try_from(bytes.varint()?).ok()?;
    Some(Span { offset, length: u32::try_from(bytes.uvarint()?).ok()? })
}

fn read_bounds(bytes: &mut Bytes<'_>, schema: i32) -> Option<Vec<f64>> {
    if i64::from(schema) == CUSTOM_SCHEMA { list(bytes, read_float) } else { Some(Vec::new()) }
}

/// Reads a count and so many. It keeps one more than a histogram may have, by which that is refused, and no more.
fn list<'a, T>(bytes: &mut Bytes<'a>, read: impl Fn(&mut Bytes<'a>) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    for _ in 0..bytes.length()? {
        let one = read(bytes)?;
        if all.len() <= BUCKETS_COUNT_MAX {
            all.push(one);
        }
    }
    Some(all)
}
