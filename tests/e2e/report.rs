//! `dozor report`: a page of what a server knows of a time, its journal of incidents and its samples.

use std::process::Command;

use dozor::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::{Engine, dozor};
use crate::process::free_address;
use crate::rules::{send, write_rules};
use crate::wait::wait_until;
use crate::webhook::Pager;

const RULES: &str = "groups: [{ name: g, interval: 1s, rules: [{ alert: Loaded, expr: 'load > 5' }] }]";

fn report(engine: &Engine, format: &str) -> String {
    let url = format!("--url=http://{}", engine.address);
    let arguments = ["report", &url, "--from=1h", "--slo=90", "--timezone=Europe/Berlin", "--format", format];
    let output = Command::new(dozor()).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_report_tells_incidents_and_availability_of_a_server() {
    let folder = TempDir::new().expect("a temporary folder");
    let rules = write_rules(folder.path(), RULES);
    let pager = Pager::new(free_address());
    pager.open(200);
    let (rules, hook) =
        (format!("--rules={}", rules.display()), format!("--webhook-url=http://{}/hook", pager.address));
    let engine = Engine::start(folder.path(), &[&rules, &hook]);
    let empty: Value = serde_json::from_str(&report(&engine, "json")).expect("JSON");
    assert_eq!((&empty["counts"]["begun"], &empty["incidentsAreKnown"]), (&0.into(), &true.into()), "{empty}");
    assert_eq!((&empty["services"], &empty["times"]["resolve"]), (&Value::Array(Vec::new()), &Value::Null));

    // Four of five scrapes were well, half an hour ago.
    let then_ms = Clock::system().now_ms() - 1_800_000;
    let lines: String = (0..5)
        .map(|index| format!("up{{job=\"shop\"}} {} {}\n", u8::from(index != 2), then_ms + index * 15_000))
        .collect();
    let taken = engine.client().post("/api/v1/import/prometheus", &[], lines.as_bytes()).expect("the engine answers");
    assert!(taken.status < 300, "{} {}", taken.status, taken.text());
    for (load, status) in [(9.0, "firing"), (1.0, "resolved")] {
        send(&[engine.address], Clock::system().now_ms(), &[("a", load)]);
        wait_until(status, || pager.taken().iter().any(|told| told.status == status));
    }
    let told = || serde_json::from_str::<Value>(&report(&engine, "json")).expect("JSON");
    wait_until("the incident is over", || told()["times"]["resolve"]["count"] == 1);
    let told = told();
    assert_eq!((&told["counts"]["begun"], &told["counts"]["open"]), (&1.into(), &0.into()), "{told}");
    assert_eq!(told["causes"][0]["name"], "Loaded", "{told}");
    let service = &told["services"][0];
    assert_eq!((service["name"].as_str(), service["total"].as_f64()), (Some("shop"), Some(5.0)), "{told}");
    let (availability, used) = (service["availability"].as_f64(), service["budget"]["used"].as_f64());
    assert!(availability.is_some_and(|share| (share - 0.8).abs() < 1e-9), "{told}");
    // A fifth failed, and a tenth may.
    assert!(used.is_some_and(|used| (used - 2.0).abs() < 1e-9), "{told}");
    assert!(service["covered"].as_f64().is_some_and(|covered| covered < 0.1), "{told}");
    let noisy = &told["noisy"][0];
    assert_eq!(
        (noisy["alert"].as_str(), noisy["replayed"]["firedCount"].as_u64()),
        (Some("Loaded"), Some(1)),
        "{told}"
    );

    let page = report(&engine, "html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Loaded") && page.contains("80.00 %"), "{page}");
    assert!(report(&engine, "md").contains("| shop | 80.00 % |"));
}
