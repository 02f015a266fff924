//! Backups by the commands that an operator types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::api;
use crate::engine::{Engine, dozor};
use crate::load::{Load, writers};
use crate::wait::wait_until;

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

/// Runs `dozor` with these arguments to its end.
fn run(arguments: &[&str]) -> Output {
    Command::new(dozor()).args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command prints when it ends well.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// Loads the server until it has blocks, a log behind them, and is still being written to.
fn load_with_blocks(engine: &Engine) -> Load {
    let load = Load::start(engine, writers());
    wait_until("blocks are cut", || engine.metric("dozor_blocks_cut_total") >= 2.0 && load.acknowledged() >= 60);
    load
}

#[test]
fn snapshot_under_load_has_every_sample_that_was_acknowledged_before_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let data = engine.data_folder();
    let load = load_with_blocks(&engine);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let before = load.progress();
        let snapshot =
            printed(&["snapshot", "--data-dir", path(&data), "--url", &format!("http://{}", engine.address)]);
        taken.push((PathBuf::from(snapshot), before, load.progress()));
    }
    assert!(engine.metric("dozor_snapshot_age_seconds") < 120.0);
    let writers = load.end();
    // Beside the running server, whose folder stays as it is.
    assert!(printed(&["verify", "--data-dir", path(&data)]).starts_with("ok: "));
    for (number, (snapshot, before, after)) in taken.iter().enumerate() {
        assert!(snapshot.starts_with(data.join("snapshots")), "{}", snapshot.display());
        assert!(printed(&["verify", "--snapshot", path(snapshot)]).starts_with("ok: "));
        let elsewhere = folder.path().join(format!("restored-{number}"));
        let target = elsewhere.join("data");
        printed(&["restore", "--from", path(snapshot), "--data-dir", path(&target)]);
        let restored = Engine::start(&elsewhere, &[]);
        assert_eq!(restored.metric("dozor_damage_total"), 0.0);
        for (index, writer) in writers.iter().enumerate() {
            // One more may have been under way.
            writer.check_between(&restored, before[index], after[index] + 1);
        }
    }
    writers.iter().for_each(|writer| _ = writer.check(&engine));
}

#[test]
fn folder_goes_back_to_how_it_was_and_what_was_there_is_kept() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let data = engine.data_folder();
    let load = Load::start(&engine, writers());
    wait_until("requests are acknowledged", || load.acknowledged() >= 10);
    let mut loaded = load.end();
    let refused = run(&["restore", "--ago", "0", "--data-dir", path(&data), "--replace"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("no complete snapshot"), "{refused:?}");
    engine.stop();
    let snapshot = printed(&["snapshot", "--data-dir", path(&data)]);
    let at_snapshot: Vec<i64> = loaded.iter().map(|writer| writer.acknowledged).collect();

    engine.start_again();
    let load = Load::start(&engine, loaded);
    wait_until("more requests are acknowledged", || load.acknowledged() >= 10);
    loaded = load.end();
    let refused = run(&["restore", "--ago", "0", "--data-dir", path(&data), "--replace"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("stop it first"), "{refused:?}");
    engine.stop();
    let refused = run(&["restore", "--ago", "0", "--data-dir", path(&data)]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("--replace"), "{refused:?}");
    let restored = run(&["restore", "--as-of", "0", "--data-dir", path(&data), "--replace"]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(text(&restored.stderr).contains(&snapshot), "it says which: {restored:?}");
    engine.start_again();
    for (writer, acknowledged) in loaded.iter().zip(&at_snapshot) {
        writer.check_between(&engine, *acknowledged, *acknowledged + 1);
    }
    let names = fs::read_dir(&data).expect("the folder is there").map(|entry| entry.expect("an entry").file_name());
    let aside = names.map(|name| name.to_string_lossy().into_owned()).find(|name| name.starts_with("replaced-"));
    let aside = data.join(aside.expect("what was there is kept"));
    assert!(aside.join("log").is_dir() && aside.join("outbox").is_dir());
}

#[test]
fn verify_names_each_kind_of_file_that_has_a_flipped_byte() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let data = engine.data_folder();
    load_with_blocks(&engine).end();
    engine.stop();
    let snapshot = PathBuf::from(printed(&["snapshot", "--data-dir", path(&data)]));
    assert!(printed(&["verify", "--data-dir", path(&data)]).ends_with("no damage"));

    // Copies, so that the snapshot shares nothing with what is spoilt.
    for kind in ["blocks", "log", "outbox", "detect.state", "manifest"] {
        let place = snapshot.join(kind);
        let file = if place.is_dir() { first_file(&place) } else { place };
        let good = fs::read(&file).expect("it can be read");
        let mut bad = good.clone();
        let at = good.len() / 2;
        bad[at] ^= 0x08;
        fs::remove_file(&file).and_then(|()| fs::write(&file, &bad)).expect("it can be written");
        let output = run(&["verify", "--snapshot", path(&snapshot)]);
        assert_eq!(output.status.code(), Some(1), "{kind}: {output:?}");
        let told = text(&output.stdout);
        let named = |line: &str| line.starts_with(&format!("{}: at byte ", file.display()));
        assert!(told.lines().any(named), "{kind}: {told}");
        assert!(told.contains("DAMAGED: "), "{kind}: {told}");
        fs::write(&file, &good).expect("it can be written");
    }
    assert!(printed(&["verify", "--snapshot", path(&snapshot)]).ends_with("no damage"));
    let nowhere = run(&["verify", "--data-dir", path(&folder.path().join("nowhere"))]);
    assert_eq!(nowhere.status.code(), Some(2), "{nowhere:?}");
}

fn first_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    entries.min().unwrap_or_else(|| panic!("{} is empty", folder.display()))
}

#[test]
fn kept_snapshots_are_taken_by_themselves() {
    let folder = TempDir::new().expect("a temporary folder");
    let settings = folder.path().join("dozor.yml");
    fs::write(&settings, "snapshots: { interval: 1s, keep: 2 }\nretention: [{ match: up, keep: 1d }]\n")
        .expect("written");
    let engine = Engine::start(folder.path(), &["--config", path(&settings)]);
    let names = || -> Vec<String> {
        let data = api::get(engine.address, "/api/v1/status/snapshots");
        let list = data["snapshots"].as_array().expect("a list");
        list.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    wait_until("there is one", || !names().is_empty());
    let first = names()[0].clone();
    wait_until("the first one has gone", || !names().contains(&first));
    assert_eq!(names().len(), 2);
    assert_eq!(engine.metric("dozor_snapshot_failing"), 0.0);

    fs::write(&settings, "retention:\n  - { match: 'up{', keep: 1d }\n").expect("written");
    let refused = run(&["serve", "--config", path(&settings), "--data-dir", path(&folder.path().join("other"))]);
    assert!(!refused.status.success());
    let told = text(&refused.stderr);
    assert!(told.contains("retention.match \"up{\": ") && told.contains("dozor.yml:2:14"), "{told}");
}

#[test]
fn deleted_series_stay_deleted() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let writers = load_with_blocks(&engine).end();
    let order = |engine: &Engine, what: &str, form: &str| {
        let answer = engine.client().post(&format!("/api/v1/admin/tsdb/{what}"), &FORM, form.as_bytes());
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, 204, "{what}: {}", answer.text());
    };
    order(&engine, "delete_series", "match[]=crash%7Bwriter%3D%220%22%7D");
    let series_of_writer = |engine: &Engine, writer: usize| {
        let form = format!("match[]=crash%7Bwriter%3D%22{writer}%22%7D");
        api::ask(engine.address, "/api/v1/series", &form).as_array().expect("a list").len()
    };
    let assert_deleted = |engine: &Engine| {
        let gone = format!("last_over_time(crash{{writer=\"0\"}}[{}s])", 30 * 24 * 3600);
        let now_ms = dozor::clock::Clock::system().now_ms();
        assert!(api::instant(engine.address, &gone, now_ms).is_empty(), "no sample is left");
        writers[1].check_between(engine, writers[1].acknowledged, writers[1].acknowledged + 1);
        assert!(series_of_writer(engine, 1) > 0);
    };
    assert_deleted(&engine);
    engine.kill();
    engine.start_again();
    assert_deleted(&engine);
    order(&engine, "clean_tombstones", "");
    assert_deleted(&engine);
    engine.stop();
    engine.start_again();
    assert_deleted(&engine);
    assert_eq!(engine.metric("dozor_damage_total"), 0.0);
}
