//! The snapshots that are there: listed, taken when it is time, and the oldest of those removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use storage_format::manifest::Cause;

use super::super::Storage;
use super::snapshot::{Beside, Snapshot, remove};
use super::{BackupError, folders_of, read_manifest, snapshots_folder};
use crate::disk::{Disk, DiskError};

/// How long a snapshot that could not be taken is not tried again, unless the interval is shorter.
const RETRY_MS: i64 = 60_000;

/// One that is there and complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// When it was taken, ms since 1970 UTC.
    pub created_ms: i64,
    /// Why.
    pub cause: Cause,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The complete snapshots of a data folder, oldest first.
pub fn kept(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<KeptSnapshot>, DiskError> {
    let all = snapshots_folder(data_dir);
    let mut kept = Vec::new();
    for name in folders_of(disk, &all)? {
        let folder = all.join(&name);
        match read_manifest(disk, &folder) {
            Ok(manifest) => {
                let (created_ms, cause, bytes) = (manifest.created_ms, manifest.cause, manifest.total_bytes());
                kept.push(KeptSnapshot { name, folder, created_ms, cause, bytes });
            }
            Err(BackupError::Disk(error)) => return Err(error),
            // Being taken, or damaged: there is nothing to restore from in either.
            Err(_) => {}
        }
    }
    kept.sort_by(|a, b| (a.created_ms, &a.name).cmp(&(b.created_ms, &b.name)));
    Ok(kept)
}

/// The newest snapshot that is not younger than `moment_ms`. Fails with what there is instead.
pub fn as_of(disk: &dyn Disk, data_dir: &Path, moment_ms: i64) -> Result<KeptSnapshot, BackupError> {
    let kept = kept(disk, data_dir)?;
    let folder = snapshots_folder(data_dir);
    let what = match kept.first() {
        None => format!("{} has no complete snapshot", folder.display()),
        Some(oldest) => format!("no snapshot in {} is that old: the oldest is {}", folder.display(), oldest.name),
    };
    kept.into_iter().rfind(|one| one.created_ms <= moment_ms).ok_or(BackupError::NotKept(what))
}

/// What snapshots of a running database consist of, and when they are taken.
#[derive(Clone, Debug, Default)]
pub struct SnapshotOptions {
    /// What belongs to the data beside the database, in the order in which it is taken.
    pub beside: Vec<Beside>,
    /// Time between two that are taken by themselves, in ms. 0: none are.
    pub interval_ms: i64,
    /// How many of those stay.
    pub keep: usize,
}

/// Takes the snapshots of a running database, one at a time.
pub struct Snapshots {
    storage: Arc<Storage>,
    options: SnapshotOptions,
    /// Held while one is taken.
    taking: Mutex<()>,
    stopping: AtomicBool,
    /// When the last complete one was taken, ms since 1970 UTC; `i64::MIN` where there is none.
    last_success_ms: AtomicI64,
    /// When one was last taken, or not to be had, by the schedule.
    last_due_ms: AtomicI64,
    last_failed: AtomicBool,
    taken: AtomicU64,
    failed: AtomicU64,
}

impl Snapshots {
    /// Looks what is there already, so that a restart does not take one more.
    pub fn new(storage: Arc<Storage>, options: SnapshotOptions) -> Result<Snapshots, DiskError> {
        let kept = kept(&*storage.disk, &storage.options.data_dir)?;
        let last_of = |wanted: &dyn Fn(&KeptSnapshot) -> bool| {
            kept.iter().rfind(|one| wanted(one)).map_or(i64::MIN, |one| one.created_ms)
        };
        Ok(Snapshots {
            options,
            taking: Mutex::new(()),
            stopping: AtomicBool::new(false),
            last_success_ms: AtomicI64::new(last_of(&|_| true)),
            last_due_ms: AtomicI64::new(last_of(&|one| one.cause == Cause::Schedule)),
            last_failed: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            storage,
        })
    }

    /// Takes one because somebody asks for it. It stays until somebody removes it.
    pub fn take(&self) -> Result<Snapshot, BackupError> {
        self.take_for(Cause::Request)
    }

    /// Takes one if it is time, and removes those by schedule that are then too many. Called every second or so.
    pub fn keep_up(&self) -> Option<Result<Snapshot, BackupError>> {
        let (now_ms, interval_ms) = (self.storage.clock.now_ms(), self.options.interval_ms);
        let last_ms = self.last_due_ms.load(Ordering::Relaxed);
        let wait_ms = if self.last_failed.load(Ordering::Relaxed) { interval_ms.min(RETRY_MS) } else { interval_ms };
        // One from the future was taken before the clock was set back.
        let due = now_ms.saturating_sub(last_ms) >= wait_ms || last_ms > now_ms;
        if interval_ms == 0 || !due {
            return None;
        }
        self.last_due_ms.store(now_ms, Ordering::Relaxed);
        let taken = self.take_for(Cause::Schedule);
        Some(taken.and_then(|taken| self.remove_surplus().map(|()| taken)))
    }

    fn take_for(&self, cause: Cause) -> Result<Snapshot, BackupError> {
        let Some(_taking) = self.taking.try_lock() else { return Err(BackupError::Busy) };
        let go_on = || !self.stopping.load(Ordering::Relaxed);
        let taken = self.storage.snapshot(cause, &self.options.beside, &go_on);
        self.last_failed.store(taken.is_err(), Ordering::Relaxed);
        match &taken {
            Ok(snapshot) => {
                self.last_success_ms.store(snapshot.created_ms, Ordering::Relaxed);
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        taken
    }

    fn remove_surplus(&self) -> Result<(), BackupError> {
        let disk = &*self.storage.disk;
        let mut scheduled = kept(disk, &self.storage.options.data_dir)?;
        scheduled.retain(|one| one.cause == Cause::Schedule);
        let surplus = scheduled.len().saturating_sub(self.options.keep.max(1));
        scheduled[..surplus].iter().try_for_each(|one| remove(disk, &one.folder))?;
        Ok(())
    }

    /// Those that are there and complete, oldest first.
    pub fn kept(&self) -> Result<Vec<KeptSnapshot>, DiskError> {
        kept(&*self.storage.disk, &self.storage.options.data_dir)
    }

    /// Gives up one that is being taken, and takes no more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How old the newest complete one is; `None` where there is none.
    pub fn age(&self) -> Option<Duration> {
        let last_ms = self.last_success_ms.load(Ordering::Relaxed);
        let age_ms = self.storage.clock.now_ms().saturating_sub(last_ms);
        (last_ms != i64::MIN).then(|| Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
    }

    /// Whether the last that was begun could not be taken.
    pub fn last_failed(&self) -> bool {
        self.last_failed.load(Ordering::Relaxed)
    }

    /// How many were taken since the start, and how many could not be.
    pub fn counts(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}
