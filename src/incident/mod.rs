//! Incidents: what happened, who was told when, who took it, how it ended; kept on disk, for the page of tonight and the report
//! of the year.
//!
//! ```text
//! notify ─► Event ─► Incidents::take ─┐                       ┌─► GET /api/v1/incidents, the report
//! POST …/ack, …/notes ────────────────┼─► journal: append, ───┼─► state: open, acknowledged, unknown, resolved
//! telemetry lost, come back ──────────┘   sync                └─► escalation: who is told next, and when
//! ```
//!
//! Orders drop in `region="eu"` at 12:00:00, which is seen at 12:01:15 and told to the pager at 12:01:16. Nobody answers:
//! at 12:16:16 the project lead is told. Ada acknowledges at 12:17:02; from there on nobody else is woken. Orders recover
//! at 12:40:00. The process was killed in between: what it knew is read again from the journal, which the incident outlives
//! by [`IncidentOptions::retention_ms`].
//!
//! Always true:
//! 1. What a person said (an acknowledgement, a note) is on disk before they are answered.
//! 2. What is told here of an incident is read again after a crash, up to what was not synced; events of the notifier that
//!    were lost by that are found again by [`Incidents::reconcile`], for the outbox has the alerts.
//! 3. An incident is resolved when all its signals ended, and when nobody doubts that they did: while the samples of a
//!    job are missing whose signal ended, it is unknown.
//! 4. Readers never wait for the disk.
//!
//! | locks, in this order | holds |
//! | --- | --- |
//! | journal | the file, also while syncing |
//! | lost jobs | whose samples are missing; never while waiting |
//! | book | the incidents; never while waiting |
//!
//! Deliberately absent: who is on duty when, and access. The external incident system knows the first, a proxy the second.

mod book;
mod change;
mod escalation;
mod incidents;
mod journal;
mod record;
mod size;
mod stored;

use crate::disk::DiskError;

pub use book::{INCIDENTS_BYTES_MAX, INCIDENTS_COUNT_MAX};
pub use change::{DELIVERIES_COUNT_MAX, INCIDENT_BYTES_MAX, NOTE_BYTES_MAX, NOTES_COUNT_MAX, PERSON_BYTES_MAX};
pub use escalation::{Due, Escalation, Step, Why};
pub use incidents::{Filter, IncidentOptions, Incidents, Lasting, RecoveredIncidents};
pub use record::{
    Acknowledgement, ChartPoint, Delivery, DeliveryResult, Escalated, Figures, Incident, Note, Signal, State,
};

/// Why something could not be noted of an incident.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// There is none of this id, or none any more.
    #[error("there is no incident {0}")]
    Unknown(String),
    /// It has ended: nobody need take it.
    #[error("the incident {id} is resolved since {resolved}")]
    Resolved {
        /// Its id.
        id: String,
        /// When, for people.
        resolved: String,
    },
    /// What was said is empty or too long.
    #[error("{0}")]
    Refused(String),
    /// The journal could not be written. Try again when the disk is well.
    #[error("the journal of incidents: {0}")]
    Disk(#[from] DiskError),
}

#[cfg(test)]
mod tests;
