//! Opening the database: blocks, then the log behind them, then the threads.
//!
//! Recovery changes nothing that was written: of a killed process's segment it gives back the zeros that were reserved
//! behind the records, so that many starts do not fill the disk. It is over when the head holds what the log holds; the next group of writes
//! begins a new segment, which opens with all series alive, so an interrupted recovery simply starts again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam::channel::bounded;
use parking_lot::{Mutex, RwLock};

use super::damage::DamageLog;
use super::head::{Head, HeadLimits, ShardWriter};
use super::log::{self, LogWriter, ReplayTarget, Replayed};
use super::resolver::Resolver;
use super::tap::{self, Interest, TapSource};
use super::threads::{LogLoop, Room, Threads};
use super::{
    LOG_QUEUE_ENTRIES, Recovered, RecoveryProgress, SHARD_QUEUE_REQUESTS, Storage, StorageCounters, StorageError,
    StorageOptions, block, seal,
};
use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::Disk;
use crate::model::{Labels, SeriesRef};

pub(super) fn open(
    options: StorageOptions,
    disk: Arc<dyn Disk>,
    clock: Clock,
    interest: Interest,
    progress: &RecoveryProgress,
) -> Result<(Arc<Storage>, Recovered, Vec<TapSource>), StorageError> {
    let log_folder = log::folder(&options.data_dir);
    let block_folder = block::folder(&options.data_dir);
    for folder in [&options.data_dir, &log_folder, &block_folder] {
        disk.create_folder(folder)?;
    }
    // The two folders' names must outlast a power cut as much as what will be in them.
    disk.sync_folder(&options.data_dir)?;
    let mut recovered = Recovered::default();
    let blocks = block::open_all(&*disk, &block_folder, &mut recovered.damage)?;
    recovered.block_count = blocks.len();

    let head = Arc::new(Head::new(options.shard_count, blocks.floor_ms));
    let resolver = Arc::new(Resolver::new(options.hash_seed));
    let limits = HeadLimits { series_max: options.series_max, retention_ms: options.retention_ms };
    let (mut writers, mut taps) = (Vec::new(), Vec::new());
    for index in 0..options.shard_count {
        let (feed, source) = tap::tap(head.clone(), index, interest.clone());
        writers.push(ShardWriter::new(index as u8, head.clone(), resolver.clone(), limits, feed));
        taps.push(source);
    }
    let replayed = replay_log(&*disk, &log_folder, &head, &mut writers, &mut recovered, progress)?;
    recovered.series_count = head.series_count();

    let counters = Arc::new(StorageCounters::default());
    counters.damage.store(recovered.damage.len() as u64, Ordering::Relaxed);
    let damage = Arc::new(DamageLog::new(clock.clone(), counters.clone()));
    damage.found_at_start(&options.data_dir, &recovered.damage);
    let log_failing = Arc::new(ArcSwapOption::empty());
    let (to_log, log_inbox) = bounded(LOG_QUEUE_ENTRIES);
    let mut threads = Threads::default();
    let snapshot_head = head.clone();
    let snapshot = move |records: &mut Vec<u8>| {
        for shard in snapshot_head.shards() {
            shard.read().define_all(records);
        }
    };
    threads.start_log(LogLoop {
        writer: LogWriter::new(
            disk.clone(),
            log_folder,
            clock.clone(),
            Box::new(snapshot),
            options.wal_sync == WalSync::Always,
            replayed.segments,
            replayed.last_sequence,
        ),
        inbox: log_inbox,
        wal_sync: options.wal_sync,
        failing: log_failing.clone(),
        counters: counters.clone(),
        clock: clock.clone(),
        room: Room::default(),
    })?;
    let mut inboxes = Vec::new();
    for (index, writer) in writers.into_iter().enumerate() {
        let (inbox, outbox) = bounded(SHARD_QUEUE_REQUESTS);
        threads.start_shard(index, writer, outbox, to_log.clone(), clock.clone())?;
        inboxes.push(inbox);
    }
    let storage = Storage {
        options,
        disk,
        clock,
        head,
        blocks: ArcSwap::from_pointee(blocks),
        resolver,
        inboxes,
        to_log,
        log_failing,
        closing: RwLock::new(false),
        head_full: AtomicBool::new(false),
        counters,
        damage,
        maintenance: Mutex::new(seal::Maintenance::default()),
        threads: Mutex::new(threads),
    };
    Ok((Arc::new(storage), recovered, taps))
}

/// Fills the head from the log.
fn replay_log(
    disk: &dyn Disk,
    folder: &std::path::Path,
    head: &Arc<Head>,
    writers: &mut [ShardWriter],
    recovered: &mut Recovered,
    progress: &RecoveryProgress,
) -> Result<Replayed, StorageError> {
    struct Target<'a> {
        head: &'a Head,
        writers: &'a mut [ShardWriter],
        of_shard: Vec<Vec<(SeriesRef, i64, f64)>>,
        progress: &'a RecoveryProgress,
    }
    impl ReplayTarget for Target<'_> {
        fn begin(&mut self, segment_count: usize) {
            self.progress.begin_log(segment_count);
        }

        fn end_segment(&mut self) {
            self.progress.end_segment();
        }

        fn series(&mut self, labels: Labels) -> SeriesRef {
            let shard = self.head.shard_of(&labels);
            self.writers[shard].restore_series(&Arc::new(labels))
        }

        fn samples(&mut self, rows: &[(SeriesRef, i64, f64)]) {
            self.progress.add_samples(rows.len());
            for row in rows {
                self.of_shard[row.0.shard()].push(*row);
            }
            for (shard, rows) in self.of_shard.iter_mut().enumerate() {
                self.writers[shard].restore(rows);
                rows.clear();
            }
        }
    }
    let of_shard = vec![Vec::new(); writers.len()];
    let mut target = Target { head, writers, of_shard, progress };
    let mut replayed = log::replay(disk, folder, &mut target)?;
    for writer in writers {
        writer.restored();
    }
    recovered.segment_count = replayed.segments.len();
    recovered.sample_count = replayed.sample_count;
    recovered.damage.append(&mut replayed.damage);
    Ok(replayed)
}
