//! A data folder as a whole: its blocks, then its log.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::ImportError;
use super::super::batch::Batch;
use super::super::source::{Position, Source, foreign_position};
use super::STEPS_MAX;
use super::hours::BlockFolder;
use super::log::Log;
use crate::disk::Disk;

/// What blocks that were made of late samples say of themselves.
const LATE_HINT: &str = "from-out-of-order";

/// A data folder of Prometheus, a snapshot of one, or a single block.
pub(in crate::import) struct DataFolder {
    blocks: BlockFolder,
    are_blocks_done: bool,
    log: Option<Log>,
}

impl DataFolder {
    pub(in crate::import) fn open(folder: &Path, disk: &dyn Disk) -> Result<DataFolder, ImportError> {
        let is_block = is_block(folder, disk)?;
        let folders = if is_block { vec![folder.to_owned()] } else { blocks_in(folder, disk)? };
        let end_ms = folders.iter().filter_map(|folder| end_of(folder, disk)).max().unwrap_or(i64::MIN);
        let log = if is_block { None } else { Log::open(folder, end_ms, disk)? };
        if folders.is_empty() && log.is_none() {
            let what = "neither a block of Prometheus nor a folder with blocks or a log: no meta.json is in it or a \
                        folder of it, and no segment in wal";
            return Err(ImportError::Unusable(format!("{} is {what}", folder.display())));
        }
        Ok(DataFolder { blocks: BlockFolder::open(folder, &folders, disk)?, are_blocks_done: false, log })
    }
}

impl Source for DataFolder {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
        if !self.are_blocks_done {
            self.are_blocks_done = !self.blocks.fill(batch)?;
            return Ok(!self.are_blocks_done || self.log.is_some());
        }
        self.log.as_mut().map_or(Ok(false), |log| log.fill(batch, STEPS_MAX))
    }

    fn position(&self) -> Position {
        match &self.log {
            Some(log) if self.are_blocks_done => Position::Log { records: log.records_done },
            _ => self.blocks.position(),
        }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        let Position::Log { records } = position else { return self.blocks.go_to(position) };
        self.are_blocks_done = true;
        match self.log.as_mut().map(|log| log.go_to(*records)).transpose()? {
            Some(true) => Ok(()),
            _ => Err(foreign_position()),
        }
    }

    fn progress(&self) -> (u64, u64) {
        let (done, total) = self.blocks.progress();
        let (log_done, log_total) = self.log.as_ref().map_or((0, 0), Log::progress);
        (if self.are_blocks_done { total + log_done } else { done }, total + log_total)
    }

    fn identity(&self) -> String {
        let blocks = self.blocks.identity();
        self.log.as_ref().map_or(blocks.clone(), |log| format!("{blocks} with {}", log.identity()))
    }

    fn remarks(&mut self) -> Vec<String> {
        self.log.as_ref().map(Log::remarks).unwrap_or_default()
    }
}

fn is_block(folder: &Path, disk: &dyn Disk) -> Result<bool, ImportError> {
    Ok(disk.list(folder)?.iter().any(|name| name == "meta.json"))
}

/// The folders of blocks in a data folder.
fn blocks_in(folder: &Path, disk: &dyn Disk) -> Result<Vec<PathBuf>, ImportError> {
    let mut blocks = Vec::new();
    for name in disk.list_folders(folder)? {
        // Blocks that are being written or removed have names of their own.
        let is_whole = !name.ends_with(".tmp-for-creation") && !name.ends_with(".tmp-for-deletion");
        let inner = folder.join(&name);
        if is_whole && is_block(&inner, disk)? {
            blocks.push(inner);
        }
    }
    Ok(blocks)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    max_time: i64,
    #[serde(default)]
    compaction: Compaction,
}

#[derive(Default, Deserialize)]
struct Compaction {
    #[serde(default)]
    hints: Vec<String>,
}

/// The moment up to which a block holds what came in time, if it says so.
fn end_of(folder: &Path, disk: &dyn Disk) -> Option<i64> {
    let text = disk.read(&folder.join("meta.json")).ok()?;
    let meta: Meta = serde_json::from_slice(&text).ok()?;
    let is_late = meta.compaction.hints.iter().any(|hint| hint == LATE_HINT);
    (!is_late).then_some(meta.max_time)
}
