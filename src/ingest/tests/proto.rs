//! A native histogram of remote write as its specification has it, for `prost`, and what it says.

use dozor::model::{CounterResetHint, FloatHistogram, HistogramError, IntegerHistogram, Side, Span, is_stale};
use dozor::storage::stored_histogram;
use prost::Message;

/// A native histogram as both versions have it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(oneof = "Count", tags = "1, 2")]
    pub(crate) count: Option<Count>,
    #[prost(double, tag = "3")]
    pub(crate) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(crate) schema: i32,
    #[prost(double, tag = "5")]
    pub(crate) zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub(crate) zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(crate) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(crate) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(crate) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(crate) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(crate) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(crate) custom_values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Count {
    #[prost(uint64, tag = "1")]
    Whole(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum ZeroCount {
    #[prost(uint64, tag = "6")]
    Whole(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}

impl Histogram {
    /// What it is, whatever it came in; none if it may not be stored.
    pub(crate) fn value(&self) -> Result<FloatHistogram, HistogramError> {
        let spans =
            |spans: &[BucketSpan]| spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect();
        let hint = match self.reset_hint {
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        };
        let (positive_spans, negative_spans) = (spans(&self.positive_spans), spans(&self.negative_spans));
        let (schema, zero_threshold, sum) = (self.schema, self.zero_threshold, self.sum);
        let custom_values = self.custom_values.as_slice().into();
        if let Some(Count::Float(count)) = self.count {
            let zero_count = if let Some(ZeroCount::Float(count)) = self.zero_count { count } else { 0.0 };
            let positive = Side { spans: positive_spans, counts: self.positive_counts.clone() };
            let negative = Side { spans: negative_spans, counts: self.negative_counts.clone() };
            return FloatHistogram {
                hint,
                schema,
                zero_threshold,
                zero_count,
                count,
                sum,
                positive,
                negative,
                custom_values,
            }
            .admitted();
        }
        IntegerHistogram {
            hint,
            schema,
            zero_threshold,
            zero_count: if let Some(ZeroCount::Whole(count)) = self.zero_count { count } else { 0 },
            count: if let Some(Count::Whole(count)) = self.count { count } else { 0 },
            sum,
            positive_spans,
            positive_deltas: self.positive_deltas.clone(),
            negative_spans,
            negative_deltas: self.negative_deltas.clone(),
            custom_values,
        }
        .into_float()
    }

    /// Its time and what stands for it among floats; none if it may not be stored.
    pub(crate) fn row(&self) -> Option<(i64, u64)> {
        let value = self.value().ok()?;
        let value = if is_stale(value.sum) { FloatHistogram::stale() } else { value };
        Some((self.timestamp, stored_histogram(&value).marker()))
    }
}
