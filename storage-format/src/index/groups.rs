//! Where the groups of a block lie and which time they cover.

use super::Parts;
use crate::Corruption;
use crate::bytes::{i64_at, u32_at, u64_at};

/// Width of an entry: offset, times, samples.
const ENTRY_BYTES: usize = 28;

/// What the table says of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMeta {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Timestamp of its first sample, ms since 1970 UTC.
    pub min_time_ms: i64,
    /// Timestamp of its last sample, ms since 1970 UTC.
    pub max_time_ms: i64,
    /// Samples of all its columns.
    pub sample_count: u64,
}

/// The group table region, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupTable<'a> {
    parts: Parts<'a>,
    /// Where the last group ends in the file.
    end: u64,
}

impl<'a> GroupTable<'a> {
    pub(crate) fn open(parts: Parts<'a>, groups_end: u64) -> Result<GroupTable<'a>, Corruption> {
        if !parts.bytes.len().is_multiple_of(ENTRY_BYTES) || u32::try_from(parts.bytes.len() / ENTRY_BYTES).is_err() {
            return Err(parts.corruption(0, "the group table is not one of whole entries"));
        }
        Ok(GroupTable { parts, end: groups_end })
    }

    pub(crate) fn count(&self) -> u32 {
        (self.parts.bytes.len() / ENTRY_BYTES) as u32
    }

    /// One group, which lies before `groups_end` and not before `groups_start`.
    pub(crate) fn get(&self, group: u32, groups_start: u64) -> Result<GroupMeta, Corruption> {
        let at = group as usize * ENTRY_BYTES;
        let entry = self.parts.bytes.get(at..at + ENTRY_BYTES);
        let entry = entry.ok_or(self.parts.corruption(at, "a group lies outside of its table"))?;
        let following = self.parts.bytes.get(at + ENTRY_BYTES..).filter(|rest| !rest.is_empty());
        let offset = u64_at(entry, 0);
        let end = following.map_or(self.end, |rest| u64_at(rest, 0));
        if offset < groups_start || offset > end || end > self.end {
            return Err(self.parts.corruption(at, "a group lies outside of its region"));
        }
        let (min_time_ms, max_time_ms) = (i64_at(entry, 8), i64_at(entry, 16));
        if min_time_ms > max_time_ms {
            return Err(self.parts.corruption(at + 8, "a group ends before it starts"));
        }
        Ok(GroupMeta { offset, length: end - offset, min_time_ms, max_time_ms, sample_count: u32_at(entry, 24).into() })
    }
}

/// Appends an entry; the length follows from the next one. Panics if the group has 2^32 samples.
pub(super) fn append_entry(out: &mut Vec<u8>, group: &GroupMeta) {
    let sample_count = u32::try_from(group.sample_count).expect("a group has fewer than 2^32 samples");
    out.extend_from_slice(&group.offset.to_le_bytes());
    out.extend_from_slice(&group.min_time_ms.to_le_bytes());
    out.extend_from_slice(&group.max_time_ms.to_le_bytes());
    out.extend_from_slice(&sample_count.to_le_bytes());
}
