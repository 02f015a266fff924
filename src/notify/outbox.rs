//! The outbox: what is noted here will be delivered, whatever happens to the process.
//!
//! A folder with one file of framed records (`storage-format`, chapters *frame* and *outbox*), append-only:
//!
//! ```text
//! 0000000007.outbox   | Notification A firing | Delivered A pager | Notification A resolved | …
//! ```
//!
//! A file is never continued by another process. Whoever opens the outbox reads what is there, writes the part that
//! still matters to the next file, and goes on in that one; the same happens when a file has grown enough that is
//! done with, and after a failed write or sync, of which nobody can say how much of it is on disk.
//!
//! Always true:
//! 1. [`Outbox::enqueue`] has returned `Accepted`: the notification survives a power cut.
//! 2. An old file goes only after its successor was synced, named, and read back.
//! 3. A file with damage is not removed: it stays as `….outbox.damaged`, for a person to look at.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::NotifyError;
use super::alert::Alert;
use super::folding::Folding;
use super::ledger::{Enqueued, Ledger, Outcome, Record};
use super::message::Message;
use super::outbox_file::{self, Writer};
use super::owed::Notification;
use crate::disk::{Disk, DiskError};
use crate::model::Labels;

/// Most notifications that may wait for delivery.
pub const PENDING_COUNT_MAX: usize = 100_000;
/// Most alerts in all notifications that may wait for delivery.
pub const PENDING_ALERTS_COUNT_MAX: usize = 300_000;
/// Most alerts that may be active, or have ended and wait to be told.
pub const ACTIVE_COUNT_MAX: usize = 100_000;
/// A smaller file is not worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
const EXTENSION: &str = ".outbox";

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

/// The ledger and its file.
pub(crate) struct Outbox {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    ledger: Ledger,
    /// Which incident an alert belongs to.
    folding: Folding,
    /// `None` after a failed write: the next change begins a new file.
    writer: Option<Writer>,
    /// Names of files that the next new file makes superfluous.
    superseded: Vec<(String, Condition)>,
    next_sequence: u32,
    /// Length of the present file when it was begun.
    begun_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Sound,
    Damaged,
}

impl Outbox {
    /// Reads what is in the folder, makes it if need be, and begins a new file. On a full disk that is left to the first
    /// change for which there is room: until then what was noted stands in the old files, and nothing new is accepted.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        ledger: Ledger,
        folding: Folding,
        now_ms: i64,
    ) -> Result<(Outbox, RecoveredOutbox), DiskError> {
        let mut outbox = Outbox {
            disk,
            folder: folder.to_owned(),
            ledger,
            folding,
            writer: None,
            superseded: Vec::new(),
            next_sequence: 0,
            begun_bytes: 0,
        };
        let has_folder = tolerating_full(outbox.make_folder(), "the outbox has no folder yet")?;
        let damage = if has_folder { outbox.recover()? } else { Vec::new() };
        tolerating_full(outbox.begin_file(now_ms), "alerts cannot be noted until there is room on the disk")?;
        let pending_count = outbox.ledger.pending_count();
        let active_count = outbox.ledger.active_count();
        Ok((outbox, RecoveredOutbox { pending_count, active_count, damage }))
    }

    /// Reads the newest file, which is complete in itself. There is an older one only when a crash came between the
    /// two; it is read too, and first, where the newest has damage.
    fn recover(&mut self) -> Result<Vec<String>, DiskError> {
        let (mut files, mut damage) = (Vec::new(), Vec::new());
        let mut newest_is_sound = false;
        for (sequence, name) in self.files()?.into_iter().rev() {
            self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
            if newest_is_sound {
                self.superseded.push((name, Condition::Sound));
                continue;
            }
            let path = self.folder.join(&name);
            let bytes = self.disk.read(&path)?;
            let (records, mut found) = outbox_file::read_records(&bytes);
            if bytes.is_damaged() {
                found.push("cannot be read as a whole: the disk fails, or somebody shortened it".to_owned());
            }
            newest_is_sound = found.is_empty();
            self.superseded.push((name, if newest_is_sound { Condition::Sound } else { Condition::Damaged }));
            damage.extend(found.into_iter().map(|what| format!("{} {what}", path.display())));
            files.push(records);
        }
        files.into_iter().rev().flatten().for_each(|record| self.ledger.apply(record));
        for transition in self.ledger.transitions() {
            self.folding.restore(&transition.alert, &transition.incident);
        }
        Ok(damage)
    }

    /// The files of this outbox with their numbers, oldest first.
    fn files(&self) -> Result<Vec<(u32, String)>, DiskError> {
        let numbered = |name: String| Some((name.strip_suffix(EXTENSION)?.parse().ok()?, name));
        let mut files: Vec<_> = self.disk.list(&self.folder)?.into_iter().filter_map(numbered).collect();
        files.sort();
        Ok(files)
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
        now_ms: i64,
        taken: &mut Vec<Arc<Notification>>,
    ) -> Result<Vec<Enqueued>, NotifyError> {
        let mut results = Vec::with_capacity(alerts.len());
        for run in runs_of_different_alerts(alerts) {
            let considered: Vec<_> = run.iter().map(|alert| self.consider(alert, is_silenced, now_ms)).collect();
            let new: Vec<_> = considered.iter().filter_map(|result| result.as_ref().ok().map(Arc::clone)).collect();
            self.check_room(&new)?;
            let records: Vec<Record> =
                new.iter().map(|notification| Record::Notification(Arc::clone(notification))).collect();
            self.append(&records, true, now_ms)?;
            records.into_iter().for_each(|record| self.ledger.apply(record));
            results
                .extend(considered.into_iter().map(|result| result.map_or_else(|known| known, |_| Enqueued::Accepted)));
            taken.extend(new);
        }
        Ok(results)
    }

    fn consider(
        &mut self,
        alert: &Alert,
        is_silenced: &dyn Fn(&Labels) -> bool,
        now_ms: i64,
    ) -> Result<Arc<Notification>, Enqueued> {
        let considered = self.ledger.consider(alert, is_silenced, now_ms)?;
        let incident = self.folding.assign(&considered.alert);
        Ok(Arc::new(Notification { incident, ..considered }))
    }

    /// Notes those of the held beginnings again that still are held, for every receiver, as many as there is room for, and
    /// syncs. Returns them. All or none.
    pub(crate) fn release(
        &mut self,
        held: &[Arc<Notification>],
        now_ms: i64,
    ) -> Result<Vec<Arc<Notification>>, NotifyError> {
        let room = PENDING_COUNT_MAX.saturating_sub(self.ledger.pending_count());
        let released = held.iter().filter_map(|one| self.ledger.released(one, now_ms));
        let released: Vec<_> = released.take(room).map(Arc::new).collect();
        if room == 0 {
            return Err(NotifyError::Full { what: "notifications wait for delivery", limit: PENDING_COUNT_MAX });
        }
        let records: Vec<Record> = released.iter().map(|one| Record::Notification(Arc::clone(one))).collect();
        self.append(&records, true, now_ms)?;
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
        self.append(&records, true, now_ms)?;
        records.into_iter().for_each(|record| self.ledger.apply(record));
        Ok(())
    }

    /// Goes on with other receivers. What was owed to those who are gone is owed no more.
    pub(crate) fn replace_receivers(&mut self, receivers: Vec<String>, is_grouping: bool) {
        self.ledger = self.ledger.with_receivers(receivers, is_grouping);
    }

    /// Forgets what was told of groups that are over.
    pub(crate) fn forget_told(&mut self, now_ms: i64, is_over: impl Fn(&str) -> bool) {
        self.ledger.forget_told(now_ms, is_over);
    }

    fn check_room(&self, new: &[Arc<Notification>]) -> Result<(), NotifyError> {
        let firing_count = new.iter().filter(|notification| notification.alert.ends_at_ms.is_none()).count();
        let owed_count = new.iter().filter(|notification| !notification.receivers.is_empty()).count();
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
        let noted = self.append(&records, false, now_ms);
        records.into_iter().for_each(|record| self.ledger.apply(record));
        noted?;
        if self.is_worth_rewriting() { self.begin_file(now_ms) } else { Ok(()) }
    }

    /// Makes what was noted last.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.writer.as_ref().map_or(Ok(()), Writer::sync)
    }

    fn append(&mut self, records: &[Record], sync: bool, now_ms: i64) -> Result<(), DiskError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.writer.is_none() {
            self.begin_file(now_ms)?;
        }
        let writer = self.writer.as_mut().expect("begin_file leaves a writer or an error");
        let written = writer.append(records).and_then(|()| if sync { writer.sync() } else { Ok(()) });
        if written.is_err() {
            self.abandon_file();
        }
        written
    }

    /// The file has doubled since it was begun, and most of what it holds is done with.
    fn is_worth_rewriting(&self) -> bool {
        let length = self.writer.as_ref().map_or(0, Writer::length);
        let grown = length > REWRITE_BYTES_MIN.max(2 * self.begun_bytes);
        let waiting = self.writer.as_ref().map_or(0, Writer::record_count) / 4;
        grown && self.ledger.pending_count() < waiting
    }

    fn abandon_file(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.superseded.push((writer.name().to_owned(), Condition::Sound));
        }
    }

    /// Its name must outlast a power cut as much as what will be in it.
    fn make_folder(&self) -> Result<(), DiskError> {
        self.disk.create_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), |above| self.disk.sync_folder(above))
    }

    /// Writes all that is known to the next file, reads it back, and ends the old ones.
    pub(super) fn begin_file(&mut self, now_ms: i64) -> Result<(), DiskError> {
        self.make_folder()?;
        let sequence = self.next_sequence;
        let name = format!("{sequence:010}{EXTENSION}");
        let records: Vec<Record> = self.ledger.records().collect();
        let writer = Writer::create(self.disk.as_ref(), &self.folder, &name, sequence, now_ms, &records)?;
        // From here on the name is taken: if anything below fails, a reader will find this file and the old ones.
        self.next_sequence = sequence.saturating_add(1);
        self.abandon_file();
        self.begun_bytes = writer.length();
        self.writer = Some(writer);
        self.end_superseded();
        Ok(())
    }

    /// Failing here costs disk space and a second reading, so it is told and tried again with the next file.
    fn end_superseded(&mut self) {
        let (disk, folder) = (&self.disk, &self.folder);
        self.superseded.retain(|(name, condition)| {
            let path = folder.join(name);
            let ended = match condition {
                Condition::Sound => disk.remove(&path),
                Condition::Damaged => disk.rename(&path, &folder.join(format!("{name}.damaged"))),
            };
            match ended {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(%error, "an old file of the outbox stays for now");
                    true
                }
                _ => false,
            }
        });
        if let Err(error) = disk.sync_folder(folder) {
            tracing::warn!(%error, "an old file of the outbox may come back after a power cut; it does no harm");
        }
    }
}

/// Whether it worked. Where there was no room, `consequence` is told and it may work later.
fn tolerating_full(outcome: Result<(), DiskError>, consequence: &str) -> Result<bool, DiskError> {
    match outcome {
        Err(error) if error.is_full() => {
            tracing::error!(%error, "{consequence}");
            Ok(false)
        }
        outcome => outcome.map(|()| true),
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
