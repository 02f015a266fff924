#![doc = include_str!("../../spec/frame.md")]

mod read;
#[cfg(test)]
mod tests;
mod whole;
mod write;

pub use read::{Event, Reader};
pub use whole::{decode_whole, encode_whole};
pub use write::{append_record, begin_record, end_record, seal_group, seal_payload};

use crate::bytes::{i64_at, u16_at, u32_at};
use crate::{Corruption, FileType};

/// Length of the file header.
pub const FILE_HEADER_BYTES: usize = 32;
/// Length of a record's header.
pub const RECORD_HEADER_BYTES: usize = 24;
/// Records start at multiples of it.
pub const RECORD_ALIGNMENT: usize = 8;
/// Longest payload of a record.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// Layout of a record that says how much before it was not on disk; others say nothing of it.
const LAYOUT_GROUPED: u8 = 1;

/// What a framed file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A segment of the write-ahead log.
    Log,
    /// A file of the outbox.
    Outbox,
    /// A checkpoint of detector state: one JSON text a record.
    Detector,
    /// What is known of metrics beside their samples.
    Metadata,
    /// A group of the Pushgateway.
    PushGroup,
    /// The alerts of rules that are evaluated: one JSON text a record.
    Rules,
    /// A file of the journal of incidents.
    Incidents,
    /// Silences of alerts: one JSON text a record.
    Silences,
    /// Announced spans of the calendar: one JSON text a record.
    Calendar,
}

impl FileKind {
    /// All of them.
    pub const ALL: [FileKind; 9] = [
        FileKind::Log,
        FileKind::Outbox,
        FileKind::Detector,
        FileKind::Metadata,
        FileKind::PushGroup,
        FileKind::Rules,
        FileKind::Incidents,
        FileKind::Silences,
        FileKind::Calendar,
    ];

    /// The first eight bytes of such a file.
    pub fn magic(self) -> &'static [u8; 8] {
        match self {
            FileKind::Log => b"DOZORLOG",
            FileKind::Outbox => b"DOZOROUT",
            FileKind::Detector => b"DOZORDET",
            FileKind::Metadata => b"DOZORMET",
            FileKind::PushGroup => b"DOZORPSH",
            FileKind::Rules => b"DOZORRUL",
            FileKind::Incidents => b"DOZORINC",
            FileKind::Silences => b"DOZORSIL",
            FileKind::Calendar => b"DOZORCAL",
        }
    }

    /// The version of such a file that is written; older ones are read too, newer ones are not.
    pub fn version(self) -> u16 {
        FileType::from(self).version()
    }

    /// The kind of file that starts with `magic`, if it is one of these.
    pub fn of_magic(magic: &[u8]) -> Option<FileKind> {
        FileKind::ALL.into_iter().find(|kind| kind.magic() == magic)
    }
}

/// The first 32 bytes of a framed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What the records are.
    pub kind: FileKind,
    /// From 1 to [`FileKind::version`]; decoding refuses any other.
    pub version: u16,
    /// Position of this file among its kind, counted from 0.
    pub sequence: u32,
    /// When the file was created, ms since 1970 UTC.
    pub created_ms: i64,
    /// Any number that differs from file to file, so that no two files have the same chain.
    pub salt: u32,
}

impl FileHeader {
    /// A header of the present version.
    pub fn new(kind: FileKind, sequence: u32, created_ms: i64, salt: u32) -> FileHeader {
        FileHeader { kind, version: kind.version(), sequence, created_ms, salt }
    }

    /// The header as it stands in the file.
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[0..8].copy_from_slice(self.kind.magic());
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.created_ms.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header from the start of a file's bytes.
    pub fn decode(bytes: &[u8]) -> Result<FileHeader, Corruption> {
        let Some(bytes) = bytes.first_chunk::<FILE_HEADER_BYTES>() else {
            return Err(Corruption::at(bytes.len(), "the file ends within its header"));
        };
        let kind =
            FileKind::of_magic(&bytes[..8]).ok_or(Corruption::at(0, "the file does not start with our magic"))?;
        if u32_at(bytes, 28) != crc32c::crc32c(&bytes[..28]) {
            return Err(Corruption::at(28, "the file header does not match its checksum"));
        }
        let version = u16_at(bytes, 8);
        if !(1..=kind.version()).contains(&version) {
            return Err(Corruption::at(8, "the version of the format is not one we read"));
        }
        if u16_at(bytes, 10) != 0 {
            return Err(Corruption::at(10, "reserved bytes are not zero"));
        }
        Ok(FileHeader {
            kind,
            version,
            sequence: u32_at(bytes, 12),
            created_ms: i64_at(bytes, 16),
            salt: u32_at(bytes, 24),
        })
    }

    /// The chain value of the file's first record: the checksum of this header.
    pub fn chain_start(&self) -> u32 {
        u32_at(&self.encode(), 28)
    }
}

/// Length of a record in the file: header, payload, and padding to a multiple of eight.
fn padded_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGNMENT)
}

/// The checksum that belongs into the record header at the start of `record`.
fn header_checksum(record: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&record[..16]);
    if record[5] == LAYOUT_GROUPED { crc32c::crc32c_append(checksum, &record[20..24]) } else { checksum }
}
