//! Deleting series: at once for everybody who asks from now on, for good at the next compaction.
//!
//! ```text
//! POST …/delete_series?match[]={job="debug"}
//!   blocks: the stretch is noted in a file beside each block, and views leave it out
//!   head:   the shard takes the samples out, and the log says so behind the records that brought them
//! ```
//!
//! A deletion concerns what is stored when it is asked for: a sample that is sent again afterwards is stored again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::batch::{Pending, WriteError};
use super::block::{self, Member};
use super::threads::ShardMessage;
use super::{Storage, StorageError, hand_over};
use crate::model::{Labels, Matcher, TimeRange};

impl Storage {
    /// Deletes the samples in `range` of all series that satisfy one of the selectors. Returns when that is safe on disk.
    /// Waits: not for an asynchronous task.
    pub fn delete_series(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StorageError> {
        let mut maintenance = self.take_maintenance();
        // A block that a compaction could not remove would show the samples again after a restart.
        self.remove_left_behind(&mut maintenance)?;
        let mut sealed = vec![BTreeSet::new(); self.shard_count()];
        let mut concerned = Vec::new();
        for member in self.blocks.load().overlapping(range) {
            let mut series = BTreeSet::new();
            for selector in selectors {
                let found = member.select(selector).map_err(|what| StorageError::Unreadable {
                    block: member.block.path().to_owned(),
                    what: what.to_string(),
                })?;
                for (number, labels) in found {
                    series.insert(number);
                    sealed[self.shard_of(&labels)].insert(labels);
                }
            }
            if !series.is_empty() {
                concerned.push((member.clone(), series));
            }
        }
        self.delete_in_head(selectors, range, sealed)?;
        let folder = block::folder(&self.options.data_dir);
        let mut changed: Vec<Member> = Vec::new();
        for (member, series) in concerned {
            let (member, file) = member.without(series, range);
            self.disk.replace(&member.block.name().deleted_path(&folder), &file)?;
            changed.push(member);
        }
        if !changed.is_empty() {
            self.publish(&mut maintenance, None, |before| before.replacing(&changed));
        }
        Ok(())
    }

    /// Removes what the head holds in `range` of the series that satisfy one of the selectors. Returns when that is in
    /// the log, with how many samples it were. `sealed`: a shard's series that blocks hold.
    fn delete_in_head(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        sealed: Vec<BTreeSet<Labels>>,
    ) -> Result<u64, WriteError> {
        let answered = {
            let closing = self.closing.read();
            if *closing {
                return Err(WriteError::Closing);
            }
            let (pending, answered) = Pending::new(self.inboxes.len(), None);
            let selectors: Arc<[Vec<Matcher>]> = selectors.into();
            for (inbox, sealed) in self.inboxes.iter().zip(sealed) {
                let sealed = sealed.into_iter().collect();
                let (selectors, pending) = (selectors.clone(), pending.clone());
                hand_over(inbox, ShardMessage::Delete { selectors, range, sealed, pending: pending.clone() }, &pending);
            }
            answered
        };
        #[cfg(test)]
        self.threads.lock().settle();
        let answer = answered.blocking_recv();
        Ok(answer.map_or(Err(WriteError::Closing), |answer| answer.outcome)?.deleted_count)
    }

    /// Writes the blocks of which something was deleted anew, without it. Returns how many there were;
    /// [`StorageError::Interrupted`] when somebody else's work had to go first.
    pub fn clean_tombstones(&self) -> Result<u64, StorageError> {
        let mut maintenance = self.take_maintenance();
        let blocks = self.blocks.load_full();
        let mut cleaned = 0;
        for member in blocks.members().iter().filter(|member| !member.deleted.is_empty()) {
            cleaned += self.merge(&mut maintenance, std::slice::from_ref(member), &|_| true)? as u64;
            if self.is_interrupted() {
                return Err(StorageError::Interrupted); // what is left is not known to be nothing
            }
        }
        Ok(cleaned)
    }
}
