//! Dead letters and what is kept of what is over.

use std::sync::Arc;

use super::{NOON_MS, again, firing, resolved};
use crate::model::Labels;
use crate::notify::finished::Finished;
use crate::notify::ledger::{Ledger, Outcome, Record, Verdict};
use crate::notify::{Alert, DEAD_LETTERS_COUNT_MAX, FINISHED_COUNT_MAX, Message, MessageAlert};

fn empty() -> Ledger {
    Ledger::new(vec!["pager".to_owned()], false)
}

/// As it is after a restart.
fn reopened(ledger: &Ledger) -> Ledger {
    let mut other = empty();
    ledger.records().for_each(|record| other.apply(record));
    other
}

fn note(ledger: &mut Ledger, alert: &Alert, verdict: Verdict) {
    let notification = ledger.consider(alert, &|_| false, NOON_MS).expect("it is new");
    ledger.apply(Record::Notification(Arc::new(notification)));
    close(ledger, &alert.transition_id(), verdict);
}

fn close(ledger: &mut Ledger, id: &str, verdict: Verdict) {
    let (id, receiver) = (id.to_owned(), "pager".to_owned());
    ledger.apply(Record::Outcome(Outcome { id, receiver, at_ms: NOON_MS, verdict }));
}

fn delivered() -> Verdict {
    Verdict::Delivered { receiver_index: 0, http_status: 200 }
}

fn refused() -> Verdict {
    Verdict::GivenUp { reason: "400 Bad Request".to_owned() }
}

/// More incidents than are kept, each told to its end.
fn deliver_many(ledger: &mut Ledger) {
    for index in 0..FINISHED_COUNT_MAX {
        note(ledger, &firing(&format!("B{index}")), delivered());
        note(ledger, &resolved(&format!("B{index}")), delivered());
    }
}

fn letters(ledger: &Ledger) -> Vec<String> {
    ledger.dead_letters().into_iter().map(|letter| letter.id).collect()
}

#[test]
fn deliveries_push_no_dead_letter_out_and_its_alert_stays_over() {
    let mut ledger = empty();
    note(&mut ledger, &firing("A"), refused());
    note(&mut ledger, &resolved("A"), delivered());
    deliver_many(&mut ledger);
    for ledger in [&ledger, &reopened(&ledger)] {
        assert_eq!(letters(ledger), [firing("A").transition_id()]);
        assert_eq!(ledger.active(), Vec::<&Arc<_>>::new());
        assert!(!ledger.knows_id(&firing("B0").transition_id()), "what was delivered is forgotten");
    }
}

#[test]
fn a_dead_letter_goes_when_there_are_too_many_of_them_and_no_alert_comes_back_to_life() {
    let mut ledger = empty();
    note(&mut ledger, &firing("A"), delivered());
    note(&mut ledger, &resolved("A"), refused());
    note(&mut ledger, &firing("B"), refused());
    for index in 0..DEAD_LETTERS_COUNT_MAX {
        note(&mut ledger, &firing(&format!("C{index}")), delivered());
        note(&mut ledger, &resolved(&format!("C{index}")), refused());
        if index == DEAD_LETTERS_COUNT_MAX - 2 {
            assert_eq!(letters(&ledger).len(), DEAD_LETTERS_COUNT_MAX + 1, "the one of B is of an alert that lasts");
        }
    }
    let left = reopened(&ledger);
    assert_eq!(left.active().len(), 1, "only B lasts");
    let listed = letters(&left);
    assert_eq!(listed.len(), DEAD_LETTERS_COUNT_MAX + 1);
    assert_eq!(listed[..2], [firing("B").transition_id(), resolved("C0").transition_id()]);
}

#[test]
fn a_dead_letter_that_was_sent_again_stays_known_to_be() {
    let mut ledger = empty();
    note(&mut ledger, &firing("A"), refused());
    note(&mut ledger, &resolved("A"), delivered());
    let letter = ledger.dead_letters().remove(0);
    let sent_again = Message { id: letter.replay_id(1), ..letter.message.as_ref().clone() };
    ledger.apply(Record::Message(Arc::new(sent_again), None));
    close(&mut ledger, &letter.replay_id(1), delivered());
    deliver_many(&mut ledger);
    assert!(reopened(&ledger).knows_id(&letter.replay_id(1)));
}

/// A group of ten thousand alerts says all of them in each of its messages.
#[test]
fn large_messages_are_kept_for_a_shorter_while() {
    let mut ledger = empty();
    let alert = |index: usize| MessageAlert { alert: again(firing(&format!("A{index}"))), incident: String::new() };
    let alerts: Vec<MessageAlert> = (0..10_000).map(alert).collect();
    for index in 0..12 {
        let message = Message {
            id: format!("message-{index}"),
            receiver: "pager".to_owned(),
            group_key: "{}".to_owned(),
            group_labels: Labels::default(),
            alerts: alerts.clone(),
            truncated_count: 0,
            made_at_ms: NOON_MS,
            is_joint: false,
        };
        ledger.apply(Record::Message(Arc::new(message), None));
        close(&mut ledger, &format!("message-{index}"), delivered());
    }
    let known: Vec<usize> = (0..12).filter(|index| ledger.knows_id(&format!("message-{index}"))).collect();
    assert_eq!(known, (2..12).collect::<Vec<_>>());
}

#[test]
fn the_last_one_is_kept_however_large() {
    let mut finished = Finished::new(3);
    assert!(finished.push(1, 1).is_empty());
    assert_eq!(finished.push(2, 1_000_000), [1]);
    assert_eq!(finished.push(3, 1), [2]);
    assert!(finished.push(4, 1).is_empty());
    assert!(finished.push(5, 1).is_empty());
    assert_eq!(finished.push(6, 1), [3]);
}
