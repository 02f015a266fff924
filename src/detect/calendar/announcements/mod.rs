//! Spans that somebody announces while the server runs: a flash sale this afternoon, a deploy in ten minutes.
//!
//! ```text
//! dana, 13:50: campaign from 14:00 to 18:00, "flash sale"
//!
//! 13:50 pending ── 13:30 to 18:30 active: a rate of 40 to 160 % is no alert ── over ── 30 days later: forgotten,
//!                                                                               with the next change
//! announced at 15:00 only: what was judged before stays as it was judged; an alert that fires ends when it is within 0.6
//! 15:00 withdrawn: it is gone, and from the next minute of event time on nothing is excused by it
//! ```
//!
//! Always true:
//! 1. What was answered is on disk: a span is in force behind the sync of the file that has it.
//! 2. There are at most [`ANNOUNCED_COUNT_MAX`]; what is over makes room, the one that ended first before the others.
//! 3. Whoever asks for the calendar gets the settings' spans and the announced ones of one moment.
//!
//! | locks | held |
//! | --- | --- |
//! | what is kept | by one change, the file's sync included; nobody asks under it |
//! | what is in force (`ArcSwap`) | stored behind each change; loaded at each look of the judge, and by http |

mod saved;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Calendar, CalendarFull, Zone};
use crate::clock::Clock;
use crate::config::{CalendarKind, CalendarSpan, LocalMoment, duration_text};
use crate::disk::{Disk, DiskError};

/// Most announced spans, those that are over and remembered included.
pub const ANNOUNCED_COUNT_MAX: usize = 1_000;
/// Longest comment, in bytes.
const COMMENT_BYTES_MAX: usize = 2_000;
/// Longest name of who announces, in bytes.
const NAME_BYTES_MAX: usize = 256;
const DAY_MS: i64 = 86_400_000;
/// Longest span, in ms: what lasts for more is a new normal, or stands in the settings.
const SPAN_MS_MAX: i64 = 92 * DAY_MS;
/// How long ago a span may have begun, in ms.
const BEGUN_MS_MAX: i64 = 7 * DAY_MS;
/// How far ahead a span may end, in ms: further on somebody mistook the year.
const AHEAD_MS_MAX: i64 = 400 * DAY_MS;
/// How long a span that is over is remembered at least, in ms, while there is room: `dozor learn` reads history by it.
const REMEMBERED_MS: i64 = 30 * DAY_MS;

/// A time of which a rate may be far from what it usually is, because somebody said so.
#[derive(Clone, Debug, PartialEq)]
pub struct Announced {
    /// Eight hexadecimal digits.
    pub id: String,
    /// Why it is not ordinary.
    pub kind: CalendarKind,
    /// Its first moment, in ms since 1970 UTC, as it was announced.
    pub from_ms: i64,
    /// The first moment behind it, in ms since 1970 UTC, as it was announced.
    pub to_ms: i64,
    /// How far from ordinary it may be, as a fraction, 0.05 to 1.
    pub tolerance: f64,
    /// Who announced it.
    pub by: String,
    /// Why.
    pub comment: String,
    /// When it was announced, in ms since 1970 UTC.
    pub announced_ms: i64,
}

/// Where an announced span is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncedState {
    /// It has not begun.
    Pending,
    /// It excuses what happens now.
    Active,
    /// It is over.
    Over,
}

impl AnnouncedState {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            AnnouncedState::Pending => "pending",
            AnnouncedState::Active => "active",
            AnnouncedState::Over => "over",
        }
    }
}

impl Announced {
    /// Where it is at a moment, in ms since 1970 UTC: campaigns and holidays count from half an hour before to half an
    /// hour behind what was announced.
    pub fn state(&self, now_ms: i64) -> AnnouncedState {
        let (from_ms, to_ms, _) = self.excused();
        match () {
            () if now_ms >= to_ms => AnnouncedState::Over,
            () if now_ms < from_ms => AnnouncedState::Pending,
            () => AnnouncedState::Active,
        }
    }

    /// What it excuses: from, to, how far.
    fn excused(&self) -> (i64, i64, f64) {
        let padding_ms = self.kind.padding_ms();
        (self.from_ms.saturating_sub(padding_ms), self.to_ms.saturating_add(padding_ms), self.tolerance)
    }
}

/// What somebody announces, in the words of a settings file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnnounceRequest {
    /// `holiday`, `campaign` or `deploy`.
    pub kind: String,
    /// Its first moment: with an offset from UTC, or by the shop's clock; empty is now.
    pub from: String,
    /// The first moment behind it; a day without a time is that day's end.
    pub to: String,
    /// How far from ordinary it may be; none is what the kind says.
    pub tolerance: Option<f64>,
    /// Who announces it.
    pub by: String,
    /// Why.
    pub comment: String,
}

/// Why a span is not announced or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The client must ask for something else.
    #[error("{field} {what}")]
    Refused {
        /// The member of the request that is wrong.
        field: &'static str,
        /// What is wrong with it, and what to write.
        what: String,
    },
    /// There is none of this id.
    #[error("no span {0} is announced")]
    NotFound(String),
    /// All that there may be are running or to come. Withdraw some.
    #[error("{ANNOUNCED_COUNT_MAX} spans are announced and not over, which is the limit: withdraw some")]
    Full,
    /// The file could not be written or read; everything is as it was. The operator must act.
    #[error("the calendar: {0}")]
    Disk(#[from] DiskError),
    /// The file is damaged. The operator must put it aside, or back.
    #[error("the calendar: {} {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// The settings have more spans than they may.
    #[error(transparent)]
    Settings(#[from] CalendarFull),
}

/// By their ids.
type Spans = BTreeMap<String, Arc<Announced>>;

/// The calendar of one moment.
#[derive(Debug)]
pub struct InForce {
    /// All spans together.
    pub calendar: Arc<Calendar>,
    /// Those of the settings, in their order.
    pub written: Vec<CalendarSpan>,
    /// Those that were announced, by their beginning.
    pub announced: Vec<Arc<Announced>>,
}

struct Kept {
    spans: Spans,
    written: Vec<CalendarSpan>,
}

/// The calendar of a server that runs. Shared by those who ask and those who announce.
pub struct Announcements {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    clock: Clock,
    zone: Zone,
    kept: Mutex<Kept>,
    in_force: ArcSwap<InForce>,
}

impl Announcements {
    /// The settings' spans by the clock of this zone, and what was announced to the process before this one; a file that
    /// is not there has none.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        clock: Clock,
        zone: Zone,
        written: &[CalendarSpan],
    ) -> Result<Arc<Announcements>, AnnounceError> {
        let mut spans: Spans = match disk.read(path) {
            Ok(bytes) => {
                saved::decode(&bytes).map_err(|what| AnnounceError::Damaged { file: path.to_owned(), what })?
            }
            Err(error) if error.is_not_found() => Spans::new(),
            Err(error) => return Err(error.into()),
        };
        forget(&mut spans, clock.now_ms());
        let kept = Kept { spans, written: written.to_vec() };
        let in_force = ArcSwap::from_pointee(in_force(&zone, &kept)?);
        Ok(Arc::new(Announcements { disk, path: path.to_owned(), clock, zone, kept: Mutex::new(kept), in_force }))
    }

    /// Announces a span, and returns it when it is on disk and in force. Waits for the disk: not for a task.
    pub fn announce(&self, request: AnnounceRequest) -> Result<Arc<Announced>, AnnounceError> {
        let mut kept = self.kept.lock();
        let now_ms = self.clock.now_ms();
        let mut next = kept.spans.clone();
        forget(&mut next, now_ms);
        let span = Arc::new(self.read(request, new_id(&next), now_ms)?);
        make_room(&mut next, now_ms)?;
        next.insert(span.id.clone(), span.clone());
        self.keep(&mut kept, next, now_ms)?;
        Ok(span)
    }

    /// Takes a span back, and returns it when it is gone from the disk too. Waits for the disk: not for a task.
    pub fn withdraw(&self, id: &str) -> Result<Arc<Announced>, AnnounceError> {
        let mut kept = self.kept.lock();
        let now_ms = self.clock.now_ms();
        let mut next = kept.spans.clone();
        let gone = next.remove(id).ok_or_else(|| AnnounceError::NotFound(id.to_owned()))?;
        forget(&mut next, now_ms);
        self.keep(&mut kept, next, now_ms)?;
        Ok(gone)
    }

    /// Puts other spans in the place of those that the settings had. What was announced stays.
    pub fn rewrite(&self, written: &[CalendarSpan]) -> Result<(), CalendarFull> {
        let mut kept = self.kept.lock();
        let next = Kept { spans: kept.spans.clone(), written: written.to_vec() };
        self.in_force.store(Arc::new(in_force(&self.zone, &next)?));
        *kept = next;
        Ok(())
    }

    /// The calendar as it is now. Never waits for the disk.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// How many spans are announced, those that are over and remembered included; and how many spans, announced or of the
    /// settings, excuse what happens now. Never waits for the disk.
    pub fn counts(&self) -> (usize, usize) {
        let (in_force, now_ms) = (self.in_force.load(), self.clock.now_ms());
        (in_force.announced.len(), in_force.calendar.count_at(now_ms))
    }

    /// What "now" is for a span.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn keep(&self, kept: &mut Kept, spans: Spans, now_ms: i64) -> Result<(), AnnounceError> {
        let next = Kept { spans, written: kept.written.clone() };
        let in_force = in_force(&self.zone, &next)?;
        self.disk.replace(&self.path, &saved::encode(&next.spans, now_ms))?;
        self.in_force.store(Arc::new(in_force));
        *kept = next;
        Ok(())
    }

    fn read(&self, request: AnnounceRequest, id: String, now_ms: i64) -> Result<Announced, AnnounceError> {
        let refused = |field| move |what| AnnounceError::Refused { field, what };
        let kind = CalendarKind::named(&request.kind).map_err(refused("kind"))?;
        let tolerance = kind.tolerance_or(request.tolerance).map_err(refused("tolerance"))?;
        let from_ms = match request.from.as_str() {
            "" => now_ms,
            text => moment_ms(text, LocalMoment::start, |local| self.zone.first_ms(local)).map_err(refused("from"))?,
        };
        let to_ms =
            moment_ms(&request.to, LocalMoment::end, |local| self.zone.last_ms(local)).map_err(refused("to"))?;
        check_times(from_ms, to_ms, now_ms)?;
        check_text("by", &request.by, NAME_BYTES_MAX)?;
        check_text("comment", &request.comment, COMMENT_BYTES_MAX)?;
        let (by, comment) = (request.by, request.comment);
        Ok(Announced { id, kind, from_ms, to_ms, tolerance, by, comment, announced_ms: now_ms })
    }
}

fn in_force(zone: &Zone, kept: &Kept) -> Result<InForce, CalendarFull> {
    let mut announced: Vec<Arc<Announced>> = kept.spans.values().cloned().collect();
    announced.sort_by_key(|span| span.from_ms);
    let calendar = Calendar::new(zone, &kept.written)?.excusing(announced.iter().map(|span| span.excused()));
    Ok(InForce { calendar: Arc::new(calendar), written: kept.written.clone(), announced })
}

/// A moment with an offset from UTC, or one of a clock, in ms since 1970 UTC.
fn moment_ms(
    text: &str,
    read: fn(&str) -> Result<LocalMoment, String>,
    by_clock: impl Fn(jiff::civil::DateTime) -> i64,
) -> Result<i64, String> {
    if let Ok(told) = text.parse::<Timestamp>() {
        return Ok(told.as_millisecond());
    }
    match read(text) {
        Ok(LocalMoment::Once(local)) => Ok(by_clock(local)),
        Ok(LocalMoment::Yearly { .. }) => {
            Err(format!("{text:?} has no year: what comes every year stands in the settings, under detection.calendar"))
        }
        Err(_) => Err(format!(
            "{text:?} is no moment: write 2026-11-27T18:00 by the shop's clock, 2026-11-27 for the whole day, or \
             2026-11-27T18:00:00+01:00"
        )),
    }
}

fn check_times(from_ms: i64, to_ms: i64, now_ms: i64) -> Result<(), AnnounceError> {
    let (field, what) = match () {
        () if from_ms >= to_ms => ("to", "is not behind `from`".to_owned()),
        () if to_ms <= now_ms => ("to", "has passed: what is judged already is not judged again".to_owned()),
        () if now_ms - from_ms > BEGUN_MS_MAX => {
            ("from", format!("is more than {} ago: let it begin later", duration_text(BEGUN_MS_MAX)))
        }
        () if to_ms - now_ms > AHEAD_MS_MAX => {
            let most = duration_text(AHEAD_MS_MAX);
            ("to", format!("is more than {most} ahead: is the year right? What is that far off stands in the settings"))
        }
        () if to_ms - from_ms > SPAN_MS_MAX => {
            let most = duration_text(SPAN_MS_MAX);
            ("to", format!("is more than {most} behind `from`: so long a span stands in the settings"))
        }
        () => return Ok(()),
    };
    Err(AnnounceError::Refused { field, what })
}

fn check_text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), AnnounceError> {
    let what = match text.len() {
        _ if text.trim().is_empty() => "is empty: say who announces it, and why",
        bytes if bytes > bytes_max => {
            return Err(AnnounceError::Refused { field, what: format!("has {bytes} bytes, more than {bytes_max}") });
        }
        _ => return Ok(()),
    };
    Err(AnnounceError::Refused { field, what: what.to_owned() })
}

fn forget(spans: &mut Spans, now_ms: i64) {
    spans.retain(|_, span| now_ms.saturating_sub(span.to_ms) < REMEMBERED_MS);
}

/// Room for one more, by those of what is over that ended first.
fn make_room(spans: &mut Spans, now_ms: i64) -> Result<(), AnnounceError> {
    while spans.len() >= ANNOUNCED_COUNT_MAX {
        let over = spans.values().filter(|span| span.state(now_ms) == AnnouncedState::Over);
        let first = over.min_by_key(|span| span.to_ms).ok_or(AnnounceError::Full)?.id.clone();
        spans.remove(&first);
    }
    Ok(())
}

/// An id that none of these has: short, for somebody will type it.
fn new_id(spans: &Spans) -> String {
    let random = || format!("{:08x}", RandomState::new().hash_one(0) & 0xffff_ffff);
    let mut id = random();
    while spans.contains_key(&id) {
        id = random();
    }
    id
}

#[cfg(test)]
mod tests;
