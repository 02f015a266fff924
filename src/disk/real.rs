//! The machine's own disk.

use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{Disk, DiskError, DiskFile, FileBytes, Mapping};

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// Holds a folder for this process; another process is refused until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl RealDisk {
    /// Takes the folder for this process, by an advisory lock on a file named `lock` in it.
    /// Fails with [`io::ErrorKind::WouldBlock`] when another process has it.
    pub fn lock_folder(folder: &Path) -> Result<FolderLock, DiskError> {
        let path = folder.join("lock");
        let failed = |source| DiskError::new("lock", &path, source);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| failed(errno.into()))?;
        Ok(FolderLock { _file: file })
    }
}

impl Disk for RealDisk {
    fn create_folder(&self, folder: &Path) -> Result<(), DiskError> {
        fs::create_dir_all(folder).map_err(|source| DiskError::new("create the folder", folder, source))
    }

    fn remove_folder(&self, folder: &Path) -> Result<(), DiskError> {
        fs::remove_dir(folder).map_err(|source| DiskError::new("remove the folder", folder, source))
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        names(folder, FileType::is_file)
    }

    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        names(folder, FileType::is_dir)
    }

    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        let failed = |source| DiskError::new("create", path, source);
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path).map_err(failed)?;
        if reserve_bytes > 0 {
            reserve(&file, reserve_bytes).map_err(failed)?;
        }
        Ok(Box::new(RealFile { file, path: path.to_owned() }))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk")]
    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        let failed = |source| DiskError::new("read", path, source);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Ok(FileBytes::Copied(Arc::from([])));
        }
        Ok(FileBytes::Mapped(Arc::new(Mapping::of(&file, path).map_err(failed)?)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk")]
    fn will_read(&self, paths: &[PathBuf]) {
        for file in paths.iter().filter_map(|path| File::open(path).ok()) {
            // A map is fetched a few pages a fault, with a wait each; this asks for all of it at once.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::WillNeed);
        }
    }

    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let metadata = fs::metadata(path).map_err(|source| DiskError::new("measure", path, source))?;
        Ok(metadata.len())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::hard_link(from, to).map_err(|source| DiskError::new("link", to, source))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk")]
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(|source| DiskError::new("rename", from, source))
    }

    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        let shorten = || OpenOptions::new().write(true).open(path)?.set_len(length);
        shorten().map_err(|source| DiskError::new("shorten", path, source))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).map_err(|source| DiskError::new("remove", path, source))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk")]
    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        let sync = || File::open(folder)?.sync_all();
        sync().map_err(|source| DiskError::new("sync the folder", folder, source))
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64, DiskError> {
        let figures = rustix::fs::statvfs(folder);
        let figures = figures.map_err(|errno| DiskError::new("measure", folder, errno.into()))?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }
}

/// Names of the entries of a kind, sorted.
fn names(folder: &Path, is_wanted: fn(&FileType) -> bool) -> Result<Vec<String>, DiskError> {
    let failed = |source| DiskError::new("list", folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_wanted(&entry.file_type().map_err(failed)?) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Takes the space now. A file system that cannot reserve gives a sparse file, and may still run out later.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes.max(file.metadata()?.len())),
        Err(errno) => Err(errno.into()),
    }
}

struct RealFile {
    file: File,
    path: PathBuf,
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, offset).map_err(|source| DiskError::new("write", &self.path, source))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|source| DiskError::new("sync", &self.path, source))
    }

    fn reserve(&self, length: u64) -> Result<(), DiskError> {
        reserve(&self.file, length).map_err(|source| DiskError::new("reserve room for", &self.path, source))
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.set_len(length).map_err(|source| DiskError::new("truncate", &self.path, source))
    }
}
