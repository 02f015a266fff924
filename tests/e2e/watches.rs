//! Rules that are fed by the stream, changed while they watch.

use std::fs;

use tempfile::TempDir;

use crate::api::{get, instant};
use crate::backup::printed;
use crate::engine::Engine;
use crate::process::free_address;
use crate::shop::Story;
use crate::wait::{wait_for, wait_until};
use crate::webhook::Pager;

/// How long after the onset the rules are changed, in ms of event time: all of them fire by then.
const UNTIL_CHANGED_MS: i64 = 6 * 60_000;

const BEFORE: &str = r#"
groups:
  - name: checkout
    rules:
      - alert: Orders
        expr: sum by (region) (rate(shop_orders_total[1m]))
        anomaly: { direction: drop }
        annotations: { nodes: '{{ query "count(up)" | first | value }} nodes' }
      - alert: Latency
        expr: histogram_quantile(0.95, sum by (le, region) (rate(shop_checkout_seconds_bucket[1m])))
        anomaly: { direction: rise }
"#;

/// The first has other words, the second is gone, the third is new.
const AFTER: &str = r#"
groups:
  - name: checkout
    rules:
      - alert: Orders
        expr: sum by (region) (rate(shop_orders_total[1m]))
        anomaly: { direction: drop }
        annotations: { summary: fewer orders }
      - alert: New
        expr: sum by (region) (increase(shop_orders_total[1m]))
        anomaly: { direction: drop }
"#;

/// What the pager was told, in the order of the alphabet.
fn told(pager: &Pager) -> Vec<String> {
    let mut told: Vec<String> =
        pager.told().iter().map(|told| format!("{} {}", told.alert_name, told.status)).collect();
    told.sort();
    told
}

/// What fires is told with its figures, as JSON, as a picture, and as series.
fn check_explained(engine: &Engine, onset_ms: i64) {
    let find = || {
        let told = get(engine.address, "/api/v1/anomalies");
        let all = told["anomalies"].as_array().expect("a list").clone();
        all.into_iter().find(|one| one["labels"]["alertname"] == "Orders")
    };
    let orders = wait_for("the figures are told", find);
    assert_eq!((&orders["state"], &orders["direction"]), (&"firing".into(), &"drop".into()), "{orders}");
    let figure = |name: &str| orders[name].as_f64().unwrap_or_else(|| panic!("no {name} in {orders}"));
    assert!(figure("value") < figure("lower") && figure("lower") < figure("expected"), "{orders}");
    assert!(figure("evidence") >= figure("threshold") && figure("detectedAt") > figure("onset"), "{orders}");
    assert!((figure("onset") - onset_ms as f64 / 1_000.0).abs() <= 120.0, "{orders}");
    assert!(orders["lost"]["events"].as_f64().expect("a number") > 0.0, "{orders}");
    assert!(!orders["line"].as_array().expect("a list").is_empty(), "{orders}");

    let node_of_region = |part: &serde_json::Value| {
        part["labels"]["node"].as_str().expect("nodes are what a region is made of").starts_with("eu-")
    };
    let parts = || find().filter(|one| !one["parts"].as_array().expect("a list").is_empty());
    let parts = wait_for("its parts are found", parts)["parts"].as_array().expect("a list").clone();
    assert!(parts.iter().all(node_of_region), "{parts:?}");
    let share: f64 = parts.iter().filter_map(|part| part["share"].as_f64()).sum();
    assert!((share - 1.0).abs() < 0.1, "a sum is the sum of its parts: {parts:?}");

    let picture = printed(&["explain", "Orders", "--url", &format!("http://{}", engine.address)]);
    assert!(picture.starts_with("Orders{region=\"eu\"}  firing: drop") && picture.contains('▲'), "{picture}");
    assert!(picture.contains("what moved:") && picture.contains("node=\"eu-0"), "{picture}");

    let detected_ms = (figure("detectedAt") * 1_000.0) as i64;
    let drawn = |name: &str, at_ms| {
        let (name, comparison) = name.split_once(' ').unwrap_or((name, ""));
        instant(engine.address, &format!("{name}{{alertname='Orders',region='eu'}} {comparison}"), at_ms)
    };
    wait_until("the band is written back", || !drawn("anomaly_active == 1", detected_ms).is_empty());
    assert!(drawn("anomaly_active == 1", onset_ms - 60_000).is_empty(), "before the onset");
    for name in ["anomaly_expected", "anomaly_lower", "anomaly_upper", "anomaly_score"] {
        assert_eq!(drawn(name, detected_ms).len(), 1, "{name}");
    }
}

#[test]
fn a_reload_in_an_incident_tells_nothing_twice_ends_what_goes_and_knows_what_is_stored() {
    let folder = TempDir::new().expect("a temporary folder");
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, BEFORE).expect("written");
    let pager = Pager::new(free_address());
    pager.open(200);
    let arguments = [format!("--rules={}", rules.display()), format!("--webhook-url=http://{}/hook", pager.address)];
    let mut engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    let mut story = Story::new();
    story.send(&engine, story.onset_ms + UNTIL_CHANGED_MS);
    wait_until("both fire", || told(&pager) == ["Latency firing", "Orders firing"]);

    check_explained(&engine, story.onset_ms);
    let of_orders = pager.told().into_iter().find(|told| told.alert_name == "Orders").expect("it fires");
    let body = String::from_utf8(of_orders.body).expect("it is text");
    assert!(body.contains(r#""nodes":"12 nodes""#), "what the annotation asked is in the page: {body}");

    fs::write(&rules, AFTER).expect("written");
    let answer = engine.client().post("/-/reload", &[], b"").expect("the engine answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until("the new one has read what is stored, and the one that is gone is ended", || {
        told(&pager) == ["Latency firing", "Latency resolved", "New firing", "Orders firing"]
    });

    story.send(&engine, story.end_ms);
    let all = ["Latency firing", "Latency resolved", "New firing", "New resolved", "Orders firing", "Orders resolved"];
    wait_until("the others are well again", || told(&pager) == all);
    engine.stop();
}
