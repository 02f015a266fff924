//! A page of the real node_exporter, pushed by the real curl.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::{get, instant};
use crate::client::Client;
use crate::engine::Engine;
use crate::process::installed;
use crate::prometheus::start_node_exporter;
use crate::wait::wait_until;
use dozor::clock::Clock;

/// A sample of the page, by a reader that shares nothing with ours: labels as JSON as the query interface writes them, value.
fn sample_of(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value is behind the last blank");
    let mut labels = BTreeMap::new();
    let (name, pairs) = match series.split_once('{') {
        Some((name, pairs)) => (name, pairs.strip_suffix('}').expect("what is opened is closed")),
        None => (series, ""),
    };
    labels.insert("__name__".to_owned(), name.to_owned());
    let mut rest = pairs;
    while let Some((label, behind)) = rest.split_once("=\"") {
        let (mut value, mut letters) = (String::new(), behind.char_indices());
        let end = loop {
            match letters.next().expect("a value ends") {
                (at, '"') => break at,
                (_, '\\') => match letters.next().expect("an escape is of two letters").1 {
                    'n' => value.push('\n'),
                    letter => value.push(letter),
                },
                (_, letter) => value.push(letter),
            }
        };
        if !value.is_empty() {
            labels.insert(label.to_owned(), value);
        }
        rest = behind[end + 1..].trim_start_matches(',');
    }
    let value = match value {
        "NaN" => f64::NAN,
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().expect("a number"),
    };
    (Value::from_iter(labels).to_string(), value)
}

fn curl(folder: &Path, arguments: &[&str]) -> (u16, String) {
    let mut all = vec!["--silent", "--show-error", "--write-out", "\n%{http_code}"];
    all.extend(arguments);
    let output = Command::new(installed("curl", "curl")).args(all).current_dir(folder).output().expect("curl starts");
    let printed = String::from_utf8(output.stdout).expect("the answer is text");
    let (body, status) = printed.rsplit_once('\n').expect("the status is on a line of its own");
    (status.parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))), body.to_owned())
}

/// Everything stored of this job at the time, without its job label.
fn stored(engine: &Engine, job: &str, at_ms: i64) -> BTreeMap<String, f64> {
    let all = instant(engine.address, &format!("{{__name__=~\".+\",job=\"{job}\"}}"), at_ms);
    let without_job = |labels: &str| {
        let mut labels: Value = serde_json::from_str(labels).expect("labels are JSON");
        assert_eq!(labels.as_object_mut().expect("an object").remove("job"), Some(Value::from(job)));
        labels.to_string()
    };
    all.iter().map(|(labels, samples)| (without_job(labels), samples[0].1)).collect()
}

fn assert_same(found: &BTreeMap<String, f64>, page: &BTreeMap<String, f64>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), page.keys().collect::<Vec<_>>());
    for (labels, value) in page {
        let found = found[labels];
        assert!(found == *value || (found.is_nan() && value.is_nan()), "{labels}: pushed {value}, stored {found}");
    }
}

#[test]
fn page_of_the_node_exporter_is_stored_as_it_stands_and_described() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let (_exporter, exporter) = start_node_exporter(folder.path());
    let text = Client::new(exporter).get("/metrics").expect("the exporter answers").text();
    let page: BTreeMap<String, f64> =
        text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample_of).collect();
    assert!(page.len() > 500, "a page of {} samples", page.len());
    fs::write(folder.path().join("page"), &text).expect("the folder can be written");
    assert!(Command::new("gzip").arg("-k").arg(folder.path().join("page")).status().expect("gzip starts").success());

    let at = |path: &str| format!("http://{}/api/v1/import/prometheus{path}", engine.address);
    let before_ms = Clock::system().now_ms();
    let plain = curl(folder.path(), &["--data-binary", "@page", &at("?extra_label=job=plain")]);
    assert_eq!(plain, (204, String::new()));
    // Twice, so that the second one finds every series by its text. A minute before, as the address says.
    for ms in [before_ms - 60_000, before_ms - 30_000] {
        let to = at(&format!("/metrics/job/zipped?timestamp={ms}"));
        let zipped = curl(folder.path(), &["-H", "Content-Encoding: gzip", "--data-binary", "@page.gz", &to]);
        assert_eq!(zipped, (204, String::new()));
    }
    assert_same(&stored(&engine, "plain", Clock::system().now_ms()), &page);
    assert_same(&stored(&engine, "zipped", before_ms - 45_000), &page);
    assert_same(&stored(&engine, "zipped", before_ms), &page);

    assert_described(&engine, &text);
    wait_until("the descriptions are saved", || engine.data_folder().join("families.meta").exists());
    engine.stop();
    engine.start_again();
    assert_described(&engine, &text);
}

/// Each HELP and TYPE of the page is served.
fn assert_described(engine: &Engine, text: &str) {
    let told = get(engine.address, "/api/v1/metadata");
    let mut count = 0;
    for line in text.lines() {
        let (family, key, expected) = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["#", "HELP", family, ..] => {
                let help = line.splitn(4, ' ').nth(3).unwrap_or_default();
                (*family, "help", help.replace("\\n", "\n").replace("\\\\", "\\"))
            }
            ["#", "TYPE", family, kind] => (*family, "type", kind.replace("untyped", "unknown")),
            _ => continue,
        };
        assert_eq!(told[family][0][key], Value::from(expected), "{family}");
        count += 1;
    }
    assert!(count > 200, "{count} descriptions");
    assert_eq!(told["node_load1"][0], get(engine.address, "/api/v1/metadata?metric=node_load1")["node_load1"][0]);
    assert_eq!(engine.metric("dozor_metadata_families") as usize, told.as_object().expect("an object").len());
    assert_eq!(get(engine.address, "/api/v1/metadata?limit=3").as_object().expect("an object").len(), 3);
}

#[test]
fn one_bad_line_of_a_push_costs_itself_and_curl_is_told() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let to = format!("http://{}/api/v1/import/prometheus", engine.address);
    let text = "good 1\nbad{a=b} 2\n{\"größe.in.cm\",\"shop.id\"=\"7\"} 3\n";
    let (status, body) = curl(folder.path(), &["--data-binary", text, &to]);
    assert_eq!(status, 400);
    assert!(body.starts_with("1 refused, 2 stored; first refused: line 2, \"bad{a=b} 2\": "), "{body}");
    let found = instant(engine.address, "{__name__=~\".+\"}", Clock::system().now_ms());
    assert_eq!(found.values().map(|samples| samples[0].1).collect::<Vec<_>>(), [1.0, 3.0]);
    let quoted = instant(engine.address, r#"{__name__="größe.in.cm","shop.id"="7"}"#, Clock::system().now_ms());
    assert_eq!(quoted.len(), 1, "{found:?}");
}
