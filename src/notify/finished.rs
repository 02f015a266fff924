//! What is finished and kept for a while, by its place in the ledger: the last of it, by count and by what it holds.

use std::collections::VecDeque;

/// Most alerts in what is kept: a group may have thousands, and each of its messages has them all.
const ALERTS_COUNT_MAX: usize = 100_000;

/// The last ones, oldest first.
pub(super) struct Finished {
    count_max: usize,
    /// Place and count of alerts.
    kept: VecDeque<(u64, usize)>,
    alert_count: usize,
}

impl Finished {
    pub(super) fn new(count_max: usize) -> Finished {
        Finished { count_max, kept: VecDeque::new(), alert_count: 0 }
    }

    /// Puts one behind the others. Returns those that are too many now, oldest first; never this one.
    pub(super) fn push(&mut self, index: u64, alert_count: usize) -> Vec<u64> {
        self.kept.push_back((index, alert_count));
        self.alert_count += alert_count;
        let mut too_many = Vec::new();
        while self.kept.len() > 1 && (self.kept.len() > self.count_max || self.alert_count > ALERTS_COUNT_MAX) {
            let (oldest, alert_count) = self.kept.pop_front().expect("there are two");
            self.alert_count -= alert_count;
            too_many.push(oldest);
        }
        too_many
    }
}
