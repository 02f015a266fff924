//! A chunk of native histograms, whose counts are integers or floats.
//!
//! ```text
//! count u16 │ 2 bits: 2 began anew, 3 gauges │ 6 bits │ layout │ first │ other │ …
//!
//! layout   zero threshold u8: 0, 2^(n - 244), or 255 and 64 bits │ schema │ spans above zero │ spans below │ bounds
//! first    time │ count │ zero count │ sum 64 bits │ buckets above, buckets below
//! other    change of step │ the others, each by what it was before
//!
//!          integers: counts are varbits, a bucket what it has more than the one before, later the change of its change
//!          floats:   counts are 64 bits, later the bits that differ, as in a chunk of numbers
//!
//! varbit   0 → 0   10 → 3 bits   110 → 6   9   12   18   25   11111110 → 56   11111111 → 64
//! ```
//!
//! Bounds are there under the schema of custom buckets: a varbit of one more than its thousandths, or 0 and 64 bits.

use std::sync::Arc;

use super::super::sample::AnySample;
use super::bytes::{Bits, Bytes};
use super::chunk::Window;
use super::record::{Buckets, CUSTOM_SCHEMA};
use crate::model::is_stale;
use crate::model::{BUCKETS_COUNT_MAX, CounterResetHint, FloatHistogram, HistogramError, IntegerHistogram, Side, Span};

/// Most counts of all histograms of a chunk, which otherwise could inflate to far more memory than it has bytes.
const NUMBERS_MAX: usize = 1 << 24;

/// Reads all histograms; of those that may not be stored it answers why. `None` where the data ends early or contradicts
/// itself; what was appended then is of no use.
pub(in crate::import) fn read_histograms(
    data: &[u8],
    buckets: Buckets,
    samples: &mut Vec<AnySample>,
) -> Option<Vec<HistogramError>> {
    let mut head = Bytes::new(data);
    let (count, flags) = (head.u16()?, head.u8()?);
    let mut refused = Vec::new();
    if count == 0 {
        return Some(refused);
    }
    let mut bits = Bits::new(head.rest());
    let layout = Layout::read(&mut bits)?;
    let places = layout.positive_places + layout.negative_places;
    if usize::from(count).checked_mul(places + 1)? > NUMBERS_MAX {
        return None;
    }
    let mut numbers = match buckets {
        Buckets::Integers => Numbers::Integers(vec![Integer::default(); 2 + places]),
        Buckets::Floats => Numbers::Floats(vec![Float::default(); 2 + places]),
    };
    let (mut timestamp_ms, mut step_ms, mut sum) = (0_i64, 0_i64, Float::default());
    for index in 0..count {
        if index == 0 {
            timestamp_ms = bits.varbit_signed()?;
            numbers.begin(&mut bits, &mut sum)?;
        } else {
            step_ms = step_ms.wrapping_add(bits.varbit_signed()?);
            timestamp_ms = timestamp_ms.wrapping_add(step_ms);
            numbers.go_on(&mut bits, &mut sum)?;
        }
        let hint = match (flags >> 6, index) {
            (3, _) => CounterResetHint::Gauge,
            (2, 0) => CounterResetHint::Reset,
            // That it went on shows in the numbers.
            _ => CounterResetHint::Unknown,
        };
        match layout.histogram(hint, f64::from_bits(sum.bits), &numbers) {
            Ok(histogram) => samples.push(AnySample::histogram(timestamp_ms, histogram)),
            Err(error) => refused.push(error),
        }
    }
    Some(refused)
}

/// What all histograms of a chunk have in common.
struct Layout {
    schema: i32,
    zero_threshold: f64,
    positive_spans: Vec<Span>,
    positive_places: usize,
    negative_spans: Vec<Span>,
    negative_places: usize,
    custom_values: Arc<[f64]>,
}

impl Layout {
    fn read(bits: &mut Bits<'_>) -> Option<Layout> {
        let zero_threshold = match bits.number(8)? {
            0 => 0.0,
            255 => f64::from_bits(bits.number(64)?),
            power => 2.0_f64.powi(power as i32 - 244),
        };
        let schema = i32::try_from(bits.varbit_signed()?).ok()?;
        let (positive_spans, positive_places) = read_spans(bits)?;
        let (negative_spans, negative_places) = read_spans(bits)?;
        let mut custom_values = Vec::new();
        if i64::from(schema) == CUSTOM_SCHEMA {
            let count = bits.varbit()?;
            for _ in 0..at_most_all(count)? {
                custom_values.push(match bits.varbit()? {
                    0 => f64::from_bits(bits.number(64)?),
                    number => (number - 1) as f64 / 1000.0,
                });
            }
        }
        let custom_values = custom_values.into();
        Some(Layout {
            schema,
            zero_threshold,
            positive_spans,
            positive_places,
            negative_spans,
            negative_places,
            custom_values,
        })
    }

    fn histogram(&self, hint: CounterResetHint, sum: f64, numbers: &Numbers) -> Result<FloatHistogram, HistogramError> {
        if is_stale(sum) {
            return Ok(FloatHistogram::stale());
        }
        let spans = (self.positive_spans.clone(), self.negative_spans.clone());
        let custom_values = self.custom_values.clone();
        let Layout { schema, zero_threshold, positive_places, .. } = *self;
        match numbers {
            Numbers::Integers(all) => {
                let (positive, negative) = all[2..].split_at(positive_places);
                let deltas = |side: &[Integer]| side.iter().map(|one| one.number).collect();
                IntegerHistogram {
                    hint,
                    schema,
                    zero_threshold,
                    zero_count: all[1].number as u64,
                    count: all[0].number as u64,
                    sum,
                    positive_spans: spans.0,
                    positive_deltas: deltas(positive),
                    negative_spans: spans.1,
                    negative_deltas: deltas(negative),
                    custom_values,
                }
                .into_float()
            }
            Numbers::Floats(all) => {
                let (positive, negative) = all[2..].split_at(positive_places);
                let counts = |side: &[Float]| side.iter().map(|one| f64::from_bits(one.bits)).collect();
                FloatHistogram {
                    hint,
                    schema,
                    zero_threshold,
                    zero_count: f64::from_bits(all[1].bits),
                    count: f64::from_bits(all[0].bits),
                    sum,
                    positive: Side { spans: spans.0, counts: counts(positive) },
                    negative: Side { spans: spans.1, counts: counts(negative) },
                    custom_values,
                }
                .admitted()
            }
        }
    }
}

fn read_spans(bits: &mut Bits<'_>) -> Option<(Vec<Span>, usize)> {
    let (mut spans, mut places) = (Vec::new(), 0_u64);
    let count = bits.varbit()?;
    for _ in 0..at_most_all(count)? {
        let length = u32::try_from(bits.varbit()?).ok()?;
        spans.push(Span { length, offset: i32::try_from(bits.varbit_signed()?).ok()? });
        places += u64::from(length);
    }
    Some((spans, at_most_all(places)?))
}

/// A number of spans, buckets or bounds that a histogram may have.
fn at_most_all(count: u64) -> Option<usize> {
    usize::try_from(count).ok().filter(|count| *count <= BUCKETS_COUNT_MAX)
}

/// Count, zero count, the buckets above zero, those below.
enum Numbers {
    Integers(Vec<Integer>),
    Floats(Vec<Float>),
}

/// A number and what it became more by.
#[derive(Clone, Copy, Default)]
struct Integer {
    number: i64,
    change: i64,
}

/// The bits of a number, and where they changed last.
#[derive(Clone, Copy, Default)]
struct Float {
    bits: u64,
    window: Window,
}

impl Numbers {
    /// Reads those of the first histogram.
    fn begin(&mut self, bits: &mut Bits<'_>, sum: &mut Float) -> Option<()> {
        match self {
            Numbers::Integers(all) => {
                all[0].number = bits.varbit()? as i64;
                all[1].number = bits.varbit()? as i64;
                sum.bits = bits.number(64)?;
                for one in &mut all[2..] {
                    one.number = bits.varbit_signed()?;
                }
            }
            Numbers::Floats(all) => {
                all[0].bits = bits.number(64)?;
                all[1].bits = bits.number(64)?;
                sum.bits = bits.number(64)?;
                for one in &mut all[2..] {
                    one.bits = bits.number(64)?;
                }
            }
        }
        Some(())
    }

    /// Reads those of the next. One that ends the series has no buckets.
    fn go_on(&mut self, bits: &mut Bits<'_>, sum: &mut Float) -> Option<()> {
        match self {
            Numbers::Integers(all) => {
                all[..2].iter_mut().try_for_each(|one| one.go_on(bits))?;
                sum.go_on(bits)?;
                if !sum.is_stale() {
                    all[2..].iter_mut().try_for_each(|one| one.go_on(bits))?;
                }
            }
            Numbers::Floats(all) => {
                all[..2].iter_mut().try_for_each(|one| one.go_on(bits))?;
                sum.go_on(bits)?;
                if !sum.is_stale() {
                    all[2..].iter_mut().try_for_each(|one| one.go_on(bits))?;
                }
            }
        }
        Some(())
    }
}

impl Integer {
    fn go_on(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.change = self.change.wrapping_add(bits.varbit_signed()?);
        self.number = self.number.wrapping_add(self.change);
        Some(())
    }
}

impl Float {
    fn go_on(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.bits ^= self.window.read(bits)?;
        Some(())
    }

    fn is_stale(self) -> bool {
        is_stale(f64::from_bits(self.bits))
    }
}
