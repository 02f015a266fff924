#![doc = include_str!("../../spec/histogram.md")]

mod layout;
mod numbers;
mod page;
mod sealed;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use layout::{Layout, Span};
pub use sealed::{PagesReader, encode_pages};
pub use stream::{Appender, StreamReader};

/// Buckets in one histogram at most, and spans of a side, and custom bounds.
pub const BUCKETS_MAX: usize = 16_384;
/// Samples in one page at most.
pub const PAGE_SAMPLES_MAX: usize = 4096;
/// Numbers in the columns of one page at most, and buckets in its layouts together.
pub const PAGE_NUMBERS_MAX: usize = 131_072;
/// Largest hint.
pub const HINT_MAX: u8 = 3;

/// The float that stands for a histogram among floats: the high half of its bits. The low half is a digest.
pub const MARKER_BITS: u64 = 0xfff4_0000_0000_0000;

/// The bits of `sum` that end a series.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;
/// Numbers beside those of the buckets: sum, count and zero count.
const TOTALS: usize = 3;

/// A native histogram: observations by bucket. Counts are absolute, and any float.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Which buckets there are. Neighbours in a series share it nearly always.
    pub layout: Arc<Layout>,
    /// What is known of a counter's start anew, 0 to [`HINT_MAX`]; the meaning is the engine's.
    pub hint: u8,
    /// Sum of the observations.
    pub sum: f64,
    /// Observations in all.
    pub count: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Observations in the buckets above zero, one for each that the layout's spans name.
    pub positive: Vec<f64>,
    /// Observations in the buckets below zero.
    pub negative: Vec<f64>,
}

/// Whether these bits stand for a histogram.
pub fn is_marker(bits: u64) -> bool {
    bits >> 32 == MARKER_BITS >> 32
}

impl Histogram {
    /// The bits that stand for it among floats: equal for equal histograms, and hardly ever for others.
    pub fn marker(&self) -> u64 {
        let mut told = vec![self.hint];
        self.layout.encode(&mut told);
        self.numbers().for_each(|number| told.extend_from_slice(&number.to_bits().to_le_bytes()));
        // The digest 0 is that of the plain marker, which says nothing.
        MARKER_BITS | u64::from(crc32c::crc32c(&told).max(1))
    }

    /// What ends a series: no buckets, no counts, the marker for a sum.
    pub fn stale() -> Histogram {
        Histogram { sum: f64::from_bits(STALE_BITS), ..Histogram::default() }
    }

    /// Whether it is [`Histogram::stale`] and nothing more.
    fn is_plain_stale(&self) -> bool {
        self.sum.to_bits() == STALE_BITS
            && self.hint == 0
            && self.count.to_bits() == 0
            && self.zero_count.to_bits() == 0
            && *self.layout == Layout::default()
    }

    /// Whether both are the same to the last bit, hint and layout included.
    pub fn same_bits(&self, other: &Histogram) -> bool {
        self.hint == other.hint
            && self.layout == other.layout
            && self.numbers().map(f64::to_bits).eq(other.numbers().map(f64::to_bits))
    }

    /// Sum, count, zero count, then the buckets: all that changes from one to the next.
    fn numbers(&self) -> impl Iterator<Item = f64> {
        [self.sum, self.count, self.zero_count].into_iter().chain(self.buckets())
    }

    fn buckets(&self) -> impl Iterator<Item = f64> {
        self.positive.iter().chain(&self.negative).copied()
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.positive.iter_mut().chain(&mut self.negative)
    }

    /// Panics where the counts are not those that the layout names: the engine checks what it takes in.
    fn assert_whole(&self) {
        self.layout.assert_bounded();
        let named = (self.layout.positive_count(), self.layout.negative_count());
        assert_eq!(named, (self.positive.len(), self.negative.len()), "a histogram has a count for each bucket");
        assert!(self.hint <= HINT_MAX, "a hint is at most {HINT_MAX}");
    }

    /// The same numbers in another layout: a bucket that both have keeps its count, others have none.
    fn laid_out(&self, layout: &Arc<Layout>) -> Histogram {
        let shared = self.layout.same_frame(layout);
        let side = |spans: &[Span], old_spans: &[Span], old: &[f64]| -> Vec<f64> {
            let mut old = layout::indexes(old_spans).zip(old.iter().copied()).filter(|_| shared).peekable();
            layout::indexes(spans)
                .map(|index| {
                    while old.next_if(|(other, _)| *other < index).is_some() {}
                    old.next_if(|(other, _)| *other == index).map_or(0.0, |(_, count)| count)
                })
                .collect()
        };
        Histogram {
            positive: side(&layout.positive, &self.layout.positive, &self.positive),
            negative: side(&layout.negative, &self.layout.negative, &self.negative),
            layout: layout.clone(),
            ..*self
        }
    }
}
