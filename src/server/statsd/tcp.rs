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
/// Bytes that are read at a time. Of a line that is longer these are passed on, to be refused, and the rest is dropped.
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
    let mut incoming = Incoming::new(READ_BYTES);
    loop {
        let read = tokio::select! {
            read = tokio::time::timeout(IDLE_TIMEOUT, stream.read(incoming.room())) => read,
            _ = stopped.changed() => break,
        };
        let Ok(Ok(bytes @ 1..)) = read else { break };
        incoming.hand_over(&inbox, bytes).await;
    }
    for _ in 0..LAST_READS_MAX {
        let read = tokio::time::timeout(LAST_WAIT, stream.read(incoming.room())).await;
        let Ok(Ok(bytes @ 1..)) = read else { break };
        incoming.hand_over(&inbox, bytes).await;
    }
    incoming.end(&inbox).await;
}

/// What a connection has sent and is not passed on yet: the front of a line.
pub(super) struct Incoming {
    buffer: Vec<u8>,
    used: usize,
    /// What comes up to the next line feed belongs to a line that is cut.
    is_cut: bool,
}

impl Incoming {
    pub(super) fn new(bytes: usize) -> Incoming {
        Incoming { buffer: vec![0; bytes], used: 0, is_cut: false }
    }

    /// Where the next bytes go; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.used..]
    }

    /// Passes on the lines that are whole now that so many bytes came into the room.
    pub(super) async fn hand_over(&mut self, inbox: &Inbox, bytes: usize) {
        self.used += bytes;
        let held = &self.buffer[..self.used];
        let mut from = 0;
        if self.is_cut {
            let end = held.iter().position(|byte| *byte == b'\n');
            from = end.map_or(self.used, |end| end + 1);
            self.is_cut = end.is_none();
        }
        let to = match held[from..].iter().rposition(|byte| *byte == b'\n') {
            Some(last) => from + last + 1,
            None if held[from..].len() == self.buffer.len() => {
                self.is_cut = true;
                self.used
            }
            None => from,
        };
        add(inbox, &held[from..to]).await;
        self.buffer.copy_within(to..self.used, 0);
        self.used -= to;
    }

    /// What has no line feed behind it is a line too when nothing more comes.
    pub(super) async fn end(&self, inbox: &Inbox) {
        add(inbox, &self.buffer[..self.used]).await;
    }
}

/// Waits until there is room.
async fn add(inbox: &Inbox, lines: &[u8]) {
    while !lines.is_empty() && !inbox.add(lines) {
        tokio::time::sleep(REST).await;
    }
}
