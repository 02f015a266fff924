//! What one group has to tell at one moment: a message for each integration that has to hear something.

use std::cmp::Ordering;
use std::sync::Arc;

use super::decide::{Decision, decide};
use super::group::Group;
use super::{Dispatcher, Surroundings, Target};
use crate::model::Labels;
use crate::notify::alert::Status;
use crate::notify::ledger::Record;
use crate::notify::message::{Message, MessageAlert, fitting};
use crate::notify::owed::Notification;
use crate::notify::told::Told;

/// What was told is remembered for so many times the interval after which it would be repeated.
const REMEMBERED_REPEATS: i64 = 2;
/// Labels by which alerts are sorted before all others, as in Alertmanager.
const FIRST_BY: [&str; 2] = ["job", "instance"];

/// What a group shows at one moment.
struct Shown<'a> {
    /// Those that nothing holds back, in the order in which they are told.
    members: Vec<&'a Arc<Notification>>,
    /// Fingerprints, ascending.
    firing: Vec<u64>,
    resolved: Vec<u64>,
}

/// An end that a group tells: fingerprint and transition.
type End = (u64, String);

impl Dispatcher {
    /// The records of one flush, and the ends that are told by it.
    pub(super) fn tell(&self, group: &Group, surroundings: &Surroundings<'_>, now_ms: i64) -> (Vec<Record>, Vec<End>) {
        let resolved = group.members.iter().filter(|(_, member)| member.alert.status() == Status::Resolved);
        let ended = resolved.map(|(fingerprint, member)| (*fingerprint, member.id.clone())).collect();
        if self.routing.is_muted(group.route_index, now_ms).is_some() {
            return (Vec::new(), ended);
        }
        let shown = self.shown(group, surroundings);
        if shown.members.is_empty() {
            return (Vec::new(), ended);
        }
        let targets = self.targets.get(&group.receiver).map_or(&[][..], Vec::as_slice);
        let records = targets.iter().filter_map(|target| record(group, &shown, target, surroundings, now_ms));
        (records.collect(), ended)
    }

    fn shown<'a>(&self, group: &'a Group, surroundings: &Surroundings<'_>) -> Shown<'a> {
        let is_shown = |member: &&Arc<Notification>| {
            let labels = &member.alert.labels;
            self.inhibited_by(labels).is_none() && (surroundings.silenced_by)(labels).is_none()
        };
        let mut members: Vec<_> = group.members.values().filter(is_shown).collect();
        let with = |status: Status| {
            // In the order of the members, which is that of the fingerprints.
            let some = members.iter().filter(|member| member.alert.status() == status);
            some.map(|member| member.alert.fingerprint()).collect()
        };
        let (firing, resolved) = (with(Status::Firing), with(Status::Resolved));
        members.sort_by(|one, other| told_before(&one.alert.labels, &other.alert.labels));
        Shown { members, firing, resolved }
    }
}

fn record(
    group: &Group,
    shown: &Shown<'_>,
    target: &Target,
    surroundings: &Surroundings<'_>,
    now_ms: i64,
) -> Option<Record> {
    let last = surroundings.told.of(&group.key, &target.name);
    let repeat_ms = group.options.repeat_interval_ms;
    match decide(last, &shown.firing, &shown.resolved, target.sends_resolved, repeat_ms, now_ms) {
        Decision::Nothing => return None,
        Decision::Repeat if last.is_some_and(|last| (surroundings.is_pending)(&last.id)) => return None,
        Decision::New | Decision::Repeat => {}
    }
    let is_told = |member: &&&Arc<Notification>| target.sends_resolved || member.alert.status() == Status::Firing;
    let members: Vec<&Arc<Notification>> = shown.members.iter().filter(is_told).copied().collect();
    let (sequence, id) = match (members.is_empty(), last) {
        (true, Some(last)) => (last.sequence, last.id.clone()),
        (_, last) => {
            let sequence = last.map_or(0, |last| last.sequence) + 1;
            (sequence, message_id(&group.key, &target.name, sequence, &members))
        }
    };
    let told = Told {
        id: id.clone(),
        receiver: target.name.clone(),
        group_key: group.key.clone(),
        at_ms: now_ms,
        sequence,
        expires_at_ms: now_ms.saturating_add(repeat_ms.saturating_mul(REMEMBERED_REPEATS)),
        firing: shown.firing.clone(),
        resolved: shown.resolved.clone(),
    };
    if members.is_empty() {
        return Some(Record::Told(told));
    }
    // What was told of the group knows those that are left off too.
    let (alerts, truncated_count) = fitting(members.iter().map(|member| told_alert(member)));
    let message = Message {
        id,
        receiver: target.name.clone(),
        group_key: group.key.clone(),
        group_labels: group.labels.clone(),
        alerts,
        truncated_count,
        made_at_ms: now_ms,
        is_joint: false,
    };
    Some(Record::Message(Arc::new(message), Some(told)))
}

fn told_alert(member: &Notification) -> MessageAlert {
    MessageAlert { alert: member.alert.clone(), incident: member.incident.clone() }
}

/// Without a dot, which the signed text of a webhook uses to part its pieces.
fn message_id(group_key: &str, target: &str, sequence: u64, members: &[&Arc<Notification>]) -> String {
    let mut transitions: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    transitions.sort_unstable();
    let place = Labels::hash_bytes(format!("{group_key}\n{target}").as_bytes());
    let content = Labels::hash_bytes(transitions.join("\n").as_bytes());
    format!("{place:016x}-{sequence}-{content:016x}")
}

/// Alertmanager's order: by job and instance, those without behind; then those with fewer labels first; then by the first
/// label that differs, by name.
pub(super) fn told_before(one: &Labels, other: &Labels) -> Ordering {
    for name in FIRST_BY {
        let order = match (one.get(name), other.get(name)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
    one.len().cmp(&other.len()).then_with(|| {
        let difference = one.iter().zip(other.iter()).find(|(one, other)| one != other);
        difference.map_or(Ordering::Equal, |((name, value), (other_name, other_value))| {
            // Who lacks the earlier name comes first.
            other_name.cmp(name).then_with(|| value.cmp(other_value))
        })
    })
}
