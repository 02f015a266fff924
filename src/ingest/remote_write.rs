//! Remote write 1.0: `WriteRequest { timeseries = 1 { labels = 1 { name = 1, value = 2 }, samples = 2 { value = 1,
//! timestamp = 2 }, exemplars = 3, histograms = 4 }, metadata = 3 }`, in a snappy block.
//!
//! A series' labels stand one behind the other at the front of its message, so their raw bytes are one slice, and that
//! slice is what is hashed. A sender that mixes labels among samples is read the slow way, as an unknown series.
//!
//! Where this differs from a generated decoder (`tests` holds that it differs nowhere else):
//! - stricter: a group, which proto3 does not have, is refused, also in a field that nobody knows;
//! - laxer: what is not stored (exemplars, histograms, metadata) is stepped over, not read, so damage in it goes unseen;
//! - a label that is not UTF-8 costs its series alone, not the request.

use std::cell::RefCell;
use std::sync::Arc;

use super::rows::{Rows, over};
use super::wire::{Fields, Value, WireError, whole_varint};
use super::{IngestError, IngestLimits, RefusedRows, WriteHead, snappy};
use crate::model::{LABELS_COUNT_MAX, Labels, METRIC_NAME, Sample, SeriesRef};
use crate::storage::{Known, NewSeries, Row, ShardBatch, Storage};

/// Largest buffer that a thread keeps for the next request.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// What a series with one sample takes at least, as senders write it: a first guess at how many there are.
const SERIES_BYTES_USUAL: usize = 128;

/// Tags of fields 1 and 2 by what is in them, as every sender encodes them.
const FIELD_1_BYTES: u8 = 0x0a;
const FIELD_2_BYTES: u8 = 0x12;
const FIELD_1_DOUBLE: u8 = 0x09;
const FIELD_2_VARINT: u8 = 0x10;

/// Whether the headers announce a body that is read here.
pub(super) fn check_head(head: WriteHead<'_>) -> Result<(), IngestError> {
    const SPOKEN: &str = "this server takes remote write 1.0: Content-Type application/x-protobuf \
                          (proto=prometheus.WriteRequest), Content-Encoding snappy";
    let unsupported = |what: String| Err(IngestError::Unsupported(format!("{what}; {SPOKEN}")));
    if let Some(content_type) = head.content_type {
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        if !media_type.eq_ignore_ascii_case("application/x-protobuf") {
            return unsupported(format!("Content-Type {content_type:?} is not read"));
        }
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.eq_ignore_ascii_case("proto") && value.trim_matches('"') != "prometheus.WriteRequest" {
                return unsupported(format!("Content-Type {content_type:?} is not read"));
            }
        }
    }
    match head.content_encoding {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("snappy") => Ok(()),
        Some(encoding) => unsupported(format!("Content-Encoding {encoding:?} is not read")),
    }
}

/// Inflates the body and reads its series into a batch for each shard.
pub(super) fn read(
    storage: &Storage,
    limits: &IngestLimits,
    body: &[u8],
    decoded_bytes: usize,
) -> Result<Rows, IngestError> {
    thread_local! {
        static INFLATED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    INFLATED.with_borrow_mut(|inflated| {
        snappy::inflate(body, decoded_bytes, inflated)?;
        let rows = read_message(storage, limits, inflated);
        if inflated.capacity() > KEPT_BYTES_MAX {
            *inflated = Vec::new();
        }
        rows
    })
}

/// Reads an inflated message.
pub(super) fn read_message(storage: &Storage, limits: &IngestLimits, message: &[u8]) -> Result<Rows, IngestError> {
    let mut walk = Walk {
        storage,
        known: storage.resolver().known(),
        limits,
        batches: vec![ShardBatch::default(); storage.shard_count()],
        refused: RefusedRows::default(),
        sample_count: 0,
    };
    walk.request(message)?;
    Ok(Rows { batches: walk.batches, refused: walk.refused })
}

struct Walk<'a> {
    storage: &'a Storage,
    known: Known<'a>,
    limits: &'a IngestLimits,
    batches: Vec<ShardBatch>,
    refused: RefusedRows,
    sample_count: usize,
}

#[cold]
fn malformed(error: WireError) -> IngestError {
    IngestError::Malformed(format!("the body is not a WriteRequest: byte {}: {}", error.offset, error.what))
}

/// One series of a message, and where its parts are.
struct EncodedSeries<'a> {
    raw_hash: u128,
    bytes: &'a [u8],
    labels_end: usize,
    /// Where it starts in the message.
    base: usize,
}

impl<'a> Walk<'a> {
    fn request(&mut self, message: &'a [u8]) -> Result<(), IngestError> {
        // Rows go to the shards only when all of the message was read: one that ends in garbage stores nothing.
        // First all hashes, then all look-ups: each look-up misses the caches, and side by side they wait together.
        let mut all = Vec::with_capacity(message.len() / SERIES_BYTES_USUAL);
        let mut fields = Fields::new(message, 0);
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => {
                    if all.len() == self.limits.series_per_request_max {
                        return Err(over("series", all.len(), "limits.series_per_request_max"));
                    }
                    let base = fields.position() - bytes.len();
                    let labels_end = labels_end(bytes, base).map_err(malformed)?;
                    let raw_hash = self.storage.resolver().raw_hash(&bytes[..labels_end]);
                    all.push(EncodedSeries { raw_hash, bytes, labels_end, base });
                }
                (1, _) => return Err(malformed(fields.error("a time series that is no message"))),
                _ => {}
            }
        }
        all.iter().try_for_each(|series| self.series(series))
    }

    #[inline]
    fn series(&mut self, series: &EncodedSeries<'_>) -> Result<(), IngestError> {
        if let Some(reference) = self.known.get(series.raw_hash)
            && self.known_series(reference, &series.bytes[series.labels_end..], series.base + series.labels_end)?
        {
            return Ok(());
        }
        self.new_series(series.bytes, series.base)
    }

    /// Reads what stands behind the labels. Returns `false`, and has read nothing, if there are labels among it: the
    /// ones in front are then not all, and not this series.
    fn known_series(&mut self, reference: SeriesRef, rest: &[u8], base: usize) -> Result<bool, IngestError> {
        let (rows_before, samples_before) = (self.batches[reference.shard()].rows.len(), self.sample_count);
        let mut histogram_count = 0;
        let mut fields = Fields::new(rest, base);
        while let Some(bytes) = fields.next_short(FIELD_2_BYTES) {
            self.row(reference, bytes, fields.base() + fields.position())?;
        }
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (2, Value::Bytes(bytes)) => self.row(reference, bytes, fields.base() + fields.position())?,
                (1, Value::Bytes(_)) => {
                    self.batches[reference.shard()].rows.truncate(rows_before);
                    self.sample_count = samples_before;
                    return Ok(false);
                }
                (1 | 2, _) => return Err(malformed(fields.error("a label or sample that is no message"))),
                (4, Value::Bytes(_)) => histogram_count += 1,
                _ => {}
            }
        }
        for _ in 0..histogram_count {
            self.refuse_histogram();
        }
        Ok(true)
    }

    #[inline]
    fn row(&mut self, series: SeriesRef, bytes: &[u8], base: usize) -> Result<(), IngestError> {
        let Sample { timestamp_ms, value } = sample(bytes, base).map_err(malformed)?;
        self.count_sample()?;
        self.batches[series.shard()].rows.push(Row { series, timestamp_ms, value });
        Ok(())
    }

    #[cold]
    fn new_series(&mut self, series: &[u8], base: usize) -> Result<(), IngestError> {
        let (mut pairs, mut samples, mut encoded_labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = Fields::new(series, base);
        let mut start = 0;
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => {
                    let pair = label(bytes, fields.base() + fields.position() - bytes.len()).map_err(malformed)?;
                    encoded_labels.extend_from_slice(&series[start..fields.position()]);
                    // An empty value is the absence of the label, but for a name that is no text. Those that are too many
                    // are refused below, without a place for each.
                    let counts = !pair.1.is_empty() || std::str::from_utf8(pair.0).is_err();
                    if counts && pairs.len() <= LABELS_COUNT_MAX {
                        pairs.push(pair);
                    }
                }
                (2, Value::Bytes(bytes)) => {
                    samples.push(sample(bytes, fields.base() + fields.position()).map_err(malformed)?);
                    self.count_sample()?;
                }
                (1 | 2, _) => return Err(malformed(fields.error("a label or sample that is no message"))),
                (4, Value::Bytes(_)) => self.refuse_histogram(),
                _ => {}
            }
            start = fields.position();
        }
        let refused = u64::try_from(samples.len().max(1)).unwrap_or(u64::MAX);
        match labels(&pairs) {
            Ok(labels) if samples.is_empty() => {
                // Only exemplars or histograms: nothing that is stored here, and no series is made for it.
                drop(labels);
            }
            Ok(labels) => {
                let shard = self.storage.shard_of(&labels);
                // All label fields, also those that stand behind samples: else a series could pass for another one.
                let raw_hash = self.storage.resolver().raw_hash(&encoded_labels);
                self.batches[shard].new.push(NewSeries { labels: Arc::new(labels), raw_hash, samples });
            }
            Err(reason) => self.refused.add(refused, reason, || format!("the series {}", shown(&pairs))),
        }
        Ok(())
    }

    #[cold]
    fn refuse_histogram(&mut self) {
        let reason = "native histograms are not stored by this version; send classic buckets".to_owned();
        self.refused.add(1, reason, || "a native histogram".to_owned());
    }

    #[inline]
    fn count_sample(&mut self) -> Result<(), IngestError> {
        self.sample_count += 1;
        if self.sample_count > self.limits.samples_per_request_max {
            return Err(over("samples", self.limits.samples_per_request_max, "limits.samples_per_request_max"));
        }
        Ok(())
    }
}

/// Length of the labels at the front of a series message.
#[inline]
fn labels_end(series: &[u8], base: usize) -> Result<usize, WireError> {
    let mut fields = Fields::new(series, base);
    while fields.next_short(FIELD_1_BYTES).is_some() {}
    let mut end = fields.position();
    if series.get(end) == Some(&FIELD_2_BYTES) {
        return Ok(end);
    }
    while let Some((1, _)) = fields.next()? {
        end = fields.position();
    }
    Ok(end)
}

#[inline]
fn sample(bytes: &[u8], base: usize) -> Result<Sample, WireError> {
    // As senders write it: the value, left out if it is zero, then the timestamp and nothing else.
    let (bits, rest) = match bytes {
        [FIELD_1_DOUBLE, a, b, c, d, e, f, g, h, rest @ ..] => {
            (u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
        }
        rest => (0, rest),
    };
    if let [FIELD_2_VARINT, varint @ ..] = rest
        && let Some(timestamp) = whole_varint(varint)
    {
        return Ok(Sample { timestamp_ms: timestamp as i64, value: f64::from_bits(bits) });
    }
    sample_in_any_order(bytes, base)
}

#[cold]
fn sample_in_any_order(bytes: &[u8], base: usize) -> Result<Sample, WireError> {
    let mut fields = Fields::new(bytes, base.saturating_sub(bytes.len()));
    let (mut timestamp_ms, mut bits) = (0_i64, 0_u64);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Fixed64(fixed)) => bits = fixed,
            (2, Value::Varint(varint)) => timestamp_ms = varint as i64,
            (1 | 2, _) => return Err(fields.error("a sample's value or timestamp of the wrong type")),
            _ => {}
        }
    }
    Ok(Sample { timestamp_ms, value: f64::from_bits(bits) })
}

fn label(bytes: &[u8], base: usize) -> Result<(&[u8], &[u8]), WireError> {
    let mut fields = Fields::new(bytes, base);
    let (mut name, mut text): (&[u8], &[u8]) = (&[], &[]);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => text = bytes,
            (1 | 2, _) => return Err(fields.error("a label's name or value of the wrong type")),
            _ => {}
        }
    }
    Ok((name, text))
}

fn labels(pairs: &[(&[u8], &[u8])]) -> Result<Labels, String> {
    let mut texts = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "a label is not valid UTF-8".to_owned());
        texts.push((text(name)?, text(value)?));
    }
    let labels = Labels::from_pairs(texts).map_err(|error| error.to_string())?;
    match labels.metric_name() {
        Some(_) => Ok(labels),
        None => Err(format!("the label {METRIC_NAME} is missing")),
    }
}

/// A refused label set, as far as it can be shown.
fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    let pair = |(name, value): &(&[u8], &[u8])| {
        let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        format!("{}={:?}", short(name), short(value))
    };
    let all: Vec<String> = pairs.iter().take(8).map(pair).collect();
    format!("{{{}}}", all.join(", "))
}
