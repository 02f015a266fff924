//! The socket of StatsD, and who adds up what it brings.
//!
//! ```text
//! socket ─► receive ─► inbox (bytes, bounded; full: dropped and counted) ─► add up ─► flush each `statsd.flush_interval`
//! ```
//!
//! Two tasks, so that a flush that waits for the disk does not keep anybody from the socket. At the end `receive` takes
//! what the system still holds, and the last flush comes behind that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch as signal};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::EndProcessOnPanic;
use crate::clock::Clock;
use crate::config::StatsdConfig;
use crate::ingest::{Ingest, Statsd, StatsdCounters, StatsdOptions};

/// Most bytes that wait to be added up; some 200,000 lines.
const INBOX_BYTES_MAX: usize = 8 << 20;
/// Bytes that are added up before others have their turn.
const TURN_BYTES: usize = 64 << 10;
/// Longest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Most datagrams that are still taken from the system at the end.
const LAST_DATAGRAMS_MAX: usize = 10_000;
/// Rest after an error of the socket, so that one that stays does not take a core.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// A StatsD that runs.
pub(super) struct StatsdRunning {
    stop: signal::Sender<bool>,
    adding: JoinHandle<()>,
}

/// What waits between the two tasks: datagrams, each with a line feed behind it.
#[derive(Default)]
struct Inbox {
    bytes: Mutex<Vec<u8>>,
    arrived: Notify,
}

impl Inbox {
    /// Whether there was room.
    fn add(&self, datagram: &[u8]) -> bool {
        let mut bytes = self.bytes.lock();
        if bytes.len() + datagram.len() >= INBOX_BYTES_MAX {
            return false;
        }
        bytes.extend_from_slice(datagram);
        bytes.push(b'\n');
        drop(bytes);
        self.arrived.notify_one();
        true
    }

    /// Takes all of it, and leaves an empty buffer.
    fn swap(&self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut *self.bytes.lock(), empty);
    }
}

impl StatsdRunning {
    /// Starts to listen. Needs a tokio runtime.
    pub(super) fn start(
        socket: UdpSocket,
        config: &StatsdConfig,
        ingest: Arc<Ingest>,
        clock: Clock,
        counters: Arc<StatsdCounters>,
    ) -> StatsdRunning {
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let options = StatsdOptions {
            series_max: usize::try_from(config.series_max).unwrap_or(usize::MAX),
            idle_timeout: ms(config.idle_timeout_ms),
        };
        let statsd = Statsd::new(options, clock, counters.clone());
        let inbox = Arc::new(Inbox::default());
        let (stop, stopped) = signal::channel(false);
        let receiving = tokio::spawn(receive(socket, inbox.clone(), counters, stopped));
        let adder = Adder { statsd, inbox, ingest, lines: Vec::new() };
        let adding = tokio::spawn(adder.run(receiving, ms(config.flush_interval_ms)));
        StatsdRunning { stop, adding }
    }

    /// Takes what has come, stores it, and ends.
    pub(super) async fn shutdown(self) {
        // An end that is gone already has nothing to be told.
        let _ = self.stop.send(true);
        let _ = self.adding.await;
    }
}

async fn receive(
    socket: UdpSocket,
    inbox: Arc<Inbox>,
    counters: Arc<StatsdCounters>,
    mut stopped: signal::Receiver<bool>,
) {
    let _guard = EndProcessOnPanic;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let take = |datagram: &[u8]| {
        counters.datagrams.fetch_add(1, Ordering::Relaxed);
        if !inbox.add(datagram) {
            counters.datagrams_dropped.fetch_add(1, Ordering::Relaxed);
        }
    };
    loop {
        let received = tokio::select! {
            received = socket.recv(&mut datagram) => received,
            _ = stopped.changed() => break,
        };
        match received {
            Ok(bytes) => take(&datagram[..bytes]),
            Err(error) => {
                tracing::warn!(%error, "the StatsD socket cannot be read and will be tried again");
                tokio::time::sleep(AFTER_AN_ERROR).await;
            }
        }
    }
    for _ in 0..LAST_DATAGRAMS_MAX {
        let Ok(bytes) = socket.try_recv(&mut datagram) else { break };
        take(&datagram[..bytes]);
    }
}

/// The one owner of the state.
struct Adder {
    statsd: Statsd,
    inbox: Arc<Inbox>,
    ingest: Arc<Ingest>,
    lines: Vec<u8>,
}

impl Adder {
    /// Adds up and flushes until `receiving` ends, and then once more.
    async fn run(mut self, mut receiving: JoinHandle<()>, flush_interval: Duration) {
        let _guard = EndProcessOnPanic;
        let mut due = tokio::time::interval(flush_interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is now.
        due.tick().await;
        loop {
            tokio::select! {
                _ = due.tick() => {
                    self.add_up().await;
                    self.flush().await;
                }
                () = self.inbox.arrived.notified() => self.add_up().await,
                _ = &mut receiving => break,
            }
        }
        self.add_up().await;
        self.flush().await;
    }

    async fn add_up(&mut self) {
        self.lines.clear();
        self.inbox.swap(&mut self.lines);
        let mut start = 0;
        while start < self.lines.len() {
            let rest = &self.lines[start..];
            let most = rest.len().min(TURN_BYTES);
            let whole = rest[..most].iter().rposition(|byte| *byte == b'\n').map_or(rest.len(), |last| last + 1);
            self.statsd.take(&rest[..whole]);
            start += whole;
            tokio::task::yield_now().await;
        }
    }

    async fn flush(&mut self) {
        if let Some(first) = self.statsd.first_refused() {
            tracing::warn!(first, "lines of StatsD were refused; dozor_statsd_lines_total counts them");
        }
        if let Err(error) = self.ingest.flush_statsd(&mut self.statsd).await {
            tracing::warn!(%error, "a flush of StatsD was not stored as a whole");
        }
    }
}
