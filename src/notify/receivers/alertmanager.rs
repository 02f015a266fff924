//! An Alertmanager that is told of everything that fires, as Prometheus tells one.
//!
//! ```text
//! 12:00:00   the alert begins        POST /api/v2/alerts   endsAt 12:04:00
//! 12:01:00   it lasts                POST                  endsAt 12:05:00
//! 12:01:30   it ended                POST                  endsAt 12:01:30, and again each minute until 12:16:30
//! ```
//!
//! `endsAt` lies ahead while it fires, so that the Alertmanager itself ends what nobody speaks of any more: if this
//! server dies, or the way between them.
//!
//! Always true: what an Alertmanager did not take is sent again within seconds; one that is away costs nothing but
//! that.
//!
//! Deliberately absent: the outbox. All that fires is said again every minute, so there is nothing to remember.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use tokio::sync::watch;

use super::client::{Request, Sender};
use super::options::HttpOptions;
use crate::clock::Clock;
use crate::notify::address::check_url;
use crate::notify::answer::Answer;
use crate::notify::{Alert, NotifyError, rfc3339};

/// How often is looked for what is new.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the same is said, in ms.
const RESEND_INTERVAL_MS: i64 = 60_000;
/// How far ahead the end of what fires lies: what Prometheus takes, four times the pause between two words.
const ENDS_AHEAD_MS: i64 = 4 * RESEND_INTERVAL_MS;
/// How long the end of an alert is repeated, in ms.
const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;
/// How many alerts are remembered; beyond that, ends are not told: what is told no more ends there by itself.
const TOLD_COUNT_MAX: usize = 200_000;
/// The pause after a failure, in ms.
const RETRY_INTERVAL_MS: i64 = 5_000;
/// Most alerts of one request.
const BATCH_ALERTS_MAX: usize = 256;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// One Alertmanager, and what it was told.
pub struct AlertmanagerPeer {
    /// Without what may be secret.
    shown: String,
    url: Url,
    sender: Sender,
    clock: Clock,
    told: HashMap<u64, Told>,
    /// Not asked again before.
    pause_until_ms: i64,
}

/// What one alert came to.
#[derive(Debug)]
struct Told {
    alert: Alert,
    /// When it was taken last; the beginning of time for never.
    sent_at_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
}

impl AlertmanagerPeer {
    /// `url` is where its pages are. Makes no connection.
    pub fn new(url: &str, clock: Clock) -> Result<AlertmanagerPeer, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: "alertmanagers".to_owned(), what };
        let whole = format!("{}/api/v2/alerts", url.trim_end_matches('/'));
        let url = check_url(&whole).map_err(|what| refuse(format!("its URL cannot be used: {what}")))?;
        let shown =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        let sender = Sender::new(&url, &HttpOptions::default(), clock.clone(), ATTEMPT_TIMEOUT).map_err(refuse)?;
        Ok(AlertmanagerPeer { shown, url, sender, clock, told: HashMap::new(), pause_until_ms: i64::MIN })
    }

    /// Where it is, without what may be secret.
    pub fn shown_address(&self) -> &str {
        &self.shown
    }

    /// Tells it what fires, again and again, until `shutdown` turns true or its sender is gone. `firing` gives what
    /// fires now and must not wait.
    pub async fn run(mut self, firing: impl Fn() -> Vec<Alert> + Send, mut shutdown: watch::Receiver<bool>) {
        loop {
            self.look(firing()).await;
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Notes what is new and says what is due.
    pub(super) async fn look(&mut self, firing: Vec<Alert>) {
        let now_ms = self.clock.now_ms();
        self.note(firing, now_ms);
        if now_ms < self.pause_until_ms {
            return;
        }
        let mut due: Vec<u64> =
            self.told.iter().filter(|(_, told)| told.is_due(now_ms)).map(|(fingerprint, _)| *fingerprint).collect();
        due.sort_unstable();
        for batch in due.chunks(BATCH_ALERTS_MAX) {
            let body = self.body(batch, now_ms);
            let request = Request { url: self.url.clone(), headers: Vec::new(), body };
            let answer = match self.sender.send(&request).await {
                Ok(reply) => reply.verdict(),
                Err(unsent) => unsent.into(),
            };
            match answer {
                Answer::Delivered { .. } => {}
                Answer::Refused { reason } => tracing::error!(alertmanager = self.shown, reason, "refused"),
                Answer::Retry { reason, .. } => {
                    tracing::warn!(alertmanager = self.shown, reason, "not told; tried again");
                    self.pause_until_ms = now_ms.saturating_add(RETRY_INTERVAL_MS);
                    return;
                }
            }
            for fingerprint in batch {
                if let Some(told) = self.told.get_mut(fingerprint) {
                    told.sent_at_ms = now_ms;
                }
            }
        }
    }

    /// What fires no more has ended now, and is forgotten after a while.
    fn note(&mut self, firing: Vec<Alert>, now_ms: i64) {
        let mut fire: HashMap<u64, Alert> = firing.into_iter().map(|alert| (alert.fingerprint(), alert)).collect();
        for (fingerprint, told) in &mut self.told {
            match fire.remove(fingerprint) {
                Some(alert) if told.alert.starts_at_ms == alert.starts_at_ms && told.alert.ends_at_ms.is_none() => {
                    told.alert = alert;
                }
                Some(alert) => *told = Told { alert, sent_at_ms: i64::MIN },
                None if told.alert.ends_at_ms.is_none() => {
                    told.alert.ends_at_ms = Some(now_ms.max(told.alert.starts_at_ms));
                    told.sent_at_ms = i64::MIN;
                }
                None => {}
            }
        }
        self.told
            .extend(fire.into_iter().map(|(fingerprint, alert)| (fingerprint, Told { alert, sent_at_ms: i64::MIN })));
        let is_remembered = |end: i64| now_ms.saturating_sub(end) <= RESOLVED_RETENTION_MS;
        let has_room = self.told.len() <= TOLD_COUNT_MAX;
        self.told.retain(|_, told| told.alert.ends_at_ms.is_none_or(|end| has_room && is_remembered(end)));
    }

    fn body(&self, batch: &[u64], now_ms: i64) -> Vec<u8> {
        let alerts = batch.iter().filter_map(|fingerprint| self.told.get(fingerprint));
        let posted: Vec<Posted<'_>> = alerts.map(|told| posted(&told.alert, now_ms)).collect();
        serde_json::to_vec(&posted).expect("maps with string keys and strings are always JSON")
    }
}

impl fmt::Debug for AlertmanagerPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertmanagerPeer({})", self.shown)
    }
}

impl Told {
    fn is_due(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.sent_at_ms) >= RESEND_INTERVAL_MS
    }
}

fn posted(alert: &Alert, now_ms: i64) -> Posted<'_> {
    Posted {
        labels: alert.labels.iter().collect(),
        annotations: alert.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
        starts_at: rfc3339(alert.starts_at_ms),
        ends_at: rfc3339(alert.ends_at_ms.unwrap_or(now_ms.saturating_add(ENDS_AHEAD_MS))),
        generator_url: &alert.generator_url,
    }
}
