//! `kill -9` under load: what was acknowledged is there, exactly, and nothing twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::Labels;
use tempfile::TempDir;

use crate::api::instant;
use crate::client::Client;
use crate::engine::{Engine, dozor};
use crate::process::Process;
use crate::wait::wait_until;

const WRITERS: usize = 2;
/// Series of one writer; each of its requests has [`REQUEST_STEPS`] samples of every one.
const SERIES: usize = 50;
const REQUEST_STEPS: i64 = 20;
const STEP_MS: i64 = 15_000;
/// How many requests one writer may be ahead of the other: half an hour of event time. What is further behind the newest
/// than the out-of-order window may be sealed already, whoever sent that.
const AHEAD_REQUESTS_MAX: i64 = 6;
const ROUNDS: u64 = 4;
/// Requests that must be acknowledged before a round's kill, by the round: the kill comes at another point each time.
const ACKNOWLEDGED_BEFORE_KILL: [u64; ROUNDS as usize] = [40, 7, 90, 25];

/// One sender: its requests by number, each of which always has the same samples.
pub(crate) struct Writer {
    index: usize,
    start_ms: i64,
    label_bytes: Vec<Vec<u8>>,
    encoder: RequestEncoder,
    /// Requests `0..acknowledged` were answered with 204.
    pub(crate) acknowledged: i64,
}

impl Writer {
    fn new(index: usize, start_ms: i64) -> Writer {
        let labels = |series: usize| {
            let pairs = [("__name__", "crash"), ("series", &series.to_string()), ("writer", &index.to_string())];
            Labels::from_pairs(pairs).expect("few and short")
        };
        let encoded = |series| {
            let mut bytes = Vec::new();
            encode_labels(&labels(series), &mut bytes);
            bytes
        };
        let label_bytes = (0..SERIES).map(encoded).collect();
        Writer { index, start_ms, label_bytes, encoder: RequestEncoder::new(), acknowledged: 0 }
    }

    fn time_ms(&self, step: i64) -> i64 {
        self.start_ms + step * STEP_MS
    }

    fn request(&mut self, number: i64) -> Vec<u8> {
        for step in number * REQUEST_STEPS..(number + 1) * REQUEST_STEPS {
            let timestamp_ms = self.time_ms(step);
            for (series, label_bytes) in self.label_bytes.iter().enumerate() {
                self.encoder.push(label_bytes, timestamp_ms, value(self.index, series, step));
            }
        }
        self.encoder.finish().to_vec()
    }

    /// Writes until the engine is gone. What it did not answer is sent again in the next round, as senders do.
    fn write(&mut self, client: &mut Client, work: &Work) {
        while !work.stop.load(Ordering::SeqCst) {
            if self.acknowledged > work.slowest() + AHEAD_REQUESTS_MAX {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let body = self.request(self.acknowledged);
            match client.remote_write(&body) {
                Ok(answer) if answer.status == 204 => {
                    self.acknowledged += 1;
                    work.progress[self.index].store(self.acknowledged, Ordering::SeqCst);
                    work.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
                Err(_) => return,
            }
        }
    }

    /// Reads everything back: all that was acknowledged is there, and beyond it at most the one request that was under
    /// way; each value is the one that was sent.
    fn check(&self, engine: &Engine) {
        self.check_between(engine, self.acknowledged, self.acknowledged + 1);
    }

    /// As [`Writer::check`], of a server that has all of the requests before `least`, and none from `most` on.
    pub(crate) fn check_between(&self, engine: &Engine, least: i64, most: i64) {
        let end_ms = self.time_ms(most * REQUEST_STEPS);
        let window_s = (end_ms - self.start_ms) / 1000 + 60;
        let query = format!("crash{{writer=\"{}\"}}[{window_s}s]", self.index);
        let stored = instant(engine.address, &query, end_ms);
        let steps_sent = most * REQUEST_STEPS;
        let steps_acknowledged = least * REQUEST_STEPS;
        assert!(stored.len() == SERIES || least == 0, "{} series are there", stored.len());
        for (labels, samples) in &stored {
            let labels: serde_json::Value = serde_json::from_str(labels).expect("labels are JSON");
            let series = labels["series"].as_str().and_then(|series| series.parse().ok()).expect("a series of ours");
            let mut seen = BTreeSet::new();
            for (timestamp_ms, found) in samples {
                let step = (timestamp_ms - self.start_ms) / STEP_MS;
                assert_eq!(self.time_ms(step), *timestamp_ms, "{labels}: nobody sent a sample of this time");
                assert!(step < steps_sent, "{labels}: nobody sent step {step}");
                assert!(seen.insert(step), "{labels}: step {step} is there twice");
                let sent = value(self.index, series, step);
                assert_eq!(found.to_bits(), sent.to_bits(), "{labels}, step {step}: {sent} was sent, {found} is there");
            }
            let missing = (0..steps_acknowledged).find(|step| !seen.contains(step));
            assert_eq!(missing, None, "{labels}: a step was acknowledged and is lost, of {steps_acknowledged}");
        }
    }
}

/// What a series has at a step: full of digits, so that a wrong bit shows.
fn value(writer: usize, series: usize, step: i64) -> f64 {
    let mixed = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((series as u64) << 7 | writer as u64);
    match mixed % 4 {
        0 => step as f64,
        1 => mixed as f64 / 1e3,
        2 => -(step as f64) / 7.0,
        _ => f64::from(mixed as u32) * 0.1,
    }
}

/// What the writers of one round share.
struct Work {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    /// Requests that each has had acknowledged, in all rounds.
    progress: [AtomicI64; WRITERS],
}

impl Work {
    fn slowest(&self) -> i64 {
        self.progress.iter().map(|progress| progress.load(Ordering::SeqCst)).min().expect("there are writers")
    }
}

/// The writers at work, each with a connection of its own.
pub(crate) struct Load {
    work: Arc<Work>,
    threads: Vec<JoinHandle<Writer>>,
}

impl Load {
    pub(crate) fn start(engine: &Engine, writers: Vec<Writer>) -> Load {
        let progress = std::array::from_fn(|index| AtomicI64::new(writers[index].acknowledged));
        let work = Arc::new(Work { stop: AtomicBool::new(false), acknowledged: AtomicU64::new(0), progress });
        let start = |mut writer: Writer| {
            let (work, mut client) = (work.clone(), engine.client());
            std::thread::spawn(move || {
                writer.write(&mut client, &work);
                writer
            })
        };
        let threads = writers.into_iter().map(start).collect();
        Load { work, threads }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.work.acknowledged.load(Ordering::SeqCst)
    }

    /// Requests that each writer has had acknowledged so far.
    pub(crate) fn progress(&self) -> Vec<i64> {
        self.work.progress.iter().map(|progress| progress.load(Ordering::SeqCst)).collect()
    }

    pub(crate) fn end(self) -> Vec<Writer> {
        self.work.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().expect("a writer that is content")).collect()
    }
}

pub(crate) fn writers() -> Vec<Writer> {
    let start_ms = Clock::system().now_ms() - 10 * 24 * 3_600_000;
    (0..WRITERS).map(|index| Writer::new(index, start_ms)).collect()
}

#[test]
fn everything_acknowledged_survives_kills_under_load() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut writers = writers();
    for wanted in ACKNOWLEDGED_BEFORE_KILL {
        let load = Load::start(&engine, writers);
        wait_until("requests are acknowledged", || load.acknowledged() >= wanted);
        engine.kill();
        writers = load.end();
        engine.start_again();
        writers.iter().for_each(|writer| writer.check(&engine));
    }
}

#[test]
fn everything_acknowledged_survives_a_kill_while_blocks_are_cut() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut load = Load::start(&engine, writers());
    for round in 1..=2 {
        // Each request is five minutes of event time; a block is two hours.
        wait_until("blocks are cut", || engine.metric("dozor_blocks_cut_total") >= 1.0);
        engine.kill();
        let writers = load.end();
        engine.start_again();
        assert!(engine.metric("dozor_blocks") >= f64::from(round), "the blocks are there after the restart");
        assert_eq!(engine.metric("dozor_damage_total"), 0.0, "a kill damages nothing");
        writers.iter().for_each(|writer| writer.check(&engine));
        load = Load::start(&engine, writers);
    }
    load.end();
}

#[test]
fn sigterm_under_load_ends_within_ten_seconds_with_everything_kept() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let load = Load::start(&engine, writers());
    wait_until("requests are acknowledged", || load.acknowledged() >= 20);
    let clock = Clock::system();
    engine.process().terminate();
    let status = engine.process().wait_for_end();
    let took = clock.monotonic();
    let writers = load.end();
    assert_eq!(status.code(), Some(0), "it ends well");
    assert!(took.as_secs() < 10, "it took {took:?} to stop");
    engine.start_again();
    writers.iter().for_each(|writer| writer.check(&engine));
}

#[test]
fn second_server_on_the_same_folder_is_refused_and_the_first_lives_on() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let status = second_server(folder.path(), &engine.data_folder());
    assert!(!status.0, "the second one must not say that all is well");
    assert!(status.1.contains("in use by another dozor"), "it says why: {}", status.1);
    assert!(status.1.contains(&engine.data_folder().display().to_string()), "it names the folder: {}", status.1);
    engine.process().assert_running();
    assert_eq!(engine.client().get("/-/ready").expect("the first one answers").status, 200);
    // And the folder is free again as soon as the first one is gone, however it went.
    engine.kill();
    engine.start_again();
}

/// Runs a second server until it ends; whether it ended well, and what it printed.
fn second_server(folder: &Path, data_folder: &Path) -> (bool, String) {
    let data = format!("--data-dir={}", data_folder.display());
    let arguments = ["serve".to_owned(), "--listen=127.0.0.1:0".to_owned(), data];
    let mut second = Process::start("second", dozor(), &arguments, folder);
    let status = second.wait_for_end();
    (status.success(), second.printed())
}
