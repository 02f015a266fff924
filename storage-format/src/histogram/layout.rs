//! Which buckets a histogram has.

use std::sync::Arc;

use super::BUCKETS_MAX;
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// A run of buckets side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Buckets left out since the span before; of the first the index of its first bucket. Only that may be negative.
    pub offset: i32,
    /// How many buckets follow.
    pub length: u32,
}

/// Where the buckets of a histogram are.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Resolution, or that there are custom bounds; the meaning is the engine's.
    pub schema: i32,
    /// How far the zero bucket reaches.
    pub zero_threshold: f64,
    /// Buckets above zero.
    pub positive: Vec<Span>,
    /// Buckets below zero.
    pub negative: Vec<Span>,
    /// Bounds of custom buckets.
    pub custom_values: Arc<[f64]>,
}

/// By bits, like everything here.
impl PartialEq for Layout {
    fn eq(&self, other: &Layout) -> bool {
        self.same_frame(other) && self.positive == other.positive && self.negative == other.negative
    }
}

impl Eq for Layout {}

impl Layout {
    /// Whether a bucket of one index is the same in both.
    pub(super) fn same_frame(&self, other: &Layout) -> bool {
        let same_bits = |(one, two): (&f64, &f64)| one.to_bits() == two.to_bits();
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.custom_values.len() == other.custom_values.len()
            && self.custom_values.iter().zip(other.custom_values.iter()).all(same_bits)
    }

    /// Buckets above zero.
    pub(super) fn positive_count(&self) -> usize {
        buckets_count(&self.positive)
    }

    /// Buckets below zero.
    pub(super) fn negative_count(&self) -> usize {
        buckets_count(&self.negative)
    }

    /// All buckets but the one around zero.
    pub(super) fn buckets_count(&self) -> usize {
        self.positive_count() + self.negative_count()
    }

    pub(super) fn assert_bounded(&self) {
        if let Err(what) = self.check() {
            panic!("{what}");
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.positive.len().max(self.negative.len()).max(self.custom_values.len()) > BUCKETS_MAX {
            return Err("a histogram has too many spans or custom bounds");
        }
        let lengths = [&self.positive, &self.negative].into_iter().flatten().map(|span| u64::from(span.length));
        if lengths.sum::<u64>() > BUCKETS_MAX as u64 {
            return Err("a histogram has too many buckets");
        }
        let later = [&self.positive, &self.negative].into_iter().flat_map(|spans| spans.iter().skip(1));
        if later.into_iter().any(|span| span.offset < 0) {
            return Err("a span begins before the end of the one ahead of it");
        }
        Ok(())
    }

    /// Appends the layout.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        append_zigzag(out, i64::from(self.schema));
        out.extend_from_slice(&self.zero_threshold.to_bits().to_le_bytes());
        for spans in [&self.positive, &self.negative] {
            append_varint(out, spans.len() as u64);
            for span in spans {
                append_zigzag(out, i64::from(span.offset));
                append_varint(out, u64::from(span.length));
            }
        }
        append_varint(out, self.custom_values.len() as u64);
        for bound in self.custom_values.iter() {
            out.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
    }

    /// Reads a layout that stands at the cursor.
    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Layout, Corruption> {
        let at = cursor.position();
        let schema = read_i32(cursor)?;
        let zero_threshold = f64::from_bits(cursor.u64()?);
        let positive = read_spans(cursor)?;
        let negative = read_spans(cursor)?;
        let custom_count = cursor.count(8)?;
        let mut custom_values = Vec::with_capacity(custom_count);
        for _ in 0..custom_count {
            custom_values.push(f64::from_bits(cursor.u64()?));
        }
        let layout = Layout { schema, zero_threshold, positive, negative, custom_values: custom_values.into() };
        layout.check().map_err(|what| Corruption::at(at, what))?;
        Ok(layout)
    }
}

fn read_i32(cursor: &mut Cursor<'_>) -> Result<i32, Corruption> {
    let at = cursor.position();
    i32::try_from(cursor.zigzag()?).map_err(|_| Corruption::at(at, "a number exceeds 32 bits"))
}

fn read_spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, Corruption> {
    let count = cursor.count(2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        spans.push(Span { offset: read_i32(cursor)?, length: cursor.varint_u32()? });
    }
    Ok(spans)
}

fn buckets_count(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.length as usize).sum()
}

/// The indexes of the buckets, ascending.
pub(super) fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let runs = spans.iter().scan(0_i64, |end, span| {
        let first = *end + i64::from(span.offset);
        *end = first + i64::from(span.length);
        Some(first..*end)
    });
    runs.flatten()
}
