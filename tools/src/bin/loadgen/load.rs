//! Sending the fleet's samples and measuring what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use dozor::clock::Clock;
use dozor::demo::{Connection, Content, Feed, SERIES_PER_NODE, Shop, ShopOptions};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Options;
use crate::encode::Encoder;
use crate::process::Process;
use crate::target::{Target, parse_start, parse_target};

/// Bodies that a connection's generator is ahead of it.
const BODIES_AHEAD_COUNT: usize = 8;
/// Answers that are neither success nor "later" before a connection gives up.
const ERRORS_COUNT_MAX: u64 = 20;
/// Wait after 429 or 503 without Retry-After.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait that a Retry-After is believed.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Scrapes where neither their number nor a duration was given.
const SCRAPES_COUNT_DEFAULT: u32 = 10;
/// Longest time to send for, where none was given, in seconds.
const DURATION_S_DEFAULT: u32 = 3_600;
/// Longest latency that the histogram tells apart, in µs.
const LATENCY_MICROSECONDS_MAX: u64 = 60_000_000;

/// One request, ready to be sent.
struct Body {
    bytes: Bytes,
    sample_count: u64,
}

/// What one connection, or all of them, did.
struct Tally {
    latency: Histogram<u64>,
    samples: u64,
    bytes: u64,
    requests: u64,
    /// Answers by status, and exchanges without an answer by reason.
    outcomes: BTreeMap<String, u64>,
    errors: u64,
    first_error: Option<String>,
}

/// Until when to send, and how fast.
#[derive(Clone, Copy)]
struct Pace {
    until: Duration,
    /// Samples a second on this connection; 0 is flat out.
    rate: f64,
}

/// Sends everything and prints the figures. Returns them as JSON too, and whether there were no errors.
pub(crate) async fn send(options: &Options) -> anyhow::Result<(Value, bool)> {
    let target = parse_target(&options.url)?;
    let clock = Clock::system();
    let start_ms = parse_start(&options.start, clock.now_ms())?;
    let server = options.pid.map(Process::of_pid);
    let connections = options.connections.min(options.nodes);

    let server_cpu_before_s = server.as_ref().map(Process::cpu_s).transpose()?;
    let client_cpu_before_s = Process::own().cpu_s()?;
    let began = clock.monotonic();
    let pace = Pace {
        until: began + Duration::from_secs(options.duration.unwrap_or(DURATION_S_DEFAULT).into()),
        rate: f64::from(options.rate) / connections as f64,
    };
    let mut tasks = Vec::new();
    for index in 0..connections {
        let feed = Feed::new(share(options, index, connections)?, start_ms);
        let bodies = generate(feed, options, start_ms);
        tasks.push(tokio::spawn(drive(target.clone(), options.protocol.content(), bodies, pace, clock.clone())));
    }
    let mut tally = Tally::new();
    for task in tasks {
        tally.add(&task.await?)?;
    }
    let took_s = (clock.monotonic() - began).as_secs_f64();

    let samples = tally.samples.max(1) as f64;
    let server_cpu_s = match (&server, server_cpu_before_s) {
        (Some(server), Some(before_s)) => Some(server.cpu_s()? - before_s),
        _ => None,
    };
    let memory = server.as_ref().map(Process::memory).transpose()?;
    let quantile = |share: f64| tally.latency.value_at_quantile(share);
    let report = json!({
        "nodes": options.nodes, "series": options.nodes * SERIES_PER_NODE, "connections": connections,
        "batch": options.batch, "seed": options.seed, "start_ms": start_ms,
        "samples": tally.samples, "requests": tally.requests, "seconds": took_s,
        "samples_per_s": tally.samples as f64 / took_s,
        "bytes_per_sample": tally.bytes as f64 / samples,
        "latency_us": {
            "p50": quantile(0.5), "p90": quantile(0.9), "p99": quantile(0.99), "p99.9": quantile(0.999),
            "max": tally.latency.max(),
        },
        "outcomes": tally.outcomes, "errors": tally.errors, "first_error": tally.first_error,
        "client_cpu_us_per_sample": (Process::own().cpu_s()? - client_cpu_before_s) * 1e6 / samples,
        "server_cpu_us_per_sample": server_cpu_s.map(|cpu_s| cpu_s * 1e6 / samples),
        "server_peak_bytes": memory.map(|memory| memory.peak_bytes),
        "server_resident_bytes": memory.map(|memory| memory.resident_bytes),
    });
    print(&report);
    Ok((report, tally.errors == 0 && tally.samples > 0))
}

/// The part of the fleet that one connection sends.
fn share(options: &Options, index: usize, connections: usize) -> anyhow::Result<Shop> {
    let node_first = index * options.nodes / connections;
    let node_count = (index + 1) * options.nodes / connections - node_first;
    let scrape_interval_ms = i64::from(options.interval) * 1_000;
    let shop = ShopOptions { node_count, node_first, seed: options.seed, scrape_interval_ms, ..ShopOptions::default() };
    Ok(Shop::new(shop)?)
}

/// Encodes the requests on a thread of its own, a bounded number ahead; ends when the connection does.
fn generate(mut feed: Feed, options: &Options, start_ms: i64) -> mpsc::Receiver<Body> {
    let (to_connection, bodies) = mpsc::channel(BODIES_AHEAD_COUNT);
    let scrapes = options.scrapes.unwrap_or(if options.duration.is_some() { u32::MAX } else { SCRAPES_COUNT_DEFAULT });
    let until_ms = start_ms.saturating_add(i64::from(scrapes - 1) * i64::from(options.interval) * 1_000);
    let (batch, protocol) = (options.batch, options.protocol);
    std::thread::spawn(move || {
        let mut encoder = Encoder::new(protocol);
        loop {
            let mut sample_count = 0;
            while sample_count < batch && feed.next(until_ms, |fed| encoder.push(fed)) {
                sample_count += 1;
            }
            let body = Body { bytes: encoder.finish(), sample_count: sample_count as u64 };
            if sample_count == 0 || to_connection.blocking_send(body).is_err() {
                return;
            }
        }
    });
    bodies
}

async fn drive(target: Target, content: Content, mut bodies: mpsc::Receiver<Body>, pace: Pace, clock: Clock) -> Tally {
    let mut connection = Connection::new(target.address);
    let mut tally = Tally::new();
    let began = clock.monotonic();
    while let Some(body) = bodies.recv().await {
        if pace.rate > 0.0 {
            let due = began + Duration::from_secs_f64(tally.samples as f64 / pace.rate);
            tokio::time::sleep(due.min(pace.until).saturating_sub(clock.monotonic())).await;
        }
        if !deliver((&target, content), &mut connection, &body, pace, &clock, &mut tally).await {
            break;
        }
    }
    tally
}

/// Sends one request until it is answered for good. Returns whether to go on.
async fn deliver(
    (target, content): (&Target, Content),
    connection: &mut Connection,
    body: &Body,
    pace: Pace,
    clock: &Clock,
    tally: &mut Tally,
) -> bool {
    while clock.monotonic() < pace.until {
        let began = clock.monotonic();
        let answer = connection.post(&target.path, content, body.bytes.clone()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return tally.fail("no answer", error.to_string()),
        };
        tally.requests += 1;
        tally.latency.saturating_record((clock.monotonic() - began).as_micros() as u64);
        *tally.outcomes.entry(answer.status.to_string()).or_default() += 1;
        match answer.status {
            200..=299 => {
                tally.samples += body.sample_count;
                tally.bytes += body.bytes.len() as u64;
                return true;
            }
            429 | 503 => {
                tokio::time::sleep(answer.retry_after.unwrap_or(RETRY_PAUSE).min(RETRY_PAUSE_MAX)).await;
            }
            status => {
                let words = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
                return tally.fail("", format!("{status}: {}", words.trim()));
            }
        }
    }
    false
}

impl Tally {
    fn new() -> Tally {
        let latency = Histogram::new_with_bounds(1, LATENCY_MICROSECONDS_MAX, 3).expect("the bounds are in order");
        let (outcomes, first_error) = (BTreeMap::new(), None);
        Tally { latency, samples: 0, bytes: 0, requests: 0, outcomes, errors: 0, first_error }
    }

    /// Counts an error; returns whether there is patience left.
    fn fail(&mut self, outcome: &str, words: String) -> bool {
        if !outcome.is_empty() {
            *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        self.errors += 1;
        self.first_error.get_or_insert(words);
        self.errors < ERRORS_COUNT_MAX
    }

    fn add(&mut self, other: &Tally) -> anyhow::Result<()> {
        self.latency.add(&other.latency).context("the histograms have the same bounds")?;
        self.samples += other.samples;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.errors += other.errors;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        let answered: u64 = self.outcomes.iter().filter(|(outcome, _)| *outcome != "no answer").map(|(_, n)| n).sum();
        ensure!(answered == self.requests, "{answered} answers counted for {} requests", self.requests);
        Ok(())
    }
}

fn print(report: &Value) {
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    let latency = |name: &str| report["latency_us"][name].as_f64().unwrap_or(f64::NAN) / 1e3;
    println!("samples     {:>14}   in {:.2} s, {} requests", number("samples"), number("seconds"), report["requests"]);
    println!("samples/s   {:>14.0}", number("samples_per_s"));
    println!(
        "latency ms  p50 {:.2}   p90 {:.2}   p99 {:.2}   p99.9 {:.2}   max {:.2}",
        latency("p50"),
        latency("p90"),
        latency("p99"),
        latency("p99.9"),
        latency("max")
    );
    println!("bytes       {:>14.1}   a sample, as sent", number("bytes_per_sample"));
    println!("client CPU  {:>14.3}   µs a sample", number("client_cpu_us_per_sample"));
    if !report["server_cpu_us_per_sample"].is_null() {
        println!("server CPU  {:>14.3}   µs a sample", number("server_cpu_us_per_sample"));
        println!("server peak {:>14.1}   MiB", number("server_peak_bytes") / 1_048_576.0);
    }
    println!("answers     {}", report["outcomes"]);
    if let Some(words) = report["first_error"].as_str() {
        println!("errors      {:>14}   the first: {words}", number("errors"));
    }
}
