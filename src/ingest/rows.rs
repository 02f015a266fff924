//! Rows of a request under construction, for every protocol that is not worth a walk of its own.
//!
//! A reader names a series by its label pairs, in any order, and adds samples to it:
//!
//! ```text
//! let series = rows.series([("__name__", "up"), ("job", "shop")])?;
//! rows.sample(series, now_ms, 1.0)?;
//! ```
//!
//! A series is resolved by the encoding that Prometheus's remote write would give its sorted labels, so whoever pushes
//! it, by whatever protocol, is resolved by one entry.

use std::sync::Arc;

use hashbrown::HashMap;

use super::histogram;
use super::protobuf::{append_bytes, append_head, field_bytes};
use super::verdict::RefusedRows;
use super::{IngestError, IngestLimits, Metadata, MetricKind};
use crate::model::{FloatHistogram, LABELS_BYTES_MAX, LABELS_COUNT_MAX, Labels, METRIC_NAME, Sample, SeriesRef};
use crate::storage::{Known, NewSeries, Row, ShardBatch, StartRow, Storage, is_reserved, stored_histogram};

/// A request, resolved and split.
#[derive(Default)]
pub(super) struct Rows {
    /// One batch a shard.
    pub(super) batches: Vec<ShardBatch>,
    /// What no shard will see.
    pub(super) refused: RefusedRows,
}

impl Rows {
    /// Memory that the rows take.
    pub(super) fn bytes(&self) -> usize {
        let new = |series: &NewSeries| {
            let histograms: usize = series.histograms.iter().map(|(_, histogram)| histogram::bytes(histogram)).sum();
            let samples = series.samples.capacity() * size_of::<Sample>();
            let starts = series.starts.capacity() * size_of::<(i64, i64)>();
            size_of::<NewSeries>() + series.labels.heap_bytes() + samples + histograms + starts
        };
        let of_batch = |batch: &ShardBatch| {
            let histograms: usize = batch.histograms.iter().map(|row| histogram::bytes(&row.histogram)).sum();
            let rows = batch.rows.capacity() * size_of::<Row>() + batch.starts.capacity() * size_of::<StartRow>();
            rows + batch.new.iter().map(new).sum::<usize>() + histograms
        };
        self.batches.iter().map(of_batch).sum()
    }
}

/// A series of the request. Of one that was refused, samples are counted as refused too.
#[derive(Clone, Copy, Debug)]
pub(super) enum SeriesRow {
    /// The database knows it.
    Known(SeriesRef),
    /// Place among the new series of a shard.
    New {
        /// The shard.
        shard: usize,
        /// Index in its batch.
        index: usize,
    },
    /// Its labels are not allowed: the place of the reason, which is told already.
    Refused(usize),
}

/// Collects what a reader finds in a body.
pub(super) struct RowsBuilder<'a> {
    storage: &'a Storage,
    known: Known<'a>,
    limits: &'a IngestLimits,
    metadata: &'a Metadata,
    rows: Rows,
    series_count: usize,
    sample_count: usize,
    key: Vec<u8>,
    /// Series that are new with this request, by the key of their protocol.
    fresh: HashMap<u128, SeriesRow>,
    /// Bytes that the labels of new series take, and may take.
    label_bytes: usize,
    label_bytes_max: usize,
}

impl<'a> RowsBuilder<'a> {
    pub(super) fn new(storage: &'a Storage, limits: &'a IngestLimits, metadata: &'a Metadata) -> RowsBuilder<'a> {
        let batches = vec![ShardBatch::default(); storage.shard_count()];
        RowsBuilder {
            storage,
            known: storage.resolver().known(),
            limits,
            metadata,
            rows: Rows { batches, refused: RefusedRows::default() },
            series_count: 0,
            sample_count: 0,
            key: Vec::new(),
            fresh: HashMap::new(),
            label_bytes: 0,
            label_bytes_max: 2 * limits.request_decoded_bytes_max,
        }
    }

    /// For rows of a state of our own, whose size has limits of its own.
    pub(super) fn of_own(self) -> RowsBuilder<'a> {
        RowsBuilder { label_bytes_max: usize::MAX, ..self }
    }

    /// Begins a series: pairs in any order, the metric's name among them as `__name__`; empty values are no labels. A
    /// series whose labels are not allowed is refused alone. Fails when the request has more than
    /// `limits.series_per_request_max`.
    pub(super) fn series<'p>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<SeriesRow, IngestError> {
        self.count_series()?;
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if pairs.len() > LABELS_COUNT_MAX || bytes > LABELS_BYTES_MAX {
            return self.new_series(0, &pairs); // it is refused, without a look at all of its bytes
        }
        pairs.sort_unstable();
        encode_key(&pairs, &mut self.key);
        let raw_hash = self.storage.resolver().raw_hash(&self.key);
        if let Some(reference) = self.known.get(raw_hash) {
            return Ok(SeriesRow::Known(reference));
        }
        if let Some(series) = self.fresh.get(&raw_hash) {
            return Ok(*series);
        }
        let series = self.new_series(raw_hash, &pairs)?;
        self.fresh.insert(raw_hash, series);
        Ok(series)
    }

    /// The key of a series that a protocol writes as these bytes, the same every time. Two that begin with another
    /// byte, or are made different otherwise, keep protocols apart: remote write's begin with 0x0a.
    #[inline]
    pub(super) fn key(&self, encoded: &[u8]) -> u128 {
        self.storage.resolver().raw_hash(encoded)
    }

    /// The series that the database knows by this key.
    #[inline]
    pub(super) fn known_by(&self, key: u128) -> Option<SeriesRow> {
        self.known.get(key).map(SeriesRow::Known)
    }

    /// As [`RowsBuilder::series`], for one that the database does not know by `key`: from the next request on it does.
    /// Within this one it is begun once, however often it is named.
    #[cold]
    pub(super) fn series_by<'p>(
        &mut self,
        key: u128,
        pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<SeriesRow, IngestError> {
        if let Some(series) = self.fresh.get(&key) {
            return Ok(*series);
        }
        self.count_series()?;
        let pairs: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let series = self.new_series(key, &pairs)?;
        self.fresh.insert(key, series);
        Ok(series)
    }

    #[cold]
    fn new_series(&mut self, raw_hash: u128, pairs: &[(&str, &str)]) -> Result<SeriesRow, IngestError> {
        let shown = || format!("the series {}", shown(pairs));
        let labels = Labels::from_pairs(pairs.iter().copied()).map_err(|error| error.to_string());
        match labels.and_then(|labels| check_series(&labels).map(|()| labels)) {
            Ok(labels) => {
                self.count_labels(&labels)?;
                Ok(self.begin_new(raw_hash, labels))
            }
            Err(reason) => Ok(SeriesRow::Refused(self.rows.refused.note(0, reason, shown))),
        }
    }

    /// Counts what the labels of new series take: a protocol may name long ones once and mean them many times.
    fn count_labels(&mut self, labels: &Labels) -> Result<(), IngestError> {
        self.label_bytes += labels.heap_bytes();
        if self.label_bytes > self.label_bytes_max {
            let setting = "request_decoded_bytes_max";
            let bytes_max = self.label_bytes_max;
            let what = format!(
                "the labels of the request's new series take more than {bytes_max} bytes, twice limits.{setting}; \
                 send smaller requests"
            );
            return Err(IngestError::TooLarge { setting, what });
        }
        Ok(())
    }

    fn begin_new(&mut self, raw_hash: u128, labels: Labels) -> SeriesRow {
        let shard = self.storage.shard_of(&labels);
        let new = &mut self.rows.batches[shard].new;
        new.push(NewSeries::new(Arc::new(labels), raw_hash, Vec::new()));
        SeriesRow::New { shard, index: new.len() - 1 }
    }

    /// Adds a sample. Fails when the request has more than `limits.samples_per_request_max`.
    pub(super) fn sample(&mut self, series: SeriesRow, timestamp_ms: i64, value: f64) -> Result<(), IngestError> {
        self.count_samples(1)?;
        match series {
            SeriesRow::Known(series) => {
                self.rows.batches[series.shard()].rows.push(Row { series, timestamp_ms, value });
            }
            SeriesRow::New { shard, index } => {
                self.rows.batches[shard].new[index].samples.push(Sample { timestamp_ms, value });
            }
            SeriesRow::Refused(reason) => self.rows.refused.add_one(reason),
        }
        Ok(())
    }

    /// Adds a native histogram, which must be one that [`FloatHistogram::check`] agrees to. Fails as
    /// [`RowsBuilder::sample`] does; it counts for as many samples as take its memory.
    pub(super) fn histogram(
        &mut self,
        series: SeriesRow,
        timestamp_ms: i64,
        histogram: &FloatHistogram,
    ) -> Result<(), IngestError> {
        let histogram = stored_histogram(histogram);
        self.count_samples(histogram::sample_count(&histogram))?;
        match series {
            SeriesRow::Known(series) => {
                self.rows.batches[series.shard()].push_histogram(series, timestamp_ms, histogram);
            }
            SeriesRow::New { shard, index } => {
                self.rows.batches[shard].new[index].push_histogram(timestamp_ms, histogram);
            }
            SeriesRow::Refused(reason) => self.rows.refused.add_one(reason),
        }
        Ok(())
    }

    fn count_samples(&mut self, count: usize) -> Result<(), IngestError> {
        self.sample_count += count;
        if self.sample_count > self.limits.samples_per_request_max {
            return Err(over("samples", self.limits.samples_per_request_max, "samples_per_request_max"));
        }
        Ok(())
    }

    /// The bounds of a request.
    pub(super) fn limits(&self) -> &IngestLimits {
        self.limits
    }

    /// Counts samples that a reader cannot store, the reason and, for the first of all, what it is.
    pub(super) fn refuse(&mut self, count: u64, reason: impl Into<String>, what: impl FnOnce() -> String) {
        self.rows.refused.add(count, reason.into(), what);
    }

    /// Keeps what the request says about a metric.
    pub(super) fn describe(&mut self, metric: &str, kind: MetricKind, help: &str, unit: &str) {
        self.metadata.learn(metric, kind, help, unit);
    }

    /// What is to be stored. New series without samples are left out.
    pub(super) fn finish(mut self) -> Rows {
        for batch in &mut self.rows.batches {
            batch.new.retain(|new| !new.samples.is_empty());
        }
        self.rows
    }

    fn count_series(&mut self) -> Result<(), IngestError> {
        self.series_count += 1;
        if self.series_count > self.limits.series_per_request_max {
            return Err(over("series", self.limits.series_per_request_max, "series_per_request_max"));
        }
        Ok(())
    }
}

/// Whether labels may name a series that is sent; else why not.
pub(super) fn check_series(labels: &Labels) -> Result<(), String> {
    if labels.metric_name().is_none() {
        return Err(format!("the label {METRIC_NAME} is missing"));
    }
    match labels.iter().find(|(name, _)| is_reserved(name)) {
        Some((name, _)) => Err(format!("the label {name} is reserved for what this server keeps of start times")),
        None => Ok(()),
    }
}

/// The bytes by which a series that was not sent by anybody is resolved.
pub(super) fn raw_key(labels: &Labels) -> Vec<u8> {
    let pairs: Vec<(&str, &str)> = labels.iter().collect();
    let mut key = Vec::new();
    encode_key(&pairs, &mut key);
    key
}

/// The labels as remote write 1.0 encodes them: for each a field 1 of a name (field 1) and a value (field 2).
fn encode_key(pairs: &[(&str, &str)], key: &mut Vec<u8>) {
    key.clear();
    for (name, value) in pairs {
        append_head(key, 1, field_bytes(name.len()) + field_bytes(value.len()));
        append_bytes(key, 1, name.as_bytes());
        append_bytes(key, 2, value.as_bytes());
    }
}

/// Says that a request is over a limit that is counted while it is read; `setting` without the `limits.` before it.
#[cold]
pub(super) fn over(what: &str, limit: usize, setting: &'static str) -> IngestError {
    let what = format!("the request has more {what} than limits.{setting} = {limit}; send smaller requests");
    IngestError::TooLarge { setting, what }
}

/// A refused label set, as far as it can be shown.
fn shown(pairs: &[(&str, &str)]) -> String {
    let short = |text: &str| text.chars().take(64).collect::<String>();
    let pair = |(name, value): &(&str, &str)| format!("{}={:?}", short(name), short(value));
    let all: Vec<String> = pairs.iter().take(8).map(pair).collect();
    let more = if pairs.len() > all.len() { ", …" } else { "" };
    format!("{{{}{more}}}", all.join(", "))
}
