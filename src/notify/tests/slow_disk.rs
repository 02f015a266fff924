//! The notifier on a disk that takes its time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::firing;
use crate::clock::Clock;
use crate::disk::{Disk, DiskError, DiskFile, FileBytes, SimulatedDisk};
use crate::notify::{Notifier, NotifierOptions, Plan};

/// A disk whose syncs do not return while somebody holds the gate.
#[derive(Clone)]
struct SlowDisk {
    disk: SimulatedDisk,
    gate: Arc<Mutex<()>>,
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    gate: Arc<Mutex<()>>,
}

impl Disk for SlowDisk {
    fn create_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk.create_folder(folder)
    }
    fn remove_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk.remove_folder(folder)
    }
    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        self.disk.list(folder)
    }
    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        let file = self.disk.create(path, reserve_bytes)?;
        Ok(Box::new(SlowFile { file, gate: self.gate.clone() }))
    }
    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        self.disk.read(path)
    }
    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        self.disk.list_folders(folder)
    }
    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk.file_bytes(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.hard_link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        self.disk.shorten(path, length)
    }
    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove(path)
    }
    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.disk.sync_folder(folder)
    }
    fn free_bytes(&self, folder: &Path) -> Result<u64, DiskError> {
        self.disk.free_bytes(folder)
    }
}

impl DiskFile for SlowFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(offset, bytes)
    }
    fn sync(&self) -> Result<(), DiskError> {
        let _passed = self.gate.lock();
        self.file.sync()
    }
    fn reserve(&self, length: u64) -> Result<(), DiskError> {
        self.file.reserve(length)
    }
    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.truncate(length)
    }
}

/// The answer of a thread that had the time to give one.
fn asked(notifier: &Arc<Notifier>) -> Option<usize> {
    let (say, heard) = std::sync::mpsc::channel();
    let notifier = Arc::clone(notifier);
    std::thread::spawn(move || say.send(notifier.active().len()));
    heard.recv_timeout(Duration::from_secs(5)).ok()
}

#[test]
fn what_fires_is_said_while_the_disk_syncs() {
    let disk = SlowDisk { disk: SimulatedDisk::new(), gate: Arc::default() };
    let (shared, folder) = (Arc::new(disk.clone()), Path::new("/data/outbox"));
    let (notifier, _) =
        Notifier::open(shared, folder, Clock::system(), NotifierOptions::new(Plan::default(), String::new())).unwrap();
    notifier.enqueue(&firing("A")).unwrap();

    let held: MutexGuard<'_, ()> = disk.gate.lock();
    let reporter = Arc::clone(&notifier);
    let reporting = std::thread::spawn(move || reporter.enqueue(&firing("B")).unwrap());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(asked(&notifier), Some(1), "only A is on disk yet");
    drop(held);
    reporting.join().unwrap();
    assert_eq!(asked(&notifier), Some(2));
}
