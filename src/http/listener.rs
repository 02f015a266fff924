//! Connections: taken, counted, refused, and finished when the server stops.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asker::Peer;
use super::call::Refused;
use super::connections::{Connections, NoSeat, Seat};
use super::entrance::Entrance;
use super::limits::{CONNECTIONS_REFUSED_LINGERING_MAX, HEAD_BYTES_MAX, HEADERS_COUNT_MAX, HttpLimits};
use super::reply::spread;
use super::socket::{Progress, Socket};

/// How long nothing is accepted after the system had no descriptor for a new connection: it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the operator is told while that lasts.
const ACCEPT_TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Connections that the system holds until they are accepted. With the 128 that are usual, a fleet that comes back as one
/// overflows them, and each that does not fit tries again only after a second.
const BACKLOG: u32 = 4096;

/// Listens on `HOST:PORT`: on the first address of that name that can be had.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that is started again takes over while connections of the one before still die.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `shutdown` says true or its sender is gone; then takes no more, finishes the requests in
/// flight within [`super::HttpLimits::drain_timeout`], and returns when every connection is closed.
pub async fn serve(listener: TcpListener, entrance: Arc<Entrance>, mut shutdown: watch::Receiver<bool>) {
    let places = Connections::new(&entrance.limits);
    let lingering = Arc::new(Semaphore::new(CONNECTIONS_REFUSED_LINGERING_MAX));
    let mut connections = JoinSet::new();
    let mut failing = Failing::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut shutdown) => break,
        };
        // Finished tasks are kept until they are asked for.
        while connections.try_join_next().is_some() {}
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                failing.note(&error, &entrance).await;
                continue;
            }
        };
        match places.seat(from.ip()) {
            Ok(seat) => {
                connections.spawn(converse(stream, entrance.clone(), shutdown.clone(), seat));
            }
            Err(why) => refuse(stream, why, &entrance, &lingering, &mut connections),
        }
    }
    drop(listener);
    finish(connections, entrance.limits.drain_timeout).await;
}

/// What is known of connections that could not be accepted.
#[derive(Default)]
struct Failing {
    told: Option<Instant>,
}

impl Failing {
    /// Counts one, tells the operator now and then, and waits where the next one would fail as well.
    async fn note(&mut self, error: &io::Error, entrance: &Entrance) {
        entrance.numbers.accept_failures.increment();
        if is_of_one_client(error) {
            return;
        }
        if self.told.is_none_or(|at| at.elapsed() >= ACCEPT_TELL_INTERVAL) {
            self.told = Some(Instant::now());
            tracing::warn!(%error, "cannot accept connections; raise the limit of open files, or lower limits.connections_max");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Whether only this connection is lost, by a client that left before it was accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Waits for the connections to end by themselves, then ends those that are left.
async fn finish(mut connections: JoinSet<()>, drain_timeout: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain_timeout, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "closing connections whose requests did not finish in time");
        connections.shutdown().await;
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server that we are a part of.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Serves one connection until either side closes it. One that has not said anything yet costs next to nothing: buffers
/// are made when its first byte is there.
async fn converse(stream: TcpStream, entrance: Arc<Entrance>, mut shutdown: watch::Receiver<bool>, mut seat: Seat) {
    entrance.numbers.connections.add(1);
    let _open = OnDrop(|| entrance.numbers.connections.add(-1));
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut limits = entrance.limits.clone();
    if seat.is_kept {
        // Few places for many: who has nothing to ask yet makes room.
        limits.idle_timeout = limits.idle_timeout.min(limits.head_timeout);
    }
    let mut byte = [0];
    let first_byte = tokio::select! {
        // Not `readable`, which is true of a new socket until somebody tries.
        peeked = tokio::time::timeout(limits.idle_timeout, stream.peek(&mut byte)) => peeked,
        () = stopped(&mut shutdown) => return,
        () = seat.taken_away() => {
            entrance.numbers.count_refused(Refused::Silent);
            return;
        }
    };
    if let Ok(Ok(1..)) = first_byte
        && seat.speak()
    {
        Box::pin(answer_all(stream, &entrance, limits, shutdown, seat.is_kept)).await;
    }
}

/// Answers the requests of one connection.
async fn answer_all(
    stream: TcpStream,
    entrance: &Arc<Entrance>,
    limits: HttpLimits,
    mut shutdown: watch::Receiver<bool>,
    is_kept: bool,
) {
    let progress = Progress::new();
    let peer = Peer(stream.peer_addr().ok());
    let socket = Socket::new(stream, progress.clone(), &limits);
    let service = service_fn(|mut request: Request<Incoming>| {
        progress.busy();
        request.extensions_mut().insert(peer);
        let (entrance, progress) = (entrance.clone(), progress.clone());
        async move {
            let mut reply =
                if is_kept { entrance.answer_question(request).await } else { entrance.answer(request).await };
            reply.body_mut().tell_when_made(progress);
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The limits are in `socket`. hyper's own is set to come after them: only with one does it read again as soon as
        // an answer is written, by which the socket's timer is set.
        .header_read_timeout(entrance.limits.idle_timeout + entrance.limits.head_timeout)
        .max_headers(HEADERS_COUNT_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What a connection without a place is told, without a look at what it says.
fn refusal(why: NoSeat) -> String {
    let (seconds, words) = (spread(1), why.told());
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: {seconds}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{words}\n",
        words.len() + 1
    )
}

/// Says 503 on a connection past the limit and closes it. Waits a moment for the client to read that, unless there are
/// many of them already.
fn refuse(
    mut stream: TcpStream,
    why: NoSeat,
    entrance: &Arc<Entrance>,
    lingering: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
) {
    entrance.numbers.count_refused(match why {
        NoSeat::ConnectionsMax => Refused::ConnectionsMax,
        NoSeat::PerAddressMax => Refused::PerAddressMax,
    });
    let Ok(permit) = lingering.clone().try_acquire_owned() else { return };
    let limits = entrance.limits.clone();
    connections.spawn(async move {
        if stream.write_all(refusal(why).as_bytes()).await.is_ok() {
            let mut socket = Socket::new(stream, Progress::new(), &limits);
            let close = poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut socket), cx));
            if let Err(error) = close.await {
                tracing::debug!(%error, "a refused connection ended early");
            }
        }
        drop(permit);
    });
}

/// Does something when it goes out of scope, also when the task that holds it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
