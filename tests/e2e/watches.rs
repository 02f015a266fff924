//! Rules that are fed by the stream, changed while they watch.

use std::fs;

use tempfile::TempDir;

use crate::engine::Engine;
use crate::process::free_address;
use crate::shop::Story;
use crate::wait::wait_until;
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
