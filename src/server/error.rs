//! Why a server does not start.

use std::path::PathBuf;

use super::delivering::PlanErrors;
use super::formats::NewerFormat;
use crate::config::ConfigError;
use crate::detect::AnnounceError;
use crate::disk::DiskError;
use crate::notify::NotifyError;
use crate::notify::silence::SilenceError;
use crate::rules::RuleErrors;
use crate::storage::{BackupError, StorageError};

/// Why the server does not start. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process has the data folder.
    #[error("the data folder {folder} is in use by another dozor: stop that one, or give --data-dir another folder", folder = .0.display())]
    FolderInUse(PathBuf),
    /// The data folder cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file was written by a newer binary.
    #[error(transparent)]
    NewerFormat(#[from] NewerFormat),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; give --listen another one")]
    Listen {
        /// The setting.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address of StatsD cannot be listened on.
    #[error("cannot listen on {address} for StatsD: {source}; give --statsd-listen another one")]
    ListenStatsd {
        /// The setting.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting that only the query language can judge.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A restore into the data folder is not finished, or its snapshots cannot be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A rule file has mistakes.
    #[error(transparent)]
    Rules(#[from] RuleErrors),
    /// Nobody can be told by these settings.
    #[error(transparent)]
    Plan(#[from] PlanErrors),
    /// The outbox or a receiver cannot be used.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// What was announced for the calendar cannot be read.
    #[error(transparent)]
    Calendar(#[from] AnnounceError),
    /// The silences cannot be read.
    #[error(transparent)]
    Silences(#[from] SilenceError),
    /// The database cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A thread cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// The thread's name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
}
