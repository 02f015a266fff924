//! Opening the database: blocks, then the log behind them, then the threads.
//!
//! Recovery changes nothing that was written: of a killed process's segment it gives back the zeros that were reserved
//! behind the records, so that many starts do not fill the disk. It is over when the head holds what the log holds; the next group of writes
//! begins a new segment, which opens with all series alive, so an interrupted recovery simply starts again.
//!
//! What a shard wrote is read by a thread of its own, as long as a segment is large enough. (Handing samples out series
//! by series, so that the head stays in the cache, was tried: sorting them cost what it saved.)

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam::channel::bounded;
use parking_lot::{Mutex, RwLock};
use storage_format::histogram::Histogram;

use super::block::BlockSet;
use super::damage::DamageLog;
use super::head::{DefinitionWalk, Head, HeadLimits, SealedLookup, ShardWriter};
use super::log::{self, LogWriter, ReplayTarget, Replayed};
use super::resolver::Resolver;
use super::retain::RetentionState;
use super::tap::{self, Interest, TapSource};
use super::threads::{LogLoop, Loops, Room, ShardLoop, Threads};
use super::{
    LOG_QUEUE_ENTRIES, Recovered, SHARD_QUEUE_REQUESTS, Storage, StorageCounters, StorageError, StorageOptions, block,
    seal,
};
use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::Disk;
use crate::model::{Labels, SeriesRef, TimeRange};

/// How far the opening of a database is. Relaxed: they are figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    /// Log segments that there are to read; 0 until they are counted.
    pub segments_total: AtomicU64,
    /// Log segments read.
    pub segments_done: AtomicU64,
    /// Samples read from the log.
    pub samples: AtomicU64,
    /// Bytes of the segments read.
    pub bytes: AtomicU64,
    /// Whether the database is open.
    pub done: AtomicBool,
}

/// `start` says who runs the loops.
pub(super) fn open(
    options: StorageOptions,
    disk: Arc<dyn Disk>,
    clock: Clock,
    interest: Interest,
    start: impl FnOnce(Loops) -> Result<Threads, StorageError>,
) -> Result<(Arc<Storage>, Recovered, Vec<TapSource>), StorageError> {
    let log_folder = log::folder(&options.data_dir);
    let block_folder = block::folder(&options.data_dir);
    // Before anything is changed: what a newer program wrote is for that program.
    log::refuse_newer(&*disk, &log_folder)?;
    for folder in [&options.data_dir, &log_folder, &block_folder] {
        disk.create_folder(folder)?;
    }
    // The two folders' names must outlast a power cut as much as what will be in them.
    disk.sync_folder(&options.data_dir)?;
    let mut recovered = Recovered::default();
    let found = block::open_all(&*disk, &block_folder, &mut recovered.damage)?;
    recovered.block_count = found.set.members().len();

    let lost = found.set.lost_spans();
    let head = Arc::new(Head::new(options.shard_count, found.set.floor_ms));
    let blocks = Arc::new(ArcSwap::from_pointee(found.set));
    let sealed = sealed_lookup(blocks.clone());
    let resolver = Arc::new(Resolver::new(options.hash_seed));
    let limits = HeadLimits {
        series_max: options.series_max,
        retention_ms: options.longest_kept_ms(),
        out_of_order_window_ms: options.out_of_order_window_ms,
    };
    let (mut writers, mut taps) = (Vec::new(), Vec::new());
    for index in 0..options.shard_count {
        let (feed, source) = tap::tap(head.clone(), blocks.clone(), index, interest.clone());
        writers.push(ShardWriter::new(index as u8, head.clone(), resolver.clone(), limits, sealed.clone(), feed));
        taps.push(source);
    }
    let sources = Sources { disk: &*disk, log_folder: &log_folder, lost: &lost, progress: &options.recovery };
    let replayed = replay_log(&sources, &head, &mut writers, &mut recovered)?;
    recovered.series_count = head.series_count().saturating_sub(head.companion_count());

    let counters = Arc::new(StorageCounters::default());
    counters.damage.store(recovered.damage.len() as u64, Ordering::Relaxed);
    let damage = Arc::new(DamageLog::new(clock.clone(), counters.clone()));
    damage.found_at_start(&options.data_dir, &recovered.damage);
    let log_failing = Arc::new(ArcSwapOption::empty());
    let (to_log, log_inbox) = bounded(LOG_QUEUE_ENTRIES);
    let snapshot_head = head.clone();
    let snapshot = move || -> log::Definitions {
        let mut walk = DefinitionWalk::new(snapshot_head.clone());
        Box::new(move |records, bytes_max| walk.append(records, bytes_max))
    };
    log::remove_unfinished(&*disk, &log_folder);
    let log_writer = LogWriter::new(
        disk.clone(),
        log_folder,
        clock.clone(),
        Box::new(snapshot),
        options.wal_sync == WalSync::Always,
        replayed.segments,
        replayed.last_sequence,
    );
    let growing_segment = log_writer.growing().clone();
    let log = LogLoop {
        writer: log_writer,
        inbox: log_inbox,
        orders: Vec::new(),
        wal_sync: options.wal_sync,
        failing: log_failing.clone(),
        counters: counters.clone(),
        clock: clock.clone(),
        last_sync: clock.monotonic(),
        room: Room::default(),
    };
    let (mut inboxes, mut shards) = (Vec::new(), Vec::new());
    for writer in writers {
        let (inbox, outbox) = bounded(SHARD_QUEUE_REQUESTS);
        shards.push(ShardLoop { writer, inbox: outbox, to_log: to_log.clone(), clock: clock.clone() });
        inboxes.push(inbox);
    }
    let threads = start(Loops { shards, log })?;
    options.recovery.done.store(true, Ordering::Relaxed);
    let newest_ms = head.newest_ms().max(blocks.load().floor_ms);
    let retention = RetentionState::at_start(newest_ms, clock.now_ms(), clock.monotonic());
    let storage = Storage {
        options,
        disk,
        clock,
        head,
        blocks,
        last_block_number: AtomicU64::new(found.number_max),
        resolver,
        inboxes,
        to_log,
        growing_segment,
        log_failing,
        closing: RwLock::new(false),
        head_full: AtomicBool::new(false),
        counters,
        damage,
        progress: Arc::default(),
        maintenance: Mutex::new(seal::Maintenance::new(retention)),
        waiting_for_maintenance: AtomicUsize::new(0),
        threads: Mutex::new(threads),
    };
    Ok((Arc::new(storage), recovered, taps))
}

/// Reads what blocks hold of a series, for the shards: whether a belated sample is there already. What is damaged cannot
/// say so; the other blocks still can.
fn sealed_lookup(blocks: Arc<ArcSwap<BlockSet>>) -> SealedLookup {
    Arc::new(move |labels, range, columns| {
        let start = columns.len();
        for member in blocks.load().overlapping(range) {
            if let Ok(Some(number)) = member.block.find(labels) {
                let _ = member.read(number, range, start, columns);
            }
        }
        Ok(())
    })
}

/// What recovery reads from.
struct Sources<'a> {
    disk: &'a dyn Disk,
    log_folder: &'a Path,
    /// Spans of the blocks that cannot be read: what the log still holds of them is taken from there.
    lost: &'a [TimeRange],
    progress: &'a RecoveryProgress,
}

/// Fills the head from the log, a thread a shard.
fn replay_log(
    sources: &Sources<'_>,
    head: &Head,
    writers: &mut [ShardWriter],
    recovered: &mut Recovered,
) -> Result<Replayed, StorageError> {
    // A thread reads what one shard wrote. That goes to the same shard again, unless the number of shards has changed.
    let shared: Vec<Mutex<&mut ShardWriter>> = writers.iter_mut().map(Mutex::new).collect();
    let of_shard = || vec![Vec::new(); shared.len()];
    let target = |_| Restore { head, writers: &shared, lost: sources.lost, of_shard: of_shard() };
    let mut targets: Vec<Restore<'_, '_>> = shared.iter().map(target).collect();
    let mut replayed = log::replay(sources.disk, sources.log_folder, &mut targets, sources.progress)?;
    drop(targets);
    drop(shared);
    for writer in writers {
        writer.restored();
    }
    recovered.segment_count = replayed.segments.len();
    recovered.sample_count = replayed.sample_count;
    recovered.damage.append(&mut replayed.damage);
    Ok(replayed)
}

type Rows = [(SeriesRef, i64, f64)];

/// Gives what is read to the shards that own it now.
struct Restore<'a, 'b> {
    head: &'a Head,
    writers: &'a [Mutex<&'b mut ShardWriter>],
    lost: &'a [TimeRange],
    /// Rows of one record, where they go to several shards.
    of_shard: Vec<Vec<(SeriesRef, i64, f64)>>,
}

impl Restore<'_, '_> {
    fn rows(&mut self, rows: &Rows, restore: impl Fn(&mut ShardWriter, &Rows)) {
        let Some(shard) = rows.first().map(|row| row.0.shard()) else { return };
        if rows.iter().all(|row| row.0.shard() == shard) {
            return restore(&mut self.writers[shard].lock(), rows);
        }
        for row in rows {
            self.of_shard[row.0.shard()].push(*row);
        }
        for (writer, rows) in self.writers.iter().zip(&mut self.of_shard) {
            restore(&mut writer.lock(), rows);
            rows.clear();
        }
    }
}

impl ReplayTarget for Restore<'_, '_> {
    fn series(&mut self, labels: Labels) -> SeriesRef {
        let shard = self.head.shard_of(&labels);
        self.writers[shard].lock().restore_series(&labels)
    }

    fn samples(&mut self, rows: &Rows) {
        self.rows(rows, |writer, rows| writer.restore(rows));
        let is_lost = |row: &&(SeriesRef, i64, f64)| self.lost.iter().any(|span| span.contains(row.1));
        let lost: Vec<_> = rows.iter().filter(is_lost).copied().collect();
        if !lost.is_empty() {
            self.belated(&lost);
        }
    }

    fn belated(&mut self, rows: &Rows) {
        self.rows(rows, |writer, rows| writer.restore_belated(rows));
    }

    fn histograms(&mut self, rows: &[(SeriesRef, i64, Histogram)]) {
        for rows in rows.chunk_by(|one, two| one.0.shard() == two.0.shard()) {
            self.writers[rows[0].0.shard()].lock().restore_histograms(rows);
        }
    }

    fn delete(&mut self, series: &[SeriesRef], range: TimeRange) {
        for (shard, writer) in self.writers.iter().enumerate() {
            let of_shard: Vec<SeriesRef> = series.iter().copied().filter(|series| series.shard() == shard).collect();
            if !of_shard.is_empty() {
                writer.lock().restore_deletion(&of_shard, range);
            }
        }
    }
}
