//! `rate`, `increase`, `delta`, `irate` and `idelta` over windows of native histograms.
//!
//! Worked example: of a histogram the counts are 4, 6, 1, 3. The counter started anew before the third, so the increase
//! from first to last is 3 - 4 + 6 = 5, bucket by bucket, and what lies outside the samples is made up as for numbers,
//! by the count. The result is a gauge: it may fall.
//!
//! Where the counter started anew is found out once for the whole series. A first sample that is followed by a reset
//! right away says nothing about the rest and is left aside, so that its layout does not matter either.

use std::sync::Arc;

use super::counter::{Change, Covered, overlaps, starts_anew};
use super::window::{HISTOGRAM_WORK, Samples, Window, Windows};
use crate::model::{CounterResetHint, FloatHistogram};
use crate::query::error::QueryError;
use crate::query::remarks::{Remark, Remarks};

/// The histograms of a whole series and where the counter started anew.
pub(super) struct Histograms<'s> {
    change: Change,
    starts_ms: &'s [i64],
    /// Of each, whether the counter started anew before it; of gauges nobody asks.
    resets: Vec<Reset>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reset {
    No,
    /// As the histogram itself or its start time says, whatever is in it.
    Told,
    /// As comparing says.
    Found,
}

impl<'s> Histograms<'s> {
    /// Finds where it did.
    pub(super) fn new(
        windows: &Windows<'_>,
        change: Change,
        samples: &'s Samples,
    ) -> Result<Histograms<'s>, QueryError> {
        let (all, starts_ms) = (&samples.histograms, samples.histogram_starts_ms.as_slice());
        let reset = |index: usize| {
            let sample = |index: usize| (all[index].0, starts_ms[index]);
            let (before, now) = (&all[index - 1].1, &all[index].1);
            let told = !starts_ms.is_empty() && starts_anew(sample(index - 1), sample(index));
            if told || now.hint == CounterResetHint::Reset {
                Reset::Told
            } else if now.detect_reset(before) {
                Reset::Found
            } else {
                Reset::No
            }
        };
        let mut resets = vec![Reset::No];
        if change.is_counter {
            let mut meter = windows.meter();
            for index in 1..all.len() {
                meter.work(HISTOGRAM_WORK)?;
                resets.push(reset(index));
            }
        }
        Ok(Histograms { change, starts_ms, resets })
    }

    /// What the window, which has histograms only, comes to.
    pub(super) fn of(&self, window: &Window<'_>, remarks: &mut Remarks) -> Option<FloatHistogram> {
        let points = window.histograms;
        let (first_ms, first) = points.first()?;
        let (last_ms, _) = points.last()?;
        let risen = match points.len() {
            1 => None,
            // Histograms that cannot be joined have no change, not even since a start.
            _ => Some(self.rise(window, remarks)?),
        };
        let covered = Covered {
            first_ms: *first_ms,
            last_ms: *last_ms,
            count: points.len(),
            start_ms: window.start_ms,
            end_ms: window.end_ms,
        };
        let first_start_ms = self.starts_ms.get(window.first_histogram).copied().unwrap_or(0);
        let join = |risen: Option<FloatHistogram>, first: &FloatHistogram| match risen {
            None => Some(first.clone()),
            Some(mut risen) => add(&mut risen, first, remarks).then_some(risen),
        };
        let (mut whole, factor) =
            covered.lay(self.change, first_start_ms, risen, first.as_ref(), |one| one.count, join)?;
        whole.multiply(factor);
        Some(whole)
    }

    /// How far it went from the first to the last of at least two histograms.
    fn rise(&self, window: &Window<'_>, remarks: &mut Remarks) -> Option<FloatHistogram> {
        let points = window.histograms;
        let (first, second, last) = (&points[0].1, &points[1].1, &points[points.len() - 1].1);
        let inner = &points[1..points.len() - 1];
        let first_reset = if self.change.is_counter { self.reset(window, 1) } else { Reset::No };
        let base = if first_reset == Reset::No { first } else { second };
        let schema = self.check(base, first, last, inner, remarks)?;
        let mut rise = FloatHistogram::clone(last);
        rise.reduce_resolution(schema);
        if first_reset == Reset::No {
            subtract_from(&mut rise, first, remarks)?;
        } else if rise.has_custom_buckets() {
            // In place of the first one an empty one is subtracted, which has an influence on the bounds only.
            let empty = emptied(second);
            subtract_from(&mut rise, &empty, remarks)?;
            if first_reset == Reset::Told {
                add_or_only(&mut rise, &empty, remarks)?;
            }
        }
        if self.change.is_counter {
            self.note_overlaps(window, remarks);
            for index in (2..points.len()).filter(|index| self.reset(window, *index) != Reset::No) {
                add_or_only(&mut rise, &points[index - 1].1, remarks)?;
            }
        }
        rise.hint = CounterResetHint::Gauge;
        rise.compact(0);
        Some(rise)
    }

    /// Whether all that counts can be joined; answers the coarsest schema.
    fn check(
        &self,
        base: &FloatHistogram,
        first: &FloatHistogram,
        last: &FloatHistogram,
        inner: &[(i64, Arc<FloatHistogram>)],
        remarks: &mut Remarks,
    ) -> Option<i32> {
        let has_custom = base.has_custom_buckets();
        if self.change.is_counter && (is_gauge(first) || is_gauge(last)) {
            remarks.add(Remark::NotCounter);
        }
        if last.has_custom_buckets() != has_custom {
            remarks.add(Remark::MixedSchemas);
            return None;
        }
        let mut schema = last.schema.min(base.schema);
        if self.change.is_counter {
            for (_, one) in inner {
                if is_gauge(one) {
                    remarks.add(Remark::NotCounter);
                }
                if one.has_custom_buckets() != has_custom {
                    *remarks = Remarks::only(Remark::MixedSchemas);
                    return None;
                }
                schema = schema.min(one.schema);
            }
        } else if !is_gauge(first) || !is_gauge(last) {
            remarks.add(Remark::NotGauge);
        }
        Some(schema)
    }

    fn reset(&self, window: &Window<'_>, index: usize) -> Reset {
        self.resets[window.first_histogram + index]
    }

    fn note_overlaps(&self, window: &Window<'_>, remarks: &mut Remarks) {
        if self.starts_ms.is_empty() {
            return;
        }
        let start_ms = |index: usize| self.starts_ms[window.first_histogram + index];
        let overlap = |index: usize| overlaps((window.histograms[index - 1].0, start_ms(index - 1)), start_ms(index));
        if (1..window.histograms.len()).any(overlap) {
            remarks.add(Remark::StartsOverlap);
        }
    }

    /// The change between two histograms, the window's last two samples: of a counter per second, and from zero if it
    /// started anew.
    pub(super) fn last_two(
        window: &Window<'_>,
        is_rate: bool,
        starts_ms: &[i64],
        remarks: &mut Remarks,
    ) -> Option<FloatHistogram> {
        let [.., (before_ms, before), (now_ms, now)] = window.histograms else { return None };
        if is_rate && (is_gauge(before) || is_gauge(now)) {
            remarks.add(Remark::NotCounter);
        }
        if !is_rate && (!is_gauge(before) || !is_gauge(now)) {
            remarks.add(Remark::NotGauge);
        }
        let start_ms = |back: usize| {
            let index = window.first_histogram + window.histograms.len() - back;
            starts_ms.get(index).copied().unwrap_or(0)
        };
        let starts_anew = || starts_anew((*before_ms, start_ms(2)), (*now_ms, start_ms(1))) || now.detect_reset(before);
        let mut change = FloatHistogram::clone(now);
        if !is_rate || !starts_anew() {
            subtract(&mut change, before, remarks).then_some(())?;
        }
        change.hint = CounterResetHint::Gauge;
        change.compact(0);
        if is_rate {
            change.divide((now_ms - before_ms) as f64 / 1000.0);
        }
        Some(change)
    }
}

pub(super) fn is_gauge(histogram: &FloatHistogram) -> bool {
    histogram.hint == CounterResetHint::Gauge
}

/// A histogram of the same layout that has seen nothing.
fn emptied(histogram: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        schema: histogram.schema,
        custom_values: histogram.custom_values.clone(),
        ..FloatHistogram::default()
    }
}

/// Adds, whatever is known of resets; answers whether the two could be joined.
pub(super) fn add(sum: &mut FloatHistogram, other: &FloatHistogram, remarks: &mut Remarks) -> bool {
    match sum.add(other) {
        Ok(reconciled) => {
            if reconciled.bounds_differed {
                remarks.add(Remark::BoundsAdded);
            }
            true
        }
        Err(_) => {
            remarks.add(Remark::MixedSchemas);
            false
        }
    }
}

/// As [`add`], the other way.
pub(super) fn subtract(difference: &mut FloatHistogram, other: &FloatHistogram, remarks: &mut Remarks) -> bool {
    match difference.subtract(other) {
        Ok(reconciled) => {
            if reconciled.bounds_differed {
                remarks.add(Remark::BoundsSubtracted);
            }
            true
        }
        Err(_) => {
            remarks.add(Remark::MixedSchemas);
            false
        }
    }
}

/// Adds within a window: when that fails, nothing else is to be said of it.
fn add_or_only(sum: &mut FloatHistogram, other: &FloatHistogram, remarks: &mut Remarks) -> Option<()> {
    joined(add(sum, other, remarks), remarks)
}

/// As [`add_or_only`], the other way.
fn subtract_from(difference: &mut FloatHistogram, other: &FloatHistogram, remarks: &mut Remarks) -> Option<()> {
    // Resets are counted one by one here; with the same hint two of the same layout are subtracted in place.
    difference.hint = other.hint;
    joined(subtract(difference, other, remarks), remarks)
}

fn joined(is_joined: bool, remarks: &mut Remarks) -> Option<()> {
    if !is_joined {
        *remarks = Remarks::only(Remark::MixedSchemas);
    }
    is_joined.then_some(())
}
