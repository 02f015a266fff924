//! A point of an exponential histogram becomes a native one, as Prometheus translates it.
//!
//! ```text
//! scale 1, positive { offset: 2, bucket_counts: [3, 0, 1] }      (2, 2.83]: 3   (2.83, 4]: 0   (4, 5.66]: 1
//! schema 1, buckets from index 3 on                              a native bucket is named by where it ends
//! ```
//!
//! A scale above 8 is reduced to 8; one below -4 is refused. A point that names no width of its zero bucket has Prometheus's,
//! 1e-128; one without a sum has the sum 0. `min` and `max` have no place in a native histogram.

use super::message::{PointHead, WRONG_TYPE, child, fixed64, is_message, set_once, varint};
use super::translate::PARTS_COUNT_MAX;
use crate::ingest::wire::{Fields, Value, WireError};
use crate::model::{FloatHistogram, IntegerHistogram, SCHEMA_MIN, Span};

/// Half the width of the zero bucket of a point that does not tell it.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Gaps of so many empty buckets stand as buckets: shorter than the spans that would tell them.
const EMPTY_COUNT_MAX: usize = 2;

/// A point as it was found.
#[derive(Default)]
pub(super) struct ExponentialPoint {
    pub(super) head: PointHead,
    count: u64,
    sum: f64,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Buckets,
    negative: Buckets,
}

#[derive(Default)]
struct Buckets {
    offset: i32,
    /// One more than there may be, to tell.
    counts: Vec<u64>,
}

impl ExponentialPoint {
    pub(super) const ATTRIBUTES: u32 = 1;

    pub(super) fn read(mut message: Fields<'_>) -> Result<ExponentialPoint, WireError> {
        let mut point = ExponentialPoint::default();
        let (mut positive, mut negative) = (None, None);
        while let Some((number, value)) = message.next()? {
            match number {
                4 => point.count = fixed64(value, &message)?,
                5 => point.sum = f64::from_bits(fixed64(value, &message)?),
                6 => point.scale = zigzag(varint(value, &message)?),
                7 => point.zero_count = fixed64(value, &message)?,
                8 if is_message(number, 8, value, &message)? => {
                    set_once(&mut positive, child(value, &message), &message)?;
                }
                9 if is_message(number, 9, value, &message)? => {
                    set_once(&mut negative, child(value, &message), &message)?;
                }
                14 => point.zero_threshold = f64::from_bits(fixed64(value, &message)?),
                _ => point.head.take(number, value, 10, &message)?,
            }
        }
        point.positive = positive.map_or(Ok(Buckets::default()), Buckets::read)?;
        point.negative = negative.map_or(Ok(Buckets::default()), Buckets::read)?;
        Ok(point)
    }

    /// The native histogram; of a point without a value the one that ends a series. Fails with the reason to refuse it.
    pub(super) fn histogram(&self) -> Result<FloatHistogram, String> {
        if self.head.is_stale {
            return Ok(FloatHistogram::stale());
        }
        if self.scale < SCHEMA_MIN {
            return Err(format!("its scale {} is below {SCHEMA_MIN}", self.scale));
        }
        let (positive_spans, positive_deltas) = self.positive.as_native()?;
        let (negative_spans, negative_deltas) = self.negative.as_native()?;
        let whole = IntegerHistogram {
            schema: self.scale,
            zero_threshold: if self.zero_threshold == 0.0 { ZERO_THRESHOLD } else { self.zero_threshold },
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_deltas,
            negative_spans,
            negative_deltas,
            ..IntegerHistogram::default()
        };
        let mut histogram = whole.into_float().map_err(|error| error.to_string())?;
        histogram.compact(EMPTY_COUNT_MAX);
        Ok(histogram)
    }
}

impl Buckets {
    fn read(mut message: Fields<'_>) -> Result<Buckets, WireError> {
        let mut buckets = Buckets::default();
        while let Some((number, value)) = message.next()? {
            match (number, value) {
                (1, Value::Varint(offset)) => buckets.offset = zigzag(offset),
                (2, Value::Varint(count)) => buckets.push(count),
                (2, Value::Bytes(packed)) => {
                    let mut numbers = Fields::new(packed, message.base() + message.position() - packed.len());
                    while let Some(count) = numbers.next_packed()? {
                        buckets.push(count);
                    }
                }
                (1 | 2, _) => return Err(message.error(WRONG_TYPE)),
                _ => {}
            }
        }
        Ok(buckets)
    }

    fn push(&mut self, count: u64) {
        if self.counts.len() <= PARTS_COUNT_MAX {
            self.counts.push(count);
        }
    }

    /// The same as a native histogram has it: indexes one higher, counts as differences.
    fn as_native(&self) -> Result<(Vec<Span>, Vec<i64>), String> {
        let count = self.counts.len();
        if count > PARTS_COUNT_MAX {
            return Err(format!("an exponential histogram has more than {PARTS_COUNT_MAX} buckets on a side"));
        }
        if count == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let offset = self.offset.checked_add(1).ok_or_else(|| format!("buckets with offset {}", self.offset))?;
        let mut before = 0_u64;
        let delta = |count: &u64| count.wrapping_sub(std::mem::replace(&mut before, *count)) as i64;
        Ok((vec![Span { offset, length: count as u32 }], self.counts.iter().map(delta).collect()))
    }
}

/// Of a `sint32`, 32 bits count, as in every protobuf decoder.
fn zigzag(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1) as i32 ^ -((number & 1) as i32)
}
