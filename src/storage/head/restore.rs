//! What recovery does to a shard: everything that the log holds is admitted again, in the order of the log.
//!
//! Nothing is refused: it was admitted once. What a block holds by now is left out.

use std::sync::Arc;

use storage_format::histogram::Histogram;

use super::encode::LogRow;
use super::series::NO_WINDOW_MS;
use super::writer::{ShardWriter, WARM_ROWS};
use crate::model::{Labels, Sample, SeriesRef, TimeRange};

impl ShardWriter {
    /// Admits samples of recovery: they are in the log already, and the tap's listener reads them from the head.
    pub(in crate::storage) fn restore(&mut self, rows: &[LogRow]) {
        let mut shard = self.head.shard(self.index as usize).write();
        for rows in rows.chunks(WARM_ROWS) {
            shard.warm(rows.iter().map(|row| row.0));
            for (series, timestamp_ms, value) in rows {
                if *timestamp_ms < shard.floor_ms {
                    continue; // in a block
                }
                shard.newest_ms = shard.newest_ms.max(*timestamp_ms);
                shard.oldest_ms = shard.oldest_ms.min(*timestamp_ms);
                let series = shard.by_ref_mut(*series).expect("recovery interned it");
                series.admit(*timestamp_ms, *value, NO_WINDOW_MS, &mut self.tally);
            }
        }
        shard.note_change(&mut self.tally);
    }

    /// Admits samples that were belated when they came, as far as no block holds them.
    pub(in crate::storage) fn restore_belated(&mut self, rows: &[LogRow]) {
        let head = self.head.clone();
        let mut shard = head.shard(self.index as usize).write();
        let floor_ms = shard.floor_ms;
        // The block of the cut that made them belated was never finished: now they are late.
        let (late, mut belated): (Vec<LogRow>, Vec<LogRow>) = rows.iter().partition(|row| row.1 >= floor_ms);
        let sealed_bits = self.look_up(&shard, &mut belated);
        let epoch = shard.epoch();
        for ((series, timestamp_ms, value), sealed_bits) in belated.into_iter().zip(sealed_bits) {
            shard.newest_ms = shard.newest_ms.max(timestamp_ms);
            let series = shard.by_ref_mut(series).expect("recovery interned it");
            series.restore_belated(Sample { timestamp_ms, value }, sealed_bits, epoch, &mut self.tally);
        }
        shard.note_change(&mut self.tally);
        drop(shard);
        self.restore(&late);
    }

    /// Keeps histograms, whose markers come behind them.
    pub(in crate::storage) fn restore_histograms(&mut self, rows: &[(SeriesRef, i64, Histogram)]) {
        let mut shard = self.head.shard(self.index as usize).write();
        for (series, timestamp_ms, histogram) in rows {
            let series = shard.by_ref_mut(*series).expect("recovery interned it");
            series.add_histogram(*timestamp_ms, histogram, &mut self.tally);
        }
        shard.note_change(&mut self.tally);
    }

    /// Removes what was removed then.
    pub(in crate::storage) fn restore_deletion(&mut self, series: &[SeriesRef], range: TimeRange) {
        self.head.shard(self.index as usize).write().delete(series, range);
    }

    /// The series of a definition that recovery found in the log.
    pub(in crate::storage) fn restore_series(&mut self, labels: &Labels) -> SeriesRef {
        let mut shard = self.head.shard(self.index as usize).write();
        let (reference, is_new) = shard.intern(labels, self.tap.interest());
        if is_new {
            self.head.count_series(1);
            if shard.by_ref(reference).is_some_and(|series| series.watched) {
                self.tapped.series.push((reference, Arc::new(labels.clone())));
            }
        }
        reference
    }

    /// Ends recovery: the listener is told to read what the head holds.
    pub(in crate::storage) fn restored(&mut self) {
        let mut shard = self.head.shard(self.index as usize).write();
        shard.settle_histograms(&mut self.tally);
        shard.note_change(&mut self.tally);
        drop(shard);
        self.tap.push(&mut self.tapped);
        self.tap.raise_missed();
    }
}
