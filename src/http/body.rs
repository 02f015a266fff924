//! What an answer carries: bytes that are all there, or pieces that are made while the client takes them.
//!
//! ```text
//! thread that makes ─► PIECES_WAITING_MAX pieces ─► hyper ─► socket
//!        ▲ waits while they are full, and is told when the client has left
//! ```
//!
//! Always true: an answer in pieces ends well only when its maker says so ([`PieceWriter::finish`]). One that gives up, or
//! panics, leaves an answer cut short, which no client takes for a whole one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::socket::Progress;

/// Bytes from which on a piece is sent.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client to take them.
const PIECES_WAITING_MAX: usize = 4;

/// Longest wait for room for a piece: a client must take 3 KiB a second.
const PIECE_PATIENCE: Duration = Duration::from_secs(20);

/// The body of an answer.
pub(super) enum Body {
    /// What is left to be sent; nothing once it is.
    Whole(Bytes),
    Pieces(Pieces),
}

/// The taker's end of an answer in pieces.
pub(super) struct Pieces {
    inbox: mpsc::Receiver<Piece>,
    is_over: bool,
    /// Told when this is dropped, since all is taken or nobody takes any more.
    progress: Option<Progress>,
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// The maker's end: runs on a thread that may wait.
pub(super) struct PieceWriter {
    outbox: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

/// The client has left: nobody takes the answer any more.
#[derive(Debug)]
pub(super) struct ClientLeft;

impl Body {
    /// An answer in pieces, and who makes them.
    pub(super) fn pieces() -> (PieceWriter, Body) {
        let (outbox, inbox) = mpsc::channel(PIECES_WAITING_MAX);
        let writer = PieceWriter { outbox, buffer: Vec::new() };
        (writer, Body::Pieces(Pieces { inbox, is_over: false, progress: None }))
    }

    /// Lets the connection know that the answer is ready: now, or when the last piece is taken.
    pub(super) fn tell_when_made(&mut self, progress: Progress) {
        match self {
            Body::Whole(_) => progress.waiting(),
            Body::Pieces(pieces) => pieces.progress = Some(progress),
        }
    }
}

impl PieceWriter {
    /// Where the next bytes go.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends the buffer if it is long enough; waits while the client is behind.
    pub(super) fn send_if_full(&mut self) -> Result<(), ClientLeft> {
        if self.buffer.len() < PIECE_BYTES { Ok(()) } else { self.send() }
    }

    /// Sends the rest, and says that this was all.
    pub(super) fn finish(mut self) -> Result<(), ClientLeft> {
        self.send()?;
        self.hand_over(Piece::End)
    }

    fn send(&mut self) -> Result<(), ClientLeft> {
        let piece = Bytes::from(std::mem::take(&mut self.buffer));
        if piece.is_empty() {
            return Ok(());
        }
        self.hand_over(Piece::Bytes(piece))
    }

    /// Waits for the client, but not for one that takes a byte now and then: what is read from stays as it is meanwhile.
    fn hand_over(&self, piece: Piece) -> Result<(), ClientLeft> {
        let sent = Handle::current().block_on(timeout(PIECE_PATIENCE, self.outbox.send(piece)));
        sent.map_err(|_| ClientLeft)?.map_err(|_| ClientLeft)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.waiting();
        }
    }
}

impl Default for Body {
    fn default() -> Body {
        Body::from(Bytes::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Whole(bytes)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Body::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Pieces(pieces) => pieces.poll_piece(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_empty(),
            Body::Pieces(pieces) => pieces.is_over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Pieces(_) => SizeHint::default(),
        }
    }
}

impl Pieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match ready!(self.inbox.poll_recv(cx)) {
            Some(Piece::Bytes(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::End) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err(io::Error::other("the answer could not be made to its end")))),
        }
    }
}
