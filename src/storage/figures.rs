//! What the stored data consists of, for people who wonder where the room went.

use hashbrown::HashMap;

use super::Storage;
use crate::model::{Labels, TimeRange};

/// One block, in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFigures {
    /// Its file's name.
    pub name: String,
    /// First and last moment that it may hold.
    pub span: TimeRange,
    /// When it was written, ms since 1970 UTC.
    pub created_ms: i64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Series in it, those included that hold the start times of others' samples.
    pub series_count: u64,
    /// Samples in it.
    pub sample_count: u64,
    /// How often its samples were compacted: 0 as it was cut.
    pub level: u32,
}

/// What the head's series are called, the most numerous first, each list at most as long as was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadFigures {
    /// Series in the head.
    pub series_count: u64,
    /// Those of them that hold samples, each in an open chunk of its own.
    pub chunk_count: u64,
    /// Different pairs of label and value.
    pub label_pair_count: u64,
    /// First and last moment of a sample; `None` without one.
    pub span: Option<TimeRange>,
    /// Series by the value of `__name__`.
    pub series_by_metric: Vec<(String, u64)>,
    /// Different values by label.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of these values by label, each counted in every series that has it.
    pub value_bytes_by_label: Vec<(String, u64)>,
    /// Series by `label=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Storage {
    /// The blocks that serve, in order of time.
    pub fn block_figures(&self) -> Vec<BlockFigures> {
        let blocks = self.blocks.load_full();
        blocks.members().iter().map(|member| member.block.figures()).collect()
    }

    /// How many series in the head have a label with this value: a look-up a shard.
    pub fn series_count_with(&self, label: &str, value: &str) -> usize {
        self.head.shards().iter().map(|shard| shard.read().label_index().count_with(label, value)).sum()
    }

    /// Whether the head has the series of these labels.
    pub fn has_series(&self, labels: &Labels) -> bool {
        self.head.shard(self.head.shard_of(labels)).read().find(labels).is_some()
    }

    /// Walks the head, a shard at a time: for a person, not for a loop.
    pub fn head_figures(&self, limit: usize) -> HeadFigures {
        let mut figures = HeadFigures::default();
        let (mut counts, mut from_ms, mut to_ms) = (Counts::new(), i64::MAX, i64::MIN);
        for shard in self.head.shards() {
            let shard = shard.read();
            let companions = shard.label_index().companions();
            let is_shown = |slot: &u32| companions.is_none_or(|companions| !companions.contains(*slot));
            for series in (0..shard.slots()).filter(is_shown).filter_map(|slot| shard.series(slot)) {
                figures.series_count += 1;
                if let Some(span) = series.span() {
                    figures.chunk_count += 1;
                    (from_ms, to_ms) = (from_ms.min(span.from_ms), to_ms.max(span.to_ms));
                }
            }
            // What the index counts already is only added up: telling every series' labels would hold up the shard.
            for name in shard.label_index().names() {
                let values = counts.entry_ref(name).or_default();
                for (value, count) in shard.label_index().value_counts(name) {
                    *values.entry_ref(value).or_default() += count;
                }
            }
        }
        figures.span = (from_ms <= to_ms).then_some(TimeRange { from_ms, to_ms });
        tell(&counts, limit, &mut figures);
        figures
    }
}

/// Series by label and value.
type Counts = HashMap<String, HashMap<String, u64>>;

fn tell(counts: &Counts, limit: usize, figures: &mut HeadFigures) {
    let bytes = |values: &HashMap<String, u64>| values.iter().map(|(value, count)| value.len() as u64 * count).sum();
    figures.label_pair_count = counts.values().map(|values| values.len() as u64).sum();
    let metrics = counts.get("__name__").into_iter().flatten();
    figures.series_by_metric = most(metrics.map(|(value, count)| (value.as_str(), *count)), limit);
    figures.values_by_label = most(counts.iter().map(|(name, values)| (name.as_str(), values.len() as u64)), limit);
    figures.value_bytes_by_label = most(counts.iter().map(|(name, values)| (name.as_str(), bytes(values))), limit);
    figures.series_by_pair = most_pairs(counts, limit);
}

fn most_pairs(counts: &Counts, limit: usize) -> Vec<(String, u64)> {
    let pairs = counts.iter().flat_map(|(name, values)| values.iter().map(move |(value, count)| (name, value, *count)));
    let mut list: Vec<(&String, &String, u64)> = pairs.collect();
    list.sort_unstable_by(|a, b| b.2.cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    list.truncate(limit);
    list.into_iter().map(|(name, value, count)| (format!("{name}={value}"), count)).collect()
}

/// The largest, and of equals the first by name.
fn most<'a>(counts: impl Iterator<Item = (&'a str, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut list: Vec<(&str, u64)> = counts.collect();
    list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    list.truncate(limit);
    list.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
