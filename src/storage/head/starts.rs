//! Start times of samples, admitted behind the samples that they are of.
//!
//! ```text
//! batch  rows    up{node="1"} 12:00 7         ─► admitted
//!        starts  up{node="1"} 12:00 since 11:58 ─► is the row admitted? ─► its companion 12:00 11:58
//! ```
//!
//! Always true: nothing that becomes of a start is told to the sender, whose sample is stored: refused ones are counted.

use hashbrown::HashSet;
use parking_lot::RwLockWriteGuard;

use super::super::batch::{NewSeries, Row, ShardBatch, StartRow, WriteSummary};
use super::super::starts;
use super::encode::Definitions;
use super::shard::Shard;
use super::writer::{Bounds, ShardWriter};
use crate::model::SeriesRef;

/// Companions that are remembered at least, whatever the number of those alive.
const REMEMBERED_FLOOR: usize = 1024;

impl ShardWriter {
    /// Admits the starts of those rows of the batch that were stored just now, and appends the definitions of companions
    /// that are new.
    pub(super) fn admit_starts<'a>(
        &mut self,
        mut shard: RwLockWriteGuard<'a, Shard>,
        batch: &ShardBatch,
        bounds: Bounds,
        summary: &mut WriteSummary,
        records: &mut Vec<u8>,
    ) -> RwLockWriteGuard<'a, Shard> {
        let stored: HashSet<(SeriesRef, i64)> =
            self.admitted.iter().chain(&self.belated).map(|row| (row.0, row.1)).collect();
        let belated_samples = std::mem::take(&mut self.belated);
        let mut of_starts = WriteSummary::default();
        let mut definitions = Definitions::begin(records, self.index);
        let of_new: Vec<StartRow> = batch.new.iter().flat_map(|new| starts_of(&shard, new)).collect();
        for StartRow { series: base, timestamp_ms, start_ms } in of_new.into_iter().chain(batch.starts.iter().copied())
        {
            if !stored.contains(&(base, timestamp_ms)) {
                continue;
            }
            let Some(companion) = self.companion(&mut shard, base, &mut definitions) else {
                summary.starts_refused_count += 1;
                continue;
            };
            let row = Row { series: companion, timestamp_ms, value: start_ms as f64 };
            let series = shard.by_ref_mut(companion).expect("nothing is freed under the lock");
            summary.starts_refused_count += u64::from(self.take(series, row, bounds, &mut of_starts).is_some());
        }
        definitions.finish();
        if !self.belated.is_empty() || !self.behind.is_empty() {
            shard = self.admit_belated(shard, &mut of_starts);
            summary.starts_refused_count += of_starts.refused_count();
        }
        summary.starts_stored_count += of_starts.stored_count;
        self.belated.extend(belated_samples);
        shard
    }

    /// The companion of a series that is alive, made if there is none. `None` if there is no room for it.
    fn companion(
        &mut self,
        shard: &mut Shard,
        base: SeriesRef,
        definitions: &mut Definitions<'_>,
    ) -> Option<SeriesRef> {
        if let Some(known) = self.companions.get(&base)
            && shard.by_ref(*known).is_some()
        {
            return Some(*known);
        }
        let labels = starts::companion_of(&shard.labels(base).expect("its sample was stored just now"))?;
        let found = shard.find(&labels);
        if found.is_none() && self.is_full() {
            return None;
        }
        let companion = found.unwrap_or_else(|| {
            let (companion, _) = shard.intern(&labels, self.tap.interest());
            self.head.count_series(1);
            definitions.push(companion, labels.iter());
            companion
        });
        if self.companions.len() > REMEMBERED_FLOOR.max(2 * shard.label_index().companion_count()) {
            self.companions.retain(|_, companion| shard.by_ref(*companion).is_some());
        }
        self.companions.insert(base, companion);
        Some(companion)
    }
}

/// The starts of a series that was new with the batch. None if there was no room for it.
fn starts_of(shard: &Shard, new: &NewSeries) -> Vec<StartRow> {
    let found = if new.starts.is_empty() { None } else { shard.find(&new.labels) };
    let starts = found.into_iter().flat_map(|series| new.starts.iter().map(move |start| (series, start)));
    starts
        .map(|(series, (timestamp_ms, start_ms))| StartRow { series, timestamp_ms: *timestamp_ms, start_ms: *start_ms })
        .collect()
}
