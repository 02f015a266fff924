//! Blocks of a Prometheus: two hours and more of all series, immutable, in a folder each.
//!
//! ```text
//! data/01M80QMH8VEP15N4J35Q411P22/meta.json       from when to when
//!                                 index           symbols, series with their labels and chunks        index.rs
//!                                 chunks/000001   samples, 120 a chunk as a rule                      chunk.rs
//!                                 tombstones      what was deleted and is still there                 tombstones.rs
//! ```
//!
//! All blocks of a folder are read together, an hour of time after the other, and in each hour the series in order of their
//! labels. A server gets the samples nearly in the order in which they were made, and where blocks overlap, those of a
//! series together:
//!
//! ```text
//! 10:00  up{job="a"} (both blocks, merged)  up{job="b"}  …
//! 11:00  up{job="a"}                        up{job="b"}  …
//! ```
//!
//! Hours in which there is nothing are not visited, however long they last: reading an hour tells when the next one is that
//! has samples, even where a damaged chunk claims all of time.
//!
//! An hour is also the time by which a sample may be late at a server with the usual settings. So whatever was sent and
//! not acknowledged when an import broke off can be sent again, and is one sample.
//!
//! Always true:
//! 1. Every byte that is used is under a checksum that was looked at, tombstones included; `meta.json` alone has none, and
//!    nothing but the progress and the name of a block is taken from it.
//! 2. Where two blocks hold a moment of a series, the sample of the older block is the one that counts.
//!
//! Deliberately absent: the write-ahead log. What is not in blocks yet is not read: `POST /api/v1/admin/tsdb/snapshot` of
//! Prometheus makes blocks of everything, and its folder is a source.

mod block;
mod bytes;
mod chunk;
mod index;
mod tombstones;

use std::path::{Path, PathBuf};

use super::ImportError;
use super::batch::Batch;
use super::source::{Position, Source, foreign_position};
use crate::disk::Disk;
use crate::model::{Labels, Sample, TimeRange};

use block::Block;
#[cfg(test)]
pub(super) use {chunk::read_xor, tombstones::read as tombstones_of};

/// Time that is read at once, in ms.
const HOUR_MS: i64 = 3_600_000;
/// Series of an hour that are looked at before others have their turn, whatever they gave. In tests few.
const STEPS_MAX: usize = if cfg!(test) { 50 } else { 10_000 };

/// The blocks of a folder, and how far into them we are.
pub(super) struct BlockFolder {
    folder: PathBuf,
    /// By the time of their oldest sample.
    blocks: Vec<Block>,
    has_log: bool,
    /// The hour at hand; `None` when all are done.
    hour_ms: Option<i64>,
    /// Where the hour is, a cursor for each block that has a share in it.
    cursors: Vec<Cursor>,
    /// Series of the hour that are done.
    series_done: u64,
    /// The first moment behind the hour of which those may have a sample.
    next_ms: Option<i64>,
}

/// A place among the series of a block.
struct Cursor {
    block: usize,
    next: usize,
    /// The labels of that series.
    labels: Option<Labels>,
}

impl BlockFolder {
    /// Opens every block in a folder, or the one that the folder is.
    pub(super) fn open(folder: &Path, disk: &dyn Disk) -> Result<BlockFolder, ImportError> {
        let folders = if is_block(folder, disk)? { vec![folder.to_owned()] } else { blocks_in(folder, disk)? };
        let mut blocks = Vec::new();
        for folder in &folders {
            blocks.push(Block::open(folder, disk)?);
        }
        blocks.sort_by_key(|block| block.span().map_or(i64::MAX, |span| span.from_ms));
        let has_log = disk.list_folders(folder)?.iter().any(|name| name == "wal");
        let mut opened = BlockFolder {
            folder: folder.to_owned(),
            blocks,
            has_log,
            hour_ms: None,
            cursors: Vec::new(),
            series_done: 0,
            next_ms: None,
        };
        let first_ms = opened.blocks.iter().filter_map(Block::span).map(|span| span.from_ms).min();
        opened.begin_hour_of(first_ms);
        Ok(opened)
    }

    /// Begins the hour in which this moment is, or none.
    fn begin_hour_of(&mut self, at_ms: Option<i64>) {
        self.series_done = 0;
        self.next_ms = None;
        self.hour_ms = at_ms.map(|at_ms| at_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS));
        self.cursors.clear();
        let Some(hour) = self.hour() else { return };
        for (index, block) in self.blocks.iter().enumerate() {
            if block.span().is_some_and(|span| span.overlaps(hour)) {
                self.cursors.push(Cursor { block: index, next: 0, labels: None });
            }
        }
    }

    fn hour(&self) -> Option<TimeRange> {
        self.hour_ms.map(|from_ms| TimeRange { from_ms, to_ms: from_ms.saturating_add(HOUR_MS - 1) })
    }

    /// Ends an hour of which all series were read, and begins the next that may have samples.
    fn pass_hour(&mut self, hour: TimeRange) {
        let begins = self.blocks.iter().filter_map(|block| block.next_begin(hour.to_ms));
        let next_ms = begins.chain(self.next_ms).min();
        self.begin_hour_of(next_ms);
    }

    /// Lets every cursor stand on a series with chunks in the hour. Labels that are not allowed are passed over, and their
    /// samples counted.
    fn settle(&mut self, hour: TimeRange, batch: &mut Batch) -> Result<(), ImportError> {
        for cursor in &mut self.cursors {
            let block = &self.blocks[cursor.block];
            while cursor.labels.is_none() {
                let Some(next) = block.next_in(cursor.next, hour) else {
                    cursor.next = usize::MAX;
                    break;
                };
                cursor.next = next;
                match block.labels(next)? {
                    Ok(labels) => cursor.labels = Some(labels),
                    Err(what) => {
                        let mut lost = Vec::new();
                        let later = block.read(next, hour, &mut lost, batch)?;
                        self.next_ms = self.next_ms.into_iter().chain(later).min();
                        batch.refuse(lost.len() as u64, &what, || block.name_of(next));
                        cursor.next += 1;
                    }
                }
            }
        }
        self.cursors.retain(|cursor| cursor.labels.is_some());
        Ok(())
    }

    /// Takes the next series of the hour from all blocks that have it. `None`: there is no more.
    fn next_series(
        &mut self,
        hour: TimeRange,
        batch: &mut Batch,
    ) -> Result<Option<(Labels, Vec<Sample>)>, ImportError> {
        self.settle(hour, batch)?;
        let Some(first) = self.cursors.iter().filter_map(|cursor| cursor.labels.as_ref()).min().cloned() else {
            return Ok(None);
        };
        let mut samples: Vec<Sample> = Vec::new();
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.labels.as_ref() == Some(&first)) {
            let later = self.blocks[cursor.block].read(cursor.next, hour, &mut samples, batch)?;
            self.next_ms = self.next_ms.into_iter().chain(later).min();
            cursor.next += 1;
            cursor.labels = None;
        }
        // Stable, so the older block's sample of a moment comes first and stays.
        samples.sort_by_key(|sample| sample.timestamp_ms);
        samples.dedup_by_key(|sample| sample.timestamp_ms);
        self.series_done += 1;
        Ok(Some((first, samples)))
    }
}

impl Source for BlockFolder {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
        for _ in 0..STEPS_MAX {
            if batch.is_full() {
                break;
            }
            let Some(hour) = self.hour() else {
                self.blocks.iter().try_for_each(Block::check)?;
                return Ok(false);
            };
            match self.next_series(hour, batch)? {
                Some((labels, samples)) if !samples.is_empty() => batch.push(labels, samples),
                Some(_) => {}
                None => self.pass_hour(hour),
            }
        }
        self.blocks.iter().try_for_each(Block::check)?;
        Ok(true)
    }

    fn position(&self) -> Position {
        Position::Blocks { hour_ms: self.hour_ms.unwrap_or(i64::MAX), series: self.series_done }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        let Position::Blocks { hour_ms, series } = position else { return Err(foreign_position()) };
        self.begin_hour_of(Some(*hour_ms));
        let hour = self.hour().ok_or_else(foreign_position)?;
        // They are read again, for what they tell about the next hour.
        let mut done = Batch::default();
        while self.series_done < *series {
            if self.next_series(hour, &mut done)?.is_none() {
                return Err(foreign_position());
            }
            done.clear();
        }
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        let total: u64 = self.blocks.iter().map(Block::bytes).sum();
        let Some(hour) = self.hour() else { return (total, total) };
        let done = |block: &Block| {
            let span = block.span()?;
            let length = (span.to_ms as f64 - span.from_ms as f64).max(1.0);
            let part = ((hour.from_ms as f64 - span.from_ms as f64) / length).clamp(0.0, 1.0);
            Some((block.bytes() as f64 * part) as u64)
        };
        (self.blocks.iter().filter_map(done).sum(), total)
    }

    fn identity(&self) -> String {
        let names: Vec<String> =
            self.blocks.iter().map(|block| format!("{} {}", block.name(), block.bytes())).collect();
        let sum = xxhash_rust::xxh3::xxh3_64(names.join("\n").as_bytes());
        format!("{} ({} blocks, {sum:016x})", self.folder.display(), self.blocks.len())
    }

    fn remarks(&mut self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.has_log {
            remarks.push(
                "what Prometheus has not put into blocks yet (its folder wal) is not read: a snapshot of it, by \
                 POST /api/v1/admin/tsdb/snapshot, holds everything"
                    .to_owned(),
            );
        }
        remarks
    }
}

fn is_block(folder: &Path, disk: &dyn Disk) -> Result<bool, ImportError> {
    Ok(disk.list(folder)?.iter().any(|name| name == "meta.json"))
}

/// The folders of blocks in a data folder. Fails where there are none.
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
    if blocks.is_empty() {
        let what =
            "neither a block of Prometheus nor a folder with blocks: there is no meta.json in it or a folder of it";
        return Err(ImportError::Unusable(format!("{} is {what}", folder.display())));
    }
    Ok(blocks)
}
