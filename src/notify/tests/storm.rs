//! Ten thousand alerts at once.

use std::collections::BTreeMap;

use storage_format::frame::RECORD_BYTES_MAX;

use super::super::{ANNOTATION_BYTES_MAX, Alert, Folding, FoldingOptions, SIGNALS_PER_INCIDENT_MAX};
use super::{NOON_MS, firing};
use crate::journal::Record as _;
use crate::model::Labels;
use crate::notify::ledger::Record;
use crate::notify::message::{Message, MessageAlert, fitting};

const ALERTS_COUNT: usize = 10_000;

/// How many signals each incident has, the largest first.
fn sizes(labels: impl Fn(&str) -> Vec<(&'static str, String)>) -> Vec<usize> {
    let mut folding = Folding::new(FoldingOptions::default());
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..ALERTS_COUNT {
        let alert = Alert {
            labels: Labels::from_pairs(labels(&format!("n{index}"))).unwrap(),
            annotations: Vec::new(),
            starts_at_ms: NOON_MS,
            ends_at_ms: None,
            generator_url: String::new(),
        };
        *sizes.entry(folding.assign(&alert)).or_default() += 1;
    }
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    sizes
}

#[test]
fn alerts_of_one_cause_fill_one_incident_after_the_other() {
    let sizes =
        sizes(|name| vec![("alertname", "Down".to_owned()), ("job", "web".to_owned()), ("instance", name.to_owned())]);
    assert_eq!(sizes, vec![SIGNALS_PER_INCIDENT_MAX; ALERTS_COUNT / SIGNALS_PER_INCIDENT_MAX]);
}

#[test]
fn a_message_of_the_largest_alerts_has_room_in_a_record() {
    // Each byte of the text takes six in JSON.
    let annotations = vec![("description".to_owned(), "\u{1}".repeat(ANNOTATION_BYTES_MAX))];
    let one = MessageAlert { alert: Alert { annotations, ..firing("A") }, incident: "inc-1".to_owned() };
    let (alerts, truncated_count) = fitting((0..ALERTS_COUNT).map(|_| one.clone()));
    // 8 MiB by 4,096 bytes of annotation and its name, the labels and the link.
    assert!((2_000..2_048).contains(&alerts.len()), "{}", alerts.len());
    assert_eq!(alerts.len() + truncated_count as usize, ALERTS_COUNT);
    let message = Message {
        id: "m-1".to_owned(),
        receiver: "pager".to_owned(),
        group_key: "{}".to_owned(),
        group_labels: Labels::empty(),
        alerts,
        truncated_count,
        made_at_ms: NOON_MS,
        is_joint: false,
    };
    let mut payload = Vec::new();
    let kind = Record::Message(message.into(), None).encode(&mut payload);
    assert!(payload.len() <= RECORD_BYTES_MAX, "{} bytes", payload.len());
    let Ok(Record::Message(read, None)) = Record::decode(kind, &payload) else { panic!("no message") };
    assert_eq!(read.truncated_count, truncated_count);
    assert_eq!(fitting((0..5).map(|_| one.clone())).1, 0, "few are all told");
}
