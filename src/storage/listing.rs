//! Which series there are, and which labels: lists without samples.
//!
//! ```text
//! block 1   up{node="1"}  up{node="2"}   ┐  both in order of their labels
//! block 2   up{node="2"}  up{node="3"}   ┘
//! head      up{node="4"}  up{node="3"}      in order of their arrival
//! listed    up{node="1"}  up{node="2"}  up{node="3"}  up{node="4"}
//! ```
//!
//! Menus ask for the values of the same label again and again, and those change only when a series with a new value comes, or
//! the last one with an old value goes: [`Listings`] keeps what was listed.
//!
//! Always true: of a block that is damaged nothing is listed, not a part of it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::{Mutex, RwLock};

use super::block::{BlockName, BlockSet, Member};
use super::damage::LeftOut;
use super::head::{Head, Shard};
use super::starts;
use super::view::{ReadView, Source, ViewError};
use crate::model::{Labels, Matcher, TimeRange};

/// Bytes of all listings that are kept, about.
const LISTINGS_BYTES_MAX: usize = 4 << 20;
/// What a kept value takes beside its text, about.
const VALUE_BYTES: usize = 32;

impl ReadView {
    /// The names of labels of the series that satisfy all matchers and may have samples in `range`, sorted. No matchers: of
    /// all series of the blocks that overlap it, and of the whole head if that does.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ViewError> {
        let mut names = BTreeSet::new();
        match &self.0 {
            Source::Stored { head, blocks, left_out } if matchers.is_empty() => {
                left_out.note_lost(blocks, range);
                for shard in overlapping_shards(head, blocks, range) {
                    names.extend(shard.read().label_index().names().map(str::to_owned));
                }
                for member in blocks.overlapping(range) {
                    names.extend(left_out.unless_damaged(member.block.span(), None, member.block.label_names()));
                }
                names.remove(starts::START_LABEL);
            }
            _ => {
                names = self.collect(matchers, range, |names: &mut BTreeSet<String>, pairs| {
                    pairs.iter().for_each(|(name, _)| insert(names, name));
                    Ok(())
                })?;
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The values of one label, of the series of which [`ReadView::label_names`] gives the names, sorted.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Arc<str>>, ViewError> {
        if starts::is_reserved(name) {
            return Ok(Vec::new());
        }
        if let (Source::Stored { head, blocks, left_out }, []) = (&self.0, matchers) {
            left_out.note_lost(blocks, range);
            return Ok(all_values(head, blocks, left_out, name, range));
        }
        let values = self.collect(matchers, range, |values: &mut BTreeSet<String>, pairs| {
            if let Some((_, value)) = pairs.iter().find(|(other, _)| *other == name) {
                insert(values, value);
            }
            Ok(())
        })?;
        Ok(values.into_iter().map(Arc::from).collect())
    }

    /// The label sets of the series that satisfy all matchers and may have samples in `range`, sorted.
    /// Fails when there are more than `limit`.
    pub fn label_sets(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<Arc<Labels>>, ViewError> {
        let Sets { mut sets, .. } =
            self.collect(matchers, range, |sets: &mut Sets, pairs| sets.insert(pairs, limit))?;
        // Not unstable: what comes of a block is in order, and this sort knows what to do with that.
        sets.sort();
        Ok(sets)
    }

    /// What `take` makes of the pairs of each series, sorted by name; a series may come several times.
    fn collect<T: Default>(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        take: impl Fn(&mut T, &[(&str, &str)]) -> Result<(), ViewError>,
    ) -> Result<T, ViewError> {
        let Source::Stored { head, blocks, left_out } = &self.0 else {
            let mut taken = T::default();
            for series in self.find(matchers, range, usize::MAX)? {
                take(&mut taken, &series.labels().iter().collect::<Vec<_>>())?;
            }
            return Ok(taken);
        };
        left_out.note_lost(blocks, range);
        let mut members: Vec<&Member> = blocks.overlapping(range).collect();
        loop {
            let mut taken = T::default();
            let Err((damaged, error)) = collect_blocks(&members, matchers, &mut taken, &take) else {
                collect_head(head, blocks, matchers, range, &mut taken, &take)?;
                return Ok(taken);
            };
            if !matches!(error, ViewError::Corruption { .. }) {
                return Err(error);
            }
            // Once more without it, for nothing that was taken of it may be believed.
            left_out.unless_damaged(members.remove(damaged).block.span(), None, Err::<(), _>(error));
        }
    }
}

/// Fails with the index of the block that is to blame.
fn collect_blocks<T>(
    members: &[&Member],
    matchers: &[Matcher],
    taken: &mut T,
    take: &impl Fn(&mut T, &[(&str, &str)]) -> Result<(), ViewError>,
) -> Result<(), (usize, ViewError)> {
    for (index, member) in members.iter().enumerate() {
        let mut outcome = Ok(());
        let visited = member.visit_matching(matchers, &mut |_, pairs| {
            if outcome.is_ok() && !pairs.iter().any(|(name, _)| starts::is_reserved(name)) {
                outcome = take(taken, pairs);
            }
        });
        visited.and(outcome).map_err(|error| (index, error))?;
    }
    Ok(())
}

fn collect_head<T>(
    head: &Head,
    blocks: &BlockSet,
    matchers: &[Matcher],
    range: TimeRange,
    taken: &mut T,
    take: &impl Fn(&mut T, &[(&str, &str)]) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    for shard in head.shards() {
        let shard = shard.read();
        let index = shard.label_index();
        let companions = index.companions();
        let mut pairs = Vec::new();
        for slot in shard.select(matchers) {
            let Some(series) = shard.series(slot) else { continue };
            let is_companion = companions.is_some_and(|companions| companions.contains(slot));
            if !is_companion && series.reaches(range, blocks.floor_ms) {
                pairs.clear();
                pairs.extend(index.texts(series.pairs()));
                take(taken, &pairs)?;
            }
        }
    }
    Ok(())
}

fn insert(texts: &mut BTreeSet<String>, text: &str) {
    if !texts.contains(text) {
        texts.insert(text.to_owned());
    }
}

/// Label sets, each once.
#[derive(Default)]
struct Sets {
    sets: Vec<Arc<Labels>>,
    by_hash: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Sets {
    fn insert(&mut self, pairs: &[(&str, &str)], limit: usize) -> Result<(), ViewError> {
        let hash = hash_of(&self.hasher, pairs.iter().copied());
        let sets = &self.sets;
        let is_same = |index: &usize| sets[*index].iter().eq(pairs.iter().copied());
        if self.by_hash.find(hash, is_same).is_some() {
            return Ok(());
        }
        if sets.len() >= limit {
            return Err(ViewError::TooManySeries { limit });
        }
        let labels = Labels::from_sorted(pairs.iter().copied());
        let rehash = |index: &usize| hash_of(&self.hasher, sets[*index].iter());
        self.by_hash.insert_unique(hash, sets.len(), rehash);
        self.sets.push(Arc::new(labels));
        Ok(())
    }
}

fn hash_of<'a>(hasher: &DefaultHashBuilder, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut state = hasher.build_hasher();
    pairs.for_each(|pair| pair.hash(&mut state));
    state.finish()
}

fn all_values(head: &Head, blocks: &BlockSet, left_out: &LeftOut, name: &str, range: TimeRange) -> Vec<Arc<str>> {
    let shards = overlapping_shards(head, blocks, range);
    let basis = Basis::of(shards, blocks, name, range);
    if let Some(known) = basis.as_ref().and_then(|basis| head.listings().find(name, basis)) {
        return known.to_vec();
    }
    let mut values: Vec<String> = Vec::new();
    for member in blocks.overlapping(range) {
        values.extend(left_out.unless_damaged(member.block.span(), None, member.block.label_values(name)));
    }
    for shard in shards {
        values.extend(shard.read().label_index().values(name).map(str::to_owned));
    }
    values.sort();
    values.dedup();
    let values: Vec<Arc<str>> = values.into_iter().map(Arc::from).collect();
    // What damage left out must not be taken for all there is once the file can be read again.
    if let Some(basis) = basis.filter(|_| left_out.lines().is_empty()) {
        head.listings().keep(name, basis, &values);
    }
    values
}

/// All shards of the head if there may be samples of the range in any of them, else none.
fn overlapping_shards<'h>(head: &'h Head, blocks: &BlockSet, range: TimeRange) -> &'h [RwLock<Shard>] {
    let (mut oldest_ms, mut newest_ms, mut has_belated) = (i64::MAX, i64::MIN, false);
    for shard in head.shards() {
        let shard = shard.read();
        oldest_ms = oldest_ms.min(shard.oldest_ms);
        newest_ms = newest_ms.max(shard.newest_ms);
        has_belated |= shard.belated_count() > 0;
    }
    let floor_ms = head.floor_ms();
    // What is belated is older than the floor. A cut raises the floor first, then the oldest moment: where one is under way,
    // the head still holds for this view what the block has that it does not know of.
    if has_belated {
        (oldest_ms, newest_ms) = (i64::MIN, newest_ms.max(floor_ms));
    } else if floor_ms > blocks.floor_ms {
        oldest_ms = oldest_ms.min(blocks.floor_ms);
    }
    let overlaps = oldest_ms <= newest_ms && TimeRange { from_ms: oldest_ms, to_ms: newest_ms }.overlaps(range);
    if overlaps { head.shards() } else { &[] }
}

/// The values of labels, as they were listed last.
#[derive(Default)]
pub(super) struct Listings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_name: HashMap<Box<str>, Listing>,
    bytes: usize,
}

struct Listing {
    basis: Basis,
    values: Arc<[Arc<str>]>,
    bytes: usize,
}

/// All that the values of a label follow from.
#[derive(PartialEq, Eq)]
struct Basis {
    /// Of each shard that is looked at, when a value came or went last.
    shards: Vec<u64>,
    blocks: Vec<BlockName>,
}

impl Basis {
    /// To be asked before the values are. None where there are companions, whose labels are seen only with their bases.
    fn of(shards: &[RwLock<Shard>], blocks: &BlockSet, name: &str, range: TimeRange) -> Option<Basis> {
        let version = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            let index = shard.label_index();
            index.companions().is_none().then(|| index.version_of(name))
        };
        let shards = shards.iter().map(version).collect::<Option<Vec<u64>>>()?;
        Some(Basis { shards, blocks: blocks.overlapping(range).map(|member| member.block.name()).collect() })
    }
}

impl Listings {
    fn find(&self, name: &str, basis: &Basis) -> Option<Arc<[Arc<str>]>> {
        let kept = self.0.lock();
        kept.by_name.get(name).filter(|listing| listing.basis == *basis).map(|listing| listing.values.clone())
    }

    fn keep(&self, name: &str, basis: Basis, values: &[Arc<str>]) {
        let bytes = name.len() + values.iter().map(|value| value.len() + VALUE_BYTES).sum::<usize>();
        let mut kept = self.0.lock();
        if let Some(gone) = kept.by_name.remove(name) {
            kept.bytes -= gone.bytes;
        }
        if bytes > LISTINGS_BYTES_MAX {
            return;
        }
        if kept.bytes + bytes > LISTINGS_BYTES_MAX {
            // Whoever asks again is kept again; which of them that is, is not worth an account.
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.by_name.insert(name.into(), Listing { basis, values: values.into(), bytes });
    }
}
