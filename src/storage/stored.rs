//! Histograms as they are stored, and as everybody else knows them.
//!
//! Always true: what is converted there and back is the same to the last bit.

use std::sync::Arc;

use storage_format::histogram::{self as format, Histogram, Layout};

use crate::model::{CounterResetHint, FloatHistogram, Side, Span};

/// The hints by their number in files.
const HINTS: [CounterResetHint; 4] =
    [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];

/// A histogram as it is stored. It must be one that [`FloatHistogram::check`] agrees to.
pub fn stored_histogram(histogram: &FloatHistogram) -> Histogram {
    let spans = |side: &Side| -> Vec<format::Span> {
        side.spans.iter().map(|span| format::Span { offset: span.offset, length: span.length }).collect()
    };
    let layout = Layout {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        positive: spans(&histogram.positive),
        negative: spans(&histogram.negative),
        custom_values: histogram.custom_values.clone(),
    };
    let hint = HINTS.iter().position(|hint| *hint == histogram.hint).expect("every hint has a number");
    Histogram {
        layout: Arc::new(layout),
        hint: hint as u8,
        sum: histogram.sum,
        count: histogram.count,
        zero_count: histogram.zero_count,
        positive: histogram.positive.counts.clone(),
        negative: histogram.negative.counts.clone(),
    }
}

/// The histogram that is stored so.
pub fn model_histogram(stored: &Histogram) -> FloatHistogram {
    let side = |spans: &[format::Span], counts: &[f64]| Side {
        spans: spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect(),
        counts: counts.to_vec(),
    };
    FloatHistogram {
        hint: HINTS[usize::from(stored.hint) & 3],
        schema: stored.layout.schema,
        zero_threshold: stored.layout.zero_threshold,
        zero_count: stored.zero_count,
        count: stored.count,
        sum: stored.sum,
        positive: side(&stored.layout.positive, &stored.positive),
        negative: side(&stored.layout.negative, &stored.negative),
        custom_values: stored.layout.custom_values.clone(),
    }
}
/// Says of histograms, read one behind the other, what Prometheus's storage says: that the counter went on from the one
/// before, wherever that is seen; else nothing.
pub(super) fn tell_resets(histograms: &mut [(i64, Arc<FloatHistogram>)]) {
    for index in 0..histograms.len() {
        let (before, rest) = histograms.split_at_mut(index);
        let one = &mut rest[0].1;
        if one.hint == CounterResetHint::Gauge {
            continue;
        }
        let goes_on = |before: &FloatHistogram, one: &FloatHistogram| {
            before.hint != CounterResetHint::Gauge
                && !before.is_stale()
                && before.schema == one.schema
                && before.zero_threshold == one.zero_threshold
                && before.custom_values == one.custom_values
                && !one.detect_reset(before)
        };
        let one = Arc::make_mut(one);
        // What the sender said of a start anew stands in its numbers, too.
        let said = std::mem::replace(&mut one.hint, CounterResetHint::Unknown);
        if said != CounterResetHint::Reset && before.last().is_some_and(|(_, before)| goes_on(before, one)) {
            one.hint = CounterResetHint::NotReset;
        }
    }
}
