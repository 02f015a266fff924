//! The blocks that serve, and how they are found when the database is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_format::{FileType, version_of};

use super::super::StorageError;
use super::{Block, BlockName, Deleted};
use crate::disk::{Disk, DiskError};
use crate::model::TimeRange;

/// A block of the set and what was deleted from it.
#[derive(Clone)]
pub(in crate::storage) struct Member {
    pub(in crate::storage) block: Arc<Block>,
    pub(in crate::storage) deleted: Arc<Deleted>,
}

/// The blocks that serve, in order of their names: by the start of their time, then by its end.
#[derive(Clone, Default)]
pub(in crate::storage) struct BlockSet {
    members: Vec<Member>,
    /// Files that were put aside, under the names that they had, and the time that they are for: what they held is missing, but for what the log had.
    lost: Vec<(PathBuf, TimeRange)>,
    /// Everything older is sealed: in a block, or lost with one.
    pub(in crate::storage) floor_ms: i64,
}

impl BlockSet {
    /// No blocks, nothing sealed.
    pub(in crate::storage) fn empty() -> BlockSet {
        BlockSet { members: Vec::new(), lost: Vec::new(), floor_ms: i64::MIN }
    }

    pub(in crate::storage) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The blocks that share a moment with `range`.
    pub(in crate::storage) fn overlapping(&self, range: TimeRange) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.block.span().overlaps(range))
    }

    /// The files put aside whose time shares a moment with `range`.
    pub(in crate::storage) fn lost_in(&self, range: TimeRange) -> impl Iterator<Item = &(PathBuf, TimeRange)> {
        self.lost.iter().filter(move |(_, span)| span.overlaps(range))
    }

    /// Spans of the files put aside.
    pub(in crate::storage) fn lost_spans(&self) -> Vec<TimeRange> {
        self.lost.iter().map(|(_, span)| *span).collect()
    }

    /// Bytes of all blocks.
    pub(in crate::storage) fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.block.bytes()).sum()
    }

    /// The same set with one more block, and everything before `floor_ms` sealed.
    pub(in crate::storage) fn with(&self, newer: Option<Block>, floor_ms: i64) -> BlockSet {
        let mut set = BlockSet { floor_ms: self.floor_ms.max(floor_ms), ..self.clone() };
        set.members.extend(newer.map(|block| Member { block: Arc::new(block), deleted: Arc::default() }));
        set.sort();
        set
    }

    /// The same set without these blocks.
    pub(in crate::storage) fn without(&self, gone: &[Arc<Block>]) -> BlockSet {
        let stays = |member: &&Member| !gone.iter().any(|block| Arc::ptr_eq(block, &member.block));
        BlockSet { members: self.members.iter().filter(stays).cloned().collect(), ..self.clone() }
    }

    /// The same set without this block, whose file is put aside.
    pub(in crate::storage) fn losing(&self, damaged: &Arc<Block>) -> BlockSet {
        let mut set = self.without(std::slice::from_ref(damaged));
        set.lost.push((damaged.path().to_owned(), damaged.span()));
        set
    }

    /// The same set with these members in the place of those that have the same blocks.
    pub(in crate::storage) fn replacing(&self, changed: &[Member]) -> BlockSet {
        let newest = |member: &Member| {
            changed.iter().find(|one| Arc::ptr_eq(&one.block, &member.block)).unwrap_or(member).clone()
        };
        BlockSet { members: self.members.iter().map(newest).collect(), ..self.clone() }
    }

    /// The member of a file.
    pub(in crate::storage) fn of_file(&self, path: &Path) -> Option<&Member> {
        self.members.iter().find(|member| member.block.path() == path)
    }

    /// The same set with the same file opened anew.
    pub(in crate::storage) fn reopened(&self, before: &Arc<Block>, fresh: &Arc<Block>) -> BlockSet {
        let newest = |member: &Member| {
            let block = if Arc::ptr_eq(&member.block, before) { fresh } else { &member.block };
            Member { block: block.clone(), deleted: member.deleted.clone() }
        };
        BlockSet { members: self.members.iter().map(newest).collect(), ..self.clone() }
    }

    fn sort(&mut self) {
        self.members.sort_by_key(|member| member.block.name());
    }
}

/// What the folder held.
pub(in crate::storage) struct Found {
    pub(in crate::storage) set: BlockSet,
    /// The highest number that a name of the folder has.
    pub(in crate::storage) number_max: u64,
}

/// Opens every block of the folder. Damaged ones are put aside, and told in `damage`. Fails before anything is changed
/// when a block is of a newer format than this binary knows.
pub(in crate::storage) fn open_all(
    disk: &dyn Disk,
    folder: &Path,
    damage: &mut Vec<String>,
) -> Result<Found, StorageError> {
    let names = disk.list(folder)?;
    refuse_newer(disk, folder, &names)?;
    let mut found = Found { set: BlockSet::empty(), number_max: 0 };
    for file in &names {
        let path = folder.join(file);
        if file.ends_with(".tmp") {
            // Never finished: what it was to hold is still in the log, or in the blocks before it.
            disk.remove(&path)?;
        }
        let Some(name) = BlockName::of_file(file) else { continue };
        found.number_max = found.number_max.max(name.number);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("block") => match Block::open(disk, &path, name)? {
                Ok(block) => {
                    let deleted = Arc::new(open_deleted(disk, folder, &block, damage)?);
                    found.set.members.push(Member { block: Arc::new(block), deleted });
                }
                Err(corruption) => {
                    damage.push(format!("{} {corruption}; the block was put aside", path.display()));
                    // It is in nobody's way under its old name; the next start comes across it again.
                    if let Err(error) = put_aside(disk, folder, &path) {
                        tracing::warn!(%error, "a damaged block keeps its name for now");
                    }
                    found.set.lost.push(lost(&path, name));
                }
            },
            Some("damaged") => found.set.lost.push(lost(&path, name)),
            // Its block went, and the process ended before this file did. One that was put aside may be mended.
            Some("deleted") if !is_there(folder, &names, name) => {
                disk.remove(&path)?;
                continue;
            }
            _ => continue,
        }
        found.set.floor_ms = found.set.floor_ms.max(name.to_ms);
    }
    found.set.sort();
    Ok(found)
}

fn lost(path: &Path, name: BlockName) -> (PathBuf, TimeRange) {
    (path.with_extension("block"), TimeRange { from_ms: name.from_ms, to_ms: name.to_ms - 1 })
}

/// Whether the folder has the block of this name, put aside perhaps.
fn is_there(folder: &Path, names: &[String], name: BlockName) -> bool {
    let path = name.path(folder);
    let damaged = path.with_extension("damaged");
    names.iter().map(|file| folder.join(file)).any(|file| file == path || file == damaged)
}

/// Renames a damaged file so that nobody opens it again. It is never deleted.
pub(in crate::storage) fn put_aside(disk: &dyn Disk, folder: &Path, path: &Path) -> Result<(), DiskError> {
    disk.rename(path, &path.with_extension("damaged"))?;
    disk.sync_folder(folder)
}

fn open_deleted(
    disk: &dyn Disk,
    folder: &Path,
    block: &Block,
    damage: &mut Vec<String>,
) -> Result<Deleted, StorageError> {
    let path = block.name().deleted_path(folder);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Deleted::default()),
        Err(error) => return Err(error.into()),
    };
    match Deleted::decode(&bytes, block.facts().created_ms) {
        Ok(deleted) => Ok(deleted),
        Err(corruption) => {
            damage.push(format!(
                "{} {corruption}; what was deleted from the block beside it is seen again: delete it anew",
                path.display()
            ));
            disk.rename(&path, &path.with_extension("deleted-damaged"))?;
            disk.sync_folder(folder)?;
            Ok(Deleted::default())
        }
    }
}

fn refuse_newer(disk: &dyn Disk, folder: &Path, names: &[String]) -> Result<(), StorageError> {
    for name in names.iter().filter(|name| name.ends_with(".block")) {
        let file = folder.join(name);
        let version_max = FileType::Block.version();
        if let Some((FileType::Block, version)) = version_of(&disk.read(&file)?)
            && version > version_max
        {
            return Err(StorageError::NewerFormat { file, version, version_max });
        }
    }
    Ok(())
}
