//! What a silence holds back where nothing is grouped: it is told when the silence ends, if it still fires.
//!
//! ```text
//! 14:00  {alertname="SlowPage"} is silenced until 16:00
//! 14:10  SlowPage fires        noted, owed to nobody
//! 16:00  the look              noted again, owed to every receiver, under the id that it had at 14:10
//! 16:20  SlowPage ends         every receiver is told
//!
//! 14:10  SlowPage fires        noted, owed to nobody
//! 14:50  SlowPage ends         noted, owed to nobody: what began and ended unheard is not told
//! ```
//!
//! Alertmanager's meaning of a silence: it holds back ends too, also of what was told before it, and what was told is not
//! told again behind it.
//!
//! Always true: nobody is told that it began before that stands in the outbox, synced, with the names of those who are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::deliver::{Notifier, pass_panic_on};
use super::event::SilencedBy;
use super::owed::Notification;
use crate::model::Labels;

/// How often it is looked whether silences still hold back what they did.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Notifier {
    /// Looks until the order to stop.
    pub(super) async fn look_after_held(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow() {
            // It may wait for the disk.
            let notifier = Arc::clone(&self);
            pass_panic_on(spawn_blocking(move || notifier.tell_what_is_no_longer_silenced()).await);
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Whether a silence holds back an alert with these labels now. Never waits.
    pub fn is_silenced(&self, labels: &Labels) -> bool {
        (self.silencer)(labels, self.clock.now_ms()).is_some()
    }

    /// What holds back a beginning that was just taken, if anything does. Where alerts are grouped it may be another silence
    /// that counts when the group is told.
    pub(super) fn held_back_by(&self, taken: &Notification) -> Option<SilencedBy> {
        let may_be_held = taken.alert.ends_at_ms.is_none() && taken.receivers.is_empty();
        may_be_held.then(|| (self.silencer)(&taken.alert.labels, self.clock.now_ms()))?
    }

    /// Notes for every receiver what nothing holds back any more, and puts it on its way.
    pub(super) fn tell_what_is_no_longer_silenced(&self) {
        let mut held: Vec<Arc<Notification>> = self.outbox.lock().ledger().held().into_iter().cloned().collect();
        // Not under the lock: there may be many, and each is compared with many silences.
        held.retain(|one| !self.is_silenced(&one.alert.labels));
        if held.is_empty() {
            return;
        }
        let mut outbox = self.outbox.lock();
        match outbox.release(&held, &mut self.backlog(), self.clock.now_ms()) {
            Ok(released) => self.push_transitions(&released, self.clock.monotonic()),
            Err(error) => tracing::error!(%error, "what is no longer silenced cannot be told yet; trying again"),
        }
        self.count_pending(&outbox);
    }
}
