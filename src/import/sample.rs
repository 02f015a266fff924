//! A sample of either sort, as sources give it and servers get it.

use std::sync::Arc;

use crate::ingest::{append_bytes, append_fixed64, append_number, append_varint};
use crate::model::{CounterResetHint, FloatHistogram, Sample, Side};

/// A number or a native histogram of a moment, in ms since 1970 UTC.
#[derive(Clone, Debug)]
pub(super) struct AnySample {
    pub(super) timestamp_ms: i64,
    pub(super) value: AnyValue,
}

#[derive(Clone, Debug)]
pub(super) enum AnyValue {
    Number(f64),
    Histogram(Arc<FloatHistogram>),
}

impl From<Sample> for AnySample {
    fn from(sample: Sample) -> AnySample {
        AnySample { timestamp_ms: sample.timestamp_ms, value: AnyValue::Number(sample.value) }
    }
}

impl AnySample {
    pub(super) fn histogram(timestamp_ms: i64, histogram: FloatHistogram) -> AnySample {
        AnySample { timestamp_ms, value: AnyValue::Histogram(Arc::new(histogram)) }
    }

    /// What it takes in a request beside what a number takes, in bytes, give or take a few.
    pub(super) fn bytes(&self) -> usize {
        match &self.value {
            AnyValue::Number(_) => 0,
            AnyValue::Histogram(histogram) => {
                let spans = histogram.positive.spans.len() + histogram.negative.spans.len();
                8 * (6 + histogram.buckets_count() + histogram.custom_values.len() + spans)
            }
        }
    }

    /// Appends it to a `TimeSeries` of remote write. `one` is where it is put together.
    pub(super) fn encode(&self, one: &mut Vec<u8>, out: &mut Vec<u8>) {
        one.clear();
        match &self.value {
            // `Sample`: value (1, double), timestamp (2, int64).
            AnyValue::Number(value) => {
                append_fixed64(one, 1, value.to_bits());
                append_number(one, 2, self.timestamp_ms as u64);
                append_bytes(out, 2, one);
            }
            AnyValue::Histogram(histogram) => {
                encode_histogram(histogram, self.timestamp_ms, one);
                append_bytes(out, 4, one);
            }
        }
    }
}

/// `Histogram` with counts that are floats. The other sort says nothing that this does not.
fn encode_histogram(histogram: &FloatHistogram, timestamp_ms: i64, out: &mut Vec<u8>) {
    append_fixed64(out, 2, histogram.count.to_bits());
    append_fixed64(out, 3, histogram.sum.to_bits());
    append_number(out, 4, zigzag(histogram.schema));
    append_fixed64(out, 5, histogram.zero_threshold.to_bits());
    append_fixed64(out, 7, histogram.zero_count.to_bits());
    encode_side(&histogram.negative, 8, out);
    encode_side(&histogram.positive, 11, out);
    let hint = match histogram.hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    append_number(out, 14, hint);
    append_number(out, 15, timestamp_ms as u64);
    if !histogram.custom_values.is_empty() {
        // The tag of field 16 is two bytes long.
        append_varint(out, 16 << 3 | 2);
        append_varint(out, histogram.custom_values.len() as u64 * 8);
        histogram.custom_values.iter().for_each(|bound| out.extend_from_slice(&bound.to_bits().to_le_bytes()));
    }
}

/// Spans in the field of this number, counts two fields on.
fn encode_side(side: &Side, spans_field: u8, out: &mut Vec<u8>) {
    let mut one = Vec::new();
    for span in &side.spans {
        one.clear();
        append_number(&mut one, 1, zigzag(span.offset));
        append_number(&mut one, 2, u64::from(span.length));
        append_bytes(out, spans_field, &one);
    }
    if !side.counts.is_empty() {
        let counts: Vec<u8> = side.counts.iter().flat_map(|count| count.to_bits().to_le_bytes()).collect();
        append_bytes(out, spans_field + 2, &counts);
    }
}

/// A `sint32` as it is written.
fn zigzag(number: i32) -> u64 {
    u64::from((number << 1 ^ number >> 31).cast_unsigned())
}
