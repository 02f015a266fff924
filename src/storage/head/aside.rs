//! What a series holds beside its chunks: samples that came out of order, sorted, few as a rule.
//!
//! ```text
//! sealed into blocks      │ floor      chunks
//! ────────────────────────┼──────────────────────────────▷
//!    11:20 11:21 11:22    │   12:07 12:55
//!    belated, each with   │   late: merged when read,
//!    the cut it waits for │   written with the chunks
//! ```

use crate::model::{Sample, TimeRange};

/// Samples out of order that one series may have in the head.
pub const LATE_SAMPLES_MAX: usize = 16_384;
/// Samples of sealed time that one series may have in the head.
pub const BELATED_SAMPLES_MAX: usize = 16_384;

/// Late and belated samples of one series. Most series have neither, and then not even this.
#[derive(Default)]
pub(super) struct Aside {
    /// Not below the floor when they came; ascending.
    pub(super) late: Vec<Sample>,
    /// Below the floor when they came; ascending.
    pub(super) belated: Vec<Belated>,
}

/// A sample whose time was sealed into blocks before it came.
#[derive(Clone, Copy)]
pub(super) struct Belated {
    pub(super) sample: Sample,
    /// The cut that writes it is the one that ends this epoch.
    pub(super) epoch: u32,
}

impl Aside {
    pub(super) fn insert_late(&mut self, sample: Sample) {
        let position = self.late.partition_point(|other| other.timestamp_ms < sample.timestamp_ms);
        self.late.insert(position, sample);
    }

    pub(super) fn insert_belated(&mut self, sample: Sample, epoch: u32) {
        let position = self.belated.partition_point(|other| other.sample.timestamp_ms < sample.timestamp_ms);
        self.belated.insert(position, Belated { sample, epoch });
    }

    /// The bits of the belated sample of exactly this moment.
    pub(super) fn belated_bits(&self, timestamp_ms: i64) -> Option<u64> {
        let found = self.belated.binary_search_by_key(&timestamp_ms, |other| other.sample.timestamp_ms).ok()?;
        Some(self.belated[found].sample.value.to_bits())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.late.is_empty() && self.belated.is_empty()
    }

    pub(super) fn late_span(&self) -> Option<TimeRange> {
        let (first, last) = self.late.first().zip(self.late.last())?;
        Some(TimeRange { from_ms: first.timestamp_ms, to_ms: last.timestamp_ms })
    }

    pub(super) fn belated_span(&self) -> Option<TimeRange> {
        let (first, last) = self.belated.first().zip(self.belated.last())?;
        Some(TimeRange { from_ms: first.sample.timestamp_ms, to_ms: last.sample.timestamp_ms })
    }

    /// What it takes, itself included.
    pub(super) fn heap_bytes(&self) -> usize {
        let late = self.late.capacity() * size_of::<Sample>();
        size_of::<Aside>() + late + self.belated.capacity() * size_of::<Belated>()
    }
}
