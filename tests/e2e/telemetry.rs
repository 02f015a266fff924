//! Telemetry that ceases to come: an alert whose data stop is neither over nor told as such.

use std::fs;

use tempfile::TempDir;

use crate::api::get;
use crate::client::Client;
use crate::engine::Engine;
use crate::process::free_address;
use crate::wait::wait_until;
use crate::webhook::{Pager, Told};
use dozor::clock::Clock;
use dozor::ingest::{append_bytes, append_fixed64, append_number};

const SECOND_MS: i64 = 1000;
/// How often the job sends, and for how long it had when it stops.
const INTERVAL_MS: i64 = 5 * SECOND_MS;
const HISTORY_MS: i64 = 8 * 60 * SECOND_MS;

const RULES: &str = r#"
groups:
  - name: alerts
    interval: 1s
    rules:
      - alert: High
        expr: max_over_time(load[10s]) > 5
"#;

/// A message of remote write 1.0: `load` of the job at these moments.
fn message(times_ms: impl Iterator<Item = i64>, value: f64) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, text) in [("__name__", "load"), ("job", "shop")] {
        let mut label = Vec::new();
        append_bytes(&mut label, 1, name.as_bytes());
        append_bytes(&mut label, 2, text.as_bytes());
        append_bytes(&mut series, 1, &label);
    }
    for time_ms in times_ms {
        let mut sample = Vec::new();
        append_fixed64(&mut sample, 1, value.to_bits());
        append_number(&mut sample, 2, u64::try_from(time_ms).expect("after 1970"));
        append_bytes(&mut series, 2, &sample);
    }
    let mut request = Vec::new();
    append_bytes(&mut request, 1, &series);
    snap::raw::Encoder::new().compress_vec(&request).expect("it is short")
}

fn send(engine: &Engine, times_ms: impl Iterator<Item = i64>, value: f64) {
    let answer = Client::new(engine.address).remote_write(&message(times_ms, value)).expect("the engine answers");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn of(pager: &Pager, alert: &str, status: &str) -> Vec<Told> {
    pager.taken_once().into_iter().filter(|told| told.alert_name == alert && told.status == status).collect()
}

#[test]
fn alert_whose_data_stop_is_not_resolved_before_they_are_back_and_the_loss_is_told_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let (rules, settings) = (folder.path().join("rules.yml"), folder.path().join("dozor.yml"));
    fs::write(&rules, RULES).expect("written");
    fs::write(&settings, "telemetry: { lost_after: 5s }\n").expect("written");
    let arguments = [
        format!("--config={}", settings.display()),
        format!("--rules={}", rules.display()),
        format!("--webhook-url=http://{}/hook", pager.address),
    ];
    let mut engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    let clock = Clock::system();

    // It has sent for a while, and is high.
    let now_ms = clock.now_ms();
    send(&engine, (0..=HISTORY_MS / INTERVAL_MS).map(|step| now_ms - HISTORY_MS + step * INTERVAL_MS), 9.0);
    wait_until("the alert fires", || of(&pager, "High", "firing").len() == 1);

    // From here on nothing comes, and the engine dies besides.
    engine.kill();
    engine.start_again();
    wait_until("the loss is told", || of(&pager, "TelemetryLost", "firing").len() == 1);
    let alerts = || get(engine.address, "/api/v1/alerts")["alerts"].as_array().expect("a list").len();
    wait_until("for the rule it is over, as for Prometheus", || alerts() == 0);
    let senders = get(engine.address, "/api/v1/status/senders");
    assert_eq!((&senders["senders"][0]["job"], &senders["senders"][0]["state"]), (&"shop".into(), &"lost".into()));
    assert_eq!(engine.metric("dozor_telemetry_lost_jobs"), 1.0);
    assert_eq!(of(&pager, "High", "resolved").len(), 0, "nobody knows that");

    // It sends again, and is well.
    let mut sent_ms = 0;
    wait_until("both are over", || {
        if clock.now_ms() - sent_ms >= INTERVAL_MS {
            sent_ms = clock.now_ms();
            send(&engine, std::iter::once(sent_ms), 1.0);
        }
        of(&pager, "High", "resolved").len() == 1
    });
    let told: Vec<(String, String)> =
        pager.taken_once().into_iter().map(|told| (told.alert_name, told.status)).collect();
    let expected =
        [("High", "firing"), ("TelemetryLost", "firing"), ("TelemetryLost", "resolved"), ("High", "resolved")];
    assert_eq!(told, expected.map(|(name, status)| (name.to_owned(), status.to_owned())));
    let resolved = String::from_utf8(of(&pager, "High", "resolved")[0].body.clone()).expect("text");
    assert!(resolved.contains("data have come again since"), "{resolved}");
    engine.stop();
}
