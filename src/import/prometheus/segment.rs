//! A segment of Prometheus's log: pages of 32 KiB with the parts of records.
//!
//! ```text
//! page    part │ part │ … │ zeros
//! part    kind and compression u8 │ length u16 │ crc32c u32 │ bytes
//!
//! kind    1 a whole record    2 its first part    3 one between    4 the last    0 nothing more on this page
//! ```
//!
//! A record does not go beyond its segment, so damage costs at most the rest of one.

use super::bytes::Bytes;
use super::index::Wrong;

const PAGE_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 7;
const KIND_BITS: u8 = 0b111;
const SNAPPY: u8 = 0x08;
const ZSTD: u8 = 0x10;
/// Longest record, inflated.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// What is wrong with a segment that was cut off, as happens when Prometheus is killed.
pub(super) const CUT_OFF: &str = "the log ends within a record";

/// How far into a segment we are.
#[derive(Default)]
pub(super) struct SegmentReader {
    at: usize,
    record: Vec<u8>,
    inflated: Vec<u8>,
}

impl SegmentReader {
    /// Where the next part begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next record; `None` at the end. After a failure the rest of the segment cannot be read.
    pub(super) fn next<'a>(&'a mut self, file: &[u8]) -> Result<Option<&'a [u8]>, Wrong> {
        self.record.clear();
        let mut is_within = false;
        loop {
            let Some(part) = next_part(file, &mut self.at)? else {
                return if is_within { Err((self.at, CUT_OFF)) } else { Ok(None) };
            };
            match (part.head & KIND_BITS, is_within) {
                (1 | 2, false) | (3 | 4, true) => self.record.extend_from_slice(part.bytes),
                _ => return Err((part.at, "the parts of a record are not in order")),
            }
            is_within = true;
            if matches!(part.head & KIND_BITS, 1 | 4) {
                let record = inflated(part.head, &self.record, &mut self.inflated);
                return record.map(Some).map_err(|what| (part.at, what));
            }
        }
    }
}

struct Part<'a> {
    at: usize,
    head: u8,
    bytes: &'a [u8],
}

fn next_part<'a>(file: &'a [u8], at: &mut usize) -> Result<Option<Part<'a>>, Wrong> {
    loop {
        let page_end = (*at + 1).next_multiple_of(PAGE_BYTES);
        let page = file.get(*at..page_end.min(file.len())).unwrap_or_default();
        let Some(head) = page.first().copied() else { return Ok(None) };
        if page_end - *at < HEAD_BYTES || head & KIND_BITS == 0 {
            if page.iter().any(|byte| *byte != 0) {
                return Err((*at, "the end of a page is not empty"));
            }
            *at = page_end;
            continue;
        }
        let mut bytes = Bytes::new(&page[1..]);
        let (Some(length), Some(sum)) = (bytes.u16(), bytes.u32()) else { return Err((*at, CUT_OFF)) };
        if HEAD_BYTES + usize::from(length) > page_end - *at {
            return Err((*at, "a part of a record is longer than its page"));
        }
        let bytes = bytes.take(usize::from(length)).ok_or((*at, CUT_OFF))?;
        if crc32c::crc32c(bytes) != sum {
            return Err((*at, "the checksum of a record does not fit"));
        }
        let part = Part { at: *at, head, bytes };
        *at += HEAD_BYTES + bytes.len();
        return Ok(Some(part));
    }
}

/// The record as it was before it was compressed.
fn inflated<'a>(head: u8, record: &'a [u8], inflated: &'a mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    const BROKEN: &str = "a record cannot be inflated";
    const TOO_LONG: &str = "a record is longer than 256 MiB";
    inflated.clear();
    if head & SNAPPY != 0 {
        let length = snap::raw::decompress_len(record).map_err(|_| BROKEN)?;
        if length > RECORD_BYTES_MAX {
            return Err(TOO_LONG);
        }
        inflated.resize(length, 0);
        let length = snap::raw::Decoder::new().decompress(record, inflated).map_err(|_| BROKEN)?;
        return Ok(&inflated[..length]);
    }
    if head & ZSTD != 0 {
        use std::io::Read;
        let decoder = zstd::stream::read::Decoder::with_buffer(record).map_err(|_| BROKEN)?;
        decoder.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(inflated).map_err(|_| BROKEN)?;
        return if inflated.len() > RECORD_BYTES_MAX { Err(TOO_LONG) } else { Ok(inflated) };
    }
    Ok(record)
}
