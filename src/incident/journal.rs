//! The journal's records: an incident as a whole, and what happens to one. Layout: `storage-format`, chapter *incidents*.
//!
//! ```text
//! incidents/0000000003.incidents   | incident inc-1 | incident inc-2 | inc-2 acknowledged | inc-3 began | …
//! ```

use std::sync::Arc;

use serde::de::DeserializeOwned;
use storage_format::frame::FileKind;
use storage_format::incidents as format;

use super::change::Entry;
use super::record::Incident;
use crate::journal;

/// The files of incidents.
pub(super) type Journal = journal::Journal<Record>;

/// What a file says, one thing after the other.
pub(super) enum Record {
    Incident(Arc<Incident>),
    Change(Entry),
}

impl journal::Record for Record {
    const FILE_KIND: FileKind = FileKind::Incidents;
    const EXTENSION: &'static str = ".incidents";
    const JOURNAL: &'static str = "the journal of incidents";

    fn encode(&self, payload: &mut Vec<u8>) -> u8 {
        let (kind, id, at_ms, body) = match self {
            Record::Incident(incident) => {
                (format::KIND_INCIDENT, &incident.id, incident.changed_ms, serde_json::to_string(&**incident))
            }
            Record::Change(Entry { id, at_ms, change }) => {
                (format::KIND_CHANGE, id, *at_ms, serde_json::to_string(change))
            }
        };
        let body = body.expect("a record has only names that are texts");
        format::Entry { id, at_ms, body: &body }.encode(payload);
        kind
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Record, String> {
        let entry = format::Entry::decode(payload).map_err(|corruption| format!("its payload {corruption}"))?;
        let (id, at_ms) = (entry.id.to_owned(), entry.at_ms);
        match kind {
            format::KIND_INCIDENT => {
                let incident: Incident = json(entry.body)?;
                Ok(Record::Incident(Arc::new(Incident { id, changed_ms: at_ms, ..incident })))
            }
            format::KIND_CHANGE => Ok(Record::Change(Entry { id, at_ms, change: json(entry.body)? })),
            _ => Err(format!("{kind} is no kind of record of incidents")),
        }
    }
}

fn json<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("its body is not ours: {error}"))
}
