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

use super::StorageCounters;
use crate::clock::Clock;
use crate::model::{Labels, TimeRange};

/// Most places that are remembered. Further ones are counted and told in answers.
pub const DAMAGES_MAX: usize = 1000;
/// Most files that one answer names.
const NOTES_MAX: usize = 10;

/// One place on disk that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Damage {
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
    damages: Vec<Damage>,
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
        let damage = |line: &String| Damage {
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
        state.damages.push(Damage {
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
    pub(super) fn list(&self) -> Vec<Damage> {
        self.state.lock().damages.clone()
    }

    /// The files in which damage was met since the last call.
    pub(super) fn take_suspects(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.state.lock().suspects)
    }
}

/// What one view had to leave out.
#[derive(Clone)]
pub(super) struct LeftOut {
    log: Arc<DamageLog>,
    notes: Arc<Mutex<BTreeMap<PathBuf, Note>>>,
}

struct Note {
    first: Corruption,
    range: TimeRange,
    place_count: usize,
}

impl LeftOut {
    pub(super) fn new(log: Arc<DamageLog>) -> LeftOut {
        LeftOut { log, notes: Arc::default() }
    }

    /// Something of a block of `range` could not be read.
    pub(super) fn note(&self, file: &Path, damage: Corruption, series: Option<&Arc<Labels>>, range: TimeRange) {
        self.log.met(file, damage, series, range);
        let mut notes = self.notes.lock();
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
        self.notes.lock().iter().map(line).collect()
    }
}

/// As Prometheus writes a time: seconds since 1970.
fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}
