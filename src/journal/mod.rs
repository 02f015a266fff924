//! A journal: records in files, of which the newest has everything; what is appended and synced is found again.
//!
//! ```text
//! outbox/0000000007.outbox   | A firing | pager has A | A resolved |        kept until 8 is named and read back
//! outbox/0000000008.outbox   | A resolved | B firing | pager has B | …     what was left of 7, and all since
//! ```
//!
//! A file is never continued by another process. Whoever opens the journal reads what is there; the first change, or
//! [`Journal::begin_file`], writes the part that still matters to the next file, and goes on in that one. The same happens
//! when the file has grown enough ([`Journal::has_grown`]), and after a failed write or sync, of which nobody can say how
//! much of it is on disk.
//!
//! The power is cut while 8 is written: it has no name yet, 7 is read. It is cut between the name and the end of 7: both are
//! there, and 8 is read alone. Somebody finds 8 with a damaged record: 7 is read before it, if it is there still, and 8 stays
//! as `….outbox.damaged`.
//!
//! Always true:
//! 1. What was appended before a [`Journal::sync`] that returned survives a power cut.
//! 2. Nothing is appended to a file once its successor may have a name: a reader who finds that one asks for no older.
//! 3. An old file goes only after its successor was synced, named, and read back.
//! 4. A file with damage is not removed: it stays as `….damaged`, for a person to look at.
//!
//! What is small enough to be written anew with each change has no journal, but one file ([`Texts`]).
//!
//! Deliberately absent: what the records mean ([`Record`] is implemented where they do), and locks: who owns the journal has
//! one.

mod file;
mod texts;

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_format::frame::FileKind;

use crate::disk::{Disk, DiskError};
use file::{Writer, read_records};
pub use texts::Texts;

/// A smaller file is not worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// What the files of one journal consist of.
pub trait Record: Sized {
    /// What the files are, by their first bytes.
    const FILE_KIND: FileKind;
    /// What their names end in, with its dot.
    const EXTENSION: &'static str;
    /// What people call the journal: `the outbox`.
    const JOURNAL: &'static str;

    /// Appends the record's payload, at least a byte, and returns its kind.
    fn encode(&self, payload: &mut Vec<u8>) -> u8;

    /// Reads such a payload, or says what is wrong with it.
    fn decode(kind: u8, payload: &[u8]) -> Result<Self, String>;
}

/// What was found on disk when a journal was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered<R> {
    /// Everything that could be read, in order. Where the newest file has damage the older ones come first: what is in
    /// both is there twice.
    pub records: Vec<R>,
    /// One line for each place that could not be read, with file and offset; such a record is lost, the rest is not.
    pub damage: Vec<String>,
}

/// The files of one folder.
pub struct Journal<R> {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// The file that grows. `None` at the start and after a failed write: the next change begins a new one.
    present: Option<Writer>,
    /// Files that the next new one makes superfluous.
    superseded: Vec<(PathBuf, Condition)>,
    next_sequence: u32,
    /// Length of the present file when it was begun, or when its successor could not be.
    begun_bytes: u64,
    of: PhantomData<fn() -> R>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Sound,
    Damaged,
}

impl<R: Record> Journal<R> {
    /// Reads what is in the folder, and makes it if need be. A full disk is no failure: the next file makes the folder too.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<(Journal<R>, Recovered<R>), DiskError> {
        let mut journal = Journal {
            disk,
            folder: folder.to_owned(),
            present: None,
            superseded: Vec::new(),
            next_sequence: 0,
            begun_bytes: 0,
            of: PhantomData,
        };
        match journal.make_folder() {
            Err(error) if error.is_full() => {
                tracing::error!(%error, "{} cannot be written until there is room on the disk", R::JOURNAL);
            }
            made => made?,
        }
        let recovered = journal.recover()?;
        Ok((journal, recovered))
    }

    /// Reads the newest file, which is complete in itself, and older ones, which are there after a crash between the two,
    /// only where it has damage.
    fn recover(&mut self) -> Result<Recovered<R>, DiskError> {
        let (mut files, mut damage) = (Vec::new(), Vec::new());
        let mut newest_is_sound = false;
        for (sequence, path) in self.files()?.into_iter().rev() {
            self.next_sequence = self.next_sequence.max(sequence + 1);
            if newest_is_sound {
                self.superseded.push((path, Condition::Sound));
                continue;
            }
            let bytes = self.disk.read(&path)?;
            let (records, mut found) = read_records::<R>(&bytes);
            if bytes.is_damaged() {
                found.push("cannot be read as a whole: the disk fails, or somebody shortened it".to_owned());
            }
            newest_is_sound = found.is_empty();
            damage.extend(found.into_iter().map(|what| format!("{} {what}", path.display())));
            self.superseded.push((path, if newest_is_sound { Condition::Sound } else { Condition::Damaged }));
            files.push(records);
        }
        Ok(Recovered { records: files.into_iter().rev().flatten().collect(), damage })
    }

    /// The files of this journal with their numbers, oldest first. The last number there is is nobody's, so that each file
    /// can have a successor.
    fn files(&self) -> Result<Vec<(u32, PathBuf)>, DiskError> {
        let names = match self.disk.list(&self.folder) {
            Err(error) if error.is_not_found() => Vec::new(),
            listed => listed?,
        };
        let numbered = |name: String| Some((name.strip_suffix(R::EXTENSION)?.parse().ok()?, self.folder.join(name)));
        let mut files: Vec<(u32, PathBuf)> = names.into_iter().filter_map(numbered).collect();
        files.retain(|(sequence, _)| *sequence < u32::MAX);
        files.sort();
        Ok(files)
    }

    /// Puts records behind those that are there; they are on disk after [`Journal::sync`]. `whole` gives all that is known
    /// without them: it is asked where a new file has to be begun.
    ///
    /// After an error they are not on disk, or nobody can say whether they are; the next change begins a new file, so
    /// `whole` has to give them then if they count.
    pub fn append(&mut self, records: &[R], whole: impl FnOnce() -> Vec<R>, now_ms: i64) -> Result<(), DiskError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.present.is_none() {
            self.begin_file(&whole(), now_ms)?;
        }
        let present = self.present.as_mut().expect("begin_file leaves a file or an error");
        let written = present.append(records);
        self.abandoned_on_failure(written)
    }

    /// Makes what was appended last. After an error the next change begins a new file.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        let synced = self.present.as_ref().map_or(Ok(()), Writer::sync);
        self.abandoned_on_failure(synced)
    }

    /// Nobody can say how much of a failed write or sync is on disk.
    fn abandoned_on_failure(&mut self, outcome: Result<(), DiskError>) -> Result<(), DiskError> {
        if outcome.is_err() {
            self.abandon_file();
        }
        outcome
    }

    /// Leaves the present file as it is: what counts is in memory, and the next file will have it.
    fn abandon_file(&mut self) {
        if let Some(present) = self.present.take() {
            self.superseded.push((present.path().to_owned(), Condition::Sound));
        }
    }

    /// Whether there is a file that the next change is put to.
    pub fn has_file(&self) -> bool {
        self.present.is_some()
    }

    /// Whether the present file is large, and twice what it was when it was begun.
    pub fn has_grown(&self) -> bool {
        self.file_bytes() > REWRITE_BYTES_MIN.max(2 * self.begun_bytes)
    }

    /// How many records the present file has.
    pub fn record_count(&self) -> usize {
        self.present.as_ref().map_or(0, Writer::record_count)
    }

    fn file_bytes(&self) -> u64 {
        self.present.as_ref().map_or(0, Writer::length)
    }

    /// Its name must outlast a power cut as much as what will be in it.
    fn make_folder(&self) -> Result<(), DiskError> {
        self.disk.create_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), |above| self.disk.sync_folder(above))
    }

    /// Writes all that is known to the next file, reads it back, and ends the old ones. After an error the old ones are as
    /// they were, and are gone on with unless a reader may find the new one.
    pub fn begin_file(&mut self, whole: &[R], now_ms: i64) -> Result<(), DiskError> {
        let path = self.folder.join(format!("{:010}{}", self.next_sequence, R::EXTENSION));
        let draft = path.with_extension("tmp");
        let drafted = self
            .make_folder()
            .and_then(|()| Writer::draft(self.disk.as_ref(), &draft, &path, self.next_sequence, now_ms, whole));
        if drafted.is_err() {
            self.begun_bytes = self.file_bytes();
        }
        let (writer, bytes) = drafted?;
        self.abandon_file();
        self.disk.rename(&draft, &path)?;
        self.disk.sync_folder(&self.folder)?;
        self.check_read_back(&path, &bytes, whole.len())?;
        self.next_sequence += 1;
        self.begun_bytes = writer.length();
        self.present = Some(writer);
        self.end_superseded();
        Ok(())
    }

    /// Fails where a reader would find something else than was written, or could not make the same of it.
    fn check_read_back(&self, path: &Path, written: &[u8], record_count: usize) -> Result<(), DiskError> {
        let bytes = self.disk.read(path)?;
        let (records, damage) = read_records::<R>(&bytes);
        let what = match damage.into_iter().next() {
            _ if *bytes != *written => "other bytes than were written".to_owned(),
            Some(damage) => damage,
            None if records.len() != record_count => format!("{} records of {record_count}", records.len()),
            None => return Ok(()),
        };
        Err(DiskError::new("read back what was written to", path, std::io::Error::other(what)))
    }

    /// Failing here costs disk space and a second reading, so it is told and tried again with the next file.
    fn end_superseded(&mut self) {
        let disk = &self.disk;
        self.superseded.retain(|(path, condition)| {
            let ended = match condition {
                Condition::Sound => disk.remove(path),
                Condition::Damaged => disk.rename(path, &put_aside(path)),
            };
            match ended {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(%error, "an old file of {} stays for now", R::JOURNAL);
                    true
                }
                _ => false,
            }
        });
        if let Err(error) = disk.sync_folder(&self.folder) {
            tracing::warn!(%error, "an old file of {} may come back after a power cut; it does no harm", R::JOURNAL);
        }
    }
}

/// What a damaged file is called from then on.
fn put_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
