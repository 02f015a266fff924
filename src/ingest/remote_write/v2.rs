//! Remote write 2.0: `Request { symbols = 4, timeseries = 5 { labels_refs = 1 (packed), samples = 2, histograms = 3,
//! exemplars = 4, metadata = 5, created_timestamp = 6 } }`.
//!
//! ```text
//! symbols ─► hash of each ────────┐
//! series  ─► references, sample ──┴─► key of each ─► look-ups side by side ─► known? ─► rows
//!                                                                          └─ no ─► texts, UTF-8, labels
//! ```
//!
//! A symbol is hashed once a request, and read as text only for a new series. Senders put labels first and one sample into
//! each series; what is written otherwise is read field by field.
//!
//! A sample may say since when it counts; before version 2.0-rc.4 its series said so for all of its samples, which is taken
//! for those that do not.
//!
//! A known series' description is read in one request of [`DESCRIBE_EVERY`]: a change is noticed, and costs next to nothing.
//!
//! Where this differs from a generated decoder (`tests` holds that it differs nowhere else):
//! - stricter: a group is refused, and so are a request whose first symbol is not empty, and one without series that has
//!   some of version 1.0;
//! - laxer: what is not stored (exemplars) is stepped over, so damage in it goes unseen, and a start of the wrong type is
//!   none;
//! - a symbol that is not UTF-8 costs the series that name it, and so do references to nothing or an odd one.

use super::found::{Found, RawPairs, SeriesParts, announced_wrongly, malformed};
use super::sample::UsualTimes;
use super::symbols::{REFERENCES_MAX, SYMBOLS_PER_SERIES_MAX, Symbols};
use super::{FIELD_1_BYTES, FIELD_2_BYTES, metadata};
use crate::ingest::rows::{Rows, over};
use crate::ingest::wire::{Fields, Value};
use crate::ingest::{Ingest, IngestError};
use crate::model::{METRIC_NAME, Sample, SeriesRef};

const FIELD_1_VARINT: u8 = 0x08;
const FIELD_4_BYTES: u8 = 0x22;
const FIELD_5_BYTES: u8 = 0x2a;

/// In place of a sample that must still be read.
const NO_SAMPLE: Sample = Sample { timestamp_ms: 0, value: 0.0 };

/// What is wrong with a label, sample or histogram that is not written as one.
const WRONG_TYPE: &str = "a label, sample or histogram of the wrong type";

/// Requests of a thread until the description of a known series is read again. A power of two.
const DESCRIBE_EVERY: u64 = 64;

/// What a thread keeps from request to request.
#[derive(Default)]
pub(super) struct Buffers {
    symbols: Symbols,
    series: Vec<EncodedSeries>,
    request_count: u64,
}

/// One series of a message, and where its parts are. A message is shorter than 4 GiB, as all of snappy is.
struct EncodedSeries {
    key: u128,
    /// If that is all of it.
    sample: Sample,
    start: u32,
    labels_end: u32,
    end: u32,
    shape: Shape,
}

/// How a series is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Labels, one sample, and perhaps a description.
    OneSample,
    /// Labels in front, then anything.
    LabelsInFront,
    /// There is no key of it yet.
    Other,
}

/// A series that must be read the slow way.
#[derive(Default)]
struct SlowSeries<'m> {
    references: Vec<u32>,
    /// Also those for which there is no place in `references`.
    reference_count: usize,
    parts: SeriesParts<'m>,
    description: Option<&'m [u8]>,
}

impl Buffers {
    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.symbols.bytes() + self.series.capacity() * size_of::<EncodedSeries>()
    }
}

/// Reads an inflated message.
pub(super) fn read_message(ingest: &Ingest, message: &[u8], buffers: &mut Buffers) -> Result<Rows, IngestError> {
    let Buffers { symbols, series, request_count } = buffers;
    symbols.clear(&ingest.secrets);
    series.clear();
    *request_count = request_count.wrapping_add(1);
    // Steps of the golden ratio visit all turns evenly, also for a sender whose requests come at a fixed distance.
    let turn = request_count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - DESCRIBE_EVERY.trailing_zeros());
    let mut walk = Walk { found: Found::new(ingest), ingest, message, symbols, turn, label_bytes: 0 };
    walk.collect(series)?;
    walk.find_keys(series);
    walk.found.reserve(series.len());
    // First all keys, then all look-ups: each look-up misses the caches, and side by side they wait together.
    walk.look_up(series)?;
    Ok(walk.found.into_rows())
}

struct Walk<'a> {
    found: Found<'a>,
    ingest: &'a Ingest,
    message: &'a [u8],
    symbols: &'a mut Symbols,
    /// Series whose key ends in this number are described again.
    turn: u64,
    /// Of new series so far.
    label_bytes: usize,
}

impl<'a> Walk<'a> {
    /// Finds all symbols and series.
    fn collect(&mut self, all: &mut Vec<EncodedSeries>) -> Result<(), IngestError> {
        let mut rest = self.message;
        let mut is_of_version_1 = false;
        loop {
            rest = self.usual_series(all, rest);
            let mut fields = Fields::new(rest, self.message.len() - rest.len());
            while let Some(symbol) = fields.next_short(FIELD_4_BYTES) {
                self.push_symbol(symbol, &fields)?;
            }
            match fields.next().map_err(malformed)? {
                Some((5, Value::Bytes(bytes))) => {
                    if all.len() == self.found.limits.series_per_request_max {
                        return Err(over("series", all.len(), "series_per_request_max"));
                    }
                    all.push(unusual_series(bytes, fields.base() + fields.position()));
                }
                Some((4, Value::Bytes(symbol))) => self.push_symbol(symbol, &fields)?,
                Some((4 | 5, _)) => return Err(malformed(fields.error("a symbol or time series of the wrong type"))),
                Some((number, _)) => is_of_version_1 |= number == 1,
                None if is_of_version_1 && all.is_empty() => return Err(announced_wrongly("1.0", "2.0")),
                None => return Ok(()),
            }
            rest = &rest[fields.position()..];
        }
    }

    /// Takes series off the front that are written as nearly all are. Returns what stands behind them.
    // Each of the three passes is a function of its own: together they have too many variables for the registers.
    #[inline(never)]
    fn usual_series(&self, all: &mut Vec<EncodedSeries>, mut rest: &'a [u8]) -> &'a [u8] {
        let room = self.found.limits.series_per_request_max - all.len();
        let mut times = UsualTimes::new();
        for _ in 0..room {
            let Some((labels_bytes, content, behind)) = series_head(rest) else { break };
            let Some(sample) = times.whole_sample(&content[labels_bytes..]) else { break };
            let end = self.message.len() - behind.len();
            let start = end - content.len();
            let labels_end = (start + labels_bytes) as u32;
            all.push(EncodedSeries {
                key: 0,
                sample,
                start: start as u32,
                labels_end,
                end: end as u32,
                shape: Shape::OneSample,
            });
            rest = behind;
        }
        rest
    }

    /// Finds the keys of the series, all symbols being known.
    #[inline(never)]
    fn find_keys(&self, all: &mut [EncodedSeries]) {
        for series in all {
            if series.shape != Shape::Other {
                match self.symbols.packed_key(&self.message[series.start as usize + 2..series.labels_end as usize]) {
                    Some(key) => series.key = key,
                    None => series.shape = Shape::Other,
                }
            }
        }
    }

    fn push_symbol(&mut self, symbol: &[u8], fields: &Fields<'_>) -> Result<(), IngestError> {
        let series_max = self.found.limits.series_per_request_max;
        if self.symbols.count() == 0 && !symbol.is_empty() {
            return Err(malformed(fields.error("a first symbol that is not empty")));
        }
        if self.symbols.count() == series_max.saturating_mul(SYMBOLS_PER_SERIES_MAX) {
            let setting = "series_per_request_max";
            let times = format!("the request has more symbols than {SYMBOLS_PER_SERIES_MAX} times limits.{setting}");
            return Err(IngestError::TooLarge {
                setting,
                what: format!("{times} = {series_max}; send smaller requests"),
            });
        }
        let end = fields.base() + fields.position();
        self.symbols.push(self.found.storage.resolver(), &self.ingest.secrets, symbol, end);
        Ok(())
    }

    /// Finds out which series are known, and makes rows of them.
    #[inline(never)]
    fn look_up(&mut self, all: &[EncodedSeries]) -> Result<(), IngestError> {
        let mut one_samples = 0;
        for series in all {
            let is_described = series.key as u64 % DESCRIBE_EVERY == self.turn;
            if series.shape == Shape::OneSample
                && !is_described
                && let Some(reference) = self.found.known.get(series.key)
            {
                self.found.push_uncounted(reference, series.sample);
                one_samples += 1;
            } else {
                self.series(series)?;
            }
        }
        self.found.count_samples(one_samples)
    }

    #[inline(never)]
    fn series(&mut self, series: &EncodedSeries) -> Result<(), IngestError> {
        let is_described = series.key as u64 % DESCRIBE_EVERY == self.turn;
        match (self.found.known.get(series.key), series.shape) {
            (Some(reference), Shape::OneSample) if !is_described => self.found.push(reference, series.sample),
            (Some(reference), Shape::OneSample | Shape::LabelsInFront)
                if self.known_series(reference, series, is_described)? =>
            {
                Ok(())
            }
            _ => self.new_series(series),
        }
    }

    /// Reads what stands behind the labels. Returns `false`, and has read nothing, if there are labels among it: the
    /// ones in front are then not all, and not this series.
    fn known_series(
        &mut self,
        reference: SeriesRef,
        series: &EncodedSeries,
        is_described: bool,
    ) -> Result<bool, IngestError> {
        let mark = self.found.mark(reference);
        let (mut histograms, mut description, mut created_ms) = (Vec::new(), None, 0);
        let base = series.labels_end as usize;
        let mut fields = Fields::new(&self.message[base..series.end as usize], base);
        while let Some(bytes) = fields.next_short(FIELD_2_BYTES) {
            self.found.row(reference, bytes, base + fields.position())?;
        }
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (2, Value::Bytes(bytes)) => self.found.row(reference, bytes, base + fields.position())?,
                (1, Value::Bytes(_) | Value::Varint(_)) => {
                    self.found.go_back(&mark);
                    return Ok(false);
                }
                (3, Value::Bytes(bytes)) => {
                    self.found.note_histogram(&mut histograms, bytes, base + fields.position())?;
                }
                (1..=3, _) => return Err(malformed(fields.error(WRONG_TYPE))),
                (5, Value::Bytes(bytes)) => description = Some(bytes),
                (6, Value::Varint(created)) => created_ms = created as i64,
                _ => {}
            }
        }
        self.found.histograms(reference, &histograms)?;
        if created_ms != 0 {
            self.found.start_others(reference, &mark, created_ms);
        }
        if is_described && let Some(description) = description.filter(|description| !description.is_empty()) {
            self.describe(&self.message[series.start as usize..series.end as usize], description);
        }
        Ok(true)
    }

    /// Learns the description of a known series anew. Its name is nearly always the first label.
    fn describe(&self, series: &[u8], description: &[u8]) {
        let Some((packed, _)) = short_field(series, FIELD_1_BYTES) else { return };
        let mut numbers = Fields::new(packed, 0);
        while let (Ok(Some(name)), Ok(Some(value))) = (numbers.next_packed(), numbers.next_packed()) {
            let symbol = |reference: u64| self.symbols.get(self.message, reference as u32);
            if symbol(name) == Some(METRIC_NAME.as_bytes()) {
                return self.learn(symbol(value).unwrap_or_default(), description);
            }
        }
    }

    fn learn(&self, metric: &[u8], description: &[u8]) {
        metadata::learn_v2(&self.ingest.metadata, self.message, self.symbols, metric, description);
    }

    #[cold]
    fn new_series(&mut self, series: &EncodedSeries) -> Result<(), IngestError> {
        let slow = self.read_slowly(series)?;
        let pairs = match self.pairs(&slow) {
            Ok(pairs) => pairs,
            Err(reason) => return self.found.refuse_series(&slow.parts, reason, &RawPairs::new()),
        };
        self.count_labels(&pairs)?;
        let metric = pairs.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes());
        if let (Some((_, metric)), Some(description)) = (metric, slow.description) {
            self.learn(metric, description);
        }
        let key = self.symbols.key(&slow.references);
        let key = key.expect("references that make pairs of symbols make a key");
        self.found.new_series(&pairs, slow.parts, key)
    }

    /// Counts the labels of new series as they would stand in a message of version 1: a few bytes of references may
    /// name kilobytes of symbols, again and again.
    fn count_labels(&mut self, pairs: &RawPairs<'_>) -> Result<(), IngestError> {
        self.label_bytes += pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let bytes_max = self.found.limits.request_decoded_bytes_max;
        if self.label_bytes > bytes_max {
            return Err(over("bytes of labels of new series", bytes_max, "request_decoded_bytes_max"));
        }
        Ok(())
    }

    /// Reads all of a series, its fields in any order.
    fn read_slowly(&mut self, series: &EncodedSeries) -> Result<SlowSeries<'a>, IngestError> {
        let mut slow = SlowSeries::default();
        let mut fields = Fields::new(&self.message[series.start as usize..series.end as usize], series.start as usize);
        while let Some((number, value)) = fields.next().map_err(malformed)? {
            match (number, value) {
                (1, Value::Bytes(packed)) => {
                    slow.push_packed(packed, fields.base() + fields.position() - packed.len())?;
                }
                (1, Value::Varint(reference)) => slow.push(reference),
                (2, Value::Bytes(bytes)) => {
                    let (sample, start_ms) = self.found.sample(bytes, fields.base() + fields.position())?;
                    slow.parts.push(sample, start_ms);
                }
                (3, Value::Bytes(bytes)) => {
                    let end = fields.base() + fields.position();
                    self.found.note_histogram(&mut slow.parts.histograms, bytes, end)?;
                }
                (1..=3, _) => return Err(malformed(fields.error(WRONG_TYPE))),
                (5, Value::Bytes(bytes)) => slow.description = Some(bytes),
                (6, Value::Varint(created)) => slow.parts.created_ms = created as i64,
                _ => {}
            }
        }
        Ok(slow)
    }

    /// The label pairs that a series refers to. Fails with the reason to refuse it.
    fn pairs(&self, series: &SlowSeries<'_>) -> Result<RawPairs<'a>, String> {
        if series.reference_count > REFERENCES_MAX {
            let (count, count_max) = (series.reference_count / 2, REFERENCES_MAX / 2);
            return Err(format!("{count} labels are more than the {count_max} that a series may have"));
        }
        let symbol = |reference: &u32| {
            let missing = || format!("reference {reference} is to none of the {} symbols", self.symbols.count());
            self.symbols.get(self.message, *reference).ok_or_else(missing)
        };
        let (pairs, rest) = series.references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!("{} label references are not pairs of name and value", series.reference_count));
        }
        pairs.iter().map(|[name, value]| Ok((symbol(name)?, symbol(value)?))).collect()
    }
}

impl SlowSeries<'_> {
    /// Adds the references of a packed list that begins at `base` in the body.
    fn push_packed(&mut self, packed: &[u8], base: usize) -> Result<(), IngestError> {
        let mut numbers = Fields::new(packed, base);
        while let Some(reference) = numbers.next_packed().map_err(malformed)? {
            self.push(reference);
        }
        Ok(())
    }

    /// Adds a reference, of which 32 bits count, as in every protobuf decoder.
    fn push(&mut self, reference: u64) {
        self.reference_count += 1;
        if self.references.len() < REFERENCES_MAX {
            self.references.push(reference as u32);
        }
    }
}

/// The first bytes of a series that is shorter than 128 bytes and begins with a packed list of references: two tags with
/// their lengths, read at once. Gives the length of that field, the series, and what stands behind it.
#[inline(always)]
fn series_head(bytes: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let head = u32::from_le_bytes(*bytes.first_chunk()?);
    if head & 0x80ff_80ff != u32::from_le_bytes([FIELD_5_BYTES, 0, FIELD_1_BYTES, 0]) {
        return None;
    }
    let labels_bytes = (head >> 24) as usize + 2;
    let (content, behind) = bytes[2..].split_at_checked((head >> 8 & 0x7f) as usize)?;
    (labels_bytes <= content.len()).then_some((labels_bytes, content, behind))
}

/// Any series.
#[inline(never)]
fn unusual_series(bytes: &[u8], end: usize) -> EncodedSeries {
    let (rest, shape) = match short_field(bytes, FIELD_1_BYTES) {
        Some((_, rest)) if !matches!(rest, [FIELD_1_BYTES | FIELD_1_VARINT, ..]) => (rest, Shape::LabelsInFront),
        _ => (bytes, Shape::Other),
    };
    let (start, labels_end) = ((end - bytes.len()) as u32, (end - rest.len()) as u32);
    EncodedSeries { key: 0, sample: NO_SAMPLE, start, labels_end, end: end as u32, shape }
}

/// The content of a field at the front that is shorter than 128 bytes, and what stands behind it.
#[inline]
fn short_field(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length @ 0..0x80, rest @ ..] = bytes else { return None };
    rest.split_at_checked(usize::from(*length)).filter(|_| *found == tag)
}
