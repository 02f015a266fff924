//! Silences: alerts that nobody wants to hear of for a while, because somebody said so, who, why and until when.
//!
//! ```text
//! dana, 14:00: {alertname="SlowPage", shop="eu"} until 16:00, "new CDN"
//!
//! 13:59 pending ── 14:00 active: SlowPage in shop eu is held back ── 16:00 expired ── five days later: forgotten
//! 15:00 moved to 18:00: the same id        15:00 other matchers: this one expires, and a new one begins
//! 17:50 SlowPage fires still: the silence is among those that end soon
//! ```
//!
//! Beside them there are *windows*: maintenance by a schedule, from the settings.
//!
//! Always true:
//! 1. What was answered is on disk: a silence is in force behind the sync of the file that has it.
//! 2. A silence that has expired never silences again; its id is used for nothing else.
//! 3. There are at most [`SILENCES_COUNT_MAX`] of them, of [`SILENCES_BYTES_MAX`] bytes together.
//!
//! | locks | held |
//! | --- | --- |
//! | what is kept | by one change, the file's sync included; nobody asks under it |
//! | the index (`ArcSwap`), with everything in it | stored behind each change; loaded once a question |
//! | the windows (`ArcSwap`) | stored by a reload; loaded once a question |

mod index;
mod saved;
mod window;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::event::SilencedBy;
use super::matchers::Matchers;
use crate::clock::Clock;
use crate::disk::{Disk, DiskError};
use crate::model::Labels;
use index::Index;

pub use window::Window;

/// Most silences, those that have expired and are remembered included.
pub const SILENCES_COUNT_MAX: usize = 10_000;
/// Most bytes of all silences together.
pub const SILENCES_BYTES_MAX: usize = 16 << 20;
/// Most matchers of a silence.
pub const MATCHERS_COUNT_MAX: usize = 64;
/// Longest comment, in bytes.
pub const COMMENT_BYTES_MAX: usize = 4096;
/// Longest name of a creator, in bytes.
pub const CREATOR_BYTES_MAX: usize = 256;
/// How long a silence that has expired is remembered, in ms.
pub const REMEMBERED_MS: i64 = 120 * 3_600_000;
/// How long before its end a silence is among those that end soon, in ms.
pub const ENDS_SOON_MS: i64 = 600_000;

/// Alerts that are held back for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// A UUID.
    pub id: String,
    /// Which alerts: those that satisfy all of these. At least one of them wants a label to be there.
    pub matchers: Matchers,
    /// Its first moment, in ms since 1970 UTC.
    pub starts_at_ms: i64,
    /// The first moment behind it, in ms since 1970 UTC.
    pub ends_at_ms: i64,
    /// Who wanted it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made or changed last, in ms since 1970 UTC.
    pub updated_at_ms: i64,
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// It has not begun.
    Pending,
    /// It holds back alerts.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// As Alertmanager calls it.
    pub fn name(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it is at a moment, in ms since 1970 UTC.
    pub fn state(&self, now_ms: i64) -> SilenceState {
        match () {
            () if now_ms >= self.ends_at_ms => SilenceState::Expired,
            () if now_ms < self.starts_at_ms => SilenceState::Pending,
            () => SilenceState::Active,
        }
    }

    fn bytes(&self) -> usize {
        let matchers: usize = self.matchers.iter().map(|matcher| matcher.name().len() + matcher.value().len()).sum();
        size_of::<Silence>() + self.id.len() + self.created_by.len() + self.comment.len() + matchers
    }
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceRequest {
    /// The silence that is to be changed; none makes a new one.
    pub id: Option<String>,
    /// Which alerts.
    pub matchers: Matchers,
    /// From when on, in ms since 1970 UTC; the past counts as now.
    pub starts_at_ms: i64,
    /// Until when, in ms since 1970 UTC.
    pub ends_at_ms: i64,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A silence that ends soon while alerts fire that it holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndsSoon {
    /// The silence.
    pub silence: Arc<Silence>,
    /// Alerts that fire and will be told of when it has ended; at least one.
    pub firing_count: usize,
}

/// Why there is no such silence.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// The client must ask for something else.
    #[error("{0}")]
    Refused(String),
    /// There is none of this id; those that expired five days ago are forgotten.
    #[error("silence {0} not found")]
    NotFound(String),
    /// A limit is reached. Expire some, and wait until they are forgotten.
    #[error("there are {limit} {what} of silences, which is the limit")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// The file could not be written or read; everything is as it was. The operator must act.
    #[error("the silences: {0}")]
    Disk(#[from] DiskError),
    /// The file is damaged. The operator must put it aside, or back.
    #[error("the silences: {} {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
}

/// All silences and windows. Shared by those who ask and those who change them.
pub struct Silences {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    clock: Clock,
    kept: Mutex<Kept>,
    index: ArcSwap<Index>,
    windows: ArcSwap<Vec<Window>>,
}

/// By their ids.
type Kept = BTreeMap<String, Arc<Silence>>;

impl Silences {
    /// Reads what the process before this one knew; a file that is not there has none.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        clock: Clock,
        windows: Vec<Window>,
    ) -> Result<Arc<Silences>, SilenceError> {
        let mut kept: Kept = match disk.read(path) {
            Ok(bytes) => saved::decode(&bytes).map_err(|what| SilenceError::Damaged { file: path.to_owned(), what })?,
            Err(error) if error.is_not_found() => Kept::new(),
            Err(error) => return Err(error.into()),
        };
        forget(&mut kept, clock.now_ms());
        let index = ArcSwap::from_pointee(Index::of(&kept, clock.now_ms()));
        let path = path.to_owned();
        Ok(Arc::new(Silences {
            disk,
            path,
            clock,
            kept: Mutex::new(kept),
            index,
            windows: ArcSwap::from_pointee(windows),
        }))
    }

    /// Makes a silence, or changes one, and returns its id when it is on disk. Waits for the disk: not for a task.
    ///
    /// As in Alertmanager a silence keeps its id if its matchers stay, it has not expired, and what has begun keeps its
    /// start; otherwise the old one expires and a new one takes its place.
    pub fn set(&self, request: SilenceRequest) -> Result<Arc<Silence>, SilenceError> {
        let mut kept = self.kept.lock();
        let now_ms = self.clock.now_ms();
        check(&request, now_ms)?;
        let mut next = kept.clone();
        forget(&mut next, now_ms);
        let before = match &request.id {
            Some(id) => Some(kept.get(id).ok_or_else(|| SilenceError::NotFound(id.clone()))?),
            None => None,
        };
        let keeps = before.filter(|before| keeps_id(before, &request, now_ms));
        if let (Some(before), None) = (before, keeps) {
            expire(&mut next, before, now_ms);
        }
        let silence = Arc::new(Silence {
            id: keeps.map_or_else(new_id, |before| before.id.clone()),
            matchers: request.matchers,
            starts_at_ms: if keeps.is_some() { request.starts_at_ms } else { request.starts_at_ms.max(now_ms) },
            ends_at_ms: request.ends_at_ms,
            created_by: request.created_by,
            comment: request.comment,
            updated_at_ms: now_ms,
        });
        next.insert(silence.id.clone(), silence.clone());
        check_room(&next)?;
        self.keep(&mut kept, next, now_ms)?;
        Ok(silence)
    }

    /// Ends a silence now and returns it when that is on disk; one that has expired stays as it is. Waits for the disk:
    /// not for a task.
    pub fn expire(&self, id: &str) -> Result<Arc<Silence>, SilenceError> {
        let mut kept = self.kept.lock();
        let now_ms = self.clock.now_ms();
        let silence = kept.get(id).cloned().ok_or_else(|| SilenceError::NotFound(id.to_owned()))?;
        if silence.state(now_ms) == SilenceState::Expired {
            return Ok(silence);
        }
        let mut next = kept.clone();
        let expired = expire(&mut next, &silence, now_ms);
        forget(&mut next, now_ms);
        self.keep(&mut kept, next, now_ms)?;
        Ok(expired)
    }

    /// Puts other windows in the place of those that were; the silences stay.
    pub fn replace_windows(&self, windows: Vec<Window>) {
        self.windows.store(Arc::new(windows));
    }

    fn keep(&self, kept: &mut Kept, next: Kept, now_ms: i64) -> Result<(), SilenceError> {
        self.disk.replace(&self.path, &saved::encode(&next, now_ms))?;
        self.index.store(Arc::new(Index::of(&next, now_ms)));
        *kept = next;
        Ok(())
    }

    /// The silence of this id. Never waits for the disk.
    pub fn get(&self, id: &str) -> Option<Arc<Silence>> {
        self.index.load().all.get(id).cloned()
    }

    /// All of them: those that are active first, the one that ends next before the others; then those that are pending,
    /// by their start; then those that have expired, the latest first. Never waits for the disk.
    pub fn all(&self) -> Vec<Arc<Silence>> {
        let now_ms = self.clock.now_ms();
        let mut all: Vec<_> = self.index.load().all.values().cloned().collect();
        all.sort_by_key(|silence| match silence.state(now_ms) {
            SilenceState::Active => (0, silence.ends_at_ms),
            SilenceState::Pending => (1, silence.starts_at_ms),
            SilenceState::Expired => (2, -silence.ends_at_ms),
        });
        all
    }

    /// A silence, or a window, that holds back an alert with these labels at a
    /// moment, in ms since 1970 UTC. Never waits for the disk.
    pub fn silenced_by(&self, labels: &Labels, now_ms: i64) -> Option<SilencedBy> {
        self.silencing(labels, now_ms).next()
    }

    /// The ids of all that [`Silences::silenced_by`] could answer.
    pub fn all_silencing(&self, labels: &Labels, now_ms: i64) -> Vec<String> {
        self.silencing(labels, now_ms).map(|one| one.id).collect()
    }

    fn silencing(&self, labels: &Labels, now_ms: i64) -> impl Iterator<Item = SilencedBy> {
        let silences = self.index.load().matching(labels, now_ms);
        let windows = self.windows.load();
        let windows = windows.iter().filter(|window| window.holds_back(labels, now_ms));
        let windows: Vec<SilencedBy> = windows.map(Window::shown).collect();
        let silenced_by = |silence: Arc<Silence>| {
            let Silence { id, created_by, comment, .. } = &*silence;
            SilencedBy { id: id.clone(), created_by: created_by.clone(), comment: comment.clone() }
        };
        silences.into_iter().map(silenced_by).chain(windows)
    }

    /// The silences that end within [`ENDS_SOON_MS`] and hold back some of these alerts, which fire, that nothing else
    /// will hold back then.
    pub fn ending_soon<'a>(&self, firing: impl IntoIterator<Item = &'a Labels>, now_ms: i64) -> Vec<EndsSoon> {
        let index = self.index.load();
        let mut counts: BTreeMap<String, EndsSoon> = BTreeMap::new();
        for labels in firing {
            // Of several the last one counts: until then the alert is held back.
            let last = index.matching(labels, now_ms).into_iter().max_by_key(|silence| silence.ends_at_ms);
            let soon = last.filter(|silence| silence.ends_at_ms - now_ms <= ENDS_SOON_MS);
            let Some(silence) = soon.filter(|silence| self.silenced_by(labels, silence.ends_at_ms).is_none()) else {
                continue;
            };
            let id = silence.id.clone();
            counts.entry(id).or_insert(EndsSoon { silence, firing_count: 0 }).firing_count += 1;
        }
        counts.into_values().collect()
    }

    /// What "now" is for a silence.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}

fn check(request: &SilenceRequest, now_ms: i64) -> Result<(), SilenceError> {
    let too_long = |what: &str, bytes: usize, most: usize| format!("{what} has {bytes} bytes, more than {most}");
    let what = match () {
        () if request.starts_at_ms >= request.ends_at_ms => "start time must be before end time".to_owned(),
        () if request.ends_at_ms <= now_ms => "end time can't be in the past".to_owned(),
        () if request.matchers.is_empty() => "at least one matcher required".to_owned(),
        () if request.matchers.iter().all(|matcher| matcher.matches_absent()) => {
            "at least one matcher must not match the empty string".to_owned()
        }
        () if request.matchers.iter().len() > MATCHERS_COUNT_MAX => {
            format!("a silence has {} matchers, more than {MATCHERS_COUNT_MAX}", request.matchers.iter().len())
        }
        () if request.comment.len() > COMMENT_BYTES_MAX => {
            too_long("the comment", request.comment.len(), COMMENT_BYTES_MAX)
        }
        () if request.created_by.len() > CREATOR_BYTES_MAX => {
            too_long("the creator", request.created_by.len(), CREATOR_BYTES_MAX)
        }
        () => return Ok(()),
    };
    Err(SilenceError::Refused(what))
}

fn check_room(kept: &Kept) -> Result<(), SilenceError> {
    if kept.len() > SILENCES_COUNT_MAX {
        return Err(SilenceError::Full { what: "in number", limit: SILENCES_COUNT_MAX });
    }
    let bytes: usize = kept.values().map(|silence| silence.bytes()).sum();
    if bytes > SILENCES_BYTES_MAX {
        return Err(SilenceError::Full { what: "bytes", limit: SILENCES_BYTES_MAX });
    }
    Ok(())
}

fn keeps_id(before: &Silence, request: &SilenceRequest, now_ms: i64) -> bool {
    // Clients read and write times with different precision.
    let same_second = before.starts_at_ms.div_euclid(1000) == request.starts_at_ms.div_euclid(1000);
    before.matchers == request.matchers
        && match before.state(now_ms) {
            SilenceState::Active => same_second,
            SilenceState::Pending => request.starts_at_ms >= now_ms,
            SilenceState::Expired => false,
        }
}

/// Puts an ended one in the place of a silence, and returns it.
fn expire(kept: &mut Kept, silence: &Silence, now_ms: i64) -> Arc<Silence> {
    let starts_at_ms = silence.starts_at_ms.min(now_ms);
    let ends_at_ms = silence.ends_at_ms.min(now_ms);
    let ended = Arc::new(Silence { starts_at_ms, ends_at_ms, updated_at_ms: now_ms, ..silence.clone() });
    kept.insert(ended.id.clone(), ended.clone());
    ended
}

fn forget(kept: &mut Kept, now_ms: i64) {
    kept.retain(|_, silence| now_ms - silence.ends_at_ms < REMEMBERED_MS);
}

/// A random UUID. It need not be a secret, only no other one's.
fn new_id() -> String {
    // The keys of each state are drawn by the system.
    let [high, low] = [(); 2].map(|()| RandomState::new().hash_one(0));
    let (high, low) = ((high & !0xf000) | 0x4000, (low & !(0b11 << 62)) | 0b10 << 62);
    let (first, second, third) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
    format!("{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests;
