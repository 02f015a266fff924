//! What senders are told.

use super::*;

fn good() -> Metric {
    gauge("good", "", vec![number(&[], 0, 1.0)])
}

#[test]
fn what_cannot_be_stored_is_counted_in_points_and_its_neighbours_are_stored() {
    let coarse = ExponentialPoint { scale: -5, time_unix_nano: NOW_NS, ..ExponentialPoint::default() };
    let lossy = ExponentialPoint { count: 3, time_unix_nano: NOW_NS, ..ExponentialPoint::default() };
    let exponential = |data_points| {
        Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: CUMULATIVE })
    };
    let wide = ExponentialBuckets { offset: 0, bucket_counts: vec![0; 1025] };
    let wide = ExponentialPoint { negative: Some(wide), time_unix_nano: NOW_NS, ..ExponentialPoint::default() };
    let no_value = NumberPoint { value: None, ..number(&[], 0, 1.0) };
    let not_text = KeyValue { key: b"\xff".to_vec(), value: Some(string("x")) };
    let not_text = NumberPoint { attributes: vec![not_text], ..number(&[], 0, 1.0) };
    let many: Vec<(String, String)> = (0..300).map(|index| (format!("a{index}"), "x".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let buckets = HistogramPoint { bucket_counts: vec![1; 1025], time_unix_nano: NOW_NS, ..HistogramPoint::default() };
    let buckets = Histogram { data_points: vec![buckets], aggregation_temporality: CUMULATIVE };
    let table = [
        (metric("a", "", exponential(vec![coarse.clone(), coarse])), 2, "its scale -5 is below -4"),
        (metric("a", "", exponential(vec![lossy])), 1, "the buckets hold 0 observations, but the count is 3"),
        (metric("a", "", exponential(vec![wide])), 1, "more than 1024 buckets on a side"),
        (sum("a", 0, true, vec![number(&[], 0, 1.0); 2]), 2, "temporality is neither delta nor cumulative"),
        (gauge("a", "", vec![no_value, number(&[], 0, 1.0)]), 1, "a point has no value"),
        (gauge("a", "", vec![not_text]), 1, "not UTF-8"),
        (gauge("a", "", vec![number(&many, 0, 1.0)]), 1, "more than 256 attributes"),
        (gauge("a", "", vec![number(&many[..70], 0, 1.0)]), 1, "labels are more than the 64"),
        (gauge("a", "", vec![number(&[("", "x")], 0, 1.0)]), 1, "a label name is empty"),
        (metric("a", "", Data::Histogram(buckets)), 1, "more than 1024 buckets"),
        (gauge("..", "", vec![number(&[], 0, 1.0); 2]), 2, "no letter and no digit"),
        (Metric { data: None, ..good() }, 1, "it has no points"),
    ];
    for (bad, count, reason) in table {
        let receiver = Receiver::new();
        let (refused, message) = receiver.store_part(&request(vec![bad, good()]));
        assert_eq!(refused, count, "{message}");
        assert!(message.contains(reason), "{message}");
        assert_eq!(receiver.lines().iter().filter(|line| *line == "good 1@0").count(), 1);
    }
}

#[test]
fn resource_that_cannot_be_read_costs_its_own_points() {
    let receiver = Receiver::new();
    let mut both = request_of(&[("service.name", "shop")], vec![good(), good()]);
    both.resource_metrics.push(both.resource_metrics[0].clone());
    let bad = KeyValue { key: b"\xff".to_vec(), value: None };
    both.resource_metrics[0].resource = Some(Resource { attributes: vec![bad] });
    let (refused, message) = receiver.store_part(&both);
    assert_eq!(refused, 2, "{message}");
    assert!(message.contains("its resource: a text is not UTF-8"), "{message}");
    assert_eq!(receiver.lines(), [r#"good{job="shop"} 1@0"#]);
}

#[test]
fn request_of_which_nothing_is_stored_is_refused() {
    let receiver = Receiver::new();
    let (status, code, message) = receiver.refuse(&request(vec![sum("a", 0, true, vec![number(&[], 0, 1.0)])]));
    assert_eq!((status, code), (400, 3), "{message}");
    assert!(message.contains("1 refused, 0 stored"), "{message}");
}

#[test]
fn what_the_storage_refuses_is_told_too() {
    let receiver = Receiver::new();
    let (refused, message) = receiver.store_part(&request(vec![
        gauge("good", "", vec![number(&[], 0, 1.0)]),
        gauge("good", "", vec![number(&[], 864_000, 1.0)]),
    ]));
    assert_eq!(refused, 1, "{message}");
    assert_eq!(receiver.lines(), ["good 1@0"]);
}

#[test]
fn bytes_that_are_no_request_are_refused_and_store_nothing() {
    let receiver = Receiver::new();
    let mut body = request(vec![good()]).encode_to_vec();
    body.extend_from_slice(b"\x0a\x05\x01");
    let answer = receiver.post(OtlpEncoding::Protobuf, body);
    let status = Status::decode(answer.body.as_slice()).expect("a status");
    assert_eq!((answer.status, answer.content_type, status.code), (400, "application/x-protobuf", 3));
    assert!(status.message.contains("byte "), "{}", status.message);
    assert_eq!(receiver.lines(), Vec::<String>::new());
}

#[test]
fn answer_is_in_the_encoding_of_the_request() {
    let receiver = Receiver::new();
    let post = |body: &str| {
        let answer = receiver.post(OtlpEncoding::Json, body.to_owned());
        assert_eq!(answer.content_type, "application/json");
        (answer.status, serde_json::from_slice::<serde_json::Value>(&answer.body).expect("JSON"))
    };
    assert_eq!(post("{}"), (200, serde_json::json!({})));
    let (status, answer) = post("[]");
    assert_eq!((status, &answer["code"]), (400, &serde_json::json!(3)), "{answer}");
    let points = format!(r#"[{{"timeUnixNano":"{NOW_NS}","asInt":"7"}},{{}}]"#);
    let metrics = format!(r#"[{{"name":"a","gauge":{{"dataPoints":{points}}}}}]"#);
    let (status, answer) = post(&format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":{metrics}}}]}}]}}"#));
    assert_eq!(status, 200);
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1", "{answer}");
    assert_eq!(receiver.lines(), ["a 7@0"]);
}

#[test]
fn full_server_says_when_to_come_back() {
    let limits = IngestLimits { bytes_in_flight_max: 0, ..IngestLimits::default() };
    let receiver = Receiver::with(OtlpOptions::default(), limits);
    let answer = receiver.send(&request(vec![good()]));
    let status = Status::decode(answer.body.as_slice()).expect("a status");
    assert_eq!((answer.status, answer.retry_after_s, status.code), (503, Some(1), 14));
}

#[test]
fn content_types_of_the_protocol_are_known() {
    let of = |text| OtlpEncoding::of_content_type(Some(text)).ok();
    assert_eq!(of("application/x-protobuf"), Some(OtlpEncoding::Protobuf));
    assert_eq!(of("Application/JSON; charset=utf-8"), Some(OtlpEncoding::Json));
    for other in ["text/plain", "", "application/x-www-form-urlencoded"] {
        let error = OtlpEncoding::of_content_type(Some(other)).expect_err("not spoken");
        assert_eq!(error.status(), 415, "{other}");
    }
    assert_eq!(OtlpEncoding::of_content_type(None).expect_err("not told").status(), 415);
}
