//! What is done to the blocks on request: merged, thinned out, tidied up.

use super::{Storage, StorageError};
use crate::model::{Matcher, TimeRange};

/// What one call of [`Storage::compact_all`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionSummary {
    /// Blocks cut from the head.
    pub blocks_cut: usize,
    /// Blocks that were merged into others, and are gone.
    pub blocks_merged: usize,
    /// Blocks written in their place.
    pub blocks_written: usize,
    /// Blocks past the retention, and gone.
    pub blocks_expired: usize,
}

impl Storage {
    /// Does all maintenance that is due, and returns when it is done.
    pub fn compact_all(&self) -> Result<CompactionSummary, StorageError> {
        let mut summary = CompactionSummary::default();
        loop {
            let done = self.maintain()?;
            summary.blocks_cut += done.blocks_cut;
            summary.blocks_expired += done.blocks_expired;
            if done.blocks_cut + done.blocks_expired == 0 {
                return Ok(summary);
            }
        }
    }

    /// Deletes the samples in `range` of the series that satisfy any of the selectors. Returns how many series those are.
    pub fn delete_series(&self, _selectors: &[Vec<Matcher>], _range: TimeRange) -> Result<u64, StorageError> {
        Err(StorageError::NotYet("deleting series"))
    }

    /// Writes blocks with deleted samples anew, without those. Returns how many blocks.
    pub fn clean_tombstones(&self) -> Result<u64, StorageError> {
        Err(StorageError::NotYet("cleaning tombstones"))
    }
}
