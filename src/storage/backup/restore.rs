//! Putting a snapshot in the place of a data folder.
//!
//! ```text
//! 1. every file of the snapshot is read and checked            nothing is changed before that
//! 2. `restoring` is written                                    no server starts on the folder from here on
//! 3. what is there goes to replaced-20261122T063000Z/          by renaming, if --replace allows it
//! 4. the files are linked (blocks) or copied (the rest), and everything is synced
//! 5. `restoring` is removed
//! ```

use std::path::{Path, PathBuf};

use storage_format::manifest::Manifest;

use super::{BackupError, checksum, files_of, folders_of, link_or_copy, read_manifest};
use crate::disk::{Disk, DiskError};

/// The file that says that a restore is not finished.
const MARKER: &str = "restoring";
/// What stays where it is: the lock that we hold, the snapshots, and what earlier restores put aside.
const STAYS: [&str; 3] = ["lock", "snapshots", MARKER];
const PUT_ASIDE: &str = "replaced-";

/// A restore that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the snapshot was taken, ms since 1970 UTC.
    pub created_ms: i64,
    /// Files restored.
    pub file_count: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Where what was there before is now.
    pub put_aside: Option<PathBuf>,
}

/// Restores the snapshot in the folder `from` into `data_dir`, whose lock the caller holds. With `replace` what is there
/// is put aside, without it has to be empty. `watch` is told bytes read, and bytes to read, while the snapshot is checked.
pub fn restore(
    disk: &dyn Disk,
    now_ms: i64,
    from: &Path,
    data_dir: &Path,
    replace: bool,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let manifest = read_manifest(disk, from)?;
    check(disk, from, &manifest, watch)?;
    let (files, folders) = content(disk, data_dir)?;
    let example = files.first().or(folders.first());
    if let Some(example) = example.filter(|_| !replace) {
        return Err(BackupError::NotEmpty { folder: data_dir.to_owned(), example: example.clone() });
    }
    let is_empty = example.is_none();
    disk.replace(&data_dir.join(MARKER), format!("{}\n", from.display()).as_bytes())?;
    let put_aside = if is_empty { None } else { Some(put_aside(disk, data_dir, now_ms)?) };
    place(disk, from, data_dir, &manifest)?;
    disk.remove(&data_dir.join(MARKER))?;
    disk.sync_folder(data_dir)?;
    Ok(Restored {
        created_ms: manifest.created_ms,
        file_count: manifest.files.len(),
        bytes: manifest.total_bytes(),
        put_aside,
    })
}

/// Refuses a data folder into which a restore was not finished.
pub fn check_restored(disk: &dyn Disk, data_dir: &Path) -> Result<(), BackupError> {
    let unfinished = files_of(disk, data_dir)?.iter().any(|name| name == MARKER);
    if unfinished { Err(BackupError::Unfinished(data_dir.to_owned())) } else { Ok(()) }
}

/// Reads every file of the snapshot.
fn check(
    disk: &dyn Disk,
    from: &Path,
    manifest: &Manifest,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    let (total, mut done) = (manifest.total_bytes(), 0);
    for file in &manifest.files {
        let path = from.join(&file.path);
        let read = checksum(disk, &path, &mut |bytes| {
            done += bytes;
            watch(done, total);
            true
        });
        let what = match read {
            Err(BackupError::Disk(error)) if error.is_not_found() => "it is missing".to_owned(),
            read => match read? {
                (bytes, _) if bytes != file.bytes => format!("it has {bytes} bytes, and had {}", file.bytes),
                (_, checksum) if checksum != file.checksum => "its checksum differs".to_owned(),
                _ => continue,
            },
        };
        return Err(BackupError::Damaged { file: path, what });
    }
    Ok(())
}

/// Files and folders that a restore replaces.
fn content(disk: &dyn Disk, data_dir: &Path) -> Result<(Vec<String>, Vec<String>), DiskError> {
    let is_content = |name: &String| !STAYS.contains(&name.as_str()) && !name.starts_with(PUT_ASIDE);
    let (mut files, mut folders) = (files_of(disk, data_dir)?, folders_of(disk, data_dir)?);
    files.retain(is_content);
    folders.retain(is_content);
    Ok((files, folders))
}

/// Moves what is there to a folder of its own.
fn put_aside(disk: &dyn Disk, data_dir: &Path, now_ms: i64) -> Result<PathBuf, DiskError> {
    let moment = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let name = format!("{PUT_ASIDE}{}", moment.strftime("%Y%m%dT%H%M%SZ"));
    let taken = folders_of(disk, data_dir)?;
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    let free = names.into_iter().find(|name| !taken.contains(name)).expect("there are more names than folders");
    let aside = data_dir.join(free);
    disk.create_folder(&aside)?;
    let (files, folders) = content(disk, data_dir)?;
    for folder in folders {
        move_folder(disk, &data_dir.join(&folder), &aside.join(&folder))?;
    }
    for file in files {
        disk.rename(&data_dir.join(&file), &aside.join(&file))?;
    }
    disk.sync_folder(&aside)?;
    disk.sync_folder(data_dir)?;
    Ok(aside)
}

/// File by file: a crash in between leaves each in one of the two.
fn move_folder(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    disk.create_folder(to)?;
    for inner in folders_of(disk, from)? {
        move_folder(disk, &from.join(&inner), &to.join(&inner))?;
    }
    for name in files_of(disk, from)? {
        disk.rename(&from.join(&name), &to.join(&name))?;
    }
    disk.sync_folder(to)?;
    disk.sync_folder(from)?;
    disk.remove_folder(from)
}

/// Puts the snapshot's files into the data folder. Blocks are never written to, so they may be shared with the snapshot.
fn place(disk: &dyn Disk, from: &Path, data_dir: &Path, manifest: &Manifest) -> Result<(), DiskError> {
    for file in &manifest.files {
        let (source, target) = (from.join(&file.path), data_dir.join(&file.path));
        disk.create_folder(target.parent().unwrap_or(data_dir))?;
        if file.path.ends_with(".block") {
            link_or_copy(disk, &source, &target)?;
        } else {
            disk.copy(&source, &target)?;
        }
    }
    for (folder, _) in manifest.files.iter().filter_map(|file| file.path.split_once('/')) {
        disk.sync_folder(&data_dir.join(folder))?;
    }
    disk.sync_folder(data_dir)
}
