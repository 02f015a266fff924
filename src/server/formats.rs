//! Files of a newer Dozor, met before anything is touched: a rollback that went too far must not cost a rename.
//!
//! `blocks/1699999200000-1700006400000.1.block has format 3, this binary reads up to 2`
//!
//! Always true: a file whose header is damaged is not taken for one of the future; its own reader deals with it.

use std::path::{Path, PathBuf};

use storage_format::version_of;

use crate::disk::{Disk, DiskError};

/// Where files of ours are: the folder in the data folder, and the extension that counts.
const PLACES: [(&str, &str); 10] = [
    ("", "state"),
    ("", "meta"),
    ("", "rules"),
    ("", "silences"),
    ("", "calendar"),
    ("blocks", "block"),
    ("log", "log"),
    ("outbox", "outbox"),
    ("incidents", "incidents"),
    ("push_groups", "group"),
];

/// A file that this binary is too old for.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} has format {version}, this binary reads up to {known}: start the newer dozor again, or move the file away",
    file = file.display()
)]
pub struct NewerFormat {
    /// The file.
    pub file: PathBuf,
    /// Its version.
    pub version: u16,
    /// The newest that is known.
    pub known: u16,
}

/// Looks at the first bytes of every file in the data folder. Reads only.
pub(super) fn find_newer(disk: &dyn Disk, data_dir: &Path) -> Result<Option<NewerFormat>, DiskError> {
    for (folder, extension) in PLACES {
        let folder = data_dir.join(folder);
        let names = match disk.list(&folder) {
            Err(error) if error.is_not_found() => continue,
            names => names?,
        };
        for file in names.iter().map(|name| folder.join(name)) {
            if file.extension().is_none_or(|found| found != extension) {
                continue;
            }
            let Some((kind, version)) = version_of(&disk.read(&file)?) else { continue };
            if version > kind.version() {
                return Ok(Some(NewerFormat { file, version, known: kind.version() }));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage_format::FileType;
    use storage_format::frame::{FileHeader, FileKind};

    use super::*;
    use crate::disk::SimulatedDisk;

    fn header(kind: FileType, version: u16) -> Vec<u8> {
        let header_bytes = if kind == FileType::Block { 64 } else { 32 };
        let mut bytes = vec![0; header_bytes - 4];
        bytes[..8].copy_from_slice(kind.magic());
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn each_kind_of_file_from_the_future_is_named_with_both_versions() {
        let data = Path::new("/data");
        let files = [
            (FileType::Block, "blocks/0-7200000.block"),
            (FileType::Log, "log/00000001.log"),
            (FileType::Outbox, "outbox/0000000001.outbox"),
            (FileType::Detector, "detect.state"),
            (FileType::Metadata, "families.meta"),
            (FileType::PushGroup, "push_groups/0123.group"),
            (FileType::Rules, "alerts.rules"),
            (FileType::Incidents, "incidents/0000000001.incidents"),
            (FileType::Silences, "alerts.silences"),
            (FileType::Calendar, "announced.calendar"),
        ];
        for (kind, name) in files {
            let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
            disk.replace(&data.join(name), &header(kind, kind.version())).expect("written");
            assert!(find_newer(&*disk, data).expect("read").is_none(), "{name} is of today");
            disk.replace(&data.join(name), &header(kind, kind.version() + 1)).expect("written");
            let text = find_newer(&*disk, data).expect("read").expect("a newer file").to_string();
            let told =
                format!("/data/{name} has format {}, this binary reads up to {}", kind.version() + 1, kind.version());
            assert!(text.starts_with(&told), "{text}");
        }
    }

    #[test]
    fn a_damaged_header_is_no_newer_format() {
        let (disk, data) = (SimulatedDisk::new(), Path::new("/data"));
        let mut bytes = FileHeader::new(FileKind::Log, 1, 0, 0).encode();
        bytes[8] = 9;
        disk.replace(&data.join("log/00000001.log"), &bytes).expect("written");
        assert!(find_newer(&disk, data).expect("read").is_none());
    }
}
