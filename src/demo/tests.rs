use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::pager::{Delivery, Status};
use super::play::{BROKEN_REGION, Timeline, suggestions};
use super::screen::{WIDTH_MAX, compose, grouped, time_of_day};
use super::*;
use crate::model::Labels;

const START_MS: i64 = 1_700_000_000_000;
const SECRET: &str = "whsec_c2VjcmV0IG9mIGEgdGVzdA==";

/// The messages of remote write 1.0, derived apart from the encoder.
mod protocol {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }
}

/// What a request body says: labels, time, bits of the value.
fn decode(body: &[u8]) -> Vec<(Labels, i64, u64)> {
    let message = snap::raw::Decoder::new().decompress_vec(body).expect("a snappy block");
    let request = protocol::WriteRequest::decode(message.as_slice()).expect("a WriteRequest");
    let row = |series: protocol::TimeSeries| {
        assert_eq!(series.samples.len(), 1);
        assert!(series.labels.is_sorted_by_key(|label| label.name.clone()));
        let labels = Labels::from_pairs(series.labels.into_iter().map(|label| (label.name, label.value)));
        (labels.expect("valid labels"), series.samples[0].timestamp, series.samples[0].value.to_bits())
    };
    request.timeseries.into_iter().map(row).collect()
}

fn shop(node_count: usize) -> Shop {
    Shop::new(ShopOptions { node_count, ..ShopOptions::default() }).expect("valid options")
}

#[test]
fn encoded_requests_hold_what_the_shop_measured() {
    let mut encoder = RequestEncoder::new();
    let mut feed = Feed::new(shop(3), START_MS);
    feed.fill(&mut encoder, 1_000, START_MS + 30_000);
    let rows = decode(encoder.finish());

    let mut again = shop(3);
    let mut expected = Vec::new();
    for timestamp_ms in [START_MS, START_MS + 15_000, START_MS + 30_000] {
        for node in 0..3 {
            for (series, value) in again.scrape(node, timestamp_ms).into_iter().enumerate() {
                expected.push((again.labels(node, series), timestamp_ms, value.to_bits()));
            }
        }
    }
    assert_eq!(rows, expected);
}

#[test]
fn requests_cut_anywhere_give_the_same_samples() {
    let rows_of = |sample_count_max: usize| {
        let (mut feed, mut encoder, mut rows) = (Feed::new(shop(3), START_MS), RequestEncoder::new(), Vec::new());
        while feed.fill(&mut encoder, sample_count_max, START_MS + 60_000) > 0 {
            assert!(encoder.sample_count() <= sample_count_max);
            rows.extend(decode(encoder.finish()));
        }
        rows
    };
    let whole = rows_of(usize::MAX);
    assert_eq!(whole.len(), 5 * 3 * SERIES_PER_NODE);
    assert!(whole.is_sorted_by_key(|row| row.1));
    assert_eq!(rows_of(7), whole);
}

#[test]
fn encoder_writes_any_time_and_any_value() {
    let samples = [(0, 0.0), (-1, f64::NAN), (i64::MIN, -0.0), (i64::MAX, f64::from_bits(0x7ff0_0000_0000_0002))];
    let labels = Labels::from_pairs([("__name__", "long"), ("text", "é".repeat(100).as_str())]).unwrap();
    let mut label_bytes = Vec::new();
    encode_labels(&labels, &mut label_bytes);
    let mut encoder = RequestEncoder::new();
    for (timestamp_ms, value) in samples {
        encoder.push(&label_bytes, timestamp_ms, value);
    }
    let expected = samples.map(|(timestamp_ms, value)| (labels.clone(), timestamp_ms, value.to_bits()));
    assert_eq!(decode(encoder.finish()), expected);
    assert_eq!(decode(encoder.finish()), Vec::new());
}

/// Posts a webhook as an engine would, and returns the status of the answer.
async fn page(address: SocketAddr, secret: &str, body: &str) -> u16 {
    let key = BASE64.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key");
    mac.update(format!("id-1.1700000000.{body}").as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    let mut stream = TcpStream::connect(address).await.expect("the pager listens");
    let request = format!(
        "POST /webhook HTTP/1.1\r\nHost: pager\r\nConnection: close\r\nContent-Length: {}\r\nIdempotency-Key: id-1\r\n\
         webhook-id: id-1\r\nwebhook-timestamp: 1700000000\r\nwebhook-signature: v1,b2xkIGtleQ== v1,{signature}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("the pager reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the pager answers");
    answer[9..12].parse().expect("a status")
}

fn webhook(name: &str, region: &str, status: &str, start_ms: i64, end_ms: i64) -> String {
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("a time").to_string();
    serde_json::json!({
        "version": "4", "status": status, "receiver": "pager",
        "alerts": [{
            "status": status,
            "labels": { "alertname": name, "region": region, "severity": "critical" },
            "annotations": { "summary": format!("Something about {region}") },
            "startsAt": time(start_ms),
            "endsAt": if status == "firing" { "0001-01-01T00:00:00Z".to_owned() } else { time(end_ms) },
            "fingerprint": "00",
        }],
    })
    .to_string()
}

async fn next(pager: &mut Pager) -> Delivery {
    pager.deliveries.recv().await.expect("the pager runs")
}

#[tokio::test]
async fn pager_hands_on_a_signed_webhook() {
    let mut pager = Pager::start(SECRET).await.unwrap();
    let body = webhook("OrdersDropped", "eu", "resolved", START_MS, START_MS + 90_000);
    assert_eq!(page(pager.address, SECRET, &body).await, 200);
    let delivery = next(&mut pager).await;
    let alerts = delivery.content.unwrap();
    assert_eq!(delivery.idempotency_key, "id-1");
    assert_eq!(
        (alerts[0].status, alerts[0].start_ms, alerts[0].event_ms()),
        (Status::Resolved, START_MS, START_MS + 90_000)
    );
    assert_eq!(alerts[0].label("region"), "eu");
}

#[tokio::test]
async fn pager_refuses_a_strange_signature_and_a_strange_body() {
    let mut pager = Pager::start(SECRET).await.unwrap();
    let body = webhook("OrdersDropped", "eu", "firing", START_MS, 0);
    assert_eq!(page(pager.address, "whsec_YW5vdGhlciBrZXk=", &body).await, 401);
    assert!(next(&mut pager).await.content.is_err());
    assert_eq!(page(pager.address, SECRET, r#"{"alerts": 7}"#).await, 400);
    assert!(next(&mut pager).await.content.is_err());
}

/// An engine that knows one trick: it compares a scrape's orders and slow checkouts in `eu` with plain limits.
struct PretendEngine {
    pager: Option<SocketAddr>,
    /// Sums over the region's nodes at the scrape that is coming in, by metric and `le`.
    sums: BTreeMap<(i64, String), f64>,
    firing_since_ms: BTreeMap<&'static str, i64>,
    refusals_left: u32,
}

impl PretendEngine {
    fn is_busy(&mut self) -> bool {
        let busy = self.refusals_left > 0;
        self.refusals_left = self.refusals_left.saturating_sub(1);
        busy
    }

    /// Takes a request; returns the webhooks to send.
    fn write(&mut self, body: &[u8]) -> Vec<String> {
        let mut newest_ms = i64::MIN;
        for (labels, timestamp_ms, bits) in decode(body) {
            newest_ms = newest_ms.max(timestamp_ms);
            if labels.get("region") == Some(BROKEN_REGION) {
                let key = format!("{} {}", labels.metric_name().unwrap_or(""), labels.get("le").unwrap_or(""));
                *self.sums.entry((timestamp_ms, key)).or_default() += f64::from_bits(bits);
            }
        }
        let since = |key: &str| {
            let sum = |at_ms: i64| self.sums.get(&(at_ms, key.to_owned())).copied();
            sum(newest_ms).zip(sum(newest_ms - 60_000)).map(|(now, before)| now - before)
        };
        let (Some(orders), Some(all), Some(quick)) = (
            since("shop_orders_total "),
            since("shop_checkout_seconds_bucket +Inf"),
            since("shop_checkout_seconds_bucket 1"),
        ) else {
            return Vec::new();
        };
        let states = [("OrdersDropped", orders < 0.5 * all), ("CheckoutLatencyRise", quick < 0.7 * all)];
        states.into_iter().filter_map(|(name, bad)| self.turn(name, bad, newest_ms)).collect()
    }

    fn turn(&mut self, name: &'static str, bad: bool, now_ms: i64) -> Option<String> {
        match (bad, self.firing_since_ms.get(name).copied()) {
            (true, None) => {
                self.firing_since_ms.insert(name, now_ms);
                Some(webhook(name, BROKEN_REGION, "firing", now_ms, 0))
            }
            (false, Some(since_ms)) => {
                self.firing_since_ms.remove(name);
                Some(webhook(name, BROKEN_REGION, "resolved", since_ms, now_ms))
            }
            _ => None,
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    engine: Arc<Mutex<PretendEngine>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/api/v1/write");
    assert_eq!(request.headers()["content-encoding"], "snappy");
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    if engine.lock().is_busy() {
        let busy = Response::builder().status(503).header("Retry-After", "0").body(Full::default());
        return Ok(busy.expect("a response"));
    }
    let pager = engine.lock().pager;
    let webhooks = engine.lock().write(&body);
    for webhook in webhooks {
        if let Some(pager) = pager {
            assert_eq!(page(pager, SECRET, &webhook).await, 200);
        }
    }
    Ok(Response::builder().status(204).body(Full::default()).expect("a response"))
}

async fn start_pretend_engine(pager: Option<SocketAddr>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sums, firing_since_ms) = (BTreeMap::new(), BTreeMap::new());
    let engine = Arc::new(Mutex::new(PretendEngine { pager, sums, firing_since_ms, refusals_left: 3 }));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let engine = Arc::clone(&engine);
            let service = service_fn(move |request| answer(request, Arc::clone(&engine)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

async fn play_against(engine_pages: bool, time_max: Duration) -> (Ending, Verdict) {
    let (clock, screen) = (Clock::system(), Screen::of_process());
    let mut pager = Pager::start(SECRET).await.expect("a pager");
    let engine = start_pretend_engine(engine_pages.then_some(pager.address)).await;
    let mut play = Play::new(shop(6), engine, &mut pager.deliveries, &screen, &clock);
    (play.speed, play.once, play.deadline) = (50_000.0, true, time_max);
    play.run(pin!(pending())).await.expect("the engine takes everything")
}

#[tokio::test]
async fn play_ends_when_both_alerts_fired_and_resolved() {
    let (ending, verdict) = play_against(true, Duration::from_secs(60)).await;
    assert_eq!(ending, Ending::Reported);
    assert_eq!((verdict.is_complete(), verdict.missing()), (true, String::new()));
}

#[tokio::test]
async fn play_with_a_silent_pager_is_overdue_and_says_what_is_missing() {
    let (ending, verdict) = play_against(false, Duration::from_secs(3)).await;
    assert_eq!(ending, Ending::Overdue);
    assert_eq!(
        verdict.missing(),
        "OrdersDropped never fired in region eu; CheckoutLatencyRise never fired in region eu"
    );
}

#[test]
fn only_the_broken_region_after_the_onset_counts() {
    let alerts = |body: &str| -> Vec<pager::PagedAlert> {
        let whole: serde_json::Value = serde_json::from_str(body).unwrap();
        serde_json::from_value(whole["alerts"].clone()).unwrap()
    };
    let mut verdict = Verdict::new("eu", START_MS);
    let mut tell = |name: &str, region: &str, status: &str, start_ms: i64| {
        verdict.note(&alerts(&webhook(name, region, status, start_ms, start_ms + 60_000))[0]);
        verdict.missing()
    };
    let nothing = "OrdersDropped never fired in region eu; CheckoutLatencyRise never fired in region eu";
    assert_eq!(tell("OrdersDropped", "us", "firing", START_MS), nothing);
    assert_eq!(tell("OrdersDropped", "eu", "firing", START_MS - 1), nothing);
    assert_eq!(tell("OrdersDropped", "eu", "resolved", START_MS), nothing);
    tell("CheckoutLatencyRise", "eu", "firing", START_MS);
    tell("CheckoutLatencyRise", "eu", "resolved", START_MS);
    let missing = tell("OrdersDropped", "eu", "firing", START_MS);
    assert_eq!(missing, "OrdersDropped fired in region eu but did not resolve");
    assert_eq!(tell("OrdersDropped", "eu", "resolved", START_MS), "");
}

#[test]
fn lines_are_cut_to_the_width_and_plain_without_a_terminal() {
    let long = "ж".repeat(200);
    let plain = compose(&[(Tone::Bad, "▲ FIRING  "), (Tone::Plain, &long)], false);
    assert_eq!(plain.chars().count(), WIDTH_MAX);
    assert!(plain.ends_with("ж…") && !plain.contains('\x1b'));
    assert_eq!(compose(&[(Tone::Good, "ok")], true), "\x1b[32mok\x1b[0m");
    assert_eq!(compose(&[(Tone::Plain, "a \x1b[31mtrick\n")], false), "a  [31mtrick");
}

#[test]
fn suggested_commands_fit_the_width() {
    let engine = "127.127.127.127:65535".parse().unwrap();
    for line in suggestions(engine, Timeline::up_to(START_MS, 15_000)) {
        assert!(line.chars().count() <= WIDTH_MAX - 2, "{line}");
    }
}

#[test]
fn timeline_lies_on_the_grid_and_breaks_after_two_hours() {
    // 22:13:20 is 5 s past the grid of 15 s.
    let timeline = Timeline::up_to(START_MS, 15_000);
    assert_eq!(timeline.start_ms, START_MS - 5_000 - 9_000_000);
    assert_eq!((timeline.break_ms - timeline.start_ms, timeline.repair_ms - timeline.break_ms), (7_200_000, 360_000));
}

#[test]
fn numbers_and_times_read_well() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    assert_eq!(time_of_day(1_700_000_000_000), "22:13:20");
}

fn options(data_dir: &Path) -> DemoOptions {
    let data_dir = Some(data_dir.to_owned());
    DemoOptions { once: true, nodes: 3, seed: 1, speed: 900, listen: None, data_dir }
}

#[test]
fn folder_with_something_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "data").unwrap();
    let refusal = Stage::set_up(&options(folder.path()), &Clock::system()).err().unwrap();
    assert!(refusal.to_string().contains("is not empty"), "{refusal}");
}

#[test]
fn secret_of_the_pager_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set_up(&options(folder.path()), &Clock::system()).unwrap();
    assert_eq!(fs::metadata(&stage.secret_file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(stage);
    assert!(folder.path().join("webhook-secret").exists(), "a folder that was asked for is kept");
}

#[test]
fn temporary_folder_goes_with_the_demo() {
    let wanted = DemoOptions { data_dir: None, ..options(Path::new("")) };
    let stage = Stage::set_up(&wanted, &Clock::system()).unwrap();
    let folder = stage.folder.clone();
    assert!(folder.join("webhook-secret").exists());
    drop(stage);
    assert!(!folder.exists());
}
