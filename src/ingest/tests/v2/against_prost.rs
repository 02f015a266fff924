//! The walker of version 2 against `prost`: for any bytes both read the same samples, or both refuse.

use proptest::prelude::*;

use super::super::against_prost::{Read, any_change, any_histograms, changed, reads_as};

use super::super::proto::Histogram;
use super::*;
use crate::ingest::remote_write::Version;

/// What `prost` reads, each series judged as a label set of its own. `None` if it is no message.
fn read_by_prost(message: &[u8]) -> Option<Read> {
    let request = Request::decode(message).ok()?;
    if request.symbols.first().is_some_and(|first| !first.is_empty()) {
        return None;
    }
    let mut read = Read::new();
    for series in &request.timeseries {
        let text = |reference: &u32| String::from_utf8(request.symbols.get(*reference as usize)?.clone()).ok();
        let texts: Option<Vec<String>> = series.labels_refs.iter().map(text).collect();
        let Some(texts) = texts.filter(|texts| texts.len().is_multiple_of(2)) else { continue };
        let pairs = texts.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
        let labels = Labels::from_pairs(pairs).ok();
        let Some(labels) = labels.filter(|labels| labels.metric_name().is_some()) else { continue };
        let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits()));
        let histograms = series.histograms.iter().filter_map(Histogram::row);
        read.entry(labels.to_string()).or_default().extend(samples.chain(histograms));
    }
    read.retain(|_, samples| !samples.is_empty());
    Some(read)
}

fn agrees(message: &[u8]) -> Result<(), TestCaseError> {
    reads_as(Version::Two, message, read_by_prost(message))
}

fn any_symbols() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = prop_oneof![6 => "[a-c]", 1 => Just("m".to_owned()), 1 => ".{0,200}"].prop_map(Vec::from);
    let symbol = prop_oneof![20 => text, 1 => any::<[u8; 2]>().prop_map(Vec::from)];
    let empty_first = prop_oneof![30 => Just(Vec::new()), 1 => Just(b"full".to_vec())];
    (empty_first, prop::collection::vec(symbol, 0..12))
        .prop_map(|(first, others)| [vec![first, b"__name__".to_vec(), b"m".to_vec()], others].concat())
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let timestamp = prop_oneof![4 => NOW_MS - 1_000..NOW_MS, 1 => any::<i64>()];
    let value = prop_oneof![Just(0.0), Just(-0.0), any::<u64>().prop_map(f64::from_bits)];
    prop::collection::vec((timestamp, value).prop_map(|(timestamp, value)| Sample { timestamp, value }), 0..4)
}

/// A named series whose other labels are any references, now and then to nothing.
fn any_series() -> impl Strategy<Value = Referring> {
    let reference = prop_oneof![30 => 0..15_u32, 1 => any::<u32>()];
    let others = prop::collection::vec(reference, 0..7);
    let parts = (prop::bool::weighted(0.9), others, any_samples(), any_histograms());
    parts.prop_map(|(named, mut labels_refs, samples, histograms)| {
        if named {
            labels_refs.splice(0..0, [1, 2]);
        }
        Referring { labels_refs, samples, histograms }
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    (any_symbols(), prop::collection::vec(any_series(), 0..6))
        .prop_map(|(symbols, timeseries)| Request { symbols, timeseries })
}

/// A series as a list of fields in any order: references packed and not, samples, and what is not stored.
fn any_order() -> impl Strategy<Value = Vec<u8>> {
    let references = any_series()
        .prop_map(|series| Referring { labels_refs: series.labels_refs, ..Referring::default() }.encode_to_vec());
    let single = (0..15_u8).prop_map(|reference| vec![0x08, reference]);
    let padded = (0..15_u8).prop_map(|reference| vec![0x0a, 0x03, reference | 0x80, 0x80, 0x00]);
    let samples = any_series().prop_map(|series| Referring { labels_refs: Vec::new(), ..series }.encode_to_vec());
    let started = Just(vec![0x12, 0x04, 0x10, 0x01, 0x18, 0x07]);
    let unknown = prop_oneof![Just(vec![0x2a, 0x02, 0x08, 0x01]), Just(vec![0x30, 0x05]), Just(vec![0x22, 0x00])];
    let name = Just(vec![0x0a, 0x02, 0x01, 0x02]);
    let part =
        prop_oneof![2 => references, 2 => single, 1 => padded, 3 => samples, 1 => started, 1 => unknown, 3 => name];
    prop::collection::vec(part, 1..6).prop_map(|parts| field(5, &parts.concat()))
}

/// Symbols and series in any order.
fn any_mixture() -> impl Strategy<Value = Vec<u8>> {
    (any_symbols(), prop::collection::vec((any::<prop::sample::Index>(), any_order()), 1..5)).prop_map(
        |(symbols, all)| {
            let mut parts: Vec<Vec<u8>> = symbols.iter().map(|symbol| field(4, symbol)).collect();
            for (place, series) in all {
                parts.insert(place.index(parts.len() + 1), series);
            }
            parts.concat()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn valid_requests_are_read_alike(request in any_request()) {
        agrees(&request.encode_to_vec())?;
    }

    #[test]
    fn changed_requests_are_read_alike(
        request in any_request(),
        changes in prop::collection::vec(any_change(), 1..4),
    ) {
        agrees(&changed(request.encode_to_vec(), &changes))?;
    }

    #[test]
    fn fields_in_any_order_are_read_alike(message in any_mixture()) {
        agrees(&message)?;
    }

    #[test]
    fn changed_fields_in_any_order_are_read_alike(
        message in any_mixture(),
        changes in prop::collection::vec(any_change(), 1..3),
    ) {
        agrees(&changed(message, &changes))?;
    }

    #[test]
    fn random_bytes_are_read_alike(message in prop::collection::vec(any::<u8>(), 0..60)) {
        agrees(&message)?;
    }

    /// Whatever comes as a message, it is answered, and what is told as stored is stored.
    #[test]
    fn any_message_is_answered(message in any_mixture(), changes in prop::collection::vec(any_change(), 0..3)) {
        let fixture = Fixture::new();
        let stored = match fixture.send_v2_message(&changed(message, &changes)) {
            Ok(written) => written.samples + written.histograms,
            Err(error) => { prop_assert!(matches!(error.status(), 400 | 413), "{}", error); error.written().samples + error.written().histograms }
        };
        let held: usize = fixture.stored().iter().map(|(_, samples)| samples.len()).sum();
        prop_assert!(held as u64 <= stored && (held > 0 || stored == 0), "{} held, {} told", held, stored);
    }
}
