//! Files, through one door, so that a test can be a disk that loses power.
//!
//! [`RealDisk`] is the machine's own. [`SimulatedDisk`] keeps two images of each file, what a reader sees and what was
//! synced, and at [`SimulatedDisk::crash`] forgets or tears what was not; it can also fail the n-th operation.
//! [`ReadOnlyDisk`] is one of them for somebody who must not change it.
//!
//! What callers rely on:
//! 1. Bytes written are on disk when [`DiskFile::sync`] has returned, not before.
//! 2. A file created or renamed is found again after a crash when [`Disk::sync_folder`] of its folder has returned.
//! 3. After a failed sync nothing is known of what was written since the last one: write it again, to another file.
//! 4. A file that is shortened, or that the disk cannot read, while somebody reads it costs nobody the process: what is
//!    missing reads as zeros, and [`FileBytes::is_damaged`] says so from then on.

mod mapped;
mod mappings;
mod read_only;
mod real;
mod simulated;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use mapped::{Mapping, mapping_faults};
pub use read_only::ReadOnlyDisk;
pub use real::{FolderLock, RealDisk};
pub use simulated::SimulatedDisk;

/// Bytes of one write while a file is copied.
const COPY_BYTES: usize = 1 << 20;

/// What happened, to which file. The operator must act: free space, replace the disk, mend the permissions.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// The verb that failed.
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

impl DiskError {
    /// Puts the verb and the file to what the system said.
    pub fn new(operation: &'static str, path: &Path, source: std::io::Error) -> DiskError {
        DiskError { operation, path: path.to_owned(), source }
    }

    /// Whether there was no room, on the disk or in what we may take of it: it may work later.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    }

    /// Whether there was no such file.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }
}

/// A place for files. Shared by every thread; each operation stands for itself.
pub trait Disk: Send + Sync {
    /// Makes the folder and those above it; one that is there already is fine.
    fn create_folder(&self, folder: &Path) -> Result<(), DiskError>;
    /// Removes a folder that is empty.
    fn remove_folder(&self, folder: &Path) -> Result<(), DiskError>;
    /// Names of the files in a folder, sorted. Folders in it are left out.
    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError>;
    /// Names of the folders in a folder, sorted. Files in it are left out.
    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError>;
    /// Makes an empty file, in place of an earlier one. With `reserve_bytes` it reads as that many zeros, and the
    /// space for them is taken now, so that writing there cannot run out of it.
    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError>;
    /// The whole of a file that nobody changes any more, or that only grows.
    fn read(&self, path: &Path) -> Result<FileBytes, DiskError>;
    /// Length of a file in bytes, reserved zeros included.
    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError>;
    /// Gives a file a second name; both stand for the same bytes until one is removed. Fails when there is a file of that
    /// name, and on a file system without such links: [`Disk::copy`] then does instead.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Says that all of these files will be read soon, from front to back: a disk may begin to fetch them. Only a hint.
    fn will_read(&self, _paths: &[PathBuf]) {}
    /// Gives a file another name, in place of a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Cuts a file that nobody writes to or has mapped off behind `length` bytes.
    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<(), DiskError>;
    /// Makes what was created, renamed and removed in the folder last.
    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError>;
    /// Bytes that are free for us on this disk.
    fn free_bytes(&self, folder: &Path) -> Result<u64, DiskError>;

    /// Writes a file as a whole: after a crash there is the old one or the new one, never a part.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let temporary = path.with_extension("tmp");
        let file = self.create(&temporary, 0)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_folder(path.parent().unwrap_or(Path::new(".")))
    }

    /// Writes a second file with the bytes of the first, and syncs it; its name lasts once its folder is synced.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let bytes = self.read(from)?;
        let file = self.create(to, 0)?;
        let mut offset = 0;
        for part in bytes.chunks(COPY_BYTES) {
            file.write_at(offset, part)?;
            offset += part.len() as u64;
        }
        if bytes.is_damaged() {
            let source = std::io::Error::other("a part of the file cannot be read, or somebody shortened it");
            return Err(DiskError::new("copy", from, source));
        }
        file.sync()
    }
}

/// One file that is being written.
pub trait DiskFile: Send + Sync {
    /// Writes all bytes at the offset, counted from the file's start.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Returns when everything written is on disk (`fdatasync`).
    fn sync(&self) -> Result<(), DiskError>;
    /// Makes the file at least so long: what is new reads as zeros, and the space for them is taken now, so that writing
    /// there cannot run out of it.
    fn reserve(&self, length: u64) -> Result<(), DiskError>;
    /// Cuts the file off behind `length` bytes.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;
}

/// The bytes of a file: mapped, or a copy.
#[derive(Clone)]
pub enum FileBytes {
    /// Pages of the file itself, read as they are touched.
    Mapped(Arc<Mapping>),
    /// A copy in memory.
    Copied(Arc<[u8]>),
}

impl FileBytes {
    /// Whether a part could not be read and was zeros instead, because somebody shortened the file or the disk failed.
    /// Asked *after* reading what no checksum covers, and before it is used.
    pub fn is_damaged(&self) -> bool {
        match self {
            FileBytes::Mapped(mapping) => mapping.is_damaged(),
            FileBytes::Copied(_) => false,
        }
    }

    /// Says that what was read up to now is not needed soon, so that a long file, read once, does not lie in memory whole.
    pub fn forget(&self) {
        if let FileBytes::Mapped(mapping) = self {
            mapping.forget();
        }
    }
}

impl std::ops::Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            FileBytes::Mapped(map) => map,
            FileBytes::Copied(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
