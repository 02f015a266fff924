//! Beside a real Alertmanager: the same configuration and the same alerts give the same messages.
//!
//! ```text
//!          ┌─► POST /api/v2/alerts ─► alertmanager ─► webhooks /theirs/… ┐
//! script ──┤                                                             ├─► compared, receiver by receiver
//!          └─► Notifier::enqueue_all ─► dozor ──────► webhooks /ours/…   ┘
//! ```
//!
//! What happens does so half-way between two flushes of any group, so that it is in the same flush of both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dozor::clock::Clock;
use dozor::disk::RealDisk;
use dozor::model::Labels;
use dozor::notify::routing::load;
use dozor::notify::{Alert, Notifier, NotifierOptions, Plan, rfc3339};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::client::Client;
use crate::engine::Engine;
use crate::process::{Process, free_address, installed, peer, wait_for_listener};
use crate::wait::wait_until;

const RECEIVERS: [&str; 5] = ["default", "pager", "shop", "us", "ops"];

/// Groups wait 1 s, are told what is new each 2 s, and what is not each 5 s.
fn configuration(listener: SocketAddr) -> String {
    let receiver = |name: &str| {
        let resolved = if name == "us" { ", send_resolved: false" } else { "" };
        format!("- {{ name: {name}, webhook_configs: [{{ url: 'http://{listener}/theirs/{name}'{resolved} }}] }}\n")
    };
    let receivers: String = RECEIVERS.iter().map(|name| receiver(name)).collect();
    format!(
        "
route:
  receiver: default
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 5s
  routes:
  - matchers: [ severity=\"page\" ]
    receiver: pager
    group_by: [ alertname, region ]
    continue: true
  - matchers: [ 'alertname=~\"Slow|Errors\"' ]
    receiver: shop
    routes:
    - {{ matchers: [ region=\"us\" ], receiver: us, group_by: [ region ] }}
  - {{ matchers: [ team=\"ops\" ], receiver: ops, group_by: [ '...' ] }}
inhibit_rules:
- source_matchers: [ alertname=\"Outage\" ]
  target_matchers: [ alertname=\"Errors\" ]
  equal: [ region ]
receivers:
{receivers}"
    )
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Told {
    path: String,
    /// The same on every attempt.
    id: String,
    /// Whether it was answered with 200.
    is_taken: bool,
    body: Value,
}

/// Takes webhooks, or refuses them for now, and keeps them.
struct Listener {
    address: SocketAddr,
    takes: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Listener {
    fn start() -> Listener {
        let listening = TcpListener::bind(free_address()).expect("a free port");
        let address = listening.local_addr().expect("it is bound");
        let (takes, told) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<Told>>>::default());
        let (asked, kept) = (takes.clone(), told.clone());
        std::thread::spawn(move || {
            for stream in listening.incoming().flatten() {
                let (asked, kept) = (asked.clone(), kept.clone());
                std::thread::spawn(move || attend(&stream, &asked, &kept));
            }
        });
        Listener { address, takes, told }
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    fn to(&self, side: &str, receiver: &str) -> Vec<Value> {
        let path = format!("/{side}/{receiver}");
        self.told().into_iter().filter(|told| told.path == path).map(|told| told.body).collect()
    }
}

fn attend(stream: &TcpStream, takes: &AtomicBool, told: &Mutex<Vec<Told>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut id) = (String::new(), 0, String::new());
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if let Some(value) = lower.strip_prefix("idempotency-key:") {
                value.trim().clone_into(&mut id);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let path = first.split(' ').nth(1).expect("a request has a path").to_owned();
        let content = serde_json::from_slice(&body).expect("a webhook is JSON");
        let is_taken = takes.load(Ordering::SeqCst);
        told.lock().push(Told { path, id, is_taken, body: content });
        let status = if is_taken { 200 } else { 503 };
        let mut writer: &TcpStream = stream;
        if writer.write_all(format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Both, told the same at the same time.
struct Beside {
    alertmanager: Client,
    _process: Process,
    notifier: Arc<Notifier>,
    /// What is silenced in ours.
    silenced: Arc<Mutex<BTreeSet<String>>>,
    clock: Clock,
    /// Since when each alert fires.
    firing: BTreeMap<String, i64>,
}

impl Beside {
    fn start(folder: &Path, runtime: &Runtime, listener: &Listener) -> (Beside, watch::Sender<bool>) {
        let text = configuration(listener.address);
        let file = folder.join("alertmanager.yml");
        std::fs::write(&file, &text).expect("the file can be written");
        let address = free_address();
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.join("theirs").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
            "--web.external-url=http://shop.example".to_owned(),
        ];
        let mut process = start_alertmanager(&arguments, folder);
        wait_for_listener(&mut process, address);
        let mut alertmanager = Client::new(address);
        wait_until("alertmanager is ready", || alertmanager.get("/-/ready").is_ok_and(|answer| answer.status == 200));

        let (clock, silenced) = (Clock::system(), Arc::new(Mutex::new(BTreeSet::new())));
        let (stop, stopped) = watch::channel(false);
        let notifier = open(folder, &text, &clock, silenced.clone());
        runtime.spawn(Arc::clone(&notifier).run(stopped));
        let firing = BTreeMap::new();
        (Beside { alertmanager, _process: process, notifier, silenced, clock, firing }, stop)
    }

    /// These alerts begin or end now; each is `name/region`.
    fn report(&mut self, begin: &[&str], end: &[&str]) {
        let now_ms = self.clock.now_ms();
        let mut alerts = Vec::new();
        for one in begin {
            self.firing.insert((*one).to_owned(), now_ms);
            alerts.push(alert(one, now_ms, None));
        }
        for one in end {
            let starts_at_ms = self.firing.remove(*one).expect("what ends has begun");
            alerts.push(alert(one, starts_at_ms, Some(now_ms)));
        }
        let theirs: Vec<Value> = alerts.iter().map(in_their_words).collect();
        let body = serde_json::to_vec(&theirs).expect("values are JSON");
        let headers = [("Content-Type", "application/json")];
        let answer = self.alertmanager.post("/api/v2/alerts", &headers, &body).expect("alertmanager answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.notifier.enqueue_all(&alerts).expect("the disk takes it");
    }

    /// Silences an alert by its name, for two seconds and more.
    fn silence(&mut self, name: &str, ends_in: Duration) {
        let now_ms = self.clock.now_ms();
        let ends_at_ms = now_ms + ends_in.as_millis() as i64;
        let matcher = json!({ "name": "alertname", "value": name, "isRegex": false, "isEqual": true });
        let silence = json!({
            "matchers": [matcher], "startsAt": rfc3339(now_ms), "endsAt": rfc3339(ends_at_ms),
            "createdBy": "the test", "comment": "quiet",
        });
        let body = serde_json::to_vec(&silence).expect("a value is JSON");
        let headers = [("Content-Type", "application/json")];
        let answer = self.alertmanager.post("/api/v2/silences", &headers, &body).expect("alertmanager answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.silenced.lock().insert(name.to_owned());
    }
}

/// Debian's reads its templates from where its package puts them. It is unpacked beside the system here, so that place
/// is its own in a namespace of this process.
fn start_alertmanager(arguments: &[String], folder: &Path) -> Process {
    let program = peer("prometheus-alertmanager");
    let shared = program.with_file_name("../share/prometheus");
    let script = "mount --bind \"$0\" /usr/share/prometheus && exec \"$@\"";
    let words = ["-rm", "sh", "-c", script].map(str::to_owned);
    let places = [&shared, &program].map(|path| path.display().to_string());
    let all: Vec<String> = words.into_iter().chain(places).chain(arguments.iter().cloned()).collect();
    Process::start("alertmanager", &installed("unshare", "util-linux"), &all, folder)
}

fn open(folder: &Path, configuration: &str, clock: &Clock, silenced: Arc<Mutex<BTreeSet<String>>>) -> Arc<Notifier> {
    let ours = configuration.replace("/theirs/", "/ours/");
    let routing = load("alertmanager.yml", &ours).expect("it is read as Alertmanager reads it");
    let mut plan = Plan::default();
    routing.receivers().iter().for_each(|receiver| plan.add_receiver(receiver));
    plan.routing = Some(Arc::new(routing));
    let is_silenced = move |labels: &Labels, _now_ms: i64| {
        let name = labels.get("alertname").filter(|name| silenced.lock().contains(*name))?;
        Some(dozor::notify::SilencedBy { id: name.to_owned(), ..dozor::notify::SilencedBy::default() })
    };
    let options = NotifierOptions {
        silencer: Arc::new(is_silenced),
        ..NotifierOptions::new(plan, "http://shop.example".to_owned())
    };
    Notifier::open(Arc::new(RealDisk), &folder.join("ours"), clock.clone(), options).expect("it opens").0
}

fn alert(one: &str, starts_at_ms: i64, ends_at_ms: Option<i64>) -> Alert {
    let (name, region) = one.split_once('/').expect("name and region");
    let mut labels = vec![("alertname", name), ("region", region)];
    match name {
        "Slow" | "Outage" => labels.push(("severity", "page")),
        "Disk" => labels.push(("team", "ops")),
        _ => {}
    }
    Alert {
        labels: Labels::from_pairs(labels).expect("labels"),
        annotations: vec![("summary".to_owned(), format!("{name} is in trouble"))],
        starts_at_ms,
        ends_at_ms,
        generator_url: "http://shop.example/graph".to_owned(),
    }
}

fn in_their_words(alert: &Alert) -> Value {
    let mut theirs = json!({
        "labels": alert.labels.iter().collect::<BTreeMap<_, _>>(),
        "annotations": alert.annotations.iter().cloned().collect::<BTreeMap<_, _>>(),
        "startsAt": rfc3339(alert.starts_at_ms), "generatorURL": alert.generator_url,
    });
    if let Some(ends_at_ms) = alert.ends_at_ms {
        theirs["endsAt"] = json!(rfc3339(ends_at_ms));
    }
    theirs
}

/// A webhook without what may differ: how times are written, which hash names an alert, and what either says besides.
fn comparable(body: &Value) -> Value {
    let mut body = body.clone();
    for besides in ["dozor", "notification_reason"] {
        body.as_object_mut().expect("a webhook is an object").remove(besides);
    }
    for alert in body["alerts"].as_array_mut().expect("a webhook has alerts") {
        for time in ["startsAt", "endsAt"] {
            let text = alert[time].as_str().expect("a time").to_owned();
            alert[time] = json!(text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.'));
        }
        alert["fingerprint"].take();
    }
    body
}

/// By group, in the order of each: which group's message comes first is chance in both.
fn by_group(told: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for body in told.iter().map(comparable) {
        groups.entry(body["groupKey"].to_string()).or_default().push(body);
    }
    groups
}

fn summary(bodies: &[Value]) -> Vec<String> {
    let one = |alert: &Value| {
        format!("{}/{} {}", alert["labels"]["alertname"], alert["labels"]["region"], alert["status"]).replace('"', "")
    };
    bodies
        .iter()
        .map(|body| body["alerts"].as_array().expect("alerts").iter().map(one).collect::<Vec<_>>().join(", "))
        .collect()
}

#[test]
fn the_same_alerts_and_configuration_give_what_alertmanager_gives() {
    let (folder, listener) = (TempDir::new().expect("a folder"), Listener::start());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (mut both, stop) = Beside::start(folder.path(), &runtime, &listener);
    let begin = both.clock.monotonic();
    // Groups that begin at 0 are flushed at 1 s, 3 s, 5 s and so on.
    let at = |seconds: u64, clock: &Clock| {
        std::thread::sleep((begin + Duration::from_secs(seconds)).saturating_sub(clock.monotonic()));
    };
    let clock = both.clock.clone();
    both.report(&["Slow/eu", "Slow/us", "Disk/eu", "Outage/eu", "Errors/eu", "Errors/us", "Other/eu"], &[]);
    at(2, &clock);
    both.report(&["Slow/asia"], &["Slow/eu"]);
    at(4, &clock);
    both.silence("Disk", Duration::from_secs(4));
    both.report(&[], &["Outage/eu"]);
    at(8, &clock);
    both.silenced.lock().clear();
    both.report(&[], &["Slow/us", "Slow/asia", "Other/eu"]);
    at(10, &clock);
    both.report(&["Slow/eu", "Disk/us"], &[]);
    at(14, &clock);
    both.report(&[], &["Slow/eu", "Disk/us", "Disk/eu", "Errors/eu", "Errors/us"]);
    at(18, &clock);
    let _ = stop.send(true);

    let mut message_count = 0;
    for receiver in RECEIVERS {
        let (theirs, ours) = (by_group(&listener.to("theirs", receiver)), by_group(&listener.to("ours", receiver)));
        assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "groups of {receiver}");
        for (group, theirs) in &theirs {
            let ours = &ours[group];
            assert_eq!(summary(theirs), summary(ours), "what {receiver} was told of {group}");
            assert_eq!(theirs, ours, "what {receiver} was told of {group}");
            message_count += theirs.len();
        }
    }
    // Eight groups, of which each was told of a beginning at least; most of an end and of a repetition too.
    assert!(message_count >= 20, "only {message_count} messages");
}

const KILLED_RULES: &str = "
groups:
- { name: troubles, interval: 200ms, rules: [{ alert: Trouble, expr: trouble > 0 }] }
";

fn killed_configuration(listener: SocketAddr) -> String {
    format!(
        "
route: {{ receiver: pager, group_by: [region], group_wait: 300ms, group_interval: 700ms, repeat_interval: 1h }}
receivers: [{{ name: pager, webhook_configs: [{{ url: 'http://{listener}/ours/pager' }}] }}]
"
    )
}

/// Which parts of which region are in trouble.
type Troubles = BTreeMap<(usize, usize), bool>;

fn push(engine: &Engine, troubles: &Troubles) {
    let line = |((region, part), is_bad): (&(usize, usize), &bool)| {
        format!("trouble{{region=\"r{region}\",part=\"p{part}\"}} {}\n", u8::from(*is_bad))
    };
    let text: String = troubles.iter().map(line).collect();
    let answer = engine.client().post("/api/v1/import/prometheus", &[], text.as_bytes()).expect("dozor answers");
    assert!(answer.status < 300, "{}", answer.text());
}

/// What the pager takes to be in trouble, by the messages that it took, each once.
fn known(told: &[Told]) -> BTreeSet<(String, String)> {
    let (mut ids, mut known) = (BTreeSet::new(), BTreeSet::new());
    for told in told.iter().filter(|told| told.is_taken && ids.insert(told.id.clone())) {
        for alert in told.body["alerts"].as_array().expect("alerts") {
            let text = |name: &str| alert["labels"][name].as_str().expect("a label").to_owned();
            let one = (text("region"), text("part"));
            if alert["status"] == "firing" {
                known.insert(one)
            } else {
                known.remove(&one)
            };
        }
    }
    known
}

#[test]
fn a_server_that_is_killed_tells_its_groups_once_and_loses_none() {
    killed_while_it_tells_groups(20);
}

#[test]
#[ignore = "takes minutes; ask for it before a release"]
fn a_server_that_is_killed_a_hundred_times_tells_its_groups_once_and_loses_none() {
    killed_while_it_tells_groups(100);
}

/// Killed again and again at moments that follow from nothing the server does, while the pager is up and down.
fn killed_while_it_tells_groups(kills: u64) {
    let (folder, listener) = (TempDir::new().expect("a folder"), Listener::start());
    let (rules, routing) = (folder.path().join("rules.yml"), folder.path().join("alertmanager.yml"));
    std::fs::write(&rules, KILLED_RULES).expect("the file can be written");
    std::fs::write(&routing, killed_configuration(listener.address)).expect("the file can be written");
    let arguments = [format!("--rules={}", rules.display()), format!("--routing-file={}", routing.display())];
    let mut engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    let mut troubles: Troubles = (0..3).flat_map(|region| (0..4).map(move |part| ((region, part), false))).collect();
    let mut state = 7u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for _ in 0..kills {
        listener.takes.store(below(3) > 0, Ordering::SeqCst);
        for _ in 0..=below(3) {
            let place = (below(3) as usize, below(4) as usize);
            let is_bad = troubles.get_mut(&place).expect("it is a place");
            *is_bad = !*is_bad;
        }
        push(&engine, &troubles);
        std::thread::sleep(Duration::from_millis(below(1_500)));
        engine.kill();
        engine.start_again();
    }
    listener.takes.store(true, Ordering::SeqCst);
    push(&engine, &troubles);
    let truth: BTreeSet<_> = troubles
        .iter()
        .filter(|trouble| *trouble.1)
        .map(|((region, part), _)| (format!("r{region}"), format!("p{part}")))
        .collect();
    wait_until("the pager knows the truth", || known(&listener.told()) == truth);
    // Nothing more is told: two intervals later it is still so, and no further message came.
    std::thread::sleep(Duration::from_millis(500));
    let told = listener.told();
    let count = check_what_was_told(&told);
    eprintln!("{kills} kills, {} requests, {count} messages: 0 lost, 0 under a second id", told.len());
    engine.stop();
}

/// Returns how many messages there were, however often each was sent.
fn check_what_was_told(told: &[Told]) -> usize {
    let mut bodies: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut last: BTreeMap<String, &Value> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for told in told {
        let before = bodies.insert(&told.id, &told.body);
        if let Some(before) = before {
            assert_eq!(before, &told.body, "under one id, another message");
            continue;
        }
        for alert in told.body["alerts"].as_array().expect("alerts") {
            let one = (alert["labels"].to_string(), alert["startsAt"].to_string());
            match alert["status"] == "resolved" {
                true => drop(ended.insert(one)),
                false => assert!(!ended.contains(&one), "firing after its end: {one:?}"),
            }
        }
        let before = last.insert(told.body["groupKey"].to_string(), &told.body);
        assert_ne!(before.map(|body| &body["alerts"]), Some(&told.body["alerts"]), "told again under another id");
    }
    assert!(bodies.len() >= 8, "only {} messages", bodies.len());
    bodies.len()
}
