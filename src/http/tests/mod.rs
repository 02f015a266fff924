//! The server over loopback, driven by sockets that say exactly what the test says.

mod admin;
mod alertmanager;
mod bulk;
mod calendar;
mod compress;
mod connections;
mod cors;
mod costs;
mod dead_letters;
mod federate;
mod incidents;
mod influx;
mod jobs;
mod language;
mod lifecycle;
mod limits;
mod prometheus;
mod push;
mod rules;
mod text;
mod write;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::config::WebhookConfig;
use crate::detect::{Detector, Direction, Explanation, Part, Point};
use crate::disk::{Disk, SimulatedDisk};
use crate::incident::{Escalation, IncidentOptions, Incidents};
use crate::ingest::{IngestLimits, PushSettings};
use crate::model::{Labels, Sample, TimeRange, compile_pattern};
use crate::notify::{FoldingOptions, NotifierOptions, Plan};
use crate::query::Limits;
use crate::rules::{
    ActiveAlert, AlertState, AnomalyReport, Evaluation, GroupReport, GroupState, Health, RuleError, RuleErrors,
    RuleGroup, RuleReport,
};
use crate::storage::{SnapshotOptions, StorageOptions};

/// Longest wait for anything: much more than it takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
/// What "now" is in tests.
const NOW_MS: i64 = 1_700_000_000_000;

/// Holds back whoever passes while it is closed.
#[derive(Default)]
pub(super) struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn close(&self) {
        *self.closed.lock() = true;
    }

    pub(super) fn open(&self) {
        *self.closed.lock() = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock();
        while *closed {
            let waited = self.changed.wait_for(&mut closed, PATIENCE);
            assert!(!waited.timed_out(), "nobody opens the gate");
        }
    }
}

/// Two rules in a group that are fed by the stream; a group of which one rule alerts and one has failed.
fn rules() -> RulesReport {
    let text = r#"
groups:
  - name: checkout
    rules:
      - {alert: OrderRateDrop, expr: "sum(rate(orders_total[1m]))", anomaly: {direction: drop}}
      - alert: SlowPage
        expr: page_seconds
        for: 1m
        keep_firing_for: 2500ms
        anomaly: {direction: rise}
        labels: {severity: critical}
        annotations: {summary: "{{ $value }} s"}
  - name: node
    interval: 15s
    limit: 3
    rules:
      - {record: "job:up:sum", expr: "sum by (job) (up)", labels: {team: shop}}
      - alert: Down
        expr: |
          up   # of any job
            == 0
        for: 5m
        labels: {severity: page, team: ops}
        annotations: {summary: "{{ $labels.job }}"}
"#;
    let (disk, path) = (SimulatedDisk::new(), PathBuf::from("/rules.yml"));
    disk.replace(&path, text.as_bytes()).expect("a simulated disk is written");
    let set = crate::rules::load(&disk, &[path]).expect("the rules are right");
    let report = |group: &Arc<RuleGroup>| Arc::new(GroupState::new(group.clone()).report(60_000));
    let mut groups: Vec<Arc<GroupReport>> = set.groups.iter().map(report).collect();
    let mut node = GroupReport::clone(&groups[1]);
    let last = Some(Evaluation { at_ms: 1_000_500, took: Duration::from_micros(145) });
    let labels = Labels::from_pairs([("alertname", "Down"), ("job", "shop")]).expect("labels");
    let alert = ActiveAlert {
        labels: Arc::new(labels),
        annotations: vec![("summary".to_owned(), "shop".to_owned())],
        state: AlertState::Firing,
        value: 1500.0,
        active_at_ms: 2_000,
        fired_at_ms: Some(3_000),
        keep_firing_since_ms: Some(4_000),
        resolved_at_ms: None,
    };
    (node.interval_ms, node.last) = (15_000, last);
    node.rules[0] = RuleReport { health: Health::Bad("broken".to_owned()), last, alerts: Vec::new() };
    node.rules[1] = RuleReport { health: Health::Good, last, alerts: vec![alert] };
    groups[1] = Arc::new(node);
    RulesReport { set: Arc::new(set), groups }
}

/// One alert.
/// Nobody is told of anything.
fn notifier() -> Arc<Notifier> {
    let options = NotifierOptions::new(Plan::default(), String::new());
    let disk = Arc::new(SimulatedDisk::new());
    Notifier::open(disk, Path::new("/data/outbox"), Clock::manual(NOW_MS), options).expect("an empty folder opens").0
}

fn firing() -> Vec<Alert> {
    let labels = Labels::from_pairs([("alertname", "OrderRateDrop"), ("region", "eu")]).expect("labels");
    let annotations = vec![("summary".to_owned(), "Orders \"fell\"".to_owned())];
    vec![Alert { labels, annotations, starts_at_ms: 1_500, ends_at_ms: None, generator_url: String::new() }]
}

/// An anomaly of which little is known, and one of which everything is, that has ended.
fn anomalies() -> Vec<AnomalyReport> {
    let explanation = Explanation {
        direction: Direction::Limit,
        detector: Detector::Limit,
        ..Explanation::of_drop(1_000, 1_500, f64::NAN)
    };
    let part = |region: &str, value, expected, share| {
        let labels = Labels::from_pairs([("region", region)]).expect("labels");
        Part { labels, value, expected, share }
    };
    let ended = Explanation {
        direction: Direction::Drop,
        detector: Detector::Season,
        value: 5.0,
        expected: Some(20.0),
        bounds: Some([16.5, 23.5]),
        evidence: Some([14.5, 12.9]),
        lost_events: Some(30.0),
        lost_money: Some(1_200.0),
        learned: Some(0.5),
        detectable_drop: Some(0.35),
        line: vec![Point { at_s: 15, value: 5.0, expected: 20.0 }, Point { at_s: 30, value: 4.5, expected: f32::NAN }],
        parts: vec![part("eu", Some(1.5), Some(15.0), 0.9), part("us", None, None, 0.1)],
        ..explanation.clone()
    };
    let [alert] = firing().try_into().expect("one alert");
    let over = Alert { ends_at_ms: Some(61_500), ..alert.clone() };
    let report =
        |alert, explanation| AnomalyReport { alert, expr: "sum(rate(orders_total[1m]))".to_owned(), explanation };
    vec![report(alert, explanation), report(over, ended)]
}

/// Settings with something in them that is nobody's business.
fn config() -> Config {
    let url = "https://user:pw@pager.example/hook/t0ken?key=1".to_owned();
    let webhook = WebhookConfig {
        name: "pager".to_owned(),
        url,
        secret_file: Some(PathBuf::from("/etc/key")),
        ..WebhookConfig::default()
    };
    let features = vec!["promql-delayed-name-removal".to_owned()];
    Config { webhooks: vec![webhook], features, ..Config::default() }
}

/// A journal in memory.
fn journal() -> QueryJournal {
    let opened = QueryJournal::open(&SimulatedDisk::new(), &PathBuf::from("/data/queries.active"), 4);
    opened.expect("an empty disk takes a file").0
}

fn no_incidents() -> Incidents {
    let options = IncidentOptions {
        retention_ms: 400 * 86_400_000,
        path: FoldingOptions::default().path,
        escalation: Escalation::default(),
    };
    let folder = PathBuf::from("/data/incidents");
    Incidents::open(Arc::new(SimulatedDisk::new()), &folder, Clock::manual(NOW_MS), options).expect("an empty folder").0
}

/// What a server serves, on an empty database.
fn services(
    admin_api: bool,
    ingest_limits: IngestLimits,
    view: Arc<dyn Fn() -> ReadView + Send + Sync>,
) -> Arc<Services> {
    let storage = storage();
    let snapshots = Snapshots::new(storage.clone(), SnapshotOptions::default()).expect("the disk can be read");
    let ingest = Arc::new(Ingest::new(storage.clone(), ingest_limits, Clock::manual(NOW_MS)));
    let push_settings = PushSettings {
        folder: PathBuf::from("/data/push_groups"),
        ttl_ms: 0,
        resample_interval_ms: 30_000,
        groups_max: 100,
        series_per_group_max: 100,
        bytes_max: 1 << 20,
    };
    let opened = Pushgateway::open(ingest.clone(), Arc::new(SimulatedDisk::new()), push_settings);
    Arc::new(Services {
        view,
        engine: Arc::new(Engine::new(Limits::default(), Clock::system())),
        ingest,
        pushgateway: opened.expect("an empty folder opens").0,
        storage,
        snapshots: Arc::new(snapshots),
        admin_api,
        web_origins: compile_pattern(r"https?://(\w+\.)?shop\.example").expect("a pattern"),
        registry: Arc::new(Registry::new()),
        ready: Arc::new(AtomicBool::new(true)),
        rules: Arc::new(rules),
        reload: Arc::new(|| {
            let fault = |line| RuleError {
                file: PathBuf::from("/rules.yml"),
                place: Some((line, 1)),
                line_text: "alert: A".to_owned(),
                what: format!("wrong in line {line}"),
                hint: None,
            };
            let errors = RuleErrors(vec![fault(3), fault(7)]);
            Err(format!("nothing is reloaded, the rules and settings from before stay in force:\n{errors}"))
        }),
        announcements: calendar::announcements(),
        anomalies: Arc::new(anomalies),
        silences: alertmanager::silences(),
        routing: Arc::new(|| Some(Arc::new(alertmanager::routing()))),
        push_alerts: Arc::new(alertmanager::push_alerts),
        firing: Arc::new(firing),
        take_beat: jobs::take_beat(),
        heartbeats: Arc::new(jobs::heartbeats),
        senders: Arc::new(jobs::senders),
        notifier: notifier(),
        incidents: Arc::new(no_incidents()),
        damage: Arc::new(damage),
        journal: Arc::new(journal()),
        config: Arc::new(config()),
        settings: Arc::new(|| Arc::new(config())),
        started_ms: NOW_MS - 1_000,
        clock: Clock::manual(NOW_MS),
    })
}

pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) services: Arc<Services>,
    entrance: Arc<Entrance>,
    /// Queries wait here while it is closed.
    pub(super) gate: Arc<Gate>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl TestServer {
    pub(super) async fn start() -> TestServer {
        TestServer::with_limits(HttpLimits::default()).await
    }

    pub(super) async fn with_limits(limits: HttpLimits) -> TestServer {
        let gate = Arc::new(Gate::default());
        let view_gate = gate.clone();
        let view = move || {
            view_gate.pass();
            ReadView::of_samples(samples())
        };
        TestServer::with_services(limits, IngestLimits::default(), gate, Arc::new(view)).await
    }

    pub(super) async fn with_services(
        limits: HttpLimits,
        ingest_limits: IngestLimits,
        gate: Arc<Gate>,
        view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    ) -> TestServer {
        TestServer::listening(true, true, limits, ingest_limits, gate, view).await
    }

    /// One that takes no orders.
    async fn without_admin() -> TestServer {
        TestServer::plain(false, true).await
    }

    /// One whose database is still being opened.
    async fn recovering() -> TestServer {
        TestServer::plain(true, false).await
    }

    async fn plain(admin_api: bool, is_open: bool) -> TestServer {
        let view = || ReadView::of_samples(samples());
        let (limits, ingest_limits) = (HttpLimits::default(), IngestLimits::default());
        TestServer::listening(admin_api, is_open, limits, ingest_limits, Arc::default(), Arc::new(view)).await
    }

    async fn listening(
        admin_api: bool,
        is_open: bool,
        limits: HttpLimits,
        ingest_limits: IngestLimits,
        gate: Arc<Gate>,
        view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    ) -> TestServer {
        let services = services(admin_api, ingest_limits, view);
        let listener = listen("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopping) = watch::channel(false);
        let recovery = || Recovery { segment_count: 9, segments_read: 3, sample_count: 1_200 };
        let entrance = Entrance::new(limits, services.registry.clone(), Clock::system(), recovery);
        if is_open {
            entrance.open(services.clone());
        }
        let served = tokio::spawn(serve(listener, entrance.clone(), stopping));
        TestServer { address, services, entrance, gate, stop, served }
    }

    pub(super) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.expect("the server listens"), received: Vec::new() }
    }

    /// A connection that has had an answer.
    pub(super) async fn speaking(&self) -> Client {
        let mut client = self.connect().await;
        client.write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 200);
        client
    }

    /// The answer to a GET of this address.
    pub(super) async fn get(&self, target: &str) -> Answered {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await
    }

    /// The answer to a form.
    pub(super) async fn post_form(&self, path: &str, form: &str) -> Answered {
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
        .await
    }

    /// The answer to these bytes on a connection of their own.
    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Answered {
        let mut client = self.connect().await;
        client.write(request.as_ref()).await;
        client.answer().await
    }

    /// The body of a GET that succeeds.
    pub(super) async fn body(&self, target: &str) -> String {
        let answered = self.get(target).await;
        assert_eq!(answered.status, 200, "{target}: {}", answered.body);
        answered.body
    }

    /// A number of our own metrics; not a number as long as the server has not registered it.
    pub(super) fn number(&self, series: &str) -> f64 {
        let text = self.services.registry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(f64::NAN, |value| value.parse().expect("it is a number"))
    }

    /// Waits until a number of our own metrics is this.
    pub(super) async fn until(&self, series: &str, expected: f64) {
        let reached = async {
            while self.number(series) != expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "{series} is {}, never {expected}", self.number(series));
    }

    /// Tells the server to stop.
    pub(super) fn stop(&self) {
        self.stop.send(true).expect("the server runs");
    }

    /// Waits until the server has returned.
    pub(super) async fn stopped(self) {
        tokio::time::timeout(PATIENCE, self.served).await.expect("it stops").expect("it does not panic");
    }
}

/// One connection.
pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) head: String,
    /// The body as text; what is none is shown as well as it can be.
    pub(super) body: String,
    /// The body as it came, put together where it came in pieces.
    pub(super) bytes: Vec<u8>,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Answered {
    /// Whether the client was told to come again after so many seconds, or up to four more.
    pub(super) fn comes_again_in(&self, seconds: u32) -> bool {
        let told = self.header("retry-after").and_then(|value| value.parse().ok());
        told.is_some_and(|told: u32| (seconds..seconds + 5).contains(&told))
    }
}

impl Client {
    /// Sends bytes. Also says whether the server let us: that it does not is for many tests the right answer.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await;
        written.is_ok_and(|result| result.is_ok())
    }

    /// Reads one answer.
    pub(super) async fn answer(&mut self) -> Answered {
        self.try_answer(true).await.expect("the server answers before it closes")
    }

    /// Reads the answer to a HEAD: its length is announced, its body absent.
    pub(super) async fn answer_without_body(&mut self) -> Answered {
        self.try_answer(false).await.expect("the server answers before it closes")
    }

    async fn try_answer(&mut self, has_body: bool) -> Option<Answered> {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.receive().await {
                return None;
            }
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a head has a status");
        let mut answered = Answered { status, head, body: String::new(), bytes: Vec::new() };
        if has_body && answered.header("transfer-encoding") == Some("chunked") {
            answered.bytes = self.pieces().await;
            answered.body = String::from_utf8_lossy(&answered.bytes).into_owned();
            return Some(answered);
        }
        let length: usize = answered.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        let length = if has_body { length } else { 0 };
        while self.received.len() < length {
            assert!(self.receive().await, "the body breaks off");
        }
        answered.bytes = self.received.drain(..length).collect();
        answered.body = String::from_utf8_lossy(&answered.bytes).into_owned();
        Some(answered)
    }

    /// The body of an answer that comes in pieces, each behind its length.
    async fn pieces(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                assert!(self.receive().await, "the body breaks off");
            };
            let line = String::from_utf8_lossy(&self.received[..line_end]).into_owned();
            let length = usize::from_str_radix(&line, 16).expect("a length in hex");
            while self.received.len() < line_end + 2 + length + 2 {
                assert!(self.receive().await, "the body breaks off");
            }
            body.extend_from_slice(&self.received[line_end + 2..line_end + 2 + length]);
            self.received.drain(..line_end + 2 + length + 2);
            if length == 0 {
                return body;
            }
        }
    }

    /// Whether more came before the server closed.
    async fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the server acts");
        let count = read.unwrap_or(0);
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Whether the server closes without another word.
    pub(super) async fn closes(&mut self) -> bool {
        self.received.is_empty() && !self.receive().await
    }
}

fn damage() -> Vec<MetDamage> {
    vec![MetDamage {
        file: PathBuf::from("/data/blocks/1.block"),
        offset: Some(64),
        what: "a \"quoted\" cause".to_owned(),
        series: Some(Arc::new(labels(&[("__name__", "up")]))),
        range: Some(TimeRange { from_ms: 1_500, to_ms: 2_000 }),
        first_met_ms: 3_000,
        met_count: 2,
    }]
}

/// An empty database in memory.
fn storage() -> Arc<Storage> {
    let options = StorageOptions::of_tests(1);
    let disk = Arc::new(SimulatedDisk::new());
    let opened = Storage::open(options, disk, Clock::manual(NOW_MS), Arc::new(|_| false));
    opened.expect("an empty disk has no damage").0
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("the labels are right")
}

/// Two series of `up` and one with a name that needs escapes, around 1,000 s.
fn samples() -> Vec<(Labels, Vec<Sample>)> {
    let at = |timestamp_ms, value| Sample { timestamp_ms, value };
    vec![
        (labels(&[("__name__", "up"), ("job", "a")]), vec![at(1_000_000, 1.0), at(1_015_500, 0.0)]),
        (labels(&[("__name__", "up"), ("job", "b")]), vec![at(1_000_000, f64::INFINITY), at(1_015_500, 1.5)]),
        (labels(&[("__name__", "odd"), ("http.path", "a \"b\"\\\n")]), vec![at(1_000_000, 1e-7)]),
    ]
}
