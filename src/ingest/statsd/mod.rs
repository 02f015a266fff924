//! StatsD: lines that say what happened, added up here and stored at each flush as a scrape would find it.
//!
//! ```text
//! shop.orders:1|c           ┐                        ┌ shop_orders_total 2
//! shop.orders:1|c           ├─► 10 s ─► flush ──────►│ shop_checkout_seconds_bucket{le="0.5", region="eu"} 1 …
//! shop.checkout:320|ms|#…eu ┘                        └ and again at each flush, whether lines came or not
//! ```
//!
//! A counter grows for as long as the server runs, so `rate` and `increase` mean what they mean elsewhere; a series that
//! begins is written as zero where it still was, so they see its first growth. A restart is a counter's reset.
//! A counter never falls: what `decr` takes away is held against the increments that follow.
//!
//! Always true:
//! 1. A line that cannot be read is counted and its neighbours are taken; no bytes panic.
//! 2. The state is bounded: [`StatsdOptions::series_max`] series, each of a line of [`LINE_BYTES_MAX`], and
//!    [`SET_VALUES_MAX`] values of sets. Past that lines are refused, and counted.
//! 3. A flush that storage does not take loses a moment and no increment: the next one tells the same counters.
//! 4. A series without lines for [`StatsdOptions::idle_timeout`] is ended by a staleness marker and forgotten.
//!
//! Deliberately absent: sockets (they are the server's), and StatsD's own quantiles: `histogram_quantile` has those.

mod line;
mod series;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Ingest, IngestError, Written};
use crate::clock::Clock;
use line::{Line, Number};
use series::{FlushTimes, STORED_SERIES_MAX, Series, stored_name};

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 4096;
/// Most values that all sets together may have between two flushes.
const SET_VALUES_MAX: usize = 1_000_000;
/// Most series that are stored in one request: a flush does not keep others from the shards for long.
const STORED_SERIES_PER_REQUEST: usize = 20_000;
/// Ends a piece of a key; no byte of UTF-8.
const KEY_PIECE_END: u8 = 0xff;

/// What bounds the state.
#[derive(Clone, Copy, Debug)]
pub struct StatsdOptions {
    /// Most series (name, type and tags) at a time.
    pub series_max: usize,
    /// How long a series stays without lines.
    pub idle_timeout: Duration,
}

/// What is counted of StatsD. Relaxed: they are figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct StatsdCounters {
    /// Datagrams received.
    pub datagrams: AtomicU64,
    /// Datagrams for which there was no room.
    pub datagrams_dropped: AtomicU64,
    /// Lines taken.
    pub lines_taken: AtomicU64,
    /// Lines refused.
    pub lines_refused: AtomicU64,
    /// Series at present.
    pub series: AtomicU64,
    /// Flushes that storage did not take, in part or whole.
    pub flushes_failed: AtomicU64,
}

/// What came, added up. It has one owner, who takes and flushes by turns.
pub struct Statsd {
    options: StatsdOptions,
    clock: Clock,
    counters: Arc<StatsdCounters>,
    /// By name and tags, as [`key_of`] writes them.
    series: HashMap<Vec<u8>, Series>,
    set_values_count: usize,
    flushed_ms: i64,
    first_refused: Option<String>,
    key: Vec<u8>,
    numbers: Vec<Number>,
}

impl Statsd {
    /// Nothing yet. Series that come before the first flush begin now.
    pub fn new(options: StatsdOptions, clock: Clock, counters: Arc<StatsdCounters>) -> Statsd {
        let flushed_ms = clock.now_ms();
        Statsd {
            options,
            clock,
            counters,
            series: HashMap::new(),
            set_values_count: 0,
            flushed_ms,
            first_refused: None,
            key: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Takes lines, separated by line feeds.
    pub fn take(&mut self, lines: &[u8]) {
        let now = self.clock.monotonic();
        let mut taken_count = 0;
        for line in lines.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match self.take_line(line, now) {
                Ok(()) => taken_count += 1,
                Err(reason) => self.refuse(line, &reason),
            }
        }
        self.counters.lines_taken.fetch_add(taken_count, Ordering::Relaxed);
        self.counters.series.store(self.series.len() as u64, Ordering::Relaxed);
    }

    /// The first line refused since this was asked last, and why.
    pub fn first_refused(&mut self) -> Option<String> {
        self.first_refused.take()
    }

    fn take_line(&mut self, bytes: &[u8], now: Duration) -> Result<(), String> {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(format!("it is longer than {LINE_BYTES_MAX} bytes"));
        }
        let line = line::read(bytes, &mut self.numbers)?;
        let name = stored_name(&line);
        key_of(&name, &line, &mut self.key);
        if !self.series.contains_key(&self.key) {
            let series_max = self.options.series_max;
            if self.series.len() >= series_max {
                return Err(format!("there are statsd.series_max = {series_max} series already"));
            }
            self.series.insert(self.key.clone(), Series::begin(&name, &line, now)?);
        }
        let series = self.series.get_mut(&self.key).expect("it was there or is now");
        if !series.is_of(line.kind) {
            return Err(format!("{name} is of another type already"));
        }
        if series.would_grow(&line) {
            if self.set_values_count >= SET_VALUES_MAX {
                return Err(format!("all sets together have {SET_VALUES_MAX} values since the last flush"));
            }
            self.set_values_count += 1;
        }
        series.take(&line, &self.numbers, now);
        Ok(())
    }

    #[cold]
    fn refuse(&mut self, line: &[u8], reason: &str) {
        self.counters.lines_refused.fetch_add(1, Ordering::Relaxed);
        if self.first_refused.is_none() {
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]);
            self.first_refused = Some(format!("{shown:?}: {reason}"));
        }
    }

    fn is_idle(&self, series: &Series, now: Duration) -> bool {
        now.saturating_sub(series.touched) >= self.options.idle_timeout
    }

    /// Flushes into rows that nobody stores.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn flush_into(&mut self, rows: &mut super::RowsBuilder<'_>) -> Result<(), IngestError> {
        let times = self.times();
        self.series.values_mut().for_each(Series::seal);
        self.series.values().try_for_each(|series| series.emit(times, rows))?;
        self.settle(times.now_ms, self.clock.monotonic());
        Ok(())
    }

    /// What is written by a flush now.
    fn times(&self) -> FlushTimes {
        let mut now_ms = self.clock.now_ms();
        if now_ms == self.flushed_ms {
            // The last flush before the end can come at once, and a series has one value at a time.
            now_ms += 1;
        }
        // One later than the last flush: a series that was ended there and begins again keeps its end.
        let zero_ms = Some(self.flushed_ms + 1).filter(|zero_ms| *zero_ms < now_ms);
        FlushTimes { now_ms, zero_ms }
    }

    /// Goes on after a flush that is stored.
    fn settle(&mut self, flushed_ms: i64, now: Duration) {
        let idle_timeout = self.options.idle_timeout;
        self.series.retain(|_, series| now.saturating_sub(series.touched) < idle_timeout);
        self.series.values_mut().for_each(Series::settle);
        self.set_values_count = 0;
        self.flushed_ms = flushed_ms;
        self.counters.series.store(self.series.len() as u64, Ordering::Relaxed);
    }
}

impl Ingest {
    /// Stores what every series is now. `Ok` means that it is on disk. What is refused among others
    /// ([`IngestError::Partial`], [`IngestError::Crowded`]) is forgotten as if it were stored; after any other error the
    /// next flush tells all of it again.
    pub async fn flush_statsd(&self, statsd: &mut Statsd) -> Result<Written, IngestError> {
        let outcome = self.flush_all(statsd).await;
        if outcome.is_err() {
            statsd.counters.flushes_failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn flush_all(&self, statsd: &mut Statsd) -> Result<Written, IngestError> {
        let (times, now) = (statsd.times(), statsd.clock.monotonic());
        statsd.series.values_mut().for_each(Series::seal);
        let stored_series_max = STORED_SERIES_PER_REQUEST.min(self.limits.series_per_request_max);
        let all: Vec<&Series> = statsd.series.values().collect();
        let mut written = Written::default();
        let mut partial = None;
        for some in all.chunks((stored_series_max / STORED_SERIES_MAX).max(1)) {
            let fill = |rows: &mut super::RowsBuilder<'_>| {
                for series in some {
                    let emitted = match statsd.is_idle(series, now) {
                        true => series.emit_end(times.now_ms, rows),
                        false => series.emit(times, rows),
                    };
                    if let Err(error) = emitted {
                        rows.refuse(1, error.to_string(), || "a series of StatsD".to_owned());
                    }
                }
            };
            match self.take_own(fill).await {
                Ok(part) => written.samples += part.samples,
                // Its neighbours are stored, and the next flush tells the state again.
                Err(error @ (IngestError::Partial(_) | IngestError::Crowded(_))) => partial = partial.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        statsd.settle(times.now_ms, now);
        partial.map_or(Ok(written), Err)
    }
}

/// What tells series apart: the name that is stored and the tags in order.
fn key_of(name: &str, line: &Line<'_>, key: &mut Vec<u8>) {
    key.clear();
    let tags = line.tags.iter().flat_map(|(name, value)| [name.as_ref(), *value]);
    for piece in [name].into_iter().chain(tags) {
        key.extend_from_slice(piece.as_bytes());
        key.push(KEY_PIECE_END);
    }
}
