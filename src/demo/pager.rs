//! A pretend pager: takes webhooks as a real one would, checks their signature, and hands them on.
//!
//! A webhook is Alertmanager's version 4 JSON, signed as in Standard Webhooks: `webhook-signature` holds
//! `v1,` + base64 of HMAC-SHA256 over `webhook-id . webhook-timestamp . body`, the key being what `whsec_…` encodes.
//! What is not signed by our key gets 401, what cannot be read 400, as from a pager that guards somebody's sleep.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Deserializer};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Longest webhook that is read, in bytes.
const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
/// Webhooks that wait to be shown; a pager with a full tray answers 503 and is told again.
const DELIVERIES_COUNT_MAX: usize = 256;
const SECRET_PREFIX: &str = "whsec_";

/// Listens on a port of its own for as long as the program runs.
#[derive(Debug)]
pub(super) struct Pager {
    pub(super) address: SocketAddr,
    pub(super) deliveries: mpsc::Receiver<Delivery>,
}

/// One webhook, or why it was refused.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) idempotency_key: String,
    pub(super) content: Result<Vec<PagedAlert>, &'static str>,
}

/// One alert of a webhook.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PagedAlert {
    pub(super) status: Status,
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    /// Event time at which it fired.
    #[serde(rename = "startsAt", deserialize_with = "timestamp_ms")]
    pub(super) start_ms: i64,
    /// Event time at which it ended; of a firing alert, nothing that matters here.
    #[serde(rename = "endsAt", deserialize_with = "timestamp_ms")]
    pub(super) end_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Firing,
    Resolved,
}

#[derive(Deserialize)]
struct Webhook {
    alerts: Vec<PagedAlert>,
}

fn timestamp_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(serde::de::Error::custom)
}

impl PagedAlert {
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The event time that it speaks of, in ms: when it fired, or when it ended.
    pub(super) fn event_ms(&self) -> i64 {
        match self.status {
            Status::Firing => self.start_ms,
            Status::Resolved => self.end_ms,
        }
    }
}

impl Pager {
    /// Starts to listen. `secret` is `whsec_` and the key in base64, as the engine has it.
    pub(super) async fn start(secret: &str) -> anyhow::Result<Pager> {
        let key = secret.strip_prefix(SECRET_PREFIX).ok_or_else(|| anyhow::anyhow!("a secret starts with whsec_"))?;
        let key: Arc<[u8]> = BASE64.decode(key)?.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (to_tray, deliveries) = mpsc::channel(DELIVERIES_COUNT_MAX);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(attend(stream, Arc::clone(&key), to_tray.clone()));
            }
        });
        Ok(Pager { address, deliveries })
    }
}

async fn attend(stream: TcpStream, key: Arc<[u8]>, to_tray: mpsc::Sender<Delivery>) {
    let service = service_fn(|request| {
        let (key, to_tray) = (Arc::clone(&key), to_tray.clone());
        async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = take(request, &key, &to_tray).await;
            Ok::<_, Infallible>(response)
        }
    });
    // A caller that goes away in the middle is the caller's affair: it will call again.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn take(request: Request<Incoming>, key: &[u8], to_tray: &mpsc::Sender<Delivery>) -> StatusCode {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, WEBHOOK_BYTES_MAX).collect().await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let body = body.to_bytes();
    let (status, content) = if !signature_is_ours(key, &head.headers, &body) {
        (StatusCode::UNAUTHORIZED, Err("its signature is not ours"))
    } else if let Ok(webhook) = serde_json::from_slice::<Webhook>(&body) {
        (StatusCode::OK, Ok(webhook.alerts))
    } else {
        (StatusCode::BAD_REQUEST, Err("it is not Alertmanager's version 4 JSON"))
    };
    let idempotency_key = text(&head.headers, "idempotency-key").to_owned();
    match to_tray.try_send(Delivery { idempotency_key, content }) {
        Ok(()) => status,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whether one of the signatures (there are several while a key is changed) was made with our key.
fn signature_is_ours(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in
        [text(headers, "webhook-id").as_bytes(), b".", text(headers, "webhook-timestamp").as_bytes(), b".", body]
    {
        mac.update(part);
    }
    let signatures = text(headers, "webhook-signature").split(' ');
    signatures
        .filter_map(|signature| signature.strip_prefix("v1,").and_then(|encoded| BASE64.decode(encoded).ok()))
        .any(|signature| mac.clone().verify_slice(&signature).is_ok())
}
