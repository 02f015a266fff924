//! The labels of a shard's series, each pair stored once, and which series satisfy a selector.
//!
//! ```text
//! pair 0  __name__="up"   slots 0 1 2 5        series in slot 5: pairs [0, 4, 2]
//! pair 1  region="eu"     slots 0 3            = up{node="7", region="us"}
//! pair 2  region="us"     slots 1 5
//! ```
//!
//! Always true: a pair is there as long as a series has it, so what churns leaves nothing behind, and a series'
//! pairs are in the order of their names.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::super::matched::{Matched, VALUES_MIN};
use super::super::starts::{START_LABEL, START_LABEL_VALUE};
use super::postings::Postings;
use crate::model::{Labels, MatchOp, Matcher};

/// The label pairs of one series, by their ids.
pub(super) type PairIds = Box<[u32]>;

/// Bytes of pairs that are kept for matchers which were asked before: a quarter of a million.
const MATCHED_BYTES_MAX: usize = 1 << 20;

/// The label index of one shard.
pub(in crate::storage) struct LabelIndex {
    pairs: Vec<Pair>,
    /// Ids of pairs that no series has any more.
    free_pairs: Vec<u32>,
    /// Ids by name and value.
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
    names: Vec<Name>,
    free_names: Vec<u32>,
    by_name: HashMap<Box<str>, u32>,
    /// Counts values that came and went.
    version: u64,
    /// Which pairs satisfy matchers that were asked before.
    matched: Matched<Vec<u32>>,
}

struct Name {
    text: Box<str>,
    /// The pairs with this name, in no order.
    pairs: Vec<u32>,
    /// The index's when one of them last came or went.
    version: u64,
}

/// The pairs of one label that a selector looks for.
enum Wanted {
    One(Option<u32>),
    Many(Arc<Vec<u32>>),
}

impl Wanted {
    fn ids(&self) -> &[u32] {
        match self {
            Wanted::One(pair) => pair.as_slice(),
            Wanted::Many(pairs) => pairs,
        }
    }
}

struct Pair {
    value: Box<str>,
    postings: Postings,
    name: u32,
    /// Where it stands among those of its name.
    position: u32,
}

impl Default for LabelIndex {
    fn default() -> LabelIndex {
        LabelIndex {
            pairs: Vec::new(),
            free_pairs: Vec::new(),
            by_text: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            names: Vec::new(),
            free_names: Vec::new(),
            by_name: HashMap::new(),
            version: 0,
            matched: Matched::new(MATCHED_BYTES_MAX),
        }
    }
}

impl LabelIndex {
    /// Puts a series in. Returns its pairs, by which it can be told and taken out again.
    pub(super) fn insert(&mut self, slot: u32, labels: &Labels) -> PairIds {
        let insert = |(name, value): (&str, &str)| {
            let id = self.intern(name, value);
            self.pairs[id as usize].postings.insert(slot);
            id
        };
        labels.iter().map(insert).collect()
    }

    /// Takes a series out, and the pairs that no other has.
    pub(super) fn remove(&mut self, slot: u32, pairs: &[u32]) {
        for &id in pairs {
            let postings = &mut self.pairs[id as usize].postings;
            postings.remove(slot);
            if postings.is_empty() {
                self.free(id);
            }
        }
    }

    /// The texts behind a series' pairs, in order of their names.
    pub(in crate::storage) fn texts<'a>(
        &'a self,
        pairs: &'a [u32],
    ) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + Clone {
        pairs.iter().map(|id| {
            let pair = &self.pairs[*id as usize];
            (self.names[pair.name as usize].text.as_ref(), pair.value.as_ref())
        })
    }

    fn intern(&mut self, name: &str, value: &str) -> u32 {
        let name = self.intern_name(name);
        let hash = self.hasher.hash_one((name, value));
        let pairs = &self.pairs;
        let same = |id: &u32| pairs[*id as usize].name == name && pairs[*id as usize].value.as_ref() == value;
        if let Some(id) = self.by_text.find(hash, same) {
            return *id;
        }
        self.note_change(name);
        let siblings = &mut self.names[name as usize].pairs;
        let pair = Pair { value: value.into(), postings: Postings::default(), name, position: siblings.len() as u32 };
        let id = place(&mut self.pairs, &mut self.free_pairs, pair);
        siblings.push(id);
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        self.by_text.insert_unique(hash, id, |other| {
            let other = &pairs[*other as usize];
            hasher.hash_one((other.name, other.value.as_ref()))
        });
        id
    }

    /// A value of this name comes or goes.
    fn note_change(&mut self, name: u32) {
        self.version += 1;
        self.names[name as usize].version = self.version;
    }

    fn intern_name(&mut self, text: &str) -> u32 {
        if let Some(id) = self.by_name.get(text) {
            return *id;
        }
        let id =
            place(&mut self.names, &mut self.free_names, Name { text: text.into(), pairs: Vec::new(), version: 0 });
        self.by_name.insert(text.into(), id);
        id
    }

    fn free(&mut self, id: u32) {
        let pair = &mut self.pairs[id as usize];
        let (value, name, position) = (std::mem::take(&mut pair.value), pair.name, pair.position as usize);
        if let Ok(entry) = self.by_text.find_entry(self.hasher.hash_one((name, value.as_ref())), |other| *other == id) {
            entry.remove();
        }
        self.free_pairs.push(id);
        self.note_change(name);
        let siblings = &mut self.names[name as usize].pairs;
        siblings.swap_remove(position);
        if let Some(moved) = siblings.get(position) {
            self.pairs[*moved as usize].position = position as u32;
        } else if siblings.is_empty() {
            let text = std::mem::take(&mut self.names[name as usize].text);
            self.by_name.remove(&text);
            self.free_names.push(name);
        }
    }

    /// The slots, ascending, of the series that satisfy all matchers; `None` stands for all series, when no matcher
    /// asks for a label to be there.
    pub(super) fn require(&self, matchers: &[Matcher]) -> Option<Vec<u32>> {
        let requiring = matchers.iter().filter(|matcher| !matcher.matches_absent());
        let mut requiring: Vec<Wanted> = requiring.map(|matcher| self.wanted(matcher, true)).collect();
        requiring.sort_by_cached_key(|wanted| self.postings(wanted).map(Postings::len).sum::<usize>());
        let (smallest, others) = requiring.split_first()?;
        let mut found = Vec::new();
        match smallest.ids() {
            [one] => self.pairs[*one as usize].postings.read(&mut found),
            _ => Postings::union(self.postings(smallest)).read(&mut found),
        }
        for other in others {
            if found.is_empty() {
                break;
            }
            self.retain(&mut found, other, true);
        }
        Some(found)
    }

    /// Removes from `found` what the matchers that are content with an absent label do not agree to.
    pub(super) fn exclude(&self, matchers: &[Matcher], found: &mut Vec<u32>) {
        for matcher in matchers.iter().filter(|matcher| matcher.matches_absent()) {
            self.retain(found, &self.wanted(matcher, false), false);
        }
    }

    /// Leaves the slots that are, or are not, in the postings of these pairs.
    fn retain(&self, found: &mut Vec<u32>, wanted: &Wanted, are: bool) {
        match wanted.ids() {
            [] if are => found.clear(),
            [] => {}
            [one] => found.retain(|slot| self.pairs[*one as usize].postings.contains(*slot) == are),
            _ => {
                let union = Postings::union(self.postings(wanted));
                found.retain(|slot| union.contains(*slot) == are);
            }
        }
    }

    fn postings(&self, wanted: &Wanted) -> impl Iterator<Item = &Postings> {
        wanted.ids().iter().map(|id| &self.pairs[*id as usize].postings)
    }

    /// The pairs of the matcher's label with each value of which it says `wanted`.
    fn wanted(&self, matcher: &Matcher, wanted: bool) -> Wanted {
        let Some(name) = self.by_name.get(matcher.name()).copied() else { return Wanted::One(None) };
        if matcher.op() == if wanted { MatchOp::Equal } else { MatchOp::NotEqual } {
            return Wanted::One(self.find_pair(name, matcher.value()));
        }
        let Name { pairs, version, .. } = &self.names[name as usize];
        let search = || {
            let agrees = |id: &&u32| matcher.matches(&self.pairs[**id as usize].value) == wanted;
            Arc::new(pairs.iter().filter(agrees).copied().collect::<Vec<u32>>())
        };
        if pairs.len() < VALUES_MIN {
            return Wanted::Many(search());
        }
        Wanted::Many(self.matched.find(matcher, wanted, *version).unwrap_or_else(|| {
            let found = search();
            self.matched.keep(matcher, wanted, *version, size_of_val(found.as_slice()), &found);
            found
        }))
    }

    fn find_pair(&self, name: u32, value: &str) -> Option<u32> {
        let same = |id: &u32| self.pairs[*id as usize].name == name && self.pairs[*id as usize].value.as_ref() == value;
        self.by_text.find(self.hasher.hash_one((name, value)), same).copied()
    }

    /// The slots of companions, if there are any: series that hold the start times of others' samples.
    pub(in crate::storage) fn companions(&self) -> Option<&Postings> {
        let pair = self.find_pair(*self.by_name.get(START_LABEL)?, START_LABEL_VALUE)?;
        Some(&self.pairs[pair as usize].postings)
    }

    /// How many companions there are.
    pub(in crate::storage) fn companion_count(&self) -> usize {
        self.companions().map_or(0, Postings::len)
    }

    /// How many series have this pair, companions apart: a look-up, however many they are, while there are no companions.
    pub(in crate::storage) fn count_with(&self, name: &str, value: &str) -> usize {
        let pair = self.by_name.get(name).and_then(|name| self.find_pair(*name, value));
        pair.map_or(0, |pair| shown(&self.pairs[pair as usize], self.companions()))
    }

    /// The id of a label's name, while a series has it.
    pub(in crate::storage) fn name_id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Of a series' pairs the one with each of these names, where it has one.
    pub(in crate::storage) fn pairs_named<const N: usize>(
        &self,
        pairs: &[u32],
        names: [Option<u32>; N],
    ) -> [Option<u32>; N] {
        let mut found = [None; N];
        for &id in pairs {
            let name = Some(self.pairs[id as usize].name);
            if let Some(place) = names.iter().position(|wanted| *wanted == name) {
                found[place] = Some(id);
            }
        }
        found
    }

    /// The value of a pair that a series has.
    pub(in crate::storage) fn value_of(&self, pair: u32) -> &str {
        &self.pairs[pair as usize].value
    }

    /// The names of labels that series have, but for the one that makes a companion.
    pub(in crate::storage) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref).filter(|name| *name != START_LABEL)
    }

    /// A number that is another one whenever the values of a label are others; 0 while no series has it.
    pub(in crate::storage) fn version_of(&self, name: &str) -> u64 {
        self.by_name.get(name).map_or(0, |name| self.names[*name as usize].version)
    }

    /// The values of a label, in no order.
    pub(in crate::storage) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.value_counts(name).map(|(value, _)| value)
    }

    /// The values of a label, in no order, each with the number of series that have it, companions apart.
    pub(in crate::storage) fn value_counts(&self, name: &str) -> impl Iterator<Item = (&str, u64)> {
        let pairs = self.by_name.get(name).map(|name| &self.names[*name as usize].pairs);
        let pairs = pairs.into_iter().flatten().map(|id| &self.pairs[*id as usize]);
        let companions = self.companions();
        let counts = pairs.map(move |pair| (pair.value.as_ref(), shown(pair, companions) as u64));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Names and pairs that are there.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.by_text.len())
    }
}

/// How many series have a pair, companions apart.
fn shown(pair: &Pair, companions: Option<&Postings>) -> usize {
    pair.postings.len() - companions.map_or(0, |companions| pair.postings.count_common(companions))
}

/// Puts an item where another has gone, or behind all. Returns where.
fn place<T>(items: &mut Vec<T>, free: &mut Vec<u32>, item: T) -> u32 {
    match free.pop() {
        Some(id) => {
            items[id as usize] = item;
            id
        }
        None => {
            items.push(item);
            (items.len() - 1) as u32
        }
    }
}
