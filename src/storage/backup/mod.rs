//! Backups: the database as of one moment, in a folder beside it, for little more than the names.
//!
//! ```text
//! data/
//!   detect.state   ── linked ──┐
//!   outbox/…       ── copied ──┤     in this order, so that what is taken later knows
//!   log/…          ── linked ──┤     all that what was taken earlier builds on
//!   blocks/…       ── linked ──┤
//!   snapshots/20261122T003000Z-1a2b3c4d/
//!     detect.state  outbox/  log/  blocks/
//!     manifest                       written last
//! ```
//!
//! What was acknowledged before the snapshot was asked for is in it, in the log or in a block. The outbox and the
//! detectors' state are in it too, and that is why a restored server behaves as one that was killed at that moment and
//! started again: what it had told it does not tell again, what it still had to tell it tells, under the same ids.
//!
//! Always true:
//! 1. A snapshot is complete, with a manifest that names each file with its length and checksum, or it has no manifest
//!    and is removed at the next start.
//! 2. Taking, keeping and removing snapshots changes nothing of the data folder itself.
//! 3. A data folder that a restore did not finish has a file `restoring`, and is not started on.

mod kept;
mod restore;
mod snapshot;
mod verify;

use std::path::{Path, PathBuf};

use storage_format::Corruption;
pub use storage_format::manifest::Cause;
use storage_format::manifest::{Manifest, append_checksum};

pub use kept::{KeptSnapshot, SnapshotOptions, Snapshots, as_of, kept};
pub use restore::{Restored, check_restored, restore};
pub use snapshot::{Beside, Snapshot, remove_incomplete, snapshot_at_rest};
pub use verify::{Damage, Verification, verify};

use super::StorageError;
use crate::disk::{Disk, DiskError};

/// Bytes between two looks at whether to go on.
const PART_BYTES: usize = 8 << 20;
/// The file that makes a folder a snapshot.
const MANIFEST: &str = "manifest";

/// Why a backup was not made or used. Nothing of the data was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The database cannot do its part.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Somebody else's is not done yet.
    #[error("another snapshot is being taken: try again")]
    Busy,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
    /// The folder has no manifest, or one that cannot be read.
    #[error("{folder} is no complete snapshot: {what}", folder = folder.display())]
    NoSnapshot {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No snapshot is old enough.
    #[error("{0}")]
    NotKept(String),
    /// A file of the snapshot is not what the manifest says.
    #[error("the snapshot is damaged, and nothing was restored: {file}: {what}", file = file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// How it differs.
        what: String,
    },
    /// There is something where the snapshot is to be restored.
    #[error("{folder} is not empty: it has {example}; give another folder, or --replace to move what is there aside", folder = folder.display())]
    NotEmpty {
        /// The data folder.
        folder: PathBuf,
        /// One of the names in it.
        example: String,
    },
    /// A restore into this folder began and did not end.
    #[error("a restore into {folder} was not finished: run it again, with --replace", folder = .0.display())]
    Unfinished(PathBuf),
}

/// Where the snapshots of a data folder are.
pub fn snapshots_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshots")
}

/// Reads what a snapshot consists of.
fn read_manifest(disk: &dyn Disk, folder: &Path) -> Result<Manifest, BackupError> {
    let refused = |what: String| BackupError::NoSnapshot { folder: folder.to_owned(), what };
    let bytes = match disk.read(&folder.join(MANIFEST)) {
        Err(error) if error.is_not_found() => return Err(refused("it has no manifest".to_owned())),
        read => read?,
    };
    Manifest::decode(&bytes).map_err(|damage: Corruption| refused(format!("{MANIFEST}: {damage}")))
}

/// Length and checksum of a file. Fails with [`BackupError::Stopping`] when `go_on` says no.
fn checksum(disk: &dyn Disk, path: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(u64, u32), BackupError> {
    let bytes = disk.read(path)?;
    let mut checksum = 0;
    for part in bytes.chunks(PART_BYTES) {
        checksum = append_checksum(checksum, part);
        if !go_on(part.len() as u64) {
            return Err(BackupError::Stopping);
        }
    }
    Ok((bytes.len() as u64, checksum))
}

/// Gives the file a second name, or, where the file system cannot, writes it a second time.
fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    use std::io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    match disk.hard_link(from, to) {
        Err(error) if matches!(error.source.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported) => {
            disk.copy(from, to)
        }
        linked => linked,
    }
}

/// Names of the files in a folder; none where there is no folder.
fn files_of(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, DiskError> {
    empty_if_missing(disk.list(folder))
}

/// Names of the folders in a folder; none where there is no folder.
fn folders_of(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, DiskError> {
    empty_if_missing(disk.list_folders(folder))
}

fn empty_if_missing(listed: Result<Vec<String>, DiskError>) -> Result<Vec<String>, DiskError> {
    match listed {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        listed => listed,
    }
}
