//! The two ends of a block: its header and its footer.

use super::{BlockRange, END_MAGIC, FOOTER_BYTES, HEADER_BYTES, MAGIC, Region, Regions};
use crate::bytes::{i64_at, u16_at, u32_at, u64_at};
use crate::{Corruption, FileType};

pub(super) fn encode_header(range: &BlockRange) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&FileType::Block.version().to_le_bytes());
    bytes[16..24].copy_from_slice(&range.min_time_ms.to_le_bytes());
    bytes[24..32].copy_from_slice(&range.max_time_ms.to_le_bytes());
    bytes[32..40].copy_from_slice(&range.created_ms.to_le_bytes());
    bytes[40] = range.level;
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the header of a file that is long enough for both ends.
pub(super) fn decode_header(bytes: &[u8]) -> Result<BlockRange, Corruption> {
    if bytes.len() < HEADER_BYTES + FOOTER_BYTES {
        return Err(Corruption::at(bytes.len(), "the file is shorter than a block can be"));
    }
    if &bytes[..8] != MAGIC {
        return Err(Corruption::at(0, "the file does not start with our magic"));
    }
    if u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
        return Err(Corruption::at(60, "the block header does not match its checksum"));
    }
    if u16_at(bytes, 8) != FileType::Block.version() {
        return Err(Corruption::at(8, "the version of the format is not one we read"));
    }
    if bytes[10..16].iter().chain(&bytes[41..60]).any(|byte| *byte != 0) {
        return Err(Corruption::at(10, "reserved bytes are not zero"));
    }
    let range = BlockRange {
        min_time_ms: i64_at(bytes, 16),
        max_time_ms: i64_at(bytes, 24),
        created_ms: i64_at(bytes, 32),
        level: bytes[40],
    };
    if range.min_time_ms >= range.max_time_ms {
        return Err(Corruption::at(16, "a block of no time"));
    }
    Ok(range)
}

/// The footer of regions that lie one behind the other, `header` being the block's.
pub(super) fn encode_footer(regions: &Regions, header: &[u8; HEADER_BYTES]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FOOTER_BYTES);
    bytes.extend_from_slice(&(regions.symbols.offset - HEADER_BYTES as u64).to_le_bytes());
    for region in regions.all() {
        bytes.extend_from_slice(&region.length.to_le_bytes());
        bytes.extend_from_slice(&region.checksum.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes.extend_from_slice(&header[60..]);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(END_MAGIC);
    bytes
}

/// Reads the footer of a file whose header is read, and lays out the regions.
pub(super) fn decode_footer(bytes: &[u8]) -> Result<Regions, Corruption> {
    let start = bytes.len() - FOOTER_BYTES;
    let footer = &bytes[start..];
    if &footer[96..] != END_MAGIC {
        return Err(Corruption::at(start + 96, "the block was not finished: it does not end with our magic"));
    }
    if u32_at(footer, 92) != crc32c::crc32c(&footer[..92]) {
        return Err(Corruption::at(start + 92, "the block footer does not match its checksum"));
    }
    if u32_at(footer, 88) != u32_at(bytes, 60) {
        return Err(Corruption::at(start + 88, "header and footer belong to different blocks"));
    }
    if [20, 36, 52, 68, 84].into_iter().any(|at| u32_at(footer, at) != 0) {
        return Err(Corruption::at(start + 20, "reserved bytes are not zero"));
    }
    let unlike = Corruption::at(start, "the parts of a block do not make up the file");
    let mut end = (HEADER_BYTES as u64).checked_add(u64_at(footer, 0)).ok_or(unlike)?;
    let mut regions = [Region::default(); 5];
    for (index, region) in regions.iter_mut().enumerate() {
        let at = 8 + 16 * index;
        *region = Region { offset: end, length: u64_at(footer, at), checksum: u32_at(footer, at + 8) };
        end = end.checked_add(region.length).ok_or(unlike)?;
    }
    let [symbols, postings, series, group_table, metadata] = regions;
    let regions = Regions { symbols, postings, series, group_table, metadata };
    if end == start as u64 { Ok(regions) } else { Err(unlike) }
}
