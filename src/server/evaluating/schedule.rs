//! Which group is due when.
//!
//! A group of `interval: 15s` whose slots are at :07, :22, :37 and :52 is started at :30; it is due at :37 first. When
//! its evaluation of :37 ends at :58, the one of :52 is due at once; when it ends at 1:30, the one of 1:22 is, and those of :52 and 1:07 are
//! counted as missed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::run::Run;
use crate::model::Labels;
use crate::rules::RuleSet;

/// How far ahead of its time a group may be due, in intervals: the clock was put back.
const AHEAD_INTERVALS_MAX: i64 = 2;

/// What is to be done next.
pub(super) enum Task {
    /// A group's evaluation at a moment.
    Evaluate {
        run: Arc<Run>,
        at_ms: i64,
        /// Evaluations that were due before it and were left out.
        missed_count: u64,
    },
    /// The end of series whose group is no more.
    End(Ending),
}

/// Series whose group is no more.
pub(super) struct Ending {
    pub(super) series: BTreeSet<Arc<Labels>>,
    /// When they ended.
    pub(super) sample_ms: i64,
    /// When that is to be stored: rules that took their place have gone on with theirs by then.
    pub(super) due_ms: i64,
}

#[derive(Default)]
pub(super) struct Schedule {
    /// The rules in force.
    pub(super) set: Arc<RuleSet>,
    pub(super) is_stopping: bool,
    entries: Vec<Entry>,
    endings: Vec<Ending>,
}

struct Entry {
    run: Arc<Run>,
    due_ms: i64,
    is_busy: bool,
}

impl Schedule {
    /// The groups, in the order of their files and names.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.entries.iter().map(|entry| &entry.run)
    }

    /// Takes these groups in place of those before; those that stay keep their time.
    pub(super) fn replace(&mut self, set: Arc<RuleSet>, runs: Vec<Arc<Run>>, endings: Vec<Ending>, now_ms: i64) {
        let mut before = std::mem::take(&mut self.entries);
        self.entries = runs
            .into_iter()
            .map(|run| match before.iter().position(|entry| Arc::ptr_eq(&entry.run, &run)) {
                Some(index) => before.swap_remove(index),
                None => Entry { due_ms: next_ms(&run, now_ms), run, is_busy: false },
            })
            .collect();
        self.endings.extend(endings);
        self.set = set;
    }

    /// What is due, or how long nothing will be.
    pub(super) fn take(&mut self, now_ms: i64) -> Result<Task, Duration> {
        if let Some(index) = self.endings.iter().position(|ending| ending.due_ms <= now_ms) {
            return Ok(Task::End(self.endings.swap_remove(index)));
        }
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_busy) {
            if entry.due_ms - now_ms > AHEAD_INTERVALS_MAX * entry.run.interval_ms {
                entry.due_ms = next_ms(&entry.run, now_ms);
            }
        }
        let endings_due = self.endings.iter().map(|ending| ending.due_ms);
        let idle = self.entries.iter_mut().filter(|entry| !entry.is_busy);
        let Some(entry) = idle.min_by_key(|entry| entry.due_ms) else {
            return Err(until(endings_due.min().unwrap_or(i64::MAX), now_ms));
        };
        if entry.due_ms > now_ms {
            return Err(until(endings_due.fold(entry.due_ms, i64::min), now_ms));
        }
        let interval_ms = entry.run.interval_ms;
        let at_ms = entry.run.group.slot_ms(interval_ms, now_ms);
        let missed_count = u64::try_from((at_ms - entry.due_ms) / interval_ms).unwrap_or(0);
        (entry.due_ms, entry.is_busy) = (at_ms + interval_ms, true);
        Ok(Task::Evaluate { run: entry.run.clone(), at_ms, missed_count })
    }

    /// An evaluation has ended.
    pub(super) fn give_back(&mut self, run: &Arc<Run>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.run, run)) {
            entry.is_busy = false;
        }
    }
}

fn next_ms(run: &Run, now_ms: i64) -> i64 {
    run.group.slot_ms(run.interval_ms, now_ms) + run.interval_ms
}

fn until(due_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::rules::{GroupState, RuleGroup};
    use crate::telemetry::Registry;

    fn run(name: &str, interval_ms: i64) -> Arc<Run> {
        let group = RuleGroup {
            file: PathBuf::from("/etc/shop/rules.yml"),
            name: name.to_owned(),
            interval_ms: Some(interval_ms),
            query_offset_ms: None,
            limit: 0,
            rules: Vec::new(),
        };
        let figures = super::super::figures::Figures::new(Arc::new(Registry::new())).of(&group);
        Arc::new(Run::new(GroupState::new(Arc::new(group)), interval_ms, figures))
    }

    fn schedule(runs: Vec<Arc<Run>>, now_ms: i64) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.replace(Arc::default(), runs, Vec::new(), now_ms);
        schedule
    }

    /// The slots of `checkout` every 7 s lie at 1,795,361,788.529 and so on, as Prometheus has them.
    #[test]
    fn a_group_is_due_at_its_next_slot_and_what_was_missed_is_counted() {
        let checkout = run("checkout", 7_000);
        let mut schedule = schedule(vec![checkout.clone()], 1_795_361_789_834);
        assert_eq!(schedule.take(1_795_361_789_834).err(), Some(Duration::from_millis(5_695)));
        assert_eq!(schedule.take(1_795_361_795_528).err(), Some(Duration::from_millis(1)));
        let Ok(Task::Evaluate { at_ms, missed_count, .. }) = schedule.take(1_795_361_795_529) else { panic!("due") };
        assert_eq!((at_ms, missed_count), (1_795_361_795_529, 0));
        assert!(schedule.take(1_795_361_809_834).is_err(), "it is being evaluated");
        schedule.give_back(&checkout);
        let Ok(Task::Evaluate { at_ms, missed_count, .. }) = schedule.take(1_795_361_819_834) else { panic!("due") };
        assert_eq!((at_ms, missed_count), (1_795_361_816_529, 2));
    }

    #[test]
    fn the_group_that_is_due_longest_comes_first_and_a_clock_that_went_back_stops_none() {
        let (checkout, payment) = (run("checkout", 7_000), run("payment", 5_000));
        let mut schedule = schedule(vec![checkout.clone(), payment.clone()], 1_795_361_785_000);
        let name = |task: Result<Task, Duration>| match task {
            Ok(Task::Evaluate { run, at_ms, .. }) => (run.group.name.clone(), at_ms),
            _ => panic!("one is due"),
        };
        assert_eq!(name(schedule.take(1_795_361_789_000)), ("payment".to_owned(), 1_795_361_786_240));
        assert_eq!(name(schedule.take(1_795_361_789_000)), ("checkout".to_owned(), 1_795_361_788_529));
        schedule.give_back(&checkout);
        schedule.give_back(&payment);
        assert!(schedule.take(1_795_000_000_000).is_err_and(|wait| wait <= Duration::from_secs(7)));
    }

    #[test]
    fn series_without_a_group_end_when_their_time_has_come() {
        let mut schedule = schedule(Vec::new(), 0);
        let ending = Ending { series: BTreeSet::new(), sample_ms: 1_000, due_ms: 3_000 };
        schedule.replace(Arc::default(), Vec::new(), vec![ending], 1_000);
        assert_eq!(schedule.take(1_000).err(), Some(Duration::from_secs(2)));
        assert!(matches!(schedule.take(3_000), Ok(Task::End(Ending { sample_ms: 1_000, .. }))));
    }
}
