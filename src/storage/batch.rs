//! What a write brings to the shards, and what comes back.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use storage_format::histogram::{Histogram, is_marker};

use crate::model::{Labels, Sample, SeriesRef};

/// One sample of a series that the resolver knew.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The series.
    pub series: SeriesRef,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Any 64 bits. The marker of a histogram that is not the next one of the batch is stored as the plain NaN: without its
    /// histogram it would never be shown.
    pub value: f64,
}

/// The samples of a series that the resolver did not know, with what names it.
#[derive(Clone, Debug)]
pub struct NewSeries {
    /// The validated labels.
    pub labels: Arc<Labels>,
    /// Hash of the labels as the sender encoded them: the resolver's key from now on.
    pub raw_hash: u128,
    /// Its samples in the order in which they were sent; of their values, what is said of [`Row::value`].
    pub samples: Vec<Sample>,
    /// Its native histograms by their time in ms since 1970 UTC, in the order of their markers among the samples: see
    /// [`NewSeries::push_histogram`].
    pub histograms: Vec<(i64, Histogram)>,
    /// Times of samples and since when they count, both in ms since 1970 UTC: of those that say so, as [`StartRow`].
    pub starts: Vec<(i64, i64)>,
}

impl NewSeries {
    /// A series with samples, and no histograms yet.
    pub fn new(labels: Arc<Labels>, raw_hash: u128, samples: Vec<Sample>) -> NewSeries {
        NewSeries { labels, raw_hash, samples, histograms: Vec::new(), starts: Vec::new() }
    }

    /// Adds a histogram and the sample that is its marker.
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: Histogram) {
        self.samples.push(Sample { timestamp_ms, value: f64::from_bits(histogram.marker()) });
        self.histograms.push((timestamp_ms, histogram));
    }
}

/// One shard's share of a request.
#[derive(Clone, Debug, Default)]
pub struct ShardBatch {
    /// Samples of known series, in the order in which they were sent.
    pub rows: Vec<Row>,
    /// Samples of series that must be interned first.
    pub new: Vec<NewSeries>,
    /// The native histograms of known series, in the order of their markers among the rows: see
    /// [`ShardBatch::push_histogram`].
    pub histograms: Vec<HistogramRow>,
    /// Since when samples of known series count.
    pub starts: Vec<StartRow>,
}

/// A histogram of a known series, whose marker is among the rows of its batch.
#[derive(Clone, Debug)]
pub struct HistogramRow {
    /// The series.
    pub series: SeriesRef,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// What was observed.
    pub histogram: Histogram,
}

/// Since when a sample of a known series counts.
#[derive(Clone, Copy, Debug)]
pub struct StartRow {
    /// Whose sample.
    pub series: SeriesRef,
    /// The sample's time, in ms since 1970 UTC.
    pub timestamp_ms: i64,
    /// When what it counts began, in ms since 1970 UTC. Zero, to those who send it, is that it is not known: no row.
    pub start_ms: i64,
}

impl ShardBatch {
    /// Whether some of its samples say since when they count.
    pub(super) fn has_starts(&self) -> bool {
        !self.starts.is_empty() || self.new.iter().any(|series| !series.starts.is_empty())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.new.is_empty()
    }

    /// Adds a histogram of a known series, and the row that is its marker.
    pub fn push_histogram(&mut self, series: SeriesRef, timestamp_ms: i64, histogram: Histogram) {
        let value = f64::from_bits(histogram.marker());
        self.rows.push(Row { series, timestamp_ms, value });
        self.histograms.push(HistogramRow { series, timestamp_ms, histogram });
    }

    /// Native histograms in it.
    pub(super) fn histogram_count(&self) -> usize {
        self.histograms.len() + self.new.iter().map(|new| new.histograms.len()).sum::<usize>()
    }
}

/// Why a sample was refused while its neighbours were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Past the retention, or behind the newest sample of its own series by more than the out-of-order window.
    TooOld,
    /// More than [`super::FUTURE_MS_MAX`] ahead of the clock.
    TooFarAhead,
    /// Another value is stored for this timestamp; the first stays.
    Conflict,
    /// The series already has [`super::LATE_SAMPLES_MAX`] samples out of order in the head.
    TooManyLate,
    /// The series already has [`super::BELATED_SAMPLES_MAX`] samples in the head whose time is sealed into blocks.
    TooManyBelated,
    /// The head has as many series as `head.series_max` allows; those it knows go on being taken.
    TooManySeries,
}

impl Refusal {
    /// Whether the same sample, sent again in a moment, may be stored: a block that is being written makes room.
    pub fn passes(self) -> bool {
        matches!(self, Refusal::TooManyBelated)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TooOld => {
                "too old: past the retention, or behind the newest sample of its series by more than the window \
                 (setting head.out_of_order_window)"
            }
            Refusal::TooFarAhead => "more than 10 minutes in the future: set the sender's clock",
            Refusal::Conflict => "another value is already stored for this timestamp",
            Refusal::TooManyLate => "too many samples out of order for this series",
            Refusal::TooManyBelated => {
                "too many samples of sealed time for this series, until the next block is written"
            }
            Refusal::TooManySeries => "the limit of series is reached (setting head.series_max)",
        })
    }
}

/// What became of a request: everything that was not refused is on disk.
#[derive(Clone, Debug, Default)]
pub struct WriteSummary {
    /// Samples that are stored, native histograms and what was stored before included.
    pub stored_count: u64,
    /// How many of them are native histograms.
    pub histogram_count: u64,
    /// Native histograms among the samples that were refused.
    pub refused_histogram_count: u64,
    /// How many samples were refused for each reason.
    pub refused: Vec<(Refusal, u64)>,
    /// Samples that could not be stored because their series was freed while the request rested. Not zero: send again.
    pub gone_count: u64,
    /// Samples that a deletion removed from the head.
    pub deleted_count: u64,
    /// Start times that are stored with their samples.
    pub starts_stored_count: u64,
    /// Start times that are not, while their samples are.
    pub starts_refused_count: u64,
    /// The first refused sample, to be shown to the sender.
    pub first_refused: Option<(Arc<Labels>, i64, Refusal)>,
}

impl WriteSummary {
    /// Counts a refused sample; `labels` of the first only are asked for.
    pub(super) fn refuse(&mut self, labels: impl FnOnce() -> Arc<Labels>, timestamp_ms: i64, why: Refusal) {
        match self.refused.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((why, 1)),
        }
        if self.first_refused.is_none() {
            self.first_refused = Some((labels(), timestamp_ms, why));
        }
    }

    /// The same of a row; its value is a marker only of a histogram.
    pub(super) fn refuse_row(&mut self, labels: impl FnOnce() -> Arc<Labels>, row: Row, why: Refusal) {
        self.refused_histogram_count += u64::from(is_marker(row.value.to_bits()));
        self.refuse(labels, row.timestamp_ms, why);
    }

    /// How many samples were refused.
    pub fn refused_count(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    fn merge(&mut self, other: WriteSummary) {
        self.stored_count += other.stored_count;
        self.histogram_count += other.histogram_count;
        self.refused_histogram_count += other.refused_histogram_count;
        self.gone_count += other.gone_count;
        self.deleted_count += other.deleted_count;
        self.starts_stored_count += other.starts_stored_count;
        self.starts_refused_count += other.starts_refused_count;
        for (reason, count) in other.refused {
            match self.refused.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, total)) => *total += count,
                None => self.refused.push((reason, count)),
            }
        }
        if self.first_refused.is_none() {
            self.first_refused = other.first_refused;
        }
    }
}

/// Why a request as a whole was not acknowledged. All of them say: try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A shard's queue is full.
    #[error("the engine is busy: {0} requests are waiting for a shard; try again")]
    Busy(usize),
    /// So many samples' series were freed while the request waited for its shards: sent again, they are made anew.
    #[error("the series of {0} samples were freed while the request waited, for nothing had come for them; try again")]
    SeriesFreed(u64),
    /// The log cannot be written now. The operator must act; the engine goes on by itself afterwards.
    #[error("samples cannot be made safe on disk now: {0}")]
    LogFailing(String),
    /// The head's samples take more memory than they may; a cut is under way.
    #[error("the head holds more than {0} bytes of samples (setting head.bytes_max); try again")]
    HeadFull(usize),
    /// The engine is on its way down.
    #[error("the engine is shutting down")]
    Closing,
}

/// What is kept for a request until its last part has come to its end, whether somebody still waits for it or not: a
/// share of the memory that its rows take, a count of its series.
pub type Kept = Arc<dyn Any + Send + Sync>;

/// What became of a request, with what was kept for it: whoever takes the answer lets that go.
pub(super) struct Answer {
    pub(super) outcome: Result<WriteSummary, WriteError>,
    _kept: Option<Kept>,
}

/// Where the answer to a request comes out.
pub(super) type Answered = oneshot::Receiver<Answer>;

/// A request on its way through the shards and the log. Answered when its last part is on disk.
pub(super) struct Pending(Mutex<PendingState>);

struct PendingState {
    parts_left: usize,
    outcome: Result<WriteSummary, WriteError>,
    kept: Option<Kept>,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Pending {
    /// A request in `parts` parts, and where its answer will come out.
    pub(super) fn new(parts: usize, kept: Option<Kept>) -> (Arc<Pending>, Answered) {
        let (answer, answered) = oneshot::channel();
        let outcome = Ok(WriteSummary::default());
        let state = PendingState { parts_left: parts, outcome, kept, answer: Some(answer) };
        (Arc::new(Pending(Mutex::new(state))), answered)
    }

    /// One part has come to its end. The first failure is the request's.
    pub(super) fn finish_part(&self, part: Result<WriteSummary, WriteError>) {
        let mut state = self.0.lock();
        match (&mut state.outcome, part) {
            (Ok(whole), Ok(part)) => whole.merge(part),
            (Ok(_), Err(error)) => state.outcome = Err(error),
            (Err(_), _) => {}
        }
        state.parts_left -= 1;
        if state.parts_left == 0
            && let Some(answer) = state.answer.take()
        {
            let outcome = std::mem::replace(&mut state.outcome, Err(WriteError::Closing));
            let whole = Answer { outcome, _kept: state.kept.take() };
            drop(state);
            // The client may have left: what was stored stays stored, and what was kept goes here.
            let _ = answer.send(whole);
        }
    }
}
