//! What jobs push that end before anybody could scrape them: a Pushgateway, with a time to live.
//!
//! ```text
//! PUT /metrics/job/backup?ttl=26h     backup_bytes 1.5e9
//!
//!   address ─► key ─────┐
//!   body ─► families ───┴─► group ─► contradiction? 400 ─► its file, synced ─► its samples, synced ─► 200
//!                                                                           └─► again every resample_interval
//! ```
//!
//! A Pushgateway is scraped again and again, so a value stays visible until its group is deleted. Here a group is state: its
//! samples are stored when they come, and again every `pushgateway.resample_interval` until somebody deletes it or its time to
//! live ends. Then, as after a scrape that does not find a series any more, every series gets a staleness marker.
//!
//! Always true:
//! 1. A push is answered with success when the group's file and its samples are on disk, in this order: what was acknowledged is
//!    there after a crash and goes on being stored.
//! 2. A group that was deleted, with success answered, stays deleted.
//! 3. No two groups have a series in common, or a metric of one name with two types. A push that would bring that about changes
//!    nothing but the group's `push_failure_time_seconds`.
//! 4. Pushes are carried out one at a time, to their end, also when their client leaves.
//! 5. Groups, series and bytes are bounded, each by a setting that the refusal names.

mod budget;
mod families;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod groups;
mod keep;
mod key;
mod protobuf;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Mutex;

#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::{read_push, restored};
pub use groups::{Group, KeptFamily};
pub use key::GroupKey;
pub use shown::{ShownFamily, ShownMetric, ShownValue};

use groups::Groups;

use super::verdict::cut;
use super::{Ingest, IngestError};
use crate::disk::{Disk, DiskError};

/// Series that are stored again at a time. Pushes take turns with these.
const SERIES_PER_STORE: usize = 5000;
/// Longest file of one group; a record of ours holds four times as much.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// Where groups are kept, and what bounds them.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// Folder of their files.
    pub folder: PathBuf,
    /// How long a group lives that does not say so itself, in ms after its last good push; 0: for ever.
    pub ttl_ms: i64,
    /// How often its samples are stored again, in ms.
    pub resample_interval_ms: i64,
    /// Most groups.
    pub groups_max: usize,
    /// Most series of one group.
    pub series_per_group_max: usize,
    /// Most bytes of the files of all groups.
    pub bytes_max: usize,
}

/// One push, as it came.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// What stands in the address behind `/metrics/job`: `/backup/shop/eu`, `@base64/YmFja3Vw`.
    pub path: String,
    /// Whether the group's other metrics go: PUT, not POST.
    pub replace: bool,
    /// How long the group is to live, in ms; 0: for ever. `None`: as the setting has it.
    pub ttl_ms: Option<i64>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why a push was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The address or the body cannot be read. The client must send another one.
    #[error("{0}")]
    Refused(String),
    /// It contradicts itself or other groups. The client must send another one.
    #[error("{0}")]
    Inconsistent(String),
    /// Over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// There is no room for another group, or more of one, until others go.
    #[error("{0}")]
    Full(String),
    /// The group cannot be made safe on disk. The operator must act; it may work later.
    #[error("the group cannot be made safe on disk now: {0}")]
    Disk(#[from] DiskError),
    /// What every protocol may be told. Nothing of the push is kept.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The group is as it was pushed; its samples are not stored now.
    #[error("the group is kept, and is stored again every pushgateway.resample_interval; now: {0}")]
    Kept(IngestError),
}

impl PushError {
    /// The same, of samples whose group is on disk.
    fn of_kept_group(self) -> PushError {
        match self {
            PushError::Ingest(error) => PushError::Kept(error),
            other => other,
        }
    }

    /// What the client is told. An error quotes what it is about, which may be most of a body: the text is cut where it gets
    /// longer than a few KiB.
    pub fn told(&self) -> String {
        cut(self.to_string())
    }

    /// The HTTP status that tells the client what to do.
    pub fn status(&self) -> u16 {
        match self {
            PushError::Refused(_) | PushError::Inconsistent(_) => 400,
            PushError::TooLarge(_) => 413,
            PushError::Full(_) | PushError::Disk(_) => 503,
            PushError::Ingest(error) | PushError::Kept(error) => error.status(),
        }
    }

    /// Seconds after which the client may try again, if that is of use.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            PushError::Full(_) => Some(60),
            PushError::Disk(_) => Some(5),
            PushError::Ingest(error) | PushError::Kept(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

/// Figures of the groups. Relaxed: nothing depends on them.
#[derive(Debug, Default)]
pub struct PushCounters {
    /// Groups now.
    pub groups: AtomicU64,
    /// Their series now, those of the gateway itself included.
    pub series: AtomicU64,
    /// Bytes of their files now.
    pub bytes: AtomicU64,
    /// Pushes taken.
    pub pushes_taken: AtomicU64,
    /// Pushes refused.
    pub pushes_refused: AtomicU64,
    /// Groups whose time to live ended.
    pub groups_expired: AtomicU64,
    /// Samples that could not be stored again in time.
    pub resample_failures: AtomicU64,
}

/// The groups, and the way into them. Shared by all connections.
pub struct Pushgateway {
    ingest: Arc<Ingest>,
    disk: Arc<dyn Disk>,
    settings: PushSettings,
    groups: Mutex<Groups>,
    counters: PushCounters,
}

impl Pushgateway {
    /// Reads the groups of an earlier process. What is damaged is put aside and told, a line each; it costs its group.
    pub fn open(
        ingest: Arc<Ingest>,
        disk: Arc<dyn Disk>,
        settings: PushSettings,
    ) -> Result<(Arc<Pushgateway>, Vec<String>), DiskError> {
        disk.create_folder(&settings.folder)?;
        // A folder whose own name is lost takes its files with it.
        disk.sync_folder(settings.folder.parent().unwrap_or(Path::new(".")))?;
        let (mut groups, mut damage) = (Groups::default(), Vec::new());
        for name in disk.list(&settings.folder)? {
            let path = settings.folder.join(&name);
            if name.ends_with(".tmp") {
                disk.remove(&path)?;
            } else if name.ends_with(".group") {
                let bytes = disk.read(&path)?;
                let read = file::decode(&bytes).and_then(|group| {
                    let stamp_ms = group.pushed_ms.max(group.failed_ms);
                    groups.put(group).map(|_| stamp_ms)
                });
                match read {
                    Ok(stamp_ms) => groups.note_stamp(stamp_ms),
                    Err(what) => {
                        damage.push(format!("{}: {what}; the group is put aside, push it again", path.display()));
                        disk.rename(&path, &path.with_extension("damaged"))?;
                    }
                }
            }
        }
        let (groups, counters) = (Mutex::new(groups), PushCounters::default());
        let gateway = Pushgateway { ingest, disk, settings, groups, counters };
        gateway.show_figures(&gateway.groups.try_lock().expect("nobody else has it yet"));
        Ok((Arc::new(gateway), damage))
    }

    /// The figures kept here.
    pub fn counters(&self) -> &PushCounters {
        &self.counters
    }

    /// All groups as they are now, in order of their keys.
    pub async fn all(&self) -> Vec<Group> {
        self.groups.lock().await.all().cloned().collect()
    }

    /// Takes a push. `Ok` means that the group is on disk, and its samples.
    pub async fn push(self: &Arc<Self>, push: Push) -> Result<(), PushError> {
        let gateway = self.clone();
        let outcome = self.to_its_end(async move { gateway.take(push).await }).await;
        let counter = if outcome.is_ok() { &self.counters.pushes_taken } else { &self.counters.pushes_refused };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// Deletes the group that the path names, as in [`Push::path`]; one that is not there is deleted already.
    pub async fn delete(self: &Arc<Self>, path: &str) -> Result<(), PushError> {
        let key = GroupKey::of_path(path)?;
        let gateway = self.clone();
        self.to_its_end(async move {
            let mut groups = gateway.groups.lock().await;
            gateway.end(&mut groups, &key, true).await
        })
        .await
    }

    /// Deletes all groups.
    pub async fn wipe(self: &Arc<Self>) -> Result<(), PushError> {
        let gateway = self.clone();
        self.to_its_end(async move {
            let mut groups = gateway.groups.lock().await;
            let keys: Vec<GroupKey> = groups.all().map(|group| group.key.clone()).collect();
            for key in keys {
                gateway.end(&mut groups, &key, false).await?;
            }
            Ok(gateway.disk.sync_folder(&gateway.settings.folder)?)
        })
        .await
    }

    /// Stores what is due again, and ends what has lived long enough. Called every second or so.
    pub async fn tick(&self) {
        let now_ms = self.ingest.clock.now_ms();
        loop {
            let mut groups = self.groups.lock().await;
            let ended: Vec<GroupKey> =
                groups.all().filter(|group| group.has_ended(now_ms)).map(|group| group.key.clone()).take(1).collect();
            let Some(key) = ended.first() else { break };
            if let Err(error) = self.end(&mut groups, key, false).await {
                tracing::warn!(%error, "a pushed group whose time is over is ended later");
                break;
            }
            self.counters.groups_expired.fetch_add(1, Ordering::Relaxed);
        }
        loop {
            let mut groups = self.groups.lock().await;
            match self.store_due(&mut groups).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.counters.resample_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "pushed samples are not stored again now; that is tried again");
                    break;
                }
            }
        }
    }
}

/// What the gateway's own metrics mean.
pub const OWN_HELP: [(&str, &str); 2] = [
    (groups::PUSH_FAILURE_TIME, "Unix time of the last push to this group that was refused; 0 if none was."),
    (groups::PUSH_TIME, "Unix time of the last push to this group that was taken; 0 if none was."),
];

#[cfg(test)]
mod tests;
