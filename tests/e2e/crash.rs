//! `kill -9` under load: what was acknowledged is there, exactly, and nothing twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dozor::clock::Clock;
use tempfile::TempDir;

use crate::backup::printed;
use crate::engine::{Engine, dozor};
use crate::load::{Load, Measure, ORDERS, Orders, WINDOW_SETTING, Writer, writers, writers_with_belated};
use crate::process::Process;
use crate::wait::wait_until;

/// Requests that must be acknowledged before a round's kill, by the round: the kill comes at another point each time.
const ACKNOWLEDGED_BEFORE_KILL: [u64; 4] = [40, 7, 90, 25];
/// Little in each request, so that a hundred rounds can be read back again and again.
const LIGHT: Measure = Measure { series: 5, request_steps: 10, pause: Duration::from_millis(15) };
/// What a start reads for a while.
const LARGE: Measure = Measure { series: 1_000, request_steps: 5, pause: Duration::ZERO };

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
        check_all(&writers, &engine);
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
        check_all(&writers, &engine);
        load = Load::start(&engine, writers);
    }
    load.end();
}

/// What a round's kill fell into.
#[derive(Debug, Default)]
struct Fell {
    /// By the place in [`ORDERS`].
    into_orders: [usize; 2],
    into_none: usize,
}

/// Kills a server again and again that has belated samples to take and orders to carry out, and reads everything back
/// after each start. Then takes stock.
fn rounds_with_belated_and_orders(rounds: u64) {
    let folder = TempDir::new().expect("a temporary folder");
    let settings = folder.path().join("dozor.yml");
    fs::write(&settings, WINDOW_SETTING).expect("written");
    let mut engine = Engine::start(folder.path(), &["--config", path(&settings)]);
    let mut writers = writers_with_belated(LIGHT);
    // What one number of shards wrote, another one reads.
    let set_shards = |round: u64| {
        fs::write(&settings, format!("{WINDOW_SETTING}shards: {}\n", 1 + round % 4)).expect("written");
    };
    let (mut fell, mut carried_out) = (Fell::default(), [0; 2]);
    for round in 0..rounds {
        let load = Load::start(&engine, writers);
        let orders = Orders::start(&engine);
        // Spread by a multiplier that has nothing in common with the lengths: other counts, other moments.
        let wanted = 10 + round * 37 % 80;
        wait_until("requests are acknowledged", || load.acknowledged() >= wanted);
        if let Some(order) = ORDERS.get(round as usize % 3) {
            wait_closely(|| orders.under_way() == Some(order));
        }
        std::thread::sleep(Duration::from_micros(round * 611 % 20_000));
        match orders.under_way().and_then(|order| ORDERS.iter().position(|known| *known == order)) {
            Some(order) => fell.into_orders[order] += 1,
            None => fell.into_none += 1,
        }
        engine.kill();
        writers = load.end();
        let done = orders.end();
        carried_out = [carried_out[0] + done[0], carried_out[1] + done[1]];
        set_shards(round);
        engine.start_again();
        assert_eq!(engine.metric("dozor_damage_total"), 0.0, "a kill damages nothing, round {round}");
        check_all(&writers, &engine);
    }
    let acknowledged: i64 = writers.iter().map(|writer| writer.acknowledged).sum();
    eprintln!(
        "{rounds} kills: {fell:?}; {carried_out:?} of {ORDERS:?} carried out; {acknowledged} requests acknowledged"
    );
    // A few kills may all miss the milliseconds of a snapshot; a hundred do not.
    let falls_into_each = fell.into_orders.iter().all(|count| *count > 0);
    assert!(rounds < 100 || falls_into_each, "no kill fell into one of the orders: {fell:?}");
    take_stock(&mut engine, &writers);
}

/// After the last kill: once all is compacted, the blocks have as many samples as answers have, so none is kept twice;
/// no file is damaged, none was left behind, and every snapshot is whole or gone.
fn take_stock(engine: &mut Engine, writers: &[Writer]) {
    let in_answers = check_all(writers, engine);
    let answer = engine.client().post("/api/v1/admin/tsdb/compact", &[], &[]).expect("the server answers");
    let summary: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(summary["data"]["samples"], serde_json::Value::from(in_answers), "{summary}");
    assert_eq!(check_all(writers, engine), in_answers);
    eprintln!("{in_answers} samples, each once; {summary}");
    engine.stop();
    let data = engine.data_folder();
    assert!(printed(&["verify", "--data-dir", path(&data)]).ends_with("no damage"));
    let left: Vec<PathBuf> = entries(&data.join("blocks")).into_iter().filter(|path| !is_block(path)).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let snapshots = entries(&data.join("snapshots"));
    let newest = snapshots.iter().max().expect("some snapshots were taken");
    assert!(printed(&["verify", "--snapshot", path(newest)]).starts_with("ok: "));
    assert!(snapshots.iter().all(|snapshot| snapshot.join("manifest").is_file()), "one is not complete");
}

fn is_block(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "block")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// As [`wait_until`], for what lasts only some milliseconds.
fn wait_closely(is_so: impl Fn() -> bool) {
    let clock = Clock::system();
    while !is_so() {
        assert!(clock.monotonic().as_secs() < 60, "waited a minute in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Reads back what each was told to be stored. Returns how many samples are there.
fn check_all(writers: &[Writer], engine: &Engine) -> usize {
    writers.iter().map(|writer| writer.check(engine)).sum()
}

#[test]
fn everything_acknowledged_survives_kills_while_belated_samples_come_and_orders_are_carried_out() {
    rounds_with_belated_and_orders(8);
}

#[test]
#[ignore = "takes minutes; ask for it before a release"]
fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    rounds_with_belated_and_orders(100);
}

#[test]
fn kills_while_recovering_lose_nothing_and_take_no_room() {
    let folder = TempDir::new().expect("a temporary folder");
    let settings = folder.path().join("dozor.yml");
    fs::write(&settings, WINDOW_SETTING).expect("written");
    let mut engine = Engine::start(folder.path(), &["--config", path(&settings)]);
    let load = Load::start(&engine, writers_with_belated(LARGE));
    wait_until("requests are acknowledged", || load.acknowledged() >= 40);
    engine.kill();
    let writers = load.end();
    let data = engine.data_folder();
    let bytes = || -> u64 {
        let files = ["blocks", "log"].map(|folder| entries(&data.join(folder))).concat();
        files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum()
    };
    let (at_kill, mut while_recovering) = (bytes(), 0);
    // Before it has opened anything, and then from the first word of the recovery on.
    for (hears_it, wait_ms) in [(false, 0), (false, 5), (true, 0), (true, 10), (true, 25), (true, 50), (true, 100)] {
        engine.start_without_waiting();
        if hears_it {
            wait_closely(|| engine.client().get("/-/healthy").is_ok());
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        let ready = engine.client().get("/-/ready");
        while_recovering += usize::from(ready.is_ok_and(|answer| answer.text().starts_with("recovering")));
        engine.kill();
        assert!(bytes() <= at_kill, "{} bytes after a kill {wait_ms} ms behind the start, {at_kill} before", bytes());
    }
    assert!(while_recovering >= 2, "only {while_recovering} kills came while the log was read");
    eprintln!("{while_recovering} kills while the log was read");
    engine.start_again();
    assert_eq!(engine.metric("dozor_damage_total"), 0.0, "a kill damages nothing");
    let before = check_all(&writers, &engine);
    // And what came back goes on as if nothing had been.
    let load = Load::start(&engine, writers);
    wait_until("requests are acknowledged", || load.acknowledged() >= 10);
    engine.kill();
    let writers = load.end();
    engine.start_again();
    assert!(check_all(&writers, &engine) > before);
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
    check_all(&writers, &engine);
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
