//! The database: what was acknowledged, where it lies, and how it is read back.
//!
//! ```text
//! WriteBatch ─► shard queues ─► shards (head) ─► log queue ─► log ─► answer
//!                                  │  └─► tap ─► whoever listens
//!                                  ▼ two hours are full
//!                               block file ─► the log behind it goes
//! ```
//!
//! A sample is in the head (memory, covered by the log) until its two hours are full and have settled; then it is in a
//! block (one immutable file), and later in a larger one. [`ReadView`] joins all of them.
//!
//! Always true:
//! 1. A write is answered after its records are in the log as safely as `wal_sync` promises.
//! 2. A series has one writer, its shard's thread. Everybody else reads under the shard's lock.
//! 3. A block is complete, checksummed, read back and named on disk before the log behind it or the chunks in the head
//!    go; so at every moment each acknowledged sample is in the log or in a block.
//!
//! A histogram is a sample whose value marks it, so everything that is said of samples holds for it; the histogram itself
//! is kept beside, and is found by its moment and its marker ([`view::Columns::settle_histograms`]).
//!
//! Since when a sample counts is a sample of a companion series, which nobody else sees (`starts`).
//!
//! Which thread runs what, the bounds of the queues and the order of the locks are on [the front page](crate#threads).

mod backup;
mod batch;
mod block;
mod build;
mod changes;
mod columns;
mod compact;
mod damage;
mod delete;
mod figures;
mod head;
mod listen;
mod listing;
mod log;
mod matched;
mod merge;
mod overlay;
mod progress;
mod recover;
mod resolver;
mod retain;
mod seal;
mod starts;
mod stored;
pub mod tap;
mod threads;
pub mod view;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam::channel::{Sender, TrySendError, bounded};
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use backup::{
    BackupError, Beside, Cause, Damage, KeptSnapshot, Restored, Snapshot, SnapshotOptions, Snapshots, Verification,
    as_of, check_restored, kept, remove_incomplete, restore, snapshot_at_rest, snapshots_folder, verify,
};
use batch::{Answered, Pending};
pub use batch::{HistogramRow, Kept, NewSeries, Refusal, Row, ShardBatch, StartRow, WriteError, WriteSummary};
use block::BlockSet;
pub use compact::CompactionSummary;
use damage::DamageLog;
pub use damage::{DAMAGES_MAX, MetDamage};
pub use figures::{BlockFigures, HeadFigures};
use head::Head;
pub use head::{BELATED_SAMPLES_MAX, LATE_SAMPLES_MAX};
pub use overlay::{OVERLAY_SAMPLES_MAX, Overlay, OverlayError};
pub use progress::{Progress, Task, TaskProgress};
pub use recover::RecoveryProgress;
pub use resolver::{Known, Resolver};
pub use retain::RetentionRule;
pub use seal::Maintained;
pub use starts::is_reserved;
pub use stored::{model_histogram, stored_histogram};
use tap::{Interest, TapSource};
use threads::{ShardMessage, Threads};
pub use view::ReadView;
pub use walk::Pulse;

use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::{Disk, DiskError};
use crate::model::Labels;

/// How far ahead of the clock a sample may be, in ms.
pub const FUTURE_MS_MAX: i64 = 10 * 60 * 1000;
/// The first moment of which a sample is kept, in ms since 1970 UTC: far enough from the end of 64 bits that no sum of
/// times overflows.
pub const TIMESTAMP_MS_MIN: i64 = -(1 << 53);
/// Requests that wait for one shard at most.
pub const SHARD_QUEUE_REQUESTS: usize = 256;
/// Entries that wait for the log at most.
pub const LOG_QUEUE_ENTRIES: usize = 1024;
/// Event time that one block covers, in ms; blocks begin at its multiples.
pub const BLOCK_MS: i64 = 2 * 60 * 60 * 1000;

/// What the database is opened with.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Shards, 1 to 256.
    pub shard_count: usize,
    /// When a write is answered.
    pub wal_sync: WalSync,
    /// Age in ms at which samples go; 0 keeps everything.
    pub retention_ms: i64,
    /// Series that are kept for another time; the first that fits decides.
    pub retention_rules: Vec<RetentionRule>,
    /// Bytes of all blocks past which the oldest goes; 0 is no limit.
    pub retention_bytes: u64,
    /// How far behind the newest sample of its own series a sample may be, in ms.
    pub out_of_order_window_ms: i64,
    /// Series that may live in the head at once.
    pub series_max: usize,
    /// Heap bytes of the head's samples past which blocks are cut early, and writes refused until that is done.
    pub head_bytes_max: usize,
    /// Seed of the resolver's hash: anything that a sender cannot know.
    pub hash_seed: u64,
    /// Told how far the opening is.
    pub recovery: Arc<RecoveryProgress>,
}

#[cfg(test)]
impl StorageOptions {
    /// What tests open a database with, in `/data`, unless they are about one of these: everything is synced and kept, and
    /// samples may be an hour late.
    pub(crate) fn of_tests(shard_count: usize) -> StorageOptions {
        StorageOptions {
            data_dir: PathBuf::from("/data"),
            shard_count,
            wal_sync: WalSync::Always,
            retention_ms: 0,
            retention_rules: Vec::new(),
            retention_bytes: 0,
            out_of_order_window_ms: 3_600_000,
            series_max: 100_000,
            head_bytes_max: usize::MAX,
            hash_seed: 7,
            recovery: Arc::default(),
        }
    }
}

/// Why the database cannot do something. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes on disk are not what was written.
    #[error("{file}: {damage}", file = file.display())]
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, and what.
        damage: storage_format::Corruption,
    },
    /// A newer program wrote the file; nothing was changed.
    #[error(
        "{file} has format {version}, this binary reads up to {version_max}: start the newer binary, or move the file \
         away",
        file = file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version that its header names.
        version: u16,
        /// The newest version that this program reads.
        version_max: u16,
    },
    /// What a block was to hold does not come back from it, in whatever way it is coded: a fault of this program.
    #[error("{file}: {source}; what the block was to hold stays where it is, and nothing is lost: please report this", file = file.display())]
    NotReadBack {
        /// The block's file, which was removed.
        file: PathBuf,
        /// What does not come back.
        source: storage_format::group::NotReadBack,
    },
    /// A block could not be read through, so it stays as it is.
    #[error("{what}; the block stays as it is")]
    Unreadable {
        /// The block's file.
        block: PathBuf,
        /// File, offset, what.
        what: String,
    },
    /// What was to be noted in the log could not be.
    #[error(transparent)]
    NotWritten(#[from] WriteError),
    /// Blocks cannot be written anew: the old ones and the new one must find room side by side.
    #[error("blocks cannot be written anew: {needed_bytes} bytes must be free for that, and {free_bytes} are")]
    NoRoom {
        /// What must be free.
        needed_bytes: u64,
        /// What is.
        free_bytes: u64,
    },
    /// Long work was given up because somebody waits for it to end, or the database closes.
    #[error("interrupted")]
    Interrupted,
    /// A thread could not be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// The thread's name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What was found when the database was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Blocks that serve queries.
    pub block_count: usize,
    /// Log segments read.
    pub segment_count: usize,
    /// Samples read from the log.
    pub sample_count: u64,
    /// Series alive.
    pub series_count: usize,
    /// What could not be used: file, offset, what. Nothing of it was deleted.
    pub damage: Vec<String>,
}

/// Counters that the threads keep. Relaxed: they are figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct StorageCounters {
    /// Samples stored, repeats included.
    pub samples_stored: AtomicU64,
    /// Samples refused, for whatever reason.
    pub samples_refused: AtomicU64,
    /// Start times stored with their samples.
    pub starts_stored: AtomicU64,
    /// Start times not stored, while their samples were.
    pub starts_refused: AtomicU64,
    /// Groups written to the log.
    pub log_groups: AtomicU64,
    /// Bytes written to the log.
    pub log_bytes: AtomicU64,
    /// Groups that could not be written at once.
    pub log_failures: AtomicU64,
    /// Log segments on disk.
    pub log_segments: AtomicU64,
    /// Microseconds spent in writing and syncing groups.
    pub log_commit_us: AtomicU64,
    /// Blocks cut since the start.
    pub blocks_cut: AtomicU64,
    /// Blocks that were made into others since the start.
    pub blocks_compacted: AtomicU64,
    /// Damaged files or records met since the start.
    pub damage: AtomicU64,
}

/// The database, running. Shared by everybody; the threads end at [`Storage::close`].
pub struct Storage {
    options: StorageOptions,
    disk: Arc<dyn Disk>,
    clock: Clock,
    head: Arc<Head>,
    blocks: Arc<ArcSwap<BlockSet>>,
    /// The highest number that a block's name has had.
    last_block_number: AtomicU64,
    resolver: Arc<Resolver>,
    inboxes: Vec<Sender<ShardMessage>>,
    to_log: Sender<threads::LogMessage>,
    /// The number of the log segment that grows; see [`log::LogWriter::growing`].
    growing_segment: Arc<AtomicU32>,
    log_failing: Arc<ArcSwapOption<String>>,
    /// Whether writes are no longer taken. Read while a request is handed over, written once.
    closing: RwLock<bool>,
    /// The head holds more than it may: writes wait until a cut has emptied it.
    head_full: AtomicBool,
    counters: Arc<StorageCounters>,
    damage: Arc<DamageLog>,
    progress: Arc<Progress>,
    maintenance: Mutex<seal::Maintenance>,
    /// Those who wait for maintenance that others do to end. Not zero: it stops where it can.
    waiting_for_maintenance: AtomicUsize,
    threads: Mutex<Threads>,
}

impl Storage {
    /// Reads what the data folder holds, starts the threads, and is then ready for writes. The caller holds the
    /// folder's lock. Also returns one tap a shard, for samples of the series that `interest` says yes to.
    pub fn open(
        options: StorageOptions,
        disk: Arc<dyn Disk>,
        clock: Clock,
        interest: Interest,
    ) -> Result<(Arc<Storage>, Recovered, Vec<TapSource>), StorageError> {
        recover::open(options, disk, clock, interest, Threads::start)
    }

    /// Known series by the hash of their encoded labels.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Number of shards.
    pub fn shard_count(&self) -> usize {
        self.inboxes.len()
    }

    /// The shard that owns the series of these labels.
    pub fn shard_of(&self, labels: &Labels) -> usize {
        self.head.shard_of(labels)
    }

    /// Writes one request's rows, a batch a shard. The future ends when they are in the log, with what was refused.
    pub async fn write(&self, batches: Vec<ShardBatch>) -> Result<WriteSummary, WriteError> {
        self.write_keeping(batches, None).await
    }

    /// The same. Rows that were handed over go their way also when nobody waits for them any more: `kept` is let go at
    /// their end, before this one's.
    pub async fn write_keeping(
        &self,
        batches: Vec<ShardBatch>,
        kept: Option<Kept>,
    ) -> Result<WriteSummary, WriteError> {
        let Some(answered) = self.submit(batches, kept)? else { return Ok(WriteSummary::default()) };
        let answer = answered.await;
        let summary = answer.map_or(Err(WriteError::Closing), |answer| answer.outcome)?;
        self.counters.samples_stored.fetch_add(summary.stored_count, Ordering::Relaxed);
        self.counters.samples_refused.fetch_add(summary.refused_count(), Ordering::Relaxed);
        self.counters.starts_stored.fetch_add(summary.starts_stored_count, Ordering::Relaxed);
        self.counters.starts_refused.fetch_add(summary.starts_refused_count, Ordering::Relaxed);
        if summary.gone_count > 0 { Err(WriteError::SeriesFreed(summary.gone_count)) } else { Ok(summary) }
    }

    /// Puts the batches into the shards' inboxes. Returns where the answer comes out, or `None` if there is nothing to do.
    fn submit(&self, batches: Vec<ShardBatch>, kept: Option<Kept>) -> Result<Option<Answered>, WriteError> {
        assert_eq!(batches.len(), self.inboxes.len(), "one batch a shard");
        // Held until all is handed over: what follows the order to close in an inbox would never be answered.
        let closing = self.closing.read();
        if *closing {
            return Err(WriteError::Closing);
        }
        self.check_taking()?;
        let parts = batches.iter().filter(|batch| !batch.is_empty()).count();
        if parts == 0 {
            return Ok(None);
        }
        let (pending, answered) = Pending::new(parts, kept);
        for (inbox, batch) in self.inboxes.iter().zip(batches) {
            if !batch.is_empty() {
                hand_over(inbox, ShardMessage::Write { batch, pending: pending.clone() }, &pending);
            }
        }
        Ok(Some(answered))
    }

    /// Whether there is a reason, to be seen without any work, for which the next write would not be taken.
    pub fn check_busy(&self) -> Result<(), WriteError> {
        self.check_taking()?;
        let is_full = self.inboxes.iter().any(Sender::is_full);
        if is_full { Err(WriteError::Busy(SHARD_QUEUE_REQUESTS)) } else { Ok(()) }
    }

    fn check_taking(&self) -> Result<(), WriteError> {
        if let Some(failing) = self.log_failing.load_full() {
            return Err(WriteError::LogFailing(failing.as_ref().clone()));
        }
        let is_full = self.head_full.load(Ordering::SeqCst);
        if is_full { Err(WriteError::HeadFull(self.options.head_bytes_max)) } else { Ok(()) }
    }

    /// What a query sees from now on.
    pub fn view(&self) -> ReadView {
        // Blocks first: what is cut between the two loads is then still found in the head.
        let blocks = self.blocks.load_full();
        ReadView::new(self.head.clone(), blocks, self.damage.clone())
    }

    /// Ends the growing log segment and returns the files of all segments, oldest first: what was acknowledged before
    /// the call is in them or in blocks. They never change any more, and none goes before the next cut.
    fn rotate_log(&self) -> Result<Vec<PathBuf>, DiskError> {
        let (reply, replied) = bounded(1);
        let closed = || {
            let folder = log::folder(&self.options.data_dir);
            DiskError::new("end a log segment in", &folder, std::io::Error::other("the engine is shutting down"))
        };
        self.to_log.send(threads::LogMessage::Rotate(reply)).map_err(|_| closed())?;
        #[cfg(test)]
        self.threads.lock().settle();
        replied.recv().map_err(|_| closed())?
    }

    /// Why writes are refused at present, if they are.
    pub fn log_failing(&self) -> Option<Arc<String>> {
        self.log_failing.load_full()
    }

    /// Whether the head holds more than it may, so that writes are refused until a cut has emptied it.
    pub fn is_head_full(&self) -> bool {
        self.head_full.load(Ordering::SeqCst)
    }

    /// Heap bytes of the head's samples.
    pub fn head_sample_bytes(&self) -> usize {
        self.head.sample_bytes()
    }

    /// Blocks that serve queries.
    pub fn block_count(&self) -> usize {
        self.blocks.load().members().len()
    }

    /// Bytes of those blocks.
    pub fn block_bytes(&self) -> u64 {
        self.blocks.load().bytes()
    }

    /// Series alive in the head.
    pub fn series_count(&self) -> usize {
        self.head.series_count().saturating_sub(self.head.companion_count())
    }

    /// Series of which start times are kept in the head, each in one that is not counted as a series, but that takes a
    /// place of `head.series_max`.
    pub fn started_series_count(&self) -> usize {
        self.head.companion_count()
    }

    /// Newest sample in the head, ms since 1970 UTC; `i64::MIN` without one.
    pub fn newest_ms(&self) -> i64 {
        self.head.newest_ms()
    }

    /// Requests that wait for shards.
    pub fn queued_requests(&self) -> usize {
        self.inboxes.iter().map(Sender::len).sum()
    }

    /// Places on disk that could not be read, since the start, oldest first; at most [`DAMAGES_MAX`].
    pub fn damage(&self) -> Vec<MetDamage> {
        self.damage.list()
    }

    /// The counters that the threads keep.
    pub fn counters(&self) -> &Arc<StorageCounters> {
        &self.counters
    }

    /// What maintenance is doing.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits for the maintenance that others do, which is asked to stop where it can.
    fn take_maintenance(&self) -> MutexGuard<'_, seal::Maintenance> {
        self.waiting_for_maintenance.fetch_add(1, Ordering::SeqCst);
        let taken = self.maintenance.lock();
        self.waiting_for_maintenance.fetch_sub(1, Ordering::SeqCst);
        taken
    }

    /// Whether long work should stop where it can: somebody waits for it, or the database closes.
    fn is_interrupted(&self) -> bool {
        self.waiting_for_maintenance.load(Ordering::SeqCst) > 0
    }

    /// Asks long maintenance to stop where it can, for good.
    pub fn stop_maintenance(&self) {
        self.waiting_for_maintenance.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes no more writes, finishes those that are on their way, syncs, and ends the threads.
    pub fn close(&self) {
        self.stop_maintenance();
        *self.closing.write() = true;
        self.threads.lock().close(&self.inboxes, &self.to_log);
    }
}

/// Puts a message into a shard's inbox, or ends its part of the request at once.
fn hand_over(inbox: &Sender<ShardMessage>, message: ShardMessage, pending: &Pending) {
    match inbox.try_send(message) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => pending.finish_part(Err(WriteError::Busy(SHARD_QUEUE_REQUESTS))),
        Err(TrySendError::Disconnected(_)) => pending.finish_part(Err(WriteError::Closing)),
    }
}

#[cfg(test)]
mod tests;
