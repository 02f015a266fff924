//! Known series by the hash of their labels as the sender encodes them.
//!
//! A sender writes a series the same way every time, so a series that was seen once is found again by hashing the raw
//! bytes, without parsing them. Two senders may encode one series differently; both encodings then lead to the same ref.
//!
//! ```text
//! 0a 0e 0a 08 "__name__" 12 02 "up" …  ──xxh3-128──►  9f3c…  ──►  SeriesRef
//! ```
//!
//! Always true: a ref found here is owned by a shard. A series is removed here one cycle before its shard frees it, so
//! a request that resolved it just before still finds it alive.

use hashbrown::{HashSet, HashTable};
use parking_lot::{RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::model::SeriesRef;

/// Entries kept at most: several encodings a series are normal, an endless stream of encodings is not.
const ENCODINGS_PER_SERIES_MAX: usize = 4;
/// Floor of that limit, so that a small head does not throw away what it just learned.
const ENTRIES_FLOOR: usize = 1 << 20;

/// The map from encodings to series. One lock, taken once a request.
pub struct Resolver {
    /// Drawn anew each start, so that nobody can prepare two label sets that collide.
    seed: u64,
    entries: RwLock<HashTable<Entry>>,
}

/// Twenty bytes: 96 bits of the hash, which no two of a billion encodings share by chance, and the ref, in words of 32
/// bits, low ones first, so that nothing is lost to alignment.
#[derive(Clone, Copy)]
struct Entry {
    raw_hash: [u32; 3],
    series: [u32; 2],
}

impl Entry {
    fn new(raw_hash: u128, series: SeriesRef) -> Entry {
        Entry { raw_hash: kept(raw_hash), series: [series.0 as u32, (series.0 >> 32) as u32] }
    }

    fn series(&self) -> SeriesRef {
        SeriesRef(u64::from(self.series[1]) << 32 | u64::from(self.series[0]))
    }
}

/// What an entry keeps of a hash.
fn kept(raw_hash: u128) -> [u32; 3] {
    [raw_hash as u32, (raw_hash >> 32) as u32, (raw_hash >> 64) as u32]
}

/// The low half of the hash.
fn table_hash(kept: [u32; 3]) -> u64 {
    u64::from(kept[1]) << 32 | u64::from(kept[0])
}

impl Resolver {
    pub(super) fn new(seed: u64) -> Resolver {
        Resolver { seed, entries: RwLock::new(HashTable::new()) }
    }

    /// The key of a series encoded as these bytes.
    pub fn raw_hash(&self, encoded_labels: &[u8]) -> u128 {
        xxh3_128_with_seed(encoded_labels, self.seed)
    }

    /// The map as of now, for the look-ups of one request.
    pub fn known(&self) -> Known<'_> {
        Known(self.entries.read())
    }

    pub(super) fn learn(&self, learned: impl IntoIterator<Item = (u128, SeriesRef)>, series_count: usize) {
        let mut entries = self.entries.write();
        if entries.len() > (series_count * ENCODINGS_PER_SERIES_MAX).max(ENTRIES_FLOOR) {
            entries.clear(); // each series is parsed once more, and that is all
        }
        for (raw_hash, series) in learned {
            let new = Entry::new(raw_hash, series);
            let hash = table_hash(new.raw_hash);
            match entries.find_mut(hash, |entry| entry.raw_hash == new.raw_hash) {
                Some(entry) => *entry = new,
                None => {
                    entries.insert_unique(hash, new, |entry| table_hash(entry.raw_hash));
                }
            }
        }
    }

    /// Learns encodings of series that no shard holds, so that fuzzing can read a request as if its series were known.
    #[cfg(any(test, feature = "fuzzing"))]
    #[doc(hidden)]
    pub fn pretend(&self, known: impl IntoIterator<Item = (u128, SeriesRef)>) {
        self.learn(known, 0);
    }

    /// Forgets all that it was told to pretend, and everything else.
    #[cfg(any(test, feature = "fuzzing"))]
    #[doc(hidden)]
    pub fn forget_all(&self) {
        self.entries.write().clear();
    }

    pub(super) fn forget(&self, series: &HashSet<SeriesRef>) {
        self.entries.write().retain(|entry| !series.contains(&entry.series()));
    }
}

/// The resolver's map while one request looks up its series.
pub struct Known<'a>(RwLockReadGuard<'a, HashTable<Entry>>);

impl Known<'_> {
    /// The series that was last seen under this encoding.
    pub fn get(&self, raw_hash: u128) -> Option<SeriesRef> {
        let kept = kept(raw_hash);
        self.0.find(raw_hash as u64, |entry| entry.raw_hash == kept).map(Entry::series)
    }
}
