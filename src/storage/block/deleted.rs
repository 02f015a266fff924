//! What was deleted from one block, as those who read it apply it.

use storage_format::Corruption;
use storage_format::tombstones::{self, Tombstone};

use super::super::columns::Columns;
use crate::model::TimeRange;

/// The deleted stretches of one block. Cheap to look up when there are none, which is the usual case.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct Deleted {
    tombstones: Vec<Tombstone>,
}

impl Deleted {
    /// What the file says, or nothing if it belongs to another block of the same name.
    pub(super) fn decode(bytes: &[u8], block_created_ms: i64) -> Result<Deleted, Corruption> {
        let (created_ms, tombstones) = tombstones::decode(bytes)?;
        Ok(if created_ms == block_created_ms { Deleted { tombstones } } else { Deleted::default() })
    }

    pub(super) fn encode(&self, block_created_ms: i64) -> Vec<u8> {
        tombstones::encode(&self.tombstones, block_created_ms)
    }

    pub(in crate::storage) fn is_empty(&self) -> bool {
        self.tombstones.is_empty()
    }

    /// The same, and `range` of these series too.
    pub(super) fn with(&self, series: impl IntoIterator<Item = u32>, range: TimeRange) -> Deleted {
        let mut tombstones = self.tombstones.clone();
        let tombstone = |series| Tombstone { series, from_ms: range.from_ms, to_ms: range.to_ms };
        tombstones.extend(series.into_iter().map(tombstone));
        tombstones::normalise(&mut tombstones);
        Deleted { tombstones }
    }

    fn of_series(&self, series: u32) -> &[Tombstone] {
        let start = self.tombstones.partition_point(|one| one.series < series);
        let end = self.tombstones.partition_point(|one| one.series <= series);
        &self.tombstones[start..end]
    }

    /// Whether nothing is left of the series in `span`.
    pub(super) fn covers(&self, series: u32, span: TimeRange) -> bool {
        self.of_series(series).iter().any(|one| one.from_ms <= span.from_ms && span.to_ms <= one.to_ms)
    }

    /// Of the series' samples from index `start` on, removes those that were deleted.
    pub(super) fn apply(&self, series: u32, start: usize, columns: &mut Columns) {
        for one in self.of_series(series) {
            columns.remove_range_from(start, TimeRange { from_ms: one.from_ms, to_ms: one.to_ms });
        }
    }
}
