//! Remote write against `prost`, which knows nothing of our walker: for any bytes both read the same samples, or both
//! refuse. Where they differ on purpose stands in `remote_write/v1.rs` and `v2.rs` of `ingest`.

use dozor::ingest::Protocol;
use dozor::model::Labels;
use prost::Message;

use super::super::wire;
use super::histogram::Histogram;
use super::reader::{Read, malformed, read, sorted};

/// Remote write 1.0 as its specification has it. Texts are bytes here: whether they are UTF-8 is a label's own matter.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

/// Remote write 2.0, as far as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) timeseries: Vec<Referring>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Referring {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) histograms: Vec<Histogram>,
}

pub(super) fn version_1(bytes: &[u8]) {
    agrees(Protocol::RemoteWrite1, bytes, of_version_1);
    agrees(Protocol::RemoteWrite1, &wire::written(bytes), of_version_1);
}

pub(super) fn version_2(bytes: &[u8]) {
    agrees(Protocol::RemoteWrite2, bytes, of_version_2);
    agrees(Protocol::RemoteWrite2, &wire::written(bytes), of_version_2);
}

/// What `prost` reads, each series judged as a label set of its own. `None` if it is no message.
fn of_version_1(message: &[u8]) -> Option<Read> {
    let request = WriteRequest::decode(message).ok()?;
    let mut read = Read::new();
    for series in &request.timeseries {
        let pairs = series.labels.iter().map(|label| Some((text(&label.name)?, text(&label.value)?)));
        append(&mut read, pairs.collect(), &series.samples, &series.histograms);
    }
    Some(sorted(read))
}

fn of_version_2(message: &[u8]) -> Option<Read> {
    let request = Request::decode(message).ok()?;
    if request.symbols.first().is_some_and(|first| !first.is_empty()) {
        return None;
    }
    let mut read = Read::new();
    for series in &request.timeseries {
        let texts = series.labels_refs.iter().map(|reference| text(request.symbols.get(*reference as usize)?));
        let texts: Option<Vec<&str>> = texts.collect();
        let texts = texts.filter(|texts| texts.len().is_multiple_of(2));
        let pairs = texts.map(|texts| texts.chunks(2).map(|pair| (pair[0], pair[1])).collect());
        append(&mut read, pairs, &series.samples, &series.histograms);
    }
    Some(sorted(read))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn append(read: &mut Read, pairs: Option<Vec<(&str, &str)>>, samples: &[Sample], histograms: &[Histogram]) {
    let labels = pairs.and_then(|pairs| Labels::from_pairs(pairs).ok());
    if let Some(labels) = labels.filter(|labels| labels.metric_name().is_some()) {
        let samples = samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits()));
        let histograms = histograms.iter().filter_map(Histogram::row);
        read.entry(labels.to_string()).or_default().extend(samples.chain(histograms));
    }
}

fn agrees(protocol: Protocol<'_>, message: &[u8], theirs: fn(&[u8]) -> Option<Read>) {
    match (read(protocol, message), theirs(message)) {
        (Ok((ours, _)), Some(theirs)) => assert_eq!(ours, theirs, "ours and prost's"),
        (Ok((ours, _)), None) => panic!("prost refuses what we read: {ours:?}"),
        (Err(error), theirs) => {
            let (Some(words), Some(theirs)) = (malformed(error), theirs) else { return };
            // proto3 has no groups; nor is a request of the other version taken for an empty one.
            let is_stricter = words.contains("a group") || words.contains("announced") && theirs.is_empty();
            assert!(is_stricter, "prost reads what we refuse: {words}");
        }
    }
}
