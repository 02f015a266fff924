//! Compaction: blocks that lie in one larger range become one block, smaller and quicker to search.
//!
//! ```text
//! 00–02 02–04 04–06 │ 06–08 08–10 10–12 │ 12–14 …        cut every two hours
//! └──── 00–06 ────┘ └──── 06–12 ────┘                     made when all of the six hours is sealed
//! └───────────────────── 00–24 ───────── …                made when the day is
//! ```
//!
//! The same merge writes blocks anew without what was deleted or is past its own retention.
//!
//! Always true:
//! 1. The new block is complete, read back and named before one that it replaces goes. A crash between leaves both: they
//!    say the same, and are merged again.
//! 2. A block that cannot be read through to its end is never replaced: it serves what can be read.
//! 3. Between two targets, and parts of a large one, it looks whether a block has to be cut, or whether somebody waits for it to stop.
//!
//! How blocks are put together is in `merge.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use storage_format::column::Effort;

use super::block::{self, Block, Member};
use super::build;
use super::log::DISK_RESERVE_BYTES;
use super::merge::Merging;
use super::seal::Maintenance;
use super::{BLOCK_MS, Storage, StorageError};
use crate::model::{Labels, TimeRange};

/// Lengths of the ranges that blocks are compacted to, in ms: 2 h, 6 h, a day, four days.
const RANGES_MS: [i64; 4] = [BLOCK_MS, 3 * BLOCK_MS, 12 * BLOCK_MS, 48 * BLOCK_MS];
/// A range is at most this part of the retention: what is past it goes a block at a time.
const RANGES_PER_RETENTION: i64 = 8;
/// Small blocks beside a large one are merged into it when there are so many of them …
const SMALL_BLOCKS_MAX: usize = 4;
/// … or when together they have so large a part of its bytes, so that a trickle of belated samples does not write a day
/// anew every two hours.
const SMALL_BYTES_PART: u64 = 8;

/// When blocks of one range are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// When it pays.
    Worthwhile,
    /// Whenever there are two, blocks apart that were cut under a greater number: an order ends, however fast senders fill
    /// new ones.
    Asked { number_max: u64 },
}

/// What [`Storage::compact_all`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionSummary {
    /// Blocks cut from the head.
    pub blocks_cut: usize,
    /// Blocks that were made into others, and are gone.
    pub blocks_merged: usize,
    /// Blocks past the retention, and gone.
    pub blocks_expired: usize,
    /// Blocks that serve now.
    pub block_count: usize,
    /// Their bytes.
    pub block_bytes: u64,
    /// Their samples.
    pub sample_count: u64,
}

impl Storage {
    /// Writes everything that the head holds to blocks and compacts as far as the ranges of time allow. Answers when it
    /// is done; [`StorageError::Interrupted`] when somebody else's work had to go first.
    pub fn compact_all(&self) -> Result<CompactionSummary, StorageError> {
        let mut maintenance = self.take_maintenance();
        let mut summary = CompactionSummary::default();
        let newest_ms = self.head.newest_ms();
        if newest_ms != i64::MIN {
            // What comes for this time later is belated, and costs a look-up in the blocks more. So one sender whose clock
            // is ahead must not make all others' next minutes so.
            let floor_ms = newest_ms.min(self.clock.now_ms()).saturating_add(1);
            summary.blocks_cut = self.cut(&mut maintenance, floor_ms)?;
        }
        // First what makes room.
        loop {
            let expired = self.expire(&mut maintenance)?;
            if expired == 0 {
                break;
            }
            summary.blocks_expired += expired;
        }
        let due = Due::Asked { number_max: self.last_block_number.load(Ordering::SeqCst) };
        loop {
            let unreadable_before = maintenance.unreadable.len();
            let compacted = self.compact_once(&mut maintenance, due)?;
            // Without a block that turned out to be unreadable there may be others to merge.
            if compacted == 0 && maintenance.unreadable.len() == unreadable_before {
                break;
            }
            summary.blocks_merged += compacted;
        }
        if self.is_interrupted() {
            return Err(StorageError::Interrupted); // what is left is not known to be nothing
        }
        self.cut_due(&mut maintenance)?;
        // The log has heard of the cuts, and by the time of this answer it has let go of what they made superfluous.
        self.rotate_log()?;
        let blocks = self.blocks.load();
        summary.block_count = blocks.members().len();
        summary.block_bytes = blocks.bytes();
        summary.sample_count = blocks.members().iter().map(|member| member.block.facts().sample_count).sum();
        Ok(summary)
    }

    /// Merges the first blocks for which it is time. Returns how many: none when nothing is due.
    pub(super) fn compact_once(&self, maintenance: &mut Maintenance, due: Due) -> Result<usize, StorageError> {
        let Some(sources) = self.due_blocks(maintenance, due) else { return Ok(0) };
        self.merge(maintenance, &sources, &|_| true)
    }

    /// The blocks that are to become one, if there are any.
    fn due_blocks(&self, maintenance: &Maintenance, due: Due) -> Option<Vec<Member>> {
        let blocks = self.blocks.load();
        let eligible = |member: &&Member| {
            let is_cut_since = match due {
                Due::Worthwhile => false,
                Due::Asked { number_max } => member.block.facts().level == 0 && member.block.name().number > number_max,
            };
            !is_cut_since && !maintenance.unreadable.contains(member.block.path())
        };
        // The longest first: what goes into it anyway is not merged to something shorter before.
        for length_ms in self.ranges_ms().rev() {
            let mut windows: BTreeMap<i64, Vec<&Member>> = BTreeMap::new();
            for member in blocks.members().iter().filter(eligible) {
                let span = member.block.span();
                let window = span.from_ms.div_euclid(length_ms);
                if window == span.to_ms.div_euclid(length_ms) {
                    windows.entry(window).or_default().push(member);
                }
            }
            for (window, members) in windows {
                let is_sealed = (window + 1).saturating_mul(length_ms) <= blocks.floor_ms;
                if (is_sealed || due != Due::Worthwhile) && is_due(&members, due) {
                    return Some(members.into_iter().cloned().collect());
                }
            }
        }
        None
    }

    fn ranges_ms(&self) -> impl DoubleEndedIterator<Item = i64> {
        let retention_ms = self.options.retention_ms;
        let most_ms = if retention_ms == 0 { i64::MAX } else { retention_ms / RANGES_PER_RETENTION };
        RANGES_MS.into_iter().filter(move |length_ms| *length_ms == BLOCK_MS || *length_ms <= most_ms)
    }

    /// Puts one block in the place of `sources`, without the series of which `keep` says no. Returns the number of
    /// blocks replaced: none when it was interrupted, or when one of them cannot be read.
    pub(super) fn merge(
        &self,
        maintenance: &mut Maintenance,
        sources: &[Member],
        keep: &dyn Fn(&Labels) -> bool,
    ) -> Result<usize, StorageError> {
        // Both are there until the old ones go; the log's reserve is not for this.
        let needed_bytes = DISK_RESERVE_BYTES + sources.iter().map(|member| member.block.bytes()).sum::<u64>();
        let free_bytes = self.disk.free_bytes(&self.options.data_dir)?;
        if free_bytes < needed_bytes {
            return Err(StorageError::NoRoom { needed_bytes, free_bytes });
        }
        let spans = sources.iter().map(|member| member.block.span());
        let range = spans.reduce(|a, b| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) });
        let range = range.expect("a merge has sources");
        let level = sources.iter().map(|member| member.block.facts().level).max().unwrap_or(0).saturating_add(1);
        let (name, folder) = (self.next_name(range), block::folder(&self.options.data_dir));
        let written = build::write_block(
            &*self.disk,
            &folder,
            name,
            self.block_range(range, level),
            Effort::Compact,
            |builder| Merging { storage: self, maintenance, sources, range, keep }.run(builder),
        );
        if written.is_err() {
            maintenance.leave_behind(name.path(&folder));
        }
        let written = match written {
            Err(StorageError::Interrupted) => return Ok(0),
            Err(StorageError::Unreadable { block, what }) => {
                tracing::error!(%what, "a block cannot be compacted; what can be read of it serves on");
                maintenance.unreadable.insert(block);
                return Ok(0);
            }
            // It would not the next time either.
            Err(error @ StorageError::NotReadBack { .. }) => {
                tracing::error!(%error, "blocks cannot be compacted; they serve on");
                maintenance.unreadable.extend(sources.iter().map(|source| source.block.path().to_owned()));
                return Ok(0);
            }
            Err(StorageError::Corruption { file, damage }) => {
                return self.find_damaged(maintenance, sources, StorageError::Corruption { file, damage });
            }
            other => other?,
        };
        let gone: Vec<Arc<Block>> = sources.iter().map(|member| member.block.clone()).collect();
        let floor_ms = self.blocks.load().floor_ms;
        self.publish(maintenance, None, |before| before.without(&gone).with(written, floor_ms));
        self.remove_blocks(maintenance, &gone)?;
        self.counters.blocks_compacted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        Ok(gone.len())
    }

    /// A merged block could not be read back. A group that is taken as it is brings its damage along: then a source is
    /// the one that cannot be compacted.
    fn find_damaged(
        &self,
        maintenance: &mut Maintenance,
        sources: &[Member],
        met: StorageError,
    ) -> Result<usize, StorageError> {
        let damaged = |member: &&Member| !member.block.verify(block::Depth::Samples).is_empty();
        let found: Vec<PathBuf> = sources.iter().filter(damaged).map(|member| member.block.path().to_owned()).collect();
        if found.is_empty() {
            return Err(met);
        }
        for file in &found {
            tracing::error!(file = %file.display(), "a block cannot be compacted; what can be read of it serves on");
        }
        maintenance.unreadable.extend(found);
        Ok(0)
    }

    /// Removes blocks that serve no more, and then what was deleted from them. Views that still hold them read on: the
    /// files' pages stay until the last one lets go.
    pub(super) fn remove_blocks(&self, maintenance: &mut Maintenance, gone: &[Arc<Block>]) -> Result<(), StorageError> {
        let folder = block::folder(&self.options.data_dir);
        let deleted = |block: &Arc<Block>| block.name().deleted_path(&folder);
        // The blocks first: without its list of what was deleted, one that outlives it would show that again.
        maintenance.left_behind.extend(gone.iter().map(|block| block.path().to_owned()));
        maintenance.left_behind.extend(gone.iter().map(deleted));
        self.remove_left_behind(maintenance)
    }

    /// Removes what is left of blocks that serve no more. After an error the rest stays noted.
    pub(super) fn remove_left_behind(&self, maintenance: &mut Maintenance) -> Result<(), StorageError> {
        if maintenance.left_behind.is_empty() {
            return Ok(());
        }
        let mut removed = 0;
        let outcome = maintenance.left_behind.iter().try_for_each(|path| match self.disk.remove(path) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => {
                removed += 1;
                Ok(())
            }
        });
        maintenance.left_behind.drain(..removed);
        outcome?;
        Ok(self.disk.sync_folder(&block::folder(&self.options.data_dir))?)
    }
}

fn is_due(members: &[&Member], due: Due) -> bool {
    let needs_work = |member: &&&Member| !member.deleted.is_empty() || member.block.facts().level == 0;
    if members.len() < 2 {
        // Alone in its range: only to be rid of what was deleted, or, when asked, to be as small as can be.
        return due != Due::Worthwhile && members.iter().any(|member| needs_work(&member));
    }
    let largest = members.iter().map(|member| member.block.bytes()).max().unwrap_or(0);
    let all: u64 = members.iter().map(|member| member.block.bytes()).sum();
    due != Due::Worthwhile || members.len() > SMALL_BLOCKS_MAX || (all - largest) * SMALL_BYTES_PART >= largest
}
