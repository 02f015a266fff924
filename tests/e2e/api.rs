//! Prometheus's query interface from the asker's side, for us and for Prometheus alike.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Client, percent_encoded};

/// Largest difference between two values that count as equal, relative to the larger one.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// What a query gave: by label set, written as JSON, the samples in order: time in ms and value.
pub(crate) type Series = BTreeMap<String, Vec<(i64, f64)>>;

/// Asks for one moment, in ms.
pub(crate) fn instant(address: SocketAddr, query: &str, at_ms: i64) -> Series {
    let form = format!("query={}&time={}", percent_encoded(query), seconds(at_ms));
    series(query, &ask(address, "/api/v1/query", &form))
}

/// Asks for every step from `start_ms` to `end_ms`.
pub(crate) fn range(address: SocketAddr, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Series {
    let (start, end, step) = (seconds(start_ms), seconds(end_ms), seconds(step_ms));
    let form = format!("query={}&start={start}&end={end}&step={step}", percent_encoded(query));
    series(query, &ask(address, "/api/v1/query_range", &form))
}

/// Posts a form and gives the `data` of the answer.
pub(crate) fn ask(address: SocketAddr, path: &str, form: &str) -> Value {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = Client::new(address).post(path, &headers, form.as_bytes()).expect("the server answers");
    data(path, &answer)
}

/// Gets the `data` of an answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> Value {
    data(path, &Client::new(address).get(path).expect("the server answers"))
}

fn data(path: &str, answer: &crate::client::Answer) -> Value {
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("the API answers in JSON");
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"].take()
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn series(query: &str, data: &Value) -> Series {
    if data["resultType"] == "scalar" {
        return Series::from([("{}".to_owned(), vec![sample(&data["result"])])]);
    }
    let mut all = Series::new();
    for one in data["result"].as_array().expect("a list of series") {
        // serde_json keeps the keys of an object sorted, so equal label sets are equal texts.
        let labels = one["metric"].to_string();
        let samples = match one.get("values") {
            Some(values) => values.as_array().expect("a list of samples").iter().map(sample).collect(),
            None => vec![sample(&one["value"])],
        };
        assert!(all.insert(labels, samples).is_none(), "{query}: a label set comes twice: {}", one["metric"]);
    }
    all
}

fn sample(pair: &Value) -> (i64, f64) {
    let time_s = pair[0].as_f64().expect("a time");
    let value = pair[1].as_str().and_then(|value| value.parse().ok()).expect("a value as text");
    ((time_s * 1000.0).round() as i64, value)
}

/// What differs between two answers, a line each; empty when they say the same.
pub(crate) fn differences(ours: &Series, theirs: &Series) -> String {
    let mut text = String::new();
    for (labels, samples) in theirs {
        match ours.get(labels) {
            None => writeln!(text, "  missing: {labels}"),
            Some(own) if same_samples(own, samples) => Ok(()),
            Some(own) => writeln!(text, "  {labels}\n    ours   {own:?}\n    theirs {samples:?}"),
        }
        .expect("a string takes all writes");
    }
    for labels in ours.keys().filter(|labels| !theirs.contains_key(*labels)) {
        writeln!(text, "  only ours: {labels}").expect("a string takes all writes");
    }
    text
}

fn same_samples(left: &[(i64, f64)], right: &[(i64, f64)]) -> bool {
    let same = |(one, other): (&(i64, f64), &(i64, f64))| one.0 == other.0 && same_value(one.1, other.1);
    left.len() == right.len() && left.iter().zip(right).all(same)
}

fn same_value(left: f64, right: f64) -> bool {
    let close = (left - right).abs() <= RELATIVE_TOLERANCE * left.abs().max(right.abs());
    left == right || close || (left.is_nan() && right.is_nan())
}
