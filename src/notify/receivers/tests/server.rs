//! A listener on the loopback that answers as it is told to, and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request: its path, its head in small letters, its body.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers with these one after the other, and with the last again and again: a status line, further head lines and a body.
    pub(super) async fn start(answers: &[(&str, &str, &str)]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let whole = |(status, head, body): &(&str, &str, &str)| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{head}\r\n{body}")
        };
        let answers: Vec<String> = answers.iter().map(whole).collect();
        let own = server.clone();
        tokio::spawn(async move {
            for index in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answers[index.min(answers.len() - 1)].replace("SELF", &own.address.to_string());
                own.answer(stream, &answer).await;
            }
        });
        server
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    async fn answer(&self, mut stream: TcpStream, answer: &str) {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .to_ascii_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let lines = head.lines().filter_map(|line| line.split_once(": "));
                    let head = lines.map(|(name, value)| format!("{}: {value}\n", name.to_ascii_lowercase())).collect();
                    self.seen.lock().push(Seen { path, head, body: body.to_owned() });
                    break;
                }
            }
            if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                return;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}
