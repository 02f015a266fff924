//! The sockets of StatsD, and who adds up what they bring.
//!
//! ```text
//! UDP ─► receive ─┐ no room: dropped and counted
//!                 ├─► inbox (bytes, bounded) ─► add up ─► flush each `statsd.flush_interval`
//! TCP ─► read ────┘ no room: the sender waits
//! ```
//!
//! Tasks of their own, so that a flush that waits for the disk does not keep anybody from the sockets. At the end those
//! take what the system still holds, and the last flush comes behind that.

mod inbox;
mod tcp;
mod udp;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use inbox::Inbox;

use super::EndProcessOnPanic;
use crate::clock::Clock;
use crate::config::StatsdConfig;
use crate::ingest::{Ingest, Statsd, StatsdCounters, StatsdOptions};

/// Bytes that are added up before others have their turn.
const TURN_BYTES: usize = 64 << 10;
/// Longest wait at the end for what has come already.
const LAST_WAIT: Duration = Duration::from_millis(20);
/// How often a port is tried that the system chooses.
const ATTEMPTS_AT_A_FREE_PORT: usize = 16;

/// Both sockets, of one address.
pub(super) struct StatsdSockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl StatsdSockets {
    /// Port 0 takes one that is free for both.
    pub(super) async fn bind(address: &str) -> std::io::Result<StatsdSockets> {
        let attempts = if address.ends_with(":0") { ATTEMPTS_AT_A_FREE_PORT } else { 1 };
        let mut bound = StatsdSockets::bind_once(address).await;
        for _ in 1..attempts {
            // A port that the system gives for one may be in use for the other.
            match bound {
                Err(error) if error.kind() == ErrorKind::AddrInUse => bound = StatsdSockets::bind_once(address).await,
                other => return other,
            }
        }
        bound
    }

    async fn bind_once(address: &str) -> std::io::Result<StatsdSockets> {
        let tcp = TcpListener::bind(address).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        tracing::info!(address = %udp.local_addr()?, "StatsD is taken by UDP and TCP");
        Ok(StatsdSockets { udp, tcp })
    }
}

/// A StatsD that runs.
pub(super) struct StatsdRunning {
    stop: signal::Sender<bool>,
    adding: JoinHandle<()>,
}

impl StatsdRunning {
    /// Starts to listen. Needs a tokio runtime.
    pub(super) fn start(
        sockets: StatsdSockets,
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
        let datagrams = tokio::spawn(udp::receive(sockets.udp, inbox.clone(), counters, stopped.clone()));
        let connections = tokio::spawn(tcp::listen(sockets.tcp, inbox.clone(), stopped));
        let adder = Adder { statsd, inbox, ingest, lines: Vec::new() };
        let receiving = async move {
            // A panic of theirs ends the process, so they end well.
            let _ = tokio::join!(datagrams, connections);
        };
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

/// The one owner of the state.
struct Adder {
    statsd: Statsd,
    inbox: Arc<Inbox>,
    ingest: Arc<Ingest>,
    lines: Vec<u8>,
}

impl Adder {
    /// Adds up and flushes until `receiving` ends, and then once more.
    async fn run(mut self, receiving: impl Future<Output = ()>, flush_interval: Duration) {
        let _guard = EndProcessOnPanic;
        tokio::pin!(receiving);
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
                () = self.inbox.arrived() => self.add_up().await,
                () = &mut receiving => break,
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

#[cfg(test)]
mod tests;
