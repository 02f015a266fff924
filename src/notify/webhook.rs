//! One attempt to hand a notification to a receiver, and what its answer means.
//!
//! | answer                                              | verdict                     |
//! |-----------------------------------------------------|-----------------------------|
//! | 2xx                                                 | [`Answer::Delivered`]       |
//! | 408, 429, 5xx, no connection, no answer in time     | [`Answer::Retry`]           |
//! | 3xx, any other 4xx                                  | [`Answer::Refused`]         |
//!
//! Always true: redirects are not followed (an open redirect would lead past the address check); proxies of the
//! environment are not used (they would look the name up for us, unchecked); the answer's body is read for the log only.

use std::error::Error;
use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::address::{CheckedResolver, check_url};
use super::backoff::retry_after;
use super::{NotifyError, Receiver, Secret};
use crate::clock::Clock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most characters of an answer that are logged.
const ANSWER_CHARS_LOGGED_MAX: usize = 200;
/// A connection that lay idle for longer is not used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver has it.
    Delivered {
        /// 200 to 299.
        http_status: u16,
    },
    /// It may work later.
    Retry {
        /// For the log.
        reason: String,
        /// The wait that the receiver asked for.
        after: Option<Duration>,
    },
    /// It will never work: the receiver said so.
    Refused {
        /// For the log and the dead letter.
        reason: String,
    },
}

/// The way to one receiver.
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    secret: Option<Secret>,
    clock: Clock,
}

impl Webhook {
    /// Checks the URL and prepares the client. No connection is made.
    pub(crate) fn new(receiver: &Receiver, clock: Clock, attempt_timeout: Duration) -> Result<Webhook, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: receiver.name.clone(), what };
        let url = check_url(&receiver.url).map_err(|what| refuse(format!("its URL cannot be used: {what}")))?;
        install_crypto();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .dns_resolver(CheckedResolver)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(attempt_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("dozor/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            // Without TLS no certificates are needed: a machine that has none can still run the demo.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| refuse(format!("no client for it: {}", with_causes(&error))))?;
        Ok(Webhook { client, url, secret: receiver.secret.clone(), clock })
    }

    /// Sends the body once. `id` must be the same on every attempt of the same notification.
    pub(crate) async fn attempt(&self, id: &str, body: Vec<u8>) -> Answer {
        let timestamp_s = self.clock.now_ms().div_euclid(1000);
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", id)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s.to_string());
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", secret.sign(id, timestamp_s, &body));
        }
        match request.body(body).send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => Answer::Retry { reason: with_causes(&error.without_url()), after: None },
        }
    }

    async fn judge(&self, mut response: Response) -> Answer {
        let status = response.status();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = header.and_then(|value| retry_after(value, self.clock.now_ms()));
        let answer = read_answer(&mut response).await;
        if status.is_success() {
            return Answer::Delivered { http_status: status.as_u16() };
        }
        let reason = if answer.is_empty() { status.to_string() } else { format!("{status}: {answer}") };
        let transient = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if transient || status.is_server_error() { Answer::Retry { reason, after } } else { Answer::Refused { reason } }
    }
}

/// The beginning of the answer's body on one line, without control characters: it goes to a log. The body is read to
/// its end where it is short, so that the connection can be used again.
async fn read_answer(response: &mut Response) -> String {
    let mut answer = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX - answer.len();
        answer.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= room {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(ANSWER_CHARS_LOGGED_MAX).collect()
}

/// An error and what caused it: "connection refused" stands three levels down.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// Chooses ring for TLS, once a process. Somebody else's earlier choice stands.
pub(super) fn install_crypto() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
