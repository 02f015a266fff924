//! A socket that does not wait for ever.
//!
//! hyper has one timer for heads, and it runs between requests too: it cannot tell a client that is idle from one that
//! drips its head. Here each phase has its own time, counted from its start:
//!
//! ```text
//!          first byte            head complete
//! Waiting ───────────► Head ─────────────────► Busy ──┐   no timer: the body's own, and the query's
//!    ▲  idle_timeout        head_timeout              │
//!    └────────────────────────────────────────────────┘ answer ready
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::HttpLimits;

/// How long a closed socket still takes what the client was sending: closed at once, the system would answer it with
/// a reset, which may overtake our last answer.
const LINGER: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Waiting,
    Head,
    Busy,
}

/// Which phase a connection is in, and since when. Shared by the socket and the handler of its requests.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Phase, Instant)>>);

impl Progress {
    pub(super) fn new() -> Progress {
        Progress(Arc::new(Mutex::new((Phase::Waiting, Instant::now()))))
    }

    /// The head is complete.
    pub(super) fn busy(&self) {
        *self.0.lock() = (Phase::Busy, Instant::now());
    }

    /// The answer is ready, or, of one in pieces, its last piece.
    pub(super) fn waiting(&self) {
        *self.0.lock() = (Phase::Waiting, Instant::now());
    }

    fn byte_arrived(&self) {
        let mut state = self.0.lock();
        if state.0 == Phase::Waiting {
            *state = (Phase::Head, Instant::now());
        }
    }
}

/// A socket with a time limit on each phase.
pub(super) struct Socket {
    stream: TcpStream,
    progress: Progress,
    idle_timeout: Duration,
    head_timeout: Duration,
    stall_timeout: Duration,
    read_timer: Pin<Box<Sleep>>,
    stall_timer: Option<Pin<Box<Sleep>>>,
    linger_timer: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, progress: Progress, limits: &HttpLimits) -> Socket {
        Socket {
            stream,
            progress,
            idle_timeout: limits.idle_timeout,
            head_timeout: limits.head_timeout,
            stall_timeout: limits.stall_timeout,
            read_timer: Box::pin(sleep_until(Instant::now())),
            stall_timer: None,
            linger_timer: None,
        }
    }

    /// Whether the phase has lasted too long. Arms the timer that wakes us when it will have.
    fn phase_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let (phase, since) = *self.progress.0.lock();
        let allowed = match phase {
            Phase::Waiting => self.idle_timeout,
            Phase::Head => self.head_timeout,
            Phase::Busy => return false,
        };
        self.read_timer.as_mut().reset(since + allowed);
        self.read_timer.as_mut().poll(cx).is_ready()
    }

    /// Passes a write on; fails one that has made no progress for too long.
    fn unless_stalled(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall_timer = None;
            return written;
        }
        let timeout = self.stall_timeout;
        let timer = self.stall_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(too_slow("the client does not take its answer"))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Takes and forgets what still comes, until the client closes or [`LINGER`] is over.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.linger_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    self.progress.byte_arrived();
                }
                Poll::Ready(result)
            }
            Poll::Pending if self.phase_is_over(cx) => Poll::Ready(Err(too_slow("the client sends nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_timer.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.linger(cx).map(Ok)
    }
}
