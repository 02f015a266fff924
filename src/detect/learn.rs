//! Stored history goes through detection as if it came now, at full speed: what would have been learned is then known.
//!
//! ```text
//! view ─ two hours of every watched series ─► in order of time ─► Worker ─► Judge ─► checkpoint
//! ```
//!
//! Sixty days of 340 series are 120 million samples; one worker takes them in, and the judge closes the buckets on the
//! same thread in between.
//!
//! Always true:
//! 1. What is learned of samples is what would have been learned of them live, had they come in order of time.
//! 2. At most [`ROWS_MAX`] samples or so are held at a time: the more there are, the shorter the stretch that is read.
//!
//! Watches that are evaluated are told what [`learn`]'s caller evaluates; who evaluates nothing lets them learn as they go.
//!
//! Deliberately absent: telling alerts. What began and ended long ago is counted, and wakes nobody.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Calendar, EvaluatedValue, Judge, Kind, Shared, Transition, Watch, Worker, Zone, start};
use crate::model::{Labels, Matcher, SeriesRef, TimeRange};
use crate::storage::tap::{TapBatch, TapRow};
use crate::storage::view::{Columns, ReadView, SeriesView, ViewError, stands_for_histogram};

/// Samples that are held at a time, about.
const ROWS_MAX: usize = 2_000_000;
/// Samples that are handed over at a time.
const BATCH_ROWS: usize = 10_000;
/// How much event time passes, at most, before evaluated watches are asked again, in ms: less than a server makes up for.
const EVALUATED_PIECE_MS: i64 = 600_000;
/// The longest and the shortest stretch that is read at a time, in ms.
const STRETCH_MS_MAX: i64 = 7_200_000;
const STRETCH_MS_MIN: i64 = 60_000;
/// Most transitions that are told.
pub const TRANSITIONS_COUNT_MAX: usize = 1_000_000;
/// Most series of all history.
const SERIES_COUNT_MAX: usize = 4_000_000;

/// Why history cannot be learned from.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The stored samples cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There are too many series. The operator must learn from less.
    #[error("the rules watch more than {SERIES_COUNT_MAX} series of this history; a later beginning has fewer of them")]
    TooManySeries,
}

/// Says what evaluated watches are to be told, as far as time has come: values in order of time, each once.
pub type Evaluate<'a> = &'a mut dyn FnMut(&Shared) -> Vec<EvaluatedValue>;

/// What history taught.
pub struct Learned {
    /// The judge, who has learned it.
    pub judge: Judge,
    /// Samples that were handed over.
    pub samples_count: u64,
    /// Series that they belong to.
    pub series_count: usize,
    /// How often each watch would have fired.
    pub fired_counts: Vec<usize>,
    /// What began and ended, in the order of each group, without the figures behind it; the first
    /// [`TRANSITIONS_COUNT_MAX`] of them.
    pub transitions: Vec<Transition>,
}

/// What a server would go by.
#[derive(Clone, Debug)]
pub struct LearnOptions {
    /// How long late samples are waited for, in ms; none: that is learned ([`start`]).
    pub lateness_ms: Option<i64>,
    /// How long what fires is kept when nothing comes of it, in ms of event time ([`Judge::keep_unheard`]).
    pub unheard_max_ms: i64,
    /// The clock of days and weeks ([`Judge::live_by`]).
    pub zone: Zone,
    /// Days that are not like others.
    pub calendar: Calendar,
}

/// Learns from what the view holds in `range`. `progress` is told the event time that was reached, in ms since 1970 UTC,
/// many times a day of it; it may be shown to people. `evaluate` is asked as time passes, if there is one.
pub fn learn(
    view: &ReadView,
    range: TimeRange,
    watches: Vec<Watch>,
    options: LearnOptions,
    mut evaluate: Option<Evaluate<'_>>,
    progress: &mut dyn FnMut(i64),
) -> Result<Learned, LearnError> {
    let selectors = selectors_of(&watches);
    let (mut workers, mut judge) = start(watches.clone(), 1, options.lateness_ms);
    judge.live_by(options.zone, options.calendar);
    judge.keep_unheard(options.unheard_max_ms);
    let worker = workers.remove(0);
    let fired_counts = vec![0; watches.len()];
    let mut lesson =
        Lesson { worker, judge, refs: HashMap::new(), samples_count: 0, fired_counts, transitions: Vec::new() };
    let (mut from_ms, mut stretch_ms) = (range.from_ms, STRETCH_MS_MAX);
    while from_ms <= range.to_ms {
        let to_ms = from_ms.saturating_add(stretch_ms - 1).min(range.to_ms);
        let rows_count = lesson.read(view, &selectors, TimeRange { from_ms, to_ms }, &mut evaluate)?;
        stretch_ms = next_stretch_ms(stretch_ms, rows_count);
        progress(to_ms);
        if to_ms == i64::MAX {
            break;
        }
        from_ms = to_ms + 1;
    }
    let Lesson { judge, refs, samples_count, fired_counts, transitions, .. } = lesson;
    Ok(Learned { judge, samples_count, series_count: refs.len(), fired_counts, transitions })
}

/// Each selector once: rules often ask for the same series.
fn selectors_of(watches: &[Watch]) -> Vec<Vec<Matcher>> {
    let mut selectors: Vec<Vec<Matcher>> = Vec::new();
    for selector in watches.iter().flat_map(|watch| watch.signal.selectors()) {
        if !selectors.iter().any(|known| is_same(known, selector)) {
            selectors.push(selector.to_vec());
        }
    }
    selectors
}

fn is_same(one: &[Matcher], other: &[Matcher]) -> bool {
    let told = |matchers: &[Matcher]| matchers.iter().map(ToString::to_string).collect::<Vec<_>>();
    told(one) == told(other)
}

/// Half as much after too many rows, twice as much after few.
fn next_stretch_ms(stretch_ms: i64, rows_count: usize) -> i64 {
    let next_ms = match rows_count {
        ROWS_MAX.. => stretch_ms / 2,
        few if few < ROWS_MAX / 4 => stretch_ms * 2,
        _ => stretch_ms,
    };
    next_ms.clamp(STRETCH_MS_MIN, STRETCH_MS_MAX)
}

struct Lesson {
    worker: Worker,
    judge: Judge,
    /// What the worker knows each series by.
    refs: HashMap<Arc<Labels>, SeriesRef>,
    samples_count: u64,
    fired_counts: Vec<usize>,
    transitions: Vec<Transition>,
}

impl Lesson {
    /// Hands over a stretch of time; says how many samples it had.
    fn read(
        &mut self,
        view: &ReadView,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        evaluate: &mut Option<Evaluate<'_>>,
    ) -> Result<usize, LearnError> {
        let mut found: HashMap<Arc<Labels>, SeriesView> = HashMap::new();
        for selector in selectors {
            let series = view.find(selector, range, SERIES_COUNT_MAX)?;
            found.extend(series.into_iter().map(|one| (one.labels().clone(), one)));
        }
        // In order, so that the same history teaches the same.
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (mut rows, mut columns, mut new) = (Vec::new(), Columns::default(), Vec::new());
        for (labels, series) in found {
            columns.clear();
            series.read(range, &mut columns);
            if columns.is_empty() {
                continue;
            }
            let series = self.reference(labels, &mut new)?;
            // The worker is told of floats.
            let floats = columns.iter().filter(|(_, value)| !stands_for_histogram(*value));
            rows.extend(floats.map(|(timestamp_ms, value)| TapRow { series, timestamp_ms, value }));
        }
        rows.sort_unstable_by_key(|row| (row.timestamp_ms, row.series));
        self.hand_over(TapBatch { series: new, ..TapBatch::default() });
        // The first moment to evaluate is that of the first sample, so that one is looked at alone.
        let alone = usize::from(self.samples_count == 0 && evaluate.is_some()).min(rows.len());
        let (first, others) = rows.split_at(alone);
        let is_together = |one: &TapRow, other: &TapRow| {
            let piece = |row: &TapRow| row.timestamp_ms.div_euclid(EVALUATED_PIECE_MS);
            evaluate.is_none() || piece(one) == piece(other)
        };
        let pieces: Vec<&[TapRow]> = others.chunk_by(is_together).collect();
        for rows in std::iter::once(first).chain(pieces).flat_map(|piece| piece.chunks(BATCH_ROWS)) {
            self.hand_over(TapBatch { rows: rows.to_vec(), ..TapBatch::default() });
            if let Some(evaluate) = evaluate {
                self.tell_evaluated(evaluate(self.judge.shared()));
            }
        }
        self.samples_count += rows.len() as u64;
        Ok(rows.len())
    }

    fn tell_evaluated(&mut self, values: Vec<EvaluatedValue>) {
        for told in values {
            let transitions = self.judge.observe_evaluated(told.watch, &told.labels, told.at_ms, told.value);
            self.count(&transitions);
        }
    }

    fn reference(
        &mut self,
        labels: Arc<Labels>,
        new: &mut Vec<(SeriesRef, Arc<Labels>)>,
    ) -> Result<SeriesRef, LearnError> {
        if let Some(&known) = self.refs.get(&labels) {
            return Ok(known);
        }
        if self.refs.len() >= SERIES_COUNT_MAX {
            return Err(LearnError::TooManySeries);
        }
        let reference = SeriesRef::new(0, 0, self.refs.len() as u32);
        new.push((reference, labels.clone()));
        self.refs.insert(labels, reference);
        Ok(reference)
    }

    fn hand_over(&mut self, batch: TapBatch) {
        self.worker.make_up(&batch);
        loop {
            self.worker.publish();
            let transitions = self.judge.poll();
            self.count(&transitions);
            if self.worker.pending() == 0 {
                return;
            }
        }
    }

    fn count(&mut self, transitions: &[Transition]) {
        for transition in transitions.iter().filter(|transition| transition.kind == Kind::Firing) {
            self.fired_counts[transition.watch] += 1;
        }
        let room = TRANSITIONS_COUNT_MAX - self.transitions.len();
        let plain = |told: &Transition| Transition { explanation: None, ..told.clone() };
        self.transitions.extend(transitions.iter().take(room).map(plain));
    }
}
