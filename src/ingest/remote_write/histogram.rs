//! A native histogram, which both versions write alike. Either all counts are whole, and buckets told by what they have
//! more than the one before, or all are floats.
//!
//! ```text
//! count 1 (uint64) or 2 (double)       sum 3 (double)             schema 4 (sint32)      zero_threshold 5 (double)
//! zero_count 6 (uint64) or 7 (double)  negative spans 8           deltas 9 (sint64)      counts 10 (double)
//! reset_hint 14 (enum)                 positive spans 11          deltas 12              counts 13
//! timestamp 15 (int64, ms)             custom_values 16 (double)  span { offset = 1 (sint32), length = 2 (uint32) }
//! ```
//!
//! Version 2 may add `start_timestamp = 17` (int64, ms), as to a sample. Of a count that is told in both ways the last counts,
//! and it says which lists of buckets are read.
//!
//! Always true: a list keeps one number more than a histogram may have, by which it is refused, and no more.

use std::sync::Arc;

use crate::ingest::wire::{Fields, Value, WireError};
use crate::model::{BUCKETS_COUNT_MAX, CounterResetHint, FloatHistogram, HistogramError, IntegerHistogram, Side, Span};

/// A histogram that stands in a message as it should, and whether it may be stored.
pub(super) struct Told {
    pub(super) timestamp_ms: i64,
    /// Since when it counts, in ms since 1970 UTC; 0 if that is not said.
    pub(super) start_ms: i64,
    pub(super) histogram: Result<FloatHistogram, HistogramError>,
}

/// Reads a histogram whose message ends at `base` in the body.
pub(super) fn histogram(bytes: &[u8], base: usize) -> Result<Told, WireError> {
    let mut read = Fielded::default();
    let mut fields = Fields::new(bytes, base.saturating_sub(bytes.len()));
    while let Some((number, value)) = fields.next()? {
        read.field(number, value, &fields)?;
    }
    Ok(Told { timestamp_ms: read.timestamp_ms, start_ms: read.start_ms, histogram: read.histogram() })
}

/// A count as whole observations or as a float.
#[derive(Clone, Copy)]
enum Count {
    Whole(u64),
    Float(f64),
}

impl Default for Count {
    fn default() -> Count {
        Count::Whole(0)
    }
}

/// The fields as they were found.
#[derive(Default)]
struct Fielded {
    count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: Count,
    negative: Buckets,
    positive: Buckets,
    hint: CounterResetHint,
    timestamp_ms: i64,
    start_ms: i64,
    custom_values: Vec<f64>,
}

/// The buckets on one side of zero.
#[derive(Default)]
struct Buckets {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Fielded {
    fn field(&mut self, number: u32, value: Value<'_>, fields: &Fields<'_>) -> Result<(), WireError> {
        match (number, value) {
            (1, Value::Varint(count)) => self.count = Count::Whole(count),
            (2, Value::Fixed64(bits)) => self.count = Count::Float(f64::from_bits(bits)),
            (3, Value::Fixed64(bits)) => self.sum = f64::from_bits(bits),
            (4, Value::Varint(schema)) => self.schema = zigzag_32(schema),
            (5, Value::Fixed64(bits)) => self.zero_threshold = f64::from_bits(bits),
            (6, Value::Varint(count)) => self.zero_count = Count::Whole(count),
            (7, Value::Fixed64(bits)) => self.zero_count = Count::Float(f64::from_bits(bits)),
            (8..=10, value) => self.negative.field(number - 8, value, fields)?,
            (11..=13, value) => self.positive.field(number - 11, value, fields)?,
            (14, Value::Varint(hint)) => self.hint = reset_hint(hint),
            (15, Value::Varint(timestamp)) => self.timestamp_ms = timestamp as i64,
            (16, value) => doubles(value, &mut self.custom_values, fields)?,
            (17, Value::Varint(start)) => self.start_ms = start as i64,
            (1..=16, _) => return Err(fields.error("a field of a histogram with the wrong type")),
            _ => {}
        }
        Ok(())
    }

    fn histogram(self) -> Result<FloatHistogram, HistogramError> {
        let custom_values: Arc<[f64]> = self.custom_values.into();
        let Fielded { sum, schema, zero_threshold, hint, positive, negative, .. } = self;
        let histogram = match (self.count, self.zero_count) {
            (Count::Float(count), zero_count) => FloatHistogram {
                hint,
                schema,
                zero_threshold,
                zero_count: if let Count::Float(zero_count) = zero_count { zero_count } else { 0.0 },
                count,
                sum,
                positive: Side { spans: positive.spans, counts: positive.counts },
                negative: Side { spans: negative.spans, counts: negative.counts },
                custom_values,
            }
            .admitted(),
            (Count::Whole(count), zero_count) => IntegerHistogram {
                hint,
                schema,
                zero_threshold,
                zero_count: if let Count::Whole(zero_count) = zero_count { zero_count } else { 0 },
                count,
                sum,
                positive_spans: positive.spans,
                positive_deltas: positive.deltas,
                negative_spans: negative.spans,
                negative_deltas: negative.deltas,
                custom_values,
            }
            .into_float(),
        }?;
        // What ends a series says nothing else.
        Ok(if histogram.is_stale() { FloatHistogram::stale() } else { histogram })
    }
}

impl Buckets {
    /// The fields from the spans' on.
    fn field(&mut self, number: u32, value: Value<'_>, fields: &Fields<'_>) -> Result<(), WireError> {
        match (number, value) {
            (0, Value::Bytes(bytes)) => {
                let base = fields.base() + fields.position() - bytes.len();
                push(&mut self.spans, span(bytes, base)?);
            }
            (1, Value::Varint(delta)) => push(&mut self.deltas, zigzag_64(delta)),
            (1, Value::Bytes(packed)) => {
                let mut numbers = Fields::new(packed, fields.base() + fields.position() - packed.len());
                while let Some(delta) = numbers.next_packed()? {
                    push(&mut self.deltas, zigzag_64(delta));
                }
            }
            (2, value) => doubles(value, &mut self.counts, fields)?,
            _ => return Err(fields.error("a span or bucket of a histogram with the wrong type")),
        }
        Ok(())
    }
}

fn span(bytes: &[u8], base: usize) -> Result<Span, WireError> {
    let mut fields = Fields::new(bytes, base);
    let mut span = Span::default();
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Varint(offset)) => span.offset = zigzag_32(offset),
            (2, Value::Varint(length)) => span.length = length as u32,
            (1 | 2, _) => return Err(fields.error("a span's offset or length of the wrong type")),
            _ => {}
        }
    }
    Ok(span)
}

/// Adds one double or a packed list of them.
fn doubles(value: Value<'_>, list: &mut Vec<f64>, fields: &Fields<'_>) -> Result<(), WireError> {
    match value {
        Value::Fixed64(bits) => push(list, f64::from_bits(bits)),
        Value::Bytes(packed) => {
            let (all, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(fields.error("a list of doubles that ends within one"));
            }
            all.iter().for_each(|bytes| push(list, f64::from_le_bytes(*bytes)));
        }
        Value::Varint(_) | Value::Fixed32 => return Err(fields.error("a list of doubles of the wrong type")),
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() <= BUCKETS_COUNT_MAX {
        list.push(value);
    }
}

/// What is no hint that there is says nothing.
fn reset_hint(number: u64) -> CounterResetHint {
    match number as u32 {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

/// Of a `sint32`, 32 bits count, as in every protobuf decoder.
fn zigzag_32(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

fn zigzag_64(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
