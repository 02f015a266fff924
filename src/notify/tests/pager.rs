//! A pretend pager: a real HTTP server on the loopback that answers as a script says, can be down, and keeps what it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::clock::Clock;

/// How a request is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Status(u16),
    /// A status with one more header line.
    With(u16, String),
    /// Never.
    Hang,
    /// By closing the connection.
    Drop,
}

/// What arrived.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: String,
    head: String,
    /// When it had arrived, since the pager was made.
    pub(super) at: Duration,
    /// How it was answered.
    pub(super) reply: Reply,
}

impl Request {
    /// The value of a header, `""` if there is none.
    pub(super) fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|line| line.0.eq_ignore_ascii_case(name)).map_or("", |line| line.1).trim().to_owned()
    }

    pub(super) fn id(&self) -> String {
        self.header("idempotency-key")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn was_taken(&self) -> bool {
        matches!(self.reply, Reply::Status(200..=299))
    }
}

type Script = Box<dyn FnMut(&Value) -> Reply + Send>;

pub(super) struct Pager {
    address: SocketAddr,
    state: Arc<State>,
    listening: Option<JoinHandle<()>>,
}

struct State {
    seen: Mutex<Vec<Request>>,
    script: Mutex<Script>,
    clock: Clock,
}

impl Pager {
    /// Starts on a free port. The script gets each body and says how to answer.
    pub(super) fn start(runtime: &Runtime, script: impl FnMut(&Value) -> Reply + Send + 'static) -> Pager {
        let (seen, script, clock) = (Mutex::default(), Mutex::new(Box::new(script) as Script), Clock::system());
        let mut pager = Pager {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: Arc::new(State { seen, script, clock }),
            listening: None,
        };
        pager.go_up(runtime);
        pager
    }

    /// Answers with these one after the other, then with 200.
    pub(super) fn with_replies(runtime: &Runtime, replies: impl IntoIterator<Item = Reply>) -> Pager {
        let mut replies: std::collections::VecDeque<Reply> = replies.into_iter().collect();
        Pager::start(runtime, move |_| replies.pop_front().unwrap_or(Reply::Status(200)))
    }

    /// Listens, on the port it had before.
    pub(super) fn go_up(&mut self, runtime: &Runtime) {
        let listener = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.address = listener.local_addr().unwrap();
        let state = Arc::clone(&self.state);
        self.listening = Some(runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&state).answer(stream));
            }
        }));
    }

    /// Refuses connections.
    pub(super) fn go_down(&mut self, runtime: &Runtime) {
        let listening = self.listening.take().unwrap();
        listening.abort();
        let _ = runtime.block_on(listening);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().clone()
    }

    /// What it answered with a 2xx: status and alert name, in order.
    pub(super) fn taken(&self) -> Vec<String> {
        let word = |json: &Value| {
            format!(
                "{} {}",
                json["alerts"][0]["labels"]["alertname"].as_str().unwrap(),
                json["status"].as_str().unwrap()
            )
        };
        self.seen().iter().filter(|request| request.was_taken()).map(|request| word(&request.json())).collect()
    }
}

impl State {
    async fn answer(self: Arc<State>, mut stream: TcpStream) {
        let Some((head, body)) = read_request(&mut stream).await else { return };
        let reply = (self.script.lock())(&serde_json::from_str(&body).unwrap_or_default());
        let at = self.clock.monotonic();
        self.seen.lock().push(Request { body, head, at, reply: reply.clone() });
        let (status, line) = match reply {
            Reply::Status(status) => (status, String::new()),
            Reply::With(status, line) => (status, format!("{line}\r\n")),
            Reply::Hang => return std::future::pending().await,
            Reply::Drop => return,
        };
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\nconnection: close\r\n{line}\r\nhi");
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head_lower = head.to_ascii_lowercase();
            let length = head_lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
