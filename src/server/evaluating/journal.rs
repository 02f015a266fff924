//! The file of alerts: what each group knows, replaced as a whole when something changed, at most once a second.
//!
//! What it lags behind is a second: alerts that receivers were told of meanwhile are known from the outbox, and a
//! pending alert that began in it begins anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::rules::{ActiveAlert, RuleGroup, SavedGroup, decode_saved, encode_saved};

/// Least time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is written for nothing but the times of the last evaluations, by which an outage is measured.
const TIMES_INTERVAL: Duration = Duration::from_secs(15);

/// A group by its file and name.
pub(super) type GroupKey = (PathBuf, String);

pub(super) fn key_of(group: &RuleGroup) -> GroupKey {
    (group.file.clone(), group.name.clone())
}

pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    groups: BTreeMap<GroupKey, SavedGroup>,
    is_changed: bool,
    are_times_changed: bool,
    written: Option<Duration>,
}

impl Journal {
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path, clock: Clock) -> Journal {
        Journal { disk, path: path.to_owned(), clock, kept: Mutex::default() }
    }

    /// What was written by the process before this one. A file that cannot be read costs pending alerts, not the start.
    pub(super) fn read(&self) -> Vec<SavedGroup> {
        let bytes = match self.disk.read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Vec::new(),
            Err(error) => {
                tracing::error!(%error, "pending alerts begin anew");
                return Vec::new();
            }
        };
        decode_saved(&bytes).unwrap_or_else(|error| {
            tracing::error!(file = %self.path.display(), %error);
            Vec::new()
        })
    }

    /// Takes what a group knows now.
    pub(super) fn note(&self, key: GroupKey, saved: Option<SavedGroup>) {
        let mut kept = self.kept.lock();
        let before = kept.groups.get(&key);
        if before.is_none() && saved.is_none() {
            return;
        }
        let same = before.zip(saved.as_ref()).is_some_and(|(before, now)| have_same_alerts(before, now));
        kept.is_changed |= !same;
        kept.are_times_changed = true;
        match saved {
            Some(saved) => kept.groups.insert(key, saved),
            None => kept.groups.remove(&key),
        };
    }

    /// Writes if something changed and it is time to.
    pub(super) fn keep_up(&self) {
        // Whoever holds it is writing.
        if let Some(mut kept) = self.kept.try_lock() {
            let since = kept.written.map(|written| self.clock.monotonic().saturating_sub(written));
            let is_due = |interval| since.is_none_or(|since| since >= interval);
            if kept.is_changed && is_due(WRITE_INTERVAL) || kept.are_times_changed && is_due(TIMES_INTERVAL) {
                self.write(&mut kept);
            }
        }
    }

    /// Writes what is not written.
    pub(super) fn close(&self) {
        let mut kept = self.kept.lock();
        if kept.is_changed || kept.are_times_changed {
            self.write(&mut kept);
        }
    }

    fn write(&self, kept: &mut Kept) {
        let groups: Vec<SavedGroup> = kept.groups.values().cloned().collect();
        kept.written = Some(self.clock.monotonic());
        match self.disk.replace(&self.path, &encode_saved(&groups, self.clock.now_ms())) {
            Ok(()) => (kept.is_changed, kept.are_times_changed) = (false, false),
            // The last one stays, and the outbox knows what was told since.
            Err(error) => tracing::warn!(%error, "the file of alerts could not be written and will be tried again"),
        }
    }
}

/// Whether a restart would find the same alerts in both, be their values and annotations what they may.
fn have_same_alerts(one: &SavedGroup, other: &SavedGroup) -> bool {
    let told = |alert: &ActiveAlert| {
        (alert.state, alert.active_at_ms, alert.fired_at_ms, alert.keep_firing_since_ms, alert.resolved_at_ms)
    };
    one.alerts().map(|alert| (&alert.labels, told(alert))).eq(other.alerts().map(|alert| (&alert.labels, told(alert))))
}
