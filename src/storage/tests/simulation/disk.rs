//! The disk as the database under test sees it: at any of its operations others may get their turn.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::super::Storage;
use super::super::super::threads::Stepped;
use super::dice::Dice;
use super::world::{Observation, observe_now};
use crate::disk::{Disk, DiskError, DiskFile, FileBytes, SimulatedDisk};

/// A log segment reserves no more than this, so that a seed costs milliseconds.
const RESERVE_BYTES_MAX: u64 = 16 << 10;

/// More than any history takes.
const OPERATIONS_MAX: u64 = 100_000;

/// Who gets a turn at the operations of a disk.
#[derive(Clone, Default)]
pub(super) struct Disturbance {
    others: Arc<Mutex<Option<Others>>>,
    operation_count: Arc<AtomicU64>,
}

struct Others {
    stepped: Arc<Mutex<Stepped>>,
    storage: Arc<Storage>,
    dice: Dice,
    seen: Vec<Observation>,
}

impl Disturbance {
    /// Until [`Disturbance::end`], the loops take turns and somebody reads, as the seed has it.
    pub(super) fn begin(&self, stepped: &Arc<Mutex<Stepped>>, storage: &Arc<Storage>, seed: u64) {
        let (stepped, storage) = (stepped.clone(), storage.clone());
        *self.others.lock() = Some(Others { stepped, storage, dice: Dice(seed), seen: Vec::new() });
    }

    /// Returns what was seen meanwhile.
    pub(super) fn end(&self) -> Vec<Observation> {
        self.others.lock().take().map(|others| others.seen).unwrap_or_default()
    }

    fn strike(&self) {
        let count = self.operation_count.fetch_add(1, Ordering::Relaxed);
        assert!(count < OPERATIONS_MAX, "{count} operations of the disk: something does not end");
        // Taken out meanwhile: what the loops themselves do on the disk disturbs nobody.
        let Some(mut others) = self.others.lock().take() else { return };
        others.take_turns();
        *self.others.lock() = Some(others);
    }
}

impl Others {
    fn take_turns(&mut self) {
        // Somebody may be waiting for the loops, and steps them already.
        if let Some(mut stepped) = self.stepped.try_lock() {
            let shard_count = stepped.0.shards.len() as u64;
            for _ in 0..self.dice.below(3) {
                match self.dice.below(shard_count + 1) as usize {
                    0 => stepped.step_log(),
                    shard => stepped.step_shard(shard - 1),
                };
            }
        }
        if self.dice.once_in(6) {
            self.seen.push(observe_now(&self.storage));
        }
    }
}

/// A simulated disk with turns for others in between.
pub(super) struct BusyDisk {
    pub(super) disk: SimulatedDisk,
    pub(super) disturbance: Disturbance,
}

struct BusyFile {
    file: Box<dyn DiskFile>,
    disturbance: Disturbance,
}

impl BusyDisk {
    fn disk(&self) -> &SimulatedDisk {
        self.disturbance.strike();
        &self.disk
    }
}

impl Disk for BusyDisk {
    fn create_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk().create_folder(folder)
    }

    fn remove_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk().remove_folder(folder)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        self.disk().list(folder)
    }

    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        self.disk().list_folders(folder)
    }

    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        let file = self.disk().create(path, reserve_bytes.min(RESERVE_BYTES_MAX))?;
        Ok(Box::new(BusyFile { file, disturbance: self.disturbance.clone() }))
    }

    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        self.disk().read(path)
    }

    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk().file_bytes(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk().hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk().rename(from, to)
    }

    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        self.disk().shorten(path, length)
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.disk().remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk().sync_folder(folder)
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64, DiskError> {
        self.disk().free_bytes(folder)
    }
}

impl DiskFile for BusyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disturbance.strike();
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.disturbance.strike();
        self.file.sync()
    }

    fn reserve(&self, length: u64) -> Result<(), DiskError> {
        self.disturbance.strike();
        self.file.reserve(length.min(RESERVE_BYTES_MAX))
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.disturbance.strike();
        self.file.truncate(length)
    }
}
