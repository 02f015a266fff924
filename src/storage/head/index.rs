//! Which series of a shard satisfy a selector: postings of each label pair, sorted by slot.
//!
//! ```text
//! region ─┬─ "eu" ─► 0 3 4 9
//!         └─ "us" ─► 1 2 5
//! ```

use std::collections::BTreeMap;

use crate::model::{Labels, Matcher};

/// Slots of one label pair, ascending.
type Postings = Vec<u32>;

/// The label index of one shard.
#[derive(Default)]
pub(in crate::storage) struct LabelIndex {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, Postings>>,
    all: Postings,
}

impl LabelIndex {
    pub(super) fn insert(&mut self, slot: u32, labels: &Labels) {
        insert_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), BTreeMap::new());
            }
            let values = self.names.get_mut(name).expect("inserted above");
            match values.get_mut(value) {
                Some(postings) => insert_sorted(postings, slot),
                None => {
                    values.insert(value.into(), vec![slot]);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, labels: &Labels) {
        remove_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                remove_sorted(postings, slot);
                if postings.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// The slots of the series that satisfy all matchers, ascending.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Postings {
        let (subtracting, requiring): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.matches_absent());
        let mut required: Vec<Postings> = requiring.iter().map(|matcher| self.with_value(matcher, true)).collect();
        required.sort_by_key(Vec::len);
        let mut found = match required.first() {
            Some(smallest) => smallest.clone(),
            None => self.all.clone(),
        };
        for other in required.iter().skip(1) {
            found.retain(|slot| other.binary_search(slot).is_ok());
        }
        for matcher in subtracting {
            let excluded = self.with_value(matcher, false);
            if !excluded.is_empty() {
                found.retain(|slot| excluded.binary_search(slot).is_err());
            }
        }
        found
    }

    /// Slots that have the matcher's label with a value of which it says `wanted`.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> Postings {
        let Some(values) = self.names.get(matcher.name()) else { return Postings::new() };
        if wanted && matcher.op() == crate::model::MatchOp::Equal {
            return values.get(matcher.value()).cloned().unwrap_or_default();
        }
        let chosen = values.iter().filter(|(value, _)| matcher.matches(value) == wanted);
        let mut slots: Postings = chosen.flat_map(|(_, postings)| postings.iter().copied()).collect();
        slots.sort_unstable();
        slots
    }

    pub(in crate::storage) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(AsRef::as_ref)
    }

    pub(in crate::storage) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.names.get(name).into_iter().flat_map(|values| values.keys().map(AsRef::as_ref))
    }
}

fn insert_sorted(postings: &mut Postings, slot: u32) {
    // New series mostly take the next slot; only a reused slot lies further in front.
    if postings.last().is_none_or(|last| *last < slot) {
        postings.push(slot);
    } else if let Err(position) = postings.binary_search(&slot) {
        postings.insert(position, slot);
    }
}

fn remove_sorted(postings: &mut Postings, slot: u32) {
    if let Ok(position) = postings.binary_search(&slot) {
        postings.remove(position);
    }
}
