//! One kept connection to a server, for those who send much to it: one request at a time, reconnected after an error.
//!
//! Always true: an exchange ends within [`EXCHANGE_TIMEOUT`], and an answer's body is at most [`ANSWER_BYTES_MAX`].

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for an answer, the connection included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection that is made when it is first needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What is sent: decides the headers of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A remote-write 1.0 request: protobuf in a snappy block.
    RemoteWrite,
    /// A remote-write 2.0 request: protobuf in a snappy block.
    RemoteWrite2,
    /// Prometheus's text.
    Text,
    /// Fields of a form, percent-encoded.
    Form,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long to wait before trying again, if the server said so.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. The connection is closed; the next exchange makes another.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or nobody answers there.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange with {0} broke off: {1}")]
    Exchange(SocketAddr, hyper::Error),
    /// The path or a header cannot be sent.
    #[error("cannot build the request: {0}")]
    Request(#[from] hyper::http::Error),
    /// The answer broke off or is longer than [`ANSWER_BYTES_MAX`].
    #[error("cannot read the answer of {0}: {1}")]
    Answer(SocketAddr, Box<dyn std::error::Error + Send + Sync>),
    /// No answer within [`EXCHANGE_TIMEOUT`].
    #[error("{0} did not answer within {EXCHANGE_TIMEOUT:?}")]
    TimedOut(SocketAddr),
}

impl Connection {
    /// To the server at `address`; not connected yet.
    pub fn new(address: SocketAddr) -> Connection {
        Connection { address, sender: None }
    }

    /// Posts `body` and waits for the answer. Any status is an answer, not an error.
    pub async fn post(&mut self, path: &str, content: Content, body: Bytes) -> Result<Answer, ClientError> {
        let request = Request::post(path);
        let request = match content {
            Content::RemoteWrite => request
                .header(CONTENT_TYPE, "application/x-protobuf")
                .header(CONTENT_ENCODING, "snappy")
                .header("X-Prometheus-Remote-Write-Version", "0.1.0"),
            Content::RemoteWrite2 => request
                .header(CONTENT_TYPE, "application/x-protobuf;proto=io.prometheus.write.v2.Request")
                .header(CONTENT_ENCODING, "snappy")
                .header("X-Prometheus-Remote-Write-Version", "2.0.0"),
            Content::Text => request.header(CONTENT_TYPE, "text/plain; version=0.0.4"),
            Content::Form => request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"),
        };
        self.exchange(request.header(HOST, self.address.to_string()).body(Full::new(body))?).await
    }

    /// Gets `path`.
    pub async fn get(&mut self, path: &str) -> Result<Answer, ClientError> {
        let request = Request::builder().method(Method::GET).uri(path).header(HOST, self.address.to_string());
        self.exchange(request.body(Full::default())?).await
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        // Taken out for the time of the exchange, so that a connection in doubt is never used again.
        let sender = self.sender.take();
        let exchange = exchange(self.address, sender, request);
        let (answer, sender) =
            timeout(EXCHANGE_TIMEOUT, exchange).await.map_err(|_| ClientError::TimedOut(self.address))??;
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn exchange(
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
    request: Request<Full<Bytes>>,
) -> Result<(Answer, SendRequest<Full<Bytes>>), ClientError> {
    let mut sender = match still_open(sender).await {
        Some(sender) => sender,
        None => connect(address).await?,
    };
    let response = sender.send_request(request).await.map_err(|error| ClientError::Exchange(address, error))?;
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = collected.map_err(|error| ClientError::Answer(address, error))?.to_bytes();
    Ok((Answer { status: head.status.as_u16(), retry_after: retry_after(&head.headers), body }, sender))
}

/// A server may close a connection that was idle; that shows when it is next wanted.
async fn still_open(sender: Option<SendRequest<Full<Bytes>>>) -> Option<SendRequest<Full<Bytes>>> {
    let mut sender = sender?;
    sender.ready().await.ok().map(|()| sender)
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let stream = TcpStream::connect(address).await.map_err(|error| ClientError::Connect(address, error))?;
    stream.set_nodelay(true).map_err(|error| ClientError::Connect(address, error))?;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| ClientError::Exchange(address, error))?;
    // Ends by itself when the sender is dropped; its errors come back through the sender.
    tokio::spawn(connection);
    Ok(sender)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
