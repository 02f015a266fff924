//! What a sender is told: all of it stored, a part, or nothing, and why.

use std::fmt;

use crate::storage::{WriteError, WriteSummary};

/// What was stored of a request that was taken whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples stored, those included that were stored before.
    pub samples: u64,
}

/// Why a request was not taken, or not as a whole.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Not a kind of body that is spoken here.
    #[error("{0}")]
    Unsupported(String),
    /// The bytes are not what they claim to be.
    #[error("{0}")]
    Malformed(String),
    /// Over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// A part was refused for good; the rest is stored.
    #[error("{0}")]
    Partial(PartialWrite),
    /// No room now.
    #[error("the engine is busy: requests of more than {limit_bytes} bytes are under way; try again")]
    NoRoom {
        /// Bound of inflated bytes under way.
        limit_bytes: usize,
    },
    /// The storage did not acknowledge.
    #[error(transparent)]
    Storage(#[from] WriteError),
}

/// What a 400 after a partial write tells.
#[derive(Debug)]
pub struct PartialWrite {
    /// Samples that are stored.
    pub stored: u64,
    /// Samples and series that are not.
    pub refused: u64,
    /// The first of them, and why.
    pub first: String,
    /// How many for each reason.
    pub reasons: Vec<(String, u64)>,
}

impl fmt::Display for PartialWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused, {} stored; first refused: {}", self.refused, self.stored, self.first)?;
        for (index, (reason, count)) in self.reasons.iter().enumerate() {
            write!(f, "{}{count} × {reason}", if index == 0 { "; in all: " } else { ", " })?;
        }
        Ok(())
    }
}

impl IngestError {
    /// The HTTP status that tells the sender what to do.
    pub fn status(&self) -> u16 {
        match self {
            IngestError::Unsupported(_) => 415,
            IngestError::Malformed(_) | IngestError::Partial(_) => 400,
            IngestError::TooLarge(_) => 413,
            IngestError::NoRoom { .. } | IngestError::Storage(_) => 503,
        }
    }

    /// Seconds after which the sender may try again, if that is of use.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            IngestError::NoRoom { .. } | IngestError::Storage(WriteError::Busy(_)) => Some(1),
            IngestError::Storage(_) => Some(5),
            _ => None,
        }
    }

    /// Samples that were stored all the same.
    pub fn stored(&self) -> u64 {
        match self {
            IngestError::Partial(partial) => partial.stored,
            _ => 0,
        }
    }
}

/// Reasons that an answer lists; they may quote the sender, and a few of them tell the story.
const REASONS_TOLD_MAX: usize = 8;

/// What was refused before it reached a shard.
#[derive(Debug, Default)]
pub(super) struct RefusedRows {
    pub(super) count: u64,
    first: Option<String>,
    reasons: Vec<(String, u64)>,
}

impl RefusedRows {
    pub(super) fn add(&mut self, count: u64, reason: String, what: impl FnOnce() -> String) {
        self.note(count, reason, what);
    }

    /// Counts what was refused for a reason, and gives the reason's place.
    pub(super) fn note(&mut self, count: u64, reason: String, what: impl FnOnce() -> String) -> usize {
        self.count += count;
        if self.first.is_none() {
            self.first = Some(format!("{}: {reason}", what()));
        }
        let place = self.reasons.iter().position(|(known, _)| *known == reason).unwrap_or(self.reasons.len());
        if let Some((_, total)) = self.reasons.get_mut(place) {
            *total += count;
        } else if place < REASONS_TOLD_MAX {
            self.reasons.push((reason, count));
        }
        place
    }

    /// Counts one more for the reason at this place.
    pub(super) fn add_one(&mut self, place: usize) {
        self.count += 1;
        if let Some((_, total)) = self.reasons.get_mut(place) {
            *total += 1;
        }
    }
}

/// The verdict on a request, from what the shards say and what never came to them.
pub(super) fn conclude(summary: WriteSummary, mut refused: RefusedRows) -> Result<Written, IngestError> {
    for (why, count) in &summary.refused {
        let first = summary.first_refused.as_ref();
        refused.add(*count, why.to_string(), || match first {
            Some((labels, timestamp_ms, _)) => format!("{labels} at {timestamp_ms}"),
            None => "a sample".to_owned(),
        });
    }
    if refused.count == 0 {
        return Ok(Written { samples: summary.stored_count });
    }
    Err(IngestError::Partial(PartialWrite {
        stored: summary.stored_count,
        refused: refused.count,
        first: refused.first.unwrap_or_default(),
        reasons: refused.reasons,
    }))
}
