//! Who sends: since when, how much, how late, and by which clock.
//!
//! A walk sees what came since the one before it, not when. What it knows for certain is that a sample was here when the
//! walk came: the newest sample's time against the walk's is at least how far the sender's clock runs ahead, less by as
//! much as the sample waited for the walk. The greatest of a minute of walks is near the truth, for walks come at
//! uneven intervals and some come right behind a sample:
//!
//! ```text
//! sender, every 15 s, its clock 12 s ahead     12:00:27     12:00:42     12:00:57      by its own clock
//! walks                                   12:00:20: +7   12:00:32: +10    12:00:46: +11     skew: 11 s
//! ```
//!
//! Of a sender that is scraped by another, that one goes on sending `up` and what else it knows of its scrapes when the
//! sender itself is gone. A sender is heard by its own series and by an `up` of 1.
//!
//! Ahead is a wrong clock; behind is a wrong clock or a queue, which nobody can tell apart from here: it is called lag.

use std::collections::{HashMap, VecDeque};

use crate::model::is_stale;
use crate::storage::Pulse;

/// Most senders that are known.
pub(super) const SENDERS_COUNT_MAX: usize = 1_000;
/// For how long what was measured counts, in ms.
const MEASURED_MS: i64 = 60_000;
/// A series that has not come for so long is not one that its sender sends, in ms.
const LIVING_MS: i64 = 15 * 60_000;
/// From which on a clock is called wrong, and below which right again, in ms.
const AHEAD_MS: i64 = 10_000;
const RIGHT_MS: i64 = 5_000;
/// Silences between samples that are remembered.
const GAPS_COUNT_MAX: usize = 16;
/// What comes with older samples than this, in ms, is history that somebody brings, or a queue: no beat.
const LIVE_MS: i64 = 10 * 60_000;
/// Samples and time by which a sender is known for sending regularly.
pub(super) const STEADY_COUNT: u32 = 10;
pub(super) const STEADY_MS: i64 = 5 * 60_000;

/// What a metric is known for by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is made here, of what others sent.
    Made,
    /// Whoever scrapes a sender says by it whether that answers: 1, or 0.
    Up,
    /// Whoever scrapes a sender says something else of the scrape by it.
    OfScrape,
}

/// What a walk finds of one sender.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// The newest of the samples that series sent last, markers of their end apart; `i64::MIN` without one.
    pub(super) newest_value_ms: i64,
    /// The newest marker of an end that a series sent last; `i64::MIN` without one.
    pub(super) newest_marker_ms: i64,
    /// The newest time at which whoever scrapes it said that it does not answer; `i64::MIN` without one.
    pub(super) refused_ms: i64,
    /// Whether whoever scrapes it says of any part of it that it answers.
    answers: bool,
    /// Series that it sends.
    pub(super) series_count: u64,
    /// Of how many of them it is known how often they come, and how often that is, all together.
    rated_count: u64,
    rate_per_second: f64,
    /// The shortest time between samples of a series that has come regularly.
    pub(super) interval_ms: Option<i64>,
}

impl Default for Found {
    fn default() -> Found {
        Found {
            newest_value_ms: i64::MIN,
            newest_marker_ms: i64::MIN,
            refused_ms: i64::MIN,
            answers: false,
            series_count: 0,
            rated_count: 0,
            rate_per_second: 0.0,
            interval_ms: None,
        }
    }
}

impl Found {
    pub(super) fn add(&mut self, pulse: Pulse, kind: Option<Kind>, now_ms: i64) {
        let newest_ms = pulse.newest.timestamp_ms;
        match kind {
            None => {}
            Some(Kind::Made) => return,
            // Who does not answer is silent, whoever tells it.
            Some(Kind::Up) if pulse.newest.value == 0.0 => {
                self.refused_ms = self.refused_ms.max(newest_ms);
                return;
            }
            Some(Kind::Up) => {
                self.answers |= !is_stale(pulse.newest.value) && newest_ms >= now_ms.saturating_sub(LIVING_MS);
            }
            // They come whether it answers or not.
            Some(Kind::OfScrape) => return,
        }
        if is_stale(pulse.newest.value) {
            self.newest_marker_ms = self.newest_marker_ms.max(newest_ms);
            return;
        }
        self.newest_value_ms = self.newest_value_ms.max(newest_ms);
        if newest_ms < now_ms.saturating_sub(LIVING_MS) {
            return;
        }
        self.series_count += 1;
        let (steps, took_ms) = (i64::from(pulse.count) - 1, newest_ms.saturating_sub(pulse.first_ms));
        if steps > 0 && took_ms > 0 {
            self.rated_count += 1;
            self.rate_per_second += steps as f64 * 1000.0 / took_ms as f64;
            if pulse.count >= STEADY_COUNT && took_ms >= STEADY_MS {
                let interval_ms = took_ms / steps;
                self.interval_ms = Some(self.interval_ms.map_or(interval_ms, |other| other.min(interval_ms)));
            }
        }
    }

    pub(super) fn merge(&mut self, other: Found) {
        self.newest_value_ms = self.newest_value_ms.max(other.newest_value_ms);
        self.newest_marker_ms = self.newest_marker_ms.max(other.newest_marker_ms);
        self.refused_ms = self.refused_ms.max(other.refused_ms);
        self.answers |= other.answers;
        self.series_count += other.series_count;
        self.rated_count += other.rated_count;
        self.rate_per_second += other.rate_per_second;
        self.interval_ms = self.interval_ms.into_iter().chain(other.interval_ms).min();
    }

    fn newest_ms(&self) -> i64 {
        self.newest_value_ms.max(self.newest_marker_ms)
    }

    /// Whether whoever scrapes it goes on saying that nothing of it answers.
    pub(super) fn is_refused(&self) -> bool {
        self.refused_ms > i64::MIN && !self.answers && self.refused_ms >= self.newest_ms()
    }

    /// Whether there is anything that somebody sent.
    pub(super) fn is_any(&self) -> bool {
        self.newest_ms().max(self.refused_ms) > i64::MIN
    }

    /// Samples a second, those of which it is not known at the rate of the others.
    fn samples_per_second(&self) -> f64 {
        if self.rated_count == 0 {
            0.0
        } else {
            self.rate_per_second * self.series_count as f64 / self.rated_count as f64
        }
    }
}

/// One sender, as all walks have seen it.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) found: Found,
    pub(super) newest_ms: i64,
    /// When something was last found to have come, by our clock, in ms since 1970 UTC; of what was there at the first
    /// walk nobody knows.
    pub(super) heard_ms: Option<i64>,
    /// How often something of now was found to have come, and since when.
    pub(super) beat_count: u32,
    pub(super) beating_since_ms: i64,
    /// Whether it sent regularly when the log of before the start ended.
    pub(super) was_sending: bool,
    gaps_ms: VecDeque<i64>,
    /// When something was found to have come, and how far ahead of our clock it was; the latest first.
    measured: VecDeque<(i64, i64)>,
    is_ahead: bool,
}

/// A sender's clock that is wrong, or right again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClockTurn {
    pub(super) job: String,
    pub(super) ahead_ms: i64,
    pub(super) is_ahead: bool,
}

impl Sender {
    fn new(found: Found) -> Sender {
        Sender {
            found,
            newest_ms: i64::MIN,
            heard_ms: None,
            beat_count: 0,
            beating_since_ms: i64::MIN,
            was_sending: false,
            gaps_ms: VecDeque::new(),
            measured: VecDeque::new(),
            is_ahead: false,
        }
    }

    /// Takes in what a walk found. Whether something has come since the one before.
    fn take(&mut self, found: Found) -> bool {
        let newest_ms = found.newest_ms();
        // How many series it sends, and how often, is not forgotten when it sends none.
        self.found = if found.series_count == 0 {
            Found { series_count: self.found.series_count, interval_ms: self.found.interval_ms, ..found }
        } else {
            found
        };
        if newest_ms <= self.newest_ms {
            return false;
        }
        self.newest_ms = newest_ms;
        true
    }

    fn hear(&mut self, now_ms: i64) {
        if let Some(before_ms) = self.heard_ms {
            self.gaps_ms.push_front((now_ms - before_ms).max(0));
            self.gaps_ms.truncate(GAPS_COUNT_MAX);
        }
        self.heard_ms = Some(now_ms);
        if self.newest_ms >= now_ms.saturating_sub(LIVE_MS) {
            if self.beat_count == 0 {
                self.beating_since_ms = now_ms;
            }
            self.beat_count = self.beat_count.saturating_add(1);
        }
        self.measured.push_front((now_ms, self.newest_ms.saturating_sub(now_ms)));
        while self.measured.back().is_some_and(|(at_ms, _)| now_ms.saturating_sub(*at_ms) > MEASURED_MS) {
            self.measured.pop_back();
        }
    }

    /// How far ahead of our clock its samples come at most, in ms; negative: how far behind at least. None: nothing has
    /// come yet.
    fn ahead_ms(&self) -> Option<i64> {
        self.measured.iter().map(|(_, ahead_ms)| *ahead_ms).max()
    }

    /// How far its clock is ahead, in ms.
    pub(super) fn skew_ms(&self) -> i64 {
        self.ahead_ms().unwrap_or(0).max(0)
    }

    /// How long its samples are on their way, in ms; of one that is silent, how old the newest is.
    pub(super) fn lag_ms(&self, now_ms: i64) -> i64 {
        let age_ms = now_ms.saturating_sub(self.newest_ms).max(0);
        let is_silent = self.heard_ms.is_none_or(|heard_ms| now_ms.saturating_sub(heard_ms) > MEASURED_MS);
        match self.ahead_ms() {
            Some(ahead_ms) if !is_silent => ahead_ms.saturating_neg().max(0),
            _ => age_ms,
        }
    }

    pub(super) fn samples_per_second(&self) -> f64 {
        self.found.samples_per_second()
    }

    /// How long it is usually silent between samples, in ms; 0 before that is known.
    pub(super) fn interval_ms(&self) -> i64 {
        let mut gaps_ms: Vec<i64> = self.gaps_ms.iter().copied().collect();
        gaps_ms.sort_unstable();
        let own_ms = gaps_ms.get(gaps_ms.len() / 2).copied().filter(|_| gaps_ms.len() >= 4);
        own_ms.into_iter().chain(self.found.interval_ms).max().unwrap_or(0)
    }
}

/// All senders.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_job: HashMap<String, Sender>,
    has_walked: bool,
}

impl Table {
    /// The moment as of which a walk looks who sends, in ms since 1970 UTC: now. For the first walk it is when the log of
    /// before the start ended, if that is at most `down_max_ms` ago; `newest_ms` is the newest sample of all.
    pub(super) fn as_of_ms(&self, newest_ms: i64, down_max_ms: i64, now_ms: i64) -> i64 {
        let is_of_before = !self.has_walked && newest_ms >= now_ms.saturating_sub(down_max_ms);
        if is_of_before { newest_ms.min(now_ms) } else { now_ms }
    }

    /// Takes in what a walk found at this moment, by our clock. Returns whose clock turned out to be wrong or right.
    pub(super) fn take(&mut self, mut found: Vec<(String, Found)>, now_ms: i64) -> Vec<ClockTurn> {
        if found.len() > SENDERS_COUNT_MAX {
            found.select_nth_unstable_by_key(SENDERS_COUNT_MAX, |(_, one)| std::cmp::Reverse(one.newest_ms()));
            found.truncate(SENDERS_COUNT_MAX);
        }
        let mut turns = Vec::new();
        for (job, found) in found {
            // One that never answered is nobody yet.
            if found.newest_ms() == i64::MIN && !self.by_job.contains_key(&job) {
                continue;
            }
            let sender = self.by_job.entry(job.clone()).or_insert_with(|| Sender::new(found));
            if sender.take(found) && self.has_walked {
                sender.hear(now_ms);
                turns.extend(clock_turn(job, sender));
            }
        }
        if !std::mem::replace(&mut self.has_walked, true) {
            self.remember_who_was_sending();
        }
        self.forget();
        turns
    }

    /// At the first walk: who sent regularly until the last samples that are stored.
    fn remember_who_was_sending(&mut self) {
        let end_ms = self.by_job.values().map(|sender| sender.newest_ms).max().unwrap_or(i64::MIN);
        for sender in self.by_job.values_mut() {
            let usual_ms = sender.found.interval_ms.map(|interval_ms| STEADY_MS.max(3 * interval_ms));
            sender.was_sending = usual_ms.is_some_and(|usual_ms| sender.newest_ms >= end_ms.saturating_sub(usual_ms));
        }
    }

    /// Lets those go from whom nothing has come for the longest.
    fn forget(&mut self) {
        let excess = self.by_job.len().saturating_sub(SENDERS_COUNT_MAX);
        if excess > 0 {
            let mut heard: Vec<(i64, String)> = self
                .by_job
                .iter()
                .map(|(job, sender)| (sender.heard_ms.unwrap_or(sender.newest_ms), job.clone()))
                .collect();
            heard.sort();
            heard.iter().take(excess).for_each(|(_, job)| drop(self.by_job.remove(job)));
        }
    }

    pub(super) fn get(&self, job: &str) -> Option<&Sender> {
        self.by_job.get(job)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Sender)> {
        self.by_job.iter().map(|(job, sender)| (job.as_str(), sender))
    }
}

fn clock_turn(job: String, sender: &mut Sender) -> Option<ClockTurn> {
    let ahead_ms = sender.ahead_ms()?;
    let is_ahead = if sender.is_ahead { ahead_ms >= RIGHT_MS } else { ahead_ms > AHEAD_MS };
    let turned = std::mem::replace(&mut sender.is_ahead, is_ahead) != is_ahead;
    turned.then_some(ClockTurn { job, ahead_ms, is_ahead })
}
