//! What detection knows, as bytes, so that a restart goes on where it stopped.
//!
//! A checkpoint holds the groups: model, last judged bucket, window. Workers hold nothing that the log does not:
//! after a restart the last hour of the log goes through them again, and the judge drops the buckets it has judged
//! before.
//!
//! The bytes are a whole file of records (`storage-format`, chapter frame): first how many groups follow, then each
//! group, all JSON texts.
//!
//! Always true: state is restored only under an equal [`super::Watch::identity`]; a changed rule starts fresh.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};

use super::judge::{Judge, Judged};
use super::model::Model;
use crate::model::Labels;

/// Groups without an alert that were silent for so long are not kept, in ms of event time: a day.
const FORGET_AFTER_MS: i64 = 86_400_000;

/// Why a checkpoint cannot be read. The operator may remove it: detection then warms up anew.
#[derive(Debug, thiserror::Error)]
#[error("the detection checkpoint cannot be read: {what}; without it every group warms up anew for ten minutes")]
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

/// The kind of our records: a JSON text.
const RECORD_KIND: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Summary {
    groups: usize,
}

#[derive(Serialize, Deserialize)]
struct SavedGroup {
    watch: String,
    labels: Vec<(String, String)>,
    model: Model,
    closed: Option<i64>,
    /// Upper bounds as bits, for JSON has no infinity.
    window: Vec<Vec<(u64, f64)>>,
}

impl Judge {
    /// Everything that a restart needs. Notifications of all transitions returned so far should be durable before this
    /// is.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.checkpoint_of(|group| group.model.firing().is_some() || self.is_recent(group))
    }

    /// As [`Judge::checkpoint`], of what was learned from history: an alert that never ended, for its series went long
    /// ago, is not kept, since nobody was ever told of it.
    pub fn lesson(&self) -> Vec<u8> {
        self.checkpoint_of(|group| self.is_recent(group))
    }

    fn is_recent(&self, group: &Judged) -> bool {
        let signal = &self.watches[group.watch].signal;
        let closed_ms = group.closed.map_or(i64::MIN, |closed| signal.end_ms(closed));
        self.shared().frontier_ms().saturating_sub(closed_ms) < FORGET_AFTER_MS
    }

    fn checkpoint_of(&self, is_kept: impl Fn(&Judged) -> bool) -> Vec<u8> {
        let frontier_ms = self.shared().frontier_ms();
        let groups: Vec<&Judged> = self.groups.iter().filter(|group| is_kept(group)).collect();
        // Nothing hangs on the salt but that an older file's records do not continue this one's chain.
        let header = FileHeader::new(FileKind::Detector, 0, frontier_ms.max(0), frontier_ms as u32);
        let mut bytes = header.encode().to_vec();
        let mut chain = header.chain_start();
        let mut append = |text: serde_json::Result<Vec<u8>>| {
            let text = text.expect("numbers and strings are always JSON");
            chain = append_record(&mut bytes, RECORD_KIND, 0, chain, &text);
        };
        append(serde_json::to_vec(&Summary { groups: groups.len() }));
        groups.into_iter().for_each(|group| append(serde_json::to_vec(&self.saved(group))));
        bytes
    }

    /// Takes over what a checkpoint holds. Call it before the first [`Judge::poll`].
    /// On failure nothing was taken over.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, StateError> {
        let mut restored = Restored::default();
        for (saved, labels) in groups_of(bytes)? {
            let Some(watch) = self.watches.iter().position(|watch| watch.identity == saved.watch) else {
                restored.groups_dropped += 1;
                restored.firing_dropped += usize::from(saved.model.firing().is_some());
                continue;
            };
            let index = self.group_of(watch, &labels);
            let group = &mut self.groups[index];
            (group.model, group.closed) = (saved.model, saved.closed);
            group.window = saved
                .window
                .into_iter()
                .map(|sums| sums.into_iter().map(|(bound, sum)| (f64::from_bits(bound), sum)).collect())
                .collect();
            restored.groups += 1;
        }
        Ok(restored)
    }

    fn saved(&self, group: &Judged) -> SavedGroup {
        let window = group.window.iter().map(|sums| sums.iter().map(|&(bound, sum)| (bound.to_bits(), sum)).collect());
        SavedGroup {
            watch: self.watches[group.watch].identity.clone(),
            labels: group.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            model: group.model.clone(),
            closed: group.closed,
            window: window.collect(),
        }
    }
}

/// The groups of a checkpoint, all of them or an error.
fn groups_of(bytes: &[u8]) -> Result<Vec<(SavedGroup, Arc<Labels>)>, StateError> {
    let mut texts = texts_of(bytes)?.into_iter();
    let summary: Summary = parsed(texts.next().ok_or_else(|| refuse("it has no record"))?)?;
    let mut groups = Vec::new();
    for text in texts {
        let saved: SavedGroup = parsed(text)?;
        let pairs = saved.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Arc::new(Labels::from_pairs(pairs).map_err(refuse)?);
        groups.push((saved, labels));
    }
    if groups.len() == summary.groups { Ok(groups) } else { Err(refuse("groups are missing at its end")) }
}

fn texts_of(bytes: &[u8]) -> Result<Vec<&[u8]>, StateError> {
    let (header, reader) = Reader::open(bytes).map_err(refuse)?;
    if header.kind != FileKind::Detector {
        return Err(refuse("it is a file of another kind"));
    }
    let mut texts = Vec::new();
    for event in reader {
        match event {
            Event::Record { kind: RECORD_KIND, payload, chain_ok: true, .. } => texts.push(payload),
            Event::Record { offset, .. } => {
                return Err(refuse(format!("the record at byte {offset} is not in its place")));
            }
            Event::Damage { from, what, .. } => return Err(refuse(format!("at byte {from}: {what}"))),
            Event::TornTail { .. } => return Err(refuse("it ends within a record")),
            Event::End { .. } => break,
        }
    }
    Ok(texts)
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, StateError> {
    serde_json::from_slice(text).map_err(refuse)
}

fn refuse(what: impl ToString) -> StateError {
    StateError { what: what.to_string() }
}
