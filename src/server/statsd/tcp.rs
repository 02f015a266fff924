//! Connections: lines as they come. While there is no room nothing is read, so the sender waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use super::LAST_WAIT;
use super::inbox::Inbox;
use crate::server::EndProcessOnPanic;

/// Most connections at a time; one past it is closed at once.
const CONNECTIONS_MAX: usize = 256;
/// Bytes that are read at a time. A line that is longer is cut, and both ends are refused as lines.
const READ_BYTES: usize = 16 << 10;
/// Longest time without a byte.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Rest while there is no room, and after an error of the listener.
const REST: Duration = Duration::from_millis(20);
/// Most reads of what has come already, at the end.
const LAST_READS_MAX: usize = 64;

/// Takes connections until it is told to stop, and ends with the last of them.
pub(super) async fn listen(listener: TcpListener, inbox: Arc<Inbox>, mut stopped: signal::Receiver<bool>) {
    let _guard = EndProcessOnPanic;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(read(stream, inbox.clone(), stopped.clone()));
            }
            Ok((_, address)) => {
                tracing::warn!(%address, "a StatsD connection past the {CONNECTIONS_MAX} that may be open is closed");
            }
            Err(error) => {
                tracing::warn!(%error, "a StatsD connection could not be taken");
                tokio::time::sleep(REST).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn read(mut stream: TcpStream, inbox: Arc<Inbox>, mut stopped: signal::Receiver<bool>) {
    let _guard = EndProcessOnPanic;
    let mut buffer = vec![0; READ_BYTES];
    let mut used = 0;
    loop {
        let read = tokio::select! {
            read = tokio::time::timeout(IDLE_TIMEOUT, stream.read(&mut buffer[used..])) => read,
            _ = stopped.changed() => break,
        };
        let Ok(Ok(bytes @ 1..)) = read else { break };
        used = hand_over(&inbox, &mut buffer, used + bytes).await;
    }
    for _ in 0..LAST_READS_MAX {
        let read = tokio::time::timeout(LAST_WAIT, stream.read(&mut buffer[used..])).await;
        let Ok(Ok(bytes @ 1..)) = read else { break };
        used = hand_over(&inbox, &mut buffer, used + bytes).await;
    }
    // What has no line feed behind it is a line too when nothing more comes.
    add(&inbox, &buffer[..used]).await;
}

/// Passes on the whole lines of the used bytes, and says how many bytes of a line that has begun are left in front.
pub(super) async fn hand_over(inbox: &Inbox, buffer: &mut [u8], used: usize) -> usize {
    let whole = match buffer[..used].iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None if used == buffer.len() => used,
        None => 0,
    };
    add(inbox, &buffer[..whole]).await;
    buffer.copy_within(whole..used, 0);
    used - whole
}

/// Waits until there is room.
async fn add(inbox: &Inbox, lines: &[u8]) {
    while !lines.is_empty() && !inbox.add(lines) {
        tokio::time::sleep(REST).await;
    }
}
