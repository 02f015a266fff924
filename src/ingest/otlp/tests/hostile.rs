//! Bytes of strangers: never a panic, the same reading as `prost`'s, and every count bounded.

use proptest::prelude::*;

use super::super::message::Broken;
use super::super::value::value_text;
use super::*;
use crate::ingest::wire::Fields;

/// One of everything.
fn sample_request() -> Request {
    let any = |value| AnyValue { value: Some(value) };
    let mut point = number(&[("a.b", "x"), ("a_b", "y")], 1, 1.5);
    let inner = KeyValue { key: b"k".to_vec(), value: Some(any(Any::Double(0.5))) };
    let list = Array { values: vec![any(Any::Int(3)), any(Any::Map(Map { values: vec![inner] }))] };
    point.attributes.push(KeyValue { key: b"list".to_vec(), value: Some(any(Any::Array(list))) });
    let buckets = HistogramPoint {
        attributes: attributes(&[("p", "q")]),
        start_time_unix_nano: NOW_NS,
        time_unix_nano: NOW_NS + SECOND_NS,
        count: 6,
        sum: Some(2.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        flags: 0,
    };
    let quantiles = SummaryPoint {
        time_unix_nano: NOW_NS,
        count: 2,
        sum: 3.0,
        quantile_values: vec![Quantile { quantile: 0.5, value: 1.0 }],
        ..SummaryPoint::default()
    };
    let histogram = |aggregation_temporality| {
        Data::Histogram(Histogram { data_points: vec![buckets.clone()], aggregation_temporality })
    };
    let exponential_point = ExponentialPoint {
        attributes: attributes(&[("p", "q")]),
        start_time_unix_nano: NOW_NS,
        time_unix_nano: NOW_NS + SECOND_NS,
        count: 7,
        sum: Some(2.5),
        scale: 10,
        zero_count: 1,
        positive: Some(ExponentialBuckets { offset: -3, bucket_counts: vec![1, 0, 0, 0, 3] }),
        negative: Some(ExponentialBuckets { offset: 1, bucket_counts: vec![2] }),
        flags: 0,
        zero_threshold: 0.0,
    };
    let exponential = |aggregation_temporality| {
        let data_points = vec![exponential_point.clone()];
        Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
    };
    request_of(
        &[("service.name", "shop"), ("os.type", "linux")],
        vec![
            gauge("g", "1", vec![point]),
            sum("s", CUMULATIVE, true, vec![number(&[], 2, 3.0)]),
            sum("d", DELTA, true, vec![number(&[], 2, 3.0), number(&[], 3, 4.0)]),
            metric("h", "ms", histogram(CUMULATIVE)),
            metric("hd", "ms", histogram(DELTA)),
            metric("e", "", exponential(CUMULATIVE)),
            metric("ed", "", exponential(DELTA)),
            metric("q", "", Data::Summary(Summary { data_points: vec![quantiles] })),
        ],
    )
}

/// What a body leads to: status, why it or a part of it was refused, and what is stored.
fn outcome(body: Vec<u8>) -> (u16, String, Vec<String>) {
    let options =
        OtlpOptions { scope_labels: true, promoted_attributes: vec!["os.type".to_owned()], ..OtlpOptions::default() };
    let receiver = Receiver::with(options, IngestLimits::default());
    let answer = receiver.post(OtlpEncoding::Protobuf, body);
    let message = match answer.status {
        200 => {
            let response = Response::decode(answer.body.as_slice()).expect("a response");
            response.partial_success.map(|partial| partial.error_message).unwrap_or_default()
        }
        _ => Status::decode(answer.body.as_slice()).expect("a status").message,
    };
    (answer.status, message, receiver.lines())
}

/// Where we are stricter than a generated decoder, on purpose.
fn is_stricter(message: &str) -> bool {
    ["for the second time", "a group,"].iter().any(|reason| message.contains(reason))
}

#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    Remove(usize),
    Insert(usize, u8),
    CutAt(usize),
    Copy(usize, usize),
}

fn damaged(mut body: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = body.len().max(1);
        match *damage {
            Damage::Set(at, byte) if !body.is_empty() => body[at % length] = byte,
            Damage::Remove(at) if !body.is_empty() => drop(body.remove(at % length)),
            Damage::Insert(at, byte) => body.insert(at % length, byte),
            Damage::CutAt(at) => body.truncate(at % length),
            Damage::Copy(from, to) if !body.is_empty() => body[to % length] = body[from % length],
            _ => {}
        }
    }
    body
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = 0..4096_usize;
    let one = prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => at.clone().prop_map(Damage::Remove),
        2 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => at.clone().prop_map(Damage::CutAt),
        2 => (at.clone(), at).prop_map(|(from, to)| Damage::Copy(from, to)),
    ];
    proptest::collection::vec(one, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What `prost` reads of damaged bytes and writes anew says the same as the bytes themselves.
    #[test]
    fn damaged_protobuf_is_read_as_prost_reads_it(damages in damages()) {
        let body = damaged(sample_request().encode_to_vec(), &damages);
        let theirs = Request::decode(body.as_slice());
        let (status, message, lines) = outcome(body);
        match theirs {
            Ok(request) if !is_stricter(&message) => {
                let again = outcome(request.encode_to_vec());
                prop_assert_eq!((status, lines), (again.0, again.2), "{} / {}", message, again.1);
            }
            Ok(_) => prop_assert_eq!(status, 400),
            // What is refused for another reason is not read to its end.
            Err(error) => prop_assert!(status == 400 || !message.is_empty(), "{}: {}", status, error),
        }
    }

    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let receiver = Receiver::new();
        for encoding in [OtlpEncoding::Protobuf, OtlpEncoding::Json] {
            let answer = receiver.post(encoding, body.clone());
            prop_assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
        }
    }

    #[test]
    fn damaged_json_is_answered(damages in damages()) {
        let point = r#"{"startTimeUnixNano":"1","timeUnixNano":"1700000000000000000","asInt":"5","attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}"#;
        let text = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[]}},"scopeMetrics":[{{"scope":{{"name":"x"}},"metrics":[{{"name":"m","unit":"By","sum":{{"dataPoints":[{point}],"aggregationTemporality":1,"isMonotonic":true}}}}]}}]}}]}}"#
        );
        let receiver = Receiver::new();
        let answer = receiver.post(OtlpEncoding::Json, damaged(text.into_bytes(), &damages));
        prop_assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    }
}

/// `count` copies of a field of this number, each this content.
fn fields(number: u8, content: &[u8], count: usize) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut field).expect("a Vec has room");
    field.extend_from_slice(content);
    field.repeat(count)
}

#[test]
fn attribute_whose_list_is_set_twice_is_refused_and_not_cut_short() {
    let list = |item| {
        let values = vec![AnyValue { value: Some(Any::Int(item)) }];
        AnyValue { value: Some(Any::Array(Array { values })) }.encode_to_vec()
    };
    // Other decoders make [1,2] of it.
    let twice = [list(1), list(2)].concat();
    assert!(matches!(value_text(Fields::new(&twice, 0)), Err(Broken::Wire(_))));
    let replaced = [list(1), string("x").encode_to_vec(), list(2)].concat();
    assert_eq!(value_text(Fields::new(&replaced, 0)).expect("the last one counts"), "[2]");
}

#[test]
fn empty_messages_are_counted() {
    const MANY: usize = 3_000_000;
    let in_metrics = |metrics: &[u8]| fields(1, &fields(2, metrics, 1), 1);
    let no_points = fields(2, &fields(5, &[], 1), MANY / 2);
    let points = fields(2, &fields(5, &fields(1, &[], MANY), 1), 1);
    for (body, expected) in [
        (fields(1, &[], MANY), "limits.series_per_request_max"),
        (fields(1, &fields(2, &[], MANY), 1), "limits.series_per_request_max"),
        (in_metrics(&no_points), "limits.series_per_request_max"),
        // Points without a value are refused one by one, and cost nothing else.
        (in_metrics(&points), "no letter and no digit"),
        (fields(1, &fields(1, &fields(1, &[], MANY), 1), 1), ""),
    ] {
        let receiver = Receiver::new();
        let answer = receiver.post(OtlpEncoding::Protobuf, body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(matches!(answer.status, 200 | 400 | 413) && text.contains(expected), "{} {text}", answer.status);
    }
}

#[test]
fn series_and_samples_are_counted() {
    let limits = IngestLimits { series_per_request_max: 3, samples_per_request_max: 2, ..IngestLimits::default() };
    let points = vec![number(&[], 0, 1.0), number(&[], 1, 1.0), number(&[], 2, 1.0)];
    let receiver = Receiver::with(OtlpOptions::default(), limits);
    let (status, code, message) = receiver.refuse(&request(vec![gauge("a", "", points)]));
    assert_eq!((status, code), (413, 8), "{message}");
    assert!(message.contains("limits.samples_per_request_max = 2"), "{message}");
    assert_eq!(receiver.lines(), Vec::<String>::new());
}

#[test]
fn target_info_over_all_times_has_few_samples() {
    let receiver = Receiver::new();
    let beginning = NumberPoint { time_unix_nano: 0, ..number(&[], 0, 1.0) };
    let end = NumberPoint { time_unix_nano: u64::MAX, ..number(&[], 0, 1.0) };
    let resource = [("service.name", "shop"), ("os.type", "linux")];
    // 1970 is long ago, and stored. The end of time is not, and nor are the hour before it in steps of 150 s and its end.
    let (refused, message) = receiver.store_part(&request_of(&resource, vec![gauge("a", "", vec![beginning, end])]));
    assert_eq!(refused, 1 + 24 + 1, "{message}");
    assert_eq!(receiver.lines(), [format!(r#"a{{job="shop"}} 1@{}"#, -NOW_MS)]);
}
