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

use parking_lot::Mutex;

use super::syntax::SyntaxError;
use super::syntax::tree::Span;

/// Most warnings, and most infos, that one answer shows.
const SHOWN_MAX: usize = 10;
/// Most remarks that are told apart.
const KEPT_MAX: usize = 1_000;

/// The remarks of one query. Shared by its threads.
#[derive(Default)]
pub(super) struct Notes(Mutex<BTreeMap<(Level, String), usize>>);

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

    fn note(&self, level: Level, at: Span, what: String) {
        let mut notes = self.0.lock();
        if notes.len() < KEPT_MAX {
            // Of several places the last in the text is told, whichever thread was first.
            let place = notes.entry((level, what)).or_insert(at.start);
            *place = (*place).max(at.start);
        }
    }

    /// Warnings and infos, in an order that does not depend on threads, with their places in `text`.
    pub(super) fn close(self, text: &str) -> (Vec<String>, Vec<String>) {
        let notes = self.0.into_inner();
        let of = |wanted: Level, name: &str| {
            let mut all = notes.iter().filter(|((level, _), _)| *level == wanted);
            let mut lines: Vec<String> = all
                .by_ref()
                .take(SHOWN_MAX)
                .map(|((_, what), at)| {
                    let (line, column) = SyntaxError::at(text, *at, "").position().unwrap_or((1, 1));
                    format!("PromQL {name}: {what} ({line}:{column})")
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
