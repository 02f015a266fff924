//! All incidents that are known, in memory.
//!
//! Always true: an incident that is not resolved is never forgotten; of the others the oldest go first.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, Entry};
use super::journal::Record;
use super::record::Incident;
use super::size::Size;

/// Most incidents that are kept.
pub const INCIDENTS_COUNT_MAX: usize = 20_000;
/// Most bytes of their texts, about.
pub const INCIDENTS_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Book {
    incidents: HashMap<String, Kept>,
    /// Of all of them, about.
    pub(super) bytes: usize,
}

struct Kept {
    incident: Arc<Incident>,
    size: Size,
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
        let size = Size::of(&incident);
        self.bytes += size.bytes;
        let before = self.incidents.insert(incident.id.clone(), Kept { incident, size });
        self.bytes -= before.map_or(0, |before| before.size.bytes);
    }

    /// Makes a change. One of an incident that is not known is left aside, unless it is its first.
    pub(super) fn apply(&mut self, entry: Entry) {
        let Entry { id, at_ms, change } = entry;
        if !self.incidents.contains_key(&id) {
            let Change::Began { signal } = &change else { return };
            self.replace(Arc::new(Incident::new(&id, signal.taken_ms)));
        }
        let kept = self.incidents.get_mut(&id).expect("it was there, or was put there");
        self.bytes -= kept.size.bytes;
        change.apply(Arc::make_mut(&mut kept.incident), at_ms, &mut kept.size);
        self.bytes += kept.size.bytes;
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

    /// The ids of what was resolved before this moment, and, where it is too much, of what was resolved longest ago.
    pub(super) fn outdated(&self, before_ms: i64) -> Vec<String> {
        let is_too_much = |count: usize, bytes: usize| count > INCIDENTS_COUNT_MAX || bytes > INCIDENTS_BYTES_MAX;
        let (mut count, mut bytes) = (self.len(), self.bytes);
        let all_may_go = is_too_much(count, bytes);
        let ended = |kept: &Kept| {
            let ended_ms = kept.incident.changed_ms.max(kept.incident.resolved_ms()?);
            (all_may_go || ended_ms < before_ms).then_some(ended_ms)
        };
        let mut resolved: Vec<(i64, &String, usize)> =
            self.incidents.iter().filter_map(|(id, kept)| Some((ended(kept)?, id, kept.size.bytes))).collect();
        resolved.sort_unstable();
        let goes = |(ended_ms, _, own_bytes): &(i64, &String, usize)| {
            let goes = *ended_ms < before_ms || is_too_much(count, bytes);
            (count, bytes) = (count - 1, bytes - own_bytes);
            goes
        };
        resolved.into_iter().take_while(goes).map(|(_, id, _)| id.clone()).collect()
    }

    /// Forgets these.
    pub(super) fn forget(&mut self, ids: &[String]) {
        let gone = ids.iter().filter_map(|id| self.incidents.remove(id));
        self.bytes -= gone.map(|kept| kept.size.bytes).sum::<usize>();
    }
}
