//! `rate`, `increase` and `delta` over windows of numbers.
//!
//! Worked example: a counter scraped every 15 s shows 100, 130, 10, 40 at 0, 15, 30, 45 s, and we want `rate(x[1m])` at
//! 50 s, the window being (-10 s, 50 s]. From first to last it went 40 - 100 = -60, plus the 130 that it had before the
//! reset: 70. The samples cover 45 s; the 5 s to the window's end are less than 1.1 average distances and count, and so
//! do the 10 s to its start, for a counter that rises 70 in 45 s would have needed 64 s to reach 100. So the increase
//! is 70 × (45 + 10 + 5) / 45 = 93.3, and the rate a sixtieth of that.
//!
//! Where it is known since when a sample counts, that is believed: a sample that counts since after the one before it is
//! a reset, however high it is; and a first sample that counts since within the window rose from zero at that time, so
//! that nothing has to be guessed on the left.

use super::window::{Samples, Window};
use crate::query::plan::Rollup;
use crate::query::remarks::{Remark, Remarks};

/// Which of the three it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// Whether a fall is a start from zero, and nothing was ever below it.
    pub(super) is_counter: bool,
    /// By what the change over the window is divided: its seconds, or 1.
    pub(super) divisor: f64,
}

impl Change {
    /// None for other functions.
    pub(super) fn of(function: Rollup, range_ms: i64) -> Option<Change> {
        match function {
            Rollup::Rate => Some(Change { is_counter: true, divisor: range_ms as f64 / 1000.0 }),
            Rollup::Increase => Some(Change { is_counter: true, divisor: 1.0 }),
            Rollup::Delta => Some(Change { is_counter: false, divisor: 1.0 }),
            _ => None,
        }
    }
}

/// Whether a counter started anew between two samples, as the times tell since which they count (0: not known).
pub(super) fn starts_anew((before_ms, before_start_ms): (i64, i64), (time_ms, start_ms): (i64, i64)) -> bool {
    if start_ms == 0 || start_ms >= time_ms || start_ms < before_ms {
        return false;
    }
    // A sample that counts since the one before is a difference, unless that one's start says nothing: then it is the
    // first that a sender saw of a counter.
    start_ms > before_ms || (before_start_ms != 0 && before_start_ms < before_ms)
}

/// Whether a sample counts since before the one before it, but not since the same time.
pub(super) fn overlaps((before_ms, before_start_ms): (i64, i64), start_ms: i64) -> bool {
    start_ms != 0 && start_ms < before_ms && start_ms != before_start_ms
}

/// The samples of a window in time.
#[derive(Clone, Copy)]
pub(super) struct Covered {
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    /// Number of samples; at least one.
    pub(super) count: usize,
    /// The window.
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1000.0
}

impl Covered {
    /// By what the change between the first and the last of at least two samples is multiplied to stand for the whole
    /// window. `from_zero` is the first value in proportion to the change, if it is a counter that rose.
    pub(super) fn factor(&self, from_zero: Option<f64>) -> f64 {
        let covered = seconds(self.first_ms, self.last_ms);
        let distance = covered / (self.count - 1) as f64;
        let mut before = seconds(self.start_ms, self.first_ms);
        if before >= distance * 1.1 {
            before = distance / 2.0;
        }
        if let Some(from_zero) = from_zero {
            // A counter was not below zero: do not go back further than to where it would have been zero.
            before = before.min(covered * from_zero);
        }
        (covered + before + self.after(distance)) / covered
    }

    /// As [`Covered::factor`], of a counter that is known to have been zero at `since_ms`.
    fn factor_since(&self, since_ms: i64) -> f64 {
        let distance = match self.count {
            1 => 0.0,
            count => seconds(self.first_ms, self.last_ms) / (count - 1) as f64,
        };
        let covered = seconds(since_ms, self.last_ms);
        (covered + self.after(distance)) / covered
    }

    fn after(&self, distance: f64) -> f64 {
        let after = seconds(self.last_ms, self.end_ms);
        if after >= distance * 1.1 { distance / 2.0 } else { after }
    }

    /// Since when the first sample counts, if that is known and within the window.
    fn since(&self, start_ms: i64) -> Option<i64> {
        (start_ms != 0 && start_ms > self.start_ms && start_ms < self.first_ms).then_some(start_ms)
    }

    /// Lays a change from the first to the last sample over the whole window. `size` says how much a histogram or number
    /// is, `join` adds the first sample to the change.
    pub(super) fn lay<T>(
        &self,
        change: Change,
        first_start_ms: i64,
        risen: Option<T>,
        first: &T,
        size: impl Fn(&T) -> f64,
        join: impl FnOnce(Option<T>, &T) -> Option<T>,
    ) -> Option<(T, f64)> {
        if let Some(since_ms) = self.since(first_start_ms).filter(|_| change.is_counter) {
            return Some((join(risen, first)?, self.factor_since(since_ms) / change.divisor));
        }
        let risen = risen?;
        let (first, rise) = (size(first), size(&risen));
        let from_zero = (change.is_counter && rise > 0.0 && first >= 0.0).then(|| first / rise);
        Some((risen, self.factor(from_zero) / change.divisor))
    }
}

/// The numbers of a whole series and where the counter started anew.
pub(super) struct Numbers<'s> {
    change: Change,
    values: &'s [f64],
    times_ms: &'s [i64],
    /// Empty when of no sample it is known since when it counts.
    starts_ms: &'s [i64],
    /// The indexes of samples before which it started anew.
    resets: &'s [usize],
    /// The first reset that a window can still hold.
    next: usize,
}

impl<'s> Numbers<'s> {
    /// Finds the resets of a counter; `resets` is only their place.
    pub(super) fn new(change: Change, samples: &'s Samples, resets: &'s mut Vec<usize>) -> Numbers<'s> {
        resets.clear();
        let (values, times_ms) = (&samples.numbers.values, &samples.numbers.timestamps_ms);
        let starts_ms = &samples.number_starts_ms;
        if change.is_counter {
            resets.extend((1..values.len()).filter(|&index| values[index] < values[index - 1]));
            if !starts_ms.is_empty() {
                let told = |&index: &usize| {
                    let sample = |index: usize| (times_ms[index], starts_ms[index]);
                    starts_anew(sample(index - 1), sample(index))
                };
                resets.extend((1..values.len()).filter(told));
                resets.sort_unstable();
                resets.dedup();
            }
        }
        Numbers { change, values, times_ms, starts_ms, resets, next: 0 }
    }

    /// What the window comes to. Windows are asked for in their order.
    pub(super) fn of(&mut self, window: &Window<'_>, remarks: &mut Remarks) -> Option<f64> {
        if !self.starts_ms.is_empty() && self.change.is_counter {
            return self.with_starts(window, remarks);
        }
        let rise = self.rise(window)?;
        let first = window.values[0];
        let from_zero = (self.change.is_counter && rise > 0.0 && first >= 0.0).then(|| first / rise);
        Some(rise * (covered(window).factor(from_zero) / self.change.divisor))
    }

    fn with_starts(&mut self, window: &Window<'_>, remarks: &mut Remarks) -> Option<f64> {
        let first = *window.values.first()?;
        let starts_ms = &self.starts_ms[window.first..window.first + window.values.len()];
        let before = window.timestamps_ms.iter().copied().zip(starts_ms.iter().copied());
        if before.zip(starts_ms.iter().skip(1)).any(|(before, start_ms)| overlaps(before, *start_ms)) {
            remarks.add(Remark::StartsOverlap);
        }
        let rise = self.rise(window);
        let join = |rise: Option<f64>, first: &f64| Some(rise.unwrap_or(0.0) + first);
        let (rise, factor) = covered(window).lay(self.change, starts_ms[0], rise, &first, |value| *value, join)?;
        Some(rise * factor)
    }

    /// How far it went from the window's first to its last sample.
    fn rise(&mut self, window: &Window<'_>) -> Option<f64> {
        let [first, .., last] = window.values else { return None };
        while self.next < self.resets.len() && self.resets[self.next] <= window.first {
            self.next += 1;
        }
        let behind = window.first + window.values.len();
        let inside = self.resets[self.next..].iter().take_while(|index| **index < behind);
        Some(inside.fold(last - first, |rise, index| rise + self.values[index - 1]))
    }

    /// The change between the window's last two numbers; of a counter per second, and from zero if it started anew.
    pub(super) fn last_two(&self, window: &Window<'_>, is_counter: bool) -> Option<f64> {
        let [.., before, last] = window.values else { return None };
        if !is_counter {
            return Some(last - before);
        }
        let index = window.first + window.values.len() - 1;
        let told = || {
            let sample = |index: usize| (self.times_ms[index], self.starts_ms[index]);
            starts_anew(sample(index - 1), sample(index))
        };
        let starts_anew = last < before || (!self.starts_ms.is_empty() && told());
        let rise = if starts_anew { *last } else { last - before };
        Some(rise / seconds(self.times_ms[index - 1], self.times_ms[index]))
    }
}

fn covered(window: &Window<'_>) -> Covered {
    let times = window.timestamps_ms;
    Covered {
        first_ms: times[0],
        last_ms: times[times.len() - 1],
        count: times.len(),
        start_ms: window.start_ms,
        end_ms: window.end_ms,
    }
}
