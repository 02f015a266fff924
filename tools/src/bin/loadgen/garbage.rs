//! Garbage: requests that are wrong in every way at hand. A good server answers each with 4xx, or with success where
//! the damage did no harm, and neither dies, hangs nor grows.

use std::collections::BTreeMap;

use anyhow::Context;
use bytes::Bytes;
use dozor::clock::Clock;
use dozor::demo::{Answer, Connection, Content, Feed, RequestEncoder, Shop, ShopOptions};
use serde_json::{Value, json};

use crate::Options;
use crate::process::Process;
use crate::target::parse_target;

/// Wrong answers, or none, before it is called off.
const FAILURES_COUNT_MAX: u64 = 20;
/// Longest random body, in bytes.
const RANDOM_BYTES_MAX: u64 = 4_096;
/// Deepest nesting of brackets in a query.
const NESTING_MAX: u64 = 20_000;
/// Fewer samples than a usual request: damage then hits something that matters.
const VALID_SAMPLES_COUNT: usize = 10;

const QUERIES: [&str; 5] = [
    "sum by (region) (rate(shop_orders_total[1m]))",
    "histogram_quantile(0.95, sum by (le, region) (rate(shop_checkout_seconds_bucket[1m])))",
    r#"shop_http_requests_total{route=~"/(product|checkout)", status!="200"} offset 5m"#,
    "max_over_time(node_load1[10m]) / on (node) group_left (job) up > bool 1.5",
    r#"label_replace(up, "a", "$1", "node", "(.*)-.*") and on () vector(1) == 0x1f"#,
];

/// Chance for the damage: SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit.max(1)
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    /// Changes up to sixteen bytes, anywhere.
    pub(crate) fn damage(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(16) {
            let index = self.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(index) {
                *byte = self.below(256) as u8;
            }
        }
    }
}

/// A valid request, to be damaged.
pub(crate) struct Valid {
    body: Vec<u8>,
    message: Vec<u8>,
}

/// Throws `count` requests. Returns the figures, and whether the server lived through them well.
pub(crate) async fn throw(options: &Options, count: u32) -> anyhow::Result<(Value, bool)> {
    let target = parse_target(&options.url)?;
    let server = options.pid.map(Process::of_pid);
    let mut connection = Connection::new(target.address);
    let mut dice = Dice(options.seed);
    let valid = valid_request(options.seed, Clock::system().now_ms())?;
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let (mut failures, mut first_failure) = (0, None);
    let mut resident_bytes = Vec::new();
    let quarters = [0, count / 4, count / 2, count - count / 4];
    for index in 0..count {
        if quarters.contains(&index) {
            resident_bytes.extend(server.as_ref().map(Process::memory).transpose()?);
        }
        let (kind, content, body) = garbage(&mut dice, &valid);
        let path = if content == Content::Form { "/api/v1/query" } else { &target.path };
        let (outcome, good) = judge(connection.post(path, content, Bytes::from(body)).await);
        *outcomes.entry(format!("{kind}: {outcome}")).or_default() += 1;
        if !good {
            failures += 1;
            first_failure.get_or_insert(format!("request {index}, {kind}: {outcome}"));
            if failures >= FAILURES_COUNT_MAX {
                break;
            }
        }
    }
    resident_bytes.extend(server.as_ref().and_then(|server| server.memory().ok()));
    let alive = matches!(Connection::new(target.address).get("/-/healthy").await, Ok(Answer { status: 200, .. }));
    let resident_bytes: Vec<u64> = resident_bytes.iter().map(|memory| memory.resident_bytes).collect();
    let report = json!({
        "garbage": count, "outcomes": outcomes, "failures": failures, "first_failure": first_failure,
        "alive": alive, "resident_bytes": resident_bytes,
    });
    print(&report);
    Ok((report, alive && failures == 0))
}

/// What the answer was, in a word, and whether it is one that garbage may get.
fn judge<E: std::fmt::Display>(answer: Result<Answer, E>) -> (String, bool) {
    match answer {
        Ok(answer) => (answer.status.to_string(), matches!(answer.status, 200..=299 | 400..=499 | 503)),
        Err(error) => (error.to_string(), false),
    }
}

pub(crate) fn valid_request(seed: u64, now_ms: i64) -> anyhow::Result<Valid> {
    let shop = Shop::new(ShopOptions { node_count: 1, seed, ..ShopOptions::default() })?;
    let mut encoder = RequestEncoder::new();
    Feed::new(shop, now_ms).fill(&mut encoder, VALID_SAMPLES_COUNT, i64::MAX);
    let body = encoder.finish().to_vec();
    let message = snap::raw::Decoder::new().decompress_vec(&body).context("our own body cannot be inflated")?;
    Ok(Valid { body, message })
}

/// One wrong request: its kind, what it pretends to be, its body.
pub(crate) fn garbage(dice: &mut Dice, valid: &Valid) -> (&'static str, Content, Vec<u8>) {
    match dice.below(6) {
        0 => {
            let count = dice.below(RANDOM_BYTES_MAX);
            ("random bytes", Content::RemoteWrite, dice.bytes(count))
        }
        1 => {
            let kept = dice.below(valid.body.len() as u64) as usize;
            ("truncated body", Content::RemoteWrite, valid.body[..kept].to_vec())
        }
        2 => {
            let mut body = valid.body.clone();
            dice.damage(&mut body);
            ("damaged body", Content::RemoteWrite, body)
        }
        3 => {
            let mut message = valid.message.clone();
            dice.damage(&mut message);
            message.truncate(message.len() - dice.below(3) as usize);
            ("damaged message", Content::RemoteWrite, compressed(&message))
        }
        4 => {
            let mut query = QUERIES[dice.below(QUERIES.len() as u64) as usize].as_bytes().to_vec();
            dice.damage(&mut query);
            ("damaged query", Content::Form, form(&query))
        }
        _ => ("strange query", Content::Form, form(&strange_query(dice))),
    }
}

fn compressed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a message of a few kilobytes can be compressed")
}

/// Deep, long or not even text.
fn strange_query(dice: &mut Dice) -> Vec<u8> {
    let depth_max = if dice.below(50) == 0 { NESTING_MAX } else { 100 };
    let depth = 1 + dice.below(depth_max) as usize;
    match dice.below(4) {
        0 => [b"(".repeat(depth), b"up".to_vec(), b")".repeat(depth)].concat(),
        1 => [b"-".repeat(depth), b"1".to_vec()].concat(),
        2 => [b"sum(".repeat(depth), b"up".to_vec(), b")".repeat(depth)].concat(),
        _ => dice.bytes(depth as u64),
    }
}

/// `query=…`, with every byte that is not a letter or a digit percent-encoded.
fn form(query: &[u8]) -> Vec<u8> {
    let mut body = b"query=".to_vec();
    for byte in query {
        if byte.is_ascii_alphanumeric() {
            body.push(*byte);
        } else {
            body.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    body
}

fn print(report: &Value) {
    println!("garbage     {:>10} requests", report["garbage"].as_u64().unwrap_or(0));
    for (outcome, count) in report["outcomes"].as_object().into_iter().flatten() {
        println!("            {count:>10}  {outcome}");
    }
    let memory = report["resident_bytes"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    let memory = memory.map(|bytes| format!("{:.1}", bytes / 1_048_576.0)).collect::<Vec<String>>();
    if !memory.is_empty() {
        println!("resident    {} MiB at the start, a quarter, half, three quarters, the end", memory.join(" → "));
    }
    if let Some(words) = report["first_failure"].as_str() {
        println!("failures    {:>10}  the first: {words}", report["failures"]);
    }
    println!("alive       {:>10}", if report["alive"] == true { "yes" } else { "NO" });
}
