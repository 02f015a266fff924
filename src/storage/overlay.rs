//! Samples that are laid over a view and stored nowhere: what rules would have recorded, for a replay of history.
//!
//! ```text
//! stored   job:load:sum  ──1──2──2──│··3··4··5··     hidden from the overlay's beginning on
//! overlay                           │──7──7──8──     what is seen from there on
//! ```
//!
//! Always true:
//! 1. A series that the overlay makes is seen as stored before [`Overlay::from_ms`], and as laid over it from then on.
//! 2. Samples of a series come in ascending order; one that does not is refused.
//! 3. It holds [`OVERLAY_SAMPLES_MAX`] samples at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::view::Columns;
use crate::model::{FloatHistogram, Labels, Matcher, TimeRange};

/// Most samples of all series together: a gigabyte of memory, about.
pub const OVERLAY_SAMPLES_MAX: usize = 64 << 20;

/// Says of a series whether the overlay is the one that makes it.
type Makes = Box<dyn Fn(&Labels) -> bool + Send + Sync>;

/// The samples laid over a view. Shared by the one who adds and those who read.
pub struct Overlay {
    from_ms: i64,
    makes: Makes,
    series: RwLock<HashMap<Arc<Labels>, Arc<RwLock<Laid>>>>,
    samples_count: AtomicUsize,
}

/// Why a sample is not laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// Somebody must ask for less.
    #[error("more than {OVERLAY_SAMPLES_MAX} samples are recorded: ask for a shorter time or for fewer rules")]
    Full,
    /// Two of one series for one moment, or one from before it.
    #[error("a sample is not newer than the one before it")]
    NotNewer,
}

#[derive(Default)]
struct Laid {
    numbers: Columns,
    histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

impl Laid {
    fn newest_ms(&self) -> Option<i64> {
        self.numbers.timestamps_ms.last().copied().max(self.histograms.last().map(|(at_ms, _)| *at_ms))
    }

    fn span(&self) -> Option<TimeRange> {
        let first = [self.numbers.timestamps_ms.first().copied(), self.histograms.first().map(|(at_ms, _)| *at_ms)];
        Some(TimeRange { from_ms: first.into_iter().flatten().min()?, to_ms: self.newest_ms()? })
    }
}

/// What is laid over one series.
#[derive(Clone)]
pub(super) struct Overlaid {
    /// Where the series below is hidden from.
    hidden_from_ms: i64,
    laid: Arc<RwLock<Laid>>,
}

impl Overlay {
    /// An empty one, from `from_ms` on, in ms since 1970 UTC. `makes` says which series are its own: those are hidden in
    /// what lies below, from then on.
    pub fn new(from_ms: i64, makes: impl Fn(&Labels) -> bool + Send + Sync + 'static) -> Arc<Overlay> {
        let (series, samples_count) = (RwLock::default(), AtomicUsize::new(0));
        Arc::new(Overlay { from_ms, makes: Box::new(makes), series, samples_count })
    }

    /// Where it begins, in ms since 1970 UTC.
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// Samples in it.
    pub fn samples_count(&self) -> usize {
        self.samples_count.load(Ordering::Relaxed)
    }

    /// Adds a number, staleness markers among them, at a moment not before [`Overlay::from_ms`].
    pub fn push(&self, labels: &Arc<Labels>, at_ms: i64, value: f64) -> Result<(), OverlayError> {
        self.add(labels, at_ms, |laid| laid.numbers.push(at_ms, value))
    }

    /// Adds a native histogram.
    pub fn push_histogram(
        &self,
        labels: &Arc<Labels>,
        at_ms: i64,
        histogram: Arc<FloatHistogram>,
    ) -> Result<(), OverlayError> {
        self.add(labels, at_ms, |laid| laid.histograms.push((at_ms, histogram)))
    }

    fn add(&self, labels: &Arc<Labels>, at_ms: i64, add: impl FnOnce(&mut Laid)) -> Result<(), OverlayError> {
        assert!(at_ms >= self.from_ms, "a sample of {at_ms} in an overlay from {} on", self.from_ms);
        if self.samples_count() >= OVERLAY_SAMPLES_MAX {
            return Err(OverlayError::Full);
        }
        let known = self.series.read().get(labels).cloned();
        let laid = known.unwrap_or_else(|| self.series.write().entry(labels.clone()).or_default().clone());
        let mut laid = laid.write();
        if laid.newest_ms().is_some_and(|newest_ms| newest_ms >= at_ms) {
            return Err(OverlayError::NotNewer);
        }
        add(&mut laid);
        self.samples_count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn hides(&self, labels: &Labels) -> bool {
        (self.makes)(labels)
    }

    pub(super) fn span(&self) -> Option<TimeRange> {
        let spans = self.series.read().values().filter_map(|laid| laid.read().span()).collect::<Vec<_>>();
        let joined =
            |a: TimeRange, b: TimeRange| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) };
        spans.into_iter().reduce(joined)
    }

    /// What is laid over the series that satisfy all matchers and have samples of it in `range`.
    pub(super) fn select(&self, matchers: &[Matcher], range: TimeRange) -> HashMap<Arc<Labels>, Overlaid> {
        let fits =
            |labels: &Labels| matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")));
        let series = self.series.read();
        let reaches = |laid: &RwLock<Laid>| laid.read().span().is_some_and(|span| span.overlaps(range));
        let found = series.iter().filter(|(labels, laid)| fits(labels) && reaches(laid));
        found.map(|(labels, laid)| (labels.clone(), self.over(laid.clone()))).collect()
    }

    /// Nothing, over a series of which a part may be hidden.
    pub(super) fn nothing(&self) -> Overlaid {
        self.over(Arc::default())
    }

    fn over(&self, laid: Arc<RwLock<Laid>>) -> Overlaid {
        Overlaid { hidden_from_ms: self.from_ms, laid }
    }
}

impl Overlaid {
    /// What may be read below, of a range.
    pub(super) fn left_below(&self, range: TimeRange) -> Option<TimeRange> {
        let to_ms = range.to_ms.min(self.hidden_from_ms - 1);
        (range.from_ms <= to_ms).then_some(TimeRange { to_ms, ..range })
    }

    pub(super) fn read(&self, range: TimeRange, columns: &mut Columns) {
        let laid = self.laid.read();
        let times = &laid.numbers.timestamps_ms;
        let (from, to) = (
            times.partition_point(|at_ms| *at_ms < range.from_ms),
            times.partition_point(|at_ms| *at_ms <= range.to_ms),
        );
        let to = to.max(from);
        columns.timestamps_ms.extend_from_slice(&times[from..to]);
        columns.values.extend_from_slice(&laid.numbers.values[from..to]);
    }

    pub(super) fn read_both(
        &self,
        range: TimeRange,
        numbers: &mut Columns,
        histograms: &mut Vec<(i64, Arc<FloatHistogram>)>,
    ) {
        self.read(range, numbers);
        let laid = self.laid.read();
        histograms.extend(laid.histograms.iter().filter(|(at_ms, _)| range.contains(*at_ms)).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sample;
    use crate::storage::view::{GivenSeries, ReadView};

    fn labels(name: &str) -> Arc<Labels> {
        Arc::new(Labels::from_pairs([("__name__", name)]).expect("labels"))
    }

    fn seen(view: &ReadView, name: &str, range: TimeRange) -> Vec<(i64, f64)> {
        let found = view.select(&[Matcher::equal("__name__", name)], range, 10).expect("found");
        let mut columns = Columns::default();
        found.iter().for_each(|series| series.read_both(range, &mut columns, &mut Vec::new()));
        columns.iter().collect()
    }

    #[test]
    fn what_is_laid_over_hides_what_was_stored_from_its_beginning_on() {
        let stored = |name: &str| GivenSeries {
            labels: labels(name),
            samples: (1..=4).map(|index| Sample { timestamp_ms: index * 10, value: index as f64 }).collect(),
            ..GivenSeries::default()
        };
        let below = ReadView::of_series(vec![stored("made"), stored("other"), stored("made_never")]);
        let overlay = Overlay::new(25, |labels| labels.get("__name__").is_some_and(|name| name.starts_with("made")));
        let view = below.overlaid(&overlay);
        overlay.push(&labels("made"), 30, 7.0).expect("laid over");
        overlay.push(&labels("made_new"), 35, 8.0).expect("laid over");
        let all = TimeRange { from_ms: 0, to_ms: 100 };
        assert_eq!(seen(&view, "made", all), [(10, 1.0), (20, 2.0), (30, 7.0)]);
        assert_eq!(seen(&view, "made", TimeRange { from_ms: 15, to_ms: 29 }), [(20, 2.0)]);
        assert_eq!(seen(&view, "other", all).len(), 4);
        assert_eq!(seen(&view, "made_never", all), [(10, 1.0), (20, 2.0)]);
        assert_eq!(seen(&view, "made_new", all), [(35, 8.0)]);
        assert_eq!(seen(&view, "made_never", TimeRange { from_ms: 25, to_ms: 100 }), []);
        assert_eq!(overlay.push(&labels("made"), 30, 9.0), Err(OverlayError::NotNewer));
        assert_eq!(overlay.samples_count(), 2);
        assert_eq!(view.span(), Some(TimeRange { from_ms: 10, to_ms: 40 }));
    }
}
