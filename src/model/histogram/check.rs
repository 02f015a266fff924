//! Whether a histogram may be stored, and how one of integers becomes one of floats.

use std::sync::Arc;

use super::bounds::{SCHEMA_CUSTOM, SCHEMA_MAX, SCHEMA_MIN, is_exponential};
use super::{CounterResetHint, FloatHistogram, Side, Span};

/// Most buckets that a histogram may write out, both sides together, and most custom bounds. Instrumented programs
/// have 160 a side; this is what one sample may cost, 128 KiB.
pub const BUCKETS_COUNT_MAX: usize = 16_384;
/// Farthest that a bucket may lie from the one that ends at 1. Under the finest schema the last finite one is 2^18.
const INDEX_MAX: i64 = 1 << 24;

/// Why a histogram is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// Not a schema that there is.
    #[error("schema {schema} is neither from {SCHEMA_MIN} to {SCHEMA_MAX} nor {SCHEMA_CUSTOM}")]
    Schema {
        /// As it was given.
        schema: i32,
    },
    /// Buckets overlap.
    #[error("{side} span {number} begins {offset} buckets behind the one before: offsets must not be negative")]
    SpanOffset {
        /// `positive` or `negative`.
        side: &'static str,
        /// Position of the span, from 1.
        number: usize,
        /// As it was given.
        offset: i32,
    },
    /// Spans and counts do not belong together.
    #[error("{side} spans are of {places} buckets, but {counts} counts are given")]
    BucketsMismatch {
        /// `positive` or `negative`.
        side: &'static str,
        /// Buckets that the spans name.
        places: u64,
        /// Counts that there are.
        counts: usize,
    },
    /// More than a histogram may have.
    #[error("{count} {what} are more than the {BUCKETS_COUNT_MAX} that a histogram may have")]
    TooMany {
        /// `buckets`, `spans` or `custom bounds`.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A bucket that no observation can fall into.
    #[error("{side} buckets reach to index {index}, beyond {INDEX_MAX}")]
    IndexOutOfRange {
        /// `positive` or `negative`.
        side: &'static str,
        /// The last index.
        index: i64,
    },
    /// Fewer than no observations.
    #[error("{what} is {count}: counts must not be negative")]
    NegativeCount {
        /// Which count it is.
        what: &'static str,
        /// As it was given.
        count: f64,
    },
    /// The zero bucket's width.
    #[error("the zero threshold is {threshold}: it must be a number, and not negative")]
    ZeroThreshold {
        /// As it was given.
        threshold: f64,
    },
    /// Custom bounds in the wrong order, infinite or not numbers.
    #[error("custom bound {number}, {bound}, is not a finite number above the one before")]
    CustomBound {
        /// Position of the bound, from 1.
        number: usize,
        /// As it was given.
        bound: f64,
    },
    /// More buckets than bounds.
    #[error("{bounds} custom bounds are too few for {places} buckets")]
    CustomBoundsTooFew {
        /// Bounds that there are.
        bounds: usize,
        /// Buckets up to the last that is used.
        places: i64,
    },
    /// Custom buckets with what only exponential ones have, or the reverse.
    #[error("{what} cannot be together with schema {schema}")]
    Unfitting {
        /// What there must not be.
        what: &'static str,
        /// The schema.
        schema: i32,
    },
    /// A histogram of integers whose buckets do not add up.
    #[error("the buckets hold {held} observations, but the count is {count}")]
    CountMismatch {
        /// Observations in buckets.
        held: u64,
        /// Observations in all.
        count: u64,
    },
}

impl FloatHistogram {
    /// Whether the parts fit each other and no count is negative. Counts need not add up: sums of floats do not.
    pub fn check(&self) -> Result<(), HistogramError> {
        self.check_layout()?;
        for (what, side) in [("a positive bucket", &self.positive), ("a negative bucket", &self.negative)] {
            side.counts.iter().try_for_each(|&count| check_count(what, count))?;
        }
        check_count("the zero bucket", self.zero_count)?;
        check_count("the count", self.count)
    }

    /// The same as it may be stored: a resolution that is reserved for senders is reduced, and it is checked.
    pub fn admitted(mut self) -> Result<FloatHistogram, HistogramError> {
        // Reducing would leave out what has no count, or no place.
        check_places("positive", &self.positive)?;
        check_places("negative", &self.negative)?;
        self.reduce_reserved_resolution();
        self.check()?;
        Ok(self)
    }

    fn check_layout(&self) -> Result<(), HistogramError> {
        check_many("buckets", self.buckets_count())?;
        check_many("spans", self.positive.spans.len().max(self.negative.spans.len()))?;
        check_side("positive", &self.positive)?;
        check_side("negative", &self.negative)?;
        if self.has_custom_buckets() {
            return self.check_custom();
        }
        if !is_exponential(self.schema) {
            return Err(HistogramError::Schema { schema: self.schema });
        }
        if self.zero_threshold.is_nan() || self.zero_threshold < 0.0 {
            return Err(HistogramError::ZeroThreshold { threshold: self.zero_threshold });
        }
        self.check_absent("custom bounds", self.custom_values.is_empty())
    }

    fn check_custom(&self) -> Result<(), HistogramError> {
        check_many("custom bounds", self.custom_values.len())?;
        let mut last = f64::NEG_INFINITY;
        for (position, &bound) in self.custom_values.iter().enumerate() {
            // The lowest bucket may end at negative infinity.
            let is_above = bound > last || (position == 0 && bound == f64::NEG_INFINITY);
            if !is_above || bound == f64::INFINITY {
                return Err(HistogramError::CustomBound { number: position + 1, bound });
            }
            last = bound;
        }
        if let Some(span) = self.positive.spans.first().filter(|span| span.offset < 0) {
            return Err(HistogramError::SpanOffset { side: "positive", number: 1, offset: span.offset });
        }
        let places = end_of(&self.positive.spans);
        if places > self.custom_values.len() as i64 + 1 {
            return Err(HistogramError::CustomBoundsTooFew { bounds: self.custom_values.len(), places });
        }
        self.check_absent("a zero count", self.zero_count == 0.0)?;
        self.check_absent("a zero threshold", self.zero_threshold == 0.0)?;
        self.check_absent("negative buckets", self.negative.spans.is_empty() && self.negative.counts.is_empty())
    }

    fn check_absent(&self, what: &'static str, is_absent: bool) -> Result<(), HistogramError> {
        if is_absent { Ok(()) } else { Err(HistogramError::Unfitting { what, schema: self.schema }) }
    }
}

fn check_many(what: &'static str, count: usize) -> Result<(), HistogramError> {
    if count <= BUCKETS_COUNT_MAX { Ok(()) } else { Err(HistogramError::TooMany { what, count }) }
}

fn check_count(what: &'static str, count: f64) -> Result<(), HistogramError> {
    if count < 0.0 { Err(HistogramError::NegativeCount { what, count }) } else { Ok(()) }
}

fn check_side(name: &'static str, side: &Side) -> Result<(), HistogramError> {
    check_places(name, side)?;
    let first = side.spans.first().map_or(0, |span| i64::from(span.offset));
    let end = end_of(&side.spans);
    match [first, end].into_iter().find(|index| index.abs() > INDEX_MAX) {
        Some(index) => Err(HistogramError::IndexOutOfRange { side: name, index }),
        None => Ok(()),
    }
}

/// Whether spans are apart and name a place for each count.
fn check_places(name: &'static str, side: &Side) -> Result<(), HistogramError> {
    let overlap = side.spans.iter().enumerate().skip(1).find(|(_, span)| span.offset < 0);
    if let Some((position, span)) = overlap {
        return Err(HistogramError::SpanOffset { side: name, number: position + 1, offset: span.offset });
    }
    let places: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if places != side.counts.len() as u64 {
        return Err(HistogramError::BucketsMismatch { side: name, places, counts: side.counts.len() });
    }
    Ok(())
}

/// The index behind the last bucket.
fn end_of(spans: &[Span]) -> i64 {
    spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum()
}

/// A histogram as programs count: whole observations, each bucket told by what it has more than the one before.
#[derive(Clone, Debug, Default)]
pub struct IntegerHistogram {
    /// Whether a counter started anew here.
    pub hint: CounterResetHint,
    /// As of [`FloatHistogram`].
    pub schema: i32,
    /// As of [`FloatHistogram`].
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// Observations in all.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
    /// Which buckets there are above zero.
    pub positive_spans: Vec<Span>,
    /// The first bucket's observations, and of each other what it has more than the one before.
    pub positive_deltas: Vec<i64>,
    /// Which buckets there are below zero.
    pub negative_spans: Vec<Span>,
    /// As above zero.
    pub negative_deltas: Vec<i64>,
    /// As of [`FloatHistogram`].
    pub custom_values: Arc<[f64]>,
}

impl IntegerHistogram {
    /// The same with floats, checked. The buckets must add up to the count, or to less if NaN was observed.
    pub fn into_float(self) -> Result<FloatHistogram, HistogramError> {
        let positive = absolute("a positive bucket", &self.positive_deltas)?;
        let negative = absolute("a negative bucket", &self.negative_deltas)?;
        let held = positive.1.saturating_add(negative.1).saturating_add(self.zero_count);
        let adds_up = if self.sum.is_nan() { held <= self.count } else { held == self.count };
        if !adds_up {
            return Err(HistogramError::CountMismatch { held, count: self.count });
        }
        let histogram = FloatHistogram {
            hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive: Side { spans: self.positive_spans, counts: positive.0 },
            negative: Side { spans: self.negative_spans, counts: negative.0 },
            custom_values: self.custom_values,
        };
        histogram.admitted()
    }
}

/// Observations of each bucket, and of all.
fn absolute(what: &'static str, deltas: &[i64]) -> Result<(Vec<f64>, u64), HistogramError> {
    check_many("buckets", deltas.len())?;
    let (mut last, mut total) = (0_i64, 0_u64);
    let mut counts = Vec::with_capacity(deltas.len());
    for &delta in deltas {
        last = last.saturating_add(delta);
        check_count(what, last as f64)?;
        total = total.saturating_add(last as u64);
        counts.push(last as f64);
    }
    Ok((counts, total))
}
