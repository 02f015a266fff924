//! A disk that is only looked at: a database at rest is opened on it as it is on the real one, and stays as it lies.
//!
//! Opening tidies up: it removes what a crash left, and gives back what was reserved. Here such orders are answered as if
//! they were carried out, and are not; whoever gave one does not read the file again. A folder that is not there is an
//! empty one. To make or write a file fails.
//!
//! Always true: no byte and no name below it changes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskError, DiskFile, FileBytes};

/// Another disk, for readers.
pub struct ReadOnlyDisk(Arc<dyn Disk>);

impl ReadOnlyDisk {
    /// The same files, unchangeable.
    pub fn over(disk: Arc<dyn Disk>) -> ReadOnlyDisk {
        ReadOnlyDisk(disk)
    }
}

fn refused(operation: &'static str, path: &Path) -> DiskError {
    DiskError::new(operation, path, ErrorKind::ReadOnlyFilesystem.into())
}

/// A folder that somebody ordered to be made, or might have.
fn empty_if_missing(listed: Result<Vec<String>, DiskError>) -> Result<Vec<String>, DiskError> {
    match listed {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        listed => listed,
    }
}

impl Disk for ReadOnlyDisk {
    fn create_folder(&self, _folder: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove_folder(&self, _folder: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        empty_if_missing(self.0.list(folder))
    }

    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        empty_if_missing(self.0.list_folders(folder))
    }

    fn create(&self, path: &Path, _reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        Err(refused("create", path))
    }

    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        self.0.read(path)
    }

    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.0.file_bytes(path)
    }

    fn hard_link(&self, _from: &Path, to: &Path) -> Result<(), DiskError> {
        Err(refused("link", to))
    }

    fn will_read(&self, paths: &[PathBuf]) {
        self.0.will_read(paths);
    }

    fn rename(&self, _from: &Path, _to: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn shorten(&self, _path: &Path, _length: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&self, _path: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64, DiskError> {
        self.0.free_bytes(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn orders_to_tidy_up_change_nothing_and_new_files_are_refused() {
        let below = SimulatedDisk::new();
        let (file, other) = (Path::new("/data/a"), Path::new("/data/b"));
        below.create(file, 0).expect("created").write_at(0, b"bytes").expect("written");
        let before = below.operation_count();
        let disk = ReadOnlyDisk::over(Arc::new(below.clone()));
        disk.remove(file).expect("answered");
        disk.shorten(file, 1).expect("answered");
        disk.rename(file, other).expect("answered");
        disk.sync_folder(Path::new("/data")).expect("answered");
        for refused in [disk.create(other, 0).map(|_| ()), disk.hard_link(file, other), disk.replace(file, b"new")] {
            assert_eq!(refused.expect_err("refused").source.kind(), ErrorKind::ReadOnlyFilesystem);
        }
        disk.create_folder(Path::new("/data/c")).expect("answered");
        assert_eq!(disk.list(Path::new("/data/c")).expect("an empty folder"), Vec::<String>::new());
        assert_eq!(below.operation_count(), before);
        assert_eq!(&disk.read(file).expect("it is there")[..], b"bytes");
    }
}
