//! Blocks that are read together, an hour of time after the other.
//!
//! Always true: where two blocks hold a moment of a series, the sample of the older block is the one that counts.

use std::path::{Path, PathBuf};

use super::super::ImportError;
use super::super::batch::Batch;
use super::super::sample::AnySample;
use super::super::source::{Position, foreign_position};
use super::block::Block;
use super::{HOUR_MS, STEPS_MAX};
use crate::disk::Disk;
use crate::model::{Labels, TimeRange};

/// The blocks of a folder, and how far into them we are.
pub(super) struct BlockFolder {
    folder: PathBuf,
    /// By the time of their oldest sample.
    blocks: Vec<Block>,
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
    /// Opens the blocks of a folder.
    pub(super) fn open(folder: &Path, folders: &[PathBuf], disk: &dyn Disk) -> Result<BlockFolder, ImportError> {
        let mut blocks = Vec::new();
        for folder in folders {
            blocks.push(Block::open(folder, disk)?);
        }
        blocks.sort_by_key(|block| block.span().map_or(i64::MAX, |span| span.from_ms));
        let mut opened = BlockFolder {
            folder: folder.to_owned(),
            blocks,
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
    ) -> Result<Option<(Labels, Vec<AnySample>)>, ImportError> {
        self.settle(hour, batch)?;
        let Some(first) = self.cursors.iter().filter_map(|cursor| cursor.labels.as_ref()).min().cloned() else {
            return Ok(None);
        };
        let mut samples: Vec<AnySample> = Vec::new();
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

    /// Adds what comes next to the batch until that is full. Says whether there may be more.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
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

    pub(super) fn position(&self) -> Position {
        Position::Blocks { hour_ms: self.hour_ms.unwrap_or(i64::MAX), series: self.series_done }
    }

    pub(super) fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
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

    pub(super) fn progress(&self) -> (u64, u64) {
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

    pub(super) fn identity(&self) -> String {
        let names: Vec<String> =
            self.blocks.iter().map(|block| format!("{} {}", block.name(), block.bytes())).collect();
        let sum = xxhash_rust::xxh3::xxh3_64(names.join("\n").as_bytes());
        format!("{} ({} blocks, {sum:016x})", self.folder.display(), self.blocks.len())
    }
}
