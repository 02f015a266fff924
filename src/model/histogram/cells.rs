//! One side of a histogram: which buckets there are, and what is in them.
//!
//! Spans (offset -2, length 2) and (offset 3, length 1) are the buckets -2, -1 and 3 + 0 = 3: an offset counts from
//! behind the span before. Their counts lie behind each other in `counts`.

/// A run of buckets that lie side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Buckets left out since the span before; of the first span the index of its first bucket, which may be negative.
    pub offset: i32,
    /// How many buckets follow.
    pub length: u32,
}

/// The buckets above zero, or those below it, from zero outwards.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Which buckets there are.
    pub spans: Vec<Span>,
    /// The observations of each bucket of the spans: not sums, not differences.
    pub counts: Vec<f64>,
}

impl Side {
    /// A side of one span from bucket `offset` on; without a span when there are no counts.
    pub fn of_run(offset: i32, counts: Vec<f64>) -> Side {
        let length = u32::try_from(counts.len()).expect("a side is far smaller than 2^32 buckets");
        Side { spans: if length == 0 { Vec::new() } else { vec![Span { offset, length }] }, counts }
    }

    /// Index and observations of each bucket, from zero outwards. Ends where spans or counts end.
    pub fn cells(&self) -> impl Iterator<Item = (i64, f64)> {
        let starts = self.spans.iter().scan(0_i64, |end, span| {
            let first = *end + i64::from(span.offset);
            *end = first + i64::from(span.length);
            Some(first..*end)
        });
        starts.flatten().zip(self.counts.iter().copied())
    }

    /// As [`Side::cells`], towards zero.
    pub fn cells_back(&self) -> impl Iterator<Item = (i64, f64)> {
        let places: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        let end: i64 = self.spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        let counted = places.min(self.counts.len() as u64) as usize;
        let ends = self.spans.iter().rev().scan(end, |end, span| {
            let last = *end;
            let first = last - i64::from(span.length);
            *end = first - i64::from(span.offset);
            Some((first..last).rev())
        });
        ends.flatten().skip(places as usize - counted).zip(self.counts[..counted].iter().rev().copied())
    }

    /// The side with these buckets, indexes ascending; buckets beyond what an index can say are dropped.
    pub(super) fn of_cells(cells: impl IntoIterator<Item = (i64, f64)>) -> Side {
        let mut side = Side::default();
        let mut end = 0_i64;
        for (index, count) in cells {
            match side.spans.last_mut() {
                Some(span) if index == end => span.length += 1,
                _ => {
                    let Ok(offset) = i32::try_from(index - end) else { continue };
                    side.spans.push(Span { offset, length: 1 });
                }
            }
            side.counts.push(count);
            end = index + 1;
        }
        side
    }

    /// Whether both have the same buckets, spans of length zero left aside.
    pub(super) fn same_layout(&self, other: &Side) -> bool {
        self.spans == other.spans || folded(&self.spans).eq(folded(&other.spans))
    }

    /// Whether both have the same buckets and the same bits in them.
    pub(super) fn same_bits(&self, other: &Side) -> bool {
        self.same_layout(other)
            && self.counts.len() == other.counts.len()
            && self.counts.iter().zip(&other.counts).all(|(one, two)| one.to_bits() == two.to_bits())
    }
}

/// The spans that have buckets, an empty one's offset given to the next.
fn folded(spans: &[Span]) -> impl Iterator<Item = (i64, u32)> {
    let mut carried = 0_i64;
    spans.iter().filter_map(move |span| {
        carried += i64::from(span.offset);
        if span.length == 0 {
            return None;
        }
        Some((std::mem::take(&mut carried), span.length))
    })
}
