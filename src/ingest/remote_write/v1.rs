//! Remote write 1.0: `WriteRequest { timeseries = 1 { labels = 1 { name = 1, value = 2 }, samples = 2, exemplars = 3,
//! histograms = 4 }, metadata = 3 }`.
//!
//! A series' labels stand one behind the other at the front of its message, so their raw bytes are one slice, and that
//! slice is what is hashed. A sender that mixes labels among samples is read the slow way, as an unknown series.
//!
//! Where this differs from a generated decoder (`tests` holds that it differs nowhere else):
//! - stricter: a group, which proto3 does not have, is refused, also in a field that nobody knows; and so is
//!   a request without series that has some of version 2.0: taken, they would be lost without a word;
//! - laxer: what is not stored (exemplars) is stepped over, not read, so damage in it goes unseen;
//! - a label that is not UTF-8 costs its series alone, not the request.

use super::found::{Found, Mark, RawPairs, SeriesParts, announced_wrongly, malformed};
use super::{FIELD_1_BYTES, FIELD_2_BYTES, metadata};
use crate::ingest::rows::{Rows, over};
use crate::ingest::wire::{Fields, Value, WireError};
use crate::ingest::{Ingest, IngestError};
use crate::model::{LABELS_COUNT_MAX, SeriesRef};

/// What is wrong with a label, sample or histogram that is not written as one.
const WRONG_TYPE: &str = "a label, sample or histogram that is no message";

/// What a series with one sample takes at least, as senders write it: a first guess at how many there are.
const SERIES_BYTES_USUAL: usize = 128;

/// Reads an inflated message.
pub(super) fn read_message(ingest: &Ingest, message: &[u8]) -> Result<Rows, IngestError> {
    let mut walk = Walk { found: Found::new(ingest), ingest };
    walk.request(message)?;
    Ok(walk.found.into_rows())
}

struct Walk<'a> {
    found: Found<'a>,
    ingest: &'a Ingest,
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
        let mut is_of_version_2 = false;
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => {
                    if all.len() == self.found.limits.series_per_request_max {
                        return Err(over("series", all.len(), "series_per_request_max"));
                    }
                    let base = fields.position() - bytes.len();
                    let labels_end = labels_end(bytes, base).map_err(malformed)?;
                    let raw_hash = self.found.storage.resolver().raw_hash(&bytes[..labels_end]);
                    all.push(EncodedSeries { raw_hash, bytes, labels_end, base });
                }
                (1, _) => return Err(malformed(fields.error("a time series that is no message"))),
                (3, Value::Bytes(bytes)) => metadata::learn_v1(&self.ingest.metadata, bytes),
                (5, Value::Bytes(_)) => is_of_version_2 = true,
                _ => {}
            }
        }
        if is_of_version_2 && all.is_empty() {
            return Err(announced_wrongly("2.0", "1.0"));
        }
        all.iter().try_for_each(|series| self.series(series))
    }

    #[inline]
    fn series(&mut self, series: &EncodedSeries<'_>) -> Result<(), IngestError> {
        if let Some(reference) = self.found.known.get(series.raw_hash)
            && self.known_series(reference, &series.bytes[series.labels_end..], series.base + series.labels_end)?
        {
            return Ok(());
        }
        self.new_series(series.bytes, series.base)
    }

    /// Reads what stands behind the labels. Returns `false`, and has read nothing, if there are labels among it: the
    /// ones in front are then not all, and not this series.
    fn known_series(&mut self, reference: SeriesRef, rest: &[u8], base: usize) -> Result<bool, IngestError> {
        let mark = self.found.mark(reference);
        let mut fields = Fields::new(rest, base);
        while let Some(bytes) = fields.next_short(FIELD_2_BYTES) {
            self.found.row(reference, bytes, fields.base() + fields.position())?;
        }
        if fields.position() == rest.len() { Ok(true) } else { self.known_others(reference, fields, &mark) }
    }

    /// Reads what stands behind the samples of a known series. Goes back to the mark where that is labels.
    // Apart, so that the usual series, which has nothing there, does not pay for it.
    #[inline(never)]
    fn known_others(&mut self, reference: SeriesRef, mut fields: Fields<'_>, mark: &Mark) -> Result<bool, IngestError> {
        let mut histograms = Vec::new();
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (2, Value::Bytes(bytes)) => self.found.row(reference, bytes, fields.base() + fields.position())?,
                (1, Value::Bytes(_)) => {
                    self.found.go_back(mark);
                    return Ok(false);
                }
                (4, Value::Bytes(bytes)) => {
                    self.found.note_histogram(&mut histograms, bytes, fields.base() + fields.position())?;
                }
                (1 | 2 | 4, _) => return Err(malformed(fields.error(WRONG_TYPE))),
                _ => {}
            }
        }
        self.found.histograms(reference, &histograms)?;
        Ok(true)
    }

    #[cold]
    fn new_series(&mut self, series: &[u8], base: usize) -> Result<(), IngestError> {
        let (mut pairs, mut parts, mut encoded_labels) = (RawPairs::new(), SeriesParts::default(), Vec::new());
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
                    let (sample, start_ms) = self.found.sample(bytes, fields.base() + fields.position())?;
                    parts.push(sample, start_ms);
                }
                (4, Value::Bytes(bytes)) => {
                    self.found.note_histogram(&mut parts.histograms, bytes, fields.base() + fields.position())?;
                }
                (1 | 2 | 4, _) => return Err(malformed(fields.error(WRONG_TYPE))),
                _ => {}
            }
            start = fields.position();
        }
        // The key is of all label fields, also those behind samples: else a series could pass for another one.
        let key = self.found.storage.resolver().raw_hash(&encoded_labels);
        self.found.new_series(&pairs, parts, key)
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
