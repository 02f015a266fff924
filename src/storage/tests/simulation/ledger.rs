//! What the database owes: by moment of a series, the value that it acknowledged, and those that it may have.
//!
//! ```text
//! sent 1          possible 1                absent, or 1
//! sent 2          possible 1, 2             absent, 1, or 2
//! 1 acknowledged  acknowledged 1            1
//! deleted         nothing                   absent
//! ```

use std::collections::BTreeMap;

use super::script::{Selector, Sent};

/// A series and a minute.
pub(super) type Moment = (u32, i64);

/// What is read of each series, in minutes and bits.
pub(super) type Reading = BTreeMap<u32, Vec<(i64, u64)>>;

#[derive(Clone, Debug, Default)]
struct Entry {
    acknowledged: Option<u64>,
    /// Sent and not answered, or answered with an error.
    possible: Vec<u64>,
    /// Ever sent.
    sent: Vec<u64>,
    /// It lay in a file of which damage is told.
    is_damaged: bool,
}

#[derive(Clone, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<Moment, Entry>,
}

/// What is past the retention of its series.
pub(super) type IsExpired<'a> = &'a dyn Fn(Moment) -> bool;

impl Ledger {
    pub(super) fn sent(&mut self, row: &Sent) {
        let entry = self.entries.entry((row.series, row.minute)).or_default();
        entry.possible.push(row.value.to_bits());
        entry.sent.push(row.value.to_bits());
    }

    /// Fails if another value is acknowledged.
    pub(super) fn acknowledged(&mut self, row: &Sent, is_expired: IsExpired<'_>) -> Result<(), String> {
        let moment = (row.series, row.minute);
        let entry = self.entries.entry(moment).or_default();
        let bits = row.value.to_bits();
        match entry.acknowledged {
            Some(before) if before != bits && !entry.is_damaged && !is_expired(moment) => {
                Err(format!("{moment:?}: {} was acknowledged, and now {}", f64::from_bits(before), row.value))
            }
            _ => {
                entry.acknowledged = Some(bits);
                entry.is_damaged = false;
                Ok(())
            }
        }
    }

    /// A deletion begins: until it is answered each sample may be there or not.
    pub(super) fn deleting(&mut self, selector: Selector, from: i64, to: i64) {
        for entry in self.selected(selector, from, to) {
            entry.possible.extend(entry.acknowledged.take());
        }
    }

    /// A deletion is answered: nothing is there but what is `under_way`.
    pub(super) fn deleted(&mut self, selector: Selector, from: i64, to: i64, under_way: impl Fn(Moment) -> bool) {
        for (moment, entry) in &mut self.entries {
            if selector.is_for(moment.0) && (from..=to).contains(&moment.1) && !under_way(*moment) {
                entry.possible.clear();
                entry.is_damaged = false;
            }
        }
    }

    fn selected(&mut self, selector: Selector, from: i64, to: i64) -> impl Iterator<Item = &mut Entry> {
        let is_meant = move |moment: &Moment| selector.is_for(moment.0) && (from..=to).contains(&moment.1);
        self.entries.iter_mut().filter(move |(moment, _)| is_meant(moment)).map(|(_, entry)| entry)
    }

    /// Damage is told of a file that holds these minutes.
    pub(super) fn damaged(&mut self, from: i64, to: i64) {
        for (_, entry) in self.entries.iter_mut().filter(|(moment, _)| (from..=to).contains(&moment.1)) {
            entry.is_damaged = true;
        }
    }

    pub(super) fn is_damaged(&self, moment: Moment) -> bool {
        self.entries.get(&moment).is_some_and(|entry| entry.is_damaged)
    }

    /// Checks what is read now. With an `earlier` ledger: what was read by a view from then, so that nothing newer is
    /// owed.
    pub(super) fn check(
        &self,
        reading: &Reading,
        earlier: Option<&Ledger>,
        is_expired: IsExpired<'_>,
    ) -> Result<(), String> {
        for (series, read) in reading {
            if !read.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(format!("series {series} does not ascend: {read:?}"));
            }
            let read: BTreeMap<i64, u64> = read.iter().copied().collect();
            for minute in read.keys() {
                if !self.entries.contains_key(&(*series, *minute)) {
                    return Err(format!("series {series} minute {minute} was never sent"));
                }
            }
            for (moment, entry) in self.entries.range((*series, i64::MIN)..=(*series, i64::MAX)) {
                let found = read.get(&moment.1).copied();
                let is_right = match earlier {
                    None => entry.allows(found, is_expired(*moment)),
                    Some(earlier) => {
                        let then = earlier.entries.get(moment).and_then(|entry| entry.acknowledged);
                        let is_owed = then.is_some() && then == entry.acknowledged && !entry.is_damaged;
                        found.is_none_or(|bits| entry.sent.contains(&bits))
                            && (!is_owed || is_expired(*moment) || found == then)
                    }
                };
                if !is_right {
                    return Err(format!("{} is read at {moment:?}: {entry:?}", shown(found)));
                }
            }
        }
        Ok(())
    }

    /// After a start all is decided: what is read is there for good, and what is not never comes.
    pub(super) fn decide(&mut self, reading: &Reading, is_expired: IsExpired<'_>) {
        for (moment, entry) in &mut self.entries {
            if is_expired(*moment) {
                continue;
            }
            let read = reading.get(&moment.0).and_then(|read| read.iter().find(|(minute, _)| *minute == moment.1));
            entry.acknowledged = read.map(|(_, bits)| *bits);
            entry.possible.clear();
            // What a damaged block took along may come back from the log.
            entry.is_damaged &= read.is_none();
        }
    }
}

impl Entry {
    fn allows(&self, found: Option<u64>, is_expired: bool) -> bool {
        if self.is_damaged || is_expired {
            return found.is_none_or(|bits| self.sent.contains(&bits));
        }
        match (self.acknowledged, found) {
            (Some(owed), found) => found == Some(owed),
            (None, Some(bits)) => self.possible.contains(&bits),
            (None, None) => true,
        }
    }
}

fn shown(bits: Option<u64>) -> String {
    bits.map_or_else(|| "nothing".to_owned(), |bits| format!("{:?}", f64::from_bits(bits)))
}
