//! All incidents that are known, in memory.
//!
//! Always true: an incident that is not resolved is never forgotten; of the others the oldest go first.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, Entry};
use super::journal::Record;
use super::record::{Incident, State};
use super::stored;

/// Most incidents that are kept.
pub const INCIDENTS_COUNT_MAX: usize = 20_000;
/// Most bytes of their texts, about.
pub const INCIDENTS_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Book {
    incidents: HashMap<String, Kept>,
    bytes: usize,
}

struct Kept {
    incident: Arc<Incident>,
    bytes: usize,
}

impl Book {
    /// Takes what a file says.
    pub(super) fn read(&mut self, record: Record) {
        match record {
            Record::Incident(incident) => self.replace(incident),
            Record::Change(entry) => self.apply(entry),
        }
    }

    /// An incident as a whole takes the place of what was known of it.
    fn replace(&mut self, incident: Arc<Incident>) {
        let bytes = bytes_of(&incident);
        self.bytes += bytes;
        let before = self.incidents.insert(incident.id.clone(), Kept { incident, bytes });
        self.bytes -= before.map_or(0, |before| before.bytes);
    }

    /// Makes a change. One of an incident that is not known is left aside, unless it is its first.
    pub(super) fn apply(&mut self, entry: Entry) {
        let Entry { id, at_ms, change } = entry;
        if !self.incidents.contains_key(&id) {
            let Change::Began { signal } = &change else { return };
            self.replace(Arc::new(Incident::new(&id, signal.taken_ms)));
        }
        let kept = self.incidents.get_mut(&id).expect("it was there, or was put there");
        change.apply(Arc::make_mut(&mut kept.incident), at_ms);
        let bytes = bytes_of(&kept.incident);
        self.bytes = self.bytes - kept.bytes + bytes;
        kept.bytes = bytes;
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Incident>> {
        self.incidents.get(id).map(|kept| &kept.incident)
    }

    /// All of them, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.incidents.values().map(|kept| &kept.incident)
    }

    pub(super) fn len(&self) -> usize {
        self.incidents.len()
    }

    /// Forgets what was resolved before this moment, and, where it is too much, what was resolved longest ago.
    pub(super) fn retire(&mut self, before_ms: i64) {
        let mut resolved: Vec<(i64, String)> = self
            .all()
            .filter(|incident| incident.state() == State::Resolved)
            .map(|incident| (incident.changed_ms.max(incident.resolved_ms().unwrap_or(0)), incident.id.clone()))
            .collect();
        resolved.sort_unstable();
        for (at_ms, id) in resolved {
            let is_too_much = self.len() > INCIDENTS_COUNT_MAX || self.bytes > INCIDENTS_BYTES_MAX;
            if at_ms >= before_ms && !is_too_much {
                break;
            }
            if let Some(kept) = self.incidents.remove(&id) {
                self.bytes -= kept.bytes;
            }
        }
    }
}

/// About how many bytes it takes.
fn bytes_of(incident: &Incident) -> usize {
    const POINT_BYTES: usize = 40;
    const ITEM_BYTES: usize = 100;
    let signal = |signal: &super::record::Signal| {
        let points = signal.figures.as_ref().map_or(0, |figures| figures.chart.len());
        ITEM_BYTES + stored::text_bytes(&signal.alert) + POINT_BYTES * points
    };
    let signals: usize = incident.signals.iter().map(signal).sum();
    let notes: usize = incident.notes.iter().map(|note| ITEM_BYTES + note.by.len() + note.text.len()).sum();
    let deliveries: usize = incident.deliveries.iter().map(|one| ITEM_BYTES + one.id.len() + one.reason.len()).sum();
    ITEM_BYTES + signals + notes + deliveries
}
