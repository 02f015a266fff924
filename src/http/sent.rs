//! Answers to range queries as they were sent, kept: a dashboard on the wall, or in front of ten people, asks the same again
//! before anything has changed, and gets the same bytes.
//!
//! ```text
//! 12:00:05  asked for 11:00 … 12:00 ── computed                        the engine keeps the numbers
//! 12:00:10  asked again             ── numbers known ── text made      kept here, as it is sent
//! 12:00:15  asked again             ── numbers known ── text known
//! ```
//!
//! Always true:
//! 1. A text is found by the number that the engine gave to the answer of which it was made: whether that is still the
//!    answer, the engine says each time.
//! 2. What is asked for once is not kept, and all that is takes at most the bytes allowed.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::CONTENT_ENCODING;
use parking_lot::Mutex;

use super::body::Body;
use super::compress::{Coding, tell_varies};
use super::reply::{self, Reply};
use crate::recent::Recent;
use crate::telemetry::{Counter, Registry};

/// Most texts that are kept, however short.
const TEXTS_MAX: usize = 1_024;

/// By what they say, and how they are coded.
type Texts = Recent<(TextOf, Option<Coding>), Bytes>;

/// Texts that may be sent again. Shared by all queries.
pub(super) struct SentTexts {
    kept: Arc<Mutex<Texts>>,
    used: Counter,
}

/// What an answer's text says. On a reply that carries the text of a kept answer, as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TextOf {
    /// The engine's number of the answer.
    pub(super) serial: u64,
    /// Most series of it that the text has.
    pub(super) limit: usize,
}

impl SentTexts {
    pub(super) fn new(bytes_max: usize, registry: &Registry) -> SentTexts {
        let kept = Arc::new(Mutex::new(Recent::new(TEXTS_MAX, bytes_max)));
        let bytes_of = kept.clone();
        let help = "Bytes of answers to range queries that are kept as they were sent.";
        registry.gauge_fn("dozor_query_text_bytes", help, &[], move || bytes_of.lock().bytes() as f64);
        let help = "Range queries that were answered with a text that had been sent before.";
        SentTexts { kept, used: registry.counter("dozor_query_texts_used_total", help, &[]) }
    }

    /// The answer with a text that was sent before, in the coding that the client likes.
    pub(super) fn find(&self, text: TextOf, coding: Option<Coding>) -> Option<Reply> {
        let bytes = self.kept.lock().get(&(text, coding)).cloned()?;
        self.used.increment();
        let mut reply = reply::json(StatusCode::OK, bytes);
        if let Some(coding) = coding {
            coding.announce(reply.headers_mut());
            tell_varies(reply.headers_mut());
        }
        Some(reply)
    }

    /// Keeps what is about to be sent, if it is the text of a kept answer.
    pub(super) fn keep(&self, reply: &mut Reply, coding: Option<Coding>) {
        let Some(text) = reply.extensions_mut().remove::<TextOf>() else { return };
        let Body::Whole(bytes) = reply.body() else { return };
        // What its coding made no shorter is of a few bytes.
        if reply.headers().contains_key(CONTENT_ENCODING) != coding.is_some() {
            return;
        }
        let copy = Bytes::copy_from_slice(bytes); // without the room that was left for more
        let length = copy.len();
        let gone = self.kept.lock().insert((text, coding), copy, length);
        drop(gone); // with the lock free again
    }
}
