//! Prometheus's chunk of native histograms whose counts are floats, as ours are: what its remote read understands, and
//! nothing that we store.
//!
//! ```text
//! count (2, BE) │ 00 unknown, 10 reset, 11 gauge (1) │ layout │ first │ other │ …
//!
//! layout   zero threshold │ schema │ spans above zero │ spans below │ custom bounds, if the schema is theirs
//! first    time: varbit │ count, zero count, sum, buckets above zero, buckets below: 64 bits each
//! other    change of step: varbit │ the same, each by how it differs from what it was
//! ```
//!
//! A chunk has one layout, and a counter that starts anew starts a chunk. A reader believes that within a chunk it went
//! on, and knows nothing of the first:
//!
//! ```text
//! unknown  went on  went on │ unknown (fewer)  went on │ unknown (a bucket more) │ stale │ unknown …
//! ```

use std::sync::Arc;

use super::bits::{Bits, Window};
use super::xor::CHUNK_SAMPLES;
use crate::model::{CounterResetHint, FloatHistogram, Span};

/// A chunk that has become so long, in bytes, is full: so it is bounded by this and one histogram, of at most 16,384 buckets.
const FULL_BYTES: usize = 16 << 10;
/// The largest custom bound, in thousandths, that is written as a number of them.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// Writes a chunk of histograms, ascending in ms, in place of what `data` holds: of the first and of those behind it that
/// fit there. Answers how many that are, at least one.
pub(super) fn encode(histograms: &[(i64, Arc<FloatHistogram>)], data: &mut Vec<u8>) -> usize {
    let (first_ms, first) = &histograms[0];
    data.clear();
    data.extend_from_slice(&[0, 0, flags(first.hint)]);
    let mut bits = Bits::new(data);
    write_layout(&mut bits, first);
    bits.varbit_signed(*first_ms);
    numbers(first).for_each(|number| bits.write(number.to_bits(), 64));
    let mut windows: Vec<Option<Window>> = vec![None; numbers(first).count()];
    let (mut step_ms, mut count) = (0_i64, 1);
    for pair in histograms.windows(2).take(CHUNK_SAMPLES - 1) {
        let ((before_ms, before), (time_ms, one)) = (&pair[0], &pair[1]);
        if bits.bytes_count() >= FULL_BYTES || !is_same_chunk(before, one) {
            break;
        }
        let step_now_ms = time_ms.wrapping_sub(*before_ms);
        bits.varbit_signed(step_now_ms.wrapping_sub(step_ms));
        step_ms = step_now_ms;
        for ((number, before), window) in numbers(one).zip(numbers(before)).zip(&mut windows) {
            bits.difference(number.to_bits() ^ before.to_bits(), window);
        }
        count += 1;
    }
    data[..2].copy_from_slice(&(count as u16).to_be_bytes());
    count
}

fn flags(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Reset => 0b1000_0000,
        CounterResetHint::Gauge => 0b1100_0000,
        // That it went on since the chunk before, readers do not believe.
        CounterResetHint::Unknown | CounterResetHint::NotReset => 0,
    }
}

/// Whether a histogram can follow another in a chunk, and is read there with the hint that it has.
fn is_same_chunk(before: &FloatHistogram, one: &FloatHistogram) -> bool {
    use CounterResetHint::{Gauge, NotReset};
    let same_hint = match one.hint {
        Gauge => before.hint == Gauge,
        hint => hint == NotReset && before.hint != Gauge,
    };
    same_hint
        && !before.is_stale()
        && !one.is_stale()
        && before.schema == one.schema
        && before.zero_threshold.to_bits() == one.zero_threshold.to_bits()
        && before.positive.spans == one.positive.spans
        && before.negative.spans == one.negative.spans
        && before.custom_values == one.custom_values
}

/// All that changes from one histogram to the next.
fn numbers(histogram: &FloatHistogram) -> impl Iterator<Item = f64> {
    let totals = [histogram.count, histogram.zero_count, histogram.sum];
    totals.into_iter().chain(histogram.positive.counts.iter().chain(&histogram.negative.counts).copied())
}

fn write_layout(bits: &mut Bits<'_>, histogram: &FloatHistogram) {
    write_zero_threshold(bits, histogram.zero_threshold);
    bits.varbit_signed(i64::from(histogram.schema));
    write_spans(bits, &histogram.positive.spans);
    write_spans(bits, &histogram.negative.spans);
    if histogram.has_custom_buckets() {
        bits.varbit(histogram.custom_values.len() as u64);
        histogram.custom_values.iter().for_each(|bound| write_bound(bits, *bound));
    }
}

/// In a byte if it is zero or a power of two from -243 to 10, else in nine.
fn write_zero_threshold(bits: &mut Bits<'_>, threshold: f64) {
    let power = (threshold.to_bits() >> 52) as i64 - 1023;
    if threshold.to_bits() == 0 {
        bits.write(0, 8);
    } else if threshold.to_bits() << 12 == 0 && (-243..=10).contains(&power) {
        bits.write((power + 244).cast_unsigned(), 8);
    } else {
        bits.write(255, 8);
        bits.write(threshold.to_bits(), 64);
    }
}

fn write_spans(bits: &mut Bits<'_>, spans: &[Span]) {
    bits.varbit(spans.len() as u64);
    for span in spans {
        bits.varbit(u64::from(span.length));
        bits.varbit_signed(i64::from(span.offset));
    }
}

/// One more than its thousandths, if it is a whole number of them; else zero and its bits.
fn write_bound(bits: &mut Bits<'_>, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    let is_told = (0.0..=THOUSANDTHS_MAX).contains(&thousandths) && (thousandths / 1000.0).to_bits() == bound.to_bits();
    if is_told {
        return bits.varbit(thousandths as u64 + 1);
    }
    bits.write(0, 1);
    bits.write(bound.to_bits(), 64);
}
