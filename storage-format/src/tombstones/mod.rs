#![doc = include_str!("../../spec/tombstones.md")]

use crate::Corruption;
use crate::bytes::{Cursor, u32_at};

/// The first eight bytes.
pub const MAGIC: &[u8; 8] = b"DOZORDEL";
/// Version of this format.
pub const VERSION: u16 = 1;
/// Bytes before the entries.
pub const HEADER_BYTES: usize = 24;
/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 20;

/// A stretch of one series that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tombstone {
    /// Number of the series in its block.
    pub series: u32,
    /// First deleted moment, ms since 1970 UTC.
    pub from_ms: i64,
    /// Last deleted moment, ms since 1970 UTC.
    pub to_ms: i64,
}

/// Sorts, and makes one of those that overlap or touch.
pub fn normalise(tombstones: &mut Vec<Tombstone>) {
    tombstones.sort_unstable();
    tombstones.dedup_by(|next, earlier| {
        let joined = next.series == earlier.series && next.from_ms <= earlier.to_ms.saturating_add(1);
        if joined {
            earlier.to_ms = earlier.to_ms.max(next.to_ms);
        }
        joined
    });
}

/// The file of these tombstones, which are as [`normalise`] leaves them, of the block created at `block_created_ms`.
pub fn encode(tombstones: &[Tombstone], block_created_ms: i64) -> Vec<u8> {
    assert!(are_in_order(tombstones), "tombstones must be normalised");
    let count = u32::try_from(tombstones.len()).expect("a block has fewer than 2^32 deleted stretches");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + ENTRY_BYTES * tombstones.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&block_created_ms.to_le_bytes());
    for tombstone in tombstones {
        bytes.extend_from_slice(&tombstone.series.to_le_bytes());
        bytes.extend_from_slice(&tombstone.from_ms.to_le_bytes());
        bytes.extend_from_slice(&tombstone.to_ms.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The tombstones in a file, and created_ms of the block that they belong to.
pub fn decode(bytes: &[u8]) -> Result<(i64, Vec<Tombstone>), Corruption> {
    if bytes.len() < HEADER_BYTES + 4 {
        return Err(Corruption::at(0, "the file is too short for tombstones"));
    }
    let end = bytes.len() - 4;
    if crc32c::crc32c(&bytes[..end]) != u32_at(bytes, end) {
        return Err(Corruption::at(end, "the checksum of the tombstones differs"));
    }
    let mut cursor = Cursor::new(&bytes[..end]);
    if cursor.take(8)? != MAGIC {
        return Err(Corruption::at(0, "the file does not hold tombstones"));
    }
    if cursor.u16()? != VERSION || cursor.u16()? != 0 {
        return Err(Corruption::at(8, "tombstones of an unknown version"));
    }
    let count = cursor.u32()? as usize;
    let block_created_ms = cursor.i64()?;
    if cursor.remaining() != count.saturating_mul(ENTRY_BYTES) {
        return Err(Corruption::at(12, "the number of tombstones is not that of the file's length"));
    }
    let mut tombstones = Vec::with_capacity(count);
    for _ in 0..count {
        tombstones.push(Tombstone { series: cursor.u32()?, from_ms: cursor.i64()?, to_ms: cursor.i64()? });
    }
    if !are_in_order(&tombstones) {
        return Err(Corruption::at(HEADER_BYTES, "tombstones are out of order"));
    }
    Ok((block_created_ms, tombstones))
}

fn are_in_order(tombstones: &[Tombstone]) -> bool {
    let apart = |a: &Tombstone, b: &Tombstone| {
        a.series < b.series || (a.series == b.series && a.to_ms.saturating_add(1) < b.from_ms)
    };
    tombstones.iter().all(|one| one.from_ms <= one.to_ms) && tombstones.windows(2).all(|pair| apart(&pair[0], &pair[1]))
}

#[cfg(test)]
mod tests;
