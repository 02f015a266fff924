//! The outbox: what is noted here will be delivered, whatever happens to the process.
//!
//! It is the [`Ledger`] and its [`Journal`] (`storage-format`, chapters *frame* and *outbox*):
//!
//! ```text
//! 0000000007.outbox   | Notification A firing | Delivered A pager | Notification A resolved | …
//! ```
//!
//! Always true:
//! 1. [`Outbox::enqueue`] has returned `Accepted`: the notification survives a power cut.
//! 2. What is in the ledger is in the present file, or will be in the next one, which begins with all of it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::NotifyError;
use super::alert::Alert;
use super::folding::Folding;
use super::joint::Backlog;
use super::ledger::{Enqueued, Ledger, Outcome, Record};
use super::message::Message;
use super::owed::Notification;
use crate::disk::{Disk, DiskError};
use crate::journal::{Journal, Recovered};
use crate::model::Labels;

/// Most notifications that may wait for delivery.
pub const PENDING_COUNT_MAX: usize = 100_000;
/// Most alerts in all notifications that may wait for delivery.
pub const PENDING_ALERTS_COUNT_MAX: usize = 300_000;
/// Most alerts that may be active, or have ended and wait to be told.
pub const ACTIVE_COUNT_MAX: usize = 100_000;

/// What was found on disk when the outbox was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredOutbox {
    /// Notifications that somebody has yet to be told.
    pub pending_count: usize,
    /// Alerts that fire.
    pub active_count: usize,
    /// One line for each place that could not be read, with file and offset; such a record is lost, the rest is not.
    pub damage: Vec<String>,
}

/// The ledger and its journal.
pub(crate) struct Outbox {
    journal: Journal<Record>,
    ledger: Ledger,
    /// Which incident an alert belongs to.
    folding: Folding,
}

impl Outbox {
    /// Reads what is in the folder, makes it if need be, and begins a new file. On a full disk that is left to the first
    /// change for which there is room: until then what was noted stands in the old files, and nothing new is accepted.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        mut ledger: Ledger,
        mut folding: Folding,
        now_ms: i64,
    ) -> Result<(Outbox, RecoveredOutbox), DiskError> {
        let (journal, Recovered { records, damage }) = Journal::open(disk, folder)?;
        records.into_iter().for_each(|record| ledger.apply(record));
        for transition in ledger.transitions() {
            folding.restore(&transition.alert, &transition.incident);
        }
        let mut outbox = Outbox { journal, ledger, folding };
        match outbox.begin_file(now_ms) {
            Err(error) if error.is_full() => {
                tracing::error!(%error, "alerts cannot be noted until there is room on the disk");
            }
            begun => begun?,
        }
        let (pending_count, active_count) = (outbox.ledger.pending_count(), outbox.ledger.active_count());
        Ok((outbox, RecoveredOutbox { pending_count, active_count, damage }))
    }

    /// What is known.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Notes the alerts, in order, and syncs; returns what became of each, and puts the new notifications to `taken`. What
    /// is silenced is noted too, for nobody.
    ///
    /// On an error those in `taken` were taken and the others not. The caller reports all of them again.
    pub(crate) fn enqueue(
        &mut self,
        alerts: &[Alert],
        is_silenced: &dyn Fn(&Labels) -> bool,
        backlog: &mut Backlog,
        now_ms: i64,
        taken: &mut Vec<Arc<Notification>>,
    ) -> Result<Vec<Enqueued>, NotifyError> {
        let mut results = Vec::with_capacity(alerts.len());
        for run in runs_of_different_alerts(alerts) {
            let considered: Vec<_> = run.iter().map(|alert| self.ledger.consider(alert, is_silenced, now_ms)).collect();
            self.check_room(considered.iter().flatten())?;
            let considered: Vec<_> =
                considered.into_iter().map(|one| one.map(|new| self.folded(new, backlog))).collect();
            let new: Vec<_> = considered.iter().flatten().map(Arc::clone).collect();
            self.note_transitions(&new, now_ms)?;
            results
                .extend(considered.into_iter().map(|result| result.map_or_else(|known| known, |_| Enqueued::Accepted)));
            taken.extend(new);
        }
        self.rewrite_if_worth_it(now_ms);
        Ok(results)
    }

    fn folded(&mut self, considered: Notification, backlog: &mut Backlog) -> Arc<Notification> {
        let incident = self.folding.assign(&considered.alert);
        let joint = backlog.joint(&considered.receivers);
        Arc::new(Notification { incident, joint, ..considered })
    }

    fn note_transitions(&mut self, new: &[Arc<Notification>], now_ms: i64) -> Result<(), DiskError> {
        let records: Vec<Record> = new.iter().map(|one| Record::Notification(Arc::clone(one))).collect();
        let noted = self.append_surely(&records, now_ms);
        match &noted {
            Ok(()) => records.into_iter().for_each(|record| self.ledger.apply(record)),
            // Nobody says that these end if they are not reported again; if they are, they are of the same incidents.
            Err(_) => new.iter().for_each(|one| {
                let ends_at_ms = one.alert.ends_at_ms.or(Some(one.alert.starts_at_ms));
                self.folding.restore(&Alert { ends_at_ms, ..one.alert.clone() }, &one.incident);
            }),
        }
        noted
    }

    /// Notes those of the held beginnings again that still are held, for every receiver, as many as there is room for, and
    /// syncs. Returns them. All or none.
    pub(crate) fn release(
        &mut self,
        held: &[Arc<Notification>],
        backlog: &mut Backlog,
        now_ms: i64,
    ) -> Result<Vec<Arc<Notification>>, NotifyError> {
        let room = PENDING_COUNT_MAX.saturating_sub(self.ledger.pending_count());
        let released = held.iter().filter_map(|one| self.ledger.released(one, now_ms));
        let joined = |one: Notification| Notification { joint: backlog.joint(&one.receivers), ..one };
        let released: Vec<_> = released.take(room).map(joined).map(Arc::new).collect();
        if room == 0 {
            return Err(NotifyError::Full { what: "notifications wait for delivery", limit: PENDING_COUNT_MAX });
        }
        let records: Vec<Record> = released.iter().map(|one| Record::Notification(Arc::clone(one))).collect();
        self.append_surely(&records, now_ms)?;
        records.into_iter().for_each(|record| self.ledger.apply(record));
        Ok(released)
    }

    /// Notes messages, what their receivers know when they have them, and what they know anyway, and syncs. All or none.
    pub(crate) fn note(&mut self, records: Vec<Record>, now_ms: i64) -> Result<(), NotifyError> {
        let messages = records.iter().filter_map(|record| match record {
            Record::Message(message, _) => Some(message.alerts.len()),
            _ => None,
        });
        let (message_count, alert_count) = messages.fold((0, 0), |(count, alerts), one| (count + 1, alerts + one));
        if self.ledger.pending_count() + message_count > PENDING_COUNT_MAX {
            return Err(NotifyError::Full { what: "notifications wait for delivery", limit: PENDING_COUNT_MAX });
        }
        // A single message may be larger than what is left, or no large group would ever be told.
        if self.ledger.pending_alert_count() > 0
            && self.ledger.pending_alert_count() + alert_count > PENDING_ALERTS_COUNT_MAX
        {
            let what = "alerts are in notifications that wait for delivery";
            return Err(NotifyError::Full { what, limit: PENDING_ALERTS_COUNT_MAX });
        }
        self.append_surely(&records, now_ms)?;
        records.into_iter().for_each(|record| self.ledger.apply(record));
        self.rewrite_if_worth_it(now_ms);
        Ok(())
    }

    /// Notes a joint message, which takes the place of what waits for its receiver, and syncs.
    pub(crate) fn join(&mut self, joint: Arc<Message>, now_ms: i64) -> Result<(), DiskError> {
        let record = Record::Message(joint, None);
        self.append_surely(std::slice::from_ref(&record), now_ms)?;
        self.ledger.apply(record);
        self.rewrite_if_worth_it(now_ms);
        Ok(())
    }

    /// Goes on with other receivers. What was owed to those who are gone is owed no more; where transitions name
    /// them, the next file is begun, so that the next start does not find it again.
    pub(crate) fn replace_receivers(&mut self, receivers: Vec<String>, is_grouping: bool, now_ms: i64) {
        let is_gone = |name: &String| !receivers.contains(name);
        let some_went = self.ledger.transitions().any(|one| one.receivers.iter().any(is_gone));
        self.ledger = self.ledger.with_receivers(receivers, is_grouping);
        if some_went && let Err(error) = self.begin_file(now_ms) {
            tracing::warn!(%error, "if receivers that went come back with the next start, they may be told what they were owed");
        }
    }

    /// Forgets what was told of groups that are over.
    pub(crate) fn forget_told(&mut self, now_ms: i64, is_over: impl Fn(&str) -> bool) {
        self.ledger.forget_told(now_ms, is_over);
    }

    fn check_room<'a>(&self, new: impl Iterator<Item = &'a Notification>) -> Result<(), NotifyError> {
        let (mut firing_count, mut owed_count) = (0, 0);
        for notification in new {
            firing_count += usize::from(notification.alert.ends_at_ms.is_none());
            owed_count += usize::from(!notification.receivers.is_empty());
        }
        if self.ledger.pending_count() + owed_count > PENDING_COUNT_MAX {
            return Err(NotifyError::Full { what: "notifications wait for delivery", limit: PENDING_COUNT_MAX });
        }
        if self.ledger.active_count() + firing_count > ACTIVE_COUNT_MAX {
            return Err(NotifyError::Full { what: "alerts are active", limit: ACTIVE_COUNT_MAX });
        }
        Ok(())
    }

    /// Notes how a delivery ended, and the messages that follow from it. Not synced: if it is lost the receiver is told
    /// again, under the same id. The ledger has it even when the disk fails; the next file will too.
    pub(crate) fn close(
        &mut self,
        outcome: Outcome,
        following: Vec<Arc<Message>>,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        // Behind what follows from it, so that no end is noted whose consequence is not.
        let following = following.into_iter().map(|message| Record::Message(message, None));
        let records: Vec<Record> = following.chain([Record::Outcome(outcome)]).collect();
        let noted = self.append(&records, now_ms);
        records.into_iter().for_each(|record| self.ledger.apply(record));
        noted?;
        self.rewrite_if_worth_it(now_ms);
        Ok(())
    }

    /// Makes what was noted last.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.journal.sync()
    }

    fn append(&mut self, records: &[Record], now_ms: i64) -> Result<(), DiskError> {
        self.journal.append(records, || self.ledger.records().collect(), now_ms)
    }

    fn append_surely(&mut self, records: &[Record], now_ms: i64) -> Result<(), DiskError> {
        if records.is_empty() {
            return Ok(());
        }
        self.append(records, now_ms)?;
        self.journal.sync()
    }

    /// Begins a new file where the present one has grown and most of what it holds is done with. Failing here costs disk
    /// space, and it is tried again.
    fn rewrite_if_worth_it(&mut self, now_ms: i64) {
        let is_worth_it = self.journal.has_grown() && self.ledger.pending_count() < self.journal.record_count() / 4;
        if is_worth_it && let Err(error) = self.begin_file(now_ms) {
            tracing::warn!(%error, "the outbox cannot be written anew yet; it grows on");
        }
    }

    /// Writes all that is known to the next file, and ends the old ones.
    pub(super) fn begin_file(&mut self, now_ms: i64) -> Result<(), DiskError> {
        let whole: Vec<Record> = self.ledger.records().collect();
        self.journal.begin_file(&whole, now_ms)
    }
}

/// Cuts the alerts into runs in which no alert comes twice: what becomes of its second report depends on the first.
fn runs_of_different_alerts(alerts: &[Alert]) -> Vec<&[Alert]> {
    let (mut runs, mut start, mut seen) = (Vec::new(), 0, HashSet::new());
    for (index, alert) in alerts.iter().enumerate() {
        if !seen.insert(alert.fingerprint()) {
            runs.push(&alerts[start..index]);
            start = index;
            seen = HashSet::from([alert.fingerprint()]);
        }
    }
    runs.push(&alerts[start..]);
    runs
}
