//! Which series belong together.
//!
//! `sum by (region) (x)` over `x{region="eu", node="1"}`, `x{region="us", node="1"}` and `x{region="eu", node="2"}` has two
//! groups, `{region="eu"}` with rows 0 and 2 and `{region="us"}` with row 1.
//!
//! Always true: the labels of a group are put together once a group, not once a row; what tells rows apart is a hash of
//! the labels that count, and a comparison where two hashes are equal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::model::{Labels, METRIC_NAME};
use crate::query::plan::Grouping;
use crate::query::table::Row;

/// Rows by group.
pub(super) struct Groups {
    /// One for each group, in order of their first row.
    pub(super) heads: Vec<Row>,
    /// The group of each row.
    pub(super) of_row: Vec<usize>,
}

impl Groups {
    pub(super) fn of(rows: &[Row], grouping: &Grouping) -> Groups {
        let mut finder = Finder { grouping, known: HashMap::new(), heads: Vec::new(), key: Vec::new() };
        let of_row = rows.iter().map(|row| finder.group_of(row)).collect();
        Groups { heads: finder.heads, of_row }
    }

    /// The rows of each group.
    pub(super) fn rows(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.heads.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            rows[*group].push(row);
        }
        rows
    }
}

/// The labels that name a row's group.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    labels.filtered(|name| counts(name, grouping))
}

/// Whether a label tells groups apart.
fn counts(name: &str, grouping: &Grouping) -> bool {
    match grouping {
        Grouping::By(names) => names.iter().any(|wanted| wanted == name),
        Grouping::Without(names) => name != METRIC_NAME && !names.iter().any(|unwanted| unwanted == name),
    }
}

/// The pairs of a row that name its group.
fn kept<'l>(labels: &'l Labels, grouping: &'l Grouping) -> impl Iterator<Item = (&'l str, &'l str)> {
    labels.iter().filter(|(name, _)| counts(name, grouping))
}

struct Finder<'g> {
    grouping: &'g Grouping,
    /// By the hash of their labels, or by the next number that was free.
    known: HashMap<u64, usize>,
    heads: Vec<Row>,
    /// Used again from row to row.
    key: Vec<u8>,
}

impl Finder<'_> {
    fn group_of(&mut self, row: &Row) -> usize {
        self.key.clear();
        for piece in kept(&row.labels, self.grouping).flat_map(|(name, value)| [name, value]) {
            self.key.extend_from_slice(piece.as_bytes());
            self.key.push(0xff); // never a byte of UTF-8
        }
        let mut hash = Labels::hash_bytes(&self.key);
        loop {
            match self.known.entry(hash) {
                Entry::Vacant(free) => {
                    free.insert(self.heads.len());
                    let labels = Arc::new(group_labels(&row.labels, self.grouping));
                    self.heads.push(Row { labels, sheds_name: row.sheds_name });
                    return self.heads.len() - 1;
                }
                Entry::Occupied(found) => {
                    let group = *found.get();
                    let head = &mut self.heads[group];
                    if head.labels.iter().eq(kept(&row.labels, self.grouping)) {
                        head.sheds_name |= row.sheds_name;
                        return group;
                    }
                    hash = hash.wrapping_add(1);
                }
            }
        }
    }
}
