//! The values that every room speaks of: labels, samples, histograms, matchers, time ranges, and texts in addresses and
//! in quotes. No I/O, no state.

mod escapes;
mod histogram;
mod labels;
mod matcher;
mod number;
mod pattern;
mod quoting;
mod sample;
mod sum;

pub use escapes::{percent_decoded, percent_encoded};
pub(crate) use histogram::log2;
pub use histogram::{
    BUCKETS_COUNT_MAX, Bucket, CounterResetHint, Estimate, FloatHistogram, HistogramError, HistogramLiteral,
    HistogramMean, HistogramSum, IntegerHistogram, LiteralError, MixedSchemas, NanObservations, Reconciled,
    SCHEMA_CUSTOM, SCHEMA_MAX, SCHEMA_MIN, SCHEMA_RESERVED_MAX, Side, Span, Trim,
};
pub use labels::{
    LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_BYTES_MAX, LABELS_COUNT_MAX, Labels, LabelsError, METRIC_NAME,
    OWNER_LABELS,
};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use number::{format_exponent, format_float, format_general, format_plain};
pub use pattern::{compile_pattern, compile_pattern_anywhere};
pub(crate) use quoting::{Escaped, is_printable, push_quoted, quoted, quoted_bytes, unescaped, unquoted};
pub use sample::{NORMAL_NAN_BITS, STALE_NAN_BITS, Sample, SeriesRef, TimeRange, is_stale, stale_nan};
pub(crate) use sum::Sum;

#[cfg(test)]
mod tests;
