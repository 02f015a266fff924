//! A shard's tap for another listener.

use super::super::starts;
use super::super::tap::TapFeed;
use super::writer::ShardWriter;

/// Series that are asked about before the shard's lock is let go of for a moment.
const SERIES_AT_A_TIME: u32 = 1_000;

impl ShardWriter {
    /// Feeds another tap from now on, with the series that its interest says yes to. Its listener reads what the head
    /// holds first; the one of the tap before sees its end behind what was queued for it.
    pub(in crate::storage) fn listen_anew(&mut self, feed: TapFeed) {
        let head = self.head.clone();
        let shard = || head.shard(self.index as usize);
        let mut from = 0;
        while from < shard().read().slots() {
            let mut shard = shard().write();
            for slot in from..from.saturating_add(SERIES_AT_A_TIME).min(shard.slots()) {
                let Some(reference) = shard.reference(slot) else { continue };
                let labels = shard.labels(reference).expect("a series with a reference has labels");
                let is_watched = !starts::is_companion(&labels) && feed.interest()(&labels);
                shard.watch(reference, is_watched);
            }
            from += SERIES_AT_A_TIME;
        }
        feed.raise_missed();
        self.tap = feed;
    }
}
