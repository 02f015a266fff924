//! Which file this is, and of which version: what a binary can say even of a file from its own future.
//!
//! ```text
//! version_of(bytes)
//!     Some((FileType::Block, 3))   a block of format 3; this binary reads up to 2
//!     Some((FileType::Block, 1))   `block_v1` reads it
//!     None                         damage, or none of our files
//! ```
//!
//! Always true: magic, version and checksum of a header stay where they are in all versions.

use crate::block;
use crate::bytes::{u16_at, u32_at};
use crate::frame::{FILE_HEADER_BYTES, FileKind};

/// What a file of a data folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A block.
    Block,
    /// A segment of the write-ahead log.
    Log,
    /// A file of the outbox.
    Outbox,
    /// A checkpoint of detector state.
    Detector,
    /// What is known of metrics beside their samples.
    Metadata,
    /// A group of the Pushgateway.
    PushGroup,
    /// The alerts of rules that are evaluated.
    Rules,
    /// A file of the journal of incidents.
    Incidents,
    /// Silences of alerts.
    Silences,
    /// Announced spans of the calendar.
    Calendar,
}

impl FileType {
    /// All of them.
    pub const ALL: [FileType; 10] = [
        FileType::Block,
        FileType::Log,
        FileType::Outbox,
        FileType::Detector,
        FileType::Metadata,
        FileType::PushGroup,
        FileType::Rules,
        FileType::Incidents,
        FileType::Silences,
        FileType::Calendar,
    ];

    /// The newest version of such a file, which is the one that is written. Readers take all versions from 1 up to it.
    pub const fn version(self) -> u16 {
        match self {
            FileType::Block | FileType::Log | FileType::Outbox => 2,
            FileType::Detector
            | FileType::Metadata
            | FileType::PushGroup
            | FileType::Rules
            | FileType::Incidents
            | FileType::Silences
            | FileType::Calendar => 1,
        }
    }

    /// The first eight bytes of such a file.
    pub fn magic(self) -> &'static [u8; 8] {
        match self {
            FileType::Block => block::MAGIC,
            FileType::Log => FileKind::Log.magic(),
            FileType::Outbox => FileKind::Outbox.magic(),
            FileType::Detector => FileKind::Detector.magic(),
            FileType::Metadata => FileKind::Metadata.magic(),
            FileType::PushGroup => FileKind::PushGroup.magic(),
            FileType::Rules => FileKind::Rules.magic(),
            FileType::Incidents => FileKind::Incidents.magic(),
            FileType::Silences => FileKind::Silences.magic(),
            FileType::Calendar => FileKind::Calendar.magic(),
        }
    }

    /// Length of the header in all versions; its last four bytes are the checksum of those before.
    fn header_bytes(self) -> usize {
        match self {
            FileType::Block => block::HEADER_BYTES,
            _ => FILE_HEADER_BYTES,
        }
    }
}

impl From<FileKind> for FileType {
    fn from(kind: FileKind) -> FileType {
        match kind {
            FileKind::Log => FileType::Log,
            FileKind::Outbox => FileType::Outbox,
            FileKind::Detector => FileType::Detector,
            FileKind::Metadata => FileType::Metadata,
            FileKind::PushGroup => FileType::PushGroup,
            FileKind::Rules => FileType::Rules,
            FileKind::Incidents => FileType::Incidents,
            FileKind::Silences => FileType::Silences,
            FileKind::Calendar => FileType::Calendar,
        }
    }
}

/// What the file that starts with `bytes` is and of which version, be it one we read or not. `None` if it is none of
/// ours or its header is damaged, so that damage is never taken for a file of the future.
pub fn version_of(bytes: &[u8]) -> Option<(FileType, u16)> {
    let kind = FileType::ALL.into_iter().find(|kind| bytes.starts_with(kind.magic()))?;
    let (told, checksum) = bytes.get(..kind.header_bytes())?.split_last_chunk::<4>()?;
    (crc32c::crc32c(told) == u32_at(checksum, 0)).then(|| (kind, u16_at(told, 8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FileHeader;

    fn header(kind: FileType, version: u16) -> Vec<u8> {
        let mut bytes = vec![0; kind.header_bytes() - 4];
        bytes[..8].copy_from_slice(kind.magic());
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn a_file_of_the_future_is_told_by_its_number() {
        for kind in FileType::ALL {
            assert_eq!(version_of(&header(kind, 700)), Some((kind, 700)));
        }
    }

    #[test]
    fn damage_is_not_taken_for_a_file_of_the_future() {
        for kind in FileType::ALL {
            let whole = header(kind, 2);
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(version_of(&damaged), None, "bit {bit}");
            }
            assert!((0..whole.len()).all(|length| version_of(&whole[..length]).is_none()));
        }
    }

    #[test]
    fn files_that_are_written_are_of_the_version_that_is_told() {
        for kind in FileKind::ALL {
            let told = FileType::from(kind);
            assert_eq!(version_of(&FileHeader::new(kind, 3, 5, 7).encode()), Some((told, told.version())));
        }
    }
}
