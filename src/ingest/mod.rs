//! Writes of strangers.

use bytes::Bytes;

/// Takes writes.
pub struct Ingest;

/// What the head of a write says about its body.
pub struct WriteHead<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// `X-Prometheus-Remote-Write-Version`.
    pub version: Option<&'a str>,
}

/// What was stored.
pub struct Written {
    /// Number of samples.
    pub samples: u64,
}

/// Why a write was refused.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The client must change it.
    #[error("{0}")]
    Bad(String),
    /// Try again.
    #[error("busy")]
    Busy,
}

impl IngestError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            IngestError::Bad(_) => 400,
            IngestError::Busy => 503,
        }
    }

    /// When to try again, in s.
    pub fn retry_after_s(&self) -> Option<u32> {
        matches!(self, IngestError::Busy).then_some(7)
    }
}

impl Ingest {
    /// Takes a write: stands in for the real one, and goes by the first bytes of the body.
    pub async fn remote_write(&self, head: WriteHead<'_>, body: Bytes) -> Result<Written, IngestError> {
        let _ = head.version;
        match body.as_ref() {
            b"busy" => Err(IngestError::Busy),
            b"bug" => panic!("this write is a bug"),
            b"head" => Err(IngestError::Bad(format!("{:?} {:?}", head.content_type, head.content_encoding))),
            other => Ok(Written { samples: other.len() as u64 }),
        }
    }
}
