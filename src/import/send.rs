//! One request after the other, each until it is acknowledged.
//!
//! ```text
//! 50,000 samples ─► 413 ─► 25,000 ─► 204   from then on requests of 25,000, and a little more each time
//!                          25,000 ─► 204
//! ```
//!
//! A batch that a server finds too large is halved until it takes it, a series by time if need be. What is sent of it counts
//! as stored only when all of it was answered, so an interruption in between sends some of it twice.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::ImportError;
use super::batch::{BATCH_SAMPLES_MAX, Batch, Refused, Run, count_of, encode, split_off};
use crate::clock::Clock;
use crate::config::without_login;
use crate::model::Labels;

const PATH: &str = "/api/v1/write";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Waits between attempts, where the server does not say.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Headers in which a server says how many samples it stored: numbers, and native histograms.
pub(super) const WRITTEN: &str = "x-prometheus-remote-write-samples-written";
pub(super) const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
/// Longest text of an answer that is kept, in characters.
const TOLD_CHARS_MAX: usize = 500;
/// After a request of full size that was taken, the next may be larger by this part.
const GROWTH_PART: usize = 16;

/// What a server said to a request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) stored: u64,
    pub(super) refused: Refused,
}

impl Answer {
    fn add(&mut self, other: Answer) {
        self.stored += other.stored;
        self.refused.first = self.refused.first.take().or(other.refused.first);
        self.refused.reasons.extend(other.refused.reasons);
    }

    fn refuse(&mut self, count: u64, why: &str, labels: &Labels) {
        let reason = format!("too large for the server even alone: {why}");
        self.refused.first.get_or_insert_with(|| format!("{labels}: {reason}"));
        self.refused.reasons.push((reason, count));
    }
}

/// What a server did with one request.
enum Taken {
    All(Answer),
    /// Nothing is stored, since it is too much at once.
    TooLarge(String),
}

/// A way to a server.
pub(super) struct Sender {
    client: reqwest::Client,
    address: String,
    /// The same as it may be shown.
    shown: String,
    retry_for: Duration,
    clock: Clock,
    /// Samples that are sent at once: fewer where a server found that too much.
    request_samples_max: usize,
    message: Vec<u8>,
}

/// What became of one attempt.
enum Attempt {
    Done(Answer),
    /// Not now: how long to wait, if that was said, and why.
    Again(Option<Duration>, String),
    /// Not so much at once.
    TooLarge(String),
    Never(String),
}

impl Sender {
    pub(super) fn new(url: &str, retry_for: Duration, clock: Clock) -> Result<Sender, ImportError> {
        // Somebody else's earlier choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // A login page that answers 200 has stored nothing.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if url.starts_with("http://") {
            // Without TLS no certificates are needed, and a machine may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| ImportError::Server(format!("cannot make a client: {error}")))?;
        let address = format!("{}{PATH}", url.trim_end_matches('/'));
        let shown = without_login(&address);
        Ok(Sender {
            client,
            address,
            shown,
            retry_for,
            clock,
            request_samples_max: BATCH_SAMPLES_MAX,
            message: Vec::new(),
        })
    }

    /// Sends the batch until the server has stored what it wants of it. `wait` is told why it has to be sent again.
    pub(super) async fn send(&mut self, batch: &mut Batch, wait: &mut dyn FnMut(&str)) -> Result<Answer, ImportError> {
        let mut answer = Answer::default();
        // What is to be sent first lies last.
        let mut parts = vec![batch.runs()];
        while let Some(mut part) = parts.pop() {
            let rest = split_off(&mut part, self.request_samples_max);
            if !rest.is_empty() {
                parts.push(rest);
            }
            let count = count_of(&part);
            if count == 0 {
                continue;
            }
            match self.send_part(&part, wait).await? {
                Taken::All(one) => {
                    answer.add(one);
                    self.note_taken(count);
                }
                Taken::TooLarge(_) if count > 1 => {
                    self.request_samples_max = count / 2;
                    parts.push(part);
                }
                Taken::TooLarge(why) => {
                    // Its labels alone are too much.
                    let labels = part[0].labels;
                    let left = parts.iter_mut().map(|part| take_series(part, labels));
                    answer.refuse(count as u64 + left.sum::<u64>(), &why, labels);
                }
            }
        }
        Ok(answer)
    }

    fn note_taken(&mut self, sample_count: usize) {
        if sample_count >= self.request_samples_max {
            let larger = sample_count + sample_count / GROWTH_PART + 1;
            self.request_samples_max = larger.min(BATCH_SAMPLES_MAX);
        }
    }

    async fn send_part(&mut self, runs: &[Run<'_>], wait: &mut dyn FnMut(&str)) -> Result<Taken, ImportError> {
        let body = bytes::Bytes::from(encode(runs, &mut self.message));
        let sample_count = count_of(runs) as u64;
        let start = self.clock.monotonic();
        let mut pause = PAUSE_MIN;
        loop {
            let (rest, why) = match self.attempt(body.clone(), sample_count).await {
                Attempt::Done(answer) => return Ok(Taken::All(answer)),
                Attempt::TooLarge(why) => return Ok(Taken::TooLarge(why)),
                Attempt::Never(why) => return Err(ImportError::Server(why)),
                Attempt::Again(rest, why) => (rest.unwrap_or(pause), why),
            };
            if self.clock.monotonic().saturating_sub(start) > self.retry_for {
                let tried = self.retry_for.as_secs();
                return Err(ImportError::Server(format!("{why} (tried for {tried} s; --retry-for waits longer)")));
            }
            wait(&why);
            tokio::time::sleep(rest.min(PAUSE_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, body: bytes::Bytes, sample_count: u64) -> Attempt {
        let address = &self.shown;
        let request = self.client.post(&self.address).header(CONTENT_TYPE, "application/x-protobuf");
        let request = request.header(CONTENT_ENCODING, "snappy").header("X-Prometheus-Remote-Write-Version", "0.1.0");
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                return Attempt::Never(format!("{address} is no address: {}", error.without_url()));
            }
            Err(error) => return Attempt::Again(None, format!("cannot reach {address}: {}", root_cause(&error))),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let Ok(told) = response.text().await else {
            return Attempt::Again(None, format!("{address} broke its answer off"));
        };
        let told: String = told.trim().chars().take(TOLD_CHARS_MAX).collect();
        match status.as_u16() {
            200..300 => Attempt::Done(Answer { stored: sample_count, refused: Refused::default() }),
            400 => Attempt::Done(refused_in_part(&headers, &told, sample_count)),
            413 => Attempt::TooLarge(told),
            429 | 500.. => Attempt::Again(retry_after(&headers), format!("{address} answers {status}: {told}")),
            _ => Attempt::Never(format!("{address} answers {status}: {told}")),
        }
    }
}

/// Takes a series out. Says how many samples that are.
fn take_series(part: &mut Vec<Run<'_>>, labels: &Labels) -> u64 {
    let before = count_of(part);
    part.retain(|run| run.labels != labels);
    (before - count_of(part)) as u64
}

/// What a 400 says: some of it is refused for good, the rest stored.
pub(super) fn refused_in_part(headers: &HeaderMap, told: &str, sample_count: u64) -> Answer {
    let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    let stored = number(WRITTEN).saturating_add(number(HISTOGRAMS_WRITTEN)).min(sample_count);
    let lost = sample_count - stored;
    let first = told.split("first refused: ").nth(1).and_then(|rest| rest.split("; in all: ").next());
    let mut reasons = told.split("; in all: ").nth(1).map(reasons_in).unwrap_or_default();
    if reasons.iter().map(|(_, count)| count).sum::<u64>() != lost {
        // Another server, or more reasons than an answer tells.
        reasons = vec![(told.to_owned(), lost)];
    }
    let refused = Refused { first: Some(first.unwrap_or(told).to_owned()), reasons };
    Answer { stored, refused }
}

/// Reads `3 × too old: past, or behind, 2 × another value`: a comma may belong to a reason.
fn reasons_in(text: &str) -> Vec<(String, u64)> {
    let mut reasons: Vec<(String, u64)> = Vec::new();
    for part in text.split(", ") {
        let counted = part.split_once(" × ").and_then(|(count, reason)| Some((reason, count.parse::<u64>().ok()?)));
        match (counted, reasons.last_mut()) {
            (Some((reason, count)), _) => reasons.push((reason.to_owned(), count)),
            (None, Some((reason, _))) => {
                reason.push_str(", ");
                reason.push_str(part);
            }
            (None, None) => {}
        }
    }
    reasons
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
