//! The data folder of a server that does not run, for who reads what is stored and leaves a checkpoint for its next start.
//!
//! Always true: it is opened as a server opens it, so whoever reads it sees what the server would show. Opened to be read,
//! it stays as it is to the byte.

use std::path::Path;
use std::sync::Arc;

use super::options::plain_engine;
use super::watch::CHECKPOINT;
use super::{ServerError, check_restored, formats, lock, shard_count, storage_options};
use crate::clock::Clock;
use crate::config::Config;
use crate::disk::{Disk, DiskError, FolderLock, ReadOnlyDisk, RealDisk};
use crate::query::Engine;
use crate::storage::view::ReadView;
use crate::storage::{RecoveryProgress, Storage};

/// A data folder's database. The folder is locked as long as it is held.
pub struct DatabaseAtRest {
    storage: Arc<Storage>,
    disk: Arc<dyn Disk>,
    _lock: Option<FolderLock>,
}

/// The file by which a server has a folder; a snapshot has none.
const LOCK: &str = "lock";

impl DatabaseAtRest {
    /// Opens the database that these settings name, or a snapshot of one, without changing anything. Everything that lies
    /// there is seen, also what is past its time. Fails if a server has it.
    pub fn open_to_read(config: &Config) -> Result<DatabaseAtRest, ServerError> {
        // To make the file would be a change, and where there is none no server has the folder.
        let is_served = RealDisk.file_bytes(&config.data_dir.join(LOCK)).is_ok();
        let lock = is_served.then(|| lock(&config.data_dir)).transpose()?;
        let everything = Config { retention_ms: 0, retention_rules: Vec::new(), retention_bytes: 0, ..config.clone() };
        DatabaseAtRest::open_on(Arc::new(ReadOnlyDisk::over(Arc::new(RealDisk))), &everything, lock)
    }

    /// Opens the database that these settings name. Fails if a server has it.
    pub fn open(config: &Config) -> Result<DatabaseAtRest, ServerError> {
        let lock = lock(&config.data_dir)?;
        DatabaseAtRest::open_on(Arc::new(RealDisk), config, Some(lock))
    }

    fn open_on(disk: Arc<dyn Disk>, config: &Config, lock: Option<FolderLock>) -> Result<DatabaseAtRest, ServerError> {
        let clock = Clock::system();
        if let Some(newer) = formats::find_newer(&*disk, &config.data_dir)? {
            return Err(newer.into());
        }
        check_restored(&*disk, &config.data_dir)?;
        let progress = Arc::new(RecoveryProgress::default());
        let options = storage_options(config, shard_count(config.shards), &clock, progress)?;
        let (storage, _, _) = Storage::open(options, disk.clone(), clock, Arc::new(|_| false))?;
        Ok(DatabaseAtRest { storage, disk, _lock: lock })
    }

    /// What evaluates queries as the server of these settings would.
    pub fn engine(config: &Config) -> Engine {
        plain_engine(config, &Clock::system())
    }

    /// Everything that is stored.
    pub fn view(&self) -> ReadView {
        self.storage.view()
    }

    /// The checkpoint that detection goes on from; `None` where there is none.
    pub fn checkpoint(&self, data_dir: &Path) -> Result<Option<Vec<u8>>, DiskError> {
        match self.disk.read(&data_dir.join(CHECKPOINT)) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the checkpoint as a whole.
    pub fn replace_checkpoint(&self, data_dir: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.replace(&data_dir.join(CHECKPOINT), bytes)
    }
}

impl Drop for DatabaseAtRest {
    fn drop(&mut self) {
        self.storage.close();
    }
}
