//! What a sender is told: all of it stored, a part, or nothing, and why.

use std::fmt;

use crate::storage::{Refusal, WriteError, WriteSummary};

/// What was stored of a request that was taken whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples stored, those included that were stored before; without native histograms.
    pub samples: u64,
    /// Native histograms, the same.
    pub histograms: u64,
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
    #[error("{what}")]
    TooLarge {
        /// The limit's setting, without the `limits.` before it.
        setting: &'static str,
        /// What is too large, and what to do.
        what: String,
    },
    /// A part was refused for good; the rest is stored.
    #[error("{0}")]
    Partial(Box<PartialWrite>),
    /// A part has to wait, and maybe another is refused for good; the rest is stored. Sent again, what is stored stays
    /// as it is.
    #[error("{0}; try again")]
    Crowded(Box<PartialWrite>),
    /// No room now.
    #[error(
        "the engine is busy: requests under way take the {limit_bytes} bytes that they may \
         (limits.ingest_bytes_in_flight_max); try again"
    )]
    NoRoom {
        /// Bound of inflated bytes under way.
        limit_bytes: usize,
    },
    /// The storage did not acknowledge.
    #[error(transparent)]
    Storage(#[from] WriteError),
}

/// Longest text of an answer, in bytes.
const TOLD_BYTES_MAX: usize = 4096;

/// A text of a length that suits an answer.
pub(super) fn cut(mut told: String) -> String {
    if told.len() > TOLD_BYTES_MAX {
        told.truncate(told.floor_char_boundary(TOLD_BYTES_MAX - "…".len()));
        told.push('…');
    }
    told
}

/// What a 400 after a partial write tells.
#[derive(Debug)]
pub struct PartialWrite {
    /// Samples that are stored, native histograms among them.
    pub stored: u64,
    /// How many of them are native histograms.
    pub histograms: u64,
    /// Samples and series that are not.
    pub refused: u64,
    /// The first of them, and why.
    pub first: String,
    /// How many for each reason.
    pub reasons: Vec<(String, u64)>,
    /// How many for each of [`SAMPLE_REFUSALS`].
    pub(super) by_kind: [u64; SAMPLE_REFUSALS.len()],
}

/// Why requests are not taken whole, as our metrics call it: limits by their settings.
pub(super) const REFUSALS: [&str; 15] = [
    "unsupported",
    "malformed",
    "partial",
    "request_bytes_max",
    "request_decoded_bytes_max",
    "series_per_request_max",
    "samples_per_request_max",
    "too_large",
    "ingest_bytes_in_flight_max",
    "shard_queue",
    "log_failing",
    "head_bytes_max",
    "closing",
    "crowded",
    "series_freed",
];
/// Why samples are refused while their neighbours are stored, as our metrics call it. What is unreadable has labels,
/// values or types that are not stored here.
pub(super) const SAMPLE_REFUSALS: [&str; 7] =
    ["too_old", "too_far_ahead", "conflict", "too_many_late", "too_many_belated", "series_max", "unreadable"];

/// The place of a refusal by a shard in [`SAMPLE_REFUSALS`].
fn kind(refusal: Refusal) -> usize {
    match refusal {
        Refusal::TooOld => 0,
        Refusal::TooFarAhead => 1,
        Refusal::Conflict => 2,
        Refusal::TooManyLate => 3,
        Refusal::TooManyBelated => 4,
        Refusal::TooManySeries => 5,
    }
}
const UNREADABLE: usize = SAMPLE_REFUSALS.len() - 1;

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
    /// What the sender is told, of a length that suits an answer: reasons may quote the sender.
    pub fn told(&self) -> String {
        cut(self.to_string())
    }

    /// The HTTP status that tells the sender what to do.
    pub fn status(&self) -> u16 {
        match self {
            IngestError::Unsupported(_) => 415,
            IngestError::Malformed(_) | IngestError::Partial(_) => 400,
            IngestError::TooLarge { .. } => 413,
            IngestError::Crowded(_) | IngestError::NoRoom { .. } | IngestError::Storage(_) => 503,
        }
    }

    /// Seconds after which the sender may try again, if that is of use.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            IngestError::Crowded(_)
            | IngestError::NoRoom { .. }
            | IngestError::Storage(WriteError::Busy(_) | WriteError::SeriesFreed(_)) => Some(1),
            IngestError::Storage(_) => Some(5),
            _ => None,
        }
    }

    /// The place of the reason in [`REFUSALS`].
    pub(super) fn reason(&self) -> usize {
        match self {
            IngestError::Unsupported(_) => 0,
            IngestError::Malformed(_) => 1,
            IngestError::Partial(_) => 2,
            IngestError::TooLarge { setting, .. } => (3..7).find(|index| REFUSALS[*index] == *setting).unwrap_or(7),
            IngestError::NoRoom { .. } => 8,
            IngestError::Storage(WriteError::Busy(_)) => 9,
            IngestError::Storage(WriteError::LogFailing(_)) => 10,
            IngestError::Storage(WriteError::HeadFull(_)) => 11,
            IngestError::Storage(WriteError::Closing) => 12,
            IngestError::Crowded(_) => 13,
            IngestError::Storage(WriteError::SeriesFreed(_)) => 14,
        }
    }

    /// What was stored all the same.
    pub fn written(&self) -> Written {
        match self {
            IngestError::Partial(partial) | IngestError::Crowded(partial) => {
                Written { samples: partial.stored - partial.histograms, histograms: partial.histograms }
            }
            _ => Written::default(),
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
    let mut by_kind = [0; SAMPLE_REFUSALS.len()];
    by_kind[UNREADABLE] = refused.count;
    for (why, count) in &summary.refused {
        by_kind[kind(*why)] += count;
        let first = summary.first_refused.as_ref();
        refused.add(*count, why.to_string(), || match first {
            Some((labels, timestamp_ms, _)) => format!("{labels} at {timestamp_ms}"),
            None => "a sample".to_owned(),
        });
    }
    if refused.count == 0 {
        let histograms = summary.histogram_count;
        return Ok(Written { samples: summary.stored_count - histograms, histograms });
    }
    let partial = Box::new(PartialWrite {
        stored: summary.stored_count,
        histograms: summary.histogram_count,
        refused: refused.count,
        first: refused.first.unwrap_or_default(),
        reasons: refused.reasons,
        by_kind,
    });
    let is_passing = summary.refused.iter().any(|(why, _)| why.passes());
    Err(if is_passing { IngestError::Crowded(partial) } else { IngestError::Partial(partial) })
}
