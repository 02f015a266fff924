//! The play: two hours of a good shop, six minutes of a broken one, repair, and then real time.
//!
//! ```text
//! now − 2:30            now − 0:30   now − 0:24               now
//! │ history, fast       │ broken,    │ repaired, slow until   │ live: one scrape
//! │                     │ slow       │ resolved, then fast    │ each interval
//! ```
//!
//! Everything is told in event time, the time that the samples carry; only "live" waits for the wall clock.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::client::{Answer, ClientError, Connection, Content};
use super::feed::Feed;
use super::pager::{Delivery, PagedAlert, Status};
use super::remote_write::RequestEncoder;
use super::screen::{Screen, Tone, grouped, time_of_day};
use super::shop::{Fault, Shop};
use super::verdict::{ALERTS, Verdict};
use crate::clock::Clock;

/// The region that breaks.
pub(super) const BROKEN_REGION: &str = "eu";
/// Most samples in one request.
const REQUEST_SAMPLES_MAX: usize = 2_000;
/// Attempts for one request before the play is called off.
const ATTEMPTS_COUNT_MAX: u32 = 50;
/// Pause after a refusal that names none.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How much slower the interesting part is played.
const SLOWER: f64 = 8.0;
/// Labels that are not shown: the name is, and pages are routed by the others.
const UNSHOWN_LABELS: [&str; 4] = ["alertname", "area", "service", "step"];
const MINUTE_MS: i64 = 60_000;
/// Event time between two lines of progress.
const PROGRESS_MS: i64 = 30 * MINUTE_MS;

/// When what happens, in event time, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) start_ms: i64,
    pub(super) break_ms: i64,
    pub(super) repair_ms: i64,
}

/// How a play ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything that was to be reported was, and nobody wants to see more.
    Reported,
    /// The time given to it ran out.
    Overdue,
    /// Somebody pressed Ctrl-C.
    Stopped,
}

/// Everything that the play needs.
pub(super) struct Play<'a> {
    pub(super) screen: &'a Screen,
    pub(super) clock: &'a Clock,
    pub(super) feed: Feed,
    pub(super) timeline: Timeline,
    pub(super) scrape_interval_ms: i64,
    /// Event seconds in each second of history.
    pub(super) speed: f64,
    /// Whether to end when everything is reported.
    pub(super) once: bool,
    /// When to give up, on the clock's monotonic time.
    pub(super) deadline: Duration,
    connection: Connection,
    encoder: RequestEncoder,
    deliveries: &'a mut mpsc::Receiver<Delivery>,
    verdict: Verdict,
    engine: SocketAddr,
    samples_count: u64,
    announced_ms: i64,
    live: bool,
    reported: bool,
    due: Duration,
}

/// Completes when somebody wants the play to stop.
pub(super) type Stop<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl Timeline {
    /// Two and a half hours up to `now_ms`, on the grid of the scrapes.
    pub(super) fn up_to(now_ms: i64, scrape_interval_ms: i64) -> Timeline {
        let start_ms = now_ms - 150 * MINUTE_MS;
        let start_ms = start_ms - start_ms.rem_euclid(scrape_interval_ms);
        let break_ms = start_ms + 120 * MINUTE_MS;
        Timeline { start_ms, break_ms, repair_ms: break_ms + 6 * MINUTE_MS }
    }
}

impl<'a> Play<'a> {
    /// Sets the scene: the fault is already written into the shop's future.
    pub(super) fn new(
        mut shop: Shop,
        engine: SocketAddr,
        deliveries: &'a mut mpsc::Receiver<Delivery>,
        screen: &'a Screen,
        clock: &'a Clock,
    ) -> Play<'a> {
        let scrape_interval_ms = shop.scrape_interval_ms();
        let timeline = Timeline::up_to(clock.now_ms(), scrape_interval_ms);
        let fault = Fault::PaymentTimeout { region: BROKEN_REGION.to_owned() };
        shop.begin_fault(fault.clone(), timeline.break_ms);
        shop.end_fault(&fault, timeline.repair_ms);
        Play {
            screen,
            clock,
            feed: Feed::new(shop, timeline.start_ms),
            timeline,
            scrape_interval_ms,
            speed: 900.0,
            once: false,
            deadline: Duration::MAX,
            connection: Connection::new(engine),
            encoder: RequestEncoder::new(),
            deliveries,
            verdict: Verdict::new(BROKEN_REGION, timeline.break_ms),
            engine,
            samples_count: 0,
            announced_ms: i64::MIN,
            live: false,
            reported: false,
            due: clock.monotonic(),
        }
    }

    /// Plays to the end. Fails if the engine refuses the samples or cannot be reached.
    pub(super) async fn run(mut self, mut stop: Stop<'_>) -> anyhow::Result<(Ending, Verdict)> {
        loop {
            let instant_ms = self.feed.next_ms();
            self.announce(instant_ms);
            let time_left = self.deadline.saturating_sub(self.clock.monotonic());
            tokio::select! {
                biased;
                () = &mut stop => return Ok((Ending::Stopped, self.verdict)),
                sent = self.send_scrape(instant_ms) => sent?,
                () = tokio::time::sleep(time_left) => return Ok((Ending::Overdue, self.verdict)),
            }
            self.due = self.clock.monotonic() + self.pause(instant_ms);
            if let Some(ending) = self.listen(&mut stop).await {
                return Ok((ending, self.verdict));
            }
        }
    }

    /// Tells where in the story the next scrape lies, when that is news.
    fn announce(&mut self, instant_ms: i64) {
        let Timeline { start_ms, break_ms, repair_ms } = self.timeline;
        let crossed = |moment_ms: i64| self.announced_ms < moment_ms && moment_ms <= instant_ms;
        if crossed(start_ms) {
            let text = format!("two hours of a good shop, {:.0} times as fast as life (times are UTC)", self.speed);
            self.screen.event(instant_ms, Tone::Bold, "history", &text);
        } else if crossed(break_ms) {
            let text = format!("the payment provider times out in region {BROKEN_REGION}: the onset");
            self.screen.event(instant_ms, Tone::Bad, "BROKEN", &text);
        } else if crossed(repair_ms) {
            self.screen.event(instant_ms, Tone::Good, "repaired", "the payment provider answers again");
        } else if !self.live && (instant_ms - start_ms) % PROGRESS_MS < self.scrape_interval_ms {
            let text = format!("{} samples acknowledged", grouped(self.samples_count));
            self.screen.event(instant_ms, Tone::Faint, "", &text);
        }
        self.announced_ms = instant_ms;
    }

    fn go_live(&self, instant_ms: i64) {
        let seconds = self.scrape_interval_ms as f64 / 1000.0;
        let text = format!("the shop goes on in real time, one scrape in {seconds} s, until Ctrl-C");
        self.screen.event(instant_ms, Tone::Good, "live", &text);
        self.screen.line(Tone::Plain, "");
        self.screen.line(Tone::Bold, "try, in another terminal:");
        for text in suggestions(self.engine, self.timeline) {
            self.screen.line(Tone::Plain, &format!("  {text}"));
        }
        self.screen.line(Tone::Plain, "");
    }

    /// How long to wait after the scrape at `instant_ms`.
    fn pause(&mut self, instant_ms: i64) -> Duration {
        let next_ms = instant_ms + self.scrape_interval_ms;
        let until_next_ms = u64::try_from(next_ms - self.clock.now_ms()).unwrap_or(0);
        if until_next_ms > 0 {
            if !self.live {
                self.live = true;
                self.go_live(instant_ms);
            }
            return Duration::from_millis(until_next_ms);
        }
        let interesting = instant_ms >= self.timeline.break_ms && !self.reported;
        let speed = if interesting { (self.speed / SLOWER).max(1.0) } else { self.speed };
        Duration::from_secs_f64(self.scrape_interval_ms as f64 / 1000.0 / speed)
    }

    /// Shows what the pager gets until the next scrape is due.
    async fn listen(&mut self, stop: &mut Stop<'_>) -> Option<Ending> {
        loop {
            if self.once && self.reported {
                return Some(Ending::Reported);
            }
            let now = self.clock.monotonic();
            if now >= self.deadline {
                return Some(Ending::Overdue);
            }
            if now >= self.due {
                return None;
            }
            let wait = self.due.min(self.deadline).saturating_sub(now);
            tokio::select! {
                biased;
                () = &mut *stop => return Some(Ending::Stopped),
                Some(delivery) = self.deliveries.recv() => self.show(&delivery),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn show(&mut self, delivery: &Delivery) {
        let alerts = match &delivery.content {
            Ok(alerts) => alerts,
            Err(reason) => {
                let text = format!("the pager refused a webhook: {reason}");
                self.screen.event(self.feed.next_ms(), Tone::Bad, "refused", &text);
                return;
            }
        };
        for alert in alerts {
            self.verdict.note(alert);
            self.show_alert(alert, &delivery.idempotency_key);
        }
        if self.verdict.is_complete() && !self.reported {
            self.reported = true;
            self.screen.event(self.feed.next_ms(), Tone::Good, "reported", &self.verdict.summary(self.timeline));
        }
    }

    fn show_alert(&self, alert: &PagedAlert, idempotency_key: &str) {
        let Timeline { break_ms, repair_ms, .. } = self.timeline;
        let (tone, word, since) = match alert.status {
            Status::Firing => (Tone::Bad, "▲ FIRING", moment(alert.event_ms() - break_ms, "the onset")),
            Status::Resolved => (Tone::Good, "● RESOLVED", moment(alert.event_ms() - repair_ms, "the repair")),
        };
        let labels = alert.labels.iter().filter(|(name, _)| !UNSHOWN_LABELS.contains(&name.as_str()));
        let labels = labels.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<String>>().join(", ");
        let text = format!("{} {{{labels}}}", alert.label("alertname"));
        self.screen.event(alert.event_ms(), tone, word, &text);
        if let Some(summary) = alert.annotations.get("summary").or_else(|| alert.annotations.get("description")) {
            self.screen.detail(summary);
        }
        if let Some(parts) = alert.annotations.get("parts") {
            self.screen.detail(&format!("moved: {parts}"));
        }
        self.screen.detail(&format!(
            "{since} in event time · at the pager {} · signature ✓ · key {idempotency_key}",
            time_of_day(self.clock.now_ms())
        ));
    }

    async fn send_scrape(&mut self, instant_ms: i64) -> anyhow::Result<()> {
        while self.feed.fill(&mut self.encoder, REQUEST_SAMPLES_MAX, instant_ms) > 0 {
            let sample_count = self.encoder.sample_count() as u64;
            let body = Bytes::copy_from_slice(self.encoder.finish());
            self.send(body).await?;
            self.samples_count += sample_count;
        }
        Ok(())
    }

    /// Sends one request until it is acknowledged: 429 and 503 mean "later".
    async fn send(&mut self, body: Bytes) -> anyhow::Result<()> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_COUNT_MAX {
            let pause = match self.connection.post("/api/v1/write", Content::RemoteWrite, body.clone()).await {
                Ok(Answer { status: 200..=299, .. }) => return Ok(()),
                Ok(answer @ Answer { status: 429 | 503, .. }) => {
                    last = words(&answer);
                    answer.retry_after.unwrap_or(RETRY_PAUSE)
                }
                Ok(answer) => anyhow::bail!("the engine refused the shop's samples: {}", words(&answer)),
                Err(error @ (ClientError::Connect(..) | ClientError::Exchange(..))) => {
                    last = error.to_string();
                    RETRY_PAUSE
                }
                Err(error) => return Err(error.into()),
            };
            tokio::time::sleep(pause).await;
        }
        anyhow::bail!("the engine did not take a request in {ATTEMPTS_COUNT_MAX} attempts; the last one: {last}")
    }
}

fn words(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    format!("{} {}", answer.status, body.trim().chars().take(300).collect::<String>())
}

/// `42 s after the onset`.
fn moment(after_ms: i64, what: &str) -> String {
    let side = if after_ms < 0 { "before" } else { "after" };
    format!("{} s {side} {what}", after_ms.abs() / 1000)
}

/// Commands to look around with.
pub(super) fn suggestions(engine: SocketAddr, timeline: Timeline) -> Vec<String> {
    let (start_s, end_s) = ((timeline.break_ms - 10 * MINUTE_MS) / 1000, (timeline.repair_ms + 10 * MINUTE_MS) / 1000);
    vec![
        format!("api=http://{engine}/api/v1"),
        "curl -s $api/query --data-urlencode 'query=sum by (region)(rate(shop_orders_total[1m]))'".to_owned(),
        "latency='histogram_quantile(0.95, sum by (le, region)(rate(shop_checkout_seconds_bucket[1m])))'".to_owned(),
        "curl -s $api/query --data-urlencode \"query=$latency\"".to_owned(),
        format!("curl -s $api/query_range -d start={start_s} -d end={end_s} -d step=30 \\"),
        format!("     --data-urlencode 'query=sum(rate(shop_orders_total{{region=\"{BROKEN_REGION}\"}}[1m]))'"),
        format!("dozor explain {} --url http://{engine}", ALERTS[0]),
    ]
}

/// The names of the alerts that the play is about, for those who print them.
pub(super) fn alert_names() -> String {
    ALERTS.join(", ")
}
