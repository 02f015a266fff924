//! Alerts on their way to whoever is on call: noted on disk, then told until each receiver has answered.
//!
//! ```text
//! rules, detect ─► Notifier::enqueue ─► outbox: append, sync ─► lanes of each receiver ─► POST ─► 2xx: delivered
//!                        │                   ▲                        ▲                     │
//!                        └ returns when      └── read again at start  └─ wait, try again ◄──┘ 5xx, nobody there
//!                          it is on disk
//! ```
//!
//! The pager is down when orders drop in `region="eu"`. [`Notifier::enqueue`] notes the firing alert under the id
//! `<fingerprint>-<start>-firing` and returns; the attempts fail, 0.5 s, 1 s, 2 s apart. The process is killed and started again:
//! [`Notifier::open`] finds the notification, the detector reports the same alert once more and hears `AlreadyKnown`. Orders
//! recover, the resolved alert is noted behind the firing one. The pager comes back and gets both, in this order, each
//! under the id that its first attempt had.
//!
//! Always true:
//! 1. What was accepted is delivered at least once to each receiver, or given up with a reason that can be looked up.
//! 2. No receiver is told that an alert is resolved before it has answered on its firing.
//! 3. One alert's trouble holds up no other alert, one receiver's trouble no other receiver.
//!
//! | threads and tasks | |
//! | --- | --- |
//! | caller of `enqueue` | waits for the disk; not to be called from a task |
//! | one task a receiver, in [`Notifier::run`] | decides who is tried next |
//! | one task an attempt, at most [`Delivery::in_flight_max`] a receiver | waits for the answer, notes it on a blocking thread |
//!
//! | locks, in this order | holds |
//! | --- | --- |
//! | outbox | ledger and file, also while syncing |
//! | active | the alerts that fire, once more; never while waiting |
//! | lanes, one a receiver | what is tried when; never while waiting |
//!
//! Deliberately absent: grouping, routes and silences. Every receiver is told of every alert, at once.

mod address;
mod alert;
mod backoff;
mod deliver;
mod event;
mod lanes;
mod ledger;
mod message;
mod outbox;
mod outbox_file;
mod payload;
mod ping;
mod secret;
mod webhook;

use crate::disk::DiskError;

pub use alert::{ANNOTATION_BYTES_MAX, ANNOTATIONS_COUNT_MAX, Alert, Status};
pub use backoff::{Backoff, RETRY_AFTER_MAX};
pub use deliver::{Delivery, DeliveryMetrics, Notifier, Receiver};
pub use event::{AttemptResult, Event};
pub use ledger::{DeadLetter, Enqueued, FINISHED_COUNT_MAX};
pub use message::{Message, MessageAlert};
pub use outbox::{ACTIVE_COUNT_MAX, PENDING_COUNT_MAX, RecoveredOutbox};
pub use payload::rfc3339;
pub use ping::Pinger;
pub use secret::{Secret, SecretError};

/// Why an alert could not be noted, or the notifier not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The outbox could not be written or read. Report the alert again when the disk is well: nothing is taken twice.
    #[error("the outbox: {0}")]
    Disk(#[from] DiskError),
    /// A limit is reached. Report the alert again later.
    #[error("the outbox takes no more: {limit} {what}, which is the limit")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// A receiver is configured wrongly. The operator must mend the configuration.
    #[error("receiver {receiver:?}: {what}")]
    Receiver {
        /// Its name.
        receiver: String,
        /// What is wrong.
        what: String,
    },
}

#[cfg(test)]
mod tests;
