//! What is kept of one series between flushes, and the samples that it is at a flush.
//!
//! ```text
//! counter    shop_orders_total 7
//! gauge      shop_queue 3
//! timer      shop_checkout_seconds_bucket{le="0.25"} 4 …, shop_checkout_seconds_sum 0.9, shop_checkout_seconds_count 5
//! histogram  shop_basket_bucket{le="50"} 2 …, shop_basket_sum 140, shop_basket_count 3
//! set        shop_visitors 42
//! ```

use std::collections::HashSet;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::line::{Kind, Line, Number};
use crate::ingest::rows::{RowsBuilder, SeriesRow};
use crate::ingest::{IngestError, MetricKind};
use crate::model::{Labels, METRIC_NAME, stale_nan};

/// Upper bounds of a timer's buckets, in seconds.
pub(super) const TIMER_BOUNDS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of the buckets of a histogram whose unit nobody told.
pub(super) const HISTOGRAM_BOUNDS: [f64; 22] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5,
    1e6,
];
/// Stored series that one series here is at most: the buckets, the one without a bound, sum and count.
pub(super) const STORED_SERIES_MAX: usize = HISTOGRAM_BOUNDS.len() + 3;

/// One series between flushes.
#[derive(Debug)]
pub(super) struct Series {
    name: Box<str>,
    tags: Labels,
    state: State,
    /// When a line of it came last, by the monotonic clock.
    pub(super) touched: Duration,
    /// Nothing of it is stored yet.
    pub(super) is_new: bool,
}

#[derive(Debug)]
enum State {
    /// `shown` is the most that `sum` was at any flush: what is taken away is held against what comes.
    Counter {
        sum: f64,
        shown: f64,
    },
    Gauge(f64),
    Histogram(Box<Histogram>),
    /// Hashes of the values since the last flush.
    Set(HashSet<u64>),
}

#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds; each what is in this bucket alone.
    counts: Vec<f64>,
    sum: f64,
}

/// What a flush writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlushTimes {
    pub(super) now_ms: i64,
    /// Where a series that begins was still zero, if that is known.
    pub(super) zero_ms: Option<i64>,
}

/// The name that a line's series is stored by, its suffix such that kinds of one name do not meet.
pub(super) fn stored_name(line: &Line<'_>) -> String {
    let suffix = match line.kind {
        Kind::Counter => "_total",
        Kind::Timer => "_seconds",
        Kind::Gauge | Kind::Histogram | Kind::Set => "",
    };
    let base = line.name.strip_suffix(suffix).unwrap_or(&line.name);
    format!("{base}{suffix}")
}

impl Series {
    /// Begins the series of a line. Fails when its labels are not allowed.
    pub(super) fn begin(name: &str, line: &Line<'_>, now: Duration) -> Result<Series, String> {
        let state = match line.kind {
            Kind::Counter => State::Counter { sum: 0.0, shown: 0.0 },
            Kind::Gauge => State::Gauge(0.0),
            Kind::Timer => State::Histogram(Histogram::new(&TIMER_BOUNDS)),
            Kind::Histogram => State::Histogram(Histogram::new(&HISTOGRAM_BOUNDS)),
            Kind::Set => State::Set(HashSet::new()),
        };
        // Checked with all that it may be stored with, so that a flush meets no series that it cannot store.
        let longest = format!("{name}_bucket");
        let bound = [("le", "0.0001")].into_iter().filter(|_| matches!(state, State::Histogram(_)));
        let tags = || line.tags.iter().map(|(name, value)| (name.as_ref(), *value));
        let told = |error: crate::model::LabelsError| error.to_string();
        Labels::from_pairs(tags().chain([(METRIC_NAME, longest.as_str())]).chain(bound)).map_err(told)?;
        let tags = Labels::from_pairs(tags()).map_err(told)?;
        Ok(Series { name: name.into(), tags, state, touched: now, is_new: true })
    }

    /// Whether a line is of the kind that this series began as.
    pub(super) fn is_of(&self, kind: Kind) -> bool {
        matches!(
            (&self.state, kind),
            (State::Counter { .. }, Kind::Counter)
                | (State::Gauge(_), Kind::Gauge)
                | (State::Histogram(_), Kind::Timer | Kind::Histogram)
                | (State::Set(_), Kind::Set)
        )
    }

    /// Whether a line would make a set larger.
    pub(super) fn would_grow(&self, line: &Line<'_>) -> bool {
        matches!(&self.state, State::Set(values) if !values.contains(&xxh3_64(line.text.as_bytes())))
    }

    /// Takes a line of its kind.
    pub(super) fn take(&mut self, line: &Line<'_>, numbers: &[Number], now: Duration) {
        self.touched = now;
        if let State::Set(values) = &mut self.state {
            values.insert(xxh3_64(line.text.as_bytes()));
        }
        let unit = if line.kind == Kind::Timer { 1000.0 } else { 1.0 };
        for number in numbers {
            match &mut self.state {
                State::Counter { sum, .. } => *sum = finite(*sum + number.value * line.weight),
                State::Gauge(value) if number.is_signed => *value = finite(*value + number.value),
                State::Gauge(value) => *value = number.value,
                State::Histogram(histogram) => histogram.observe(number.value / unit, line.weight),
                State::Set(_) => {}
            }
        }
    }

    /// Comes before each flush: what a counter shows is decided by all the lines that came between two.
    pub(super) fn seal(&mut self) {
        if let State::Counter { sum, shown } = &mut self.state {
            *shown = shown.max(*sum);
        }
    }

    /// Forgets what counts for one flush alone.
    pub(super) fn settle(&mut self) {
        self.is_new = false;
        if let State::Set(values) = &mut self.state {
            *values = HashSet::new();
        }
    }

    /// Adds the samples of a flush, and says what kind of metric a new series is.
    pub(super) fn emit(&self, times: FlushTimes, rows: &mut RowsBuilder<'_>) -> Result<(), IngestError> {
        if self.is_new {
            self.describe(rows);
        }
        let zero_ms = times.zero_ms.filter(|_| self.is_new && self.grows());
        self.each_stored(|suffix, bound, value| {
            let series = self.row(suffix, bound, rows)?;
            if let Some(zero_ms) = zero_ms {
                rows.sample(series, zero_ms, 0.0)?;
            }
            rows.sample(series, times.now_ms, value)
        })
    }

    /// Says that it has ended.
    pub(super) fn emit_end(&self, now_ms: i64, rows: &mut RowsBuilder<'_>) -> Result<(), IngestError> {
        self.each_stored(|suffix, bound, _| {
            let series = self.row(suffix, bound, rows)?;
            rows.sample(series, now_ms, stale_nan())
        })
    }

    fn row(&self, suffix: &str, bound: Option<f64>, rows: &mut RowsBuilder<'_>) -> Result<SeriesRow, IngestError> {
        let name = format!("{}{suffix}", self.name);
        let bound = bound.map(shown_bound).unwrap_or_default();
        rows.series(self.tags.iter().chain([(METRIC_NAME, name.as_str()), ("le", bound.as_str())]))
    }

    /// Calls `put` with the suffix, the bound and the value of each series that is stored.
    fn each_stored(
        &self,
        mut put: impl FnMut(&str, Option<f64>, f64) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        let histogram = match &self.state {
            State::Counter { shown, .. } => return put("", None, *shown),
            State::Gauge(value) => return put("", None, *value),
            State::Set(values) => return put("", None, values.len() as f64),
            State::Histogram(histogram) => histogram,
        };
        let mut count = 0.0;
        for (index, part) in histogram.counts.iter().enumerate() {
            count = finite(count + part);
            put("_bucket", Some(histogram.bounds.get(index).copied().unwrap_or(f64::INFINITY)), count)?;
        }
        put("_sum", None, histogram.sum)?;
        put("_count", None, count)
    }

    fn grows(&self) -> bool {
        matches!(self.state, State::Counter { .. } | State::Histogram(_))
    }

    fn describe(&self, rows: &mut RowsBuilder<'_>) {
        let kind = match &self.state {
            State::Counter { .. } => MetricKind::Counter,
            State::Gauge(_) | State::Set(_) => MetricKind::Gauge,
            State::Histogram(_) => MetricKind::Histogram,
        };
        rows.describe(&self.name, kind, "", "");
    }
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Box<Histogram> {
        Box::new(Histogram { bounds, counts: vec![0.0; bounds.len() + 1], sum: 0.0 })
    }

    fn observe(&mut self, value: f64, weight: f64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.counts[index] = finite(self.counts[index] + weight);
        self.sum = finite(self.sum + value * weight);
    }
}

/// As Prometheus's own clients write a bound.
fn shown_bound(bound: f64) -> String {
    match bound {
        bound if bound.is_infinite() => "+Inf".to_owned(),
        bound if bound.fract() == 0.0 => format!("{bound:.1}"),
        bound => bound.to_string(),
    }
}

/// Numbers of strangers can be as large as an `f64`; what is added up stays one.
fn finite(number: f64) -> f64 {
    number.clamp(f64::MIN, f64::MAX)
}
