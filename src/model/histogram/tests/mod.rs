//! What histograms do. Expected values are worked out by hand, or are what Prometheus 3.5 answered over HTTP.

mod arithmetic;
mod estimates;
mod properties;
mod text;

use super::{FloatHistogram, HistogramLiteral};

/// The histogram that a script's text says.
fn read(text: &str) -> FloatHistogram {
    HistogramLiteral::parse(text).expect("a histogram of a test").histogram
}

/// What a script would say of it.
fn written(histogram: &FloatHistogram) -> String {
    histogram.literal().expect("buckets of a test lie near each other")
}
