//! What waits to be added up: lines, each with a line feed behind it, in one bounded buffer.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most bytes that wait; some 200,000 lines.
pub(super) const INBOX_BYTES_MAX: usize = 8 << 20;

/// Filled by whoever receives, emptied by the one who adds up.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Mutex<Vec<u8>>,
    arrived: Notify,
}

impl Inbox {
    /// Whether there was room for the lines.
    pub(super) fn add(&self, lines: &[u8]) -> bool {
        let mut bytes = self.bytes.lock();
        if bytes.len() + lines.len() >= INBOX_BYTES_MAX {
            return false;
        }
        bytes.extend_from_slice(lines);
        bytes.push(b'\n');
        drop(bytes);
        self.arrived.notify_one();
        true
    }

    /// Takes all of it, and leaves an empty buffer.
    pub(super) fn swap(&self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut *self.bytes.lock(), empty);
    }

    /// Waits until something comes, or returns at once when something has come since.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
