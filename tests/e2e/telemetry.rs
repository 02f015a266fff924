//! Telemetry that ceases to come: an alert whose data stop is neither over nor told as such.

use std::fs;

use tempfile::TempDir;

use crate::api::get;
use crate::client::Client;
use crate::engine::Engine;
use crate::process::free_address;
use crate::prometheus::{start_node_exporter_at, start_prometheus};
use crate::wait::wait_until;
use crate::webhook::{Pager, Told};
use dozor::clock::Clock;
use dozor::ingest::{append_bytes, append_fixed64, append_number};
use dozor::model::stale_nan;

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

/// Values of a series at moments.
struct Sent<'a> {
    labels: &'a [(&'a str, &'a str)],
    times_ms: Vec<i64>,
    value: f64,
}

/// A message of remote write 1.0.
fn message(sent: &[Sent<'_>]) -> Vec<u8> {
    let mut request = Vec::new();
    for one in sent {
        let (mut series, mut labels) = (Vec::new(), one.labels.to_vec());
        labels.sort_unstable();
        for (name, text) in labels {
            let mut label = Vec::new();
            append_bytes(&mut label, 1, name.as_bytes());
            append_bytes(&mut label, 2, text.as_bytes());
            append_bytes(&mut series, 1, &label);
        }
        for time_ms in &one.times_ms {
            let mut sample = Vec::new();
            append_fixed64(&mut sample, 1, one.value.to_bits());
            append_number(&mut sample, 2, u64::try_from(*time_ms).expect("after 1970"));
            append_bytes(&mut series, 2, &sample);
        }
        append_bytes(&mut request, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&request).expect("it is short")
}

fn send(engine: &Engine, sent: &[Sent<'_>]) {
    let answer = Client::new(engine.address).remote_write(&message(sent)).expect("the engine answers");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn send_load(engine: &Engine, times_ms: impl Iterator<Item = i64>, value: f64) {
    let labels = [("__name__", "load"), ("job", "shop")];
    send(engine, &[Sent { labels: &labels, times_ms: times_ms.collect(), value }]);
}

/// An engine with these rules, which tells the pager, and misses a job after five seconds.
fn watching(rules: &str) -> (TempDir, Pager, Engine) {
    watching_with(rules, "telemetry: { lost_after: 5s }\n")
}

fn watching_with(rules: &str, settings_text: &str) -> (TempDir, Pager, Engine) {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let (file, settings) = (folder.path().join("rules.yml"), folder.path().join("dozor.yml"));
    fs::write(&file, rules).expect("written");
    fs::write(&settings, settings_text).expect("written");
    let arguments = [
        format!("--config={}", settings.display()),
        format!("--rules={}", file.display()),
        format!("--webhook-url=http://{}/hook", pager.address),
    ];
    let engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    (folder, pager, engine)
}

fn of(pager: &Pager, alert: &str, status: &str) -> Vec<Told> {
    pager.taken_once().into_iter().filter(|told| told.alert_name == alert && told.status == status).collect()
}

#[test]
fn alert_whose_data_stop_is_not_resolved_before_they_are_back_and_the_loss_is_told_once() {
    let (_folder, pager, mut engine) = watching(RULES);
    let clock = Clock::system();

    // It has sent for a while, and is high.
    let now_ms = clock.now_ms();
    send_load(&engine, (0..=HISTORY_MS / INTERVAL_MS).map(|step| now_ms - HISTORY_MS + step * INTERVAL_MS), 9.0);
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
            send_load(&engine, std::iter::once(sent_ms), 1.0);
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

#[test]
fn alert_of_a_silent_job_is_kept_when_its_rule_gets_other_labels_and_ends_when_that_is_taken_out() {
    let (folder, pager, mut engine) = watching(RULES);
    let now_ms = Clock::system().now_ms();
    send_load(&engine, (0..=HISTORY_MS / INTERVAL_MS).map(|step| now_ms - HISTORY_MS + step * INTERVAL_MS), 9.0);
    wait_until("the alert fires", || of(&pager, "High", "firing").len() == 1);
    let mut start_with = |rules: &str| {
        engine.kill();
        fs::write(folder.path().join("rules.yml"), rules).expect("written");
        engine.start_again();
    };
    start_with(&format!("{RULES}        labels: {{ severity: page }}\n"));
    wait_until("the loss is told", || of(&pager, "TelemetryLost", "firing").len() == 1);
    assert_eq!(of(&pager, "High", "resolved").len(), 0, "nobody knows that");
    start_with(&RULES.replace("High", "Higher"));
    // With other labels it may have fired once more before its data were too old.
    let told = |status: &str| of(&pager, "High", status).len();
    wait_until("its rule is gone", || told("resolved") == told("firing"));
    assert_eq!(of(&pager, "TelemetryLost", "resolved").len(), 0, "it is as silent as before");
    engine.stop();
}

#[test]
fn one_that_does_not_come_back_is_missed_however_long_the_engine_was_down() {
    let (_folder, pager, mut engine) = watching(RULES);
    // As if it had been killed two hours ago: that is when the newest sample is of.
    let ended_ms = Clock::system().now_ms() - 2 * 60 * 60 * SECOND_MS;
    send_load(&engine, (0..=HISTORY_MS / INTERVAL_MS).map(|step| ended_ms - HISTORY_MS + step * INTERVAL_MS), 1.0);
    engine.kill();
    engine.start_again();
    wait_until("the loss is told", || of(&pager, "TelemetryLost", "firing").len() == 1);
    assert_eq!(labelled(&of(&pager, "TelemetryLost", "firing"), "job", "shop"), 1);
    engine.stop();
}

const RULES_OF_MANY: &str = r#"
groups:
  - name: alerts
    interval: 1s
    rules:
      - record: region:waiting:sum
        expr: sum by (region) (max_over_time(waiting[10s]))
      - alert: Waiting
        expr: sum by (region) (max_over_time(waiting[10s])) > 5
        labels: { service: checkout }
      - alert: WaitingAsRecorded
        expr: region:waiting:sum{region="eu"} > 5
      - alert: Slow
        expr: slowness > 5
      - alert: Down
        expr: up == 0
"#;

/// Labels of a series, and its value.
type Valued = (Vec<(&'static str, &'static str)>, f64);

/// Who sends what, one sample each interval, and what it is at present.
struct Fleet {
    clock: Clock,
    sent_ms: i64,
    series: Vec<Valued>,
}

impl Fleet {
    fn send(&self, engine: &Engine, times_ms: &[i64]) {
        let sent = |(labels, value): &Valued| (labels.clone(), *value);
        let series: Vec<_> = self.series.iter().map(sent).collect();
        let sent: Vec<Sent<'_>> =
            series.iter().map(|(labels, value)| Sent { labels, times_ms: times_ms.to_vec(), value: *value }).collect();
        send(engine, &sent);
    }

    /// Sends when it is time to.
    fn go_on(&mut self, engine: &Engine) {
        let now_ms = self.clock.now_ms();
        if now_ms - self.sent_ms >= INTERVAL_MS {
            self.sent_ms = now_ms;
            self.send(engine, &[now_ms]);
        }
    }

    /// The value from now on, of each series with all of these labels.
    fn set(&mut self, labels: &[(&str, &str)], value: f64) {
        let wanted = |of: &Vec<(&'static str, &'static str)>| labels.iter().all(|label| of.contains(label));
        let changed = self.series.iter_mut().filter(|(of, _)| wanted(of)).map(|(_, of)| *of = value).count();
        assert!(changed > 0, "nobody sends {labels:?}");
    }

    /// Sends those no more.
    fn stop(&mut self, labels: &[(&str, &str)]) -> Vec<Valued> {
        let (gone, left) = self.series.drain(..).partition(|(of, _)| labels.iter().all(|label| of.contains(label)));
        self.series = left;
        gone
    }
}

/// Marks the end of these series, as a scraper does that gets no answer.
fn end(engine: &Engine, gone: &[Valued], at_ms: i64) {
    let sent: Vec<Sent<'_>> =
        gone.iter().map(|(labels, _)| Sent { labels, times_ms: vec![at_ms], value: stale_nan() }).collect();
    send(engine, &sent);
}

fn labelled(told: &[Told], label: &str, value: &str) -> usize {
    let has = |told: &&Told| {
        let body: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
        body["alerts"][0]["labels"][label] == value
    };
    told.iter().filter(has).count()
}

#[test]
fn alert_of_many_senders_is_held_while_one_is_silent_without_whom_it_would_not_have_fired() {
    let (_folder, pager, mut engine) = watching(RULES_OF_MANY);
    let series = [
        (vec![("__name__", "waiting"), ("job", "shop"), ("region", "eu")], 9.0),
        (vec![("__name__", "waiting"), ("job", "web"), ("region", "eu")], 1.0),
        (vec![("__name__", "waiting"), ("job", "web"), ("region", "us")], 9.0),
        (vec![("__name__", "slowness"), ("job", "node"), ("instance", "a")], 9.0),
        (vec![("__name__", "slowness"), ("job", "node"), ("instance", "b")], 9.0),
        (vec![("__name__", "up"), ("job", "node"), ("instance", "a")], 1.0),
        (vec![("__name__", "up"), ("job", "node"), ("instance", "b")], 1.0),
        (vec![("__name__", "slowness"), ("job", "db"), ("instance", "d")], 9.0),
        (vec![("__name__", "up"), ("job", "db"), ("instance", "d")], 1.0),
    ];
    let mut fleet = Fleet { clock: Clock::system(), sent_ms: 0, series: series.to_vec() };
    let now_ms = fleet.clock.now_ms();
    let history_ms: Vec<i64> =
        (1..=HISTORY_MS / INTERVAL_MS).map(|step| now_ms - HISTORY_MS + step * INTERVAL_MS).collect();
    fleet.send(&engine, &history_ms);
    // Who has sent for minutes when the log of before the start ends is missed when it does not come.
    engine.kill();
    engine.start_again();
    let go_on_until = |fleet: &mut Fleet, what: &str, is_so: &mut dyn FnMut() -> bool| {
        wait_until(what, || {
            fleet.go_on(&engine);
            is_so()
        });
    };
    go_on_until(&mut fleet, "all fire", &mut || {
        let fires = |alert: &str, count: usize| of(&pager, alert, "firing").len() == count;
        fires("Waiting", 2) && fires("WaitingAsRecorded", 1) && fires("Slow", 3)
    });
    let senders = || get(engine.address, "/api/v1/status/senders")["senders"].as_array().expect("a list").clone();
    go_on_until(&mut fleet, "all are known to send", &mut || {
        senders().len() == 4 && senders().iter().all(|sender| sender["state"] == "sending")
    });

    // The shop goes without a word; a node and the database do not answer their scraper any more.
    let shop = fleet.stop(&[("job", "shop")]);
    let node = fleet.stop(&[("__name__", "slowness"), ("instance", "a")]);
    let db = fleet.stop(&[("__name__", "slowness"), ("job", "db")]);
    let died_ms = fleet.clock.now_ms();
    end(&engine, &[&node[..], &db[..]].concat(), died_ms);
    fleet.set(&[("__name__", "up"), ("instance", "a")], 0.0);
    fleet.set(&[("__name__", "up"), ("job", "db")], 0.0);
    let active = |alert: &str, label: &str, value: &str| {
        let alerts = get(engine.address, "/api/v1/alerts")["alerts"].as_array().expect("a list").clone();
        alerts.iter().any(|one| one["labels"]["alertname"] == alert && one["labels"][label] == value)
    };
    go_on_until(&mut fleet, "for the rules what they spoke of is over", &mut || {
        !active("Waiting", "region", "eu")
            && !active("WaitingAsRecorded", "region", "eu")
            && !active("Slow", "instance", "a")
            && !active("Slow", "instance", "d")
    });
    go_on_until(&mut fleet, "the losses are told, the part is not a job", &mut || {
        let lost = of(&pager, "TelemetryLost", "firing");
        labelled(&lost, "job", "shop") == 1 && labelled(&lost, "job", "db") == 1
    });

    // What others sent goes on being judged by what they send.
    fleet.set(&[("__name__", "waiting"), ("region", "us")], 1.0);
    fleet.set(&[("__name__", "slowness"), ("instance", "b")], 1.0);
    go_on_until(&mut fleet, "what is over is told", &mut || {
        let (waiting, slow) = (of(&pager, "Waiting", "resolved"), of(&pager, "Slow", "resolved"));
        labelled(&waiting, "region", "us") == 1 && labelled(&slow, "instance", "b") == 1
    });
    assert_eq!(labelled(&of(&pager, "Waiting", "resolved"), "region", "eu"), 0, "without the shop it had not fired");
    assert_eq!(of(&pager, "WaitingAsRecorded", "resolved").len(), 0, "what was recorded had the shop in it");
    assert_eq!(of(&pager, "Slow", "resolved").len(), 1, "of the others nobody knows");
    assert_eq!(labelled(&of(&pager, "TelemetryLost", "firing"), "job", "node"), 0);

    // All are back, and well. That they answer is told at once, the rest when they have sent for a while.
    fleet.series.extend([shop, node, db].concat().into_iter().map(|(labels, _)| (labels, 1.0)));
    fleet.set(&[("__name__", "up")], 1.0);
    go_on_until(&mut fleet, "all is over", &mut || {
        let over = |alert: &str, count: usize| of(&pager, alert, "resolved").len() == count;
        over("Waiting", 2) && over("WaitingAsRecorded", 1) && over("Slow", 3) && over("Down", 2)
    });
    let told = pager.taken_once();
    let place = |alert: &str, label: &str, value: &str| {
        let is_it = |told: &&Told| told.alert_name == alert && told.status == "resolved";
        told.iter().position(|one| is_it(&one) && labelled(std::slice::from_ref(one), label, value) == 1)
    };
    assert!(place("Down", "instance", "a") < place("Slow", "instance", "a"), "{:?}", place("Down", "instance", "a"));
    assert!(place("Down", "instance", "d") < place("Slow", "instance", "d"));
    engine.stop();
}

const RULES_OF_A_NODE: &str = r#"
groups:
  - name: alerts
    interval: 1s
    rules:
      - alert: Loaded
        expr: sum(node_load1) >= 0
      - alert: LoadedNode
        expr: node_load1 >= 0
      - alert: Down
        expr: up == 0
"#;

#[test]
fn exporter_that_dies_under_a_prometheus_ends_no_alert_but_that_it_is_down() {
    let (folder, pager, mut engine) = watching(RULES_OF_A_NODE);
    let address = free_address();
    let (instance, clock) = (address.to_string(), Clock::system());

    // As if it had been scraped for a while.
    let now_ms = clock.now_ms();
    let times_ms: Vec<i64> =
        (0..=HISTORY_MS / INTERVAL_MS).map(|step| now_ms - HISTORY_MS + step * INTERVAL_MS).collect();
    let of_node = |name| [("__name__", name), ("instance", instance.as_str()), ("job", "node")];
    let (load, up) = (of_node("node_load1"), of_node("up"));
    let sent = |labels| Sent { labels, times_ms: times_ms.clone(), value: 1.0 };
    send(&engine, &[sent(&load), sent(&up)]);
    engine.kill();
    engine.start_again();
    let mut exporter = start_node_exporter_at(folder.path(), address);
    let _prometheus = start_prometheus(folder.path(), free_address(), &[("node", address)], engine.address);
    let fires = |alert: &str| of(&pager, alert, "firing").len() == 1;
    wait_until("both fire", || fires("Loaded") && fires("LoadedNode"));
    let state = || get(engine.address, "/api/v1/status/senders")["senders"][0]["state"].clone();
    wait_until("it is known to send", || state() == "sending");

    exporter.kill();
    wait_until("it is told that it is down, and that nothing comes of it", || fires("Down") && fires("TelemetryLost"));
    let alerts = || get(engine.address, "/api/v1/alerts")["alerts"].as_array().expect("a list").len();
    wait_until("for the rules the others are over", || alerts() == 1);
    assert_eq!(of(&pager, "Loaded", "resolved").len() + of(&pager, "LoadedNode", "resolved").len(), 0);

    let _exporter = start_node_exporter_at(folder.path(), address);
    wait_until("it is told that it is back", || {
        of(&pager, "Down", "resolved").len() == 1 && of(&pager, "TelemetryLost", "resolved").len() == 1
    });
    wait_until("for the rules they fire again", || alerts() == 2);
    let told = pager.taken_once();
    assert_eq!(told.iter().filter(|told| told.alert_name.starts_with("Loaded")).count(), 2, "they never ended");
    engine.stop();
}

/// A pod is replaced while it is in trouble, and another one of its job goes on.
#[test]
fn anomaly_of_which_nothing_comes_any_more_ends_after_a_while_and_says_so() {
    let rules = "groups: [{ name: g, rules: [{ alert: Deep, expr: queue, anomaly: { limit: { above: 100 } } }] }]\n";
    let (_folder, pager, mut engine) = watching_with(rules, "telemetry: { unknown_max: 1h }\n");
    let mut at_ms = Clock::system().now_ms() - 10 * 60 * 60_000;
    // A minute of each, so that nothing but event time goes fast.
    let mut minute = |pods: &[(&str, f64)]| {
        for &(pod, value) in pods {
            let labels = [("__name__", "queue"), ("job", "shop"), ("pod", pod)];
            send(
                &engine,
                &[Sent { labels: &labels, times_ms: (1..=4).map(|step| at_ms + step * 15_000).collect(), value }],
            );
        }
        at_ms += 60_000;
        at_ms
    };
    let mut gone_ms = 0;
    wait_until("the pod fires", || {
        gone_ms = minute(&[("a", 500.0), ("b", 1.0)]);
        of(&pager, "Deep", "firing").len() == 1
    });
    let mut ended_ms = 0;
    wait_until("it is given up", || {
        ended_ms = minute(&[("b", 1.0)]);
        of(&pager, "Deep", "resolved").len() == 1
    });
    assert!(ended_ms >= gone_ms + 60 * 60_000, "{} min behind", (ended_ms - gone_ms) / 60_000);
    let [ended] = &of(&pager, "Deep", "resolved")[..] else { panic!("it is told once") };
    let body = String::from_utf8(ended.body.clone()).expect("text");
    assert!(body.contains("unknown: no data since") && body.contains("it is no longer kept"), "{body}");
    engine.stop();
}

/// Two pods are in trouble when they cease: one does not answer any more, and the other one was replaced.
#[test]
fn anomaly_of_an_instance_that_was_removed_ends_and_that_of_one_that_is_down_does_not() {
    let rules = "groups: [{ name: g, rules: [{ alert: Deep, expr: queue, anomaly: { limit: { above: 100 } } }] }]\n";
    let (_folder, pager, mut engine) = watching_with(rules, "");
    let mut at_ms = Clock::system().now_ms() - 10 * 60 * 60_000;
    // A minute of each: whether it answers its scraper, and how long its queue is.
    let mut minute = |pods: &[(&str, f64, Option<f64>)]| {
        let times_ms: Vec<i64> = (1..=4).map(|step| at_ms + step * 15_000).collect();
        for &(pod, up, queue) in pods {
            let of_pod = |name| [("__name__", name), ("job", "shop"), ("instance", pod)];
            let (of_up, of_queue) = (of_pod("up"), of_pod("queue"));
            let up = Sent { labels: &of_up, times_ms: times_ms.clone(), value: up };
            let queue = queue.map(|value| Sent { labels: &of_queue, times_ms: times_ms.clone(), value });
            send(&engine, &[up].into_iter().chain(queue).collect::<Vec<_>>());
        }
        at_ms += 60_000;
        at_ms
    };
    wait_until("two pods fire", || {
        minute(&[("gone", 1.0, Some(500.0)), ("down", 1.0, Some(500.0)), ("well", 1.0, Some(1.0))]);
        pager.taken_once().iter().filter(|told| told.status == "firing").count() == 2
    });
    let gone_ms = minute(&[("gone", stale_nan(), Some(stale_nan())), ("down", 0.0, Some(stale_nan()))]);
    let mut ended_ms = 0;
    wait_until("an end is told", || {
        ended_ms = minute(&[("down", 0.0, None), ("well", 1.0, Some(1.0))]);
        !of(&pager, "Deep", "resolved").is_empty()
    });
    assert!(ended_ms > gone_ms + 14 * 60_000, "{} min behind", (ended_ms - gone_ms) / 60_000);
    let [ended] = &of(&pager, "Deep", "resolved")[..] else { panic!("of two one ends") };
    let body = String::from_utf8(ended.body.clone()).expect("text");
    assert!(body.contains("removed: no data since") && body.contains("\"instance\":\"gone\""), "{body}");
    let anomalies = get(engine.address, "/api/v1/anomalies");
    assert!(anomalies.to_string().contains("\"instance\":\"down\""), "it still fires: {anomalies}");
    engine.stop();
}
