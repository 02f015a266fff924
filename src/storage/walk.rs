//! A walk over the head that asks of each series whose it is and how far it has come: who sends, without a look at what.
//!
//! ```text
//! slice of 1,000 series, under the shard's lock     up{job="shop"} 12:00:15   up{job="db"} 12:00:10   orders{job="shop"} 12:00:15
//! told behind it, one a job                         shop: 2 series, newest 12:00:15     db: 1 series, newest 12:00:10
//! ```
//!
//! Nothing is decoded: what a series sent last stands beside its open chunk, and where that begins in front of it. A chunk
//! may have begun a moment ago, as all do every two hours: those before it are counted too, ten minutes and a few samples
//! back, as long as each goes on in the next. A series whose chunk has just gone into a block is passed over until it sends
//! again.
//!
//! Always true: the lock is held for [`SLICE_SERIES`](super::head::SLICE_SERIES) series at a time, and not while the
//! caller is told.

use std::collections::HashMap;
use std::ops::Range;

use hashbrown::HashMap as FastMap;

use super::Storage;
use super::head::{Shard, next_slice};
use crate::model::{METRIC_NAME, Sample, TimeRange};

/// Usual steps between samples that are not yet a gap.
const STEPS_MISSED_MAX: i64 = 3;

/// A series of the head, as far as it is known without decoding anything.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// The sample that it sent last; it may be a staleness marker.
    pub newest: Sample,
    /// A sample before it, in ms since 1970 UTC, without a gap in between: ten minutes and sixteen samples back at least,
    /// or the first that the head has.
    pub first_ms: i64,
    /// Samples from that one on, both included: at least one.
    pub count: u32,
}

impl Pulse {
    /// Whether it is more of so many samples before it: it begins no further behind them than a few of the usual steps.
    pub(super) fn goes_on_from(&self, before: TimeRange, count: usize) -> bool {
        let steps = (count as i64).saturating_add(i64::from(self.count)).saturating_sub(2);
        let own_ms = self.newest.timestamp_ms.saturating_sub(self.first_ms);
        let took_ms = before.to_ms.saturating_sub(before.from_ms).saturating_add(own_ms);
        let gap_ms = self.first_ms.saturating_sub(before.to_ms);
        gap_ms.saturating_mul(steps) <= took_ms.saturating_mul(STEPS_MISSED_MAX)
    }
}

impl Storage {
    /// Walks all series of the head. `add` makes something of those with the same owner, told what its metric is known
    /// for by its name, if anything; `take` is given the owner and what was made, several times for one owner. A series'
    /// owner is the value of the first of the `by` labels that it has, or empty.
    pub fn walk<A: Default, K: Copy>(
        &self,
        by: [&str; 2],
        known_for: &HashMap<String, K>,
        add: impl Fn(&mut A, Pulse, Option<K>),
        mut take: impl FnMut(&str, A),
    ) {
        for shard in self.head.shards() {
            let mut next = 0;
            loop {
                let owners = {
                    let shard = shard.read();
                    let Some(slots) = next_slice(&shard, &mut next) else { break };
                    walk_slice(&shard, slots, by, known_for, &add)
                };
                owners.into_iter().for_each(|(owner, made)| take(&owner, made));
            }
        }
    }
}

fn walk_slice<A: Default, K: Copy>(
    shard: &Shard,
    slots: Range<u32>,
    by: [&str; 2],
    known_for: &HashMap<String, K>,
    add: &impl Fn(&mut A, Pulse, Option<K>),
) -> Vec<(String, A)> {
    let index = shard.label_index();
    let companions = index.companions();
    let names = [METRIC_NAME, by[0], by[1]].map(|name| index.name_id(name));
    let (mut made, mut found) = (FastMap::<Option<u32>, A>::new(), FastMap::<u32, Option<K>>::new());
    for slot in slots {
        let Some((series, pulse)) = shard.series(slot).and_then(|series| Some((series, series.pulse()?))) else {
            continue;
        };
        if companions.is_some_and(|companions| companions.contains(slot)) {
            continue;
        }
        let [metric, first, second] = index.pairs_named(series.pairs(), names);
        let kind =
            metric.and_then(|pair| *found.entry(pair).or_insert_with(|| known_for.get(index.value_of(pair)).copied()));
        add(made.entry(first.or(second)).or_default(), pulse, kind);
    }
    let owner = |pair: Option<u32>| pair.map_or("", |pair| index.value_of(pair)).to_owned();
    made.into_iter().map(|(pair, made)| (owner(pair), made)).collect()
}
