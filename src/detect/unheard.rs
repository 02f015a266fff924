//! What fires and of which nothing comes any more: a pod that was replaced while it was in trouble.
//!
//! ```text
//! 12:00 fires · 12:05 the last bucket · 12:20 asked: was it removed? ─► yes: ends, as of 12:20
//!                                                                  └─► nobody knows: ends at 0:05, half a day behind
//! ```
//!
//! The judge sees samples, not who scrapes whom: whoever knows the stored series finds what it asks in [`super::Shared::unheard`],
//! and answers by [`super::Shared::end_removed`].
//!
//! Always true:
//! 1. Of whom something came between question and answer nothing ends.
//! 2. After a start or a pause everybody is to be heard first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::hold::{Spell, Turn};
use super::judge::Judge;
use super::shared::REMOVED_COUNT_MAX;
use super::transition::{Direction, Transition};
use crate::model::Labels;

/// How often groups are looked at that no worker has a place for, in ms of event time.
const LOOK_INTERVAL_MS: i64 = 60_000;
/// How often all groups are looked through for those that fire and of which nothing comes: few times in half a day, for
/// each is fetched from memory.
const GIVE_UP_INTERVAL_MS: i64 = 600_000;
/// Event time that moves on by more than this at once has jumped, and so long after that whoever is there is heard, in ms.
const JUMP_MS: i64 = 300_000;
const HEARD_WITHIN_MS: i64 = 900_000;
/// How long an alert is kept of which nothing comes, where nobody says otherwise, in ms: half a day.
pub(super) const UNHEARD_MS_MAX: i64 = 43_200_000;
/// For how long nothing came of what is asked about, in ms: three times as long as a query finds a series that has ceased.
const REMOVED_MS: i64 = 900_000;

/// A group that fires and of which nothing comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Unheard {
    /// Index of the watch, as they were given to [`super::start`].
    pub watch: usize,
    /// Labels of the group.
    pub labels: Arc<Labels>,
    /// End of the last bucket of which something came, in ms since 1970 UTC.
    pub since_ms: i64,
    /// The event time at which it is asked about, in ms since 1970 UTC.
    pub as_of_ms: i64,
}

impl Judge {
    /// Looks now and then after those of which nothing comes.
    pub(super) fn look_after_unheard(&mut self, seen_by_all_ms: i64, transitions: &mut Vec<Transition>) {
        if seen_by_all_ms.saturating_sub(self.polled_ms) > JUMP_MS {
            self.steady_since_ms = seen_by_all_ms;
        }
        self.polled_ms = self.polled_ms.max(seen_by_all_ms);
        let is_due = seen_by_all_ms.saturating_sub(self.given_up_ms) >= GIVE_UP_INTERVAL_MS;
        if self.is_steady() && is_due {
            self.given_up_ms = seen_by_all_ms;
            self.give_up(transitions);
            let restless = self.groups.iter().filter(|group| group.model.is_restless()).count();
            self.shared.metrics.groups_restless.store(restless as u64, Ordering::Relaxed);
        }
        if seen_by_all_ms.saturating_sub(self.looked_ms) >= LOOK_INTERVAL_MS {
            self.looked_ms = seen_by_all_ms;
            self.let_leave();
        }
    }

    /// Whether all have had the time to be heard.
    fn is_steady(&self) -> bool {
        self.polled_ms.saturating_sub(self.steady_since_ms) >= HEARD_WITHIN_MS
    }

    /// Ends the alerts of which nothing has come for too long, and asks about the others of which nothing comes.
    fn give_up(&mut self, transitions: &mut Vec<Transition>) {
        let mut asked = Vec::new();
        // By turns, for those of whom it was asked in vain are there again.
        let (count, first) = (self.groups.len(), self.asked_index);
        for index in (0..count).map(|index| (first + index) % count) {
            let Some(since_ms) = self.unheard_since_ms(index) else { continue };
            let age_ms = self.polled_ms.saturating_sub(since_ms);
            if age_ms >= self.unheard_max_ms {
                transitions.extend(self.end_unheard(index, since_ms, self.unheard_max_ms));
            } else if age_ms >= REMOVED_MS && asked.len() < REMOVED_COUNT_MAX {
                let group = &self.groups[index];
                let (watch, labels) = (group.watch, group.labels.clone());
                asked.push(Unheard { watch, labels, since_ms, as_of_ms: self.polled_ms });
                self.asked_index = index + 1;
            }
        }
        self.shared.ask(asked);
    }

    /// Ends the alerts of those that were said to be removed.
    pub(super) fn end_all_removed(&mut self, transitions: &mut Vec<Transition>) {
        while let Some(Unheard { watch, labels, since_ms, .. }) = self.shared.next_removed() {
            let index = self.by_labels.get(watch).and_then(|known| known.get(&labels)).copied();
            let Some(index) = index.filter(|&index| self.unheard_since_ms(index) == Some(since_ms)) else { continue };
            let ended = self.end_unheard(index, since_ms, REMOVED_MS.min(self.unheard_max_ms));
            transitions.extend(ended.into_iter().map(|ended| Transition { is_removed: true, ..ended }));
        }
    }

    /// The end of the last bucket of a group that fires and that nobody feeds.
    fn unheard_since_ms(&self, index: usize) -> Option<i64> {
        let group = &self.groups[index];
        let closed = group.closed.filter(|_| group.is_unfed() && group.spells().next().is_some())?;
        Some(self.watches[group.watch].signal.end_ms(closed))
    }

    /// Ends what fires of a group of which nothing came since then, so much later.
    fn end_unheard(&mut self, index: usize, since_ms: i64, later_ms: i64) -> Vec<Transition> {
        let group = &mut self.groups[index];
        let (watch, tunings) = (&self.watches[group.watch], &mut self.tunings[group.watch]);
        let at_ms = since_ms.saturating_add(later_ms);
        let spells: Vec<(Direction, Spell)> = group.spells().collect();
        let end = |(direction, spell)| {
            let ended = group.tell(direction, Turn::Ended { spell, at_ms }, watch, tunings);
            Transition { unheard_since_ms: Some(since_ms), ..ended }
        };
        let ended = spells.into_iter().map(end).collect();
        group.forget_firing(&watch.options);
        ended
    }
}
