//! Which series have a name or a pair: one list, as varints or as a bitmap, whichever is shorter.

use roaring::RoaringBitmap;

use super::Parts;
use crate::Corruption;
use crate::bytes::{Cursor, append_varint};

/// Bytes that a bitmap takes at least: no shorter list is tried as one.
const BITMAP_BYTES_MIN: usize = 15;

/// The series of a label name or a label pair, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct PostingsList<'a> {
    body: Parts<'a>,
    count: u32,
    packed: bool,
    series_count: u32,
}

impl<'a> PostingsList<'a> {
    pub(super) fn open(parts: Parts<'a>, series_count: u32) -> Result<PostingsList<'a>, Corruption> {
        let mut cursor = Cursor::new(parts.bytes);
        let head = cursor.varint().map_err(|corruption| corruption.moved(parts.base))?;
        if head >> 1 > u64::from(series_count) {
            return Err(parts.corruption(0, "a postings list has more series than there are"));
        }
        let body = parts.part(cursor.position(), parts.bytes.len());
        Ok(PostingsList { body, count: (head >> 1) as u32, packed: head & 1 == 1, series_count })
    }

    /// Number of series.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The series.
    pub fn read(&self) -> Result<RoaringBitmap, Corruption> {
        if self.packed {
            return self.read_bitmap();
        }
        let mut series = RoaringBitmap::new();
        self.add_to(&mut series)?;
        Ok(series)
    }

    /// Adds the series to a set. After an error `series` may have a part of them.
    pub fn add_to(&self, series: &mut RoaringBitmap) -> Result<(), Corruption> {
        if self.packed {
            *series |= self.read_bitmap()?;
            return Ok(());
        }
        self.read_varints(series).map_err(|corruption| corruption.moved(self.body.base))
    }

    fn read_varints(&self, series: &mut RoaringBitmap) -> Result<(), Corruption> {
        let mut cursor = Cursor::new(self.body.bytes);
        let mut next = 0u64;
        for index in 0..self.count {
            let delta = u64::from(cursor.varint_u32()?);
            if index > 0 && delta == 0 {
                return Err(cursor.corruption("a postings list is not ascending"));
            }
            next += delta;
            if next >= u64::from(self.series_count) {
                return Err(cursor.corruption("a postings list names a series that does not exist"));
            }
            series.insert(next as u32);
        }
        cursor.expect_end()
    }

    fn read_bitmap(&self) -> Result<RoaringBitmap, Corruption> {
        let mut rest = self.body.bytes;
        let damaged = |what| move |_| Corruption { offset: self.body.base, what };
        let series =
            RoaringBitmap::deserialize_from(&mut rest).map_err(damaged("a bitmap of postings is not as Roaring's"))?;
        if !rest.is_empty() || series.len() != u64::from(self.count) {
            return Err(self.body.corruption(0, "a bitmap of postings differs from its count"));
        }
        if series.max().is_some_and(|last| last >= self.series_count) {
            return Err(self.body.corruption(0, "a postings list names a series that does not exist"));
        }
        Ok(series)
    }
}

/// Appends a list of ascending series.
pub(super) fn append_list(out: &mut Vec<u8>, series: &[u32]) {
    let head = (series.len() as u64) << 1;
    let start = out.len();
    append_varint(out, head);
    let body = out.len();
    let mut previous = 0;
    for number in series {
        append_varint(out, u64::from(number - previous));
        previous = *number;
    }
    if out.len() - body <= BITMAP_BYTES_MIN {
        return;
    }
    let mut bitmap = RoaringBitmap::from_sorted_iter(series.iter().copied()).expect("series ascend");
    bitmap.optimize();
    if bitmap.serialized_size() < out.len() - body {
        out.truncate(start);
        append_varint(out, head | 1);
        bitmap.serialize_into(out).expect("memory takes all writes");
    }
}
