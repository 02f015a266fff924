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
//! 2. No receiver is told that an alert fires after it was told that it is resolved, and none that it is resolved before it
//!    has answered on its firing.
//! 3. One alert's trouble holds up no other alert, but for some minutes those that are told in one message with it; one
//!    receiver's trouble holds up no other receiver.
//!
//! | threads and tasks | |
//! | --- | --- |
//! | caller of `enqueue` | waits for the disk; not to be called from a task |
//! | one task for all groups, in [`Notifier::run`] | waits until one is due, notes its messages on a blocking thread |
//! | one task for what silences hold back, in [`Notifier::run`] | looks each second, on a blocking thread |
//! | one task a receiver, in [`Notifier::run`] | decides who is tried next |
//! | one task an Alertmanager of the settings, [`AlertmanagerPeer::run`] | tells it what fires, without the outbox |
//! | one task an attempt, at most [`Delivery::in_flight_max`] a receiver | waits for the answer, notes it on a blocking thread |
//!
//! | locks, in this order | holds |
//! | --- | --- |
//! | outbox | ledger and file, also while syncing |
//! | dispatcher | groups and their timers; changed under the outbox's lock only, never while waiting |
//! | active | the alerts that fire, once more; never while waiting |
//! | lanes, one a receiver | what is tried when; never while waiting |
//!
//! There are two modes. *Direct*: every receiver is told of every alert, at once, as its own group; what is silenced is noted
//! for nobody, and for everybody when it still fires behind the silence (`held`); when more wait than can be told one by one,
//! they are told together (`joint`). *Routed*, with an
//! `alertmanager.yml`: the alert is noted and nobody told yet; the dispatcher (`dispatch`) groups alerts by the routes, and
//! what a group has to tell when it is due becomes messages, which are in the outbox before their first attempt.

mod address;
mod alert;
mod answer;
mod backoff;
mod dead_letter;
mod deliver;
mod dispatch;
mod dispatching;
mod event;
mod finished;
mod folding;
mod held;
mod joint;
mod lanes;
mod ledger;
mod matchers;
mod message;
mod messages;
mod outbox;
mod outbox_body;
mod owed;
mod payload;
mod ping;
mod plan;
mod pushed;
mod receivers;
pub mod routing;
mod secret;
pub mod silence;
mod told;
mod way;

use crate::disk::DiskError;

pub use alert::{ANNOTATION_BYTES_MAX, ANNOTATIONS_COUNT_MAX, Alert, Status};
pub use answer::{Answer, Heard};
pub use backoff::{Backoff, RETRY_AFTER_MAX};
pub use dead_letter::DeadLetter;
pub use deliver::{Delivery, DeliveryMetrics, Notifier, NotifierOptions, PreparedPlan, Silencer};
pub use dispatching::AlertState;
pub use event::{AttemptResult, EVENTS_COUNT_MAX, Event, SilencedBy};
pub use folding::{
    CriticalPath, Folding, FoldingOptions, OPEN_INCIDENTS_MAX, SIGNALS_PER_INCIDENT_MAX, SPAN_WINDOWS_MAX,
};
pub use ledger::{DEAD_LETTERS_COUNT_MAX, Enqueued, FINISHED_COUNT_MAX};
pub use matchers::Matchers;
pub use message::{Message, MessageAlert};
pub use messages::Telling;
pub use outbox::{ACTIVE_COUNT_MAX, PENDING_ALERTS_COUNT_MAX, PENDING_COUNT_MAX, RecoveredOutbox};
pub use payload::rfc3339;
pub use ping::Pinger;
pub use plan::{Destination, Plan};
pub use pushed::{PUSHED_ALERTS_MAX, PushedAlert, PushedAlerts};
pub use receivers::{AlertmanagerPeer, Integration, IntegrationConfig, ReceiverConfig, WebhookSettings, test_message};
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
