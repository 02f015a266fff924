//! OpenTelemetry's SDK for Python as it comes from its package.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::api::{get, instant};
use crate::client::Client;
use crate::engine::Engine;
use dozor::clock::Clock;

/// What every series of the shop has: what identifies it, and what is promoted by default.
const COMMON: [(&str, &str); 7] = [
    ("job", "eu/shop"),
    ("instance", "7"),
    ("service_name", "shop"),
    ("service_namespace", "eu"),
    ("service_instance_id", "7"),
    ("deployment_environment", "prod"),
    ("host_name", "web-1"),
];

/// Each series that the shop's two exports make, and its values: by hand, from what `otlp.py` does and how Prometheus
/// names it. Nobody in France orders in the second interval, of which deltas then say nothing.
fn expected(temporality: &str) -> BTreeMap<String, Vec<f64>> {
    let france = if temporality == "delta" { vec![2.0] } else { vec![2.0, 2.0] };
    let own = [
        ("shop_orders_total", Some(("region", "de")), vec![3.0, 7.0]),
        ("shop_orders_total", Some(("region", "fr")), france),
        ("shop_carts_open", None, vec![5.0, 3.0]),
        ("queue_fill_ratio", Some(("queue_name", "mail")), vec![0.25, 0.75]),
        ("checkout_duration_seconds_bucket", Some(("le", "0.1")), vec![1.0, 1.0]),
        ("checkout_duration_seconds_bucket", Some(("le", "1")), vec![1.0, 2.0]),
        ("checkout_duration_seconds_bucket", Some(("le", "5")), vec![2.0, 3.0]),
        ("checkout_duration_seconds_bucket", Some(("le", "+Inf")), vec![2.0, 4.0]),
        ("checkout_duration_seconds_count", None, vec![2.0, 4.0]),
        ("checkout_duration_seconds_sum", None, vec![2.55, 53.05]),
    ];
    own.into_iter()
        .map(|(name, extra, values)| {
            let labels = COMMON.into_iter().chain(extra).chain([("__name__", name)]);
            let labels: Map<String, Value> = labels.map(|(name, value)| (name.to_owned(), json!(value))).collect();
            (Value::Object(labels).to_string(), values)
        })
        .collect()
}

/// Lets the shop report to this path. Fails with what its SDK complained of.
fn run_shop(engine: SocketAddr, path: &str, temporality: &str, encoding: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("target/python/bin/python");
    assert!(python.exists(), "{} is not there: tools/test.sh makes it", python.display());
    let url = format!("http://{engine}{path}");
    let script = folder.join("tests/e2e/otlp.py");
    let ran = Command::new(python).arg(script).args([&url, temporality, encoding]).output().expect("Python runs");
    let complaints = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success() && complaints.is_empty(), "{temporality} {encoding}: {complaints}");
}

/// All that is stored but `target_info`: the values of each series, by its labels.
fn stored(engine: SocketAddr) -> BTreeMap<String, Vec<f64>> {
    let now_ms = Clock::system().now_ms() + 1000;
    let all = instant(engine, r#"{__name__!="target_info",__name__=~".+"}[5m]"#, now_ms);
    all.into_iter().map(|(labels, samples)| (labels, samples.into_iter().map(|sample| sample.1).collect())).collect()
}

fn assert_shop_is_stored(path: &str, temporality: &str, encoding: &str) {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    run_shop(engine.address, path, temporality, encoding);
    let (stored, expected) = (stored(engine.address), expected(temporality));
    assert_eq!(stored.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (labels, values) in &expected {
        let own = &stored[labels];
        let is_near = |(own, value): (&f64, &f64)| (own - value).abs() < 1e-9;
        assert!(own.len() == values.len() && own.iter().zip(values).all(is_near), "{labels}: {own:?}, not {values:?}");
    }
    assert_target_info(engine.address);
}

/// Everything of the resource but what identifies it, the SDK's own attributes among it.
fn assert_target_info(engine: SocketAddr) {
    let found = instant(engine, "target_info", Clock::system().now_ms() + 1000);
    let labels: Vec<Value> = found.keys().map(|labels| serde_json::from_str(labels).expect("JSON")).collect();
    let [labels] = labels.as_slice() else { panic!("one resource, and {found:?}") };
    let version = labels["telemetry_sdk_version"].clone();
    let expected = json!({
        "__name__": "target_info", "job": "eu/shop", "instance": "7", "deployment_environment": "prod",
        "host_name": "web-1", "shop_floor": "3", "telemetry_sdk_language": "python",
        "telemetry_sdk_name": "opentelemetry", "telemetry_sdk_version": version,
    });
    assert_eq!(*labels, expected);
    assert!(version.as_str().is_some_and(|version| version.starts_with('1')), "{version}");
}

#[test]
fn opentelemetry_sdk_sends_cumulative_metrics() {
    assert_shop_is_stored("/v1/metrics", "cumulative", "protobuf");
}

#[test]
fn opentelemetry_sdk_sends_deltas() {
    assert_shop_is_stored("/api/v1/otlp/v1/metrics", "delta", "protobuf");
}

#[test]
fn opentelemetry_request_in_json_says_the_same() {
    assert_shop_is_stored("/opentelemetry/v1/metrics", "delta", "json");
}

#[test]
fn opentelemetry_total_of_deltas_begins_again_after_a_restart_as_a_counter_does() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    run_shop(engine.address, "/v1/metrics", "delta", "protobuf");
    engine.kill();
    engine.start_again();
    run_shop(engine.address, "/v1/metrics", "delta", "protobuf");
    let now_ms = Clock::system().now_ms() + 1000;
    let labels = r#"{region="de"}"#;
    let totals = instant(engine.address, &format!("shop_orders_total{labels}[5m]"), now_ms);
    let totals: Vec<f64> = totals.into_values().flatten().map(|sample| sample.1).collect();
    assert_eq!(totals, [3.0, 7.0, 3.0, 7.0]);
    // One reset: the 3 and the 4 of the second run are all seen.
    let resets = instant(engine.address, &format!("resets(shop_orders_total{labels}[5m])"), now_ms);
    assert_eq!(resets.into_values().flatten().map(|sample| sample.1).collect::<Vec<_>>(), [1.0]);
}

#[test]
fn opentelemetry_answers_are_those_of_the_protocol() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let mut client = engine.client();
    let mut post = |content_type: &str, body: &str| {
        let headers = [("Content-Type", content_type)];
        let answer = client.post("/v1/metrics", &headers, body.as_bytes()).expect("an answer");
        let told = answer.header("content-type").unwrap_or_default().to_owned();
        (answer.status, told, answer.text())
    };
    assert_eq!(post("application/json", "{}"), (200, "application/json".to_owned(), "{}".to_owned()));
    assert_eq!(post("application/x-protobuf", ""), (200, "application/x-protobuf".to_owned(), String::new()));
    let (status, content_type, text) = post("application/json", "{");
    assert_eq!((status, content_type.as_str()), (400, "application/json"), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("a status")["code"], 3);
    let (status, _, text) = post("text/plain", "{}");
    assert_eq!(status, 415, "{text}");
    let wrong_way = Client::new(engine.address).get("/v1/metrics").expect("an answer");
    assert_eq!(wrong_way.status, 405);
    assert!(get(engine.address, "/api/v1/labels").as_array().expect("a list").is_empty());
}
