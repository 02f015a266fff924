//! Taking a snapshot, of a database that runs and of a folder that nobody uses.
//!
//! The moment of a running one is when the log's thread ends its segment: what it had acknowledged before is in a file
//! that nobody changes any more. From then until the last block is linked no block is cut, merged or removed. The
//! checksums, which take as long as reading takes, come after that and hold up nobody.

use std::path::{Path, PathBuf};

use storage_format::frame::{Event, Reader};
use storage_format::manifest::{Cause, Manifest, ManifestFile};

use super::super::{Storage, block, log};
use super::{BackupError, MANIFEST, checksum, files_of, folders_of, link_or_copy, read_manifest, snapshots_folder};
use crate::disk::{Disk, DiskError, FileBytes};

/// How often the list of a folder is read again because a file went while it was copied.
const COPY_ATTEMPTS: usize = 10;
/// Bytes at either end of a block by which it is known again.
const BLOCK_ENDS_BYTES: usize = 4096;

/// What belongs to the data and is not the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A file that is only ever replaced as a whole, so that its bytes stay under a second name.
    Replaced(&'static str),
    /// A folder whose framed files grow: copied, up to the last whole record.
    Growing(&'static str),
}

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, which is also its folder's: the moment, and something that tells two of one second apart.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// When, ms since 1970 UTC.
    pub created_ms: i64,
    /// Files in it, the manifest left out.
    pub file_count: usize,
    /// Bytes of these files, of which most are shared with the database.
    pub bytes: u64,
}

impl Storage {
    /// Takes a snapshot, `beside` first and in its order. Fails with [`BackupError::Stopping`] when `go_on` says no.
    pub(super) fn snapshot(
        &self,
        cause: Cause,
        beside: &[Beside],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Snapshot, BackupError> {
        let (disk, data_dir) = (&*self.disk, self.options.data_dir.as_path());
        Gathering::take(disk, data_dir, self.clock.now_ms(), cause, go_on, |gathering| {
            gathering.add_beside(beside)?;
            // Held from the log's last word to the last link: a block that is cut in between would have its samples in
            // no file of the snapshot once the log behind it went.
            let mut maintenance = self.take_maintenance();
            self.remove_left_behind(&mut maintenance)?;
            for segment in self.rotate_log()? {
                gathering.link(&segment)?;
            }
            gathering.add_blocks()
        })
    }
}

/// Takes a snapshot of a data folder that no server uses; the caller holds its lock.
pub fn snapshot_at_rest(
    disk: &dyn Disk,
    data_dir: &Path,
    now_ms: i64,
    beside: &[Beside],
) -> Result<Snapshot, BackupError> {
    super::check_restored(disk, data_dir)?;
    Gathering::take(disk, data_dir, now_ms, Cause::Request, &|| true, |gathering| {
        gathering.add_beside(beside)?;
        let log_folder = log::folder(data_dir);
        for name in files_of(disk, &log_folder)?.iter().filter(|name| log::sequence_of(name).is_some()) {
            gathering.add_segment_at_rest(&log_folder.join(name))?;
        }
        gathering.add_blocks()
    })
}

/// Removes snapshots that were begun and not finished, or removed and not to the end. Returns their names. Called before
/// anybody takes one.
pub fn remove_incomplete(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<String>, DiskError> {
    let folder = snapshots_folder(data_dir);
    let mut removed = Vec::new();
    for name in folders_of(disk, &folder)? {
        if !files_of(disk, &folder.join(&name))?.iter().any(|file| file == MANIFEST) {
            remove(disk, &folder.join(&name))?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Removes a snapshot, its manifest first: what a crash leaves of it is incomplete.
pub(super) fn remove(disk: &dyn Disk, folder: &Path) -> Result<(), DiskError> {
    if files_of(disk, folder)?.iter().any(|name| name == MANIFEST) {
        disk.remove(&folder.join(MANIFEST))?;
        disk.sync_folder(folder)?;
    }
    for inner in folders_of(disk, folder)? {
        let inner = folder.join(inner);
        files_of(disk, &inner)?.iter().try_for_each(|name| disk.remove(&inner.join(name)))?;
        disk.remove_folder(&inner)?;
    }
    files_of(disk, folder)?.iter().try_for_each(|name| disk.remove(&folder.join(name)))?;
    disk.remove_folder(folder)?;
    disk.sync_folder(folder.parent().unwrap_or(Path::new(".")))
}

/// A snapshot under way.
struct Gathering<'a> {
    disk: &'a dyn Disk,
    data_dir: &'a Path,
    folder: PathBuf,
    /// Paths from the folder.
    paths: Vec<String>,
}

impl<'a> Gathering<'a> {
    /// Makes the folder, lets `gather` fill it, and completes it. What fails leaves nothing behind.
    fn take(
        disk: &'a dyn Disk,
        data_dir: &'a Path,
        created_ms: i64,
        cause: Cause,
        go_on: &dyn Fn() -> bool,
        gather: impl FnOnce(&mut Gathering<'a>) -> Result<(), BackupError>,
    ) -> Result<Snapshot, BackupError> {
        let previous = super::kept(disk, data_dir)?.pop();
        let name = free_name(&folders_of(disk, &snapshots_folder(data_dir))?, created_ms);
        let folder = snapshots_folder(data_dir).join(&name);
        disk.create_folder(&folder)?;
        let mut gathering = Gathering { disk, data_dir, folder: folder.clone(), paths: Vec::new() };
        let taken = gather(&mut gathering).and_then(|()| {
            let previous = previous.map(|previous| previous.folder);
            gathering.complete(created_ms, cause, previous.as_deref(), go_on)
        });
        match taken {
            Ok(manifest) => {
                let (file_count, bytes) = (manifest.files.len(), manifest.total_bytes());
                Ok(Snapshot { name, folder, created_ms, file_count, bytes })
            }
            Err(error) => {
                // If even this fails, the next start removes it.
                let _ = remove(disk, &folder);
                Err(error)
            }
        }
    }

    fn add_beside(&mut self, beside: &[Beside]) -> Result<(), BackupError> {
        for one in beside {
            match one {
                Beside::Replaced(name) => self.link_if_there(&self.data_dir.join(name))?,
                Beside::Growing(folder) => self.copy_growing(folder)?,
            }
        }
        Ok(())
    }

    /// Links all blocks and what belongs to them; nobody changes them meanwhile.
    fn add_blocks(&mut self) -> Result<(), BackupError> {
        let folder = block::folder(self.data_dir);
        for name in files_of(self.disk, &folder)? {
            // A block that is not finished: what it is to hold is somewhere else.
            if !name.ends_with(".tmp") {
                self.link(&folder.join(name))?;
            }
        }
        Ok(())
    }

    /// A start gives back what a killed process had reserved behind its records, so such a file is not shared.
    fn add_segment_at_rest(&mut self, segment: &Path) -> Result<(), BackupError> {
        let bytes = self.disk.read(segment)?;
        match last_event(&bytes) {
            Some(Event::End { offset }) if offset < bytes.len() as u64 => {
                self.write(segment, &bytes[..offset as usize])
            }
            _ => self.link(segment),
        }
    }

    fn copy_growing(&mut self, folder: &str) -> Result<(), BackupError> {
        let folder = self.data_dir.join(folder);
        let mut attempts = 0;
        let files = loop {
            attempts += 1;
            match self.read_growing(&folder) {
                // Its successor has all of it that still matters.
                Err(error) if error.is_not_found() && attempts < COPY_ATTEMPTS => {}
                read => break read?,
            }
        };
        for (path, bytes) in files {
            let end = match last_event(&bytes) {
                // Of a record that is being written we see a part.
                Some(Event::End { offset } | Event::TornTail { from: offset }) => offset as usize,
                _ => bytes.len(),
            };
            self.write(&path, &bytes[..end])?;
        }
        Ok(())
    }

    fn read_growing(&self, folder: &Path) -> Result<Vec<(PathBuf, FileBytes)>, DiskError> {
        let mut files = Vec::new();
        for name in files_of(self.disk, folder)? {
            if !name.ends_with(".tmp") && !name.ends_with(".damaged") {
                let path = folder.join(name);
                let bytes = self.disk.read(&path)?;
                files.push((path, bytes));
            }
        }
        Ok(files)
    }

    /// Puts a file of the data folder into the snapshot, under the same path.
    fn link(&mut self, from: &Path) -> Result<(), BackupError> {
        let to = self.place(from)?;
        Ok(link_or_copy(self.disk, from, &to)?)
    }

    fn link_if_there(&mut self, from: &Path) -> Result<(), BackupError> {
        let name = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let there = files_of(self.disk, self.data_dir)?.iter().any(|known| known == name);
        if there { self.link(from) } else { Ok(()) }
    }

    fn write(&mut self, from: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let to = self.place(from)?;
        let file = self.disk.create(&to, 0)?;
        file.write_at(0, bytes)?;
        Ok(file.sync()?)
    }

    /// Where a file of the data folder goes, its folder made.
    fn place(&mut self, from: &Path) -> Result<PathBuf, DiskError> {
        let path = from.strip_prefix(self.data_dir).expect("only files of the data folder are taken");
        let to = self.folder.join(path);
        if let Some(parent) = to.parent() {
            self.disk.create_folder(parent)?;
        }
        self.paths.push(path.to_str().expect("our own names are text").to_owned());
        Ok(to)
    }

    /// Makes the names last, then says what they stand for.
    fn complete(
        mut self,
        created_ms: i64,
        cause: Cause,
        previous: Option<&Path>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Manifest, BackupError> {
        for inner in folders_of(self.disk, &self.folder)? {
            self.disk.sync_folder(&self.folder.join(inner))?;
        }
        for folder in [self.folder.as_path(), &snapshots_folder(self.data_dir), self.data_dir] {
            self.disk.sync_folder(folder)?;
        }
        let known = previous.and_then(|folder| Some((folder, read_manifest(self.disk, folder).ok()?)));
        self.paths.sort_unstable();
        let mut files = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let found = known.as_ref().and_then(|(folder, manifest)| self.known_again(path, folder, manifest));
            let file = match found {
                Some(file) => file,
                None => {
                    let (bytes, checksum) = checksum(self.disk, &self.folder.join(path), &mut |_| go_on())?;
                    ManifestFile { path: path.clone(), bytes, checksum }
                }
            };
            files.push(file);
        }
        let manifest = Manifest { created_ms, cause, files };
        self.disk.replace(&self.folder.join(MANIFEST), &manifest.encode())?;
        Ok(manifest)
    }

    /// What an earlier snapshot says of this block, so that it need not be read again: the same name, length, and ends,
    /// in which a block has when it was made and the checksums of its regions.
    fn known_again(&self, path: &str, earlier: &Path, manifest: &Manifest) -> Option<ManifestFile> {
        if !path.ends_with(".block") {
            return None;
        }
        let known = manifest.files.iter().find(|file| file.path == path)?;
        let (now, then) = (self.disk.read(&self.folder.join(path)).ok()?, self.disk.read(&earlier.join(path)).ok()?);
        let ends = |bytes: &[u8]| {
            let length = bytes.len().min(BLOCK_ENDS_BYTES);
            (bytes[..length].to_vec(), bytes[bytes.len() - length..].to_vec())
        };
        (now.len() as u64 == known.bytes && then.len() == now.len() && ends(&now) == ends(&then)).then(|| known.clone())
    }
}

/// How the records of a framed file end.
fn last_event(bytes: &[u8]) -> Option<Event<'_>> {
    Reader::open(bytes).ok()?.1.last()
}

/// A name that none of `taken` is.
fn free_name(taken: &[String], created_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(created_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let moment = moment.strftime("%Y%m%dT%H%M%SZ").to_string();
    (0_u64..)
        .map(|attempt| {
            let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&created_ms.to_le_bytes(), attempt);
            format!("{moment}-{:08x}", hash as u32)
        })
        .find(|name| !taken.contains(name))
        .expect("there are more names than snapshots")
}
