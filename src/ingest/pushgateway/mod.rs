//! What jobs push that end before anybody could scrape them: a Pushgateway, with a time to live.
//!
//! ```text
//! PUT /metrics/job/backup?ttl=26h     backup_bytes 1.5e9
//!
//!   address ─► key ┐
//!   body ─► families ┴─► group ─► contradiction? 400 ─► its file, synced ─► its samples, synced ─► 200
//!                                                                      └─ again every resample_interval
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

mod families;
mod file;
mod groups;
mod key;
mod number;
mod protobuf;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Mutex;

pub use groups::{Group, KeptFamily};
pub use key::GroupKey;
pub use shown::{ShownFamily, ShownMetric, ShownValue};

use families::PushedFamilies;
use groups::Groups;

use super::{Ingest, IngestError, MetricKind, body};
use crate::disk::{Disk, DiskError};
use crate::model::{Labels, stale_nan};

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
    /// What every protocol may be told. The group is kept where this is about its samples: they are stored later.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

impl PushError {
    /// The HTTP status that tells the client what to do.
    pub fn status(&self) -> u16 {
        match self {
            PushError::Refused(_) | PushError::Inconsistent(_) => 400,
            PushError::TooLarge(_) => 413,
            PushError::Full(_) | PushError::Disk(_) => 503,
            PushError::Ingest(error) => error.status(),
        }
    }

    /// Seconds after which the client may try again, if that is of use.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            PushError::Full(_) => Some(60),
            PushError::Disk(_) => Some(5),
            PushError::Ingest(error) => error.retry_after_s(),
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

    /// Runs what must not be left half done when a client leaves.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PushError>> + Send + 'static,
    ) -> Result<T, PushError> {
        tokio::spawn(work).await.expect("the work on a group does not panic")
    }

    async fn take(&self, push: Push) -> Result<(), PushError> {
        let counters = self.ingest.counters();
        counters.body_bytes.fetch_add(push.body.len() as u64, Ordering::Relaxed);
        let outcome = self.take_uncounted(push).await;
        let counter = match &outcome {
            Ok(()) => &counters.requests_taken,
            Err(error) if error.status() >= 500 => &counters.requests_deferred,
            Err(_) => &counters.requests_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn take_uncounted(&self, push: Push) -> Result<(), PushError> {
        let key = GroupKey::of_path(&push.path)?;
        let limits = self.ingest.limits();
        if push.body.len() > limits.request_bytes_max {
            return Err(self.ingest.too_long(push.body.len()).into());
        }
        let inflated = body::inflate(&push.body, push.content_encoding.as_deref(), limits.request_decoded_bytes_max)?;
        let _room = self.ingest.reserve(2 * inflated.len())?;
        let read = match Form::of(push.content_type.as_deref())? {
            Form::Text => families::of_text(&inflated, limits),
            Form::Delimited => protobuf::of_protobuf(&inflated, limits),
        };
        let ttl_ms = push.ttl_ms.unwrap_or(self.settings.ttl_ms);
        let mut groups = self.groups.lock().await;
        let outcome = match read {
            Ok(families) => self.admit(&mut groups, &key, families, push.replace, ttl_ms).await,
            Err(error) => Err(error),
        };
        if let Err(PushError::Inconsistent(_)) = &outcome {
            self.note_failure(&mut groups, &key, ttl_ms).await;
        }
        outcome
    }

    async fn admit(
        &self,
        groups: &mut Groups,
        key: &GroupKey,
        families: PushedFamilies<'_>,
        replace: bool,
        ttl_ms: i64,
    ) -> Result<(), PushError> {
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let before = groups.get(key).cloned();
        let is_new = before.is_none();
        if is_new && groups.count() >= self.settings.groups_max {
            let limit = self.settings.groups_max;
            return Err(PushError::Full(format!(
                "there are pushgateway.groups_max = {limit} groups: delete some, or give them a ttl"
            )));
        }
        let before = before.unwrap_or_else(|| Group::new(key.clone()));
        let group = before.pushed(families, replace, ttl_ms, stamp_ms)?;
        let (count, limit) = (group.series_count(), self.settings.series_per_group_max);
        if count > limit {
            let what =
                format!("the group would have {count} series, more than pushgateway.series_per_group_max = {limit}");
            return Err(PushError::TooLarge(what));
        }
        self.describe(&group, stamp_ms);
        self.keep(groups, group, stamp_ms).await?;
        self.store(groups, key, stamp_ms).await
    }

    /// Puts down that a push was refused, in the group too. What goes wrong with that is only logged: the client has its answer.
    async fn note_failure(&self, groups: &mut Groups, key: &GroupKey, ttl_ms: i64) {
        if groups.get(key).is_none() && groups.count() >= self.settings.groups_max {
            return;
        }
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let before = groups.get(key).cloned().unwrap_or_else(|| Group::new(key.clone()));
        let noted = match self.keep(groups, before.failed(ttl_ms, stamp_ms), stamp_ms).await {
            Ok(()) => self.store(groups, key, stamp_ms).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the time of a refused push is not stored now");
        }
    }

    /// Makes a group durable and puts it in its place. What fails changes nothing.
    async fn keep(&self, groups: &mut Groups, mut group: Group, created_ms: i64) -> Result<(), PushError> {
        let key = group.key.clone();
        let bytes = file::encode(&group, created_ms);
        group.file_bytes = bytes.len();
        if bytes.len() > GROUP_BYTES_MAX {
            let what = format!("the group would take {} bytes, and one may take {GROUP_BYTES_MAX}", bytes.len());
            return Err(PushError::TooLarge(what));
        }
        let before_bytes = groups.get(&key).map_or(0, |before| before.file_bytes);
        if groups.bytes() - before_bytes + bytes.len() > self.settings.bytes_max {
            let limit = self.settings.bytes_max;
            return Err(PushError::Full(format!(
                "the groups would take more than pushgateway.bytes_max = {limit} bytes: delete some"
            )));
        }
        let before = groups.put(group).map_err(families::inconsistent)?;
        let (disk, path) = (self.disk.clone(), self.path(&key));
        let written = tokio::task::spawn_blocking(move || disk.replace(&path, &bytes)).await;
        if let Err(error) = written.expect("a disk does not panic") {
            groups.remove(&key);
            if let Some(before) = before {
                groups.put_unchecked(before);
            }
            return Err(error.into());
        }
        self.show_figures(groups);
        Ok(())
    }

    /// Stores the samples of a group, and the markers that it owes.
    async fn store(&self, groups: &mut Groups, key: &GroupKey, stamp_ms: i64) -> Result<(), PushError> {
        let Some(group) = groups.get_mut(key) else { return Ok(()) };
        let markers = group.ended.iter().map(|labels| (labels.clone(), stale_nan()));
        let series = group.series().map(|(labels, value)| (labels.clone(), value));
        let rows: Vec<(Arc<Labels>, f64)> = markers.chain(series).collect();
        let outcome = self.write(&rows, stamp_ms).await;
        if let Err(error) = &outcome
            && error.status() >= 500
        {
            return outcome;
        }
        // What was refused for good, a neighbour's sample aside, would be refused again.
        group.ended.clear();
        group.stored_ms = Some(stamp_ms);
        outcome
    }

    /// Stores some of what is due; says whether anything was.
    async fn store_due(&self, groups: &mut Groups) -> Result<bool, PushError> {
        let now_ms = self.ingest.clock.now_ms();
        let interval_ms = self.settings.resample_interval_ms;
        let is_due = |group: &&Group| {
            let due =
                |stored_ms: i64| now_ms >= stored_ms.saturating_add(interval_ms) || now_ms < stored_ms - interval_ms;
            group.stored_ms.is_none_or(due)
        };
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for group in groups.all().filter(is_due) {
            rows.extend(group.ended.iter().map(|labels| (labels.clone(), stale_nan())));
            rows.extend(group.series().map(|(labels, value)| (labels.clone(), value)));
            keys.push(group.key.clone());
            if rows.len() >= SERIES_PER_STORE {
                break;
            }
        }
        if keys.is_empty() {
            return Ok(false);
        }
        let stamp_ms = groups.stamp_ms(now_ms);
        match self.write(&rows, stamp_ms).await {
            Err(error) if error.status() >= 500 => return Err(error),
            Err(error) => tracing::warn!(%error, "some pushed samples are not stored again"),
            Ok(()) => {}
        }
        for key in keys {
            let group = groups.get_mut(&key).expect("it was there, and the groups are locked");
            group.ended.clear();
            group.stored_ms = Some(stamp_ms);
        }
        Ok(true)
    }

    /// Ends a group: markers first, so that what is answered with an error is still there and can be deleted again.
    async fn end(&self, groups: &mut Groups, key: &GroupKey, sync: bool) -> Result<(), PushError> {
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let Some(group) = groups.get(key) else { return Ok(()) };
        let all = group.series().map(|(labels, _)| labels).chain(&group.ended);
        let rows: Vec<(Arc<Labels>, f64)> = all.map(|labels| (labels.clone(), stale_nan())).collect();
        match self.write(&rows, stamp_ms).await {
            Err(error) if error.status() >= 500 => return Err(error),
            _ => {}
        }
        // From here on a failure leaves a group whose next samples undo the markers.
        groups.get_mut(key).expect("the groups are locked").stored_ms = None;
        let (disk, path, folder) = (self.disk.clone(), self.path(key), self.settings.folder.clone());
        let removed = tokio::task::spawn_blocking(move || {
            disk.remove(&path)?;
            if sync { disk.sync_folder(&folder) } else { Ok(()) }
        });
        match removed.await.expect("a disk does not panic") {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        groups.remove(key);
        self.show_figures(groups);
        Ok(())
    }

    /// Stores samples of one time, in as many writes as the limits of a request make of them.
    async fn write(&self, rows: &[(Arc<Labels>, f64)], stamp_ms: i64) -> Result<(), PushError> {
        let limits = self.ingest.limits();
        let rows_max = SERIES_PER_STORE.min(limits.series_per_request_max).min(limits.samples_per_request_max);
        let mut outcome = Ok(());
        for part in rows.chunks(rows_max) {
            let written = self.ingest.take_own(|builder| {
                for (labels, value) in part {
                    let series = builder.series(labels.iter()).expect("a part keeps to the limits of a request");
                    builder.sample(series, stamp_ms, *value).expect("a part keeps to the limits of a request");
                }
            });
            match written.await {
                Ok(_) => {}
                Err(error) if error.status() >= 500 => return Err(error.into()),
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }

    fn describe(&self, group: &Group, stamp_ms: i64) {
        let metadata = self.ingest.metadata();
        for (name, family) in group.families.iter().filter(|(_, family)| family.pushed_ms == stamp_ms) {
            metadata.learn(name, family.kind, &family.help, "");
        }
        for (name, help) in OWN_HELP {
            metadata.learn(name, MetricKind::Gauge, help, "");
        }
    }

    fn path(&self, key: &GroupKey) -> PathBuf {
        Path::join(&self.settings.folder, file::file_name(key))
    }

    fn show_figures(&self, groups: &Groups) {
        let figures = [
            (&self.counters.groups, groups.count()),
            (&self.counters.series, groups.series_count()),
            (&self.counters.bytes, groups.bytes()),
        ];
        for (figure, value) in figures {
            figure.store(value as u64, Ordering::Relaxed);
        }
    }
}

/// What the gateway's own metrics mean.
pub const OWN_HELP: [(&str, &str); 2] = [
    (groups::PUSH_FAILURE_TIME, "Unix time of the last push to this group that was refused; 0 if none was."),
    (groups::PUSH_TIME, "Unix time of the last push to this group that was taken; 0 if none was."),
];

/// What a body may be written in.
enum Form {
    Text,
    Delimited,
}

impl Form {
    /// As the Pushgateway has it: delimited protobuf where all of that is said, and else text. Other forms of protobuf are refused
    /// by their names.
    fn of(content_type: Option<&str>) -> Result<Form, PushError> {
        let content_type = content_type.unwrap_or("").to_ascii_lowercase();
        let mut parts = content_type.split(';').map(str::trim);
        let is_protobuf = parts.next().is_some_and(|media_type| media_type.contains("protobuf"));
        let parts: Vec<String> = parts.map(|part| part.replace([' ', '"'], "")).collect();
        let says = |wanted: &str| parts.iter().any(|part| part == wanted);
        match is_protobuf {
            false => Ok(Form::Text),
            true if says("encoding=delimited") && says("proto=io.prometheus.client.metricfamily") => {
                Ok(Form::Delimited)
            }
            true => Err(PushError::Ingest(IngestError::Unsupported(format!(
                "Content-Type {content_type:?} is not read; send the text format, or application/vnd.google.protobuf with \
                 proto=io.prometheus.client.MetricFamily and encoding=delimited"
            )))),
        }
    }
}

#[cfg(test)]
mod tests;
