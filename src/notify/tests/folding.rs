use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Alert, Folding, FoldingOptions, SPAN_WINDOWS_MAX};
use super::NOON_MS;
use crate::model::Labels;

const MINUTE_MS: i64 = 60_000;

/// An alert that fires so many minutes after noon.
fn alert(minute: i64, labels: &[(&str, &str)]) -> Alert {
    Alert {
        labels: Labels::from_pairs(labels.iter().copied()).unwrap(),
        annotations: Vec::new(),
        starts_at_ms: NOON_MS + minute * MINUTE_MS,
        ends_at_ms: None,
        generator_url: String::new(),
    }
}

fn ended(alert: &Alert, minute: i64) -> Alert {
    Alert { ends_at_ms: Some(NOON_MS + minute * MINUTE_MS), ..alert.clone() }
}

fn with_onset(alert: Alert, onset: &str) -> Alert {
    Alert { annotations: vec![("onset".to_owned(), onset.to_owned())], ..alert }
}

fn folding() -> Folding {
    Folding::new(FoldingOptions::default())
}

#[test]
fn trouble_on_the_critical_path_is_one_incident_until_a_region_parts_it() {
    let mut folding = folding();
    let payments = alert(
        0,
        &[("alertname", "PaymentsFailing"), ("provider", "paycorp"), ("service", "payment"), ("step", "payment")],
    );
    let orders = |region| alert(1, &[("alertname", "OrdersDropped"), ("region", region), ("step", "checkout")]);
    let first = folding.assign(&payments);
    assert_eq!(first, format!("inc-{:016x}-{NOON_MS}", payments.fingerprint()));
    assert_eq!(folding.assign(&orders("eu")), first);
    assert_ne!(folding.assign(&orders("us")), first);
    // The first incident has a provider by now, the second one none: the trouble of another provider may be the second's.
    let other = alert(2, &[("alertname", "PaymentsSlow"), ("provider", "cashly"), ("step", "payment")]);
    assert_eq!(folding.assign(&other), folding.assign(&orders("us")));
    assert_eq!(folding.open_count(), 2);
}

#[test]
fn what_has_nothing_in_common_is_another_incident() {
    let mut folding = folding();
    let first =
        folding.assign(&alert(0, &[("alertname", "MysqlDown"), ("service", "mysql"), ("instance", "db1:9104")]));
    let disk =
        folding.assign(&alert(0, &[("alertname", "DiskAlmostFull"), ("service", "node"), ("instance", "db1:9100")]));
    let without = folding.assign(&alert(0, &[("alertname", "Odd")]));
    assert_ne!(first, disk);
    assert!(without != first && without != disk);
    // Two machines of one service are, for no label that parts them differs.
    let second = alert(1, &[("alertname", "MysqlDown"), ("service", "mysql"), ("instance", "db2:9104")]);
    assert_eq!(folding.assign(&second), first);
}

#[test]
fn machines_are_kept_apart_where_the_settings_say_so() {
    let apart_by = vec!["instance".to_owned()];
    let mut folding = Folding::new(FoldingOptions { apart_by, ..FoldingOptions::default() });
    let down = |instance| alert(0, &[("alertname", "MysqlDown"), ("service", "mysql"), ("instance", instance)]);
    assert_ne!(folding.assign(&down("db1:9104")), folding.assign(&down("db2:9104")));
}

#[test]
fn window_is_counted_from_the_signal_that_began_last() {
    let mut folding = folding();
    let of_minute = |minute: i64| {
        let name = format!("A{minute}");
        alert(minute, &[("alertname", &name), ("service", "cart")])
    };
    let first = folding.assign(&of_minute(0));
    assert_eq!(folding.assign(&of_minute(5)), first);
    assert_eq!(folding.assign(&of_minute(10)), first);
    assert_ne!(folding.assign(&of_minute(16)), first);
}

#[test]
fn trouble_without_a_pause_is_cut_after_twelve_windows() {
    assert_eq!(SPAN_WINDOWS_MAX, 12);
    let mut folding = folding();
    let ids: Vec<String> = (0..=62)
        .map(|minute| {
            let name = format!("A{minute}");
            folding.assign(&alert(minute, &[("alertname", &name), ("service", "cart")]))
        })
        .collect();
    assert!(ids[..=60].iter().all(|id| *id == ids[0]));
    assert_ne!(ids[61], ids[0]);
    assert_eq!(ids[62], ids[61]);
}

#[test]
fn onset_counts_where_it_is_told() {
    let mut folding = folding();
    let first = folding.assign(&alert(0, &[("alertname", "A"), ("service", "cart")]));
    // It was found twenty minutes late.
    let late = with_onset(alert(20, &[("alertname", "B"), ("service", "cart")]), "2026-03-01T12:03:00Z");
    assert_eq!(folding.assign(&late), first);
    let unreadable = with_onset(alert(20, &[("alertname", "C"), ("service", "cart")]), "at noon");
    assert_eq!(unreadable.began_ms(), NOON_MS + 20 * MINUTE_MS);
    assert_ne!(folding.assign(&unreadable), first);
}

#[test]
fn resolved_alert_has_the_incident_of_its_firing_one_and_may_come_back() {
    let mut folding = folding();
    let a = alert(0, &[("alertname", "A"), ("service", "cart")]);
    let b = alert(1, &[("alertname", "B"), ("service", "cart")]);
    let first = folding.assign(&a);
    assert_eq!(folding.assign(&b), first);
    assert_eq!(folding.assign(&ended(&a, 30)), first);
    assert_eq!(folding.open_count(), 1);
    assert_eq!(folding.assign(&ended(&b, 31)), first);
    assert_eq!(folding.open_count(), 0);
    assert_eq!(folding.assign(&ended(&b, 31)), first, "told once more");
    let back = Alert { starts_at_ms: NOON_MS + 40 * MINUTE_MS, ..a.clone() };
    assert_eq!(folding.assign(&back), first, "within ten minutes of its end");
    assert_eq!(folding.assign(&ended(&back, 41)), first);
    let much_later = Alert { starts_at_ms: NOON_MS + 52 * MINUTE_MS, ..a };
    assert_ne!(folding.assign(&much_later), first);
}

#[test]
fn resolved_alert_that_nobody_knew_has_an_id_of_its_own() {
    let mut folding = folding();
    let unknown = ended(&alert(0, &[("alertname", "A")]), 3);
    assert_eq!(folding.assign(&unknown), format!("inc-{:016x}-{NOON_MS}", unknown.fingerprint()));
    assert_eq!(folding.open_count(), 0);
}

#[test]
fn alert_joins_what_it_has_most_in_common_with_and_of_those_the_oldest() {
    let mut folding = folding();
    let route = |route: &str| alert(0, &[("alertname", route), ("route", route)]);
    let cart = folding.assign(&route("/cart"));
    let both = folding.assign(&alert(0, &[("alertname", "Both"), ("job", "web"), ("instance", "a")]));
    assert_eq!(
        folding.assign(&alert(1, &[("alertname", "C"), ("route", "/cart"), ("job", "web"), ("instance", "a")])),
        both
    );
    assert_eq!(folding.assign(&alert(1, &[("alertname", "D"), ("route", "/cart")])), cart);
}

#[test]
fn root_is_the_earliest_step_of_what_began_within_a_minute() {
    let path = FoldingOptions::default().path;
    let at = |minute, name, step| alert(minute, &[("alertname", name), ("step", step)]);
    let signals = [
        at(0, "Delivery", "delivery"),
        at(1, "Mail", "notification"),
        at(1, "Payment", "payment"),
        at(2, "Search", "search"),
    ];
    let name = |alert: Option<&Alert>| alert.and_then(|alert| alert.labels.get("alertname")).map(str::to_owned);
    assert_eq!(name(path.root(signals.iter())).as_deref(), Some("Payment"));
    assert_eq!(name(path.root(signals.iter().rev())).as_deref(), Some("Payment"));
    assert_eq!(path.root([].iter()), None);
    let off_the_path = alert(0, &[("alertname", "Disk")]);
    assert_eq!(name(path.root([&off_the_path, &signals[0]].into_iter())).as_deref(), Some("Delivery"));
}

/// What happens to alerts: which, and how many minutes after the last thing.
fn story() -> impl Strategy<Value = Vec<Alert>> {
    let labels = (0..4_usize, 0..3_usize, 0..3_usize, 0..3_usize);
    let step = (labels, any::<bool>(), 0..7_i64);
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let (mut minute, mut firing) = (0, BTreeMap::new());
        let mut alerts = Vec::new();
        for (which, ends, pause) in steps {
            minute += pause;
            match firing.remove(&which) {
                Some(before) if ends => alerts.push(ended(&before, minute)),
                Some(before) => drop(firing.insert(which, before)),
                None => {
                    let alert = alert(minute, &labels_of(which));
                    alerts.push(alert.clone());
                    firing.insert(which, alert);
                }
            }
        }
        alerts
    })
}

/// Labels of which some may be missing.
fn labels_of((name, region, service, step): (usize, usize, usize, usize)) -> Vec<(&'static str, &'static str)> {
    let mut labels = vec![("alertname", ["A", "B", "C", "D"][name])];
    labels.extend([None, Some(("region", "eu")), Some(("region", "us"))][region]);
    labels.extend([None, Some(("service", "shop")), Some(("service", "node"))][service]);
    labels.extend([None, Some(("step", "cart")), Some(("step", "payment"))][step]);
    labels
}

proptest! {
    #[test]
    fn restarted_folding_goes_on_as_if_it_had_not_been(alerts in story(), cut in 0..60_usize) {
        let cut = cut.min(alerts.len());
        let (mut live, mut restarted) = (folding(), folding());
        for alert in &alerts[..cut] {
            let incident = live.assign(alert);
            restarted.restore(alert, &incident);
        }
        for alert in &alerts[cut..] {
            prop_assert_eq!(live.assign(alert), restarted.assign(alert));
        }
        prop_assert_eq!(live.open_count(), restarted.open_count());
    }

    #[test]
    fn different_regions_are_never_folded(alerts in story()) {
        let mut folding = folding();
        let mut regions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for alert in &alerts {
            let incident = folding.assign(alert);
            regions.entry(incident).or_default().extend(alert.labels.get("region").map(str::to_owned));
        }
        prop_assert!(regions.values().all(|regions| regions.len() <= 1), "{regions:?}");
    }

    #[test]
    fn same_alert_once_more_changes_nothing(alerts in story()) {
        let (mut once, mut twice) = (folding(), folding());
        for alert in &alerts {
            let incident = once.assign(alert);
            prop_assert_eq!(&twice.assign(alert), &incident);
            prop_assert_eq!(&twice.assign(alert), &incident);
        }
    }

    #[test]
    fn order_of_what_began_together_does_not_matter(
        alerts in prop::collection::vec((0..4_usize, 1..3_usize, 0..3_usize, 0..3_usize), 1..12),
        seed in any::<u64>(),
    ) {
        let alerts: Vec<Alert> = alerts.into_iter().map(|which| alert(0, &labels_of(which))).collect();
        let mut shuffled = alerts.clone();
        shuffled.sort_by_key(|alert| alert.fingerprint().wrapping_mul(seed | 1));
        let groups = |alerts: &[Alert]| {
            let mut folding = folding();
            let mut groups: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
            for alert in alerts {
                groups.entry(folding.assign(alert)).or_default().insert(alert.fingerprint());
            }
            groups.into_values().collect::<BTreeSet<_>>()
        };
        // Each has a region, so the groups are the regions.
        let mut by_region: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for alert in &alerts {
            by_region.entry(alert.labels.get("region").unwrap()).or_default().insert(alert.fingerprint());
        }
        prop_assert_eq!(groups(&alerts), by_region.into_values().collect());
        prop_assert_eq!(groups(&shuffled), groups(&alerts));
        let path = FoldingOptions::default().path;
        prop_assert_eq!(path.root(alerts.iter()), path.root(shuffled.iter()));
    }
}
