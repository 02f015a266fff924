//! What was pushed, in memory: groups by their keys, and an index over all of them that finds contradictions.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::families::{PushedFamilies, SUFFIXES, inconsistent};
use super::{GROUP_BYTES_MAX, GroupKey, PushError};
use crate::ingest::MetricKind;
use crate::model::Labels;

/// When the last push that was taken came, as a series of every group.
pub(super) const PUSH_TIME: &str = "push_time_seconds";
/// When the last push that was refused came, as a series of every group.
pub(super) const PUSH_FAILURE_TIME: &str = "push_failure_time_seconds";

/// Two stamps of one moment are a millisecond apart, as long as they do not run further ahead of the clock than this.
const STAMPS_AHEAD_MS_MAX: i64 = 1000;

/// Metrics of one name.
#[derive(Clone, Debug)]
pub struct KeptFamily {
    /// Their kind.
    pub kind: MetricKind,
    /// What they mean, for people.
    pub help: String,
    /// When they were pushed, ms since 1970 UTC.
    pub pushed_ms: i64,
    /// Every series with the group's labels among its own, and its value.
    pub series: Vec<(Arc<Labels>, f64)>,
}

/// What was pushed under one key.
#[derive(Clone, Debug)]
pub struct Group {
    /// The key.
    pub key: GroupKey,
    /// How long after the last good push it ends, in ms; 0: never.
    pub ttl_ms: i64,
    /// When the last push that was taken came, ms since 1970 UTC; 0: none was.
    pub pushed_ms: i64,
    /// When the last push that was refused came, ms since 1970 UTC; 0: none was.
    pub failed_ms: i64,
    /// Its metrics by name, those left out that the gateway adds itself.
    pub families: BTreeMap<String, KeptFamily>,
    /// Series that are owed a staleness marker.
    pub(super) ended: Vec<Arc<Labels>>,
    /// When its samples were stored last, on the monotonic clock's side of this process; `None`: they are owed.
    pub(super) stored_ms: Option<i64>,
    /// Length of its file.
    pub(super) file_bytes: usize,
    own: [Arc<Labels>; 2],
}

impl Group {
    pub(super) fn new(key: GroupKey) -> Group {
        let own = [PUSH_TIME, PUSH_FAILURE_TIME].map(|metric| {
            Arc::new(key.labels(metric).expect("a key is made only if its labels fit a series of this name"))
        });
        let families = BTreeMap::new();
        Group {
            key,
            ttl_ms: 0,
            pushed_ms: 0,
            failed_ms: 0,
            families,
            ended: Vec::new(),
            stored_ms: None,
            file_bytes: 0,
            own,
        }
    }

    /// Whether the last push was taken.
    pub fn is_last_push_good(&self) -> bool {
        self.pushed_ms > self.failed_ms
    }

    /// What the gateway says of the group itself: name, labels and value.
    pub fn own_series(&self) -> [(&'static str, &Arc<Labels>, f64); 2] {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let [pushed, failed] = &self.own;
        [(PUSH_TIME, pushed, seconds(self.pushed_ms)), (PUSH_FAILURE_TIME, failed, seconds(self.failed_ms))]
    }

    /// Every series with its value, those of the gateway itself included.
    pub(super) fn series(&self) -> impl Iterator<Item = (&Arc<Labels>, f64)> {
        let pushed = self.families.values().flat_map(|family| &family.series).map(|(labels, value)| (labels, *value));
        pushed.chain(self.own_series().map(|(_, labels, value)| (labels, value)))
    }

    pub(super) fn series_count(&self) -> usize {
        2 + self.families.values().map(|family| family.series.len()).sum::<usize>()
    }

    /// Whether its time to live is over.
    pub(super) fn has_ended(&self, now_ms: i64) -> bool {
        let since_ms = if self.pushed_ms > 0 { self.pushed_ms } else { self.failed_ms };
        self.ttl_ms > 0 && now_ms >= since_ms.saturating_add(self.ttl_ms)
    }

    /// The group as it is after a good push.
    pub(super) fn pushed(
        &self,
        families: PushedFamilies<'_>,
        replace: bool,
        ttl_ms: i64,
        now_ms: i64,
    ) -> Result<Group, PushError> {
        let mut group = Group { ttl_ms, pushed_ms: now_ms, stored_ms: None, ..self.clone() };
        if replace {
            group.families.clear();
        }
        let mut labels_bytes = 0;
        for (name, family) in families {
            // The gateway's own take their place.
            if name == PUSH_TIME || name == PUSH_FAILURE_TIME {
                continue;
            }
            let mut series = Vec::with_capacity(family.series.len());
            for one in family.series {
                let labels = group.key.labels_over(&one.name, &one.labels).map_err(inconsistent)?;
                // The labels of the address are on every series, so a short body can be a large group.
                labels_bytes += labels.heap_bytes();
                if labels_bytes > GROUP_BYTES_MAX {
                    let what =
                        format!("the labels of the push take more than {GROUP_BYTES_MAX} bytes on all its series");
                    return Err(PushError::TooLarge(what));
                }
                series.push((Arc::new(labels), one.value));
            }
            let kept = KeptFamily { kind: family.kind, help: family.help, pushed_ms: now_ms, series };
            group.families.insert(name, kept);
        }
        group.owe_markers(self);
        Ok(group)
    }

    /// The group as it is after a push that was refused.
    pub(super) fn failed(&self, ttl_ms: i64, now_ms: i64) -> Group {
        let ttl_ms = if self.pushed_ms > 0 { self.ttl_ms } else { ttl_ms };
        Group { ttl_ms, failed_ms: now_ms, stored_ms: None, ..self.clone() }
    }

    /// Puts down the series that this group does not have any more.
    fn owe_markers(&mut self, before: &Group) {
        let mut gone: HashMap<Arc<Labels>, ()> = HashMap::new();
        gone.extend(before.ended.iter().cloned().map(|labels| (labels, ())));
        gone.extend(before.series().map(|(labels, _)| (labels.clone(), ())));
        for (labels, _) in self.series() {
            gone.remove(labels);
        }
        self.ended = gone.into_keys().collect();
        self.ended.sort_unstable();
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_key: BTreeMap<GroupKey, Group>,
    /// How often each series is there: more than once is a contradiction.
    owners: HashMap<Arc<Labels>, u32>,
    /// In how many groups each family is, by its kind: two kinds are a contradiction.
    kinds: BTreeMap<String, Vec<(MetricKind, u32)>>,
    bytes: usize,
    last_stamp_ms: i64,
}

impl Groups {
    pub(super) fn get(&self, key: &GroupKey) -> Option<&Group> {
        self.by_key.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &GroupKey) -> Option<&mut Group> {
        self.by_key.get_mut(key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Group> {
        self.by_key.values()
    }

    pub(super) fn count(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn series_count(&self) -> usize {
        self.owners.len()
    }

    /// Bytes of the files of all groups.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts down that samples of this time are stored already.
    pub(super) fn note_stamp(&mut self, stamp_ms: i64) {
        self.last_stamp_ms = self.last_stamp_ms.max(stamp_ms);
    }

    /// A time for samples that no earlier one has.
    pub(super) fn stamp_ms(&mut self, now_ms: i64) -> i64 {
        let is_near = (0..STAMPS_AHEAD_MS_MAX).contains(&(self.last_stamp_ms - now_ms));
        self.last_stamp_ms = if is_near { self.last_stamp_ms + 1 } else { now_ms };
        self.last_stamp_ms
    }

    /// Puts a group in the place of the one with its key. Gives that one back. A contradiction to what others have changes nothing
    /// and is told.
    pub(super) fn put(&mut self, group: Group) -> Result<Option<Group>, String> {
        let before = self.remove(&group.key);
        self.count_in(&group, true);
        if let Some(contradiction) = self.contradiction(&group) {
            self.count_in(&group, false);
            if let Some(before) = before {
                self.put_unchecked(before);
            }
            return Err(contradiction);
        }
        self.by_key.insert(group.key.clone(), group);
        Ok(before)
    }

    /// As [`Groups::put`], of a group that was there before.
    pub(super) fn put_unchecked(&mut self, group: Group) {
        self.remove(&group.key);
        self.count_in(&group, true);
        self.by_key.insert(group.key.clone(), group);
    }

    pub(super) fn remove(&mut self, key: &GroupKey) -> Option<Group> {
        let group = self.by_key.remove(key)?;
        self.count_in(&group, false);
        Some(group)
    }

    fn count_in(&mut self, group: &Group, is_added: bool) {
        if is_added {
            self.bytes += group.file_bytes;
            for (labels, _) in group.series() {
                *self.owners.entry(labels.clone()).or_default() += 1;
            }
            for (name, family) in &group.families {
                let kinds = self.kinds.entry(name.clone()).or_default();
                match kinds.iter_mut().find(|(kind, _)| *kind == family.kind) {
                    Some((_, count)) => *count += 1,
                    None => kinds.push((family.kind, 1)),
                }
            }
            return;
        }
        self.bytes -= group.file_bytes;
        for (labels, _) in group.series() {
            let count = self.owners.get_mut(labels).expect("a series that was added is counted");
            *count -= 1;
            if *count == 0 {
                self.owners.remove(labels);
            }
        }
        for (name, family) in &group.families {
            let kinds = self.kinds.get_mut(name).expect("a family that was added is counted");
            let at = kinds.iter().position(|(kind, _)| *kind == family.kind).expect("with its kind");
            kinds[at].1 -= 1;
            if kinds[at].1 == 0 {
                kinds.remove(at);
            }
            if kinds.is_empty() {
                self.kinds.remove(name);
            }
        }
    }

    /// The first contradiction that a group, counted already, brings.
    fn contradiction(&self, group: &Group) -> Option<String> {
        for (name, family) in &group.families {
            let others = &self.kinds[name];
            if let Some((other, _)) = others.iter().find(|(kind, _)| *kind != family.kind) {
                return Some(format!(
                    "collected metric {name:?} is {}, and elsewhere {}",
                    family.kind.name(),
                    other.name()
                ));
            }
            if let Some(other) = self.collision(name, family.kind) {
                return Some(format!("collected metric named {name:?} collides with previously collected {other:?}"));
            }
        }
        let twice = group.series().find(|(labels, _)| self.owners[*labels] > 1);
        twice.map(|(labels, _)| {
            format!("collected metric {labels} was collected before with the same name and label values")
        })
    }

    /// A family of which this one has, or would have, a part's name.
    fn collision(&self, name: &str, kind: MetricKind) -> Option<String> {
        for (suffix, kinds) in SUFFIXES {
            let is_whole = |other: &str| {
                self.kinds.get(other).is_some_and(|found| found.iter().any(|(kind, _)| kinds.contains(kind)))
            };
            if let Some(whole) = name.strip_suffix(suffix).filter(|base| is_whole(base)) {
                return Some(whole.to_owned());
            }
            let part = format!("{name}{suffix}");
            if kinds.contains(&kind) && self.kinds.contains_key(&part) {
                return Some(part);
            }
        }
        None
    }
}
