//! Damage that is met while the database runs: told once, remembered, and named in the answers that miss something.
//!
//! ```text
//! query ─► series up{node="7"} ─► block 12–14, byte 4711: wrong checksum
//!            │                      └─► log line, counter, list of /api/v1/status/damage: once
//!            └─ goes on without it; the answer has a warning: file, byte, time of the block
//! maintenance ─► opens the file anew: whole index? it serves on. No? renamed to ….damaged, out of the set
//! ```
//!
//! Always true:
//! 1. What is left out of an answer is named in it.
//! 2. Nothing is deleted: a damaged file is renamed at most.
//! 3. What is remembered is bounded: [`DAMAGES_MAX`] places, [`NOTES_MAX`] files in one answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use storage_format::Corruption;

use super::block::{self, Block, BlockSet};
use super::seal::Maintenance;
use super::view::ViewError;
use super::{Storage, StorageCounters, StorageError};
use crate::clock::Clock;
use crate::model::{Labels, TimeRange};

/// Most places that are remembered. Further ones are counted and told in answers.
pub const DAMAGES_MAX: usize = 1000;
/// Most files that one answer names.
const NOTES_MAX: usize = 10;

/// One place on disk that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct MetDamage {
    /// The file, under the name that it had.
    pub file: PathBuf,
    /// Byte of the file, where that is known.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub what: String,
    /// The series that was read, if only one is concerned.
    pub series: Option<Arc<Labels>>,
    /// Time of the samples that may be missing; `None` if nobody knows.
    pub range: Option<TimeRange>,
    /// When it was met first, ms since 1970 UTC.
    pub first_met_ms: i64,
    /// How often it was met.
    pub met_count: u64,
}

/// All damage since the start. Shared by those who read and maintenance.
pub(super) struct DamageLog {
    clock: Clock,
    counters: Arc<StorageCounters>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which it was met.
    damages: Vec<MetDamage>,
    by_place: HashMap<(PathBuf, Option<u64>), usize>,
    /// Files that maintenance has yet to look at.
    suspects: BTreeSet<PathBuf>,
}

impl DamageLog {
    pub(super) fn new(clock: Clock, counters: Arc<StorageCounters>) -> DamageLog {
        DamageLog { clock, counters, state: Mutex::default() }
    }

    /// Remembers what the start found, which was told already.
    pub(super) fn found_at_start(&self, file: &Path, lines: &[String]) {
        let first_met_ms = self.clock.now_ms();
        let damage = |line: &String| MetDamage {
            file: file.to_owned(),
            offset: None,
            what: line.clone(),
            series: None,
            range: None,
            first_met_ms,
            met_count: 1,
        };
        let mut state = self.state.lock();
        state.damages.extend(lines.iter().take(DAMAGES_MAX).map(damage));
    }

    /// Notes damage in a block of `range`, met while `series` was read, or its index.
    pub(super) fn met(&self, file: &Path, damage: Corruption, series: Option<&Arc<Labels>>, range: TimeRange) {
        let mut state = self.state.lock();
        let place = (file.to_owned(), Some(damage.offset));
        if let Some(&index) = state.by_place.get(&place) {
            state.damages[index].met_count += 1;
            return;
        }
        state.suspects.insert(file.to_owned());
        if state.damages.len() >= DAMAGES_MAX {
            return;
        }
        let index = state.damages.len();
        state.damages.push(MetDamage {
            file: file.to_owned(),
            offset: Some(damage.offset),
            what: damage.what.to_owned(),
            series: series.cloned(),
            range: Some(range),
            first_met_ms: self.clock.now_ms(),
            met_count: 1,
        });
        state.by_place.insert(place, index);
        drop(state);
        self.counters.damage.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            file = %file.display(),
            offset = damage.offset,
            what = damage.what,
            series = series.map(ToString::to_string),
            from_ms = range.from_ms,
            to_ms = range.to_ms,
            "damage found: answers leave it out and say so"
        );
    }

    /// Everything that is remembered, oldest first.
    pub(super) fn list(&self) -> Vec<MetDamage> {
        self.state.lock().damages.clone()
    }

    /// The files in which damage was met since the last call.
    pub(super) fn take_suspects(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.state.lock().suspects)
    }
}

impl Storage {
    /// Looks at the blocks in which damage was met. One whose index is whole serves on, without the columns that are not;
    /// another is taken out of the set and its file renamed. Returns how many were.
    pub(super) fn put_aside(&self, maintenance: &mut Maintenance) -> Result<usize, StorageError> {
        let mut count = 0;
        for path in self.damage.take_suspects() {
            let Some(suspect) = self.blocks.load().of_file(&path).map(|member| member.block.clone()) else { continue };
            match Block::open(&*self.disk, &path, suspect.name()) {
                Ok(Ok(_)) if !suspect.has_faulted() => {}
                Ok(Ok(fresh)) => {
                    let fresh = Arc::new(fresh);
                    self.publish(maintenance, None, |before| before.reopened(&suspect, &fresh));
                }
                unusable => {
                    let what = match unusable {
                        Ok(opened) => opened.err().map(|damage| damage.to_string()),
                        Err(error) => Some(error.to_string()),
                    };
                    tracing::error!(file = %path.display(), what, "the block no longer serves: put aside as .damaged");
                    self.publish(maintenance, None, |before| before.losing(&suspect));
                    count += 1;
                    match block::put_aside(&*self.disk, &block::folder(&self.options.data_dir), &path) {
                        Err(error) if !error.is_not_found() => return Err(error.into()),
                        _ => {}
                    }
                }
            }
        }
        Ok(count)
    }
}

/// What one view had to leave out.
#[derive(Clone)]
pub(super) struct LeftOut(Arc<Notes>);

struct Notes {
    log: Arc<DamageLog>,
    by_file: Mutex<BTreeMap<PathBuf, Note>>,
}

struct Note {
    first: Corruption,
    range: TimeRange,
    place_count: usize,
}

impl LeftOut {
    pub(super) fn new(log: Arc<DamageLog>) -> LeftOut {
        LeftOut(Arc::new(Notes { log, by_file: Mutex::default() }))
    }

    /// What was read of a block of `range`; after damage nothing, and a note.
    pub(super) fn unless_damaged<T: Default>(
        &self,
        range: TimeRange,
        series: Option<&Arc<Labels>>,
        read: Result<T, ViewError>,
    ) -> T {
        read.unwrap_or_else(|error| {
            if let ViewError::Corruption { file, damage } = error {
                self.note(&file, damage, series, range);
            }
            T::default()
        })
    }

    /// Notes the files put aside whose time shares a moment with `range`: they were told when they were.
    pub(super) fn note_lost(&self, blocks: &BlockSet, range: TimeRange) {
        let first = Corruption { offset: 0, what: "the block is damaged and was put aside as .damaged" };
        let mut notes = self.0.by_file.lock();
        for (file, range) in blocks.lost_in(range) {
            if notes.len() < NOTES_MAX {
                notes.entry(file.clone()).or_insert(Note { first, range: *range, place_count: 1 });
            }
        }
    }

    /// Something of a block of `range` could not be read.
    fn note(&self, file: &Path, damage: Corruption, series: Option<&Arc<Labels>>, range: TimeRange) {
        self.0.log.met(file, damage, series, range);
        let mut notes = self.0.by_file.lock();
        if let Some(note) = notes.get_mut(file) {
            note.place_count += 1;
        } else if notes.len() < NOTES_MAX {
            notes.insert(file.to_owned(), Note { first: damage, range, place_count: 1 });
        }
    }

    /// A line a file.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(file, note): (&PathBuf, &Note)| {
            let further = match note.place_count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!(
                "left out for damage: {} {}{further}; samples from {} to {} may be missing",
                file.display(),
                note.first,
                seconds(note.range.from_ms),
                seconds(note.range.to_ms)
            )
        };
        self.0.by_file.lock().iter().map(line).collect()
    }
}

/// As Prometheus writes a time: seconds since 1970.
fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}
