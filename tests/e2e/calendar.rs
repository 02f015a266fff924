//! A sale that is announced to a running engine: `dozor calendar`, over `kill -9`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use dozor::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::get;
use crate::backup::printed;
use crate::engine::{Engine, dozor};
use crate::portable::{ended, import};
use crate::process::free_address;
use crate::wait::wait_until;
use crate::webhook::Pager;

/// The first is learned, and excused by the calendar; the second is a fixed limit, which nothing excuses.
const RULES: &str = "groups:
- name: shop
  rules:
  - alert: OrderPeak
    expr: sum by (region) (rate(shop_orders_total[1m]))
    anomaly: { direction: rise }
  - alert: OrderLimit
    expr: sum by (region) (rate(shop_orders_total[1m]))
    anomaly: { limit: { above: 0.8, for: 1m } }
";
const MINUTE_MS: i64 = 60_000;
const STEP_MS: i64 = 30_000;
/// Three days.
const STEPS: i64 = 3 * 2_880;
/// The last two hours come while the engine runs.
const LIVE_STEPS: i64 = 240;

/// Orders up to a moment: twenty a step, and half as many again from ninety minutes before it to half an hour before it.
/// The history and what comes live, as lines of JSON.
fn orders(now_ms: i64) -> [String; 2] {
    let (mut total, mut rows) = (0, Vec::new());
    for step in 0..STEPS {
        let at_ms = now_ms - (STEPS - step) * STEP_MS;
        let usual = 18 + (step * 7 % 13) * (step % 11) % 5;
        let is_sale = (now_ms - 90 * MINUTE_MS..now_ms - 30 * MINUTE_MS).contains(&at_ms);
        total += if is_sale { usual * 3 / 2 } else { usual };
        rows.push((total, at_ms));
    }
    let (before, live) = rows.split_at((STEPS - LIVE_STEPS) as usize);
    [before, live].map(|rows| {
        let (values, timestamps): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
        let metric = r#"{"__name__":"shop_orders_total","region":"eu"}"#;
        let mut line = String::new();
        writeln!(line, r#"{{"metric":{metric},"values":{values:?},"timestamps":{timestamps:?}}}"#).expect("a string");
        line
    })
}

/// What the pager was told of a day with a sale that `announce` may have announced.
fn told_of_a_sale(announce: impl FnOnce(&mut Engine, i64)) -> Vec<String> {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let now_ms = Clock::system().now_ms() / STEP_MS * STEP_MS;
    let [history, live] = orders(now_ms);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path.to_str().expect("paths of tests are text").to_owned()
    };
    let (rules, history, live) = (file("shop.yml", RULES), file("history.jsonl", &history), file("live.jsonl", &live));
    let mut engine = Engine::start(folder.path(), &[]);
    assert_eq!(import(&engine, &["jsonl", &history]).0, 0);
    engine.stop();
    printed(&["learn", "--data-dir", engine.data_folder().to_str().expect("text"), "--rules", &rules]);

    let webhook = format!("--webhook-url=http://{}/hook", pager.address);
    let mut engine = Engine::start(folder.path(), &["--rules", &rules, &webhook]);
    announce(&mut engine, now_ms);
    assert_eq!(import(&engine, &["jsonl", &live]).0, 0);
    let told = || pager.told().iter().map(|told| format!("{} {}", told.alert_name, told.status)).collect::<Vec<_>>();
    wait_until("the sale is over", || told().contains(&"OrderLimit resolved".to_owned()));
    let told = told();
    engine.stop();
    told
}

#[test]
fn a_sale_that_was_announced_pages_nobody_and_one_that_was_not_does() {
    let told = told_of_a_sale(|_, _| {});
    assert!(told.contains(&"OrderPeak firing".to_owned()), "{told:?}");

    let told = told_of_a_sale(|engine, now_ms| {
        let moment = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("in bounds").to_string();
        let (from, to) = (moment(now_ms - 95 * MINUTE_MS), moment(now_ms + 60 * MINUTE_MS));
        let url = format!("http://{}", engine.address);
        let words = ["--comment", "flash sale", "--author", "dana", "--url", &url];
        printed(&[&["calendar", "add", "--from", &from, "--to", &to][..], &words].concat());
        engine.kill();
        engine.start_again();
        assert_eq!(engine.metric("dozor_calendar_active"), 1.0, "what was answered is known behind a kill");
    });
    assert_eq!(told, ["OrderLimit firing", "OrderLimit resolved"]);
}

#[test]
fn a_span_is_listed_taken_back_and_refused_by_the_command() {
    let folder = TempDir::new().expect("a temporary folder");
    let settings = folder.path().join("dozor.yml");
    let text = "detection: { timezone: Europe/Berlin, calendar: [{ name: Christmas, from: 12-24, to: 12-26 }] }\n";
    fs::write(&settings, text).expect("written");
    let mut engine = Engine::start(folder.path(), &[&format!("--config={}", settings.display())]);
    let url = format!("--url=http://{}", engine.address);
    let calendar = |arguments: &[&str]| {
        let command = [&["calendar"], arguments, &[url.as_str()]].concat();
        ended(Command::new(dozor()).args(command).output().expect("the binary runs"))
    };
    let words = ["--comment=new CDN", "--author=dana"];
    let (code, id) = calendar(&[&["add", "--for", "2h", "--kind", "deploy"], &words[..]].concat());
    let id = id.trim();
    assert!(code == 0 && id.len() == 8, "{id}");
    let (code, what) = calendar(&[&["add", "--to", "soon"], &words[..]].concat());
    assert!(code == 1 && what.contains("to \"soon\" is no moment: write"), "{what}");

    engine.kill();
    engine.start_again();
    let (_, listed) = calendar(&["list"]);
    let first = listed.lines().next().expect("a line");
    assert!(first.starts_with(&format!("{id}  active  deploy  ")) && first.ends_with("  0.3"), "{listed}");
    assert!(listed.contains("    dana: new CDN\n"), "{listed}");
    assert!(listed.ends_with("settings  holiday  12-24T00:00:00 to 12-26  0.6  Christmas\n"), "{listed}");
    assert_eq!(engine.metric("dozor_calendar_announced"), 1.0);

    assert_eq!(calendar(&["remove", id]).0, 0);
    let (code, what) = calendar(&["remove", id]);
    assert!(code == 1 && what.contains(&format!("no span {id} is announced")), "{what}");
    assert_eq!(get(engine.address, "/api/v1/calendar")["announced"], Value::Array(Vec::new()));
    engine.stop();
    let verified = printed(&["verify", "--data-dir", engine.data_folder().to_str().expect("text")]);
    assert!(verified.starts_with("ok"), "{verified}");
}
