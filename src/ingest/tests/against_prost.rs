//! The walker against `prost`: for any bytes both read the same samples, or both refuse.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::remote_write::Version;
use super::super::rows::Rows;
use super::histograms::{any_histogram, markers_are_of_histograms};
use super::proto::Histogram;
use super::*;
use crate::model::SeriesRef;

/// Samples by series, in the order of the message.
pub(super) type Read = HashMap<String, Vec<(i64, u64)>>;

/// What `prost` reads, each series judged as a label set of its own. `None` if it is no message.
fn read_by_prost(message: &[u8]) -> Option<Read> {
    let request = WriteRequest::decode(message).ok()?;
    let mut read = Read::new();
    for series in request.timeseries {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let pairs: Option<Vec<(String, String)>> =
            series.labels.iter().map(|label| Some((text(&label.name)?, text(&label.value)?))).collect();
        let labels = pairs.and_then(|pairs| Labels::from_pairs(pairs).ok());
        let Some(labels) = labels.filter(|labels| labels.metric_name().is_some()) else { continue };
        let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits()));
        let histograms = series.histograms.iter().filter_map(Histogram::row);
        read.entry(labels.to_string()).or_default().extend(samples.chain(histograms));
    }
    read.retain(|_, samples| !samples.is_empty());
    Some(read)
}

/// What our walker reads: rows of known series through `names`, the others by themselves.
pub(super) fn by_series(rows: &Rows, names: &HashMap<SeriesRef, String>) -> Read {
    markers_are_of_histograms(&rows.batches);
    let mut read = Read::new();
    for batch in &rows.batches {
        for new in &batch.new {
            let samples = new.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
            read.entry(new.labels.to_string()).or_default().extend(samples);
        }
        for row in &batch.rows {
            read.entry(names[&row.series].clone()).or_default().push((row.timestamp_ms, row.value.to_bits()));
        }
    }
    read
}

/// The refs by which the series of a message are known, now that it was stored.
pub(super) fn names(fixture: &Fixture, rows: &Rows) -> HashMap<SeriesRef, String> {
    let known = fixture.storage.resolver().known();
    let new = rows.batches.iter().flat_map(|batch| &batch.new);
    new.filter_map(|new| Some((known.get(new.raw_hash)?, new.labels.to_string()))).collect()
}

pub(super) fn sorted(mut read: Read) -> Read {
    // A series that is sent in two encodings comes in two parts, whose order is not kept.
    read.values_mut().for_each(|samples| samples.sort_unstable());
    read
}

/// Reads the message when its series are unknown, stores it, and reads it again when they are known.
fn agrees(message: &[u8]) -> Result<(), TestCaseError> {
    reads_as(Version::One, message, read_by_prost(message))
}

/// As [`agrees`], for a message of which another decoder has read `expected`.
pub(super) fn reads_as(version: Version, message: &[u8], expected: Option<Read>) -> Result<(), TestCaseError> {
    let fixture = Fixture::new();
    let unknown = match (fixture.ingest.read_message(version, message), &expected) {
        (Ok(rows), Some(_)) => rows,
        (Err(IngestError::Malformed(_)), None) => return Ok(()),
        // Where we are stricter: proto3 has no groups.
        (Err(IngestError::Malformed(words)), Some(_)) if words.contains("a group") => return Ok(()),
        // Nor is a request of the other version taken for an empty one.
        (Err(IngestError::Malformed(words)), Some(read)) if words.contains("announced") => {
            prop_assert!(read.is_empty(), "{}", words);
            return Ok(());
        }
        (ours, theirs) => {
            return Err(TestCaseError::fail(format!(
                "ours: {:?}, prost: {theirs:?}",
                ours.map(|rows| by_series(&rows, &HashMap::new()))
            )));
        }
    };
    let expected = sorted(expected.unwrap_or_default());
    prop_assert_eq!(&sorted(by_series(&unknown, &HashMap::new())), &expected, "with unknown series");
    fixture.write(unknown.batches.clone());
    let again = fixture.ingest.read_message(version, message);
    let again = again.map_err(|error| TestCaseError::fail(format!("refused when known: {error}")))?;
    prop_assert_eq!(&sorted(by_series(&again, &names(&fixture, &unknown))), &expected, "with known series");
    Ok(())
}

fn any_label() -> impl Strategy<Value = Label> {
    let name = prop_oneof![
        4 => Just("__name__".to_owned()),
        4 => "[a-c]",
        1 => "[a-zé]{0,3}",
    ];
    let value = prop_oneof![4 => "[a-c]", 1 => Just(String::new()), 1 => ".{0,40}"];
    let text = (name, value).prop_map(|(name, value)| Label { name: name.into(), value: value.into() });
    let bytes = (any::<[u8; 2]>(), any::<[u8; 2]>());
    prop_oneof![20 => text, 1 => bytes.prop_map(|(name, value)| Label { name: name.into(), value: value.into() })]
}

fn any_series() -> impl Strategy<Value = TimeSeries> {
    let timestamp = prop_oneof![4 => NOW_MS - 1_000..NOW_MS, 1 => any::<i64>()];
    let value = prop_oneof![Just(0.0), Just(-0.0), any::<u64>().prop_map(f64::from_bits)];
    let sample = (timestamp, value).prop_map(|(timestamp, value)| Sample { timestamp, value });
    let labels = prop::collection::vec(any_label(), 0..5);
    let named = (any::<bool>(), labels).prop_map(|(named, mut labels)| {
        labels.extend(named.then(|| Label { name: b"__name__".to_vec(), value: b"m".to_vec() }));
        labels
    });
    (named, prop::collection::vec(sample, 0..4), any_histograms())
        .prop_map(|(labels, samples, histograms)| TimeSeries { labels, samples, histograms })
}

/// Seldom any.
pub(super) fn any_histograms() -> impl Strategy<Value = Vec<Histogram>> {
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(any_histogram(), 0..3)]
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any_series(), 0..6).prop_map(message)
}

/// One change to a message.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Truncate(prop::sample::Index),
    /// Takes a run of bytes and puts it elsewhere: whole fields out of order, among others.
    Move(prop::sample::Index, prop::sample::Index, u8),
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    // Tags of all fields and wire types, and short fields that nobody knows.
    let field = prop_oneof![
        any::<[u8; 1]>().prop_map(Vec::from),
        Just(vec![0x78, 0x00]),
        Just(vec![0x7b, 0x7c]),
        Just(vec![0x0a, 0x00]),
        Just(vec![0x12, 0x00]),
        Just(vec![0xff; 10]),
    ];
    prop_oneof![
        4 => (index(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => index().prop_map(Change::Remove),
        2 => (index(), field).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => index().prop_map(Change::Truncate),
        2 => (index(), index(), 1..40_u8).prop_map(|(from, to, count)| Change::Move(from, to, count)),
    ]
}

pub(super) fn changed(mut message: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if message.is_empty() {
            break;
        }
        match change {
            Change::Flip(at, bits) => *at.get_mut(&mut message) ^= bits,
            Change::Remove(at) => drop(message.remove(at.index(message.len()))),
            Change::Insert(at, bytes) => {
                let at = at.index(message.len());
                message.splice(at..at, bytes.iter().copied());
            }
            Change::Truncate(at) => message.truncate(at.index(message.len())),
            Change::Move(from, to, count) => {
                let from = from.index(message.len());
                let until = (from + usize::from(*count)).min(message.len());
                let run: Vec<u8> = message.drain(from..until).collect();
                let to = to.index(message.len() + 1);
                message.splice(to..to, run);
            }
        }
    }
    message
}

/// A series as a list of fields in any order, some of them unknown: valid, as no usual sender writes it.
fn any_order() -> impl Strategy<Value = Vec<u8>> {
    let label =
        any_label().prop_map(|label| TimeSeries { labels: vec![label], ..TimeSeries::default() }.encode_to_vec());
    let sample = any_series().prop_map(|series| TimeSeries { labels: Vec::new(), ..series }.encode_to_vec());
    let unknown = Just(vec![0x1a, 0x01, 0x00]);
    let name = Just(series(&[("__name__", "m")], &[]).encode_to_vec());
    let part = prop_oneof![3 => label, 3 => sample, 1 => unknown, 3 => name];
    let one = prop::collection::vec(part, 1..6).prop_map(|parts| parts.concat());
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let mut message = Vec::new();
        for content in all {
            message.push(0x0a);
            prost::encode_length_delimiter(content.len(), &mut message).expect("a Vec has room");
            message.extend(content);
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn valid_messages_are_read_alike(message in any_message()) {
        agrees(&message)?;
    }

    #[test]
    fn changed_messages_are_read_alike(
        message in any_message(),
        changes in prop::collection::vec(any_change(), 1..4),
    ) {
        agrees(&changed(message, &changes))?;
    }

    #[test]
    fn fields_in_any_order_are_read_alike(message in any_order()) {
        agrees(&message)?;
    }

    #[test]
    fn random_bytes_are_read_alike(message in prop::collection::vec(any::<u8>(), 0..60)) {
        agrees(&message)?;
    }

    /// Whatever comes as a body, it is answered, and what is told as stored is stored.
    #[test]
    fn any_body_is_answered(
        message in any_message(),
        changes in prop::collection::vec(any_change(), 0..3),
        compress_first in any::<bool>(),
    ) {
        let fixture = Fixture::new();
        let body: Bytes = if compress_first {
            changed(compressed(&message).to_vec(), &changes).into()
        } else {
            compressed(&changed(message, &changes))
        };
        let stored = match fixture.send_body(body) {
            Ok(written) => written.samples + written.histograms,
            Err(error) => { prop_assert!(matches!(error.status(), 400 | 413), "{}", error); error.written().samples + error.written().histograms }
        };
        let held: usize = fixture.stored().iter().map(|(_, samples)| samples.len()).sum();
        // A sample that is sent twice is told as stored twice, and held once.
        prop_assert!(held as u64 <= stored && (held > 0 || stored == 0), "{} held, {} told", held, stored);
    }
}
