//! Checksums made anew, wherever the bytes say that there is one: as a program would that writes wrong bytes, and no disk
//! that damages them. Follows the chapters, not the code, and gives up where the bytes lead outside.

/// A file of records: those of its header, and of the records up to the first that is longer than the file.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if file.len() < 32 {
        return file;
    }
    let mut chain = put_checksum(&mut file, 0..28, 28);
    let mut at = 32;
    while file.len() >= at + 24 {
        let payload_bytes = u32_at(&file, at) as usize;
        let end = at + 24 + payload_bytes;
        if payload_bytes == 0 || end > file.len() {
            break;
        }
        put_checksum(&mut file, at + 24..end, at + 8);
        put(&mut file, at + 12, chain);
        chain = crc32c::crc32c(&file[at..at + 16]);
        if file[at + 5] == 1 {
            chain = crc32c::crc32c_append(chain, &file[at + 20..at + 24]);
        }
        put(&mut file, at + 16, chain);
        at = end.next_multiple_of(8);
    }
    file
}

/// A file whose last four bytes are the checksum of all before.
pub(crate) fn last_word(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if let Some(end) = file.len().checked_sub(4) {
        put_checksum(&mut file, 0..end, end);
    }
    file
}

/// A manifest: the last word of its last line.
pub(crate) fn manifest(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    let before_last = file.len().saturating_sub(1);
    let start = file[..before_last].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let digits = format!("{:08x}\n", crc32c::crc32c(&file[..start]));
    if file.len() >= start + digits.len() {
        let at = file.len() - digits.len();
        file[at..].copy_from_slice(digits.as_bytes());
    }
    file
}

/// A group: its head, and the bodies that its rows tell.
pub(crate) fn group(bytes: &[u8]) -> Vec<u8> {
    let mut group = bytes.to_vec();
    if group.len() < 9 {
        return group;
    }
    let head_bytes = (u32_at(&group, 1) as usize).clamp(9, group.len());
    put_checksum(&mut group, 0..head_bytes - 4, head_bytes - 4);
    let lengths = body_lengths(&group[5..head_bytes - 4]).unwrap_or_default();
    let mut at = head_bytes;
    for length in lengths.into_iter().filter(|length| *length > 16) {
        let Some(end) = at.checked_add(length).filter(|end| *end + 4 <= group.len()) else { break };
        put_checksum(&mut group, at..end, end);
        at = end + 4;
    }
    group
}

/// Lengths of the bodies of a group, from its rows.
fn body_lengths(mut rows: &[u8]) -> Option<Vec<usize>> {
    let (columns, timestamps) = (varint(&mut rows)?, varint(&mut rows)?);
    let mut lengths = Vec::new();
    for _ in 0..timestamps.min(1024) {
        for _ in 0..3 {
            varint(&mut rows)?;
        }
        lengths.push(varint(&mut rows)? as usize);
    }
    for _ in 0..columns.min(1024) {
        let (kind, rest) = rows.split_first()?;
        rows = rest;
        for flag in [0x10, 0x20] {
            if kind & flag != 0 {
                varint(&mut rows)?;
            }
        }
        lengths.push(varint(&mut rows)? as usize);
    }
    Some(lengths)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = bytes.iter().position(|byte| *byte < 0x80)? + 1;
    let (told, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(told.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

/// A block of either version: its regions, and its two ends. Groups and chunks are sealed when they are read.
pub(crate) fn block(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if file.len() < 64 + 104 {
        return file;
    }
    let header = put_checksum(&mut file, 0..60, 60);
    let footer = file.len() - 104;
    if file[8] == 1 {
        for at in [footer, footer + 24, footer + 48] {
            let start = u64_at(&file, at);
            put_region(&mut file, start, u64_at(bytes, at + 8), at + 16);
        }
    } else {
        let mut start = u64_at(&file, footer).saturating_add(64);
        for at in (0..5).map(|region| footer + 8 + 16 * region) {
            let length = u64_at(&file, at);
            put_region(&mut file, start, length, at + 8);
            start = start.saturating_add(length);
        }
    }
    put(&mut file, footer + 88, header);
    put_checksum(&mut file, footer..footer + 92, footer + 92);
    file
}

fn put_region(file: &mut [u8], start: u64, length: u64, at: usize) {
    let end = start.saturating_add(length);
    if end <= file.len() as u64 {
        put_checksum(file, start as usize..end as usize, at);
    }
}

/// Writes the checksum of a part of the bytes to `at` and gives it.
fn put_checksum(bytes: &mut [u8], part: std::ops::Range<usize>, at: usize) -> u32 {
    let checksum = crc32c::crc32c(&bytes[part]);
    put(bytes, at, checksum);
    checksum
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
