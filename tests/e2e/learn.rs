//! `dozor learn`: a shop that brings its history is watched by what it teaches from the first minute on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use dozor::clock::Clock;
use tempfile::TempDir;

use crate::backup::printed;
use crate::engine::{Engine, dozor};
use crate::portable::{ended, import};
use crate::wait::wait_until;

const RULES: &str = "groups:
- name: shop
  rules:
  - alert: OrderRateDrop
    expr: sum by (region) (rate(shop_orders_total[1m]))
    anomaly: { direction: drop }
";
const STEP_MS: i64 = 30_000;
const STEPS: i64 = 2 * 2_880;

/// Two days of twenty orders a step in each of two regions, up to now. In one of them none came for half an hour
/// of yesterday.
fn history() -> String {
    let start_ms = Clock::system().now_ms() - STEPS * STEP_MS;
    let mut lines = String::new();
    for region in ["eu", "us"] {
        let (mut total, mut values, mut timestamps) = (0, Vec::new(), Vec::new());
        for step in 0..STEPS {
            let is_broken = region == "eu" && (2_000..2_060).contains(&step);
            // Eighteen to twenty-two, in an order that repeats after a while.
            total += if is_broken { 0 } else { 18 + (step * 7 % 13) * (step % 11) % 5 };
            values.push(total);
            timestamps.push(start_ms + step * STEP_MS);
        }
        let metric = format!(r#"{{"__name__":"shop_orders_total","region":"{region}"}}"#);
        writeln!(lines, r#"{{"metric":{metric},"values":{values:?},"timestamps":{timestamps:?}}}"#).expect("a string");
    }
    lines
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

#[test]
fn what_history_taught_is_what_detection_goes_on_from() {
    let folder = TempDir::new().expect("a temporary folder");
    let (rules, lines) = (folder.path().join("shop.yml"), folder.path().join("history.jsonl"));
    fs::write(&rules, RULES).expect("the folder can be written");
    fs::write(&lines, history()).expect("the folder can be written");
    let mut engine = Engine::start(folder.path(), &[]);
    let data = engine.data_folder();
    assert_eq!(import(&engine, &["jsonl", text(&lines)]).0, 0);

    let learn = ["learn", "--data-dir", text(&data), "--rules", text(&rules)];
    let refused = ended(Command::new(dozor()).args(learn).output().expect("the binary runs"));
    assert!(refused.0 == 1 && refused.1.contains("in use by another dozor"), "{}", refused.1);
    engine.stop();
    let told = printed(&learn);
    let samples = 2 * STEPS;
    assert!(
        told.starts_with(&format!("learned: 2 groups of 1 rules from 2 days, {samples} samples of 2 series")),
        "{told}"
    );
    assert!(told.contains("alerts in that time: 1 OrderRateDrop"), "{told}");
    // What is known stays, unless it is to go.
    assert!(printed(&learn).contains("2 groups were known and stay as they are"));
    assert!(!printed(&[&learn[..], &["--anew"]].concat()).contains("were known"));

    let engine = Engine::start(folder.path(), &["--rules", text(&rules)]);
    wait_until("detection goes on", || engine.printed().contains("detection goes on groups=2"));
}
