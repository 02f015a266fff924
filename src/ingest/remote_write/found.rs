//! What was found in a message so far: rows of known series, new series, and what is refused.

use std::sync::Arc;

use hashbrown::HashSet;
use storage_format::histogram::Histogram;

use super::histogram::{Told, histogram};
use super::sample::sample;
use crate::ingest::histogram::sample_count;
use crate::ingest::rows::{Rows, check_series, over};
use crate::ingest::verdict::RefusedRows;
use crate::ingest::wire::WireError;
use crate::ingest::{Ingest, IngestError, IngestLimits};
use crate::model::{Labels, Sample, SeriesRef};
use crate::storage::{Known, NewSeries, Row, ShardBatch, StartRow, Storage, stored_histogram};

/// Pairs of a series as they stand in the message: no text yet.
pub(super) type RawPairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The walk's findings, and what it needs to judge them.
pub(super) struct Found<'a> {
    pub(super) storage: &'a Storage,
    pub(super) known: Known<'a>,
    pub(super) limits: &'a IngestLimits,
    batches: Vec<ShardBatch>,
    refused: RefusedRows,
    sample_count: usize,
}

/// How much was found of a series' shard before a part of it was read.
pub(super) struct Mark {
    shard: usize,
    row_count: usize,
    start_count: usize,
    sample_count: usize,
}

/// A native histogram that stands in a message, counted, and where it ends in the body.
pub(super) type Encoded<'m> = (&'m [u8], usize);

/// What a message has of one series.
#[derive(Default)]
pub(super) struct SeriesParts<'m> {
    pub(super) samples: Vec<Sample>,
    /// Read when the samples are.
    pub(super) histograms: Vec<Encoded<'m>>,
    /// Times of samples and since when they count, of those that say so.
    starts: Vec<(i64, i64)>,
    /// Since when the others count; 0 if that is not known.
    pub(super) created_ms: i64,
}

impl SeriesParts<'_> {
    /// Adds a sample, and since when it counts; 0 if it does not say so.
    pub(super) fn push(&mut self, sample: Sample, start_ms: i64) {
        if start_ms != 0 {
            self.starts.push((sample.timestamp_ms, start_ms));
        }
        self.samples.push(sample);
    }

    fn count(&self) -> usize {
        self.samples.len() + self.histograms.len()
    }
}

impl<'a> Found<'a> {
    pub(super) fn new(ingest: &'a Ingest) -> Found<'a> {
        let storage = &ingest.storage;
        Found {
            storage,
            known: storage.resolver().known(),
            limits: &ingest.limits,
            batches: vec![ShardBatch::default(); storage.shard_count()],
            refused: RefusedRows::default(),
            sample_count: 0,
        }
    }

    pub(super) fn into_rows(self) -> Rows {
        Rows { batches: self.batches, refused: self.refused }
    }

    /// Adds a sample of a known series, and since when it counts. Its message ends at `base` in the body.
    #[inline]
    pub(super) fn row(&mut self, series: SeriesRef, bytes: &[u8], base: usize) -> Result<(), IngestError> {
        let (sample, start_ms) = sample(bytes, base).map_err(malformed)?;
        self.start(series, sample.timestamp_ms, start_ms);
        self.push(series, sample)
    }

    /// Says since when a sample of a known series counts; 0 if it does not say so.
    #[inline]
    fn start(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64) {
        if start_ms != 0 {
            self.batches[series.shard()].starts.push(StartRow { series, timestamp_ms, start_ms });
        }
    }

    /// Says of the rows since the mark, all of one series, since when those count that do not say it themselves.
    #[cold]
    pub(super) fn start_others(&mut self, series: SeriesRef, mark: &Mark, start_ms: i64) {
        let batch = &mut self.batches[mark.shard];
        let started: HashSet<i64> = batch.starts[mark.start_count..].iter().map(|start| start.timestamp_ms).collect();
        let others = batch.rows[mark.row_count..].iter().filter(|row| !started.contains(&row.timestamp_ms));
        let start = |row: &Row| StartRow { series, timestamp_ms: row.timestamp_ms, start_ms };
        batch.starts.extend(others.map(start));
    }

    /// Adds a sample of a known series.
    #[inline]
    pub(super) fn push(&mut self, series: SeriesRef, sample: Sample) -> Result<(), IngestError> {
        self.push_uncounted(series, sample);
        self.count_samples(1)
    }

    /// Adds a sample of a known series that the caller counts later.
    #[inline(always)]
    pub(super) fn push_uncounted(&mut self, series: SeriesRef, sample: Sample) {
        let Sample { timestamp_ms, value } = sample;
        self.batches[series.shard()].rows.push(Row { series, timestamp_ms, value });
    }

    /// Makes room for a sample of each of so many series, which are spread evenly over the shards.
    pub(super) fn reserve(&mut self, series_count: usize) {
        let each = series_count.div_ceil(self.batches.len());
        self.batches.iter_mut().for_each(|batch| batch.rows.reserve(each));
    }

    /// Reads a sample of a series that may be new, and since when it counts; 0 if it does not say so.
    pub(super) fn sample(&mut self, bytes: &[u8], base: usize) -> Result<(Sample, i64), IngestError> {
        self.count_samples(1)?;
        sample(bytes, base).map_err(malformed)
    }

    pub(super) fn mark(&self, series: SeriesRef) -> Mark {
        let shard = series.shard();
        let batch = &self.batches[shard];
        let (row_count, start_count) = (batch.rows.len(), batch.starts.len());
        Mark { shard, row_count, start_count, sample_count: self.sample_count }
    }

    /// Forgets the rows of the shard since the mark.
    pub(super) fn go_back(&mut self, mark: &Mark) {
        self.batches[mark.shard].rows.truncate(mark.row_count);
        self.batches[mark.shard].starts.truncate(mark.start_count);
        self.sample_count = mark.sample_count;
    }

    /// Notes a native histogram to be read when all samples of its series are.
    pub(super) fn note_histogram<'m>(
        &mut self,
        all: &mut Vec<Encoded<'m>>,
        bytes: &'m [u8],
        end: usize,
    ) -> Result<(), IngestError> {
        self.count_samples(1)?;
        all.push((bytes, end));
        Ok(())
    }

    /// Adds the native histograms of a known series.
    pub(super) fn histograms(&mut self, series: SeriesRef, all: &[Encoded<'_>]) -> Result<(), IngestError> {
        for encoded in all {
            if let Some((timestamp_ms, start_ms, histogram)) =
                self.histogram(*encoded, || "a known series".to_owned())?
            {
                self.start(series, timestamp_ms, start_ms);
                self.batches[series.shard()].push_histogram(series, timestamp_ms, histogram);
            }
        }
        Ok(())
    }

    /// Reads a native histogram of the series that `of` shows: its time, since when it counts, and itself. One that may not
    /// be stored is refused alone: `None`.
    fn histogram(
        &mut self,
        (bytes, end): Encoded<'_>,
        of: impl FnOnce() -> String,
    ) -> Result<Option<(i64, i64, Histogram)>, IngestError> {
        let Told { timestamp_ms, start_ms, histogram } = histogram(bytes, end).map_err(malformed)?;
        match histogram {
            Ok(histogram) => {
                let histogram = stored_histogram(&histogram);
                self.count_samples(sample_count(&histogram) - 1)?;
                Ok(Some((timestamp_ms, start_ms, histogram)))
            }
            Err(reason) => {
                let what = || format!("a native histogram of {} at {timestamp_ms}", of());
                self.refused.add(1, format!("native histogram: {reason}"), what);
                Ok(None)
            }
        }
    }

    /// Adds a series that is not known under this key, or refuses it alone. Without samples there is nothing to store,
    /// and no series is made.
    pub(super) fn new_series(
        &mut self,
        pairs: &RawPairs<'_>,
        parts: SeriesParts<'_>,
        key: u128,
    ) -> Result<(), IngestError> {
        let labels = match labels(pairs) {
            Ok(labels) => Arc::new(labels),
            Err(reason) => return self.refuse_series(&parts, reason, pairs),
        };
        let mut new = NewSeries { starts: parts.starts, ..NewSeries::new(labels, key, parts.samples) };
        for encoded in parts.histograms {
            if let Some((timestamp_ms, start_ms, histogram)) = self.histogram(encoded, || new.labels.to_string())? {
                new.starts.extend((start_ms != 0).then_some((timestamp_ms, start_ms)));
                new.push_histogram(timestamp_ms, histogram);
            }
        }
        if parts.created_ms != 0 {
            let started: HashSet<i64> = new.starts.iter().map(|(timestamp_ms, _)| *timestamp_ms).collect();
            let others = new.samples.iter().map(|sample| sample.timestamp_ms).filter(|ms| !started.contains(ms));
            new.starts.extend(others.map(|timestamp_ms| (timestamp_ms, parts.created_ms)));
        }
        if !new.samples.is_empty() {
            self.batches[self.storage.shard_of(&new.labels)].new.push(new);
        }
        Ok(())
    }

    /// Refuses a series with its samples; of one that has none, the series counts. What cannot be read of it spoils the
    /// request all the same.
    pub(super) fn refuse_series(
        &mut self,
        parts: &SeriesParts<'_>,
        reason: String,
        pairs: &RawPairs<'_>,
    ) -> Result<(), IngestError> {
        let count = u64::try_from(parts.count().max(1)).unwrap_or(u64::MAX);
        self.refused.add(count, reason, || format!("the series {}", shown(pairs)));
        for (bytes, end) in &parts.histograms {
            histogram(bytes, *end).map_err(malformed)?;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn count_samples(&mut self, count: usize) -> Result<(), IngestError> {
        self.sample_count += count;
        if self.sample_count > self.limits.samples_per_request_max {
            return Err(over("samples", self.limits.samples_per_request_max, "samples_per_request_max"));
        }
        Ok(())
    }
}

/// Says that a request without a series of its own has some of the other version: taken, they would be lost without a word.
#[cold]
pub(super) fn announced_wrongly(written: &str, announced: &str) -> IngestError {
    IngestError::Malformed(format!(
        "the body is remote write {written} and is announced as {announced}: version 2.0 is told by \
         Content-Type application/x-protobuf;proto=io.prometheus.write.v2.Request"
    ))
}

#[cold]
pub(super) fn malformed(error: WireError) -> IngestError {
    IngestError::Malformed(format!("the body is not remote write: byte {}: {}", error.offset, error.what))
}

fn labels(pairs: &RawPairs<'_>) -> Result<Labels, String> {
    let mut texts = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "a label is not valid UTF-8".to_owned());
        texts.push((text(name)?, text(value)?));
    }
    let labels = Labels::from_pairs(texts).map_err(|error| error.to_string())?;
    check_series(&labels)?;
    Ok(labels)
}

/// A refused label set, as far as it can be shown.
fn shown(pairs: &RawPairs<'_>) -> String {
    let pair = |(name, value): &(&[u8], &[u8])| {
        let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        format!("{}={:?}", short(name), short(value))
    };
    let all: Vec<String> = pairs.iter().take(8).map(pair).collect();
    format!("{{{}}}", all.join(", "))
}
