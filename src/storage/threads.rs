//! The loops around the actors: what each thread waits for and passes on.
//!
//! An actor never sees a queue; here is all that knows of threads. A test may drive the same actors by hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};

use super::batch::{Pending, ShardBatch, WriteError, WriteSummary};
use super::head::{LogEntry, ShardWriter};
use super::log::{GROUP_BYTES_MAX, LogWriter};
use super::{StorageCounters, StorageError};
use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::DiskError;
use crate::model::{Matcher, TimeRange};

/// How often the log looks how much room the disk has left.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// How long the log rests after a failure before it tries again.
const LOG_RETRY: Duration = Duration::from_millis(500);

pub(super) enum ShardMessage {
    Write {
        batch: ShardBatch,
        pending: Arc<Pending>,
    },
    /// Removes samples from the head.
    Delete {
        selectors: Arc<[Vec<Matcher>]>,
        range: TimeRange,
        pending: Arc<Pending>,
    },
    Close,
}

pub(super) enum LogMessage {
    Entry(LogEntry),
    /// Everything older is in blocks, and so is every belated sample of the segments before this one.
    Retire {
        floor_ms: i64,
        belated_before: u32,
    },
    /// Asks for the files that hold all that was acknowledged before and is in no block; see [`LogWriter::rotate`].
    Rotate(Sender<Result<Vec<PathBuf>, DiskError>>),
    Close,
}

/// The threads of one database.
#[derive(Default)]
pub(super) struct Threads {
    shards: Vec<JoinHandle<()>>,
    log: Option<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start_shard(
        &mut self,
        index: usize,
        writer: ShardWriter,
        inbox: Receiver<ShardMessage>,
        to_log: Sender<LogMessage>,
        clock: Clock,
    ) -> Result<(), StorageError> {
        let name = format!("shard-{index}");
        self.shards.push(start(name, move || shard_loop(writer, &inbox, &to_log, &clock))?);
        Ok(())
    }

    pub(super) fn start_log(&mut self, log: LogLoop) -> Result<(), StorageError> {
        self.log = Some(start("log".to_owned(), move || log.run())?);
        Ok(())
    }

    /// Ends the shards, then the log behind them, and waits for both. A second call finds nothing to do.
    pub(super) fn close(&mut self, inboxes: &[Sender<ShardMessage>], to_log: &Sender<LogMessage>) {
        for inbox in inboxes {
            let _ = inbox.send(ShardMessage::Close);
        }
        for shard in self.shards.drain(..) {
            let _ = shard.join();
        }
        if let Some(log) = self.log.take() {
            let _ = to_log.send(LogMessage::Close);
            let _ = log.join();
        }
    }
}

/// A thread whose panic ends the process: an engine without its log or a shard must not go on as if it had them.
fn start(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StorageError> {
    struct EndProcessOnPanic;
    impl Drop for EndProcessOnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                std::process::abort();
            }
        }
    }
    let guarded = move || {
        let _guard = EndProcessOnPanic;
        body();
    };
    let started = std::thread::Builder::new().name(name.clone()).spawn(guarded);
    started.map_err(|source| StorageError::Thread { name, source })
}

fn shard_loop(mut writer: ShardWriter, inbox: &Receiver<ShardMessage>, to_log: &Sender<LogMessage>, clock: &Clock) {
    while let Ok(message) = inbox.recv() {
        let entry = match message {
            ShardMessage::Write { batch, pending } => {
                let (entry, summary) = writer.handle(&batch, clock.now_ms());
                LogEntry { pending: Some((pending, summary)), ..entry }
            }
            ShardMessage::Delete { selectors, range, pending } => {
                let (records, deleted_count) = writer.delete(&selectors, range);
                let summary = WriteSummary { deleted_count, ..WriteSummary::default() };
                LogEntry { records, pending: Some((pending, summary)), ..LogEntry::default() }
            }
            ShardMessage::Close => return,
        };
        if to_log.send(LogMessage::Entry(entry)).is_err() {
            return;
        }
    }
}

/// The log's thread: one group after the other.
pub(super) struct LogLoop {
    pub(super) writer: LogWriter,
    pub(super) inbox: Receiver<LogMessage>,
    pub(super) wal_sync: WalSync,
    pub(super) failing: Arc<ArcSwapOption<String>>,
    pub(super) counters: Arc<StorageCounters>,
    pub(super) clock: Clock,
    pub(super) room: Room,
}

/// What the log knows of the disk's room.
#[derive(Default)]
pub(super) struct Room {
    /// When it was measured last.
    looked_at: Option<Duration>,
    /// Writes are refused until there is more.
    is_short: bool,
}

impl LogLoop {
    fn run(mut self) {
        let mut group = Vec::new();
        let mut last_sync = self.clock.monotonic();
        loop {
            self.look_for_room();
            let wait = self.wait(last_sync);
            let order = match self.inbox.recv_timeout(wait) {
                Ok(first) => self.gather(first, &mut group),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(LogMessage::Close),
            };
            self.commit(&mut group);
            match order {
                Some(LogMessage::Retire { floor_ms, belated_before }) => self.retire(floor_ms, belated_before),
                Some(LogMessage::Rotate(reply)) => {
                    // Whoever asked may have left.
                    let _ = reply.send(self.writer.rotate());
                }
                Some(LogMessage::Close) => return self.finish(),
                Some(LogMessage::Entry(_)) | None => {}
            }
            if self.sync_is_due(last_sync) {
                last_sync = self.clock.monotonic();
                let synced = self.writer.sync();
                if synced.is_err() {
                    self.note(synced);
                }
            }
        }
    }

    /// Takes what has arrived, up to a group's size or the next order, which is returned: it comes behind the group.
    fn gather(&mut self, first: LogMessage, group: &mut Vec<LogEntry>) -> Option<LogMessage> {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            let LogMessage::Entry(entry) = message else { return Some(message) };
            bytes += entry.records.len();
            group.push(entry);
            next = if bytes < GROUP_BYTES_MAX { self.inbox.try_recv().ok() } else { None };
        }
        None
    }

    fn retire(&mut self, floor_ms: i64, belated_before: u32) {
        let retired = self.writer.finish_segment().and_then(|()| self.writer.retire(floor_ms, belated_before));
        if let Err(error) = retired {
            tracing::warn!(%error, "an old log segment stays for now");
        }
    }

    fn finish(&mut self) {
        let finished = self.writer.finish_segment();
        if finished.is_err() {
            self.note(finished);
        }
    }

    fn commit(&mut self, group: &mut Vec<LogEntry>) {
        if group.is_empty() && !self.writer.is_broken() {
            return;
        }
        let began = self.clock.monotonic();
        let bytes: usize = group.iter().map(|entry| entry.records.len()).sum();
        let outcome = self.writer.commit(group);
        let took = self.clock.monotonic().saturating_sub(began);
        self.counters.log_groups.fetch_add(1, Ordering::Relaxed);
        self.counters.log_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.counters.log_commit_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        self.counters.log_segments.store(self.writer.segment_count() as u64, Ordering::Relaxed);
        let error = self.note(outcome);
        for entry in group.drain(..) {
            let Some((pending, summary)) = entry.pending else { continue };
            pending.finish_part(match &error {
                None => Ok(summary),
                Some(text) => Err(WriteError::LogFailing(text.clone())),
            });
        }
    }

    /// Refuses writes as long as the disk is too full. What was handed over before is still written: the segment has
    /// room of its own.
    fn look_for_room(&mut self) {
        let now = self.clock.monotonic();
        let is_due = self.room.looked_at.is_none_or(|at| now.saturating_sub(at) >= ROOM_INTERVAL);
        if !is_due && !self.room.is_short {
            return;
        }
        self.room.looked_at = Some(now);
        let room = self.writer.check_room();
        let was_short = std::mem::replace(&mut self.room.is_short, room.is_err());
        // A log that fails says by itself when it works again.
        if room.is_err() != was_short && !self.writer.is_broken() {
            self.note(room);
        }
    }

    /// Publishes whether the log works, once a change.
    fn note(&self, outcome: Result<(), DiskError>) -> Option<String> {
        match outcome {
            Ok(()) if self.room.is_short => None,
            Ok(()) => {
                if self.failing.swap(None).is_some() {
                    tracing::info!("the log is written again; writes are taken");
                }
                None
            }
            Err(error) => {
                let text = error.to_string();
                self.counters.log_failures.fetch_add(1, Ordering::Relaxed);
                if self.failing.swap(Some(Arc::new(text.clone()))).is_none() {
                    tracing::error!(error = %text, "the log cannot be written: writes are refused until it can");
                }
                Some(text)
            }
        }
    }

    fn sync_is_due(&self, last_sync: Duration) -> bool {
        match self.wal_sync {
            WalSync::Interval { interval_ms } => {
                self.clock.monotonic().saturating_sub(last_sync) >= Duration::from_millis(interval_ms)
            }
            WalSync::Always | WalSync::Os => false,
        }
    }

    fn wait(&self, last_sync: Duration) -> Duration {
        if self.writer.is_broken() || self.room.is_short {
            return LOG_RETRY;
        }
        match self.wal_sync {
            WalSync::Interval { interval_ms } => {
                let passed = self.clock.monotonic().saturating_sub(last_sync);
                Duration::from_millis(interval_ms).saturating_sub(passed)
            }
            WalSync::Always | WalSync::Os => Duration::from_secs(60),
        }
    }
}
