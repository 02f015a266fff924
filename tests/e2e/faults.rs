//! Files that are changed under the server, and a start that takes its time.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::Labels;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{get, instant};
use crate::client::{Answer, Client, percent_encoded};
use crate::engine::Engine;
use crate::wait::{wait_for, wait_until};

const STEP_MS: i64 = 15_000;
const HOUR_STEPS: i64 = 3_600_000 / STEP_MS;

/// A sender of `fault{series="0"}` and so on, whose value is the step.
struct Sender {
    start_ms: i64,
    label_bytes: Vec<Vec<u8>>,
    encoder: RequestEncoder,
}

impl Sender {
    fn new(series_count: usize, start_ms: i64) -> Sender {
        let encoded = |series: usize| {
            let pairs = [("__name__", "fault"), ("series", &series.to_string())];
            let mut bytes = Vec::new();
            encode_labels(&Labels::from_pairs(pairs).expect("few and short"), &mut bytes);
            bytes
        };
        let label_bytes = (0..series_count).map(encoded).collect();
        Sender { start_ms, label_bytes, encoder: RequestEncoder::new() }
    }

    fn time_ms(&self, step: i64) -> i64 {
        self.start_ms + step * STEP_MS
    }

    /// Sends the steps, so many in a request, until each is acknowledged.
    fn send(&mut self, engine: &Engine, steps: std::ops::Range<i64>, steps_a_request: usize) {
        let mut client = engine.client();
        let steps: Vec<i64> = steps.collect();
        for part in steps.chunks(steps_a_request) {
            for step in part {
                for label_bytes in &self.label_bytes {
                    self.encoder.push(label_bytes, self.start_ms + step * STEP_MS, *step as f64);
                }
            }
            engine.write(&mut client, self.encoder.finish());
        }
    }
}

/// Starts at a full block's beginning, some days ago.
fn block_start_ms() -> i64 {
    let block_ms = 2 * 3_600_000;
    (Clock::system().now_ms() - 3 * 24 * 3_600_000) / block_ms * block_ms
}

fn set_length(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).expect("the file is there").set_len(length).expect("its length is set");
}

/// Files of a folder with this extension, oldest first.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    paths.sort();
    paths
}

fn query(engine: &Engine, query: &str, at_ms: i64) -> Answer {
    let path = format!("/api/v1/query?query={}&time={}", percent_encoded(query), at_ms / 1000);
    engine.client().get(&path).expect("the server answers")
}

/// Data, warnings.
fn parsed(answer: &Answer) -> (Value, Vec<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let warnings = json["warnings"].as_array().cloned().unwrap_or_default();
    (json["data"].clone(), warnings.iter().map(ToString::to_string).collect())
}

fn block_changed_under_the_server(lies_in_pages: bool, change: impl Fn(&Path)) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut sender = Sender::new(20, block_start_ms());
    sender.send(&engine, 0..4 * HOUR_STEPS, 60);
    wait_until("a block is cut", || engine.metric("dozor_blocks_cut_total") >= 1.0);
    let (old_ms, new_ms) = (sender.time_ms(HOUR_STEPS), sender.time_ms(4 * HOUR_STEPS - 1));
    let (all, warnings) = parsed(&query(&engine, "count(fault)", old_ms));
    assert_eq!((&all["result"][0]["value"][1], warnings.len()), (&Value::from("20"), 0));

    let block = files(&engine.data_folder().join("blocks"), "block").remove(0);
    change(&block);
    let (rest, warnings) = parsed(&query(&engine, "count(fault)", old_ms));
    assert_eq!(rest["result"], Value::Array(Vec::new()), "nothing that is not so");
    assert!(warnings.len() == 1 && warnings[0].contains(&block.display().to_string()), "{warnings:?}");
    let (newest, warnings) = parsed(&query(&engine, "sum(fault)", new_ms));
    let expected = (20 * (4 * HOUR_STEPS - 1)).to_string();
    assert_eq!((&newest["result"][0]["value"][1], warnings.len()), (&Value::from(expected), 0));
    for path in ["/api/v1/labels", "/api/v1/label/series/values", "/api/v1/series?match[]=fault"] {
        let found = get(engine.address, path);
        assert!(found.as_array().is_some_and(|found| !found.is_empty()), "{path}: {found}");
    }
    assert!(engine.metric("dozor_damage_total") >= 1.0);
    // A file of less than a page has no page that could fault.
    if lies_in_pages {
        assert!(engine.metric("dozor_mapping_faults_total") >= 1.0);
    }
    let damage = get(engine.address, "/api/v1/status/damage");
    assert_eq!(damage["damage"][0]["file"], Value::from(block.display().to_string()), "{damage}");

    let aside = block.with_extension("damaged");
    wait_until("the block is put aside", || aside.exists());
    assert!(!block.exists(), "renamed, not copied");
    // As long as its samples are missing, answers say so.
    wait_until("answers say that the block was put aside", || {
        parsed(&query(&engine, "count(fault)", old_ms))
            .1
            .iter()
            .any(|warning| warning.contains("put aside as .damaged"))
    });
    sender.send(&engine, 4 * HOUR_STEPS..4 * HOUR_STEPS + 10, 10);
    engine.process().assert_running();
    engine.kill();
    engine.start_again();
    let count = instant(engine.address, "count(fault)", sender.time_ms(4 * HOUR_STEPS + 9));
    assert_eq!(count["{}"][0].1, 20.0);
}

#[test]
fn a_block_that_is_emptied_under_the_server_is_told_and_put_aside() {
    block_changed_under_the_server(true, |block| set_length(block, 0));
}

#[test]
fn a_block_that_is_cut_short_under_the_server_is_told_and_put_aside() {
    block_changed_under_the_server(false, |block| {
        let length = fs::metadata(block).expect("the block is there").len();
        set_length(block, length / 3);
    });
}

#[test]
fn log_segments_that_are_emptied_under_the_server_change_no_answer_and_end_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut sender = Sender::new(20, Clock::system().now_ms() - 30 * 60_000);
    sender.send(&engine, 0..60, 20);
    // One segment that has ended, and one that grows.
    engine.kill();
    engine.start_again();
    sender.send(&engine, 60..100, 20);
    let segments = files(&engine.data_folder().join("log"), "log");
    assert!(segments.len() >= 2, "{segments:?}");
    segments.iter().for_each(|segment| set_length(segment, 0));
    let sum = |engine: &Engine, step: i64| instant(engine.address, "sum(fault)", sender.time_ms(step))["{}"][0].1;
    assert_eq!((sum(&engine, 30), sum(&engine, 99)), (600.0, 1980.0));
    sender.send(&engine, 100..110, 5);
    engine.process().assert_running();
    let last = instant(engine.address, "sum(fault)", sender.time_ms(109));
    assert_eq!(last["{}"][0].1, 20.0 * 109.0);
    // What somebody took away is gone with the process; it starts nevertheless, and takes writes.
    engine.kill();
    engine.start_again();
    sender.send(&engine, 110..112, 2);
    assert_eq!(instant(engine.address, "sum(fault)", sender.time_ms(111))["{}"][0].1, 20.0 * 111.0);
}

#[test]
fn the_port_answers_while_the_log_is_read() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut sender = Sender::new(2_000, Clock::system().now_ms() - 3_600_000);
    sender.send(&engine, 0..200, 5);
    engine.kill();
    engine.start_without_waiting();
    let address = engine.address;
    let early = wait_for("the port is open", || Client::new(address).get("/-/ready").ok());
    assert_eq!(early.status, 503, "it was ready at once: {}", early.text());
    assert!(early.text().starts_with("recovering: "), "{}", early.text());
    let mut kept = Client::new(address);
    assert_eq!(kept.get("/-/healthy").expect("an answer").status, 200);
    let replay = get(address, "/api/v1/status/walreplay");
    let state = replay["state"].as_str().expect("a state").to_owned();
    assert!(["waiting", "in progress"].contains(&state.as_str()), "{replay}");
    let refused = kept.get("/api/v1/query?query=1").expect("an answer");
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.text());
    // Others that asked may not be gone yet.
    assert!(kept.get("/metrics").expect("an answer").text().contains("\ndozor_http_connections "));
    wait_until("dozor is ready", || kept.get("/-/ready").expect("the connection stays").status == 200);
    let replay = get(address, "/api/v1/status/walreplay");
    assert_eq!((&replay["state"], replay["current"] == replay["max"]), (&Value::from("done"), true), "{replay}");
    assert!(replay["samples"].as_u64() >= Some(400_000), "{replay}");

    // And a stop while it reads is heard at once.
    engine.kill();
    engine.start_without_waiting();
    wait_until("the port is open", || Client::new(address).get("/-/healthy").is_ok());
    let clock = Clock::system();
    engine.process().terminate();
    assert!(engine.process().wait_for_end().success());
    assert!(clock.monotonic().as_secs() < 3, "it took {:?} to stop", clock.monotonic());
}

/// The file's header as a later version would write it.
fn make_newer(path: &Path, header_bytes: usize) {
    let mut bytes = fs::read(path).expect("the file is there");
    bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..header_bytes - 4]);
    bytes[header_bytes - 4..header_bytes].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).expect("written");
}

/// Names and lengths of all files of the data folder but the lock.
fn listing(data: &Path) -> Vec<(PathBuf, u64)> {
    let folders = ["", "blocks", "log", "outbox"].map(|folder| data.join(folder));
    let inside =
        |folder: &PathBuf| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = folders.iter().flat_map(inside).filter(|path| path.is_file()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::metadata(&path).expect("a file").len())).collect()
}

#[test]
fn files_of_a_newer_format_refuse_the_start_and_are_left_as_they_are() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let mut sender = Sender::new(5, block_start_ms());
    sender.send(&engine, 0..4 * HOUR_STEPS, 60);
    let described = engine.client().post("/api/v1/import/prometheus", &[], b"# TYPE fault gauge\n");
    assert_eq!(described.expect("an answer").status, 204);
    wait_until("a block is cut", || engine.metric("dozor_blocks_cut_total") >= 1.0);
    engine.process().terminate();
    assert!(engine.process().wait_for_end().success());
    let data = engine.data_folder();
    let last = |name: &str, extension: &str| files(&data.join(name), extension).pop().expect("a file");
    let cases = [
        (last("blocks", "block"), 64),
        (last("log", "log"), 32),
        (last("outbox", "outbox"), 32),
        (data.join("detect.state"), 32),
        (data.join("families.meta"), 32),
    ];
    for (path, header_bytes) in cases {
        let sound = fs::read(&path).expect("the file is there");
        make_newer(&path, header_bytes);
        let before = listing(&data);
        engine.start_without_waiting();
        let status = engine.process().wait_for_end();
        let printed = engine.process().printed();
        assert_eq!(status.code(), Some(1), "{printed}");
        let told = format!("{} has format 99, this binary reads up to ", path.display());
        assert!(printed.contains(&told), "{printed}");
        assert_eq!(listing(&data), before, "nothing was renamed, written or removed");
        fs::write(&path, sound).expect("written");
    }
    engine.start_again();
    assert_eq!(engine.metric("dozor_damage_total"), 0.0);
}
