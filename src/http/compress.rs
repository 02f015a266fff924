//! Answers made shorter, for clients that say that they can read them so.
//!
//! ```text
//! Accept-Encoding: gzip, zstd;q=0.9, identity;q=0.1  ─►  gzip
//! Accept-Encoding: gzip, deflate, br, zstd           ─►  zstd, which costs less than gzip for the same length
//! ```
//!
//! Always true:
//! 1. What is announced is what is sent: `Content-Length` is that of the bytes on the wire, for HEAD too.
//! 2. A long answer is compressed on a thread for work, not on one that serves sockets.
//!
//! Left as they are: answers in pieces, which are sent while they are made, and what is compressed already.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, VARY};

use super::body::Body;
use super::reply::{Reply, by_quality};

/// Shorter answers fit one packet anyway.
const BYTES_MIN: usize = 1024;
/// Up to here an answer is compressed on the spot: that takes well below a millisecond.
const BYTES_ON_THE_SPOT_MAX: usize = 32 << 10;
/// The quick levels: an answer is read once, and mostly by a neighbour.
const ZSTD_LEVEL: i32 = 1;

/// A way to write an answer shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// The one that the client likes best, if it likes one at least as well as none.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<Coding> {
        let all: Vec<&str> = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
        if all.is_empty() {
            return None;
        }
        Coding::of(&all.join(","))
    }

    fn of(accept_encoding: &str) -> Option<Coding> {
        let mut best: Option<(f32, Coding)> = None;
        let mut identity = 0.0;
        for (quality, name) in by_quality(accept_encoding) {
            let coding = match name.to_ascii_lowercase().as_str() {
                "zstd" => Coding::Zstd,
                "gzip" | "x-gzip" | "*" => Coding::Gzip,
                "identity" => {
                    identity = quality;
                    continue;
                }
                _ => continue,
            };
            if best.is_none_or(|(known, _)| quality > known || quality == known && coding == Coding::Zstd) {
                best = Some((quality, coding));
            }
        }
        best.filter(|(quality, _)| *quality >= identity).map(|(_, coding)| coding)
    }

    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        }
    }

    /// Says that an answer is written so.
    pub(super) fn announce(self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(self.name()));
    }

    fn compress(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

/// Says that somebody else might get the answer otherwise.
pub(super) fn tell_varies(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// The answer as the client wants it.
pub(super) async fn compressed(coding: Option<Coding>, mut reply: Reply) -> Reply {
    let Body::Whole(bytes) = reply.body() else { return reply };
    if reply.headers().contains_key(CONTENT_ENCODING) || bytes.len() < BYTES_MIN {
        return reply;
    }
    let bytes = bytes.clone();
    tell_varies(reply.headers_mut());
    let Some(coding) = coding else { return reply };
    let length = bytes.len();
    let made = if length <= BYTES_ON_THE_SPOT_MAX {
        coding.compress(&bytes)
    } else {
        let work = tokio::task::spawn_blocking(move || coding.compress(&bytes));
        work.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    match made {
        Ok(shorter) if shorter.len() < length => {
            *reply.body_mut() = Body::from(Bytes::from(shorter));
            coding.announce(reply.headers_mut());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, coding = coding.name(), "an answer is sent as it is"),
    }
    reply
}
