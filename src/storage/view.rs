//! What one query sees: the blocks and the head, as of the moment at which the view was taken.
//!
//! ```text
//!            block        block      │ floor of the view
//! time ──[ 08:00–10:00 ][10:00–12:00)│ head ─────────────▷
//!              [ 09–11 ]   · ·  ·    │
//!              belated, in a block and still in the head
//! ```
//!
//! Always true:
//! 1. Older than the floor is read from blocks and from what is belated in the head, the rest from the head. Where they
//!    overlap a moment is seen once: whichever has it, has the same value.
//! 2. The head lets go of what went into a block only when no view from before that block is left.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use storage_format::Corruption;
use storage_format::histogram::is_marker;

use super::block::BlockSet;
pub use super::changes::Stamp;
pub use super::columns::Columns;
use super::damage::{DamageLog, LeftOut};
use super::head::Head;
use super::overlay::{Overlaid as OverlaidSeries, Overlay};
use super::starts;
use super::stored::{model_histogram, tell_resets};
use crate::model::{FloatHistogram, Labels, Matcher, Sample, SeriesRef, TimeRange};

/// Why a view, or a block, cannot answer. A view leaves damage out of its answers, see [`ReadView::left_out`].
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Damage on the disk. The operator must act.
    #[error("{file}: {damage}", file = file.display())]
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, and what.
        damage: Corruption,
    },
    /// More series than the caller allows. The client must narrow the selector.
    #[error("the selector matches more than {limit} series")]
    TooManySeries {
        /// The caller's limit.
        limit: usize,
    },
}

/// The stored series as of one moment. Cheap to clone.
#[derive(Clone)]
pub struct ReadView(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Stored { head: Arc<Head>, blocks: Arc<BlockSet>, left_out: LeftOut },
    Given(Arc<Vec<GivenSeries>>),
    Overlaid { below: Arc<ReadView>, overlay: Arc<Overlay> },
}

/// A series of a view that is not stored anywhere: for tests of those who read views.
#[derive(Clone, Debug, Default)]
pub struct GivenSeries {
    /// What names it.
    pub labels: Arc<Labels>,
    /// Its numbers, ascending.
    pub samples: Vec<Sample>,
    /// Its native histograms, ascending, by their time in ms since 1970 UTC; at other times than the numbers.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
    /// Since when a sample counts, by the sample's own time, where that is known; both in ms since 1970 UTC.
    pub starts_ms: BTreeMap<i64, i64>,
}

/// One series of a view.
#[derive(Clone)]
pub struct SeriesView {
    labels: Arc<Labels>,
    blocks: Arc<BlockSet>,
    /// Where it lies in blocks: index in the set, number there.
    sealed: Vec<(u32, u32)>,
    /// Where damage in them is noted; there if they are.
    left_out: Option<LeftOut>,
    rest: Rest,
    /// The series that holds the start times of its samples, if one does.
    companion: Option<Box<SeriesView>>,
}

/// Where the samples behind the last block are.
#[derive(Clone)]
enum Rest {
    None,
    /// `newest` is [`Series::newest`] as it was when the view looked.
    ///
    /// [`Series::newest`]: super::head::Series::newest
    Head {
        head: Arc<Head>,
        series: SeriesRef,
        newest: Option<Sample>,
    },
    Given {
        all: Arc<Vec<GivenSeries>>,
        index: usize,
    },
    /// What lies below, if anything does, and what was laid over it.
    Overlaid {
        below: Option<Box<SeriesView>>,
        over: OverlaidSeries,
    },
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
            Source::Overlaid { below, .. } => below.left_out(),
        }
    }

    /// What somebody who looks from now on may keep, and ask [`ReadView::unchanged_before_ms`] about later. None: nothing is
    /// known of changes. `now`: of a monotonic clock. To be asked before anything is read.
    pub fn stamp(&self, now: Duration) -> Option<Stamp> {
        match &self.0 {
            Source::Stored { head, .. } => Some(head.changes().stamp(now)),
            Source::Given(_) | Source::Overlaid { .. } => None,
        }
    }

    /// What is older than this, in ms since 1970 UTC, is now as it was for who looked with the stamp.
    pub fn unchanged_before_ms(&self, stamp: Stamp) -> i64 {
        match &self.0 {
            Source::Stored { head, .. } => head.changes().unchanged_before_ms(stamp),
            Source::Given(_) | Source::Overlaid { .. } => i64::MIN,
        }
    }

    /// A view of the given series, each with its samples ascending: for tests of those who read views.
    pub fn of_samples(series: Vec<(Labels, Vec<Sample>)>) -> ReadView {
        let given = |(labels, samples)| GivenSeries { labels: Arc::new(labels), samples, ..GivenSeries::default() };
        ReadView::of_series(series.into_iter().map(given).collect())
    }

    /// A view of the given series, histograms with what a store says of their resets: for tests of those who read views.
    pub fn of_series(mut series: Vec<GivenSeries>) -> ReadView {
        series.iter_mut().for_each(|one| tell_resets(&mut one.histograms));
        ReadView(Source::Given(Arc::new(series)))
    }

    /// This view with samples laid over it, those that are to come included.
    pub fn overlaid(self, overlay: &Arc<Overlay>) -> ReadView {
        ReadView(Source::Overlaid { below: Arc::new(self), overlay: overlay.clone() })
    }

    /// The series that satisfy all matchers and may have samples in `range`, in order of their labels.
    /// Fails when there are more than `limit`.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange, limit: usize) -> Result<Vec<SeriesView>, ViewError> {
        let mut found = self.find(matchers, range, limit)?;
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// As [`ReadView::select`], in an order that stays as it is while no series comes or goes: to sort many series by
    /// their labels takes longer than to look at the newest sample of each.
    pub fn find(&self, matchers: &[Matcher], range: TimeRange, limit: usize) -> Result<Vec<SeriesView>, ViewError> {
        let found = match &self.0 {
            Source::Given(all) => select_given(all, matchers, range),
            Source::Overlaid { below, overlay } => select_overlaid(below, overlay, matchers, range, limit)?,
            Source::Stored { head, blocks, left_out } => {
                left_out.note_lost(blocks, range);
                let mut found = select_head(head, blocks, matchers, range, limit)?;
                join_blocks(&mut found, blocks, left_out, matchers, range, limit)?;
                found.with_companions()
            }
        };
        if found.len() > limit {
            return Err(ViewError::TooManySeries { limit });
        }
        Ok(found)
    }

    /// From the oldest to the newest moment of which something may be stored. Looks at every series of the head.
    pub fn span(&self) -> Option<TimeRange> {
        let mut spans = Vec::new();
        match &self.0 {
            Source::Overlaid { below, overlay } => spans.extend(below.span().into_iter().chain(overlay.span())),
            Source::Given(all) => {
                let times = all.iter().flat_map(GivenSeries::times_ms);
                spans.extend(times.map(|time_ms| TimeRange { from_ms: time_ms, to_ms: time_ms }));
            }
            Source::Stored { head, blocks, .. } => {
                spans.extend(blocks.members().iter().map(|member| member.block.span()));
                for shard in head.shards() {
                    let shard = shard.read();
                    let series = (0..shard.slots()).filter_map(|slot| shard.series(slot));
                    spans.extend(series.flat_map(|series| [series.span(), series.belated_span()]).flatten());
                }
            }
        }
        spans.into_iter().reduce(|a, b| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) })
    }
}

/// Whether a stored number is the marker of a native histogram.
pub fn stands_for_histogram(value: f64) -> bool {
    value.is_nan() && is_marker(value.to_bits())
}

impl GivenSeries {
    fn times_ms(&self) -> impl Iterator<Item = i64> {
        self.samples.iter().map(|sample| sample.timestamp_ms).chain(self.histograms.iter().map(|(time_ms, _)| *time_ms))
    }
}

fn select_given(all: &Arc<Vec<GivenSeries>>, matchers: &[Matcher], range: TimeRange) -> Vec<SeriesView> {
    let wanted = |series: &GivenSeries| {
        matchers.iter().all(|matcher| matcher.matches(series.labels.get(matcher.name()).unwrap_or("")))
            && series.times_ms().any(|time_ms| range.contains(time_ms))
    };
    let chosen = all.iter().enumerate().filter(|(_, series)| wanted(series));
    let view = |(index, series): (usize, &GivenSeries)| SeriesView {
        labels: series.labels.clone(),
        blocks: Arc::default(),
        sealed: Vec::new(),
        left_out: None,
        rest: Rest::Given { all: all.clone(), index },
        companion: None,
    };
    chosen.map(view).collect()
}

/// What is laid over a series takes the place of what it hides of it.
fn select_overlaid(
    below: &ReadView,
    overlay: &Arc<Overlay>,
    matchers: &[Matcher],
    range: TimeRange,
    limit: usize,
) -> Result<Vec<SeriesView>, ViewError> {
    let mut laid = overlay.select(matchers, range);
    let mut found = Vec::new();
    for series in below.find(matchers, range, limit)? {
        let over = laid.remove(&series.labels);
        if over.is_none() && !overlay.hides(&series.labels) {
            found.push(series);
        } else if over.is_some() || range.from_ms < overlay.from_ms() {
            let labels = series.labels.clone();
            let over = over.unwrap_or_else(|| overlay.nothing());
            let rest = Rest::Overlaid { below: Some(Box::new(series)), over };
            found.push(SeriesView::new(labels, &Arc::default(), rest));
        }
    }
    let new = laid
        .into_iter()
        .map(|(labels, over)| SeriesView::new(labels, &Arc::default(), Rest::Overlaid { below: None, over }));
    found.extend(new);
    Ok(found)
}

fn select_head(
    head: &Arc<Head>,
    blocks: &Arc<BlockSet>,
    matchers: &[Matcher],
    range: TimeRange,
    limit: usize,
) -> Result<Found, ViewError> {
    let floor_ms = blocks.floor_ms;
    let mut found = Found::default();
    for shard in head.shards() {
        let shard = shard.read();
        let companions = shard.label_index().companions();
        let slots = shard.select(matchers);
        found.series.reserve(slots.len().min(limit.saturating_sub(found.series.len())));
        for slot in slots {
            let (Some(series), Some(reference)) = (shard.series(slot), shard.reference(slot)) else { continue };
            if !series.reaches(range, floor_ms) {
                continue;
            }
            let is_companion = companions.is_some_and(|companions| companions.contains(slot));
            if !is_companion && found.series.len() >= limit {
                return Err(ViewError::TooManySeries { limit });
            }
            let rest = Rest::Head { head: head.clone(), series: reference, newest: series.newest() };
            let labels = shard.labels(reference).expect("a live series has labels");
            let list = if is_companion { &mut found.companions } else { &mut found.series };
            list.push(SeriesView::new(labels, blocks, rest));
        }
    }
    Ok(found)
}

/// Puts the blocks' series to those of the head: one view a label set.
fn join_blocks(
    found: &mut Found,
    blocks: &Arc<BlockSet>,
    left_out: &LeftOut,
    matchers: &[Matcher],
    range: TimeRange,
    limit: usize,
) -> Result<(), ViewError> {
    if blocks.overlapping(range).next().is_none() {
        return Ok(());
    }
    let (mut series_by_labels, mut companions_by_labels) = (by_labels(&found.series), by_labels(&found.companions));
    for (member_index, member) in blocks.members().iter().enumerate() {
        if !member.block.span().overlaps(range) {
            continue;
        }
        for (number, labels) in left_out.unless_damaged(member.block.span(), None, member.select(matchers)) {
            let (list, by_labels) = if starts::is_companion(&labels) {
                (&mut found.companions, &mut companions_by_labels)
            } else {
                (&mut found.series, &mut series_by_labels)
            };
            let labels = Arc::new(labels);
            let index = *by_labels.entry(labels.clone()).or_insert_with(|| {
                list.push(SeriesView::new(labels, blocks, Rest::None));
                list.len() - 1
            });
            list[index].sealed.push((member_index as u32, number));
            list[index].left_out.get_or_insert_with(|| left_out.clone());
            if found.series.len() > limit {
                return Err(ViewError::TooManySeries { limit });
            }
        }
    }
    Ok(())
}

fn by_labels(series: &[SeriesView]) -> HashMap<Arc<Labels>, usize> {
    series.iter().enumerate().map(|(index, series)| (series.labels.clone(), index)).collect()
}

/// What satisfies the matchers. A companion does when its base does: they ask for labels that both have.
#[derive(Default)]
struct Found {
    series: Vec<SeriesView>,
    companions: Vec<SeriesView>,
}

impl Found {
    /// The series, each with its companion. One whose base holds nothing is left out.
    fn with_companions(mut self) -> Vec<SeriesView> {
        if !self.companions.is_empty() {
            let bases = by_labels(&self.series);
            for companion in self.companions {
                if let Some(base) = bases.get(&starts::base_of(&companion.labels)) {
                    self.series[*base].companion = Some(Box::new(companion));
                }
            }
        }
        self.series
    }
}

impl SeriesView {
    fn new(labels: Arc<Labels>, blocks: &Arc<BlockSet>, rest: Rest) -> SeriesView {
        SeriesView { labels, blocks: blocks.clone(), sealed: Vec::new(), left_out: None, rest, companion: None }
    }

    /// What names the series.
    pub fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// Appends the numbers and the native histograms in `range`, each ascending, staleness markers included. No moment has
    /// both. What cannot be read for damage is left out, as by [`SeriesView::read`].
    pub fn read_both(&self, range: TimeRange, numbers: &mut Columns, histograms: &mut Vec<(i64, Arc<FloatHistogram>)>) {
        if let Rest::Overlaid { below, over } = &self.rest {
            if let (Some(below), Some(range)) = (below, over.left_below(range)) {
                below.read_both(range, numbers, histograms);
            }
            return over.read_both(range, numbers, histograms);
        }
        self.read(range, numbers);
        if let Rest::Given { all, index } = &self.rest {
            histograms.extend(all[*index].histograms.iter().filter(|(time_ms, _)| range.contains(*time_ms)).cloned());
        } else if !numbers.histograms.is_empty() {
            let from = histograms.len();
            numbers.split_histograms(|time_ms, stored| histograms.push((time_ms, Arc::new(model_histogram(&stored)))));
            tell_resets(&mut histograms[from..]);
        }
    }

    /// The newest sample that is not younger than the moment, if it is known without decoding anything: that is, if it was
    /// the newest of all when the view found the series. It may be a staleness marker, or stand for a native histogram.
    pub fn newest_by(&self, moment_ms: i64) -> Option<Sample> {
        let Rest::Head { newest, .. } = &self.rest else { return None };
        newest.filter(|sample| sample.timestamp_ms <= moment_ms)
    }

    /// The times of the samples in `range` of which it is known since when they count, ascending, and that time.
    pub fn starts_ms(&self, range: TimeRange) -> Vec<(i64, i64)> {
        match &self.rest {
            Rest::Given { all, index } if range.from_ms <= range.to_ms => {
                let starts = all[*index].starts_ms.range(range.from_ms..=range.to_ms);
                starts.map(|(time_ms, start_ms)| (*time_ms, *start_ms)).collect()
            }
            Rest::Given { .. } => Vec::new(),
            Rest::Overlaid { below, over } => match (below, over.left_below(range)) {
                (Some(below), Some(range)) => below.starts_ms(range),
                _ => Vec::new(),
            },
            Rest::None | Rest::Head { .. } => {
                let Some(companion) = &self.companion else { return Vec::new() };
                let mut columns = Columns::default();
                companion.read(range, &mut columns);
                columns.iter().map(|(time_ms, start_ms)| (time_ms, start_ms as i64)).collect()
            }
        }
    }

    /// Appends the samples in `range` to `columns`, ascending, each timestamp once.
    /// What cannot be read for damage is left out, and named in [`ReadView::left_out`] of the view.
    pub fn read(&self, range: TimeRange, columns: &mut Columns) {
        let start = columns.len();
        for (member, number) in &self.sealed {
            let member = &self.blocks.members()[*member as usize];
            let read = member.read(*number, range, start, columns);
            if let Some(left_out) = &self.left_out {
                left_out.unless_damaged(member.block.span(), Some(&self.labels), read);
            }
        }
        match &self.rest {
            Rest::None => {}
            Rest::Overlaid { below, over } => {
                if let (Some(below), Some(range)) = (below, over.left_below(range)) {
                    below.read(range, columns);
                }
                over.read(range, columns);
            }
            Rest::Head { head, series, .. } => {
                // A series that was freed since had nothing behind the floor.
                if let Some(series) = head.read_shard(series.shard()).by_ref(*series) {
                    let middle = columns.len();
                    series.read_belated(range, columns);
                    columns.settle(start, middle);
                    let middle = columns.len();
                    let from_ms = range.from_ms.max(self.blocks.floor_ms);
                    if from_ms <= range.to_ms {
                        series.read(TimeRange { from_ms, to_ms: range.to_ms }, columns);
                    }
                    columns.settle(start, middle);
                }
            }
            Rest::Given { all, index } => {
                for sample in all[*index].samples.iter().filter(|sample| range.contains(sample.timestamp_ms)) {
                    columns.push(sample.timestamp_ms, sample.value);
                }
            }
        }
    }
}
