//! The answer in protobuf: families of the client libraries' `io.prometheus.client`, each behind its length.
//!
//! ```text
//! MetricFamily  name 1   type 3: counter 0, untyped 3, histogram 4, gauge histogram 5   metric 4
//! Metric        label 1 { name 1, value 2 }   counter 3   untyped 5   timestamp_ms 6   histogram 7
//! Counter       value 1   created_timestamp 3
//! Untyped       value 1
//! Histogram     sum 2   float count 4   schema 5   zero threshold 6   float zero count 8
//!               negative: spans 9, counts 11   positive: spans 12, counts 14   created_timestamp 15
//! ```
//!
//! A family is of one type. So series of one name whose newest samples are of several make several families, as with
//! Prometheus. A number of which it is known since when it counts is a counter: an untyped one has no place for that.
//!
//! Deliberately absent: histograms with custom buckets, for whose bounds there is no place.

use super::super::parameters::{Escaping, escape_name};
use super::super::protobuf::Message;
use super::{Newest, Value, each_newest};
use crate::model::{CounterResetHint, FloatHistogram, Matcher, Side, TimeRange};
use crate::query::{Cancelled, QueryError};
use crate::storage::view::ReadView;

/// Longest answer, in bytes: histograms may be large.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// `MetricType`.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter = 0,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

pub(super) fn told(
    view: &ReadView,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    escaping: Escaping,
    cancelled: &Cancelled,
) -> Result<Vec<u8>, QueryError> {
    let mut families = Families::default();
    each_newest(view, selectors, range, cancelled, |newest| {
        let moment = TimeRange { from_ms: newest.time_ms, to_ms: newest.time_ms };
        let start_ms = newest.series.starts_ms(moment).first().map(|(_, start_ms)| *start_ms);
        let kind = match newest.value {
            Value::Number(_) if start_ms.is_some() => Kind::Counter,
            Value::Number(_) => Kind::Untyped,
            Value::Histogram(histogram) if histogram.has_custom_buckets() => return Ok(()),
            Value::Histogram(histogram) if histogram.hint == CounterResetHint::Gauge => Kind::GaugeHistogram,
            Value::Histogram(_) => Kind::Histogram,
        };
        families
            .open(newest.name, kind, escaping)
            .message(4, |metric| write_metric(metric, newest, start_ms, escaping));
        if families.bytes_count() > ANSWER_BYTES_MAX {
            let what = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes: select less");
            return Err(QueryError::BadData(what));
        }
        Ok(())
    })?;
    Ok(families.finish())
}

/// Families, of which the last is open.
#[derive(Default)]
struct Families {
    done: Message,
    open: Message,
    /// Name and type of the open one.
    last: Option<(String, Kind)>,
}

impl Families {
    /// The family of this name and type, begun if the open one is another.
    fn open(&mut self, name: &str, kind: Kind, escaping: Escaping) -> &mut Message {
        if self.last.as_ref().is_none_or(|(last, last_kind)| (last.as_str(), *last_kind) != (name, kind)) {
            self.close();
            self.last = Some((name.to_owned(), kind));
            self.open.bytes(1, escape_name(name, escaping).as_bytes());
            self.open.number(3, kind as i64);
        }
        &mut self.open
    }

    fn bytes_count(&self) -> usize {
        self.done.bytes_count() + self.open.bytes_count()
    }

    fn close(&mut self) {
        if self.last.take().is_some() {
            let family = std::mem::take(&mut self.open);
            self.done.delimited(family.as_slice());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.close();
        self.done.into_bytes()
    }
}

fn write_metric(metric: &mut Message, newest: &Newest<'_>, start_ms: Option<i64>, escaping: Escaping) {
    for (name, value) in newest.labels() {
        metric.message(1, |label| {
            label.bytes(1, escape_name(name, escaping).as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }
    match (&newest.value, start_ms) {
        (Value::Number(value), Some(start_ms)) => metric.message(3, |counter| {
            counter.double(1, *value);
            write_time(counter, 3, start_ms);
        }),
        (Value::Number(value), None) => metric.message(5, |untyped| untyped.double(1, *value)),
        (Value::Histogram(histogram), _) => metric.message(7, |message| {
            write_histogram(message, histogram);
            if let Some(start_ms) = start_ms {
                write_time(message, 15, start_ms);
            }
        }),
    }
    metric.number(6, newest.time_ms);
}

/// A `google.protobuf.Timestamp`.
fn write_time(message: &mut Message, field: u32, time_ms: i64) {
    message.message(field, |time| {
        time.number(1, time_ms.div_euclid(1000));
        time.number(2, time_ms.rem_euclid(1000) * 1_000_000);
    });
}

fn write_histogram(message: &mut Message, histogram: &FloatHistogram) {
    message.double(2, histogram.sum);
    message.double(4, histogram.count);
    message.signed(5, histogram.schema);
    message.double(6, histogram.zero_threshold);
    message.double(8, histogram.zero_count);
    // Scrapers take one that counts nothing for one of integers, whose buckets stand elsewhere.
    if histogram.count != 0.0 || histogram.zero_count != 0.0 {
        write_side(message, 9, &histogram.negative);
        write_side(message, 12, &histogram.positive);
    }
    let has_spans = !histogram.negative.spans.is_empty() || !histogram.positive.spans.is_empty();
    if histogram.zero_threshold == 0.0 && (!has_spans || histogram.count == 0.0) {
        // Without anything of the kind it would be taken for one with classic buckets.
        message.message(12, |span| {
            span.signed(1, 0);
            span.number(2, 0);
        });
    }
}

/// Spans in the field of this number, counts two fields on.
fn write_side(message: &mut Message, field: u32, side: &Side) {
    for span in &side.spans {
        message.message(field, |one| {
            one.signed(1, span.offset);
            one.number(2, i64::from(span.length));
        });
    }
    side.counts.iter().for_each(|count| message.double(field + 2, *count));
}
