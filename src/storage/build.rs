//! Making a block's file: series of one target come in, groups of columns go out.
//!
//! ```text
//! head ──────┐  one target's series at a time               ┌─ group: node-1, 14:00 … 20:00, 40 columns
//!            ├─► [ Building … Building ] ─► BlockBuilder ─► ├─ group: node-1, 20:00 … 02:00
//! blocks ────┘                                              └─ group: node-2 …
//! ```
//!
//! A target is what `job` and `instance` say. Its series are scraped together, so their timestamps are stored once, and
//! they resemble each other, which the codes make use of.
//!
//! Always true: every group was read back and compared with its samples, and the file is synced and read back before it gets
//! the name under which it serves.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use storage_format::block::{BlockRange, BlockWriter};
use storage_format::column::{self, Effort};
use storage_format::group::{self, Column, GroupEncoder};
use storage_format::histogram::Histogram;
use xxhash_rust::xxh3::Xxh3;

use super::block::WholeGroup;
use super::columns::Columns;
use super::{StorageError, block};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::model::{Labels, TimeRange};

/// Scrapes of one group: more is hardly smaller, since the shape of a day's values changes; fewer are quicker to read a
/// part of.
pub(super) const GROUP_SCRAPES: usize = 1440;
/// Columns of one group. A target with more gets several; a quarter of what the format allows keeps what one
/// damaged head of a group takes along small.
pub(super) const GROUP_COLUMNS: usize = 256;
const _: () = assert!(GROUP_SCRAPES <= column::SAMPLES_MAX && GROUP_COLUMNS <= group::COLUMNS_MAX);
/// Bytes gathered before a write to the file.
const WRITE_BYTES: usize = 1 << 20;

/// What series of one target have in common: a hash of `job` and `instance`.
pub(super) fn target_of<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> u64 {
    let mut hash = Xxh3::new();
    for (name, value) in labels {
        if name == "job" || name == "instance" {
            hash.update(name.as_bytes());
            hash.update(&[0xff]);
            hash.update(value.as_bytes());
            hash.update(&[0xff]);
        }
    }
    hash.digest()
}

/// A series on its way into a block.
pub(super) struct Building {
    pub(super) labels: Arc<Labels>,
    /// Its samples that are not written yet.
    pub(super) columns: Columns,
    /// Its number in the block, once it has samples there.
    number: Option<u32>,
}

impl Building {
    pub(super) fn new(labels: Arc<Labels>) -> Building {
        Building { labels, columns: Columns::default(), number: None }
    }
}

/// Writes one block, a target at a time.
pub(super) struct BlockBuilder<'a> {
    writer: BlockWriter<BufWriter<FileWriter<'a>>>,
    file: &'a dyn DiskFile,
    path: &'a Path,
    encoder: GroupEncoder,
    effort: Effort,
    group: Vec<u8>,
    sample_count: u64,
}

impl<'a> BlockBuilder<'a> {
    pub(super) fn begin(
        file: &'a dyn DiskFile,
        path: &'a Path,
        range: BlockRange,
        effort: Effort,
    ) -> Result<BlockBuilder<'a>, DiskError> {
        let out = BufWriter::with_capacity(WRITE_BYTES, FileWriter { file, position: 0 });
        let writer = BlockWriter::begin(out, range).map_err(|source| DiskError::new("write", path, source))?;
        let (encoder, group) = (GroupEncoder::default(), Vec::new());
        Ok(BlockBuilder { writer, file, path, encoder, effort, group, sample_count: 0 })
    }

    /// Writes all samples that the series hold and empties their columns. The series are of one target, in label order.
    pub(super) fn append(&mut self, target: &mut [Building]) -> Result<(), StorageError> {
        target.iter_mut().for_each(|series| series.columns.settle_histograms());
        // Columns of another cadence make groups of their own: a group ends when its densest column is full.
        let dense = |index: usize| density(target[index].columns.len()).map(|density| (density, index));
        let mut members: Vec<(u32, usize)> = (0..target.len()).filter_map(dense).collect();
        members.sort_unstable();
        for alike in members.chunk_by(|a, b| a.0 == b.0) {
            for some in alike.chunks(GROUP_COLUMNS) {
                let columns: Vec<usize> = some.iter().map(|(_, index)| *index).collect();
                self.append_columns(target, &columns)?;
            }
        }
        for series in target {
            series.columns.clear();
        }
        Ok(())
    }

    /// Takes a group as it is; its columns are those of `target[columns[0]]`, `target[columns[1]]`, and so on. What the
    /// series hold unwritten is newer.
    pub(super) fn copy_group(
        &mut self,
        target: &mut [Building],
        columns: &[usize],
        group: &WholeGroup<'_>,
    ) -> Result<(), DiskError> {
        let numbers: Vec<u32> = columns.iter().map(|index| self.number(&mut target[*index])).collect();
        self.sample_count += group.sample_count;
        let (TimeRange { from_ms, to_ms }, sample_count) = (group.range, group.sample_count);
        let written = self.writer.append_group(group.bytes, &numbers, from_ms, to_ms, sample_count);
        written.map_err(|source| DiskError::new("write", self.path, source))
    }

    /// The series' number in the block.
    fn number(&mut self, series: &mut Building) -> u32 {
        *series.number.get_or_insert_with(|| self.writer.add_series(series.labels.iter()))
    }

    fn append_columns(&mut self, target: &mut [Building], members: &[usize]) -> Result<(), StorageError> {
        for member in members {
            self.number(&mut target[*member]);
        }
        let mut starts = vec![0; members.len()];
        loop {
            let full_ms = members.iter().zip(&starts).filter_map(|(member, start)| {
                target[*member].columns.timestamps_ms.get(start + GROUP_SCRAPES).copied()
            });
            let until_ms = full_ms.min();
            if !self.append_group(target, members, &mut starts, until_ms)? {
                return Ok(());
            }
        }
    }

    /// Writes what the columns hold from `starts` on and before `until_ms`, and moves `starts` behind it. Tells whether
    /// there was anything.
    fn append_group(
        &mut self,
        target: &[Building],
        members: &[usize],
        starts: &mut [usize],
        until_ms: Option<i64>,
    ) -> Result<bool, StorageError> {
        let mut taken = Vec::with_capacity(members.len());
        for (member, start) in members.iter().zip(starts) {
            let timestamps_ms = &target[*member].columns.timestamps_ms;
            let end = until_ms.map_or(timestamps_ms.len(), |until_ms| {
                *start + timestamps_ms[*start..].partition_point(|timestamp_ms| *timestamp_ms < until_ms)
            });
            if *start < end {
                taken.push((*member, *start..end));
                *start = end;
            }
        }
        if taken.is_empty() {
            return Ok(false);
        }
        let columns: Vec<Column<'_>> = taken
            .iter()
            .map(|(member, samples)| Column {
                timestamps_ms: &target[*member].columns.timestamps_ms[samples.clone()],
                values: &target[*member].columns.values[samples.clone()],
            })
            .collect();
        self.group.clear();
        let histograms: Vec<Vec<Histogram>> =
            taken.iter().zip(&columns).map(|((member, _), column)| histograms_of(&target[*member], column)).collect();
        let histograms: Vec<&[Histogram]> = histograms.iter().map(Vec::as_slice).collect();
        let coded = self.encoder.encode_with_histograms(&columns, &histograms, self.effort, &mut self.group);
        let coded = coded.map_err(|source| StorageError::NotReadBack { file: self.path.to_owned(), source })?;
        if coded != self.effort {
            let first = &target[taken[0].0].labels;
            tracing::error!(%first, columns = taken.len(), "a group did not read back as it was written and is stored as plain bits; nothing is lost: please report this");
        }

        let number = |(member, _): &(usize, _)| target[*member].number.expect("numbered before its first group");
        let numbers: Vec<u32> = taken.iter().map(number).collect();
        let first = columns.iter().map(|column| column.timestamps_ms[0]).min().expect("a group has columns");
        let last = columns.iter().filter_map(|column| column.timestamps_ms.last()).max().expect("columns have samples");
        let sample_count: usize = columns.iter().map(|column| column.values.len()).sum();
        self.sample_count += sample_count as u64;
        let written = self.writer.append_group(&self.group, &numbers, first, *last, sample_count as u64);
        written.map_err(|source| DiskError::new("write", self.path, source))?;
        Ok(true)
    }

    /// Writes the index and syncs the file. Returns how many samples it holds.
    pub(super) fn finish(self) -> Result<u64, DiskError> {
        let failed = |source| DiskError::new("write", self.path, source);
        let (mut out, _) = self.writer.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        drop(out);
        self.file.sync()?;
        Ok(self.sample_count)
    }
}

/// The histograms whose markers are in the column.
fn histograms_of(series: &Building, column: &Column<'_>) -> Vec<Histogram> {
    let (Some(first_ms), Some(last_ms)) = (column.timestamps_ms.first(), column.timestamps_ms.last()) else {
        return Vec::new();
    };
    let all = &series.columns.histograms;
    let from = all.partition_point(|(timestamp_ms, _)| timestamp_ms < first_ms);
    let until = all.partition_point(|(timestamp_ms, _)| timestamp_ms <= last_ms);
    all[from..until].iter().map(|(_, histogram)| histogram.clone()).collect()
}

/// Columns with up to four times as many samples as others go into one group with them; those without go nowhere.
fn density(samples: usize) -> Option<u32> {
    samples.checked_ilog2().map(|log| log / 2)
}

/// Makes a block: `write` fills it; what was written is synced, read back, and only then given its name. Without
/// samples there is no block.
pub(super) fn write_block(
    disk: &dyn Disk,
    folder: &Path,
    name: block::BlockName,
    range: BlockRange,
    effort: Effort,
    write: impl FnOnce(&mut BlockBuilder<'_>) -> Result<(), StorageError>,
) -> Result<Option<block::Block>, StorageError> {
    let temporary = block::unfinished_path(folder, range.level);
    let build = || -> Result<Option<block::Block>, StorageError> {
        let file = disk.create(&temporary, 0)?;
        let mut builder = BlockBuilder::begin(&*file, &temporary, range, effort)?;
        write(&mut builder)?;
        if builder.finish()? == 0 {
            return Ok(None);
        }
        drop(file);
        let damaged = |damage| StorageError::Corruption { file: temporary.clone(), damage };
        let written = block::Block::open(disk, &temporary, name)?.map_err(damaged)?;
        // What its groups mean was compared with the samples before; now it is whether the disk has them.
        match written.verify(block::Depth::Checksums).into_iter().next() {
            Some(damage) => Err(damaged(damage)),
            None => Ok(Some(written)),
        }
    };
    let built = build();
    let Ok(Some(_)) = built else {
        // A full disk needs the room for the log. If even this fails, the next attempt writes over it.
        let _ = disk.remove(&temporary);
        return built;
    };
    let path = name.path(folder);
    disk.rename(&temporary, &path)?;
    disk.sync_folder(folder)?;
    // Anew under its name, by which it is seen whether somebody shortens it.
    let opened = block::Block::open(disk, &path, name)?;
    opened.map(Some).map_err(|damage| StorageError::Corruption { file: path, damage })
}

/// A file, written from front to back.
pub(super) struct FileWriter<'a> {
    file: &'a dyn DiskFile,
    position: u64,
}

impl Write for FileWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.position, bytes).map_err(|error| error.source)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
