//! `dozor import` of what does not come in one piece: whole data folders, large batches, compressed files, pipes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::Labels;
use tempfile::TempDir;

use crate::api::ask;
use crate::client::{Client, percent_encoded};
use crate::engine::{Engine, dozor};
use crate::histograms;
use crate::portable::{Samples, assert_same, dozor_for_backfill, ended, export, import, openmetrics, samples_in};
use crate::process::{Process, free_address, peer, wait_for_listener};
use crate::wait::{wait_for, wait_until};

const HOUR_MS: i64 = 3_600_000;
const STEP_MS: i64 = 15_000;
const SERIES: u64 = 30;
/// Hours that the Prometheus was fed with, in so many lives.
const HOURS: i64 = 9;
const LIVES: i64 = 6;

/// Starts a Prometheus that takes remote write, also of samples that are an hour late.
fn start_prometheus(folder: &Path, address: SocketAddr) -> Process {
    let config = folder.join("prometheus.yml");
    fs::write(&config, "storage: { tsdb: { out_of_order_time_window: 1h } }\n").expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        format!("--web.listen-address={address}"),
        "--web.enable-remote-write-receiver".to_owned(),
        "--web.enable-admin-api".to_owned(),
    ];
    let mut server = Process::start("prometheus", &peer("prometheus"), &arguments, folder);
    wait_for_listener(&mut server, address);
    wait_until("Prometheus is ready", || Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200));
    server
}

fn labels(index: u64) -> Labels {
    let index = index.to_string();
    Labels::from_pairs([("__name__", "load"), ("index", index.as_str()), ("text", "a \"b\" ü")]).expect("labels")
}

/// Sends a sample of every series for each step of the span.
fn feed(address: SocketAddr, from_ms: i64, to_ms: i64, offset_ms: i64) {
    let mut client = Client::new(address);
    let mut label_bytes = vec![Vec::new(); SERIES as usize];
    (0..SERIES).for_each(|index| encode_labels(&labels(index), &mut label_bytes[index as usize]));
    let steps: Vec<i64> = (from_ms..to_ms).step_by(STEP_MS as usize).collect();
    for steps in steps.chunks(60) {
        let mut encoder = RequestEncoder::new();
        for (index, label_bytes) in label_bytes.iter().enumerate() {
            for at_ms in steps {
                let value = (at_ms / 7 % 1_000) as f64 / 3.0 + index as f64;
                encoder.push(label_bytes, at_ms + offset_ms, value);
            }
        }
        wait_for("Prometheus takes a request", || {
            let answer = client.remote_write(encoder.finish()).ok()?;
            assert_eq!(answer.status, 204, "{}", answer.text());
            Some(())
        });
    }
}

/// Every sample that a Prometheus has.
fn all_samples(address: SocketAddr, now_ms: i64) -> Samples {
    let query = percent_encoded(r#"{__name__!=""}[12h]"#);
    let answer = ask(address, "/api/v1/query", &format!("query={query}&time={}", now_ms / 1000));
    let mut all = Samples::new();
    for series in answer["result"].as_array().expect("series") {
        let metric = series["metric"].as_object().expect("a metric");
        let pairs: Vec<String> = metric.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let samples = series["values"].as_array().expect("values").iter().map(|pair| {
            let time_ms = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
            (time_ms, pair[1].as_str().expect("a value").parse::<f64>().expect("a number").to_bits())
        });
        all.insert(format!("{{{}}}", pairs.join(", ")), samples.collect());
    }
    all
}

fn folders(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn whole_data_folder_of_a_killed_prometheus_is_imported() {
    let folder = TempDir::new().expect("a temporary folder");
    let address = free_address();
    let now_ms = Clock::system().now_ms() / STEP_MS * STEP_MS;
    let start_ms = now_ms - HOURS * HOUR_MS;
    let data = folder.path().join("data");
    let blocks = |data: &Path| folders(data).iter().filter(|name| data.join(name).join("meta.json").exists()).count();
    // Each life begins a segment of the log, which a checkpoint needs several of.
    for life in 0..LIVES {
        let mut server = start_prometheus(folder.path(), address);
        let (from_ms, to_ms) =
            (start_ms + life * HOURS * HOUR_MS / LIVES, start_ms + (life + 1) * HOURS * HOUR_MS / LIVES);
        feed(address, from_ms, to_ms, 0);
        if life + 1 < LIVES {
            server.kill();
            continue;
        }
        wait_until("blocks are cut, and a checkpoint is made", || {
            blocks(&data) >= 2 && folders(&data.join("wal")).iter().any(|name| name.starts_with("checkpoint."))
        });
        let (matcher, now_s) = (percent_encoded(r#"load{index="3"}"#), now_ms / 1000);
        let form = format!("match[]={matcher}&start={}&end={}", now_s - 900, now_s - 600);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let deleted = Client::new(address).post("/api/v1/admin/tsdb/delete_series", &headers, form.as_bytes());
        assert_eq!(deleted.expect("it answers").status, 204);
        // Samples between the others, which come late: those are in wbl, unless a cut that is still under way takes them
        // along. Then others come.
        let (whole, expected) = (1..)
            .find_map(|batch| {
                assert!(batch < 10, "late samples never stay in its log");
                feed(address, now_ms - 40 * 60_000, now_ms - 20 * 60_000, batch * 1_000);
                // While it moves late samples to its disk, an answer may lack some of them.
                let whole = (HOURS * HOUR_MS / STEP_MS + 80 * batch) as usize;
                let expected = wait_for("Prometheus shows all that it has", || {
                    let all = all_samples(address, now_ms);
                    all.values().all(|samples| samples.len() == whole || samples.len() == whole - 21).then_some(all)
                });
                (bytes_in(&data.join("wbl")) > 1_000).then_some((whole, expected))
            })
            .expect("a batch of them");
        server.kill();
        // What lies there is in the log too.
        assert!(fs::read_dir(data.join("chunks_head")).expect("a folder").next().is_some());
        assert_imported(folder.path(), &data, whole, &expected);
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    // One that is moved away meanwhile has none.
    entries.map(|entry| entry.metadata().map_or(0, |facts| facts.len())).sum()
}

fn assert_imported(folder: &Path, data: &Path, whole: usize, expected: &Samples) {
    let of = |name: &str| expected[&format!("{{__name__=\"load\", index=\"{name}\", text=\"a \\\"b\\\" ü\"}}")].len();
    assert_eq!(of("4"), whole, "in time and late");
    assert_eq!(of("4") - of("3"), 21, "what was deleted is gone");
    assert!(bytes_in(&data.join("wbl")) > 1_000, "late samples");
    let engine_folder = folder.join("dozor");
    fs::create_dir(&engine_folder).expect("the folder can be written");
    let engine = dozor_for_backfill(&engine_folder);
    let (code, printed) = import(&engine, &["prometheus", &data.to_string_lossy()]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains(&format!("{SERIES} series, ")) && printed.contains(" 0 refused"), "{printed}");
    assert_same(&samples_in(&export(&engine)), expected);
}

#[test]
fn native_histograms_of_a_prometheus_are_imported_from_blocks_and_from_its_log() {
    let folder = TempDir::new().expect("a temporary folder");
    let address = free_address();
    let end_ms = Clock::system().now_ms() - STEP_MS;
    let mut server = histograms::start_receiver(folder.path(), address);
    histograms::send(address, end_ms);
    let import_all = |data: &Path, name: &str, stored: usize| {
        let engine_folder = folder.path().join(name);
        fs::create_dir(&engine_folder).expect("the folder can be written");
        let engine = dozor_for_backfill(&engine_folder);
        let (code, printed) = import(&engine, &["prometheus", &data.to_string_lossy()]);
        let told = format!("6 series, {stored} samples stored, 0 refused\n");
        assert_eq!((code, printed.as_str()), (0, told.as_str()), "{name}");
        engine
    };
    // With the one that ends a series, which is not counted there.
    let sent: usize = histograms::sent_counts().iter().map(|(_, histograms, numbers)| histograms + numbers).sum();
    let data = folder.path().join("received");
    let snapshot = ask(address, "/api/v1/admin/tsdb/snapshot", "");
    let snapshot = data.join("snapshots").join(snapshot["name"].as_str().expect("a name"));
    let of_blocks = import_all(&snapshot, "of-blocks", sent + 1);
    assert_eq!(histograms::counts(of_blocks.address, end_ms), histograms::sent_counts());
    histograms::assert_alike(of_blocks.address, address, &histograms::QUERIES, end_ms);
    histograms::send_late(address, end_ms);
    server.kill();
    let wbl = fs::read_dir(data.join("wbl")).expect("late samples").map(|entry| entry.expect("an entry"));
    assert!(wbl.map(|entry| entry.metadata().expect("a length").len()).sum::<u64>() > 500);
    // Late ones lie in both logs.
    let of_log = import_all(&data, "of-log", sent + 1 + 2 * 80);
    let _server = histograms::start_receiver(folder.path(), address);
    histograms::assert_alike(of_log.address, address, &histograms::QUERIES, end_ms);
}

/// A server that takes little at once.
fn narrow_dozor(folder: &Path) -> Engine {
    let settings = folder.join("dozor.yml");
    let limits = "limits: { samples_per_request_max: 1000, series_per_request_max: 7, request_bytes_max: 16KiB }";
    fs::write(&settings, format!("retention: 0\n{limits}\n")).expect("the folder can be written");
    Engine::start(folder, &[&format!("--config={}", settings.display())])
}

#[test]
fn server_with_narrow_limits_gets_everything_in_parts() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = narrow_dozor(folder.path());
    let start_ms = Clock::system().now_ms() / 1000 * 1000 - HOUR_MS;
    // One series with more samples in an hour than a request may have, then many short ones.
    let mut line = String::from(r#"{"metric":{"__name__":"dense"},"values":["#);
    let numbers = |number: fn(i64, i64) -> i64| {
        (0..60_000).map(|at| number(start_ms, at).to_string()).collect::<Vec<_>>().join(",")
    };
    line.push_str(&format!(
        "{}],\"timestamps\":[{}]}}\n",
        numbers(|_, at| at % 977),
        numbers(|start_ms, at| start_ms + at * 50)
    ));
    for index in 0..500 {
        line.push_str(&format!("{{\"metric\":{{\"__name__\":\"short\",\"index\":\"{index}\"}},\"values\":[1],\"timestamps\":[{start_ms}]}}\n"));
    }
    let file = folder.path().join("dense.jsonl");
    fs::write(&file, line).expect("the folder can be written");
    let (code, printed) = import(&engine, &["jsonl", &file.to_string_lossy()]);
    assert_eq!((code, printed.contains("501 series, 60500 samples stored, 0 refused")), (0, true), "{printed}");
    let dense: Vec<_> = (0..60_000).map(|at| (start_ms + at * 50, ((at % 977) as f64).to_bits())).collect();
    let ours = samples_in(&export(&engine));
    assert!(ours[r#"{__name__="dense"}"#] == dense);
    assert_eq!(ours.len(), 501);
}

/// Runs an import whose file comes by a pipe.
fn import_of_stdin(engine: &Engine, bytes: &[u8]) -> (i32, String) {
    let url = format!("--url=http://{}", engine.address);
    let mut command = Command::new(dozor());
    command
        .args(["import", &url, "openmetrics", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    ended(child.wait_with_output().expect("it ends"))
}

#[test]
fn compressed_files_and_pipes_are_imported() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = dozor_for_backfill(folder.path());
    let start_ms = Clock::system().now_ms() - 3 * HOUR_MS;
    let texts = ["gzipped", "piped", "zipped_pipe"].map(|name| openmetrics(3, 500, start_ms).replace("load", name));
    let gzip = |text: &str, name: &str| -> PathBuf {
        // A name that says nothing.
        let file = folder.path().join(name);
        fs::write(&file, text).expect("the folder can be written");
        assert!(Command::new("gzip").arg(&file).status().expect("there is gzip").success());
        folder.path().join(format!("{name}.gz"))
    };
    let file = folder.path().join("history");
    fs::copy(gzip(&texts[0], "first"), &file).expect("the folder can be written");
    let (code, printed) = import(&engine, &["openmetrics", &file.to_string_lossy()]);
    assert_eq!((code, printed.as_str()), (0, "3 series, 1500 samples stored, 0 refused\n"));
    let zipped = fs::read(gzip(&texts[2], "second")).expect("it is there");
    for bytes in [texts[1].as_bytes(), &zipped] {
        let (code, printed) = import_of_stdin(&engine, bytes);
        assert_eq!((code, printed.as_str()), (0, "3 series, 1500 samples stored, 0 refused\n"));
    }
    let counts: BTreeMap<String, usize> =
        samples_in(&export(&engine)).into_iter().map(|(series, samples)| (series, samples.len())).collect();
    assert_eq!((counts.len(), counts.values().sum::<usize>()), (9, 4_500), "{counts:?}");
}
