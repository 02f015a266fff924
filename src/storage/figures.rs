//! What the stored data consists of, for people who wonder where the room went.

use std::sync::Arc;

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
    /// Series in it.
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

    /// Walks all series of the head: for a person, not for a loop.
    pub fn head_figures(&self, limit: usize) -> HeadFigures {
        let (mut all, mut chunk_count) = (Vec::new(), 0);
        let (mut from_ms, mut to_ms) = (i64::MAX, i64::MIN);
        for shard in self.head.shards() {
            let shard = shard.read();
            for slot in 0..shard.slots() {
                let Some(series) = shard.series(slot) else { continue };
                if let Some(span) = series.span() {
                    chunk_count += 1;
                    (from_ms, to_ms) = (from_ms.min(span.from_ms), to_ms.max(span.to_ms));
                }
                all.extend(shard.reference(slot).and_then(|reference| shard.labels(reference)));
            }
        }
        let span = (from_ms <= to_ms).then_some(TimeRange { from_ms, to_ms });
        HeadFigures { span, chunk_count, ..figures_of(&all, limit) }
    }
}

fn figures_of(all: &[Arc<Labels>], limit: usize) -> HeadFigures {
    let mut pairs: HashMap<(&str, &str), u64> = HashMap::new();
    let mut bytes: HashMap<&str, u64> = HashMap::new();
    for (name, value) in all.iter().flat_map(|labels| labels.iter()) {
        *pairs.entry((name, value)).or_default() += 1;
        *bytes.entry(name).or_default() += value.len() as u64;
    }
    let mut values: HashMap<&str, u64> = HashMap::new();
    for (name, _) in pairs.keys() {
        *values.entry(*name).or_default() += 1;
    }
    let metrics = pairs.iter().filter(|((name, _), _)| *name == "__name__");
    HeadFigures {
        series_count: all.len() as u64,
        chunk_count: 0,
        label_pair_count: pairs.len() as u64,
        span: None,
        series_by_metric: most(metrics.map(|((_, value), count)| (*value, *count)), limit),
        values_by_label: most(values.iter().map(|(name, count)| (*name, *count)), limit),
        value_bytes_by_label: most(bytes.iter().map(|(name, count)| (*name, *count)), limit),
        series_by_pair: most_pairs(&pairs, limit),
    }
}

fn most_pairs(pairs: &HashMap<(&str, &str), u64>, limit: usize) -> Vec<(String, u64)> {
    let mut list: Vec<_> = pairs.iter().map(|(pair, count)| (*pair, *count)).collect();
    list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(limit);
    list.into_iter().map(|((name, value), count)| (format!("{name}={value}"), count)).collect()
}

/// The largest, and of equals the first by name.
fn most<'a>(counts: impl Iterator<Item = (&'a str, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut list: Vec<(&str, u64)> = counts.collect();
    list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    list.truncate(limit);
    list.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
