//! The incidents of a server: what happens to them is noted, and read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::IncidentError;
use super::book::Book;
use super::change::{Change, Entry, NOTE_BYTES_MAX, NOTES_COUNT_MAX, PERSON_BYTES_MAX, entries_of, transition};
use super::escalation::{Due, Escalation};
use super::journal::{Journal, Record};
use super::record::{Figures, Incident, Signal, State};
use crate::clock::Clock;
use crate::disk::{Disk, DiskError};
use crate::journal::Recovered;
use crate::notify::{Alert, CriticalPath, Event, rfc3339};

/// What incidents are kept and told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentOptions {
    /// How long a resolved incident is kept, in ms.
    pub retention_ms: i64,
    /// By which the root of an incident is told.
    pub path: CriticalPath,
    /// Who is told when nobody acknowledges.
    pub escalation: Escalation,
}

/// What was found on disk when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredIncidents {
    /// Incidents that are known.
    pub incident_count: usize,
    /// One line for each place that could not be read, with file and offset; such a record is lost, the rest is not.
    pub damage: Vec<String>,
}

/// Which incidents are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those that lasted at this moment or later, in ms since 1970 UTC.
    pub from_ms: Option<i64>,
    /// Those that had begun by this moment, in ms since 1970 UTC.
    pub to_ms: Option<i64>,
    /// Those that stand so.
    pub state: Option<State>,
}

/// Signals that fired at a moment, by fingerprint and start.
pub struct Lasting(HashSet<(u64, i64)>);

/// Everything that is known of incidents. Shared by the thread that takes events and by those who ask.
pub struct Incidents {
    journal: Mutex<Journal>,
    book: RwLock<Book>,
    /// Jobs whose samples are missing, each with since when.
    lost_jobs: Mutex<BTreeMap<String, i64>>,
    clock: Clock,
    options: IncidentOptions,
}

impl Incidents {
    /// Reads the journal in `folder`.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        clock: Clock,
        options: IncidentOptions,
    ) -> Result<(Incidents, RecoveredIncidents), DiskError> {
        let (journal, Recovered { records, damage }) = Journal::open(disk, folder)?;
        let mut book = Book::default();
        records.into_iter().for_each(|record| book.read(record));
        book.forget(&book.outdated(clock.now_ms().saturating_sub(options.retention_ms)));
        let recovered = RecoveredIncidents { incident_count: book.len(), damage };
        let (journal, book) = (Mutex::new(journal), RwLock::new(book));
        Ok((Incidents { journal, book, lost_jobs: Mutex::default(), clock, options }, recovered))
    }

    /// By what they are kept and told.
    pub fn options(&self) -> &IncidentOptions {
        &self.options
    }

    /// Takes what the notifier did. Waits for the disk; if that fails, what happened is known all the same, and is written
    /// when the disk is well.
    pub fn take(&self, events: &[Event]) {
        let mut journal = self.journal.lock();
        let mut entries = Vec::new();
        for event in events {
            entries.extend(entries_of(event));
            if let Event::Transition { alert, incident, at_ms, .. } = event {
                entries.extend(self.doubt(alert, incident, *at_ms));
            }
        }
        self.note_surely(&mut journal, entries);
    }

    /// The doubt whether an alert that ends has ended, while the samples of its job are missing.
    fn doubt(&self, alert: &Alert, incident: &str, at_ms: i64) -> Option<Entry> {
        let job = alert.labels.get("job").filter(|_| alert.ends_at_ms.is_some())?;
        let is_lost = self.lost_jobs.lock().contains_key(job);
        is_lost.then(|| Entry { id: incident.to_owned(), at_ms, change: Change::Unknown { job: job.to_owned() } })
    }

    /// The signals that fire as far as is known.
    pub fn lasting(&self) -> Lasting {
        let book = self.book.read();
        let signals = book.all().flat_map(|incident| &incident.signals);
        let lasting = signals.filter(|signal| signal.alert.ends_at_ms.is_none());
        Lasting(lasting.map(|signal| (signal.fingerprint, signal.alert.starts_at_ms)).collect())
    }

    /// Puts right what was missed: `active` is what fires, each with its incident. Signals that are not known begin; those of
    /// `lasting`, asked for before, that do not fire any more have ended by now.
    pub fn reconcile(&self, lasting: &Lasting, active: &[(Alert, String)]) {
        let now_ms = self.clock.now_ms();
        let key = |alert: &Alert, fingerprint| (fingerprint, alert.starts_at_ms);
        let firing: HashSet<(u64, i64)> = active.iter().map(|(alert, _)| key(alert, alert.fingerprint())).collect();
        let mut journal = self.journal.lock();
        let mut entries = Vec::new();
        {
            let book = self.book.read();
            for (alert, id) in active {
                let wanted = key(alert, alert.fingerprint());
                let is_it = |signal: &Signal| key(&signal.alert, signal.fingerprint) == wanted;
                if !book.get(id).is_some_and(|incident| incident.signals.iter().any(is_it)) {
                    entries.push(Entry { id: id.clone(), at_ms: now_ms, change: transition(alert, now_ms, None) });
                }
            }
            for incident in book.all() {
                let is_over = |signal: &&Signal| {
                    let key = key(&signal.alert, signal.fingerprint);
                    signal.alert.ends_at_ms.is_none() && lasting.0.contains(&key) && !firing.contains(&key)
                };
                for signal in incident.signals.iter().filter(is_over) {
                    let (fingerprint, starts_at_ms) = (signal.fingerprint, signal.alert.starts_at_ms);
                    let change = Change::Ended { fingerprint, starts_at_ms, ends_at_ms: now_ms.max(starts_at_ms) };
                    entries.push(Entry { id: incident.id.clone(), at_ms: now_ms, change });
                }
            }
        }
        if !entries.is_empty() {
            tracing::info!(count = entries.len(), "incidents are brought up to what the outbox has");
        }
        self.note_surely(&mut journal, entries);
    }

    /// Takes the incident for `by`. The first acknowledgement stands: the answer says whether it was this one.
    pub fn acknowledge(&self, id: &str, by: &str) -> Result<(Arc<Incident>, bool), IncidentError> {
        let by = told("by", by, PERSON_BYTES_MAX)?;
        let mut journal = self.journal.lock();
        let incident = self.known(id)?;
        if let Some(resolved_ms) = incident.resolved_ms() {
            return Err(IncidentError::Resolved { id: id.to_owned(), resolved: rfc3339(resolved_ms) });
        }
        if incident.acknowledgement().is_some() {
            return Ok((incident, false));
        }
        self.note(&mut journal, vec![self.entry(id, Change::Acknowledged { by })])?;
        tracing::info!(id, by = self.known(id)?.acknowledged.as_ref().map(|one| &one.by), "incident acknowledged");
        Ok((self.known(id)?, true))
    }

    /// Remembers what `by` says of the incident, be it over or not.
    pub fn add_note(&self, id: &str, by: &str, text: &str) -> Result<Arc<Incident>, IncidentError> {
        let (by, text) = (told("by", by, PERSON_BYTES_MAX)?, told("text", text, NOTE_BYTES_MAX)?);
        let mut journal = self.journal.lock();
        if self.known(id)?.notes.len() >= NOTES_COUNT_MAX {
            return Err(IncidentError::Refused(format!(
                "the incident has {NOTES_COUNT_MAX} notes, which is the limit"
            )));
        }
        self.note(&mut journal, vec![self.entry(id, Change::Noted { by, text })])?;
        self.known(id)
    }

    /// Remembers what was seen of a signal.
    pub fn note_figures(&self, id: &str, alert: &Alert, figures: Figures) {
        let (fingerprint, starts_at_ms) = (alert.fingerprint(), alert.starts_at_ms);
        let entry = self.entry(id, Change::Figures { fingerprint, starts_at_ms, figures });
        self.note_surely(&mut self.journal.lock(), vec![entry]);
    }

    /// Remembers that a step of the escalation was told.
    pub fn note_escalated(&self, id: &str, due: &Due) {
        let change = Change::Escalated { step: due.step, receiver: due.receiver.clone() };
        self.note_surely(&mut self.journal.lock(), vec![self.entry(id, change)]);
    }

    /// The samples of this job are missing since `since_ms`: signals of it (by their label `job`) that end from then on are
    /// not taken for ended until [`Incidents::mark_known`]. Said twice, it counts from the first.
    pub fn mark_unknown(&self, job: &str, since_ms: i64) {
        // From here on no signal ends unseen: who notes an end looks among the lost jobs under this lock.
        let mut journal = self.journal.lock();
        self.lost_jobs.lock().entry(job.to_owned()).or_insert(since_ms);
        let ended_since = |signal: &Signal| {
            signal.label("job") == job && signal.alert.ends_at_ms.is_some_and(|ends_at_ms| ends_at_ms >= since_ms)
        };
        let affected =
            self.ids(|incident| !incident.unknown_jobs.contains(job) && incident.signals.iter().any(ended_since));
        let change = || Change::Unknown { job: job.to_owned() };
        self.note_surely(&mut journal, affected.iter().map(|id| self.entry(id, change())).collect());
    }

    /// The samples of this job are there again.
    pub fn mark_known(&self, job: &str) {
        let mut journal = self.journal.lock();
        self.lost_jobs.lock().remove(job);
        let affected = self.ids(|incident| incident.unknown_jobs.contains(job));
        let change = || Change::Known { job: job.to_owned() };
        self.note_surely(&mut journal, affected.iter().map(|id| self.entry(id, change())).collect());
    }

    /// Whether the samples of this job are missing, or an incident waits for them.
    pub fn is_unknown(&self, job: &str) -> bool {
        self.lost_jobs.lock().contains_key(job) || self.unknown_jobs().contains(job)
    }

    /// The jobs that incidents wait for: after a restart, those to look after.
    pub fn unknown_jobs(&self) -> BTreeSet<String> {
        self.book.read().all().flat_map(|incident| incident.unknown_jobs.iter().cloned()).collect()
    }

    /// The incident of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Incident>> {
        self.book.read().get(id).cloned()
    }

    /// Those that are asked for, the latest first. Never waits for the disk.
    pub fn list(&self, filter: &Filter) -> Vec<Arc<Incident>> {
        let now_ms = self.clock.now_ms();
        let is_meant = |incident: &&Arc<Incident>| {
            filter.state.is_none_or(|state| incident.state() == state)
                && filter.to_ms.is_none_or(|to_ms| incident.onset_ms() <= to_ms)
                && filter.from_ms.is_none_or(|from_ms| incident.resolved_ms().unwrap_or(now_ms) >= from_ms)
        };
        let mut found: Vec<Arc<Incident>> = self.book.read().all().filter(is_meant).cloned().collect();
        found.sort_by(|one, other| (other.opened_ms, &other.id).cmp(&(one.opened_ms, &one.id)));
        found
    }

    /// How many stand how, in the order of [`State::ALL`].
    pub fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        for incident in self.book.read().all() {
            counts[incident.state() as usize] += 1;
        }
        counts
    }

    /// The steps of escalations that are due by now, each with its incident.
    pub fn due(&self) -> Vec<(Arc<Incident>, Due)> {
        let now_ms = self.clock.now_ms();
        let book = self.book.read();
        let due = |incident: &Arc<Incident>| {
            let due = self.options.escalation.next(incident).filter(|due| due.at_ms <= now_ms)?;
            Some((incident.clone(), due))
        };
        let mut due: Vec<_> = book.all().filter_map(due).collect();
        due.sort_by(|one, other| (one.1.at_ms, &one.0.id).cmp(&(other.1.at_ms, &other.0.id)));
        due
    }

    /// Forgets what is past its time, and writes a new file where the present one has grown, or could not be written. To be
    /// called now and then.
    pub fn keep_up(&self) {
        let now_ms = self.clock.now_ms();
        let mut journal = self.journal.lock();
        // Whoever changes the book has the journal, so that it is still as it was when it is written.
        let outdated = self.book.read().outdated(now_ms.saturating_sub(self.options.retention_ms));
        self.book.write().forget(&outdated);
        if journal.has_file() && !journal.has_grown() {
            return;
        }
        let whole = self.whole();
        if !whole.is_empty()
            && let Err(error) = journal.begin_file(&whole, now_ms)
        {
            tracing::error!(%error, "the journal of incidents cannot be written; trying again");
        }
    }

    fn ids(&self, is_meant: impl Fn(&Incident) -> bool) -> Vec<String> {
        self.book.read().all().filter(|one| is_meant(one)).map(|one| one.id.clone()).collect()
    }

    /// Records that give this book again.
    fn whole(&self) -> Vec<Record> {
        self.book.read().all().cloned().map(Record::Incident).collect()
    }

    fn known(&self, id: &str) -> Result<Arc<Incident>, IncidentError> {
        self.get(id).ok_or_else(|| IncidentError::Unknown(id.to_owned()))
    }

    fn entry(&self, id: &str, change: Change) -> Entry {
        Entry { id: id.to_owned(), at_ms: self.clock.now_ms(), change }
    }

    /// Writes, and then makes, the changes. After an error none was made.
    fn note(&self, journal: &mut Journal, entries: Vec<Entry>) -> Result<(), DiskError> {
        let records: Vec<Record> = entries.into_iter().map(Record::Change).collect();
        self.write(journal, &records)?;
        self.make(records);
        Ok(())
    }

    /// Writes and makes the changes; what cannot be written is made all the same, and is in the next file.
    fn note_surely(&self, journal: &mut Journal, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let records: Vec<Record> = entries.into_iter().map(Record::Change).collect();
        if let Err(error) = self.write(journal, &records) {
            tracing::error!(%error, "what happened to incidents is not on disk yet");
        }
        self.make(records);
    }

    fn write(&self, journal: &mut Journal, records: &[Record]) -> Result<(), DiskError> {
        journal.append(records, || self.whole(), self.clock.now_ms())?;
        journal.sync()
    }

    fn make(&self, records: Vec<Record>) {
        let mut book = self.book.write();
        records.into_iter().for_each(|record| book.read(record));
    }
}

/// What somebody said, without the space around it; neither empty nor longer than it may be.
fn told(name: &str, text: &str, bytes_max: usize) -> Result<String, IncidentError> {
    let text = text.trim();
    match text.len() {
        0 => Err(IncidentError::Refused(format!("{name:?} is missing or empty"))),
        length if length > bytes_max => {
            Err(IncidentError::Refused(format!("{name:?} has {length} bytes, but may have {bytes_max}")))
        }
        _ => Ok(text.to_owned()),
    }
}
