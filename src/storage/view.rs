//! What one query sees: the blocks and the head, as of the moment at which the view was taken.
//!
//! ```text
//!            block        block      │ floor of the view
//! time ──[ 08:00–10:00 ][10:00–12:00)│ head ─────────────▷
//! ```
//!
//! Always true: older than the floor is read from blocks, the rest from the head, so no sample is seen twice. The head
//! lets go of what went into a block only when no view from before that block is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::block::{Block, BlockSet};
pub use super::columns::Columns;
use super::damage::{DamageLog, LeftOut};
use super::head::Head;
use crate::model::{Labels, Matcher, Sample, SeriesRef, TimeRange};

/// Why a view cannot answer. Damage is no reason: what cannot be read is left out, and named in [`ReadView::left_out`].
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// More series than the caller allows. The client must narrow the selector.
    #[error("the selector matches more than {limit} series")]
    TooManySeries {
        /// The caller's limit.
        limit: usize,
    },
}

/// The stored series as of one moment. Cheap to clone.
#[derive(Clone)]
pub struct ReadView(Source);

#[derive(Clone)]
enum Source {
    Stored { head: Arc<Head>, blocks: Arc<BlockSet>, left_out: LeftOut },
    Given(Arc<Vec<(Arc<Labels>, Vec<Sample>)>>),
}

/// One series of a view.
#[derive(Clone)]
pub struct SeriesView {
    labels: Arc<Labels>,
    blocks: Vec<(Arc<Block>, u32)>,
    /// Where damage in them is noted; there if they are.
    left_out: Option<LeftOut>,
    rest: Rest,
}

/// Where the samples behind the last block are.
#[derive(Clone)]
enum Rest {
    None,
    Head { head: Arc<Head>, series: SeriesRef, floor_ms: i64 },
    Given { all: Arc<Vec<(Arc<Labels>, Vec<Sample>)>>, index: usize },
}

impl ReadView {
    pub(super) fn new(head: Arc<Head>, blocks: Arc<BlockSet>, damage: Arc<DamageLog>) -> ReadView {
        ReadView(Source::Stored { head, blocks, left_out: LeftOut::new(damage) })
    }

    /// What was left out so far because it is damaged on disk: a line a file, for whoever gets the answer.
    pub fn left_out(&self) -> Vec<String> {
        match &self.0 {
            Source::Stored { left_out, .. } => left_out.lines(),
            Source::Given(_) => Vec::new(),
        }
    }

    /// A view of the given series, each with its samples ascending: for tests of those who read views.
    pub fn of_samples(series: Vec<(Labels, Vec<Sample>)>) -> ReadView {
        let given = series.into_iter().map(|(labels, samples)| (Arc::new(labels), samples)).collect();
        ReadView(Source::Given(Arc::new(given)))
    }

    /// The series that satisfy all matchers and may have samples in `range`, in order of their labels.
    /// Fails when there are more than `limit`.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange, limit: usize) -> Result<Vec<SeriesView>, ViewError> {
        let mut found = match &self.0 {
            Source::Given(all) => select_given(all, matchers, range),
            Source::Stored { head, blocks, left_out } => {
                let mut found = select_head(head, matchers, range, blocks.floor_ms, limit)?;
                let past: Vec<&Arc<Block>> = blocks.overlapping(range).collect();
                if !past.is_empty() {
                    join_blocks(&mut found, &past, left_out, matchers, limit)?;
                }
                found
            }
        };
        if found.len() > limit {
            return Err(ViewError::TooManySeries { limit });
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// The names of labels of the series that satisfy all matchers, sorted. No matchers: of all series.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ViewError> {
        let mut names = BTreeSet::new();
        match &self.0 {
            Source::Stored { head, blocks, left_out } if matchers.is_empty() => {
                for shard in head.shards() {
                    names.extend(shard.read().postings().names().map(str::to_owned));
                }
                for block in blocks.overlapping(range) {
                    match block.label_names() {
                        Ok(of_block) => names.extend(of_block),
                        Err(damage) => left_out.note(block.path(), damage, None, block.span()),
                    }
                }
            }
            _ => {
                for series in self.select(matchers, range, usize::MAX)? {
                    names.extend(series.labels.iter().map(|(name, _)| name.to_owned()));
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The values of one label of the series that satisfy all matchers, sorted. No matchers: of all series.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ViewError> {
        let mut values = BTreeSet::new();
        match &self.0 {
            Source::Stored { head, blocks, left_out } if matchers.is_empty() => {
                for shard in head.shards() {
                    values.extend(shard.read().postings().values(name).map(str::to_owned));
                }
                for block in blocks.overlapping(range) {
                    match block.label_values(name) {
                        Ok(of_block) => values.extend(of_block),
                        Err(damage) => left_out.note(block.path(), damage, None, block.span()),
                    }
                }
            }
            _ => {
                for series in self.select(matchers, range, usize::MAX)? {
                    values.extend(series.labels.get(name).map(str::to_owned));
                }
            }
        }
        Ok(values.into_iter().collect())
    }
}

fn select_given(all: &Arc<Vec<(Arc<Labels>, Vec<Sample>)>>, matchers: &[Matcher], range: TimeRange) -> Vec<SeriesView> {
    let wanted = |(labels, samples): &(Arc<Labels>, Vec<Sample>)| {
        matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
            && samples.iter().any(|sample| range.contains(sample.timestamp_ms))
    };
    let chosen = all.iter().enumerate().filter(|(_, series)| wanted(series));
    let view = |(index, series): (usize, &(Arc<Labels>, Vec<Sample>))| SeriesView {
        labels: series.0.clone(),
        blocks: Vec::new(),
        left_out: None,
        rest: Rest::Given { all: all.clone(), index },
    };
    chosen.map(view).collect()
}

fn select_head(
    head: &Arc<Head>,
    matchers: &[Matcher],
    range: TimeRange,
    floor_ms: i64,
    limit: usize,
) -> Result<Vec<SeriesView>, ViewError> {
    let mut found = Vec::new();
    let range = TimeRange { from_ms: range.from_ms.max(floor_ms), to_ms: range.to_ms };
    if range.from_ms > range.to_ms {
        return Ok(found);
    }
    for shard in head.shards() {
        let shard = shard.read();
        for slot in shard.select(matchers) {
            let (Some(series), Some(reference)) = (shard.series(slot), shard.reference(slot)) else { continue };
            if !series.span().is_some_and(|span| span.overlaps(range)) {
                continue;
            }
            if found.len() >= limit {
                return Err(ViewError::TooManySeries { limit });
            }
            let rest = Rest::Head { head: head.clone(), series: reference, floor_ms };
            let labels = series.labels.clone();
            found.push(SeriesView { labels, blocks: Vec::new(), left_out: None, rest });
        }
    }
    Ok(found)
}

/// Puts the blocks' series to those of the head: one view a label set.
fn join_blocks(
    found: &mut Vec<SeriesView>,
    blocks: &[&Arc<Block>],
    left_out: &LeftOut,
    matchers: &[Matcher],
    limit: usize,
) -> Result<(), ViewError> {
    let mut by_labels: HashMap<Arc<Labels>, usize> =
        found.iter().enumerate().map(|(index, series)| (series.labels.clone(), index)).collect();
    for block in blocks {
        let selected = block.select(matchers).unwrap_or_else(|damage| {
            left_out.note(block.path(), damage, None, block.span());
            Vec::new()
        });
        for (series, labels) in selected {
            let labels = Arc::new(labels);
            let index = *by_labels.entry(labels.clone()).or_insert_with(|| {
                found.push(SeriesView { labels, blocks: Vec::new(), left_out: None, rest: Rest::None });
                found.len() - 1
            });
            if found.len() > limit {
                return Err(ViewError::TooManySeries { limit });
            }
            found[index].blocks.push(((*block).clone(), series));
            found[index].left_out.get_or_insert_with(|| left_out.clone());
        }
    }
    Ok(())
}

impl SeriesView {
    /// What names the series.
    pub fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// Appends the samples in `range` to `columns`, ascending, each timestamp once. What cannot be read for damage is
    /// left out, and named in [`ReadView::left_out`] of the view.
    pub fn read(&self, range: TimeRange, columns: &mut Columns) {
        for (block, series) in &self.blocks {
            if let (Err(damage), Some(left_out)) = (block.read(*series, range, columns), &self.left_out) {
                left_out.note(block.path(), damage, Some(&self.labels), block.span());
            }
        }
        match &self.rest {
            Rest::None => {}
            Rest::Head { head, series, floor_ms } => {
                let range = TimeRange { from_ms: range.from_ms.max(*floor_ms), to_ms: range.to_ms };
                // A series that was freed since had nothing behind the floor.
                if let Some(series) = head.shard(series.shard()).read().by_ref(*series) {
                    series.read(range, columns);
                }
            }
            Rest::Given { all, index } => {
                for sample in all[*index].1.iter().filter(|sample| range.contains(sample.timestamp_ms)) {
                    columns.push(sample.timestamp_ms, sample.value);
                }
            }
        }
    }
}
