//! One request to a receiver: over a client that goes nowhere it must not, and back within a time.
//!
//! | answer                                              | verdict                     |
//! |-----------------------------------------------------|-----------------------------|
//! | 2xx                                                 | [`Answer::Delivered`]       |
//! | 408, 429, 5xx, no connection, no answer in time     | [`Answer::Retry`]           |
//! | 307, 308 to the same host, three times at most      | asked there                 |
//! | 3xx otherwise, any other 4xx                        | [`Answer::Refused`]         |
//!
//! Always true: a body is sent to the host that the configuration names and to no other (an open redirect would lead past
//! the address check); proxies of the environment are not used (they would look the name up for us, unchecked); no
//! error names an address, whose path may be a password, and what an answer repeats of the question's is taken out of it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use super::options::HttpOptions;
use crate::clock::Clock;
use crate::model::percent_decoded;
use crate::notify::address::{CheckedResolver, check_url};
use crate::notify::answer::{Answer, Heard};
use crate::notify::backoff::retry_after;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most characters of an answer that are logged.
const ANSWER_CHARS_LOGGED_MAX: usize = 200;
/// A connection that lay idle for longer is not used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is shorter could be any word of an answer.
const SECRET_BYTES_MIN: usize = 4;
/// A part of a path is a token from so many bytes on, if it has a digit.
const TOKEN_BYTES_MIN: usize = 8;
/// What is shown in place of a secret.
const SECRET_SHOWN: &str = "<secret>";
/// Most redirects of one request.
const REDIRECTS_MAX: usize = 3;

/// What goes over the wire.
#[derive(Clone)]
pub(crate) struct Request {
    pub url: Url,
    /// Names in small letters. Values may be secret.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.body.len())
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    /// The wait that was asked for.
    pub after: Option<Duration>,
    pub is_json: bool,
    /// At most [`ANSWER_BYTES_MAX`] of it.
    pub body: Vec<u8>,
}

impl Reply {
    /// Takes the question's secrets out: many a server says in full which address it does not know, and what it says is
    /// logged, kept and shown.
    fn without(mut self, secrets: &[String]) -> Reply {
        for secret in secrets {
            let text = String::from_utf8_lossy(&self.body);
            if text.contains(secret.as_str()) {
                self.body = text.replace(secret.as_str(), SECRET_SHOWN).into_bytes();
            }
        }
        self
    }

    /// The beginning of the body on one line, without control characters: it goes to a log.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        printable.take(ANSWER_CHARS_LOGGED_MAX).collect()
    }

    /// What the status alone says.
    pub(crate) fn verdict(&self) -> Answer {
        if self.status.is_success() {
            return Answer::Delivered { http_status: self.status.as_u16() };
        }
        let shown = self.shown();
        let reason = if shown.is_empty() { self.status.to_string() } else { format!("{}: {shown}", self.status) };
        let transient = matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if transient || self.status.is_server_error() {
            Answer::Retry { reason, after: self.after, heard: Heard::Error }
        } else {
            Answer::Refused { reason }
        }
    }
}

/// Why a request has no reply.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) reason: String,
    heard: Heard,
}

impl From<String> for Unsent {
    fn from(reason: String) -> Unsent {
        Unsent { reason, heard: Heard::Nobody }
    }
}

impl From<Unsent> for Answer {
    fn from(unsent: Unsent) -> Answer {
        Answer::Retry { reason: unsent.reason, after: None, heard: unsent.heard }
    }
}

/// A client for one integration.
pub(crate) struct Sender {
    client: Client,
    authorization: Option<HeaderValue>,
    follows_redirects: bool,
    clock: Clock,
}

impl Sender {
    /// Makes no connection. Fails with what is wrong with the options.
    pub(crate) fn new(url: &Url, options: &HttpOptions, clock: Clock, timeout: Duration) -> Result<Sender, String> {
        install_crypto();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .dns_resolver(CheckedResolver)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("dozor/", env!("CARGO_PKG_VERSION")));
        if let Some(bundle) = options.read_certificates()? {
            let trusted = Certificate::from_pem_bundle(bundle.as_bytes())
                .map_err(|error| format!("the certificates to trust cannot be read: {}", with_causes(&error)))?;
            builder = builder.tls_certs_only(trusted);
        } else if url.scheme() == "http" {
            // Without TLS no certificates are needed: a machine that has none can still run the demo.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("no client for it: {}", with_causes(&error)))?;
        let authorization = options.read_authorization()?.map(|value| {
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| "its credentials have letters that no header can have")?;
            value.set_sensitive(true);
            Ok::<_, &str>(value)
        });
        let authorization = authorization.transpose()?;
        Ok(Sender { client, authorization, follows_redirects: options.follows_redirects, clock })
    }

    /// Sends the request once. Fails with a reason without an address.
    pub(crate) async fn send(&self, request: &Request) -> Result<Reply, Unsent> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut builder = self.client.post(url.clone()).header(CONTENT_TYPE, "application/json");
            builder = builder.headers(self.headers(request)?);
            let response = builder.body(request.body.clone()).send().await;
            let response = response.map_err(|error| {
                let heard = if error.is_connect() { Heard::Nobody } else { Heard::Nothing };
                Unsent { reason: with_causes(&error.without_url()), heard }
            })?;
            match self.redirect(&url, &response)? {
                Some(next) => url = next,
                None => return Ok(self.read(response).await.without(&self.secrets(request))),
            }
        }
        Err(format!("it redirected more than {REDIRECTS_MAX} times").into())
    }

    /// What is secret in a request, or may be: its credentials, and what looks like a token in its address.
    fn secrets(&self, request: &Request) -> Vec<String> {
        let given =
            request.headers.iter().filter(|(name, _)| *name == "authorization").map(|(_, value)| value.as_str());
        let own = self.authorization.iter().filter_map(|value| value.to_str().ok());
        let credentials = own.chain(given).filter_map(|value| value.split(' ').next_back());
        let url = &request.url;
        let looks_secret = |part: &&str| part.len() >= TOKEN_BYTES_MIN && part.contains(|c: char| c.is_ascii_digit());
        let values =
            url.query().into_iter().flat_map(|query| query.split('&').filter_map(|pair| pair.split('=').nth(1)));
        let raw = credentials.chain(url.path().split('/').filter(looks_secret)).chain(values).chain(url.password());
        let both = raw.flat_map(|part| [Some(part.to_owned()), percent_decoded(part).map(Cow::into_owned)]);
        both.flatten().filter(|secret| secret.len() >= SECRET_BYTES_MIN).collect()
    }

    fn headers(&self, request: &Request) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.extend(self.authorization.clone().map(|value| (reqwest::header::AUTHORIZATION, value)));
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(|_| format!("{name} cannot be a header"))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }

    /// Where the same request is to be sent instead.
    fn redirect(&self, from: &Url, response: &Response) -> Result<Option<Url>, String> {
        let keeps_body = matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if !keeps_body || !self.follows_redirects {
            return Ok(None);
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(next) = location.and_then(|location| from.join(location).ok()) else { return Ok(None) };
        let place =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        if place(from) != place(&next) {
            return Ok(None);
        }
        check_url(next.as_str()).map(Some)
    }

    async fn read(&self, mut response: Response) -> Reply {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let after = header(RETRY_AFTER).and_then(|value| retry_after(value, self.clock.now_ms()));
        let is_json = header(CONTENT_TYPE).is_some_and(|value| value.starts_with("application/json"));
        let mut body = Vec::new();
        // To its end where it is short, so that the connection can be used again.
        while let Ok(Some(piece)) = response.chunk().await {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
        Reply { status, after, is_json, body }
    }
}

/// An error and what caused it: "connection refused" stands three levels down.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// Chooses ring for TLS, once a process. Somebody else's earlier choice stands.
fn install_crypto() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
