//! What the benches share: the demo's shop as data, and a database whose disk takes everything and keeps nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dozor::clock::Clock;
use dozor::config::WalSync;
use dozor::demo::{SERIES_PER_NODE, Shop, ShopOptions};
use dozor::disk::{Disk, DiskError, DiskFile, FileBytes};
use dozor::model::{Labels, Sample};
use dozor::storage::{NewSeries, ShardBatch, Storage, StorageOptions};

/// What all chance in the benches comes from.
pub(crate) const SEED: u64 = 1;
/// The first scrape: a multiple of two hours, so that a bench of two hours stays in one block.
pub(crate) const START_MS: i64 = 236_111 * 2 * 3_600_000;
/// Between two scrapes.
pub(crate) const INTERVAL_MS: i64 = 15_000;

/// A fleet of so many nodes, 40 series each.
pub(crate) fn shop(node_count: usize) -> Shop {
    let options = ShopOptions { node_count, seed: SEED, scrape_interval_ms: INTERVAL_MS, ..ShopOptions::default() };
    Shop::new(options).expect("the options are in range")
}

/// A database in memory, of one shard, with a clock so far ahead that every bench's samples are of the past.
pub(crate) fn storage() -> Arc<Storage> {
    let options = StorageOptions {
        data_dir: PathBuf::from("/nowhere"),
        shard_count: 1,
        wal_sync: WalSync::Os,
        retention_ms: 0,
        retention_rules: Vec::new(),
        retention_bytes: 0,
        out_of_order_window_ms: 3_600_000,
        series_max: 2_000_000,
        head_bytes_max: usize::MAX,
        hash_seed: SEED,
        recovery: Arc::default(),
    };
    let clock = Clock::manual(START_MS + 1_000 * 24 * 3_600_000);
    let opened = Storage::open(options, Arc::new(NullDisk), clock, Arc::new(|_: &Labels| false));
    opened.expect("an empty database opens").0
}

/// A runtime for what waits for the database.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// A new series of the shop with its first samples, as ingest would hand it over.
pub(crate) fn new_series(
    storage: &Storage,
    shop: &Shop,
    node: usize,
    series: usize,
    samples: Vec<Sample>,
) -> NewSeries {
    let raw_hash = storage.resolver().raw_hash(shop.label_bytes(node, series));
    NewSeries::new(Arc::new(shop.labels(node, series)), raw_hash, samples)
}

/// Writes the series to a database of one shard.
pub(crate) fn write(storage: &Storage, batch: ShardBatch) {
    let summary = runtime().block_on(storage.write(vec![batch])).expect("acknowledged");
    assert_eq!(summary.refused_count(), 0, "{:?}", summary.refused);
}

/// Scrapes every node once: series of a node side by side.
pub(crate) fn scrape(shop: &mut Shop, timestamp_ms: i64) -> Vec<f64> {
    let mut values = Vec::with_capacity(shop.node_count() * SERIES_PER_NODE);
    for node in 0..shop.node_count() {
        values.extend(shop.scrape(node, timestamp_ms));
    }
    values
}

/// Takes every write, has nothing to read.
struct NullDisk;

struct NullFile;

impl Disk for NullDisk {
    fn create_folder(&self, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove_folder(&self, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&self, _: &Path) -> Result<Vec<String>, DiskError> {
        Ok(Vec::new())
    }

    fn list_folders(&self, _: &Path) -> Result<Vec<String>, DiskError> {
        Ok(Vec::new())
    }

    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        Err(DiskError::new("measure", path, std::io::ErrorKind::NotFound.into()))
    }

    fn hard_link(&self, from: &Path, _: &Path) -> Result<(), DiskError> {
        Err(DiskError::new("link", from, std::io::ErrorKind::NotFound.into()))
    }

    fn create(&self, _: &Path, _: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(Box::new(NullFile))
    }

    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        Err(DiskError::new("read", path, std::io::ErrorKind::NotFound.into()))
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn shorten(&self, _: &Path, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> Result<u64, DiskError> {
        Ok(u64::MAX)
    }
}

impl DiskFile for NullFile {
    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn reserve(&self, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> Result<(), DiskError> {
        Ok(())
    }
}
