//! The journal's files: append and sync; a new one when it has grown, or when nobody can say how much of it is on disk.
//!
//! ```text
//! incidents/0000000003.incidents   | incident inc-1 | incident inc-2 | inc-2 acknowledged | inc-3 began | …
//! ```
//!
//! Always true:
//! 1. [`Journal::append`] has returned: what it was given survives a power cut.
//! 2. An old file goes only after its successor was synced, named, and read back.
//! 3. A file with damage is not removed: it stays as `….incidents.damaged`, for a person to look at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::book::Book;
use super::change::Entry;
use super::journal_file::{self, Record, Writer};
use super::record::Incident;
use crate::disk::{Disk, DiskError};

/// A smaller file is not worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
const EXTENSION: &str = ".incidents";

/// What was found on disk when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredIncidents {
    /// Incidents that are known.
    pub incident_count: usize,
    /// One line for each place that could not be read, with file and offset; such a record is lost, the rest is not.
    pub damage: Vec<String>,
}

pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// `None` after a failed write: the next change begins a new file.
    writer: Option<Writer>,
    /// Names of files that the next new file makes superfluous, and whether they are damaged.
    superseded: Vec<(String, bool)>,
    next_sequence: u32,
    /// Length of the present file when it was begun.
    begun_bytes: u64,
}

impl Journal {
    /// Reads what is in the folder, makes it if need be. The first change begins a new file.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<(Journal, Book, RecoveredIncidents), DiskError> {
        let mut journal = Journal {
            disk,
            folder: folder.to_owned(),
            writer: None,
            superseded: Vec::new(),
            next_sequence: 0,
            begun_bytes: 0,
        };
        let mut book = Book::default();
        let damage = match journal.make_folder() {
            Err(error) if error.is_full() => {
                tracing::error!(%error, "incidents cannot be noted until there is room on the disk");
                Vec::new()
            }
            made => {
                made?;
                journal.recover(&mut book)?
            }
        };
        let recovered = RecoveredIncidents { incident_count: book.len(), damage };
        Ok((journal, book, recovered))
    }

    /// Reads the newest file, which is complete in itself, and older ones, which are there after a crash between the two,
    /// only where it has damage.
    fn recover(&mut self, book: &mut Book) -> Result<Vec<String>, DiskError> {
        let (mut files, mut damage) = (Vec::new(), Vec::new());
        let mut newest_is_sound = false;
        for (sequence, name) in self.files()?.into_iter().rev() {
            self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
            if newest_is_sound {
                self.superseded.push((name, false));
                continue;
            }
            let path = self.folder.join(&name);
            let bytes = self.disk.read(&path)?;
            let (records, mut found) = journal_file::read_records(&bytes);
            if bytes.is_damaged() {
                found.push("cannot be read as a whole: the disk fails, or somebody shortened it".to_owned());
            }
            newest_is_sound = found.is_empty();
            self.superseded.push((name, !newest_is_sound));
            damage.extend(found.into_iter().map(|what| format!("{} {what}", path.display())));
            files.push(records);
        }
        for record in files.into_iter().rev().flatten() {
            match record {
                Record::Incident(incident) => book.replace(incident),
                Record::Change(entry) => book.apply(entry),
            }
        }
        Ok(damage)
    }

    fn files(&self) -> Result<Vec<(u32, String)>, DiskError> {
        let numbered = |name: String| Some((name.strip_suffix(EXTENSION)?.parse().ok()?, name));
        let mut files: Vec<_> = self.disk.list(&self.folder)?.into_iter().filter_map(numbered).collect();
        files.sort();
        Ok(files)
    }

    /// Puts changes behind what is there, and syncs. `all` gives the incidents as they are without these changes; it is asked
    /// where a new file has to be begun. After an error the changes are not on disk, or nobody can say whether they are.
    pub(super) fn append(
        &mut self,
        entries: &[Entry],
        all: impl FnOnce() -> Vec<Arc<Incident>>,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.writer.is_none() {
            self.begin_file(&all(), now_ms)?;
        }
        let writer = self.writer.as_mut().expect("begin_file leaves a writer or an error");
        let written = writer.append(entries);
        if written.is_err() {
            self.abandon_file();
        }
        written
    }

    /// Whether a new file should be begun: the present one has doubled, or there is none.
    pub(super) fn wants_file(&self) -> bool {
        let length = self.writer.as_ref().map_or(u64::MAX, Writer::length);
        length > REWRITE_BYTES_MIN.max(2 * self.begun_bytes)
    }

    /// Leaves the present file as it is: what counts is in memory, and the next file will have it.
    pub(super) fn abandon_file(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.superseded.push((writer.name().to_owned(), false));
        }
    }

    /// Its name must outlast a power cut as much as what will be in it.
    fn make_folder(&self) -> Result<(), DiskError> {
        self.disk.create_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), |above| self.disk.sync_folder(above))
    }

    /// Writes all incidents to the next file, reads it back, and ends the old ones.
    pub(super) fn begin_file(&mut self, all: &[Arc<Incident>], now_ms: i64) -> Result<(), DiskError> {
        self.make_folder()?;
        let sequence = self.next_sequence;
        let name = format!("{sequence:010}{EXTENSION}");
        let writer = Writer::create(self.disk.as_ref(), &self.folder, &name, sequence, now_ms, all)?;
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
        self.superseded.retain(|(name, is_damaged)| {
            let path = folder.join(name);
            let ended = match is_damaged {
                false => disk.remove(&path),
                true => disk.rename(&path, &folder.join(format!("{name}.damaged"))),
            };
            match ended {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(%error, "an old file of the journal of incidents stays for now");
                    true
                }
                _ => false,
            }
        });
        if let Err(error) = disk.sync_folder(folder) {
            tracing::warn!(%error, "an old file of the journal of incidents may come back after a power cut");
        }
    }
}
