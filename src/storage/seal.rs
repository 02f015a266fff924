//! Cutting blocks: what is two hours old and past the out-of-order window leaves the head, and the log behind it goes.
//!
//! ```text
//! newest sample 15:20, window 1 h  ─►  floor 14:00
//!
//! 1. shards refuse what is older than 14:00          nothing can slip in behind the cut
//! 2. [12:00, 14:00) of all series ─► 12–14.tmp ─► sync ─► read back every chunk ─► rename ─► sync folder
//! 3. views from now on read it; the log drops the segments that hold nothing newer than 14:00
//! 4. when no view from before is left, the head lets go of its chunks
//! ```
//!
//! A crash between any two of these steps loses nothing: until 3 the log has the samples, from 2 on the block has.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use hashbrown::HashSet;
use storage_format::block::{BlockRange, BlockWriter};
use storage_format::chunk::{self, Appender};

use super::block::{self, Block, BlockSet};
use super::columns::Columns;
use super::threads::LogMessage;
use super::{BLOCK_MS, Storage, StorageError};
use crate::disk::{DiskError, DiskFile};
use crate::model::{Labels, SeriesRef, TimeRange};

/// Samples of one stored chunk: longer is smaller on disk, shorter is quicker to read a part of.
const CHUNK_SAMPLES_MAX: usize = 480;
/// What an early cut leaves in the head, in ms of event time.
const EARLY_CUT_KEEPS_MS: i64 = 5 * 60 * 1000;
/// Bytes gathered before a write to a block's file.
const WRITE_BYTES: usize = 1 << 20;

/// What one call of [`Storage::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Blocks written.
    pub blocks_cut: usize,
    /// Blocks removed because they are past the retention.
    pub blocks_expired: usize,
    /// Blocks put aside because they are damaged.
    pub blocks_put_aside: usize,
    /// Series that the head no longer holds anything of.
    pub series_retired: usize,
    /// The head still holds more than it may; writes are refused until it does not.
    pub head_full: bool,
}

/// What maintenance remembers from one call to the next.
#[derive(Default)]
pub(super) struct Maintenance {
    /// Block sets that views may still hold, oldest first, and the floor up to which the head may be emptied when they
    /// and all before them are gone.
    waiting: Vec<(Weak<BlockSet>, i64)>,
}

impl Storage {
    /// Cuts the blocks whose time is full, lets the head go of what older views no longer need, and removes one block
    /// past the retention. Called every few seconds; calls do not overlap.
    pub fn maintain(&self) -> Result<Maintained, StorageError> {
        let mut maintenance = self.maintenance.lock();
        let mut done = Maintained { series_retired: self.empty_head(&mut maintenance), ..Maintained::default() };
        done.blocks_put_aside = self.put_aside(&mut maintenance)?;
        done.head_full = self.head.sample_bytes() > self.options.head_bytes_max;
        let due = if done.head_full { self.early_floor() } else { None };
        if let Some(floor_ms) = due.or_else(|| self.due_floor()) {
            done.blocks_cut = self.cut(&mut maintenance, floor_ms)?;
            self.empty_head(&mut maintenance);
            done.head_full = self.head.sample_bytes() > self.options.head_bytes_max;
        }
        self.head_full.store(done.head_full, Ordering::SeqCst);
        done.blocks_expired = self.expire(&mut maintenance)?;
        Ok(done)
    }

    /// Up to where the head is full, if that is further than it was.
    fn due_floor(&self) -> Option<i64> {
        let newest_ms = self.head.newest_ms();
        if newest_ms == i64::MIN {
            return None;
        }
        // A sender whose clock is ahead must not seal the time in which the others still write.
        let settled_ms = newest_ms.min(self.clock.now_ms()).saturating_sub(self.options.out_of_order_window_ms);
        let floor_ms = settled_ms.div_euclid(BLOCK_MS).saturating_mul(BLOCK_MS);
        let oldest_ms = self.head.shards().iter().map(|shard| shard.read().oldest_ms).min()?;
        (oldest_ms < floor_ms).then_some(floor_ms)
    }

    /// Up to where a head that holds too much is cut before its time: all but the newest minutes, or, if even those are
    /// too much, all but the newer half.
    fn early_floor(&self) -> Option<i64> {
        let newest_ms = self.head.newest_ms().min(self.clock.now_ms());
        let oldest_ms = self.head.shards().iter().map(|shard| shard.read().oldest_ms).min()?;
        let kept_ms = EARLY_CUT_KEEPS_MS.min(newest_ms.saturating_sub(oldest_ms) / 2);
        let floor_ms = newest_ms.saturating_sub(kept_ms);
        (oldest_ms < floor_ms).then(|| {
            tracing::warn!(
                floor_ms,
                "the head is over head.bytes_max: a block is cut early, older samples are refused"
            );
            floor_ms
        })
    }

    fn cut(&self, maintenance: &mut Maintenance, floor_ms: i64) -> Result<usize, StorageError> {
        let sealed_ms = self.blocks.load().floor_ms;
        for shard in self.head.shards() {
            let mut shard = shard.write();
            shard.floor_ms = shard.floor_ms.max(floor_ms);
        }
        let series = self.series_by_labels();
        let mut cut = 0;
        for range in self.ranges(&series, sealed_ms, floor_ms) {
            let cut_block = self.write_block(&series, range)?;
            // Each block is published as it is done: whatever fails behind it, this one serves.
            self.publish(maintenance, |before| before.with(vec![Arc::new(cut_block)], range.to_ms + 1));
            cut += 1;
            self.counters.blocks_cut.fetch_add(1, Ordering::Relaxed);
        }
        if self.blocks.load().floor_ms < floor_ms {
            // Nothing lies between the last block and the floor; now nothing can.
            self.publish(maintenance, |before| before.with(Vec::new(), floor_ms));
        }
        for shard in self.head.shards() {
            shard.write().oldest_ms = floor_ms;
        }
        // A closed log needs no tidying.
        let _ = self.to_log.send(LogMessage::Retire { floor_ms });
        Ok(cut)
    }

    /// Shows views another set of blocks, and remembers that older views may need the head as it was.
    fn publish(&self, maintenance: &mut Maintenance, change: impl FnOnce(&BlockSet) -> BlockSet) {
        let before = self.blocks.load_full();
        let after = change(&before);
        maintenance.waiting.push((Arc::downgrade(&before), after.floor_ms));
        self.blocks.store(Arc::new(after));
    }

    /// All live series in the order in which a block lists them.
    fn series_by_labels(&self) -> Vec<(Arc<Labels>, SeriesRef)> {
        let mut series = Vec::with_capacity(self.head.series_count());
        for shard in self.head.shards() {
            let shard = shard.read();
            for slot in 0..shard.slots() {
                if let (Some(found), Some(reference)) = (shard.series(slot), shard.reference(slot)) {
                    series.push((found.labels.clone(), reference));
                }
            }
        }
        series.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        series
    }

    /// The two-hour ranges that hold samples older than the floor and not yet in a block.
    fn ranges(&self, series: &[(Arc<Labels>, SeriesRef)], sealed_ms: i64, floor_ms: i64) -> Vec<TimeRange> {
        let mut starts = std::collections::BTreeSet::new();
        let mut columns = Columns::default();
        for (_, reference) in series {
            let shard = self.head.shard(reference.shard()).read();
            let Some(found) = shard.by_ref(*reference) else { continue };
            let Some(span) = found.span() else { continue };
            let (first, last) = (span.from_ms.max(sealed_ms), span.to_ms.min(floor_ms - 1));
            if first > last {
                continue;
            }
            let whole = first == span.from_ms && last == span.to_ms;
            let (first, last) = (first.div_euclid(BLOCK_MS), last.div_euclid(BLOCK_MS));
            if whole && last - first <= 1 {
                starts.extend(first..=last);
            } else {
                // Only the samples tell whether a stretch that the span merely crosses holds any.
                columns.clear();
                found.read(TimeRange { from_ms: sealed_ms, to_ms: floor_ms - 1 }, &mut columns);
                starts.extend(columns.timestamps_ms.iter().map(|timestamp_ms| timestamp_ms.div_euclid(BLOCK_MS)));
            }
        }
        // An early cut ends within a range, and the next one begins there.
        let range = |start: i64| TimeRange {
            from_ms: (start * BLOCK_MS).max(sealed_ms),
            to_ms: (start * BLOCK_MS + BLOCK_MS).min(floor_ms) - 1,
        };
        starts.into_iter().map(range).collect()
    }

    /// Makes the block of the samples in `range`: written, synced, read back, and only then given its name.
    fn write_block(&self, series: &[(Arc<Labels>, SeriesRef)], range: TimeRange) -> Result<Block, StorageError> {
        let folder = block::folder(&self.options.data_dir);
        let path = block::block_path(&folder, range.from_ms, range.to_ms + 1);
        let temporary = path.with_extension("tmp");
        let written = self.write_file(series, range, &temporary).and_then(|()| self.read_back(&temporary));
        if written.is_err() {
            // A full disk needs the room for the log. If even this fails, the next attempt writes over it.
            let _ = self.disk.remove(&temporary);
        }
        let block = written?;
        self.disk.rename(&temporary, &path)?;
        self.disk.sync_folder(&folder)?;
        Ok(block.renamed(path))
    }

    /// Writes the samples in `range` to the file, and syncs it.
    fn write_file(
        &self,
        series: &[(Arc<Labels>, SeriesRef)],
        range: TimeRange,
        path: &Path,
    ) -> Result<(), StorageError> {
        let file = self.disk.create(path, 0)?;
        let failed = |source: io::Error| DiskError::new("write", path, source);

        let block_range =
            BlockRange { min_time_ms: range.from_ms, max_time_ms: range.to_ms + 1, created_ms: self.clock.now_ms() };
        let out = BufWriter::with_capacity(WRITE_BYTES, FileWriter { file: &*file, position: 0 });
        let mut writer = BlockWriter::begin(out, block_range).map_err(failed)?;
        let (mut columns, mut stored) = (Columns::default(), Vec::new());
        for (labels, reference) in series {
            columns.clear();
            if let Some(found) = self.head.shard(reference.shard()).read().by_ref(*reference) {
                found.read(range, &mut columns);
            }
            if columns.is_empty() {
                continue;
            }
            writer.begin_series(labels.iter());
            for (timestamps_ms, values) in
                columns.timestamps_ms.chunks(CHUNK_SAMPLES_MAX).zip(columns.values.chunks(CHUNK_SAMPLES_MAX))
            {
                stored.clear();
                encode_chunk(timestamps_ms, values, &mut stored);
                let (first_ms, last_ms) = (timestamps_ms[0], timestamps_ms[timestamps_ms.len() - 1]);
                writer.append_chunk(first_ms, last_ms, &stored).map_err(failed)?;
            }
        }
        let (mut out, _) = writer.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        drop(out);
        Ok(file.sync()?)
    }

    fn read_back(&self, path: &Path) -> Result<Block, StorageError> {
        let opened = Block::open(&*self.disk, path)?.and_then(|block| block.verify().map(|()| block));
        opened.map_err(|damage| StorageError::Corruption { file: path.to_owned(), damage })
    }

    /// Empties the head up to the newest floor that no older view needs any more. Returns how many series retire.
    fn empty_head(&self, maintenance: &mut Maintenance) -> usize {
        let needed = maintenance.waiting.iter().position(|(views, _)| views.strong_count() > 0);
        let free = needed.unwrap_or(maintenance.waiting.len());
        let Some((_, floor_ms)) = maintenance.waiting.drain(..free).next_back() else { return 0 };
        let mut retiring = HashSet::new();
        for shard in self.head.shards() {
            retiring.extend(shard.write().truncate(floor_ms));
        }
        self.resolver.forget(&retiring);
        self.head.recount_series();
        retiring.len()
    }

    /// Looks at the blocks in which damage was met. One whose index is whole serves on, without the chunks that are not;
    /// another is taken out of the set and its file renamed.
    fn put_aside(&self, maintenance: &mut Maintenance) -> Result<usize, StorageError> {
        let mut count = 0;
        for path in self.damage.take_suspects() {
            let Some(suspect) = self.blocks.load().of_file(&path) else { continue };
            match Block::open(&*self.disk, &path) {
                Ok(Ok(fresh)) if suspect.has_faulted() => {
                    self.publish(maintenance, |before| before.replaced(&suspect, Some(Arc::new(fresh))));
                }
                Ok(Ok(_)) => {}
                unusable => {
                    count += 1;
                    self.publish(maintenance, |before| before.replaced(&suspect, None));
                    let aside = path.with_extension("damaged");
                    let what = match unusable {
                        Ok(outcome) => outcome.err().map(|damage| damage.to_string()),
                        Err(error) => Some(error.to_string()),
                    };
                    tracing::error!(file = %path.display(), what, "the block no longer serves: put aside as .damaged");
                    match self.disk.rename(&path, &aside) {
                        Err(error) if !error.is_not_found() => return Err(error.into()),
                        _ => {}
                    }
                    self.disk.sync_folder(&block::folder(&self.options.data_dir))?;
                }
            }
        }
        Ok(count)
    }

    /// Removes the oldest block past the retention, one a call, so that a clock that jumped does not empty the folder
    /// before somebody sees it.
    fn expire(&self, maintenance: &mut Maintenance) -> Result<usize, StorageError> {
        if self.options.retention_ms == 0 {
            return Ok(0);
        }
        // The older of the two clocks: neither a jump of ours nor a sender's alone removes anything.
        let now_ms = self.clock.now_ms().min(self.head.newest_ms().max(self.blocks.load().floor_ms));
        let before = self.blocks.load_full();
        let (_, expired) = before.split_expired(now_ms.saturating_sub(self.options.retention_ms));
        let Some(oldest) = expired.first() else { return Ok(0) };
        // Views that still hold it read on: the file's pages stay until the last one lets go.
        match self.disk.remove(oldest.path()) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        self.publish(maintenance, |before| before.split_expired(oldest.span().to_ms + 1).0);
        self.disk.sync_folder(&block::folder(&self.options.data_dir))?;
        Ok(1)
    }
}

fn encode_chunk(timestamps_ms: &[i64], values: &[f64], stored: &mut Vec<u8>) {
    let (mut appender, mut stream) = (Appender::default(), Vec::new());
    for (timestamp_ms, value) in timestamps_ms.iter().zip(values) {
        appender.append(&mut stream, *timestamp_ms, *value);
    }
    chunk::encode_stored(chunk::KIND_DELTA, appender.count(), &stream, stored);
}

/// A file, written from front to back.
struct FileWriter<'a> {
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
