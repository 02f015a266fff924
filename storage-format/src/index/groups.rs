//! Where the groups of a block lie and which time they cover.

use super::Parts;
use crate::Corruption;

/// Count and widths in front of the entries.
const HEAD_BYTES: usize = 8;
const WIDTH_MAX: usize = 8;

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

/// From where offsets and times are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Where the first group starts in the file.
    pub(crate) groups_start: u64,
    /// First moment of the block, ms since 1970 UTC.
    pub(crate) min_time_ms: i64,
}

/// The group table region, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupTable<'a> {
    entries: Parts<'a>,
    count: u32,
    widths: [usize; 4],
    origin: Origin,
    groups_end: u64,
}

impl<'a> GroupTable<'a> {
    /// `groups_end` is where the last group ends in the file.
    pub(crate) fn open(parts: Parts<'a>, origin: Origin, groups_end: u64) -> Result<GroupTable<'a>, Corruption> {
        let (head, end) = parts.table(0, 1, HEAD_BYTES)?;
        let count = head.number(0);
        let widths = [4, 5, 6, 7].map(|at| usize::from(head.bytes[at]));
        if widths.iter().any(|width| !(1..=WIDTH_MAX).contains(width)) {
            return Err(parts.corruption(4, "a field of the group table has no possible width"));
        }
        let (entries, end) = parts.table(end, count, widths.iter().sum())?;
        if end != parts.bytes.len() {
            return Err(parts.corruption(end, "bytes are left behind the group table"));
        }
        Ok(GroupTable { entries, count, widths, origin, groups_end })
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// One group, which lies in the file between where groups start and where they end.
    pub(crate) fn get(&self, group: u32) -> Result<GroupMeta, Corruption> {
        let stride: usize = self.widths.iter().sum();
        let at = group as usize * stride;
        if group >= self.count {
            return Err(self.entries.corruption(self.entries.bytes.len(), "a group lies outside of its table"));
        }
        let fields = self.fields(at);
        let end = if group + 1 < self.count { self.offset(at + stride) } else { Some(self.groups_end) };
        let place = self.offset(at).zip(end).filter(|(offset, end)| offset <= end && *end <= self.groups_end);
        let (offset, end) = place.ok_or(self.entries.corruption(at, "a group lies outside of its region"))?;
        let min_time_ms = self.origin.min_time_ms.checked_add_unsigned(fields[1]);
        let times = min_time_ms.and_then(|min_ms| Some((min_ms, min_ms.checked_add_unsigned(fields[2])?)));
        let (min_time_ms, max_time_ms) =
            times.ok_or(self.entries.corruption(at, "the time of a group is out of range"))?;
        Ok(GroupMeta { offset, length: end - offset, min_time_ms, max_time_ms, sample_count: fields[3] })
    }

    /// Where the group starts whose entry is at `at`.
    fn offset(&self, at: usize) -> Option<u64> {
        self.origin.groups_start.checked_add(integer(&self.entries.bytes[at..at + self.widths[0]]))
    }

    fn fields(&self, mut at: usize) -> [u64; 4] {
        self.widths.map(|width| {
            at += width;
            integer(&self.entries.bytes[at - width..at])
        })
    }
}

fn integer(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |integer, byte| integer << 8 | u64::from(*byte))
}

/// Encodes the group table region of groups that lie one behind the other and not before the origin.
pub(super) fn encode(groups: &[GroupMeta], origin: Origin) -> Option<Vec<u8>> {
    let fields = |group: &GroupMeta| {
        let start = group.min_time_ms.wrapping_sub(origin.min_time_ms) as u64;
        let span = group.max_time_ms.wrapping_sub(group.min_time_ms) as u64;
        [group.offset - origin.groups_start, start, span, group.sample_count]
    };
    let bits_of = |field: usize| groups.iter().fold(0, |bits, group| bits | fields(group)[field]);
    let widths = [0, 1, 2, 3].map(|field| (64 - bits_of(field).leading_zeros()).div_ceil(8).max(1) as usize);
    let mut out = u32::try_from(groups.len()).ok()?.to_le_bytes().to_vec();
    out.extend(widths.map(|width| width as u8));
    for group in groups {
        for (field, width) in fields(group).into_iter().zip(widths) {
            out.extend_from_slice(&field.to_le_bytes()[..width]);
        }
    }
    Some(out)
}
