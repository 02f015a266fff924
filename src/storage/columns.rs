//! Samples of one series, as two columns.

use storage_format::histogram::{Histogram, is_marker};

use crate::model::{Sample, TimeRange};

/// Values that are looked through at a time.
const SCANNED_VALUES: usize = 128;

/// Timestamps and values of one series: equal in length, ascending, in ms since 1970 UTC.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Milliseconds since 1970 UTC, strictly ascending.
    pub timestamps_ms: Vec<i64>,
    /// Exactly the 64 bits that were written, staleness markers included.
    pub values: Vec<f64>,
    /// Histograms that were read with them, those included for whose markers there are samples: in any order, and more
    /// than needed, until [`Columns::settle_histograms`].
    pub histograms: Vec<(i64, Histogram)>,
}

impl Columns {
    /// Removes all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.histograms.clear();
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Appends a sample that is newer than all before.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// Whether `is_wanted` says so of any value.
    pub fn has_value(&self, is_wanted: impl Fn(f64) -> bool) -> bool {
        self.has_value_from(0, is_wanted)
    }

    /// Whether `is_wanted` says so of any value from index `start` on.
    pub(super) fn has_value_from(&self, start: usize, is_wanted: impl Fn(f64) -> bool) -> bool {
        // A whole piece before a look at the outcome: the compiler makes vector instructions of it.
        let any_of = |piece: &[f64]| piece.iter().fold(false, |any, value| any | is_wanted(*value));
        self.values[start..].chunks(SCANNED_VALUES).any(any_of)
    }

    /// The samples, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.timestamps_ms.iter().copied().zip(self.values.iter().copied())
    }

    /// Keeps the first `count` samples.
    pub(super) fn truncate(&mut self, count: usize) {
        self.timestamps_ms.truncate(count);
        self.values.truncate(count);
    }

    /// Leaves one histogram for each marker among the values, in their order, and no marker without one: what damage took
    /// of a histogram takes its sample along.
    pub fn settle_histograms(&mut self) {
        if self.histograms.is_empty() && !self.has_value(|value| is_marker(value.to_bits())) {
            return;
        }
        let mut read = std::mem::take(&mut self.histograms);
        read.sort_by_key(|(timestamp_ms, _)| *timestamp_ms);
        let mut read = read.into_iter().peekable();
        let samples = std::mem::take(&mut self.timestamps_ms).into_iter().zip(std::mem::take(&mut self.values));
        for (timestamp_ms, value) in samples {
            if !is_marker(value.to_bits()) {
                self.push(timestamp_ms, value);
                continue;
            }
            while read.next_if(|(other_ms, _)| *other_ms < timestamp_ms).is_some() {}
            let mut found = None;
            // Several, if one of them was deleted and another came for its moment.
            while let Some((_, histogram)) = read.next_if(|(other_ms, _)| *other_ms == timestamp_ms) {
                if histogram.marker() == value.to_bits() {
                    found = Some(histogram);
                }
            }
            if let Some(histogram) = found {
                self.push(timestamp_ms, value);
                self.histograms.push((timestamp_ms, histogram));
            }
        }
    }

    /// Hands over the histograms, oldest first, and keeps the numbers.
    pub(super) fn split_histograms(&mut self, mut take: impl FnMut(i64, Histogram)) {
        self.settle_histograms();
        let mut kept = 0;
        for index in 0..self.len() {
            if !is_marker(self.values[index].to_bits()) {
                self.timestamps_ms[kept] = self.timestamps_ms[index];
                self.values[kept] = self.values[index];
                kept += 1;
            }
        }
        self.truncate(kept);
        self.histograms.drain(..).for_each(|(timestamp_ms, histogram)| take(timestamp_ms, histogram));
    }

    /// Of the samples from index `start` on, keeps those in `range`.
    pub(super) fn keep_range_from(&mut self, start: usize, range: TimeRange) {
        let tail = &self.timestamps_ms[start..];
        let end = start + tail.partition_point(|timestamp_ms| *timestamp_ms <= range.to_ms);
        let begin = start + tail.partition_point(|timestamp_ms| *timestamp_ms < range.from_ms);
        self.truncate(end);
        if begin > start {
            let begin = begin.min(end);
            self.timestamps_ms.drain(start..begin);
            self.values.drain(start..begin);
        }
    }

    /// Of the samples from index `start` on, removes those in `range`.
    pub(super) fn remove_range_from(&mut self, start: usize, range: TimeRange) {
        let tail = &self.timestamps_ms[start..];
        let begin = start + tail.partition_point(|timestamp_ms| *timestamp_ms < range.from_ms);
        let end = start + tail.partition_point(|timestamp_ms| *timestamp_ms <= range.to_ms);
        if begin < end {
            self.timestamps_ms.drain(begin..end);
            self.values.drain(begin..end);
        }
    }

    /// Makes one ascending run of two that lie one behind the other, from `start` and from `middle` on. A moment that is
    /// in both is taken from the first.
    pub(super) fn settle(&mut self, start: usize, middle: usize) {
        if start == middle || middle == self.len() || self.timestamps_ms[middle - 1] < self.timestamps_ms[middle] {
            return;
        }
        let second_ms = self.timestamps_ms.split_off(middle);
        let second = self.values.split_off(middle);
        // What lies before the second run stays where it is.
        let keep = start + self.timestamps_ms[start..].partition_point(|timestamp_ms| *timestamp_ms < second_ms[0]);
        let first_ms = self.timestamps_ms.split_off(keep);
        let first = self.values.split_off(keep);
        let mut first = first_ms.into_iter().zip(first).peekable();
        for (timestamp_ms, value) in second_ms.into_iter().zip(second) {
            while let Some((earlier_ms, earlier)) = first.next_if(|(earlier_ms, _)| *earlier_ms < timestamp_ms) {
                self.push(earlier_ms, earlier);
            }
            match first.next_if(|(same_ms, _)| *same_ms == timestamp_ms) {
                Some((same_ms, same)) => self.push(same_ms, same),
                None => self.push(timestamp_ms, value),
            }
        }
        for (timestamp_ms, value) in first {
            self.push(timestamp_ms, value);
        }
    }

    /// Merges samples, ascending and none of them here yet, into those from index `start` on.
    pub(super) fn merge_from<'a>(&mut self, start: usize, late: impl Iterator<Item = &'a Sample>) {
        let mut merged: Vec<(i64, f64)> = Vec::with_capacity(self.len() - start);
        let mut here = self.timestamps_ms[start..].iter().copied().zip(self.values[start..].iter().copied()).peekable();
        for sample in late {
            while let Some(earlier) = here.next_if(|(timestamp_ms, _)| *timestamp_ms < sample.timestamp_ms) {
                merged.push(earlier);
            }
            merged.push((sample.timestamp_ms, sample.value));
        }
        merged.extend(here);
        self.truncate(start);
        for (timestamp_ms, value) in merged {
            self.push(timestamp_ms, value);
        }
    }
}
