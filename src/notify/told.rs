//! The notification log: what each receiver was told last of each group of alerts, so that nobody hears the same twice.
//!
//! ```text
//! group {}:{alertname="CheckoutSlow"}
//!   pager   sequence 2   at 12:05   firing [eu, us]   resolved [asia]    asked again at 12:10: nothing new
//!   mail    sequence 1   at 12:00   firing [eu]       resolved []        asked again at 12:10: us is new
//! ```
//!
//! Always true: while a receiver takes an alert for firing, [`ToldLog::is_told_firing`] says so; its end is owed to somebody.

use std::collections::{BTreeMap, HashMap};

/// Pairs of group and receiver that are remembered after the group is over; past it, all of those go.
pub(crate) const TOLD_COUNT_MAX: usize = 400_000;

/// What one receiver knows of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Id of the last message.
    pub(crate) id: String,
    /// Name of the receiver.
    pub(crate) receiver: String,
    /// Names the group.
    pub(crate) group_key: String,
    /// When the receiver took that message, or until then, when it was made, in ms since 1970 UTC.
    pub(crate) at_ms: i64,
    /// Which message of the group to the receiver it was, from 1 on.
    pub(crate) sequence: u64,
    /// When this may be forgotten if the group is over, in ms since 1970 UTC.
    pub(crate) expires_at_ms: i64,
    /// Fingerprints of the alerts that fired, ascending.
    pub(crate) firing: Vec<u64>,
    /// Fingerprints of the alerts that had ended, ascending.
    pub(crate) resolved: Vec<u64>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct ToldLog {
    /// By group key, then by receiver.
    groups: BTreeMap<String, BTreeMap<String, Told>>,
    count: usize,
    /// In how many of them an alert fires, by fingerprint.
    firing: HashMap<u64, usize>,
}

impl ToldLog {
    /// What the receiver knows of the group.
    pub(crate) fn of(&self, group_key: &str, receiver: &str) -> Option<&Told> {
        self.groups.get(group_key)?.get(receiver)
    }

    /// What is known of the group by anybody.
    pub(crate) fn of_group(&self, group_key: &str) -> impl Iterator<Item = &Told> {
        self.groups.get(group_key).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether some receiver takes the alert for firing.
    pub(crate) fn is_told_firing(&self, fingerprint: u64) -> bool {
        self.firing.contains_key(&fingerprint)
    }

    /// Everything, in the order of groups and receivers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Told> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    /// Notes what a receiver knows now, in place of what it knew. Returns the alerts that nobody takes for firing any more.
    pub(crate) fn note(&mut self, told: Told) -> Vec<u64> {
        for fingerprint in &told.firing {
            *self.firing.entry(*fingerprint).or_default() += 1;
        }
        let receivers = self.groups.entry(told.group_key.clone()).or_default();
        let before = receivers.insert(told.receiver.clone(), told);
        self.count += usize::from(before.is_none());
        before.map_or_else(Vec::new, |before| self.release(&before))
    }

    /// The receiver took its last message of the group, if it was this one.
    pub(crate) fn taken(&mut self, group_key: &str, receiver: &str, id: &str, at_ms: i64) {
        let told = self.groups.get_mut(group_key).and_then(|receivers| receivers.get_mut(receiver));
        if let Some(told) = told.filter(|told| told.id == id) {
            told.at_ms = at_ms;
        }
    }

    /// Forgets what has expired of groups that are over. Returns the alerts that nobody takes for firing any more.
    pub(crate) fn forget(&mut self, now_ms: i64, is_over: impl Fn(&str) -> bool) -> Vec<u64> {
        let now_ms = if self.count > TOLD_COUNT_MAX { i64::MAX } else { now_ms };
        let mut forgotten = Vec::new();
        self.groups.retain(|group_key, receivers| {
            let expired = receivers.values().all(|told| told.expires_at_ms < now_ms) && is_over(group_key);
            if expired {
                forgotten.extend(std::mem::take(receivers).into_values());
            }
            !expired
        });
        self.count -= forgotten.len();
        forgotten.iter().flat_map(|told| self.release(told)).collect()
    }

    fn release(&mut self, told: &Told) -> Vec<u64> {
        let mut released = Vec::new();
        for fingerprint in &told.firing {
            let count = self.firing.get_mut(fingerprint).expect("what fires in an entry is counted");
            *count -= 1;
            if *count == 0 {
                self.firing.remove(fingerprint);
                released.push(*fingerprint);
            }
        }
        released
    }
}
