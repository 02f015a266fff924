//! What remote read writes, read by `prost` and by a reader of chunks that shares nothing with the writer.

mod histograms;

use proptest::prelude::*;
use prost::Message as _;

use super::super::tests::{TestServer, labels};
use super::*;
use crate::http::HttpLimits;
use crate::ingest::IngestLimits;
use crate::ingest::proto::Histogram;
use crate::model::{STALE_NAN_BITS, Sample};
use crate::storage::view::GivenSeries;

#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<PbQuery>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbQuery {
    #[prost(int64, tag = "1")]
    start_ms: i64,
    #[prost(int64, tag = "2")]
    end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<PbMatcher>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<PbLabel>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<PbSample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<PbSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<PbResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbChunk {
    #[prost(int64, tag = "1")]
    from_ms: i64,
    #[prost(int64, tag = "2")]
    to_ms: i64,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PbChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<PbLabel>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<PbChunk>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChunkedReadResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<PbChunkedSeries>,
    #[prost(int64, tag = "2")]
    query_index: i64,
}

/// Times in ms and bits of values.
type Points = Vec<(i64, u64)>;

/// A matcher: kind, name, value.
type Asked<'a> = (i32, &'a str, &'a str);

fn request(accepted: &[i32], queries: &[(i64, i64, &[Asked<'_>])]) -> Vec<u8> {
    let matcher = |(kind, name, value): &(i32, &str, &str)| PbMatcher {
        kind: *kind,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let query = |(start_ms, end_ms, matchers): &(i64, i64, &[Asked<'_>])| PbQuery {
        start_ms: *start_ms,
        end_ms: *end_ms,
        matchers: matchers.iter().map(matcher).collect(),
    };
    let request = ReadRequest { queries: queries.iter().map(query).collect(), accepted: accepted.to_vec() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("it is short")
}

async fn post(server: &TestServer, body: &[u8]) -> super::super::tests::Answered {
    let mut request = format!(
        "POST /api/v1/read HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Encoding: snappy\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    server.send(request).await
}

async fn serving(series: Vec<GivenSeries>) -> TestServer {
    let view = move || ReadView::of_series(series.clone());
    TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await
}

fn given(pairs: &[(&str, &str)], points: &[(i64, u64)]) -> GivenSeries {
    let samples =
        points.iter().map(|(timestamp_ms, bits)| Sample { timestamp_ms: *timestamp_ms, value: f64::from_bits(*bits) });
    GivenSeries { labels: Arc::new(labels(pairs)), samples: samples.collect(), ..GivenSeries::default() }
}

/// A series with a staleness marker and one far longer than a chunk.
fn stored() -> (Points, Points) {
    let short = vec![(1_000, 1.5_f64.to_bits()), (2_000, STALE_NAN_BITS), (3_000, f64::INFINITY.to_bits())];
    let long = (0..1_000).map(|index| (index * 15_000 + index % 7, ((index * index) as f64 / 3.0).to_bits())).collect();
    (short, long)
}

async fn server() -> TestServer {
    let (short, long) = stored();
    serving(vec![
        given(&[("__name__", "up"), ("job", "a")], &short),
        given(&[("__name__", "up"), ("job", "b")], &long),
        given(&[("__name__", "other")], &short),
    ])
    .await
}

fn name_of(labels: &[PbLabel]) -> String {
    labels.iter().map(|label| format!("{}={} ", label.name, label.value)).collect()
}

fn points_of(series: &PbSeries) -> Points {
    series.samples.iter().map(|sample| (sample.time_ms, sample.value.to_bits())).collect()
}

/// Takes the frames of an answer apart, its checksums too.
fn frames(mut bytes: &[u8]) -> Vec<ChunkedReadResponse> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = prost::decode_length_delimiter(&mut bytes).expect("a length");
        assert!(length <= 1 << 20, "a frame has at most a MiB");
        let (sum, rest) = bytes.split_at(4);
        let (message, rest) = rest.split_at(length);
        assert_eq!(crc32c::crc32c(message), u32::from_be_bytes(sum.try_into().expect("4 bytes")));
        all.push(ChunkedReadResponse::decode(message).expect("a message"));
        bytes = rest;
    }
    all
}

/// Reads a chunk bit by bit, from the format's description.
fn read_chunk(data: &[u8]) -> Points {
    let count = u16::from_be_bytes([data[0], data[1]]);
    let mut text = data[2..].iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut take = |count: u32| (0..count).fold(0_u64, |bits, _| bits << 1 | u64::from(text.next().expect("a bit")));
    let mut points = Points::new();
    let (mut step, mut before, mut width) = (0_i64, 0, 0);
    for index in 0..count {
        let mut uvarint = || {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = take(8);
                number |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return number;
                }
            }
        };
        if index == 0 {
            let raw = uvarint();
            points.push(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), take(64)));
            continue;
        }
        if index == 1 {
            step = uvarint().cast_signed();
        } else {
            let ones = (0..4).take_while(|_| take(1) == 1).count();
            let change = match [0, 14, 17, 20, 64][ones] {
                0 => 0,
                64 => take(64).cast_signed(),
                bits => {
                    let raw = take(bits).cast_signed();
                    if raw > 1 << (bits - 1) { raw - (1 << bits) } else { raw }
                }
            };
            step = step.wrapping_add(change);
        }
        let (time, mut value) = *points.last().expect("there is one");
        if take(1) == 1 {
            if take(1) == 1 {
                before = take(5) as u32;
                width = match take(6) as u32 {
                    0 => 64,
                    bits => bits,
                };
            }
            value ^= take(width) << (64 - before - width);
        }
        points.push((time.wrapping_add(step), value));
    }
    points
}

/// What an answer in chunks says: for each query the series and their points.
fn read_chunks(bytes: &[u8]) -> Vec<(i64, String, Points)> {
    let mut all: Vec<(i64, String, Points)> = Vec::new();
    for frame in frames(bytes) {
        for series in frame.series {
            let name = name_of(&series.labels);
            if all.last().is_none_or(|last| (last.0, &last.1) != (frame.query_index, &name)) {
                all.push((frame.query_index, name, Points::new()));
            }
            for chunk in series.chunks {
                let points = read_chunk(&chunk.data);
                assert_eq!(chunk.kind, 1, "XOR");
                assert_eq!((chunk.from_ms, chunk.to_ms), (points[0].0, points[points.len() - 1].0));
                all.last_mut().expect("there is one").2.extend(points);
            }
        }
    }
    all
}

const UP: (i32, &str, &str) = (0, "__name__", "up");

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_read_in_one_message() {
    let (server, (short, long)) = (server().await, stored());
    for accepted in [&[][..], &[0], &[7, 0, 1]] {
        let answered =
            post(&server, &request(accepted, &[(1_500, 20_000, &[UP]), (0, 9_000, &[UP, (1, "job", "b")])])).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        assert_eq!(answered.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(answered.header("content-encoding"), Some("snappy"));
        let message = snap::raw::Decoder::new().decompress_vec(&answered.bytes).expect("snappy");
        let results = ReadResponse::decode(message.as_slice()).expect("a message").results;
        let read: Vec<Vec<(String, Points)>> = results
            .iter()
            .map(|result| result.series.iter().map(|one| (name_of(&one.labels), points_of(one))).collect())
            .collect();
        let (a, b) = ("__name__=up job=a ".to_owned(), "__name__=up job=b ".to_owned());
        assert_eq!(read[0], [(a.clone(), short[1..].to_vec()), (b, long[1..2].to_vec())]);
        assert_eq!(read[1], [(a, short.clone())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_in_frames() {
    let (server, (short, long)) = (server().await, stored());
    for accepted in [&[1][..], &[1, 0]] {
        let body = request(accepted, &[(0, i64::MAX, &[UP]), (0, 9_000, &[(2, "__name__", "o.*"), (3, "job", ".+")])]);
        let answered = post(&server, &body).await;
        assert_eq!(answered.status, 200);
        let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
        assert_eq!((answered.header("content-type"), answered.header("content-encoding")), (Some(kind), None));
        let read = read_chunks(&answered.bytes);
        let expected = [
            (0, "__name__=up job=a ".to_owned(), short.clone()),
            (0, "__name__=up job=b ".to_owned(), long.clone()),
            (1, "__name__=other ".to_owned(), short.clone()),
        ];
        assert_eq!(read, expected);
    }
    server.until("dozor_queries_running", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none_are_refused_by_name() {
    let server = server().await;
    let patterns = vec![(2, "job", "a.*"); 129];
    for (body, what) in [
        (b"not snappy".to_vec(), "the body is not a snappy block"),
        (vec![0xff, 0xff, 0xff, 0xff, 0x0f], "the request inflates to"),
        (request(&[9], &[]), "none of the accepted response types [9] is known"),
        (request(&[0], &[(0, 1, &[(4, "job", "a")])]), "has the unknown type 4"),
        (request(&[0], &[(0, 1, &[(2, "job", "(")])]), "cannot be used"),
        (request(&[0], &[(0, 1, &patterns)]), "too many patterns in one request"),
        (snap::raw::Encoder::new().compress_vec(&[0x0a, 0x7f]).expect("short"), "the request is not a ReadRequest"),
    ] {
        let answered = post(&server, &body).await;
        assert_eq!(answered.status, 400, "{what}: {}", answered.body);
        assert!(answered.body.contains(what), "{what}: {}", answered.body);
    }
    assert_eq!(post(&server, &request(&[0], &[(9, 1, &[UP])])).await.status, 200, "nothing lies in no time");
}

#[test]
fn chunk_of_three_samples_has_these_bits() {
    // 1.0 at 1 ms, 1.0 at 3 ms, 2.0 at 5 ms: 1.0 is 0x3ff0…, 2.0 is 0x4000…, they differ in 0x7ff0….
    let mut data = Vec::new();
    xor::encode(&[1, 3, 5], &[1.0, 1.0, 2.0], &mut data);
    let mut expected = vec![0, 3, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 2];
    // 0: same value. 0: same step. 11, 00001 zero before, 001011 bits, eleven ones.
    let bits = "0 0 11 00001 001011 11111111111".replace(' ', "");
    let bytes = bits.as_bytes().chunks(8).map(|byte| {
        let text = format!("{:0<8}", String::from_utf8_lossy(byte));
        u8::from_str_radix(&text, 2).expect("bits")
    });
    expected.extend(bytes);
    assert_eq!(data, expected);
}

proptest! {
    #[test]
    fn chunk_is_read_as_it_was_written(
        steps in proptest::collection::vec(prop_oneof![0_i64..3, -9_000_i64..9_000, 0_i64..1 << 40, any::<i64>()], 1..120),
        bits in proptest::collection::vec(prop_oneof![Just(0), Just(STALE_NAN_BITS), any::<u64>(), (0_u64..99).prop_map(|n| (n as f64).to_bits())], 120),
    ) {
        let mut time = 0_i64;
        let points: Points = steps.iter().zip(&bits).map(|(step, bits)| { time = time.wrapping_add(*step); (time, *bits) }).collect();
        let times: Vec<i64> = points.iter().map(|point| point.0).collect();
        let values: Vec<f64> = points.iter().map(|point| f64::from_bits(point.1)).collect();
        let mut data = Vec::new();
        xor::encode(&times, &values, &mut data);
        // 68 bits of time and 77 of value each, and the head.
        prop_assert!(data.len() <= xor::CHUNK_SAMPLES * (68 + 77) / 8 + 32);
        prop_assert_eq!(read_chunk(&data), points);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Ask::read(&bytes);
        let compressed = snap::raw::Encoder::new().compress_vec(&bytes).expect("short");
        let _ = Ask::read(&compressed);
    }
}
