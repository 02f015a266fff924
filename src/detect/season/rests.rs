//! Rests: stretches of the day in which a beat does not come, night after night or weekend after weekend.
//!
//! A job whose last beat is at 21:58 on Monday and 21:56 on Tuesday, and that comes again at 6:01 and 6:03, rests from
//! 21:56 to 6:03 from the third night on. If it does not come on a Sunday either, but again on Monday at 6:02, that is the
//! same rest with a day more, and holds from the next Sunday on.
//!
//! Always true:
//! 1. What did not happen on two days on end, or on one weekday of two weeks, is no rest: hangs are not so regular.
//!    Only a rest that is known may be longer by whole days at once, and then on that weekday alone.
//! 2. A rest holds on the weekdays on which it was seen, and on those that have not come yet, until a beat comes in it.
//!
//! Times of day are those of the shop's clock.

use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const DAY_MINUTES: i64 = 1_440;
/// Rests that are remembered: a night, a weekend, a break at noon, and what will turn out to be none.
const RESTS_MAX: usize = 8;
/// How often it must have been seen, on days or on weekdays that follow each other.
const SEEN_MIN: u8 = 2;
/// Days after which it is forgotten: the weekday that it belongs to did not come twice.
const FORGOTTEN_AFTER_DAYS: i64 = 15;
/// Longest rest, in days.
const DAYS_MAX: i64 = 7;
/// How far two of the same may begin and end from each other, at least, in ms.
const SAME_MS_MIN: i64 = 600_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rests(Vec<Rest>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    /// Minute of the day of the last beat before it.
    from: u16,
    /// Minutes to the first beat after it.
    length: u16,
    seen: u8,
    /// The day on which it began last, since 1970.
    day: i32,
    /// By weekday: how often it was seen, at most 2, or -1 where beats came in it.
    weekdays: [i8; 7],
}

/// A stretch of time by the local clock, in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Rest {
    fn on(&self, day: i64) -> Span {
        let from_ms = day.saturating_mul(DAY_MS).saturating_add(i64::from(self.from) * MINUTE_MS);
        Span { from_ms, to_ms: from_ms.saturating_add(i64::from(self.length) * MINUTE_MS) }
    }

    fn is_known(&self) -> bool {
        self.seen >= SEEN_MIN
    }

    fn holds_on(&self, day: i64) -> bool {
        let is_recent = day.saturating_sub(self.day.into()) <= FORGOTTEN_AFTER_DAYS;
        self.is_known() && is_recent && self.weekdays[weekday(day)] >= 0
    }

    /// Whether a gap is this rest, but for some days more.
    fn is_days_shorter(&self, gap: Span, day: i64, same_ms: i64) -> bool {
        let span = self.on(day);
        let more_ms = gap.to_ms.saturating_sub(span.to_ms);
        let days = more_ms.saturating_add(DAY_MS / 2).div_euclid(DAY_MS);
        days >= 1 && is_near(span.from_ms, gap.from_ms, same_ms) && is_near(more_ms, days * DAY_MS, same_ms)
    }

    /// The better known of two that begin at the same time is the one of this weekday, then the latest.
    fn rank(&self, day: i64) -> (bool, i32) {
        (self.weekdays[weekday(day)] > 0, self.day)
    }
}

impl Rests {
    /// The rest that goes on at a moment, or the first that begins before `until_ms`, by the local clock. Beginnings of the
    /// same rest are no farther apart than `same_ms`.
    pub(super) fn next(&self, at_ms: i64, until_ms: i64, same_ms: i64) -> Option<Span> {
        let (first, last) = (at_ms.div_euclid(DAY_MS) - DAYS_MAX, until_ms.div_euclid(DAY_MS));
        let spans = (first..=last).flat_map(|day| self.of_day(day, same_ms));
        spans.filter(|span| span.to_ms > at_ms && span.from_ms < until_ms).min_by_key(|span| span.from_ms)
    }

    /// The rests that begin on a day.
    fn of_day(&self, day: i64, same_ms: i64) -> impl Iterator<Item = Span> {
        let is_same = move |one: &Rest, other: &Rest| is_near(one.on(0).from_ms, other.on(0).from_ms, same_ms);
        let holding = move || self.0.iter().filter(move |rest| rest.holds_on(day));
        let best =
            move |rest: &&Rest| holding().all(|other| !is_same(rest, other) || other.rank(day) <= rest.rank(day));
        holding().filter(best).map(move |rest| rest.on(day))
    }

    /// Learns from a gap that was long, by the local clock: it is a rest that is known, or may become one.
    pub(super) fn learn(&mut self, gap: Span, same_ms: i64) {
        let day = gap.from_ms.div_euclid(DAY_MS);
        if gap.to_ms.saturating_sub(gap.from_ms) > DAYS_MAX * DAY_MS {
            return;
        }
        let known = self.0.iter_mut().find(|rest| {
            let span = rest.on(day);
            is_near(span.from_ms, gap.from_ms, same_ms) && is_near(span.to_ms, gap.to_ms, same_ms)
        });
        match known {
            Some(rest) => rest.meet(gap, day),
            None => {
                let is_longer = self.0.iter().any(|rest| rest.is_known() && rest.is_days_shorter(gap, day, same_ms));
                self.begin(gap, day, is_longer);
            }
        }
    }

    /// A beat came: where a rest should be that began on an earlier beat's day, there is none.
    pub(super) fn contradict(&mut self, at_ms: i64, same_ms: i64) {
        let today = at_ms.div_euclid(DAY_MS);
        for day in today - DAYS_MAX..=today {
            for rest in &mut self.0 {
                let span = rest.on(day);
                let is_within =
                    span.from_ms.saturating_add(same_ms) < at_ms && at_ms < span.to_ms.saturating_sub(same_ms);
                if is_within {
                    rest.weekdays[weekday(day)] = -1;
                }
            }
        }
        self.0.retain(|rest| today.saturating_sub(rest.day.into()) <= FORGOTTEN_AFTER_DAYS);
    }

    fn begin(&mut self, gap: Span, day: i64, is_known: bool) {
        let minute = |span_ms: i64| (span_ms.div_euclid(MINUTE_MS)) as u16;
        let from = minute(gap.from_ms.rem_euclid(DAY_MS));
        let length = minute(gap.to_ms.saturating_sub(gap.from_ms)).saturating_add(1);
        let (seen, others) = if is_known { (SEEN_MIN, -1) } else { (1, 0) };
        let mut weekdays = [others; 7];
        weekdays[weekday(day)] = 1;
        if self.0.len() == RESTS_MAX {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, rest)| (rest.is_known(), rest.day));
            let oldest = oldest.map(|(index, _)| index).expect("the list is full");
            self.0.remove(oldest);
        }
        self.0.push(Rest { from, length, seen, day: short(day), weekdays });
    }
}

impl Rest {
    /// It was seen again: it begins with the earliest and ends with the latest, lately.
    fn meet(&mut self, gap: Span, day: i64) {
        let span = self.on(day);
        let follow = |own_ms: i64, seen_ms: i64, is_wider: bool| {
            if is_wider { seen_ms } else { own_ms.saturating_add(seen_ms.saturating_sub(own_ms) / 4) }
        };
        let from_ms = follow(span.from_ms, gap.from_ms, gap.from_ms < span.from_ms);
        let to_ms = follow(span.to_ms, gap.to_ms, gap.to_ms > span.to_ms);
        self.from =
            from_ms.saturating_sub(day.saturating_mul(DAY_MS)).div_euclid(MINUTE_MS).clamp(0, DAY_MINUTES - 1) as u16;
        self.length = (to_ms.saturating_sub(from_ms).div_euclid(MINUTE_MS) + 1).clamp(1, i64::from(u16::MAX)) as u16;
        // Two on end make it known; later ones need not be on end.
        if self.is_known() || matches!(day.saturating_sub(self.day.into()), 1 | 7) {
            self.seen = self.seen.saturating_add(1);
        }
        self.day = short(day);
        let weekday = &mut self.weekdays[weekday(day)];
        *weekday = (*weekday + 1).min(2);
    }
}

/// How far two of the same rest may begin and end from each other, when beats come so often.
pub(super) fn same_ms(gap_s: f64) -> i64 {
    ((2_000.0 * gap_s) as i64).clamp(SAME_MS_MIN, DAY_MS / 4)
}

fn is_near(one_ms: i64, other_ms: i64, same_ms: i64) -> bool {
    one_ms.abs_diff(other_ms) <= same_ms.unsigned_abs()
}

fn weekday(day: i64) -> usize {
    day.rem_euclid(7) as usize
}

fn short(day: i64) -> i32 {
    day.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
