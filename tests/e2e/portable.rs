//! Data in and out in bulk: between two of us by `curl`, from a Prometheus by `vmctl` and by `dozor import`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::Labels;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::ask;
use crate::client::{Client, percent_encoded};
use crate::engine::{Engine, dozor};
use crate::process::{Process, free_address, installed, wait_for_listener};
use crate::wait::{wait_for, wait_until};

const HOUR_MS: i64 = 3_600_000;
const EVERYTHING: &str = r#"match[]={__name__!=""}"#;

/// Samples by series, a series written as `promtool` does; values as bits.
pub(crate) type Samples = BTreeMap<String, Vec<(i64, u64)>>;

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs it, and gives what it prints. Fails with its last words if it fails.
fn run_well(program: &Path, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}: {out}{err}", program.display());
    out.into_owned()
}

/// `dozor import` into the engine: exit code, and what it prints on both.
pub(crate) fn import(engine: &Engine, source: &[&str]) -> (i32, String) {
    let url = format!("http://{}", engine.address);
    ended(run(dozor(), &[&["import", "--url", &url], source].concat()))
}

/// Exit code, and what was printed.
pub(crate) fn ended(output: Output) -> (i32, String) {
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&printed).into_owned())
}

/// What the engine exports, as `curl` brings it.
pub(crate) fn export(engine: &Engine) -> String {
    let address = format!("http://{}/api/v1/export", engine.address);
    let curl = installed("curl", "curl");
    run_well(&curl, &["--silent", "--show-error", "--fail", "--get", &address, "--data-urlencode", EVERYTHING])
}

/// Reads an export without our own reader.
pub(crate) fn samples_in(export: &str) -> Samples {
    let mut samples = Samples::new();
    for text in export.lines() {
        let line: Value = serde_json::from_str(text).expect("a line is JSON");
        let metric = line["metric"].as_object().expect("a metric");
        let pairs: Vec<String> = metric.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let of_series = samples.entry(format!("{{{}}}", pairs.join(", "))).or_default();
        let times = line["timestamps"].as_array().expect("timestamps").iter();
        let mut nans = line["nan_bits"].as_array().into_iter().flatten();
        // As text: what serde_json makes of a float may be one of its neighbours.
        let values = text.split("\"values\":[").nth(1).and_then(|rest| rest.split(']').next()).expect("values");
        for (value, time) in values.split(',').zip(times) {
            let bits = match value {
                "null" => nans.next().map_or(0x7ff8_0000_0000_0001, |bits| {
                    u64::from_str_radix(bits.as_str().expect("bits"), 16).expect("in hex")
                }),
                number => number.trim_matches('"').parse::<f64>().expect("a number").to_bits(),
            };
            of_series.push((time.as_i64().expect("ms"), bits));
        }
    }
    samples
}

/// What `promtool tsdb dump` prints. Which NaN it was does not show there.
fn dumped(folder: &Path) -> Samples {
    // It wants a log to look into, even an empty one.
    fs::create_dir_all(folder.join("wal")).expect("the folder can be written");
    let dump = run_well(&installed("promtool", "prometheus"), &["tsdb", "dump", &folder.to_string_lossy()]);
    let mut samples = Samples::new();
    for line in dump.lines() {
        let (rest, time) = line.rsplit_once(' ').expect("a time");
        let (series, value) = rest.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        samples
            .entry(series.to_owned())
            .or_default()
            .push((time.parse().expect("ms"), without_nan_bits(value.to_bits())));
    }
    samples
}

fn without_nan_bits(bits: u64) -> u64 {
    if f64::from_bits(bits).is_nan() { f64::NAN.to_bits() } else { bits }
}

fn one_nan(samples: Samples) -> Samples {
    let cut = |(time, bits)| (time, without_nan_bits(bits));
    samples.into_iter().map(|(series, samples)| (series, samples.into_iter().map(cut).collect())).collect()
}

pub(crate) fn assert_same(ours: &Samples, theirs: &Samples) {
    assert!(!theirs.is_empty(), "this compares nothing");
    for (series, samples) in theirs {
        let own = ours.get(series).unwrap_or_else(|| panic!("{series} is missing"));
        let differing = own.iter().zip(samples).find(|(own, other)| own != other);
        assert!(
            own == samples,
            "{series}: {} and {} samples; first that differ: {differing:?}",
            own.len(),
            samples.len()
        );
    }
    assert_eq!(ours.len(), theirs.len(), "nothing that is only ours");
}

fn dozor_with_history(folder: &Path) -> Engine {
    Engine::start(folder, &["--retention=0"])
}

/// One that takes the samples of a series in any order.
pub(crate) fn dozor_for_backfill(folder: &Path) -> Engine {
    let settings = folder.join("dozor.yml");
    fs::write(&settings, "retention: 0\nhead: { out_of_order_window: 400d }\n").expect("the folder can be written");
    Engine::start(folder, &[&format!("--config={}", settings.display())])
}

/// Series of `count` samples each, 15 s apart, in OpenMetrics's format.
pub(crate) fn openmetrics(series: usize, count: i64, start_ms: i64) -> String {
    let mut text = String::new();
    for at in 0..count {
        for index in 0..series {
            let time_s = start_ms / 1000 + at * 15;
            text.push_str(&format!("load{{index=\"{index}\"}} {} {time_s}\n", at as f64 * 0.1 + index as f64));
        }
    }
    text + "# EOF\n"
}

/// Blocks of eight hours, a year old.
fn old_blocks(folder: &Path) -> PathBuf {
    let text = folder.join("old.txt");
    let start_ms = (Clock::system().now_ms() - 365 * 24 * HOUR_MS) / HOUR_MS * HOUR_MS;
    fs::write(&text, openmetrics(20, 8 * 240, start_ms)).expect("the folder can be written");
    let blocks = folder.join("blocks");
    let arguments = ["tsdb", "create-blocks-from", "openmetrics", &text.to_string_lossy(), &blocks.to_string_lossy()];
    run_well(&installed("promtool", "prometheus"), &arguments);
    blocks
}

#[test]
fn export_goes_from_one_dozor_to_another_bit_for_bit() {
    let folders = [(); 2].map(|()| TempDir::new().expect("a temporary folder"));
    let [one, other] = [&folders[0], &folders[1]].map(|folder| dozor_with_history(folder.path()));
    let now_ms = Clock::system().now_ms();
    let mut client = one.client();
    let bits = |index: u64| match index % 9 {
        0 => 0x7ff0_0000_0000_0002, // the staleness marker
        1 => f64::INFINITY.to_bits(),
        2 => f64::NEG_INFINITY.to_bits(),
        3 => (-0.0f64).to_bits(),
        4 => 0x7ff8_0000_0000_0001,
        5 => 0xfff8_dead_beef_0001,
        6 => index,
        _ => index.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    for series in 0..40u64 {
        let text = format!("a \"b\" \\ \n {series} ü");
        let labels = Labels::from_pairs([("__name__", "odd.name"), ("text", &text)]).expect("labels");
        let mut label_bytes = Vec::new();
        encode_labels(&labels, &mut label_bytes);
        let mut encoder = RequestEncoder::new();
        // Over three days, so that blocks and head have a share.
        for at in 0..2_000u64 {
            let timestamp_ms = now_ms - (2_000 - at as i64) * 130_000;
            encoder.push(&label_bytes, timestamp_ms, f64::from_bits(bits(series * 2_000 + at)));
        }
        one.write(&mut client, encoder.finish());
    }
    let file = folders[0].path().join("export.jsonl");
    let exported = export(&one);
    assert_eq!(samples_in(&exported).values().map(Vec::len).sum::<usize>(), 80_000);
    fs::write(&file, &exported).expect("the folder can be written");
    let gzipped = Command::new("gzip").arg("--keep").arg(&file).status().expect("there is gzip");
    assert!(gzipped.success());
    let (data, address) = (format!("@{}.gz", file.display()), format!("http://{}/api/v1/import", other.address));
    let curl = installed("curl", "curl");
    let arguments = ["--silent", "--show-error", "--fail", "-H", "Content-Encoding: gzip", "--data-binary", &data];
    run_well(&curl, &[&arguments[..], &[&address]].concat());
    assert!(export(&other) == exported, "the same lines");
}

#[test]
fn vmctl_brings_the_blocks_of_a_prometheus() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = dozor_for_backfill(folder.path());
    let blocks = old_blocks(folder.path());
    let expected = dumped(&blocks);
    let vmctl = installed("vmctl", "victoria-metrics");
    let script = installed("script", "bsdutils");
    // It shows bars and wants a terminal for them.
    let command = format!(
        "{} prometheus -s --prom-snapshot={} --vm-addr=http://{} --vm-concurrency=1 --vm-batch-size=1000",
        vmctl.display(),
        blocks.display(),
        engine.address
    );
    // At its end vmctl forgets what it has not sent yet; what comes twice is one sample.
    let mut runs = 0;
    wait_until("vmctl has brought everything", || {
        runs += 1;
        let printed = run_well(&script, &["-qec", &command, "/dev/null"]);
        assert!(printed.contains("Import finished!"), "{printed}");
        let samples = samples_in(&export(&engine));
        samples.values().map(Vec::len).sum::<usize>() == expected.values().map(Vec::len).sum::<usize>()
    });
    assert_same(&samples_in(&export(&engine)), &expected);
    assert!(runs < 20, "{runs} runs");
}

/// Lets a Prometheus scrape itself and the node exporter for a while; gives a snapshot of it, made of real blocks.
fn snapshot_of_a_prometheus(folder: &Path) -> PathBuf {
    let exporter_address = free_address();
    let program = installed("prometheus-node-exporter", "prometheus-node-exporter");
    let listen = format!("--web.listen-address={exporter_address}");
    let mut exporter = Process::start("node-exporter", &program, &[listen], folder);
    wait_for_listener(&mut exporter, exporter_address);
    let address = free_address();
    let config = folder.join("prometheus.yml");
    let targets = format!("targets: ['{exporter_address}', '{address}']");
    let text =
        format!("scrape_configs:\n  - {{ job_name: all, scrape_interval: 1s, static_configs: [{{ {targets} }}] }}\n");
    fs::write(&config, text).expect("the folder can be written");
    let data = folder.join("prometheus");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address={address}"),
        "--web.enable-admin-api".to_owned(),
    ];
    let mut server = Process::start("prometheus", &installed("prometheus", "prometheus"), &arguments, folder);
    wait_for_listener(&mut server, address);
    let is_ready = || Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200);
    wait_until("Prometheus is ready", is_ready);
    wait_until("it has scraped a few times", || scrapes(address) > 6.0);
    // Its series end with staleness markers.
    exporter.kill();
    wait_until("it misses the exporter", || scrapes(address) > 12.0);
    let name = ask(address, "/api/v1/admin/tsdb/snapshot", "")["name"].as_str().expect("a name").to_owned();
    data.join("snapshots").join(name)
}

fn scrapes(address: SocketAddr) -> f64 {
    let query = percent_encoded("max(count_over_time(up[10m]))");
    let answer = ask(address, "/api/v1/query", &format!("query={query}"));
    answer["result"][0]["value"][1].as_str().and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

#[test]
fn snapshot_of_a_prometheus_is_imported_as_promtool_dumps_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = dozor_with_history(folder.path());
    let snapshot = snapshot_of_a_prometheus(folder.path());
    let expected = dumped(&snapshot);
    let samples: usize = expected.values().map(Vec::len).sum();
    assert!(samples > 4_000, "{samples} samples");
    let (code, printed) = import(&engine, &["prometheus", &snapshot.to_string_lossy()]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains(&format!("{} series, {samples} samples stored, 0 refused", expected.len())), "{printed}");
    let exported = export(&engine);
    assert_same(&one_nan(samples_in(&exported)), &expected);
    let stale = samples_in(&exported).values().flatten().filter(|(_, bits)| *bits == 0x7ff0_0000_0000_0002).count();
    assert!(stale > 100, "the exporter's series ended: {stale}");
    // Once more: everything is there already.
    let (code, printed) = import(&engine, &["prometheus", &snapshot.to_string_lossy()]);
    assert_eq!(code, 0, "{printed}");
    assert!(export(&engine) == exported);
}

#[test]
fn year_old_blocks_and_texts_are_imported_into_a_server_that_has_newer_data() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = dozor_with_history(folder.path());
    let now_ms = Clock::system().now_ms();
    let recent = folder.path().join("recent.txt");
    fs::write(&recent, openmetrics(1, 2 * 1_000, now_ms - 9 * HOUR_MS).replace("load", "recent")).expect("written");
    let (code, printed) = import(&engine, &["openmetrics", &recent.to_string_lossy()]);
    assert_eq!((code, printed.as_str()), (0, "1 series, 2000 samples stored, 0 refused\n"));
    wait_until("the recent past is sealed", || engine.metric("dozor_blocks") > 0.0);
    // A series of sealed time, of which the server takes no more than it can hold until it has written a block.
    let long = folder.path().join("long.txt");
    fs::write(&long, openmetrics(1, 40_000, now_ms - 300 * 24 * HOUR_MS).replace("load", "long")).expect("written");
    let (code, printed) = import(&engine, &["openmetrics", &long.to_string_lossy()]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.starts_with("1 series, 40000 samples stored, 0 refused\n"), "{printed}");

    let blocks = old_blocks(folder.path());
    let (code, printed) = import(&engine, &["prometheus", &blocks.to_string_lossy()]);
    assert_eq!((code, printed.as_str()), (0, "20 series, 38400 samples stored, 0 refused\n"));
    let again = import(&engine, &["prometheus", &blocks.to_string_lossy()]);
    assert_eq!(again, (0, "20 series, 38400 samples stored, 0 refused\n".to_owned()), "what is there is no refusal");
    let ours = samples_in(&export(&engine));
    assert_eq!(ours[r#"{__name__="long", index="0"}"#].len(), 40_000);
    let of_blocks = ours.into_iter().filter(|(series, _)| series.contains("load")).collect();
    assert_same(&of_blocks, &dumped(&blocks));
}

/// Starts an import of half a million samples; returns it, and its state file.
fn long_import(engine: &Engine, folder: &Path) -> (Process, PathBuf, String) {
    let file = folder.join("long.txt");
    let start_ms = Clock::system().now_ms() - 30 * HOUR_MS;
    fs::write(&file, openmetrics(100, 5_000, start_ms)).expect("the folder can be written");
    let file = file.to_string_lossy().into_owned();
    let arguments = ["import", &format!("--url=http://{}", engine.address), "openmetrics", &file].map(str::to_owned);
    let process = Process::start("import", dozor(), &arguments, folder);
    (process, PathBuf::from(format!("{file}.dozor-import.state")), file)
}

fn assert_all_of_long(engine: &Engine) {
    let samples = samples_in(&export(engine));
    assert_eq!(samples.len(), 100);
    assert!(samples.values().all(|samples| samples.len() == 5_000));
}

#[test]
fn import_that_is_killed_goes_on_where_it_was() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = dozor_with_history(folder.path());
    let (mut process, state, file) = long_import(&engine, folder.path());
    let noted: Value = wait_for("a part is acknowledged", || serde_json::from_slice(&fs::read(&state).ok()?).ok());
    process.kill();
    assert!(noted["tally"]["stored"].as_u64().is_some_and(|stored| stored < 500_000), "{noted}");
    assert!(file.ends_with("/long.txt"));
    let url = format!("--url=http://{}", engine.address);
    let output =
        Command::new(dozor()).current_dir(folder.path()).args(["import", &url, "openmetrics", "long.txt"]).output();
    let (code, printed) = ended(output.expect("it runs"));
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("going on behind "), "{printed}");
    assert!(printed.contains("100 series, 500000 samples stored ("), "{printed}");
    assert!(!state.exists(), "nothing is left to take up");
    assert_all_of_long(&engine);
}

#[test]
fn import_outlives_a_server_that_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = dozor_with_history(folder.path());
    let (mut process, state, _) = long_import(&engine, folder.path());
    wait_until("a part is acknowledged", || state.exists());
    engine.kill();
    engine.start_again();
    assert!(process.wait_for_end().success(), "{}", process.printed());
    assert!(process.printed().contains("100 series, 500000 samples stored, 0 refused"), "{}", process.printed());
    assert_all_of_long(&engine);
}

#[test]
fn what_is_refused_is_counted_by_reason_and_the_exit_code_says_so() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &["--retention=30d"]);
    let now_s = Clock::system().now_ms() / 1000;
    let file = folder.path().join("mixed.txt");
    let text = format!("up 1 {now_s}\nup 1\nup{{ 1 {now_s}\nother 1 {}\nother 2 {now_s}\n# EOF\n", now_s - 40 * 86_400);
    fs::write(&file, text).expect("the folder can be written");
    let (code, printed) = import(&engine, &["openmetrics", &file.to_string_lossy()]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("2 series, 2 samples stored, 3 refused"), "{printed}");
    assert!(printed.contains("1 × the sample has no timestamp"), "{printed}");
    assert!(printed.contains("1 × too old: past the retention"), "{printed}");
    assert!(printed.contains("first refused: line 2: the sample has no timestamp"), "{printed}");

    let old = folder.path().join("old.txt");
    fs::write(&old, format!("up 1 {}\n# EOF\n", now_s - 86_400)).expect("the folder can be written");
    let (code, printed) = import(&engine, &["openmetrics", &old.to_string_lossy()]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("start the server with a longer one"), "{printed}");

    let nothing = folder.path().join("nothing");
    let (code, printed) = import(&engine, &["jsonl", &nothing.to_string_lossy()]);
    assert_eq!(code, 2, "{printed}");
    drop(engine);
    let arguments = ["import", "--url=http://127.0.0.1:1", "--retry-for=1s", "openmetrics", &file.to_string_lossy()];
    let output = run(dozor(), &arguments);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach http://127.0.0.1:1"), "it says where");
}
