//! What was deleted and still lies in the block: `magic │ version │ (series uvarint, from varint, to varint)… │ crc32c`.

use hashbrown::HashMap;

use super::bytes::Bytes;
use crate::model::TimeRange;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
/// Bytes before the first, and behind the last.
const HEAD_BYTES: usize = 5;
const SUM_BYTES: usize = 4;

/// Deleted spans by the reference of their series. Those of a series are sorted and apart once [`settle`] was called.
pub(in crate::import) type Tombstones = HashMap<u64, Vec<TimeRange>>;

/// Reads the file. Fails with the offset and what is wrong there.
pub(in crate::import) fn read(file: &[u8]) -> Result<Tombstones, (usize, &'static str)> {
    let mut head = Bytes::new(file);
    if head.u32() != Some(MAGIC) {
        return Err((0, "this is no file of tombstones"));
    }
    if head.u8() != Some(VERSION) {
        return Err((4, "tombstones of a version that is not known"));
    }
    let end =
        file.len().checked_sub(SUM_BYTES).filter(|end| *end >= HEAD_BYTES).ok_or((HEAD_BYTES, "it ends early"))?;
    if Bytes::new(&file[end..]).u32() != Some(crc32c::crc32c(&file[HEAD_BYTES..end])) {
        return Err((end, "the checksum of the tombstones does not fit"));
    }
    let mut bytes = Bytes::new(&file[HEAD_BYTES..end]);
    let mut all = Tombstones::new();
    while !bytes.rest().is_empty() {
        let at = HEAD_BYTES + bytes.at();
        let mut one = || Some((bytes.uvarint()?, TimeRange { from_ms: bytes.varint()?, to_ms: bytes.varint()? }));
        let (series, range) = one().ok_or((at, "a tombstone ends early"))?;
        all.entry(series).or_default().push(range);
    }
    settle(&mut all);
    Ok(all)
}

/// Sorts the spans of each series, and makes one of those that overlap.
pub(in crate::import) fn settle(all: &mut Tombstones) {
    for spans in all.values_mut() {
        spans.sort_by_key(|span| span.from_ms);
        spans.dedup_by(|next, last| {
            let overlap = next.from_ms <= last.to_ms;
            if overlap {
                last.to_ms = last.to_ms.max(next.to_ms);
            }
            overlap
        });
    }
}

/// Whether a moment of a series was deleted.
pub(in crate::import) fn is_deleted(all: &Tombstones, series: u64, at_ms: i64) -> bool {
    let Some(spans) = all.get(&series) else { return false };
    let begun = spans.partition_point(|span| span.from_ms <= at_ms);
    begun > 0 && at_ms <= spans[begun - 1].to_ms
}
