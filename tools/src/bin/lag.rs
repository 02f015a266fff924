//! How soon the pager hears: from the sample by which a bucket is complete to the webhook in the receiver's hands.
//!
//! ```text
//! bucket 12:00:00–12:00:15   node 7 breaks
//! 12:00:16  the samples by which all nodes have reported beyond 12:00:15 are sent: the watermark passes
//! 12:00:16.004  the webhook for node 7 has been read to its end                      lag 4 ms
//! ```
//!
//! ```text
//! lag --breaks 200                      one break each 15 s, as it is in life: 50 minutes
//! lag --breaks 200 --pace-ms 200        the same samples in less time
//! ```
//!
//! A server is started in this process, with its own threads, on a free port of loopback, its data in a temporary
//! folder. Every node sends a sample each 15 s of event time, in one request of remote write; one node after the other
//! goes above a fixed limit and stays there. What is measured ends with the body of the webhook and begins with the
//! first byte of the request that completes the bucket: receiving, writing and syncing it are part of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use dozor::clock::Clock;
use dozor::config::{Config, WebhookConfig};
use dozor::ingest::{append_bytes, append_fixed64, append_number};
use dozor::server::Server;
use hdrhistogram::Histogram;
use serde_json::Value;

/// Event time between samples of a node, and length of a bucket.
const STEP_MS: i64 = 15_000;
/// How far behind the beginning of its bucket a sample lies.
const OFFSET_MS: i64 = 1_000;
/// Steps before the first break.
const GOOD_STEPS: usize = 8;
/// Steps behind the last one, so that its bucket is complete.
const MORE_STEPS: usize = 3;
/// Longest wait for the webhooks that are missing at the end.
const PATIENCE: Duration = Duration::from_secs(30);
const RULES: &str = "\
groups:
  - name: lag
    rules:
      - { alert: Broken, expr: max by (node) (page_seconds), anomaly: { limit: { above: 2 } } }
";

/// Measures how soon the pager hears of a broken node.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Options {
    /// Nodes, each of which breaks once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    breaks: u32,
    /// Time between two steps of 15 s of event time, in ms
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(10..=15_000))]
    pace_ms: u64,
}

/// What the receiver of webhooks heard: who, the end of the bucket that fired, and when by the monotonic clock.
struct Heard {
    node: usize,
    bucket_end_ms: i64,
    at: Duration,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("dozor-lag-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&options, &folder));
    std::fs::remove_dir_all(&folder)?;
    print(&measured?)
}

async fn measure(options: &Options, folder: &Path) -> anyhow::Result<Histogram<u64>> {
    let clock = Clock::system();
    let (to_here, heard) = channel();
    let pager = listen(to_here, clock.clone())?;
    let rules = folder.join("rules.yml");
    std::fs::write(&rules, RULES)?;
    let config = Config {
        data_dir: folder.join("data"),
        listen: "127.0.0.1:0".to_owned(),
        rules: vec![rules],
        webhooks: vec![WebhookConfig {
            name: "lag".to_owned(),
            url: format!("http://{pager}/"),
            ..WebhookConfig::default()
        }],
        ..Config::default()
    };
    let settings = config.clone();
    let server = Server::start(config, Box::new(move || Ok(settings.clone()))).await?;
    let (address, sending) = (server.address(), options.clone());
    let sent = tokio::task::spawn_blocking(move || send(address, &sending, &clock)).await??;
    let breaks = options.breaks as usize;
    let mut lags_us = Histogram::new(3)?;
    for _ in 0..breaks {
        let Ok(one) = heard.recv_timeout(PATIENCE) else {
            bail!("{} of {breaks} webhooks did not come within {PATIENCE:?}", breaks - lags_us.len() as usize);
        };
        // The first request whose samples lie beyond the bucket's end.
        let completing = sent.iter().find(|(sample_ms, _)| *sample_ms >= one.bucket_end_ms);
        let (_, began) = completing.with_context(|| format!("node {} fired before its time", one.node))?;
        lags_us.record(one.at.saturating_sub(*began).as_micros() as u64)?;
    }
    server.shutdown().await;
    Ok(lags_us)
}

/// Sends all steps. Returns the time of each one's samples, and when its request began.
fn send(address: SocketAddr, options: &Options, clock: &Clock) -> anyhow::Result<Vec<(i64, Duration)>> {
    let nodes = options.breaks as usize;
    let steps = GOOD_STEPS + nodes + MORE_STEPS;
    let pace = Duration::from_millis(options.pace_ms);
    // So that the last samples are those of now, however fast they come.
    let ahead_ms = (STEP_MS - options.pace_ms as i64) * steps as i64;
    let first_ms = (clock.now_ms() - ahead_ms).div_euclid(STEP_MS) * STEP_MS + OFFSET_MS - STEP_MS;
    let mut connection = BufReader::new(TcpStream::connect(address)?);
    connection.get_ref().set_nodelay(true)?;
    let (mut sent, begin) = (Vec::with_capacity(steps), clock.monotonic());
    for step in 0..steps {
        thread::park_timeout((begin + pace * step as u32).saturating_sub(clock.monotonic()));
        let time_ms = first_ms + step as i64 * STEP_MS;
        let broken = step.saturating_sub(GOOD_STEPS);
        let body = message(time_ms, nodes, broken)?;
        sent.push((time_ms, clock.monotonic()));
        post(&mut connection, &body)?;
    }
    Ok(sent)
}

/// A message of remote write 1.0: a sample of each node, the first so many of which are broken.
fn message(time_ms: i64, nodes: usize, broken: usize) -> anyhow::Result<Vec<u8>> {
    let mut request = Vec::new();
    for node in 0..nodes {
        let mut series = Vec::new();
        for (name, text) in [("__name__", "page_seconds"), ("job", "lag"), ("node", &node.to_string())] {
            let mut label = Vec::new();
            append_bytes(&mut label, 1, name.as_bytes());
            append_bytes(&mut label, 2, text.as_bytes());
            append_bytes(&mut series, 1, &label);
        }
        let (mut sample, value) = (Vec::new(), if node < broken { 10.0 } else { 0.5_f64 });
        append_fixed64(&mut sample, 1, value.to_bits());
        append_number(&mut sample, 2, u64::try_from(time_ms)?);
        append_bytes(&mut series, 2, &sample);
        append_bytes(&mut request, 1, &series);
    }
    Ok(snap::raw::Encoder::new().compress_vec(&request)?)
}

fn post(connection: &mut BufReader<TcpStream>, body: &[u8]) -> anyhow::Result<()> {
    let mut request = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: lag\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: snappy\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    connection.get_mut().write_all(&request)?;
    let (status, _) = read(connection)?;
    ensure!(status.contains(" 204"), "the server answers {status}");
    Ok(())
}

/// Reads the first line and the body of a request or an answer.
fn read(connection: &mut impl BufRead) -> anyhow::Result<(String, Vec<u8>)> {
    let (mut first, mut length) = (String::new(), 0);
    connection.read_line(&mut first)?;
    ensure!(!first.is_empty(), "the connection has ended");
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((first.trim_end().to_owned(), body))
}

/// Takes webhooks, each connection on a thread of its own.
fn listen(heard: Sender<Heard>, clock: Clock) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (heard, clock) = (heard.clone(), clock.clone());
            // Ends with the connection.
            thread::spawn(move || drop(attend(&stream, &heard, &clock)));
        }
    });
    Ok(address)
}

fn attend(stream: &TcpStream, heard: &Sender<Heard>, clock: &Clock) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (_, body) = read(&mut reader)?;
        let at = clock.monotonic();
        let told: Value = serde_json::from_slice(&body)?;
        for alert in told["alerts"].as_array().into_iter().flatten().filter(|alert| alert["status"] == "firing") {
            let node = alert["labels"]["node"].as_str().context("an alert of a node")?.parse()?;
            let start: jiff::Timestamp = alert["startsAt"].as_str().context("an alert has a start")?.parse()?;
            heard.send(Heard { node, bucket_end_ms: start.as_millisecond(), at })?;
        }
        let mut answering: &TcpStream = stream;
        answering.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

fn print(lags_us: &Histogram<u64>) -> anyhow::Result<()> {
    let ms = |us: u64| us as f64 / 1000.0;
    let quantile = |quantile| ms(lags_us.value_at_quantile(quantile));
    writeln!(
        std::io::stdout(),
        "{} breaks: from the watermark to the webhook p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        lags_us.len(),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        ms(lags_us.max())
    )?;
    Ok(())
}
