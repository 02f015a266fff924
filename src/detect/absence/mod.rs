//! Who should come again and again and does not: hung jobs.
//!
//! ```text
//!             beats                  deadline    watermark
//! backup-eu   11:50 11:55 12:00       12:15       12:16      absent since 12:15, until its next beat
//! backup-us   11:52 11:57 12:02       12:17       12:16
//! ```
//!
//! Each series has a [`Beat`], which says after each of its beats when the third one that fails to come is overdue. The
//! deadlines stand in order, so the watermark (the time up to which every sample was seen) finds those that it has
//! passed without looking at the others.
//!
//! Always true:
//! 1. An absence is dated by its deadline and ends with the series' next beat, whenever anybody looks: beats and
//!    watermarks may be told in any order that keeps each series' beats in order.
//! 2. Before 20 beats a series has the rule's own deadline, or none.
//! 3. A series that ended is not absent before it comes again; one that is absent already stays so: that nobody tells of
//!    a hung job any more is no recovery.
//! 4. There are at most [`SERIES_COUNT_MAX`] series. One that was silent for ten weeks makes room, unless it is absent.
//!
//! Deliberately absent: whether a series' end was meant. A staleness marker is written for what was removed, and for
//! what crashed; who knows which it is tells [`Absence::end`] or does not.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::calendar::Zone;
use super::hold::{Spell, Turn};
use super::season::Beat;

/// Most series of a rule.
const SERIES_COUNT_MAX: usize = super::GROUPS_COUNT_MAX;
/// Silence after which a series is forgotten, in ms: ten weeks.
const FORGOTTEN_AFTER_MS: i64 = 6_048_000_000;

/// What a rule says of absence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AbsenceOptions {
    /// The deadline of a series whose beats are not known yet, in ms after the last one.
    pub absent_for_ms: Option<i64>,
}

/// There is no room for another series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule watches {SERIES_COUNT_MAX} series for their absence already, which is as many as it may")]
pub(crate) struct TooManySeries;

/// One series: its beats, and whether they fail to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Awaited {
    beat: Beat,
    last_ms: i64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Beating,
    /// It will not come again, which is as it should be.
    Ended,
    Absent(Spell),
}

/// All series of a rule, by keys that last as long as a checkpoint does.
pub(crate) struct Absence<K> {
    options: AbsenceOptions,
    zone: Zone,
    places: HashMap<K, usize>,
    series: Vec<Option<Series<K>>>,
    free: Vec<usize>,
    /// When whose turn is: each series that is not absent stands here once, not later than its deadline.
    queue: BTreeSet<(i64, usize)>,
}

struct Series<K> {
    key: K,
    awaited: Awaited,
    /// Where it stands in the queue.
    queued_ms: Option<i64>,
}

impl Awaited {
    /// The absence, while there is one.
    pub(crate) fn firing(&self) -> Option<Spell> {
        if let State::Absent(spell) = self.state { Some(spell) } else { None }
    }

    fn deadline_ms(&self, options: &AbsenceOptions) -> Option<i64> {
        let given_ms = || options.absent_for_ms.map(|wait_ms| self.last_ms.saturating_add(wait_ms));
        match self.state {
            State::Beating => self.beat.deadline_ms().or_else(given_ms),
            State::Ended | State::Absent(_) => None,
        }
    }

    fn forgotten_ms(&self) -> i64 {
        self.last_ms.saturating_add(FORGOTTEN_AFTER_MS)
    }

    /// When somebody must look at it: at its deadline, or to forget it.
    fn due_ms(&self, options: &AbsenceOptions) -> Option<i64> {
        let is_absent = matches!(self.state, State::Absent(_));
        (!is_absent).then(|| self.deadline_ms(options).unwrap_or_else(|| self.forgotten_ms()))
    }

    fn absent(&mut self, deadline_ms: i64) -> Turn {
        let spell = Spell { onset_ms: self.last_ms, fired_ms: deadline_ms };
        self.state = State::Absent(spell);
        Turn::Began(spell)
    }
}

impl<K: Clone + Eq + Hash> Absence<K> {
    /// Nobody is awaited yet. Hours of the week are those of the zone.
    pub(crate) fn new(options: AbsenceOptions, zone: Zone) -> Absence<K> {
        let (places, series, free, queue) = (HashMap::new(), Vec::new(), Vec::new(), BTreeSet::new());
        Absence { options, zone, places, series, free, queue }
    }

    /// Series that are watched.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who knows that a target was removed on purpose"))]
    pub(crate) fn series_count(&self) -> usize {
        self.places.len()
    }

    /// A beat came, in ms since 1970 UTC. Says what it ends, and before that what began if nobody looked since. One that
    /// is not newer than the series' last changes nothing.
    pub(crate) fn observe(&mut self, key: &K, at_ms: i64) -> Result<Vec<Turn>, TooManySeries> {
        let Some(&place) = self.places.get(key) else {
            let awaited = Awaited { beat: Beat::new(), last_ms: at_ms, state: State::Beating };
            let place = self.insert(key, awaited)?;
            self.beat(place, at_ms);
            return Ok(Vec::new());
        };
        if at_ms <= self.at(place).awaited.last_ms {
            return Ok(Vec::new());
        }
        let options = self.options;
        let awaited = &mut self.at(place).awaited;
        let mut turns = Vec::new();
        if let Some(deadline_ms) = awaited.deadline_ms(&options).filter(|&deadline_ms| deadline_ms < at_ms) {
            turns.push(awaited.absent(deadline_ms));
        }
        if let State::Absent(spell) = awaited.state {
            // One that came later than the watermark allows may be older than what it ends.
            turns.push(Turn::Ended { spell, at_ms: at_ms.max(spell.fired_ms) });
        }
        self.beat(place, at_ms);
        Ok(turns)
    }

    /// The series ended as it should, at an instant in ms since 1970 UTC: nothing is expected before its next beat. Says
    /// what began if its deadline was before that.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who knows that a target was removed on purpose"))]
    pub(crate) fn end(&mut self, key: &K, at_ms: i64) -> Option<Turn> {
        let &place = self.places.get(key)?;
        let options = self.options;
        let awaited = &mut self.at(place).awaited;
        let overdue_ms = awaited.deadline_ms(&options).filter(|&deadline_ms| deadline_ms < at_ms);
        let turn = overdue_ms.map(|deadline_ms| awaited.absent(deadline_ms));
        if awaited.state == State::Beating && at_ms >= awaited.last_ms {
            awaited.state = State::Ended;
        }
        self.enqueue(place);
        turn
    }

    /// Nobody waits for the series any more, such as when its target was removed. Says what that ends, at an instant in
    /// ms since 1970 UTC.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who knows that a target was removed on purpose"))]
    pub(crate) fn forget(&mut self, key: &K, at_ms: i64) -> Option<Turn> {
        let &place = self.places.get(key)?;
        let awaited = self.remove(place);
        if let State::Absent(spell) = awaited.state {
            Some(Turn::Ended { spell, at_ms: at_ms.max(spell.fired_ms) })
        } else {
            None
        }
    }

    /// All samples up to this instant, in ms since 1970 UTC, were seen: says who is absent from now on, by deadline.
    pub(crate) fn advance(&mut self, watermark_ms: i64) -> Vec<(K, Turn)> {
        let mut turns = Vec::new();
        while let Some(&(queued_ms, place)) = self.queue.first()
            && queued_ms < watermark_ms
        {
            let options = self.options;
            let Series { key, awaited, .. } = self.at(place);
            match awaited.deadline_ms(&options) {
                Some(deadline_ms) if deadline_ms < watermark_ms => {
                    turns.push((deadline_ms, key.clone(), awaited.absent(deadline_ms)));
                }
                None if awaited.forgotten_ms() < watermark_ms => {
                    self.remove(place);
                    continue;
                }
                // A beat has come since, and its deadline is later.
                _ => {}
            }
            self.enqueue(place);
        }
        turns.sort_by_key(|turn| turn.0);
        turns.into_iter().map(|(_, key, turn)| (key, turn)).collect()
    }

    /// The absences that go on.
    pub(crate) fn firing(&self) -> impl Iterator<Item = (&K, Spell)> {
        self.saved().filter_map(|(key, awaited)| Some((key, awaited.firing()?)))
    }

    /// Everything that a restart needs.
    pub(crate) fn saved(&self) -> impl Iterator<Item = (&K, &Awaited)> {
        self.series.iter().flatten().map(|series| (&series.key, &series.awaited))
    }

    /// Takes over a series as it was saved, in place of one with the same key.
    pub(crate) fn restore(&mut self, key: &K, awaited: Awaited) -> Result<(), TooManySeries> {
        if let Some(&place) = self.places.get(key) {
            self.remove(place);
        }
        let place = self.insert(key, awaited)?;
        self.enqueue(place);
        Ok(())
    }

    fn at(&mut self, place: usize) -> &mut Series<K> {
        self.series[place].as_mut().expect("places and queue name series that there are")
    }

    fn insert(&mut self, key: &K, awaited: Awaited) -> Result<usize, TooManySeries> {
        if self.places.len() >= SERIES_COUNT_MAX {
            return Err(TooManySeries);
        }
        let place = self.free.pop().unwrap_or(self.series.len());
        if place == self.series.len() {
            self.series.push(None);
        }
        self.series[place] = Some(Series { key: key.clone(), awaited, queued_ms: None });
        self.places.insert(key.clone(), place);
        Ok(place)
    }

    fn remove(&mut self, place: usize) -> Awaited {
        let series = self.series[place].take().expect("places and queue name series that there are");
        self.places.remove(&series.key);
        if let Some(queued_ms) = series.queued_ms {
            self.queue.remove(&(queued_ms, place));
        }
        self.free.push(place);
        series.awaited
    }

    fn beat(&mut self, place: usize, at_ms: i64) {
        let zone_offset_ms = self.zone.offset_ms(at_ms);
        let awaited = &mut self.at(place).awaited;
        awaited.beat.observe(at_ms, zone_offset_ms);
        (awaited.last_ms, awaited.state) = (at_ms, State::Beating);
        // It stands at an earlier instant, where it is found and put where it belongs: once a deadline, not once a beat.
        let (options, series) = (self.options, self.at(place));
        if series.queued_ms.is_none() || series.awaited.due_ms(&options) < series.queued_ms {
            self.enqueue(place);
        }
    }

    fn enqueue(&mut self, place: usize) {
        let (options, series) = (self.options, self.at(place));
        let due_ms = series.awaited.due_ms(&options);
        let before_ms = std::mem::replace(&mut series.queued_ms, due_ms);
        if let Some(before_ms) = before_ms {
            self.queue.remove(&(before_ms, place));
        }
        if let Some(due_ms) = due_ms {
            self.queue.insert((due_ms, place));
        }
    }
}

#[cfg(test)]
mod tests;
