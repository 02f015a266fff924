//! From which moment on what is stored may have changed since a query looked at it: so that an answer may be kept, and
//! only the rest of it computed when it is asked for again.
//!
//! ```text
//! epoch          41      42      43
//! oldest write  11:58   12:00   09:30     a sender that had been away
//!
//! looked at in epoch 42 ─► everything before 09:30 is as it was
//! looked at in epoch 41 ─► the same, and had it not been for that sender: everything before 11:58
//! ```
//!
//! A writer notes its oldest sample before it lets go of its shard's lock. Who read the shard before that has an epoch at
//! most as new as the one that the writer found, and will see the note; who reads it afterwards sees the sample.
//!
//! Always true: what is not known to be unchanged is said to be changed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Epochs that are told apart: changes of this many seconds, or of more when queries are rare.
const EPOCHS: usize = 2_048;
/// The shortest epoch: queries come by the thousand, and need not have one each.
const EPOCH: Duration = Duration::from_secs(1);

/// When something was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

/// The oldest moment that was written to in each of the last epochs.
pub(super) struct Changes {
    epoch: AtomicU64,
    /// When the epoch began, in ms of a monotonic clock.
    began_ms: AtomicU64,
    oldest_ms: Box<[AtomicI64]>,
}

impl Changes {
    pub(super) fn new() -> Changes {
        let oldest_ms = (0..EPOCHS).map(|_| AtomicI64::new(i64::MAX)).collect();
        Changes { epoch: AtomicU64::new(0), began_ms: AtomicU64::new(0), oldest_ms }
    }

    /// Samples of this moment and of later ones become visible, or cease to be.
    pub(super) fn note(&self, oldest_ms: i64) {
        let epoch = self.epoch.load(Ordering::SeqCst);
        self.slot(epoch).fetch_min(oldest_ms, Ordering::SeqCst);
    }

    /// Anything may look different.
    pub(super) fn note_everything(&self) {
        self.note(i64::MIN);
    }

    /// The stamp of somebody who looks from now on. `now`: of a monotonic clock.
    pub(super) fn stamp(&self, now: Duration) -> Stamp {
        let began_ms = self.began_ms.load(Ordering::SeqCst);
        let now_ms = now.as_millis() as u64;
        let is_over = now_ms >= began_ms.saturating_add(EPOCH.as_millis() as u64);
        // One of those who find it over begins the next.
        if is_over && self.began_ms.compare_exchange(began_ms, now_ms, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            let next = self.epoch.load(Ordering::SeqCst) + 1;
            self.slot(next).store(i64::MAX, Ordering::SeqCst);
            self.epoch.store(next, Ordering::SeqCst);
        }
        Stamp(self.epoch.load(Ordering::SeqCst))
    }

    /// What is older than this, in ms since 1970 UTC, is as it was for the one with the stamp.
    pub(super) fn unchanged_before_ms(&self, stamp: Stamp) -> i64 {
        let now = self.epoch.load(Ordering::SeqCst);
        // The slot of the next epoch may be made ready just now.
        if now - stamp.0 >= EPOCHS as u64 - 1 {
            return i64::MIN;
        }
        (stamp.0..=now).map(|epoch| self.slot(epoch).load(Ordering::SeqCst)).min().unwrap_or(i64::MIN)
    }

    fn slot(&self, epoch: u64) -> &AtomicI64 {
        &self.oldest_ms[epoch as usize % EPOCHS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn what_was_written_since_a_look_is_changed() {
        let changes = Changes::new();
        changes.note(500);
        let first = changes.stamp(seconds(10));
        assert_eq!(changes.unchanged_before_ms(first), i64::MAX);
        changes.note(900);
        let second = changes.stamp(seconds(20));
        changes.note(1_000);
        assert_eq!((changes.unchanged_before_ms(first), changes.unchanged_before_ms(second)), (900, 1_000));
        changes.note(300);
        assert_eq!((changes.unchanged_before_ms(first), changes.unchanged_before_ms(second)), (300, 300));
        changes.note_everything();
        assert_eq!(changes.unchanged_before_ms(second), i64::MIN);
        assert_eq!(changes.unchanged_before_ms(changes.stamp(seconds(30))), i64::MAX);
    }

    #[test]
    fn looks_within_a_second_share_an_epoch() {
        let changes = Changes::new();
        let first = changes.stamp(seconds(10));
        changes.note(7);
        let second = changes.stamp(seconds(10) + Duration::from_millis(999));
        assert_eq!(first, second);
        assert_eq!(changes.unchanged_before_ms(second), 7);
        assert_ne!(changes.stamp(seconds(11)), second);
    }

    #[test]
    fn what_was_looked_at_too_long_ago_is_changed() {
        let changes = Changes::new();
        let first = changes.stamp(seconds(1));
        for second in 2..=EPOCHS as u64 - 1 {
            changes.stamp(seconds(second));
        }
        assert_eq!(changes.unchanged_before_ms(first), i64::MAX);
        changes.stamp(seconds(EPOCHS as u64));
        assert_eq!(changes.unchanged_before_ms(first), i64::MIN);
    }
}
