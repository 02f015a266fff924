//! Datagrams: what finds no room is dropped and counted, for nobody can be told to wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch as signal;

use super::LAST_WAIT;
use super::inbox::Inbox;
use crate::ingest::StatsdCounters;
use crate::server::EndProcessOnPanic;

/// Longest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Longest time in which datagrams are still taken from the system at the end.
const LAST_WAITS: Duration = Duration::from_millis(200);
/// Rest after an error of the socket, so that one that stays does not take a core.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// Takes datagrams until it is told to stop, and then those that have come already.
pub(super) async fn receive(
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
    let last = async {
        // Not `try_recv`, which does not see what came since the system was last asked.
        while let Ok(Ok(bytes)) = tokio::time::timeout(LAST_WAIT, socket.recv(&mut datagram)).await {
            take(&datagram[..bytes]);
        }
    };
    // Whoever sends on and on is not waited for.
    let _ = tokio::time::timeout(LAST_WAITS, last).await;
}
