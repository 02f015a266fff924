//! What detection knows, as bytes, so that a restart goes on where it stopped.
//!
//! A checkpoint holds the groups: model, last judged bucket, window. Workers hold nothing that the log does not:
//! after a restart the last hour of the log goes through them again, and the judge drops the buckets it has judged before.
//!
//! Always true: state is restored only under an equal [`super::Watch::identity`]; a changed rule starts fresh.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    groups: Vec<SavedGroup>,
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
    /// Everything that a restart needs. Notifications of all transitions returned so far should be durable before this is.
    pub fn checkpoint(&self) -> Vec<u8> {
        let frontier_ms = self.shared().frontier_ms();
        let is_kept = |group: &&Judged| {
            let signal = &self.watches[group.watch].signal;
            let closed_ms = group.closed.map_or(i64::MIN, |closed| signal.end_ms(closed));
            group.model.firing().is_some() || frontier_ms.saturating_sub(closed_ms) < FORGET_AFTER_MS
        };
        let groups = self.groups.iter().filter(is_kept).map(|group| self.saved(group)).collect();
        serde_json::to_vec(&Checkpoint { groups }).expect("numbers and strings are always JSON")
    }

    /// Takes over what a checkpoint holds. Call it before the first [`Judge::poll`].
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, StateError> {
        let refuse = |what: String| StateError { what };
        let checkpoint: Checkpoint = serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        let mut restored = Restored::default();
        for saved in checkpoint.groups {
            let labels = Labels::from_pairs(saved.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
                .map_err(|error| refuse(error.to_string()))?;
            let Some(watch) = self.watches.iter().position(|watch| watch.identity == saved.watch) else {
                restored.groups_dropped += 1;
                restored.firing_dropped += usize::from(saved.model.firing().is_some());
                continue;
            };
            let index = self.group_of(watch, &Arc::new(labels));
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
