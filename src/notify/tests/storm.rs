//! Ten thousand alerts at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Alert, Folding, FoldingOptions, SIGNALS_PER_INCIDENT_MAX};
use super::NOON_MS;
use crate::model::Labels;

const ALERTS_COUNT: usize = 10_000;
/// On a machine with nothing else to do it is a fiftieth of this.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many signals each incident has, the largest first.
fn sizes(labels: impl Fn(&str) -> Vec<(&'static str, String)>) -> Vec<usize> {
    let mut folding = Folding::new(FoldingOptions::default());
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    let begun = Instant::now();
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
    println!("{:?}", begun.elapsed());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    sizes
}

#[test]
fn alerts_that_have_nothing_in_common_are_folded_in_time() {
    let sizes = sizes(|name| vec![("alertname", name.to_owned()), ("instance", name.to_owned())]);
    assert_eq!(sizes, vec![1; ALERTS_COUNT]);
}

#[test]
fn alerts_that_are_alike_and_in_different_places_are_folded_in_time() {
    let sizes = sizes(|name| {
        vec![("alertname", "Down".to_owned()), ("job", "kube".to_owned()), ("namespace", name.to_owned())]
    });
    assert_eq!(sizes, vec![1; ALERTS_COUNT]);
}

#[test]
fn alerts_of_one_cause_fill_incidents_in_time() {
    let sizes =
        sizes(|name| vec![("alertname", "Down".to_owned()), ("job", "web".to_owned()), ("instance", name.to_owned())]);
    assert_eq!(sizes, vec![SIGNALS_PER_INCIDENT_MAX; ALERTS_COUNT / SIGNALS_PER_INCIDENT_MAX]);
}
