//! Remarks upon an answer: what was wrong with the data or the query without being an error.
//!
//! ```text
//! quantile(2, x) ─► "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"
//! ```
//!
//! The place is the line and column of the expression that the remark is about. The same remark is made once, however
//! many series, steps and threads come upon it. At most [`SHOWN_MAX`] of each kind are shown, and how many more there
//! were; of more than [`KEPT_MAX`] it is not known.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::float::format_two_digits;
use super::functions::Repair;
use super::syntax::Span;
use super::syntax::SyntaxError;
use crate::model::format_general;

/// Most warnings, and most infos, that one answer shows.
const SHOWN_MAX: usize = 10;
/// Most remarks that are told apart.
const KEPT_MAX: usize = 1_000;

/// The remarks of one query. Shared by its threads.
#[derive(Default)]
pub(super) struct Notes(Mutex<Book>);

#[derive(Default)]
struct Book {
    all: Made,
    /// What was made since each [`Notes::record`] that is not over.
    recordings: Vec<Made>,
}

/// Remarks, each once.
#[derive(Default)]
pub(super) struct Made(BTreeMap<(Level, String), Note>);

/// What is told with a remark.
#[derive(Clone, Copy)]
struct Note {
    /// Where it belongs, in bytes of the text.
    start: usize,
    /// Of a remark upon repaired buckets, all that were.
    repairs: Option<Repairs>,
}

/// Buckets that were repaired, over series and steps.
#[derive(Clone, Copy)]
struct Repairs {
    repair: Repair,
    /// First and last time, in ms since 1970 UTC.
    times_ms: (i64, i64),
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Warning,
    Info,
}

impl Notes {
    /// Something is wrong.
    pub(super) fn warn(&self, at: Span, what: impl Into<String>) {
        self.note(Level::Warning, at, what.into());
    }

    /// Something may have been meant otherwise.
    pub(super) fn inform(&self, at: Span, what: impl Into<String>) {
        self.note(Level::Info, at, what.into());
    }

    /// Buckets of a classic histogram had to be repaired at a time, in ms since 1970 UTC. What was repaired is told
    /// once for all of them.
    pub(super) fn repaired(&self, at: Span, what: String, time_ms: i64, repair: Repair) {
        let one = Repairs { repair, times_ms: (time_ms, time_ms), count: 1 };
        self.keep(Level::Info, at, what, Some(one));
    }

    fn note(&self, level: Level, at: Span, what: String) {
        self.keep(level, at, what, None);
    }

    fn keep(&self, level: Level, at: Span, what: String, repairs: Option<Repairs>) {
        self.0.lock().keep((level, what), Note { start: at.start, repairs });
    }

    /// From now on remarks are also put down apart, until [`Notes::recorded`] asks for them. One recording may be made
    /// within another.
    pub(super) fn record(&self) {
        self.0.lock().recordings.push(Made::default());
    }

    /// The remarks that were made since the last [`Notes::record`] that is not over, which ends it.
    pub(super) fn recorded(&self) -> Made {
        self.0.lock().recordings.pop().expect("a recording was begun")
    }

    /// Makes the same remarks again.
    pub(super) fn repeat(&self, made: &Made) {
        let mut book = self.0.lock();
        made.0.iter().for_each(|(remark, note)| book.keep(remark.clone(), *note));
    }

    /// Warnings and infos, in an order that does not depend on threads, with their places in `text`.
    pub(super) fn close(self, text: &str) -> (Vec<String>, Vec<String>) {
        let notes = self.0.into_inner().all.0;
        let of = |wanted: Level, name: &str| {
            let mut all = notes.iter().filter(|((level, _), _)| *level == wanted);
            let mut lines: Vec<String> = all
                .by_ref()
                .take(SHOWN_MAX)
                .map(|((_, what), note)| {
                    let (line, column) = SyntaxError::at(text, note.start, "").position().unwrap_or((1, 1));
                    let more = note.repairs.map(Repairs::told).unwrap_or_default();
                    format!("PromQL {name}: {what}{more} ({line}:{column})")
                })
                .collect();
            match all.count() {
                0 => {}
                more => lines.push(format!("{more} more {name} annotations omitted")),
            }
            lines
        };
        (of(Level::Warning, "warning"), of(Level::Info, "info"))
    }
}

impl Book {
    fn keep(&mut self, remark: (Level, String), note: Note) {
        for recording in &mut self.recordings {
            recording.keep(remark.clone(), note);
        }
        self.all.keep(remark, note);
    }
}

impl Made {
    fn keep(&mut self, remark: (Level, String), note: Note) {
        let is_full = self.0.len() >= KEPT_MAX;
        match self.0.entry(remark) {
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                free.insert(note);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // Of several places the last in the text is told, whichever thread was first.
                known.start = known.start.max(note.start);
                known.repairs = known.repairs.zip(note.repairs).map(|(known, more)| known.and(more));
            }
        }
    }
}

impl Repairs {
    fn and(self, more: Repairs) -> Repairs {
        Repairs {
            repair: self.repair.and(more.repair),
            times_ms: (self.times_ms.0.min(more.times_ms.0), self.times_ms.1.max(more.times_ms.1)),
            count: self.count + more.count,
        }
    }

    fn told(self) -> String {
        let Repair { lowest, highest, raised_max } = self.repair;
        let date = |ms: i64| Timestamp::from_second(ms / 1000).map_or_else(|_| ms.to_string(), |time| time.to_string());
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            format_general(lowest),
            format_general(highest),
            format_two_digits(raised_max),
            self.count,
            date(self.times_ms.0),
            date(self.times_ms.1)
        )
    }
}
