//! The loops around the actors: what each thread waits for and passes on.
//!
//! An actor never sees a queue; here is all that knows of threads. [`ShardLoop`] and [`LogLoop`] wait for messages on a
//! thread each; the simulator takes the same turns by hand, in an order of its own.

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
use super::tap::TapFeed;
use super::{StorageCounters, StorageError};
use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::DiskError;
use crate::model::{Labels, Matcher, TimeRange};

/// How often the log looks how much room the disk has left.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// Orders that wait for the next segment to be prepared, at most; with more it is not waited for. Maintenance is one at a
/// time, so there are one or two.
const ORDERS_WAITING_MAX: usize = 4;
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
        /// Series of the shard that blocks hold of: the log may still have what went into them.
        sealed: Vec<Labels>,
        pending: Arc<Pending>,
    },
    /// Samples go to another tap from now on; told when the series are marked.
    Listen {
        feed: TapFeed,
        done: Sender<()>,
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

/// The loops of one database, before anybody runs them.
pub(super) struct Loops {
    pub(super) shards: Vec<ShardLoop>,
    pub(super) log: LogLoop,
}

/// The threads of one database.
#[derive(Default)]
pub(super) struct Threads {
    shards: Vec<JoinHandle<()>>,
    log: Option<JoinHandle<()>>,
    /// Loops that run on no thread: whoever is about to wait for them steps them first.
    #[cfg(test)]
    stepped: Option<Arc<parking_lot::Mutex<Stepped>>>,
}

impl Threads {
    pub(super) fn start(loops: Loops) -> Result<Threads, StorageError> {
        let mut threads =
            Threads { log: Some(start("log".to_owned(), move || loops.log.run())?), ..Threads::default() };
        for (index, shard) in loops.shards.into_iter().enumerate() {
            threads.shards.push(start(format!("shard-{index}"), move || shard.run())?);
        }
        Ok(threads)
    }

    /// Ends the shards, then the log behind them, and waits for both. A second call finds nothing to do.
    pub(super) fn close(&mut self, inboxes: &[Sender<ShardMessage>], to_log: &Sender<LogMessage>) {
        for inbox in inboxes {
            let _ = inbox.send(ShardMessage::Close);
        }
        for shard in self.shards.drain(..) {
            let _ = shard.join();
        }
        #[cfg(test)]
        if let Some(stepped) = &self.stepped {
            stepped.lock().finish(to_log);
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

/// A shard's thread: one message after the other.
pub(super) struct ShardLoop {
    pub(super) writer: ShardWriter,
    pub(super) inbox: Receiver<ShardMessage>,
    pub(super) to_log: Sender<LogMessage>,
    pub(super) clock: Clock,
}

impl ShardLoop {
    fn run(mut self) {
        while let Ok(message) = self.inbox.recv() {
            if !self.turn(message) {
                return;
            }
        }
    }

    /// Answers one message. Returns whether there may be another.
    fn turn(&mut self, message: ShardMessage) -> bool {
        let entry = match message {
            ShardMessage::Write { batch, pending } => {
                let (entry, summary) = self.writer.handle(&batch, self.clock.now_ms());
                LogEntry { pending: Some((pending, summary)), ..entry }
            }
            ShardMessage::Delete { selectors, range, sealed, pending } => {
                let (records, deleted_count) = self.writer.delete(&selectors, range, &sealed);
                let summary = WriteSummary { deleted_count, ..WriteSummary::default() };
                LogEntry { records, pending: Some((pending, summary)), ..LogEntry::default() }
            }
            ShardMessage::Listen { feed, done } => {
                self.writer.listen_anew(feed);
                // Whoever asked may have given up.
                let _ = done.send(());
                return true;
            }
            ShardMessage::Close => return false,
        };
        self.to_log.send(LogMessage::Entry(entry)).is_ok()
    }
}

/// The log's thread: one group after the other.
pub(super) struct LogLoop {
    pub(super) writer: LogWriter,
    pub(super) inbox: Receiver<LogMessage>,
    /// Orders that end the growing segment, until that holds nobody up; in the order in which they came.
    pub(super) orders: Vec<LogMessage>,
    pub(super) wal_sync: WalSync,
    pub(super) failing: Arc<ArcSwapOption<String>>,
    pub(super) counters: Arc<StorageCounters>,
    pub(super) clock: Clock,
    /// Steady clock when the interval between two syncs began.
    pub(super) last_sync: Duration,
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
        loop {
            self.look_for_room();
            let wait = self.wait(self.last_sync);
            let first = match self.inbox.recv_timeout(wait) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(LogMessage::Close),
            };
            if !self.turn(first) {
                return;
            }
        }
    }

    /// Writes one group, from the message at hand on, or what an earlier turn left. Returns whether there may be another.
    fn turn(&mut self, first: Option<LogMessage>) -> bool {
        let mut group = Vec::new();
        let order = first.and_then(|first| self.gather(first, &mut group));
        self.commit(&mut group);
        match order {
            Some(LogMessage::Close) => {
                self.finish();
                return false;
            }
            Some(order) => {
                self.orders.push(order);
                self.writer.ask_for_end();
            }
            None => {}
        }
        self.prepare();
        if self.sync_is_due(self.last_sync) {
            self.last_sync = self.clock.monotonic();
            let synced = self.writer.sync();
            if synced.is_err() {
                self.note(synced);
            }
        }
        true
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

    /// Does a piece of what the growing segment's end needs; then, if it may end, what waits for it.
    fn prepare(&mut self) {
        let prepared = self.writer.prepare();
        if prepared.is_err() {
            self.note(prepared);
        }
        if self.writer.may_end() || self.orders.len() > ORDERS_WAITING_MAX {
            self.carry_out();
        }
    }

    /// Carries out the orders that wait.
    fn carry_out(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            match order {
                LogMessage::Retire { floor_ms, belated_before } => self.retire(floor_ms, belated_before),
                LogMessage::Rotate(reply) => {
                    // Whoever asked may have left.
                    let _ = reply.send(self.writer.rotate());
                }
                LogMessage::Entry(_) | LogMessage::Close => unreachable!("they do not wait"),
            }
        }
    }

    fn retire(&mut self, floor_ms: i64, belated_before: u32) {
        let retired = self.writer.finish_segment().and_then(|()| self.writer.retire(floor_ms, belated_before));
        if let Err(error) = retired {
            tracing::warn!(%error, "an old log segment stays for now");
        }
    }

    fn finish(&mut self) {
        self.carry_out();
        let finished = self.writer.close();
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
        if self.writer.is_preparing() {
            return Duration::ZERO;
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

#[cfg(test)]
impl Threads {
    /// Runs the loops on no thread: see [`Stepped`].
    pub(super) fn step_by_hand(stepped: Arc<parking_lot::Mutex<Stepped>>) -> Threads {
        Threads { stepped: Some(stepped), ..Threads::default() }
    }

    /// Lets loops that run on no thread do all that waits for them.
    pub(super) fn settle(&self) {
        if let Some(stepped) = &self.stepped {
            stepped.lock().settle();
        }
    }
}

/// The loops of one database, taken a turn at a time by whoever holds them.
#[cfg(test)]
pub(super) struct Stepped(pub(super) Loops);

#[cfg(test)]
impl Stepped {
    /// Lets a shard answer one message. Returns whether there was one.
    pub(super) fn step_shard(&mut self, index: usize) -> bool {
        let shard = &mut self.0.shards[index];
        shard.inbox.try_recv().is_ok_and(|message| {
            shard.turn(message);
            true
        })
    }

    /// Lets the log take one turn. Returns whether there was something to do.
    pub(super) fn step_log(&mut self) -> bool {
        let log = &mut self.0.log;
        log.look_for_room();
        let first = log.inbox.try_recv().ok();
        let is_something = first.is_some() || log.writer.is_broken();
        log.turn(first);
        is_something
    }

    /// Lets the shards and then the log do all that waits for them.
    pub(super) fn settle(&mut self) {
        for index in 0..self.0.shards.len() {
            while self.step_shard(index) {}
        }
        while !self.0.log.inbox.is_empty() || !self.0.log.orders.is_empty() {
            self.step_log();
        }
    }

    fn finish(&mut self, to_log: &Sender<LogMessage>) {
        self.settle();
        let _ = to_log.send(LogMessage::Close);
        self.settle();
    }
}
