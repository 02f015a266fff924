//! A chunk as a block stores it: kind, count, stream, checksum.

use super::{KIND_DELTA, decode};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, u32_at};

/// Bytes of the checksum behind the stream.
const CHECKSUM_BYTES: usize = 4;

/// The parts of a stored chunk whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredChunk<'a> {
    /// How the stream is encoded: [`KIND_DELTA`].
    pub kind: u8,
    /// Number of samples.
    pub count: u32,
    /// What [`decode`] takes.
    pub stream: &'a [u8],
    /// Where the stream starts within the stored bytes.
    pub stream_offset: u64,
}

/// Appends a stream of `count` samples in its stored form.
pub fn encode_stored(kind: u8, count: u32, stream: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(stream.len() + 10);
    out.push(kind);
    append_varint(out, u64::from(count));
    out.extend_from_slice(stream);
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Checks a stored chunk's checksum and takes it apart; `bytes` is exactly one chunk.
pub fn open_stored(bytes: &[u8]) -> Result<StoredChunk<'_>, Corruption> {
    let stream_end = bytes.len().saturating_sub(CHECKSUM_BYTES);
    let (body, checksum) = bytes.split_at(stream_end);
    if checksum.len() < CHECKSUM_BYTES || u32_at(checksum, 0) != crc32c::crc32c(body) {
        return Err(Corruption::at(stream_end, "a chunk does not match its checksum"));
    }
    let mut cursor = Cursor::new(body);
    let kind = cursor.u8()?;
    let count = cursor.varint_u32()?;
    let stream_offset = cursor.position();
    Ok(StoredChunk { kind, count, stream: &body[stream_offset..], stream_offset: stream_offset as u64 })
}

/// Checks a stored chunk and appends its samples as [`decode`] does; returns their count.
pub fn decode_stored(bytes: &[u8], timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<usize, Corruption> {
    let stored = open_stored(bytes)?;
    if stored.kind != KIND_DELTA {
        return Err(Corruption::at(0, "the kind of a chunk is not one we read"));
    }
    let count = stored.count as usize;
    decode(stored.stream, count, timestamps, values).map_err(|corruption| corruption.moved(stored.stream_offset))?;
    Ok(count)
}
