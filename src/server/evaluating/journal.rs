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

#[cfg(test)]
mod tests {
    use crate::disk::SimulatedDisk;
    use crate::query::{QueryError, Sampled};
    use crate::rules::{self, GroupState, RuleHost, RuleSample, Surroundings};

    use super::*;

    const FILE: &str = "/data/alerts.rules";

    /// A world in which every query has this many series.
    struct World(usize);

    impl RuleHost for World {
        fn ask(&self, _: &str, _: i64) -> Result<Vec<RuleSample>, QueryError> {
            let labels = |node: usize| crate::model::Labels::from_pairs([("node", node.to_string())]).expect("labels");
            let sample = |node| RuleSample { labels: Arc::new(labels(node)), value: Sampled::Number(1.0) };
            Ok((0..self.0).map(sample).collect())
        }

        fn store(&mut self, _: i64, _: &[RuleSample]) -> Result<(), String> {
            Ok(())
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn group() -> GroupState {
        let (disk, path) = (SimulatedDisk::new(), PathBuf::from("/rules.yml"));
        let text = "groups: [{ name: g, rules: [{ alert: A, expr: x, for: 1h }] }]";
        disk.replace(&path, text.as_bytes()).expect("written");
        GroupState::new(rules::load(&disk, &[path]).expect("right").groups[0].clone())
    }

    fn evaluated(state: &mut GroupState, at_ms: i64, series_count: usize) -> Option<SavedGroup> {
        state.evaluate(at_ms, &Surroundings::default(), &mut World(series_count));
        state.saved()
    }

    fn alerts_on_disk(disk: &SimulatedDisk) -> Vec<usize> {
        match disk.read(Path::new(FILE)) {
            Ok(bytes) => decode_saved(&bytes).expect("whole").iter().map(|group| group.alerts().count()).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_change_is_written_at_most_once_a_second_and_times_alone_every_quarter_of_a_minute() {
        let (disk, clock) = (Arc::new(SimulatedDisk::new()), Clock::manual(0));
        disk.create_folder(Path::new("/data")).expect("made");
        let journal = Journal::new(disk.clone(), Path::new(FILE), clock.clone());
        let mut state = group();
        let name = key_of(state.group());
        let key = || name.clone();
        journal.note(key(), evaluated(&mut state, 0, 1));
        journal.keep_up();
        assert_eq!(alerts_on_disk(&disk), [1]);
        journal.note(key(), evaluated(&mut state, 500, 2));
        clock.advance(Duration::from_millis(999));
        journal.keep_up();
        assert_eq!(alerts_on_disk(&disk), [1], "within the second");
        clock.advance(Duration::from_millis(1));
        journal.keep_up();
        assert_eq!(alerts_on_disk(&disk), [2]);

        let at_ms =
            |disk: &SimulatedDisk| decode_saved(&disk.read(Path::new(FILE)).expect("there")).expect("whole")[0].at_ms;
        journal.note(key(), evaluated(&mut state, 1_500, 2));
        clock.advance(Duration::from_secs(14));
        journal.keep_up();
        assert_eq!(at_ms(&disk), 500, "nothing but time has passed");
        clock.advance(Duration::from_secs(1));
        journal.keep_up();
        assert_eq!(at_ms(&disk), 1_500);

        journal.note(key(), evaluated(&mut state, 2_500, 0));
        journal.close();
        assert_eq!(alerts_on_disk(&disk), Vec::<usize>::new(), "without alerts a group is left out");
        assert!(journal.read().is_empty());
    }

    #[test]
    fn a_damaged_file_costs_its_alerts_and_not_the_start() {
        let disk = Arc::new(SimulatedDisk::new());
        disk.create_folder(Path::new("/data")).expect("made");
        let journal = Journal::new(disk.clone(), Path::new(FILE), Clock::manual(0));
        assert!(journal.read().is_empty(), "there is none");
        disk.replace(Path::new(FILE), b"no file of ours").expect("written");
        assert!(journal.read().is_empty());
    }
}
