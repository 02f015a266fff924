//! An exporter that counts how often it was scraped: what it said is what must be stored, each number once.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of its one metric: 1 at the first scrape, 2 at the second, and so on.
pub(crate) const METRIC: &str = "scrapes_total";

/// Runs until the test ends.
pub(crate) struct CountingExporter {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl CountingExporter {
    pub(crate) fn start() -> CountingExporter {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let answered = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&answered);
        std::thread::spawn(move || {
            // One scrape after the other, so that the numbers come in order.
            for stream in listener.incoming().flatten() {
                let number = counter.load(Ordering::SeqCst) + 1;
                if answer(stream, number).is_ok() {
                    counter.store(number, Ordering::SeqCst);
                }
            }
        });
        CountingExporter { address, answered }
    }

    /// Scrapes answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

fn answer(stream: TcpStream, number: u64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = format!("# TYPE {METRIC} counter\n{METRIC} {number}\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    write!(reader.get_mut(), "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
