//! Writing records, in two steps that may happen on two threads: whoever encodes a payload seals it, and whoever puts
//! the records in order sets the chain, which touches 24 bytes a record.

use super::{LAYOUT_GROUPED, RECORD_ALIGNMENT, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, header_checksum, padded_bytes};
use crate::bytes::u32_at;

/// Appends a whole record and returns the chain value for the next one.
///
/// `chain` is what the previous call returned, or [`super::FileHeader::chain_start`] for the first record of a file.
/// Panics if the payload is empty or longer than [`RECORD_BYTES_MAX`].
pub fn append_record(out: &mut Vec<u8>, kind: u8, shard: u16, chain: u32, payload: &[u8]) -> u32 {
    let start = begin_record(out);
    out.extend_from_slice(payload);
    end_record(out, start, kind, shard, chain)
}

/// Opens a record: the caller then appends the payload to `out`. Returns what [`end_record`] or [`seal_payload`] wants.
pub fn begin_record(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    start
}

/// Closes the record that [`begin_record`] opened at `start`, with its chain. As [`append_record`].
pub fn end_record(out: &mut Vec<u8>, start: usize, kind: u8, shard: u16, chain: u32) -> u32 {
    seal_payload(out, start, kind, shard);
    seal_header(&mut out[start..], chain)
}

/// Closes the record that [`begin_record`] opened at `start`, all but its chain, and pads it.
///
/// The record is not readable until [`seal_group`] gave it a chain.
/// Panics if the payload is empty or longer than [`RECORD_BYTES_MAX`].
pub fn seal_payload(out: &mut Vec<u8>, start: usize, kind: u8, shard: u16) {
    let payload = &out[start + RECORD_HEADER_BYTES..];
    let payload_bytes = payload.len();
    assert!(
        (1..=RECORD_BYTES_MAX).contains(&payload_bytes),
        "a record's payload has {payload_bytes} bytes, not 1 to {RECORD_BYTES_MAX}"
    );
    let checksum = crc32c::crc32c(payload);
    let header = &mut out[start..start + RECORD_HEADER_BYTES];
    header[0..4].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    header[4] = kind;
    header[6..8].copy_from_slice(&shard.to_le_bytes());
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    out.resize(start + padded_bytes(payload_bytes), 0);
}

/// Sets the chain of the sealed record at the start of `record` and returns the chain value for the next one.
fn seal_header(record: &mut [u8], chain: u32) -> u32 {
    record[12..16].copy_from_slice(&chain.to_le_bytes());
    let checksum = header_checksum(record);
    record[16..20].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Closes the headers of the records that are written at once, and returns the chain value for the next ones.
///
/// [`seal_payload`] sealed them one behind the other. `unsynced_bytes` says how much of the file, directly before
/// them, is not known to be on disk when they are written: what a power cut may then cost with them.
pub fn seal_group(records: &mut [u8], mut chain: u32, unsynced_bytes: u64) -> u32 {
    let mut start = 0;
    while start < records.len() {
        let record = &mut records[start..];
        let unsynced = (unsynced_bytes + start as u64) / RECORD_ALIGNMENT as u64;
        record[5] = LAYOUT_GROUPED;
        record[20..24].copy_from_slice(&u32::try_from(unsynced).unwrap_or(u32::MAX).to_le_bytes());
        chain = seal_header(record, chain);
        start += record_bytes(record);
    }
    chain
}

/// Length in the file of the sealed record at the start of `record`: header, payload and padding.
fn record_bytes(record: &[u8]) -> usize {
    padded_bytes(u32_at(record, 0) as usize)
}
