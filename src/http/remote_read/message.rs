//! The messages that both kinds of answer have.

use super::super::protobuf::Message;
use crate::model::{CounterResetHint, FloatHistogram, Labels, Side};
use crate::storage::view::Columns;

/// `repeated Label labels = 1`.
pub(super) fn labels(series: &mut Message, labels: &Labels) {
    for (name, value) in labels.iter() {
        series.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }
}

/// `repeated Sample samples = 2`.
pub(super) fn samples(series: &mut Message, columns: &Columns) {
    for (time_ms, value) in columns.timestamps_ms.iter().zip(&columns.values) {
        series.message(2, |sample| {
            sample.double(1, *value);
            sample.number(2, *time_ms);
        });
    }
}

/// `repeated Histogram histograms = 4`, one of them, of float counts.
pub(super) fn histogram(series: &mut Message, time_ms: i64, histogram: &FloatHistogram) {
    let hint = match histogram.hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    series.message(4, |message| {
        message.double(2, histogram.count);
        message.double(3, histogram.sum);
        message.signed(4, histogram.schema);
        message.double(5, histogram.zero_threshold);
        message.double(7, histogram.zero_count);
        spans(message, 8, &histogram.negative);
        message.doubles(10, &histogram.negative.counts);
        spans(message, 11, &histogram.positive);
        message.doubles(13, &histogram.positive.counts);
        message.number(14, hint);
        message.number(15, time_ms);
        message.doubles(16, &histogram.custom_values);
    });
}

fn spans(message: &mut Message, field: u32, side: &Side) {
    for span in &side.spans {
        message.message(field, |one| {
            one.signed(1, span.offset);
            one.number(2, i64::from(span.length));
        });
    }
}
