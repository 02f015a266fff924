//! What a native histogram counts for among samples: as many of them as take its memory.
//!
//! ```text
//! a sample   24 bytes                                        1
//! a summary of latencies, 40 buckets in 3 spans: 600 bytes  25
//! ```
//!
//! So the limits of samples bound what a request takes, whatever it is of: `limits.samples_per_request_max`, and of one
//! histogram [`crate::model::BUCKETS_COUNT_MAX`].

use storage_format::histogram::{Histogram, Layout, Span};

use crate::storage::{HistogramRow, Row};

/// Samples that a histogram counts for.
pub(super) fn sample_count(histogram: &Histogram) -> usize {
    bytes(histogram).div_ceil(size_of::<Row>())
}

/// Memory that a histogram takes in a request's rows.
pub(super) fn bytes(histogram: &Histogram) -> usize {
    let layout = &histogram.layout;
    let numbers = histogram.positive.len() + histogram.negative.len() + layout.custom_values.len();
    let spans = layout.positive.len() + layout.negative.len();
    size_of::<HistogramRow>() + size_of::<Layout>() + numbers * size_of::<f64>() + spans * size_of::<Span>()
}
