//! What matchers found among the values of a label, kept for when they are asked again: a dashboard asks
//! `instance=~"web-.*"` in each of its panels, and a pattern over a thousand values takes longer than all the rest of a
//! look-up.
//!
//! ```text
//!                          version of the label's values
//! instance=~"web-.*"       7     pairs 12 90 91        a value came or went: version 8, and it is looked for anew
//! code!~"2..|3.."          3     pairs 4 5
//! ```
//!
//! The shards of the head keep which label pairs match, never which series have them: a series that comes or goes is
//! seen, or is gone, at once. Blocks, which do not change, keep the series.
//!
//! Always true: at most [`ENTRIES_MAX`] entries of the bytes allowed are kept in one place, a shard or a block, the one that
//! was used longest ago going first.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{MatchOp, Matcher};

/// Most entries.
const ENTRIES_MAX: usize = 32;
/// A label with fewer values is looked through as quickly as an entry is found.
pub(super) const VALUES_MIN: usize = 32;

/// What was found for some matchers. Shared by all queries.
pub(super) struct Matched<T> {
    /// Most bytes of all entries.
    bytes_max: usize,
    /// The one that was used last in front.
    entries: Mutex<Vec<Entry<T>>>,
}

struct Entry<T> {
    name: String,
    op: MatchOp,
    value: String,
    /// Whether the values were looked for that satisfy the matcher, or those that do not.
    wanted: bool,
    version: u64,
    bytes: usize,
    found: Arc<T>,
}

impl<T> Matched<T> {
    /// Nothing is known yet.
    pub(super) fn new(bytes_max: usize) -> Matched<T> {
        Matched { bytes_max, entries: Mutex::default() }
    }

    /// What the matcher found, if it was asked when the label's values had this version.
    pub(super) fn find(&self, matcher: &Matcher, wanted: bool, version: u64) -> Option<Arc<T>> {
        let mut entries = self.entries.lock();
        let position = entries.iter().position(|entry| entry.is_of(matcher, wanted))?;
        entries[..=position].rotate_right(1);
        (entries[0].version == version).then(|| entries[0].found.clone())
    }

    /// Keeps what the matcher found, which takes so many bytes.
    pub(super) fn keep(&self, matcher: &Matcher, wanted: bool, version: u64, bytes: usize, found: &Arc<T>) {
        let bytes = size_of::<Entry<T>>() + matcher.name().len() + matcher.value().len() + bytes;
        let mut entries = self.entries.lock();
        entries.retain(|entry| !entry.is_of(matcher, wanted));
        let (name, op, value) = (matcher.name().to_owned(), matcher.op(), matcher.value().to_owned());
        entries.insert(0, Entry { name, op, value, wanted, version, bytes, found: found.clone() });
        while entries.len() > ENTRIES_MAX || entries.iter().map(|entry| entry.bytes).sum::<usize>() > self.bytes_max {
            entries.pop();
        }
    }

    /// Entries that are kept, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let entries = self.entries.lock();
        (entries.len(), entries.iter().map(|entry| entry.bytes).sum())
    }
}

impl<T> Entry<T> {
    fn is_of(&self, matcher: &Matcher, wanted: bool) -> bool {
        self.wanted == wanted
            && (self.name.as_str(), self.op, self.value.as_str()) == (matcher.name(), matcher.op(), matcher.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 100_000;

    fn matcher(value: &str) -> Matcher {
        Matcher::new("n", MatchOp::Matches, value).expect("a pattern")
    }

    #[test]
    fn what_was_found_is_known_for_the_same_question_and_version_alone() {
        let matched = Matched::new(BYTES_MAX);
        matched.keep(&matcher("a|b"), true, 7, 0, &Arc::new(1));
        assert_eq!(matched.find(&matcher("a|b"), true, 7).as_deref(), Some(&1));
        let negative = Matcher::new("n", MatchOp::NotMatches, "a|b").expect("a pattern");
        let elsewhere = Matcher::new("m", MatchOp::Matches, "a|b").expect("a pattern");
        for (matcher, wanted, version) in [
            (&matcher("a|b"), false, 7),
            (&matcher("a|b"), true, 8),
            (&matcher("a|c"), true, 7),
            (&negative, true, 7),
            (&elsewhere, true, 7),
        ] {
            assert_eq!(matched.find(matcher, wanted, version), None, "{matcher} {wanted} {version}");
        }
        matched.keep(&matcher("a|b"), true, 8, 0, &Arc::new(2));
        assert_eq!(matched.find(&matcher("a|b"), true, 8).as_deref(), Some(&2));
        assert_eq!(matched.size().0, 1);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_when_there_is_too_much() {
        let matched = Matched::new(BYTES_MAX);
        let number = |number: usize| matcher(&number.to_string());
        for entry in 0..ENTRIES_MAX {
            matched.keep(&number(entry), true, 0, 10, &Arc::new(entry));
        }
        assert!(matched.find(&number(0), true, 0).is_some());
        matched.keep(&number(99), true, 0, 10, &Arc::new(99));
        assert_eq!(matched.size().0, ENTRIES_MAX);
        assert!(matched.find(&number(0), true, 0).is_some(), "it was used after number 1");
        assert!(matched.find(&number(1), true, 0).is_none());

        matched.keep(&number(100), true, 0, BYTES_MAX / 2, &Arc::new(100));
        matched.keep(&number(101), true, 0, BYTES_MAX / 2, &Arc::new(101));
        assert!(matched.size().1 <= BYTES_MAX);
        assert_eq!(matched.find(&number(101), true, 0).as_deref(), Some(&101));
        assert!(matched.find(&number(100), true, 0).is_none());
        matched.keep(&number(102), true, 0, BYTES_MAX, &Arc::new(102));
        assert_eq!(matched.size(), (0, 0), "larger than all that may be kept");
    }
}
