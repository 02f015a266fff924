//! A relay between a sender and the server that keeps what both say in their heads.
//!
//! ```text
//! sender ─► Relay ─► dozor        kept: POST /api/v1/write …, Content-Type: …   and   HTTP/1.1 204 …
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

/// One request and its answer, without their bodies.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    request: String,
    answer: String,
}

impl Exchange {
    /// The answer's status.
    pub(crate) fn status(&self) -> u16 {
        let status = self.answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.expect("an answer begins with its status")
    }

    /// A header of the request.
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        header(&self.request, name)
    }

    /// A header of the answer.
    pub(crate) fn answered(&self, name: &str) -> Option<&str> {
        header(&self.answer, name)
    }
}

/// Runs until the test ends.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Relay {
    pub(crate) fn start(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let exchanges: Arc<Mutex<Vec<Exchange>>> = Arc::default();
        let kept = Arc::clone(&exchanges);
        std::thread::spawn(move || {
            for sender in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A connection ends when either side does not go on.
                std::thread::spawn(move || {
                    TcpStream::connect(server).and_then(|server| pass_on(sender, server, &kept))
                });
            }
        });
        Relay { address, exchanges }
    }

    /// All that was said so far, in the order of the answers.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().clone()
    }
}

fn pass_on(sender: TcpStream, server: TcpStream, kept: &Mutex<Vec<Exchange>>) -> io::Result<()> {
    let (mut to_sender, mut to_server) = (sender.try_clone()?, server.try_clone()?);
    let (mut sender, mut server) = (BufReader::new(sender), BufReader::new(server));
    loop {
        let request = message(&mut sender, &mut to_server)?;
        let answer = message(&mut server, &mut to_sender)?;
        kept.lock().push(Exchange { request, answer });
    }
}

/// Passes a message on and returns its head.
fn message(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut whole = head.clone().into_bytes();
    if header(&head, "transfer-encoding") == Some("chunked") {
        pieces(from, &mut whole)?;
    } else {
        let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a length is a number"));
        from.take(length).read_to_end(&mut whole)?;
    }
    to.write_all(&whole)?;
    Ok(head)
}

/// Reads a body that comes in pieces, each behind a line with its length in hex, up to the empty one.
fn pieces(from: &mut impl BufRead, whole: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let start = whole.len();
        from.read_until(b'\n', whole)?;
        let line = String::from_utf8_lossy(&whole[start..]).into_owned();
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        from.take(length + 2).read_to_end(whole)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let named = |line: &'a str| line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name));
    head.lines().find_map(named).map(|(_, value)| value.trim())
}
