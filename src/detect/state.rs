//! What detection knows, as bytes, so that a restart goes on where it stopped.
//!
//! A checkpoint holds the groups: model, last judged bucket, window; and how late the samples of each job come, which the
//! log does not tell. Workers hold nothing else that the log does not: after a restart the last hour of it goes through
//! them again, and the judge drops the buckets it has judged before.
//!
//! The bytes are a whole file of records (`storage-format`, chapters frame and detector): first which watches there are
//! and how many groups follow, then each group, as [`super::binary`] writes them. A group that has a season takes
//! 3.5 KB.
//!
//! Always true:
//! 1. State is restored only under an equal [`super::Watch::identity`]; a changed rule starts fresh, and so does one
//!    whose clock was changed, for its days are cut otherwise.
//! 2. What another version of this program laid out otherwise is refused by the number of its layout, never guessed at.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::detector::{
    LATENESS_KIND, LAYOUT, LAYOUT_WITHOUT_DAILY, LAYOUT_WITHOUT_HABIT, LAYOUT_WITHOUT_RESTLESS, LAYOUT_WITHOUT_SHIFT,
    RECORD_KIND, TEXT_KIND,
};
use storage_format::frame::{FileKind, decode_whole, encode_whole};

use super::absence::{Absence, Awaited};
use super::binary::{Lacking, append, read, read_before};
use super::fixed::Fixed;
use super::judge::Judge;
use super::judged::Judged;
use super::lateness::{JOBS_COUNT_MAX, JobLateness};
use super::measure::Sums;
use super::model::Model;
use crate::model::Labels;

/// Groups without an alert that were silent for so long are not kept, in ms of event time: a day.
const FORGET_AFTER_MS: i64 = 86_400_000;

/// Why a checkpoint cannot be read. The operator may remove it: detection then warms up anew.
#[derive(Debug, thiserror::Error)]
#[error("the detection checkpoint cannot be read: {what}; without it every group learns anew what is usual")]
pub struct StateError {
    /// What is wrong with it.
    what: String,
}

/// What was found in a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Groups that go on.
    pub groups: usize,
    /// Groups of rules that changed or went.
    pub groups_dropped: usize,
    /// Of those, the ones that were firing and will never be said to have resolved.
    pub firing_dropped: usize,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    layout: u32,
    /// Identities.
    watches: Vec<String>,
    groups: usize,
}

#[derive(Serialize, Deserialize)]
struct SavedLateness {
    job: String,
    minutes: usize,
    usual_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct SavedGroup {
    /// Index among the summary's watches.
    watch: usize,
    labels: Vec<(String, String)>,
    model: Model,
    fixed: Option<Box<Fixed>>,
    awaited: Option<Awaited>,
    closed: Option<i64>,
    /// The clock's offset at the end of that bucket, in ms.
    zone_offset_ms: i64,
    window: Vec<Sums>,
}

impl SavedGroup {
    fn is_firing(&self) -> bool {
        self.model.firing().next().is_some()
            || self.fixed.as_ref().is_some_and(|fixed| fixed.firing().next().is_some())
            || self.awaited.as_ref().is_some_and(|awaited| awaited.firing().is_some())
    }
}

impl Judge {
    /// Everything that a restart needs. Notifications of all transitions returned so far should be durable before this
    /// is.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.checkpoint_of(|group, awaited| {
            group.spells().next().is_some() || self.is_recent(group) || awaited.is_some()
        })
    }

    /// As [`Judge::checkpoint`], of what was learned from history: an alert that never ended, for its series went long
    /// ago, is not kept, since nobody was ever told of it.
    pub fn lesson(&self) -> Vec<u8> {
        let is_over = |awaited: &Awaited| awaited.firing().is_some_and(|spell| self.is_long_ago(spell.fired_ms));
        self.checkpoint_of(|group, awaited| match awaited {
            Some(awaited) => !is_over(awaited),
            None => self.is_recent(group),
        })
    }

    fn is_recent(&self, group: &Judged) -> bool {
        let signal = &self.watches[group.watch].signal;
        let closed_ms = group.closed.map_or(i64::MIN, |closed| signal.end_ms(closed));
        !self.is_long_ago(closed_ms)
    }

    fn is_long_ago(&self, at_ms: i64) -> bool {
        self.shared().frontier_ms().saturating_sub(at_ms) >= FORGET_AFTER_MS
    }

    fn checkpoint_of(&self, is_kept: impl Fn(&Judged, Option<&Awaited>) -> bool) -> Vec<u8> {
        let frontier_ms = self.shared().frontier_ms();
        let awaited: HashMap<usize, &Awaited> =
            self.absences.iter().flatten().flat_map(Absence::saved).map(|(index, awaited)| (*index, awaited)).collect();
        let kept = |(index, group): &(usize, &Judged)| is_kept(group, awaited.get(index).copied());
        let groups: Vec<(usize, &Judged)> = self.groups.iter().enumerate().filter(kept).collect();
        let watches = self.watches.iter().map(|watch| watch.identity.clone()).collect();
        let summary = payload(&Summary { layout: LAYOUT, watches, groups: groups.len() });
        let lateness = Some(self.saved_lateness()).filter(|jobs| !jobs.is_empty());
        let lateness = lateness.map(|jobs| (LATENESS_KIND, payload(&jobs)));
        let saved = groups.into_iter().map(|(index, group)| self.saved(group, awaited.get(&index).copied()));
        let saved = saved.map(|saved| (RECORD_KIND, payload(&saved)));
        let records = std::iter::once((RECORD_KIND, summary)).chain(lateness).chain(saved);
        encode_whole(FileKind::Detector, frontier_ms, records)
    }

    /// Takes over what a checkpoint holds. Call it before the first [`Judge::poll`] and after [`Judge::live_by`].
    /// On failure nothing was taken over.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, StateError> {
        let mut restored = Restored::default();
        let Saved { watches, lateness, groups } = saved_in(bytes)?;
        if !lateness.is_empty() {
            self.shared().remember_lateness(lateness);
        }
        let now = |identity: &String| self.watches.iter().position(|watch| watch.identity == *identity);
        let now: Vec<Option<usize>> = watches.iter().map(now).collect();
        for (saved, labels) in groups {
            let Some(watch) =
                now[saved.watch].filter(|&watch| self.zone_offset_ms(watch, saved.closed) == saved.zone_offset_ms)
            else {
                restored.groups_dropped += 1;
                restored.firing_dropped += usize::from(saved.is_firing());
                continue;
            };
            let index = self.group_of(watch, &labels);
            let group = &mut self.groups[index];
            (group.model, group.closed, group.window) = (saved.model, saved.closed, saved.window);
            let options = &self.watches[watch].options;
            restored.firing_dropped += group.model.forget_unwatched(options.directions);
            group.fixed = saved.fixed.or_else(|| Fixed::of(options)).filter(|_| Fixed::of(options).is_some());
            group.fixed.iter_mut().for_each(|fixed| fixed.forget_unwatched(options));
            if let (Some(absence), Some(awaited)) = (&mut self.absences[watch], saved.awaited) {
                // There are no more of them than when they were saved.
                let _ = absence.restore(&index, awaited);
            }
            restored.groups += 1;
        }
        Ok(restored)
    }

    /// What the clock of a watch was ahead of UTC when a bucket ended, in ms.
    fn zone_offset_ms(&self, watch: usize, closed: Option<i64>) -> i64 {
        let end_ms = closed.map_or(0, |closed| self.watches[watch].signal.end_ms(closed));
        self.zones[watch].offset_ms(end_ms)
    }

    /// Of the jobs that are heard, and of those that were known before the start and have not come since.
    fn saved_lateness(&self) -> Vec<SavedLateness> {
        let mut known = self.shared().lateness_of_jobs();
        let before = self.shared().all_lateness_before();
        let is_unheard = |one: &&JobLateness| known.binary_search_by(|other| other.job.cmp(&one.job)).is_err();
        let unheard: Vec<JobLateness> = before.iter().filter(is_unheard).cloned().collect();
        known.extend(unheard);
        let known = known.iter().filter(|one| one.minutes > 0).take(JOBS_COUNT_MAX);
        let saved = |one: &JobLateness| SavedLateness {
            job: (*one.job).to_owned(),
            minutes: one.minutes,
            usual_ms: one.usual_ms,
        };
        known.map(saved).collect()
    }

    fn saved(&self, group: &Judged, awaited: Option<&Awaited>) -> SavedGroup {
        SavedGroup {
            watch: group.watch,
            labels: group.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            model: group.model.clone(),
            fixed: group.fixed.clone(),
            awaited: awaited.cloned(),
            closed: group.closed,
            zone_offset_ms: self.zone_offset_ms(group.watch, group.closed),
            window: group.window.clone(),
        }
    }
}

fn payload<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, value).expect("every sequence of a state knows its length");
    bytes
}

/// What a checkpoint holds.
struct Saved {
    /// Identities.
    watches: Vec<String>,
    lateness: Vec<JobLateness>,
    groups: Vec<(SavedGroup, Arc<Labels>)>,
}

/// What a checkpoint holds, all of it or an error.
fn saved_in(bytes: &[u8]) -> Result<Saved, StateError> {
    let Payloads { others, lateness } = payloads_of(bytes)?;
    let mut others = others.into_iter();
    let first = others.next().ok_or_else(|| refuse("it has no record"))?;
    let layout = layout_of(first)?;
    let lacking: Lacking = match layout {
        LAYOUT => &[("Routine", 1)],
        LAYOUT_WITHOUT_RESTLESS => &[("Routine", 1), ("Young", 1)],
        LAYOUT_WITHOUT_DAILY => &[("Young", 2)],
        LAYOUT_WITHOUT_HABIT => &[("Season", 2), ("GaugeSeason", 2), ("Baseline", 2), ("Side", 1), ("Young", 2)],
        LAYOUT_WITHOUT_SHIFT => &[("Season", 3), ("GaugeSeason", 2), ("Baseline", 2), ("Side", 1), ("Young", 2)],
        _ => return Err(refuse(format!("its layout is {layout}, and this version reads {LAYOUT}"))),
    };
    let summary: Summary = read(first).map_err(refuse)?;
    let mut groups = Vec::new();
    for payload in others {
        let saved: SavedGroup = read_before(payload, lacking).map_err(refuse)?;
        if saved.watch >= summary.watches.len() {
            return Err(refuse("a group is of no watch"));
        }
        let pairs = saved.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Arc::new(Labels::from_pairs(pairs).map_err(refuse)?);
        groups.push((saved, labels));
    }
    if groups.len() != summary.groups {
        return Err(refuse("groups are missing at its end"));
    }
    let lateness: Vec<SavedLateness> = lateness.map_or(Ok(Vec::new()), read).map_err(refuse)?;
    let known = |one: SavedLateness| JobLateness {
        job: one.job.into(),
        minutes: one.minutes,
        usual_ms: one.usual_ms,
        // Until its samples come nobody is waited for.
        waited_ms: 0,
    };
    let lateness = lateness.into_iter().take(JOBS_COUNT_MAX).map(known).collect();
    Ok(Saved { watches: summary.watches, lateness, groups })
}

/// The number that every layout begins with.
fn layout_of(summary: &[u8]) -> Result<u32, StateError> {
    let end = summary.iter().position(|byte| *byte < 0x80).map_or(summary.len(), |last| last + 1);
    read(&summary[..end]).map_err(refuse)
}

/// What the records of a checkpoint hold.
#[derive(Default)]
struct Payloads<'a> {
    lateness: Option<&'a [u8]>,
    /// The summary, and the groups.
    others: Vec<&'a [u8]>,
}

fn payloads_of(bytes: &[u8]) -> Result<Payloads<'_>, StateError> {
    let mut payloads = Payloads::default();
    for (kind, payload) in decode_whole(bytes, FileKind::Detector).map_err(refuse)? {
        match kind {
            RECORD_KIND => payloads.others.push(payload),
            LATENESS_KIND => payloads.lateness = Some(payload),
            TEXT_KIND => return Err(refuse("an older version of this program wrote it")),
            _ => return Err(refuse(format!("{kind} is no kind of its records"))),
        }
    }
    Ok(payloads)
}

fn refuse(what: impl ToString) -> StateError {
    StateError { what: what.to_string() }
}
