//! The outbox on a disk that loses power, fills up, and rots.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{NOON_MS, again, firing, resolved};
use crate::disk::{Disk, RealDisk, SimulatedDisk};
use crate::notify::folding::{Folding, FoldingOptions};
use crate::notify::joint::Backlog;
use crate::notify::ledger::{Ledger, Outcome, Record, Verdict};
use crate::notify::outbox::Outbox;
use crate::notify::owed::{Notification, Owed};
use crate::notify::{
    Alert, DEAD_LETTERS_COUNT_MAX, Enqueued, FINISHED_COUNT_MAX, Message, NotifyError, PENDING_COUNT_MAX,
    RecoveredOutbox,
};

const FOLDER: &str = "/data/outbox";

fn open(disk: &SimulatedDisk) -> (Outbox, RecoveredOutbox) {
    try_open(disk, &["pager"]).unwrap()
}

fn try_open(disk: &SimulatedDisk, receivers: &[&str]) -> Result<(Outbox, RecoveredOutbox), NotifyError> {
    Ok(Outbox::open(Arc::new(disk.clone()), Path::new(FOLDER), ledger(receivers), folding(), NOON_MS)?)
}

fn ledger(receivers: &[&str]) -> Ledger {
    Ledger::new(receivers.iter().map(|name| (*name).to_owned()).collect(), false)
}

fn folding() -> Folding {
    Folding::new(FoldingOptions::default())
}

fn active(ledger: &Ledger) -> Vec<Alert> {
    ledger.active().into_iter().map(|transition| transition.alert.clone()).collect()
}

fn report(outbox: &mut Outbox, alert: &Alert) -> Result<Enqueued, NotifyError> {
    Ok(outbox.enqueue(std::slice::from_ref(alert), &|_| false, &mut Backlog::default(), NOON_MS, &mut Vec::new())?[0])
}

fn deliver(outbox: &mut Outbox, alert: &Alert) {
    // A failure costs a repetition, no more.
    let _ = outbox.close(outcome(alert, "pager"), Vec::new(), NOON_MS);
}

fn outcome(alert: &Alert, receiver: &str) -> Outcome {
    let verdict = Verdict::Delivered { receiver_index: 0, http_status: 200 };
    Outcome { id: alert.transition_id(), receiver: receiver.to_owned(), at_ms: NOON_MS, verdict }
}

fn owed(outbox: &Outbox) -> Vec<String> {
    outbox.ledger().owed_to("pager").map(|owed| owed.id().to_owned()).collect()
}

fn ids(alerts: &[Alert]) -> Vec<String> {
    alerts.iter().map(Alert::transition_id).collect()
}

fn files(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(Path::new(FOLDER)).unwrap()
}

/// The present file.
fn present(disk: &SimulatedDisk) -> PathBuf {
    let names = files(disk);
    Path::new(FOLDER).join(names.iter().rfind(|name| name.ends_with(".outbox")).unwrap())
}

#[test]
fn each_transition_is_taken_once() {
    let (mut outbox, _) = open(&SimulatedDisk::new());
    assert_eq!(report(&mut outbox, &resolved("A")).unwrap(), Enqueued::NotActive);
    assert_eq!(report(&mut outbox, &firing("A")).unwrap(), Enqueued::Accepted);
    assert_eq!(report(&mut outbox, &firing("A")).unwrap(), Enqueued::AlreadyKnown);
    // Another start of an alert that fires: the first start stands, and the end takes it.
    assert_eq!(report(&mut outbox, &again(firing("A"))).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(report(&mut outbox, &again(resolved("A"))).unwrap(), Enqueued::Accepted);
    assert_eq!(owed(&outbox), ids(&[firing("A"), resolved("A")]));
    // What was reported before is known, also while the next incident of the same alert lasts.
    assert_eq!(report(&mut outbox, &firing("A")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(report(&mut outbox, &again(firing("A"))).unwrap(), Enqueued::Accepted);
    assert_eq!(report(&mut outbox, &resolved("A")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(active(outbox.ledger()), [again(firing("A"))]);
}

#[test]
fn an_end_before_the_beginning_belongs_to_an_older_incident() {
    let (mut outbox, _) = open(&SimulatedDisk::new());
    report(&mut outbox, &again(firing("A"))).unwrap();
    assert_eq!(report(&mut outbox, &resolved("A")).unwrap(), Enqueued::NotActive);
    assert_eq!(outbox.ledger().active().len(), 1);
}

#[test]
fn many_alerts_are_noted_in_order_with_one_sync() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    let before = disk.operation_count();
    let names: Vec<String> = (0..500).map(|index| format!("A{index}")).collect();
    let alerts: Vec<Alert> = names.iter().map(|name| firing(name)).collect();
    outbox.enqueue(&alerts, &|_| false, &mut Backlog::default(), NOON_MS, &mut Vec::new()).unwrap();
    assert_eq!(disk.operation_count() - before, 2, "one write and one sync");
    let results = outbox
        .enqueue(
            &[firing("B"), resolved("B"), firing("B")],
            &|_| false,
            &mut Backlog::default(),
            NOON_MS,
            &mut Vec::new(),
        )
        .unwrap();
    assert_eq!(results, [Enqueued::Accepted, Enqueued::Accepted, Enqueued::AlreadyKnown]);
}

#[test]
fn the_machines_own_disk_gives_back_what_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Outbox::open(Arc::new(RealDisk), &folder.path().join("outbox"), ledger(&["pager"]), folding(), NOON_MS).unwrap()
    };
    let (mut outbox, _) = open();
    report(&mut outbox, &firing("A")).unwrap();
    deliver(&mut outbox, &firing("A"));
    report(&mut outbox, &resolved("A")).unwrap();
    drop(outbox);
    let (outbox, recovered) = open();
    assert_eq!(recovered, RecoveredOutbox { pending_count: 1, active_count: 0, damage: vec![] });
    assert_eq!(owed(&outbox), ids(&[resolved("A")]));
}

/// What a server does in a bad night, told as steps. Says which transitions were acknowledged, in order, and which of
/// them delivered; stops at the first failure, as a process stops at a crash.
fn night(outbox: &mut Outbox) -> (Vec<Alert>, HashSet<String>) {
    let (mut acknowledged, mut delivered) = (Vec::new(), HashSet::new());
    let mut step = |outbox: &mut Outbox, alert: Alert| {
        let result = report(outbox, &alert)?;
        assert_ne!(result, Enqueued::NotActive);
        acknowledged.extend((result == Enqueued::Accepted).then_some(alert));
        Ok::<(), NotifyError>(())
    };
    let mut story = || {
        step(outbox, firing("A"))?;
        step(outbox, firing("B"))?;
        deliver(outbox, &firing("A"));
        delivered.insert(firing("A").transition_id());
        step(outbox, resolved("A"))?;
        outbox.begin_file(NOON_MS)?;
        step(outbox, firing("C"))?;
        deliver(outbox, &resolved("A"));
        delivered.insert(resolved("A").transition_id());
        step(outbox, again(firing("A")))?;
        outbox.begin_file(NOON_MS)?;
        step(outbox, resolved("B"))?;
        Ok::<(), NotifyError>(())
    };
    let _ = story();
    (acknowledged, delivered)
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    let mut operation_count = 0;
    loop {
        let disk = SimulatedDisk::new();
        disk.fail_after(operation_count);
        let (acknowledged, delivered) =
            try_open(&disk, &["pager"]).map(|(mut outbox, _)| night(&mut outbox)).unwrap_or_default();
        for seed in 0..25 {
            check_after_crash(
                &disk.crash(seed),
                &acknowledged,
                &delivered,
                &format!("cut at {operation_count}, seed {seed}"),
            );
        }
        if acknowledged.len() == 6 {
            break;
        }
        operation_count += 1;
    }
    assert!(operation_count > 30, "only {operation_count} moments were tried");
}

fn check_after_crash(disk: &SimulatedDisk, acknowledged: &[Alert], delivered: &HashSet<String>, moment: &str) {
    let (mut outbox, _) = open(disk);
    let found = owed(&outbox);
    let must: Vec<String> = ids(acknowledged).into_iter().filter(|id| !delivered.contains(id)).collect();
    let kept: Vec<String> = found.iter().filter(|id| must.contains(id)).cloned().collect();
    assert_eq!(kept, must, "{moment}");

    // The detector tells its story again: nothing acknowledged is taken a second time, and all of it is there at the end.
    let (taken, _) = night(&mut outbox);
    let known: BTreeSet<String> = ids(acknowledged).into_iter().collect();
    assert!(ids(&taken).iter().all(|id| !known.contains(id)), "{moment}: {taken:?}");
    let mut active = active(outbox.ledger());
    active.sort_by(|one, other| one.labels.cmp(&other.labels));
    assert_eq!(active, [again(firing("A")), firing("C")], "{moment}");
}

#[test]
fn a_full_disk_refuses_and_after_it_all_can_be_reported_again() {
    for operation_count in 0..40 {
        let disk = SimulatedDisk::new();
        let (mut outbox, _) = open(&disk);
        disk.fail_after(operation_count);
        let (before, _) = night(&mut outbox);
        disk.heal();
        let (after, _) = night(&mut outbox);
        let all: BTreeSet<String> = ids(&before).into_iter().chain(ids(&after)).collect();
        assert_eq!((before.len() + after.len(), all.len()), (6, 6), "full after {operation_count}");
        assert_eq!(owed(&open(&disk).0), owed(&outbox), "full after {operation_count}");
        assert_eq!(files(&disk).len(), 1, "full after {operation_count}: {:?}", files(&disk));
    }
}

#[test]
fn after_a_failed_sync_everything_is_written_to_another_file() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    report(&mut outbox, &firing("A")).unwrap();
    let before = present(&disk);
    disk.fail_after(1); // the write is fine, the sync is not
    assert!(matches!(report(&mut outbox, &firing("B")), Err(NotifyError::Disk(_))));
    assert_eq!(owed(&outbox), ids(&[firing("A")]));
    disk.heal();
    assert_eq!(report(&mut outbox, &firing("B")).unwrap(), Enqueued::Accepted);
    assert_ne!(present(&disk), before);
    assert_eq!(owed(&open(&disk.crash(5)).0), ids(&[firing("A"), firing("B")]));
}

#[test]
fn every_damaged_byte_is_told_or_harmless_and_the_damaged_file_is_kept() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    for alert in [firing("A"), firing("B"), resolved("A")] {
        report(&mut outbox, &alert).unwrap();
    }
    let path = present(&disk);
    let expected = owed(&outbox);
    let length = disk.read(&path).unwrap().len();
    for at in 0..length {
        let disk = disk.crash(1);
        disk.damage(&path, |bytes| bytes[at] ^= 0x41);
        let original = disk.read(&path).unwrap().to_vec();
        let (outbox, recovered) = open(&disk);
        let found = owed(&outbox);
        assert!(found.iter().all(|id| expected.contains(id)), "byte {at}: {found:?}");
        // An end that cannot be read looks like one that was never finished.
        let is_last = found == expected[..2] && recovered.damage.is_empty();
        assert!(
            found == expected || is_last || !recovered.damage.is_empty(),
            "byte {at} was lost without a word: {found:?}"
        );
        assert!(found.len() >= 2, "byte {at} cost more than a record: {found:?}");
        if !recovered.damage.is_empty() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(recovered.damage[0].contains(name), "{:?}", recovered.damage);
            let kept = disk.read(&path.with_file_name(format!("{name}.damaged"))).unwrap();
            assert_eq!(kept[..], original[..], "byte {at}");
        }
        assert_eq!(open(&disk).1.damage, [""; 0], "byte {at}: the new file is sound");
    }
}

#[test]
fn a_file_that_is_no_outbox_is_told_and_kept() {
    for content in [&b""[..], b"x", &[0; 4096], &[0xff; 100], b"DOZORLOG and something else that is not ours"] {
        let disk = SimulatedDisk::new();
        let path = Path::new(FOLDER).join("0000000003.outbox");
        disk.replace(&path, content).unwrap();
        let (mut outbox, recovered) = open(&disk);
        assert_eq!(recovered.damage.len(), 1, "{content:?}: {:?}", recovered.damage);
        assert_eq!(files(&disk), ["0000000003.outbox.damaged", "0000000004.outbox"]);
        report(&mut outbox, &firing("A")).unwrap();
        assert_eq!(owed(&open(&disk).0), ids(&[firing("A")]));
    }
}

#[test]
fn a_file_that_is_mostly_done_with_is_written_anew_and_forgets_nothing_that_matters() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    report(&mut outbox, &firing("Long")).unwrap();
    deliver(&mut outbox, &firing("Long"));
    report(&mut outbox, &firing("Waiting")).unwrap();
    let first = present(&disk);
    let mut length_max = 0;
    for index in 0..6_000 {
        for alert in [firing(&format!("A{index}")), resolved(&format!("A{index}"))] {
            report(&mut outbox, &alert).unwrap();
            deliver(&mut outbox, &alert);
        }
        if index % 100 == 0 {
            length_max = length_max.max(disk.read(&present(&disk)).unwrap().len());
        }
    }
    outbox.sync().unwrap();
    assert_ne!(present(&disk), first);
    assert!(length_max < 2 << 20, "{length_max} bytes");
    let (mut outbox, recovered) = open(&disk.crash(3));
    assert_eq!(owed(&outbox), ids(&[firing("Waiting")]));
    assert_eq!(recovered.active_count, 2);
    assert_eq!(report(&mut outbox, &firing("Long")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(report(&mut outbox, &resolved("Long")).unwrap(), Enqueued::Accepted);
    // The last incidents are known by their ids; those of long ago are new again.
    assert_eq!(report(&mut outbox, &firing("A5999")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(report(&mut outbox, &resolved("A5999")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(report(&mut outbox, &firing("A0")).unwrap(), Enqueued::Accepted);
}

#[test]
fn a_file_of_alerts_that_nobody_is_told_of_is_written_anew_too() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = try_open(&disk, &[]).unwrap();
    let mut length_max = 0;
    for index in 0..6_000 {
        for alert in [firing(&format!("A{index}")), resolved(&format!("A{index}"))] {
            assert_eq!(report(&mut outbox, &alert).unwrap(), Enqueued::Accepted);
        }
        length_max = length_max.max(disk.read(&present(&disk)).unwrap().len());
    }
    assert!(length_max < 2 << 20, "{length_max} bytes");
    assert!(disk.read(&present(&disk)).unwrap().len() > 1 << 16, "there is something to tell");
}

#[test]
fn an_alert_that_could_not_be_noted_draws_no_others_into_its_incident() {
    let own = |alert: &Alert| format!("inc-{:016x}-{NOON_MS}", alert.fingerprint());
    let incidents = |outbox: &Outbox| -> Vec<String> {
        outbox.ledger().active().into_iter().map(|transition| transition.incident.clone()).collect()
    };
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    disk.fail_after(0);
    report(&mut outbox, &firing("A")).unwrap_err();
    disk.heal();
    // They have a region in common.
    report(&mut outbox, &firing("B")).unwrap();
    assert_eq!(incidents(&outbox), [own(&firing("B"))]);
    // Reported again it is of the incident that it had, for others of it may have been noted.
    report(&mut outbox, &firing("A")).unwrap();
    assert_eq!(incidents(&outbox), [own(&firing("B")), own(&firing("A"))]);
}

#[test]
fn a_firing_that_was_forgotten_before_its_end_does_not_come_back_to_life() {
    let (mut outbox, _) = open(&SimulatedDisk::new());
    let mut finish = |alert: Alert| {
        assert_eq!(report(&mut outbox, &alert).unwrap(), Enqueued::Accepted);
        deliver(&mut outbox, &alert);
    };
    finish(firing("A"));
    finish(resolved("A"));
    for index in 0..FINISHED_COUNT_MAX / 2 - 1 {
        finish(firing(&format!("B{index}")));
        finish(resolved(&format!("B{index}")));
    }
    finish(firing("C"));
    // Its firing is now the one too many, and the firing of A the oldest.
    report(&mut outbox, &resolved("C")).unwrap();
    assert_eq!(report(&mut outbox, &firing("A")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(active(outbox.ledger()), []);
}

#[test]
fn a_full_outbox_says_so_and_takes_more_when_something_is_delivered() {
    let (mut outbox, _) = open(&SimulatedDisk::new());
    let alerts: Vec<Alert> = (0..PENDING_COUNT_MAX).map(|index| firing(&format!("A{index}"))).collect();
    outbox.enqueue(&alerts, &|_| false, &mut Backlog::default(), NOON_MS, &mut Vec::new()).unwrap();
    let refused = report(&mut outbox, &resolved("A7")).unwrap_err().to_string();
    assert!(refused.contains("100000") && refused.contains("wait for delivery"), "{refused}");
    deliver(&mut outbox, &firing("A7"));
    assert_eq!(report(&mut outbox, &resolved("A7")).unwrap(), Enqueued::Accepted);
    assert_eq!(outbox.ledger().pending_count(), PENDING_COUNT_MAX);
}

#[test]
fn what_is_no_longer_silenced_waits_until_a_full_outbox_has_room() {
    let (mut outbox, _) = open(&SimulatedDisk::new());
    outbox
        .enqueue(&[firing("Held"), firing("Held too")], &|_| true, &mut Backlog::default(), NOON_MS, &mut Vec::new())
        .unwrap();
    let half: Vec<String> = (0..PENDING_COUNT_MAX / 2).map(|index| format!("A{index}")).collect();
    for alert in [firing, resolved] {
        let alerts: Vec<Alert> = half.iter().map(|name| alert(name)).collect();
        outbox.enqueue(&alerts, &|_| false, &mut Backlog::default(), NOON_MS, &mut Vec::new()).unwrap();
    }
    let held: Vec<_> = outbox.ledger().held().into_iter().cloned().collect();
    let refused = outbox.release(&held, &mut Backlog::default(), NOON_MS).unwrap_err().to_string();
    assert!(refused.contains("100000") && refused.contains("wait for delivery"), "{refused}");
    deliver(&mut outbox, &firing("A7"));
    assert_eq!(outbox.release(&held, &mut Backlog::default(), NOON_MS).unwrap().len(), 1);
    deliver(&mut outbox, &resolved("A7"));
    assert_eq!(outbox.release(&held, &mut Backlog::default(), NOON_MS).unwrap().len(), 1);
    assert_eq!((outbox.ledger().pending_count(), outbox.ledger().held().len()), (PENDING_COUNT_MAX, 0));
}

#[test]
fn a_new_receiver_is_not_told_of_the_past_and_a_removed_one_is_owed_nothing() {
    let disk = SimulatedDisk::new();
    let (mut outbox, _) = open(&disk);
    report(&mut outbox, &firing("A")).unwrap();
    deliver(&mut outbox, &firing("A"));
    report(&mut outbox, &firing("B")).unwrap();
    let (outbox, recovered) = try_open(&disk, &["pager", "chat"]).unwrap();
    assert_eq!((owed(&outbox), recovered.pending_count), (ids(&[firing("B")]), 1));
    assert_eq!(outbox.ledger().owed_to("chat").count(), 0);
    let (outbox, recovered) = try_open(&disk, &["chat"]).unwrap();
    assert_eq!((recovered.pending_count, recovered.active_count), (0, 2));
    assert_eq!(outbox.ledger().owed_to("chat").count(), 0);
}

#[test]
fn what_a_receiver_was_to_be_told_together_is_owed_no_more_when_it_went_and_came_back() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut ledger = ledger(&["pager", "chat"]);
    for alert in [firing("A"), firing("B")] {
        let notification = ledger.consider(&alert, &|_| false, NOON_MS).unwrap();
        ledger.apply(Record::Notification(Arc::new(notification)));
    }
    let joint = Message::joint("pager", &heads(&ledger, "pager", 2), NOON_MS);
    ledger.apply(Record::Message(Arc::new(joint.clone()), None));
    assert_eq!(ledger.owed_to("pager").map(Owed::id).collect::<Vec<_>>(), [&joint.id]);
    let back = ledger.with_receivers(names(&["chat"]), false).with_receivers(names(&["pager", "chat"]), false);
    assert_eq!(back.owed_to("pager").count(), 0);
    assert_eq!(back.owed_to("chat").count(), 2);
    assert_eq!(back.pending_count(), 2);
}

/// Random nights, and each time the records read back must give the ledger they came from.
#[test]
fn a_ledger_is_the_sum_of_its_records() {
    let mut state = 1u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let receivers = vec!["pager".to_owned(), "chat".to_owned()];
    let mut ledger = Ledger::new(receivers.clone(), false);
    let (mut sent_count, mut released_count, mut joint_count, mut apart_count) = (0, 0, 0, 0);
    for round in 0..6_000i64 {
        let name = format!("A{}", below(40));
        let start = |alert: Alert| Alert {
            starts_at_ms: NOON_MS + round,
            ends_at_ms: alert.ends_at_ms.map(|_| NOON_MS + round),
            ..alert
        };
        let alert = start(if below(2) == 0 { firing(&name) } else { resolved(&name) });
        let is_silenced = below(3) == 0;
        if let Ok(notification) = ledger.consider(&alert, &|_| is_silenced, NOON_MS) {
            ledger.apply(Record::Notification(Arc::new(notification)));
            sent_count += 1;
        }
        if below(4) == 0
            && let Some(released) = ledger.held().first().and_then(|held| ledger.released(held, NOON_MS + round))
        {
            ledger.apply(Record::Notification(Arc::new(released)));
            released_count += 1;
        }
        if below(3) > 0 && sent_count > 0 {
            // As the lanes do it: a receiver answers in the order of each alert, so the oldest unanswered of one alert.
            let receiver = &receivers[below(2) as usize];
            let head = ledger.owed_to(receiver).next().map(|head| (head.id().to_owned(), head.joint().is_some()));
            let given_up = || Verdict::GivenUp { reason: "busy".to_owned() };
            // Not so many that one is forgotten: an end that is left of it counts as delivered when it is read again.
            let is_given_up = below(8) == 0;
            if let Some((id, is_joint)) = head {
                apart_count += usize::from(is_joint && is_given_up);
                let outcome = Outcome { id, ..outcome(&firing("A"), receiver) };
                ledger.apply(Record::Outcome(if is_given_up {
                    Outcome { verdict: given_up(), ..outcome }
                } else {
                    outcome
                }));
            }
        }
        if below(10) == 0 {
            let receiver = &receivers[below(2) as usize];
            let joint = Message::joint(receiver, &heads(&ledger, receiver, 5), NOON_MS + round);
            if !joint.alerts.is_empty() {
                let (pending_count, alert_count) = (ledger.pending_count(), ledger.pending_alert_count());
                ledger.apply(Record::Message(Arc::new(joint.clone()), None));
                assert_eq!((ledger.pending_count(), ledger.pending_alert_count()), (pending_count, alert_count));
                let left = heads(&ledger, receiver, usize::MAX);
                assert!(
                    joint.alerts.iter().all(|one| left.iter().all(|left| left.alert != one.alert)),
                    "round {round}"
                );
                joint_count += 1;
            }
        }
        if round % 500 == 499 {
            let mut copy = Ledger::new(receivers.clone(), false);
            ledger.records().for_each(|record| copy.apply(record));
            assert_eq!(copy.active(), ledger.active(), "round {round}");
            assert_eq!(copy.held(), ledger.held(), "round {round}");
            assert_eq!(copy.pending_count(), ledger.pending_count(), "round {round}");
            assert_eq!(ledger.dead_letter_count(), ledger.dead_letters().len(), "round {round}");
            assert_eq!(copy.dead_letter_count(), copy.dead_letters().len(), "round {round}");
            let differing = copy.records().zip(ledger.records()).find(|(one, other)| one != other);
            assert_eq!(differing, None, "round {round}");
            assert_eq!(copy.records().count(), ledger.records().count(), "round {round}");
            assert!(
                ledger.records().count()
                    <= 3 * (FINISHED_COUNT_MAX + DEAD_LETTERS_COUNT_MAX + ledger.pending_count() + 40),
                "round {round}"
            );
        }
    }
    assert!(sent_count > FINISHED_COUNT_MAX + DEAD_LETTERS_COUNT_MAX, "only {sent_count} notifications");
    assert!(released_count > 200, "only {released_count} releases");
    assert!(joint_count > 300, "only {joint_count} joint messages");
    assert!(apart_count > 50, "only {apart_count} that fell apart");
}

/// The first transition of each alert that the receiver has yet to be told, where no joint message does that.
fn heads(ledger: &Ledger, receiver: &str, count: usize) -> Vec<Arc<Notification>> {
    let mut seen = HashSet::new();
    let joined = ledger.owed_to(receiver).filter_map(Owed::joint);
    seen.extend(joined.flat_map(|joint| joint.alerts.iter().map(|one| one.alert.fingerprint())));
    let transitions = ledger.owed_to(receiver).filter_map(|owed| match owed {
        Owed::Transition(one) => Some(one),
        Owed::Message(_) => None,
    });
    transitions.filter(|one| seen.insert(one.alert.fingerprint())).take(count).cloned().collect()
}

#[test]
fn an_outbox_on_a_full_disk_opens_knows_what_waits_and_goes_on_when_there_is_room() {
    let disk = SimulatedDisk::new();
    {
        let (mut outbox, _) = open(&disk);
        report(&mut outbox, &firing("A")).unwrap();
    }
    disk.set_free_bytes(0);
    let before = files(&disk);
    let (mut outbox, recovered) = open(&disk);
    assert_eq!((recovered.pending_count, recovered.active_count), (1, 1));
    assert_eq!(owed(&outbox), ids(&[firing("A")]));
    let refused = report(&mut outbox, &firing("B")).unwrap_err();
    assert!(matches!(&refused, NotifyError::Disk(error) if error.is_full()), "{refused}");
    assert!(before.iter().all(|name| files(&disk).contains(name)), "what was noted stands");

    disk.set_free_bytes(1 << 20);
    assert_eq!(report(&mut outbox, &firing("B")).unwrap(), Enqueued::Accepted);
    assert_eq!(files(&disk).len(), 1, "the new file has all, the old one is gone");
    drop(outbox);
    let (outbox, _) = open(&disk.crash(1));
    assert_eq!(owed(&outbox), ids(&[firing("A"), firing("B")]));
}

#[test]
fn an_outbox_without_room_for_its_folder_gets_one_later() {
    let disk = SimulatedDisk::new();
    disk.fail_after(0);
    let (mut outbox, recovered) = open(&disk);
    assert_eq!(recovered, RecoveredOutbox::default());
    assert!(report(&mut outbox, &firing("A")).is_err());
    disk.heal();
    assert_eq!(report(&mut outbox, &firing("A")).unwrap(), Enqueued::Accepted);
    drop(outbox);
    assert_eq!(owed(&open(&disk).0), ids(&[firing("A")]));
}
