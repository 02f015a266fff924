//! What rules record and alert on, moment by moment. Instants are worked out by hand from Prometheus's documentation;
//! the alert's states besides by an oracle that looks at the whole past.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, SimulatedDisk};
use crate::model::is_stale;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// Answers from a table; what is stored can be asked for by the metric's name at once.
#[derive(Default)]
struct Table {
    answers: BTreeMap<String, Result<Vec<(Labels, f64)>, QueryError>>,
    stored: BTreeMap<(String, i64), f64>,
    asked: RefCell<Vec<(String, i64)>>,
    refuses: Option<String>,
    ticks: Cell<u64>,
}

impl Table {
    fn answer(&mut self, query: &str, series: &[(&[(&str, &str)], f64)]) {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let series = series.iter().map(|(pairs, value)| (labels(pairs), *value)).collect();
        self.answers.insert(query.to_owned(), Ok(series));
    }

    /// `{…} value` of every series that was stored at a moment, in order; `stale` for a marker.
    fn at(&self, time_ms: i64) -> Vec<String> {
        let text = |value: f64| if is_stale(value) { "stale".to_owned() } else { value.to_string() };
        let found = self.stored.iter().filter(|((_, at_ms), _)| *at_ms == time_ms);
        found.map(|((labels, _), value)| format!("{labels} {}", text(*value))).collect()
    }
}

impl RuleHost for Table {
    fn ask(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        self.asked.borrow_mut().push((query.to_owned(), time_ms));
        if let Some(answer) = self.answers.get(query) {
            let sample = |(labels, value): &(Labels, f64)| RuleSample {
                labels: Arc::new(labels.clone()),
                value: Sampled::Number(*value),
            };
            return answer.as_ref().map(|series| series.iter().map(sample).collect()).map_err(Clone::clone);
        }

        let found = self.stored.iter().filter(|((labels, at_ms), _)| labels.starts_with(query) && *at_ms == time_ms);
        let sample = |(_, value): (_, &f64)| RuleSample {
            labels: Arc::new(Labels::from_pairs([("__name__", query)]).unwrap()),
            value: Sampled::Number(*value),
        };
        Ok(found.map(sample).collect())
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        if let Some(why) = &self.refuses {
            return Err(why.clone());
        }
        for sample in samples {
            let value = sample.value.number().expect("tests store numbers");
            assert!(self.stored.insert((sample.labels.to_string(), time_ms), value).is_none(), "twice: {sample:?}");
        }
        Ok(())
    }

    fn monotonic(&self) -> Duration {
        self.ticks.set(self.ticks.get() + 1);
        Duration::from_millis(self.ticks.get())
    }
}

fn group(text: &str) -> Arc<RuleGroup> {
    let disk = SimulatedDisk::new();
    disk.replace(Path::new("/rules.yml"), text.as_bytes()).unwrap();
    let set = super::super::load(&disk, &[PathBuf::from("/rules.yml")]).unwrap_or_else(|error| panic!("{error}"));
    set.groups[0].clone()
}

fn state(text: &str) -> GroupState {
    GroupState::new(group(text))
}

fn surroundings() -> Surroundings {
    Surroundings { external_url: "http://dozor".to_owned(), ..Surroundings::default() }
}

fn evaluate(state: &mut GroupState, at_ms: i64, host: &mut Table) -> Vec<String> {
    told(&state.evaluate(at_ms, &surroundings(), host).alerts)
}

/// `firing {…} from start` or `resolved {…} from start to end`, in seconds.
fn told(alerts: &[Alert]) -> Vec<String> {
    let told = |alert: &Alert| match alert.ends_at_ms {
        None => format!("firing {} from {}", alert.labels, alert.starts_at_ms / SECOND),
        Some(end_ms) => {
            format!("resolved {} from {} to {}", alert.labels, alert.starts_at_ms / SECOND, end_ms / SECOND)
        }
    };
    alerts.iter().map(told).collect()
}

const NOTHING: [&str; 0] = [];

/// Measured: at these moments Prometheus 3.5.3 evaluated these groups of a file `/etc/shop/rules.yml`.
#[test]
fn a_group_is_evaluated_at_the_moments_of_prometheus() {
    let slot = |name: &str, interval_ms: i64, now_ms: i64| {
        let text = format!("groups: [{{ name: {name}, rules: [] }}]");
        let group = RuleGroup { file: PathBuf::from("/etc/shop/rules.yml"), ..RuleGroup::clone(&group(&text)) };
        group.slot_ms(interval_ms, now_ms)
    };
    assert_eq!(slot("checkout", 7 * SECOND, 1_795_361_790_000), 1_795_361_788_529);
    assert_eq!(slot("checkout", 7 * SECOND, 1_795_361_795_528), 1_795_361_788_529);
    assert_eq!(slot("checkout", 7 * SECOND, 1_795_361_795_529), 1_795_361_795_529);
    assert_eq!(slot("payment", 5 * SECOND, 1_795_361_786_240), 1_795_361_786_240);
    assert_eq!(slot("payment", 5 * SECOND, 1_795_361_786_239), 1_795_361_781_240);
}

#[test]
fn a_later_rule_sees_what_an_earlier_one_recorded_at_the_same_moment() {
    let mut state = state(
        "groups: [{ name: g, labels: { team: shop, env: test }, rules: [
            { record: 'job:orders', expr: orders, labels: { env: prod, node: '' } },
            { record: 'all:orders', expr: 'job:orders' } ] }]",
    );
    let mut host = Table::default();
    host.answer("orders", &[(&[("__name__", "orders"), ("node", "7"), ("job", "shop")], 3.0)]);
    assert_eq!(evaluate(&mut state, MINUTE, &mut host), NOTHING);
    let expected = [r#"all:orders{env="test", team="shop"} 3"#, r#"job:orders{env="prod", job="shop", team="shop"} 3"#];
    assert_eq!(host.at(MINUTE), expected);
}

#[test]
fn series_that_vanish_end_with_a_marker_and_a_failing_query_ends_none() {
    let mut state = state("groups: [{ name: g, rules: [{ record: r, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[("a", "1")], 1.0), (&[("a", "2")], 2.0)]);
    evaluate(&mut state, 0, &mut host);
    host.answers.insert("x".to_owned(), Err(QueryError::Execution("broken".to_owned())));
    let failed = state.evaluate(MINUTE, &surroundings(), &mut host);
    assert_eq!((failed.rules_count, failed.failed_count, failed.samples_count), (1, 1, 0));
    assert_eq!(state.rules()[0].health(), &Health::Bad("broken".to_owned()));
    assert_eq!(host.at(MINUTE), NOTHING);
    host.answer("x", &[(&[("a", "2")], 5.0)]);
    evaluate(&mut state, 2 * MINUTE, &mut host);
    assert_eq!(host.at(2 * MINUTE), [r#"r{a="1"} stale"#, r#"r{a="2"} 5"#]);
    assert_eq!(state.rules()[0].health(), &Health::Good);
    host.answer("x", &[]);
    evaluate(&mut state, 3 * MINUTE, &mut host);
    assert_eq!(host.at(3 * MINUTE), [r#"r{a="2"} stale"#]);
    evaluate(&mut state, 4 * MINUTE, &mut host);
    assert_eq!(host.at(4 * MINUTE), NOTHING);
}

#[test]
fn equal_label_sets_and_too_many_series_fail_a_recording_rule() {
    let mut state = state(
        "groups: [{ name: g, limit: 1, rules: [{ record: r, expr: x, labels: { a: '' } }, { record: s, expr: x }] }]",
    );
    let mut host = Table::default();
    host.answer("x", &[(&[("a", "1")], 1.0), (&[("a", "2")], 2.0)]);
    evaluate(&mut state, 0, &mut host);
    let bad = |text: &str| Health::Bad(text.to_owned());
    assert_eq!(
        state.rules()[0].health(),
        &bad("vector contains metrics with the same labelset after applying rule labels")
    );
    assert_eq!(state.rules()[1].health(), &bad("exceeded limit of 1 with 2 series"));
    assert_eq!(host.at(0), NOTHING);
}

const DOWN: &str = r#"
groups:
  - name: g
    labels: { team: shop, severity: low }
    rules:
      - alert: Down
        expr: up == 0
        for: 1m
        labels: { severity: critical, place: "{{ $labels.node }}!" }
        annotations: { text: "{{ $labels.job }} is {{ $value }}" }
"#;
const SHOP: &[(&str, &str)] = &[("__name__", "up"), ("job", "shop"), ("node", "7"), ("team", "ops")];
const LABELS: &str = r#"alertname="Down", job="shop", node="7", place="7!", severity="critical", team="shop""#;

/// At 7 s pending, at 67 s firing, at 97 s resolved; every 15 s, the sample is gone at 97 s.
#[test]
fn an_alert_is_pending_fires_and_is_resolved_at_these_moments() {
    let mut state = state(DOWN);
    let mut host = Table::default();
    host.answer("up == 0", &[(SHOP, 0.0)]);
    let pending = format!("ALERTS{{{}}} 1", LABELS.replace("Down\",", "Down\", alertstate=\"pending\","));
    let firing = pending.replace("pending", "firing");
    let since = format!("ALERTS_FOR_STATE{{{LABELS}}} 7");
    for at_s in [7, 22, 37, 52] {
        assert_eq!(evaluate(&mut state, at_s * SECOND, &mut host), NOTHING, "{at_s}");
        assert_eq!(host.at(at_s * SECOND), [since.clone(), pending.clone()], "{at_s}");
    }
    assert_eq!(evaluate(&mut state, 67 * SECOND, &mut host), [format!("firing {{{LABELS}}} from 67")]);
    assert_eq!(host.at(67 * SECOND), [since.clone(), firing.clone(), pending.replace("} 1", "} stale")]);
    host.answer("up == 0", &[(SHOP, 0.5)]);
    assert_eq!(evaluate(&mut state, 82 * SECOND, &mut host), NOTHING);
    assert_eq!(host.at(82 * SECOND), [since.clone(), firing.clone()]);
    host.answer("up == 0", &[]);
    let resolved = state.evaluate(97 * SECOND, &surroundings(), &mut host).alerts;
    assert_eq!(told(&resolved), [format!("resolved {{{LABELS}}} from 67 to 97")]);
    assert_eq!(resolved[0].annotations, [("text".to_owned(), "shop is 0.5".to_owned())]);
    assert_eq!(resolved[0].generator_url, "http://dozor/graph?g0.expr=up%20%3D%3D%200&g0.tab=1");
    assert_eq!(host.at(97 * SECOND), [since.replace("} 7", "} stale"), firing.replace("} 1", "} stale")]);
    assert_eq!(evaluate(&mut state, 112 * SECOND, &mut host), NOTHING);
    assert_eq!(host.at(112 * SECOND), NOTHING);
}

#[test]
fn without_for_an_alert_fires_at_once_and_a_pending_one_that_ends_is_forgotten() {
    let mut at_once = state("groups: [{ name: g, rules: [{ alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    assert_eq!(evaluate(&mut at_once, 5 * SECOND, &mut host), [r#"firing {alertname="A"} from 5"#]);

    let mut held = state("groups: [{ name: g, rules: [{ alert: B, expr: x, for: 2m }] }]");
    evaluate(&mut held, MINUTE, &mut host);
    host.answer("x", &[]);
    assert_eq!(evaluate(&mut held, 2 * MINUTE, &mut host), NOTHING);
    assert_eq!(held.rules()[0].alerts().count(), 0);
    host.answer("x", &[(&[], 1.0)]);
    assert_eq!(evaluate(&mut held, 3 * MINUTE, &mut host), NOTHING);
    assert_eq!(evaluate(&mut held, 4 * MINUTE, &mut host), NOTHING);
    assert_eq!(evaluate(&mut held, 5 * MINUTE, &mut host), [r#"firing {alertname="B"} from 300"#]);
}

#[test]
fn an_alert_that_keeps_firing_ends_when_its_series_was_gone_long_enough() {
    let mut state = state("groups: [{ name: g, rules: [{ alert: A, expr: x, keep_firing_for: 2m }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut state, 0, &mut host);
    host.answer("x", &[]);
    assert_eq!(evaluate(&mut state, MINUTE, &mut host), NOTHING);
    assert_eq!(state.rules()[0].alerts().next().unwrap().keep_firing_since_ms, Some(MINUTE));
    host.answer("x", &[(&[], 1.0)]);
    assert_eq!(evaluate(&mut state, 2 * MINUTE, &mut host), NOTHING);
    host.answer("x", &[]);
    assert_eq!(evaluate(&mut state, 3 * MINUTE, &mut host), NOTHING);
    assert_eq!(evaluate(&mut state, 4 * MINUTE, &mut host), NOTHING);
    assert!(host.at(4 * MINUTE)[1].contains(r#"alertstate="firing""#));
    assert_eq!(evaluate(&mut state, 5 * MINUTE, &mut host), [r#"resolved {alertname="A"} from 0 to 300"#]);
}

#[test]
fn a_resolved_alert_is_remembered_for_a_quarter_of_an_hour() {
    let mut state = state("groups: [{ name: g, rules: [{ alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut state, 0, &mut host);
    host.answer("x", &[]);
    for minute in 1..=16 {
        evaluate(&mut state, minute * MINUTE, &mut host);
        assert_eq!(state.rules()[0].alerts().count(), 1, "minute {minute}");
    }
    evaluate(&mut state, 17 * MINUTE, &mut host);
    assert_eq!(state.rules()[0].alerts().count(), 0);
}

#[test]
fn equal_label_sets_fail_an_alert_and_leave_it_as_it_is() {
    let mut state = state("groups: [{ name: g, rules: [{ alert: A, expr: x, labels: { node: all } }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[("node", "1")], 1.0)]);
    assert_eq!(evaluate(&mut state, 0, &mut host).len(), 1);
    host.answer("x", &[(&[("node", "1")], 1.0), (&[("node", "2")], 1.0)]);
    assert_eq!(evaluate(&mut state, MINUTE, &mut host), NOTHING);
    let why = "vector contains metrics with the same labelset after applying alert labels";
    assert_eq!(state.rules()[0].health(), &Health::Bad(why.to_owned()));
    assert_eq!(state.rules()[0].alerts().next().unwrap().state, AlertState::Firing);
    assert_eq!(host.at(MINUTE), NOTHING);
    host.answers.insert("x".to_owned(), Err(QueryError::Cancelled));
    assert_eq!(evaluate(&mut state, 2 * MINUTE, &mut host), NOTHING);
    assert_eq!(state.rules()[0].alerts().next().unwrap().state, AlertState::Firing);
}

#[test]
fn more_alerts_than_the_limit_fail_the_rule_and_end_those_that_fired() {
    let mut state = state("groups: [{ name: g, limit: 1, rules: [{ alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[("node", "1")], 1.0)]);
    assert_eq!(evaluate(&mut state, 0, &mut host).len(), 1);
    host.answer("x", &[(&[("node", "1")], 1.0), (&[("node", "2")], 1.0)]);
    assert_eq!(evaluate(&mut state, MINUTE, &mut host), [r#"resolved {alertname="A", node="1"} from 0 to 60"#]);
    assert_eq!(state.rules()[0].health(), &Health::Bad("exceeded limit of 1 with 2 alerts".to_owned()));
    assert_eq!(state.rules()[0].alerts().count(), 0);
    assert_eq!(evaluate(&mut state, 2 * MINUTE, &mut host), NOTHING);
    host.answer("x", &[(&[("node", "2")], 1.0)]);
    assert_eq!(evaluate(&mut state, 3 * MINUTE, &mut host), [r#"firing {alertname="A", node="2"} from 180"#]);
}

#[test]
fn the_query_offset_moves_what_is_asked_and_stored_and_not_when_an_alert_fires() {
    let mut state =
        state("groups: [{ name: g, query_offset: 30s, rules: [{ record: r, expr: x }, { alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    assert_eq!(evaluate(&mut state, MINUTE, &mut host), [r#"firing {alertname="A"} from 60"#]);
    assert_eq!(*host.asked.borrow(), [("x".to_owned(), 30 * SECOND), ("x".to_owned(), 30 * SECOND)]);
    assert_eq!(host.at(30 * SECOND).len(), 3);
    assert_eq!(host.at(30 * SECOND)[0], r#"ALERTS_FOR_STATE{alertname="A"} 60"#);
}

#[test]
fn what_is_not_stored_makes_the_rule_bad() {
    let mut state = state("groups: [{ name: g, rules: [{ record: r, expr: x }] }]");
    let mut host = Table { refuses: Some("no room".to_owned()), ..Table::default() };
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut state, 0, &mut host);
    assert_eq!(state.rules()[0].health(), &Health::Bad("no room".to_owned()));
}

#[test]
fn a_changed_group_goes_on_with_the_rules_that_stay_and_ends_the_others() {
    let mut before = state(
        "groups: [{ name: g, rules: [{ alert: A, expr: x, for: 2m }, { alert: B, expr: x }, { record: r, expr: x }] }]",
    );
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    host.answer("y", &[(&[], 1.0)]);
    evaluate(&mut before, 0, &mut host);
    let mut after = state("groups: [{ name: g, rules: [{ record: s, expr: x }, { alert: A, expr: 'y', for: 1m }] }]");
    let resolved = after.succeed(before, 30 * SECOND, &surroundings());
    assert_eq!(told(&resolved), [r#"resolved {alertname="B"} from 0 to 30"#]);
    assert_eq!(evaluate(&mut after, MINUTE, &mut host), [r#"firing {alertname="A"} from 60"#]);
    let at = host.at(MINUTE);
    for ended in [
        r#"ALERTS{alertname="A", alertstate="pending"} stale"#,
        r#"ALERTS{alertname="B", alertstate="firing"} stale"#,
        r#"ALERTS_FOR_STATE{alertname="B"} stale"#,
        r#"r stale"#,
        r#"s 1"#,
        r#"ALERTS_FOR_STATE{alertname="A"} 0"#,
    ] {
        assert!(at.iter().any(|line| line == ended), "{ended} is not in {at:#?}");
    }
    assert_eq!(at.len(), 7);
}

#[test]
fn a_group_that_goes_resolves_its_alerts_and_ends_its_series() {
    let mut gone = state("groups: [{ name: g, rules: [{ alert: A, expr: x }, { record: r, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut gone, 0, &mut host);
    let (resolved, series) = gone.dissolve(MINUTE, &surroundings());
    assert_eq!(told(&resolved), [r#"resolved {alertname="A"} from 0 to 60"#]);
    GroupState::end_series(&series, MINUTE, &mut host).unwrap();
    let ended: Vec<String> = host.at(MINUTE).iter().filter(|line| line.ends_with("stale")).cloned().collect();
    assert_eq!(ended.len(), 3, "{ended:?}");
}

/// Evaluated, saved at `at_ms`, read again at `now_ms` with these alerts told.
fn restarted(state: &GroupState, now_ms: i64, told: &[(&str, i64)]) -> GroupState {
    let saved: Vec<SavedGroup> = state.saved().into_iter().collect();
    let saved = decode_saved(&encode_saved(&saved, now_ms)).unwrap();
    let mut after = GroupState::new(state.group().clone());
    let told = |labels: &Labels| {
        told.iter().find(|(name, _)| labels.get("alertname") == Some(*name)).map(|(_, fired_ms)| *fired_ms)
    };
    let (outage_tolerance_ms, grace_period_ms) = (60 * MINUTE, 10 * MINUTE);
    let rules = RestoreRules { now_ms, outage_tolerance_ms, grace_period_ms, told: &told };
    saved.iter().for_each(|saved| after.restore(saved, &rules));
    after
}

/// The moments worked out in `restore.rs`: `for: 30m`, down after 10, 25 and 10 minutes.
#[test]
fn a_pending_alert_goes_on_behind_an_outage() {
    for (down_minute, up_minute, since_minute) in [(10, 20, Some(10)), (25, 30, Some(10)), (10, 80, None)] {
        let mut before = state("groups: [{ name: g, rules: [{ alert: A, expr: x, for: 30m }] }]");
        let mut host = Table::default();
        host.answer("x", &[(&[], 1.0)]);
        evaluate(&mut before, 0, &mut host);
        evaluate(&mut before, down_minute * MINUTE, &mut host);
        let after = restarted(&before, up_minute * MINUTE, &[]);
        let since_ms = after.rules()[0].alerts().next().map(|alert| alert.active_at_ms);
        assert_eq!(since_ms, since_minute.map(|minute| minute * MINUTE), "down at {down_minute}, up at {up_minute}");
    }
}

#[test]
fn a_short_for_goes_on_with_what_it_has_spent() {
    let mut before = state("groups: [{ name: g, rules: [{ alert: A, expr: x, for: 2m }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut before, 0, &mut host);
    evaluate(&mut before, MINUTE, &mut host);
    let mut after = restarted(&before, 5 * MINUTE, &[]);
    assert_eq!(evaluate(&mut after, 5 * MINUTE, &mut host), NOTHING);
    assert_eq!(evaluate(&mut after, 6 * MINUTE, &mut host), [r#"firing {alertname="A"} from 360"#]);
}

#[test]
fn what_fired_goes_on_firing_and_is_over_at_the_second_evaluation_at_the_earliest() {
    let mut before = state("groups: [{ name: g, rules: [{ alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut before, 0, &mut host);
    let mut after = restarted(&before, 300 * MINUTE, &[("A", 0)]);
    host.answer("x", &[]);
    assert_eq!(evaluate(&mut after, 300 * MINUTE, &mut host), NOTHING);
    assert!(host.at(300 * MINUTE)[1].contains(r#"alertstate="firing""#));
    assert_eq!(evaluate(&mut after, 301 * MINUTE, &mut host), [r#"resolved {alertname="A"} from 0 to 18060"#]);
    assert!(host.at(301 * MINUTE).iter().all(|line| line.ends_with("stale")));
}

/// The process died between telling receivers and noting that it did.
#[test]
fn what_receivers_were_told_counts() {
    let mut before = state("groups: [{ name: g, rules: [{ alert: A, expr: x, for: 1m }, { alert: B, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut before, 0, &mut host);
    // Told that A fires, which was not noted; told that B is over, which was not noted either.
    let mut after = restarted(&before, 30 * SECOND, &[("A", 20 * SECOND)]);
    let states = |state: &GroupState, rule: usize| state.rules()[rule].alerts().next().map(|alert| alert.state);
    assert_eq!((states(&after, 0), states(&after, 1)), (Some(AlertState::Firing), None));
    assert_eq!(evaluate(&mut after, 30 * SECOND, &mut host), [r#"firing {alertname="B"} from 30"#]);
    host.answer("x", &[]);
    let over = [r#"resolved {alertname="A"} from 20 to 90"#, r#"resolved {alertname="B"} from 30 to 90"#];
    assert_eq!(evaluate(&mut after, 90 * SECOND, &mut host), over);
}

/// Noted was an incident that has ended since; receivers know of the next one, which began at 40 s.
#[test]
fn an_alert_is_over_under_the_start_that_receivers_were_told() {
    let mut before = state("groups: [{ name: g, rules: [{ alert: A, expr: x }] }]");
    let mut host = Table::default();
    host.answer("x", &[(&[], 1.0)]);
    evaluate(&mut before, 0, &mut host);
    let mut after = restarted(&before, 50 * SECOND, &[("A", 40 * SECOND)]);
    host.answer("x", &[]);
    assert_eq!(evaluate(&mut after, 50 * SECOND, &mut host), NOTHING);
    assert_eq!(evaluate(&mut after, 60 * SECOND, &mut host), [r#"resolved {alertname="A"} from 40 to 60"#]);
}

#[test]
fn a_damaged_file_of_alerts_is_refused_as_a_whole() {
    let mut state = state(DOWN);
    let mut host = Table::default();
    host.answer("up == 0", &[(SHOP, f64::NAN)]);
    evaluate(&mut state, 0, &mut host);
    let saved: Vec<SavedGroup> = state.saved().into_iter().collect();
    let bytes = encode_saved(&saved, 0);
    let read = decode_saved(&bytes).unwrap();
    assert_eq!(encode_saved(&read, 0), bytes);
    // Behind the last record there may be bytes that say nothing.
    let is_whole = |groups: Vec<SavedGroup>| encode_saved(&groups, 0) == bytes;
    for length in 0..bytes.len() {
        assert!(decode_saved(&bytes[..length]).is_ok_and(is_whole) || decode_saved(&bytes[..length]).is_err());
    }
    assert!(decode_saved(&bytes[..bytes.len() - 8]).is_err());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(decode_saved(&damaged).map_or(true, is_whole), "byte {at}");
    }
}

/// Firing: there was a stretch of presence as long as `for`, and no absence since that was as long as `keep`; every
/// moment is a minute.
fn fires(present: &[bool], at: usize, hold: usize, keep: usize) -> bool {
    let fired = |from: usize, to: usize| present[from..=to].iter().all(|&one| one) && to - from >= hold;
    let is_over = |absent: usize, now: usize| present[absent..=now].iter().all(|&one| !one) && now - absent >= keep;
    let lasts = |to: usize| !(to + 1..=at).any(|absent| (absent..=at).any(|now| is_over(absent, now)));
    (0..=at).any(|to| (0..=to).any(|from| fired(from, to)) && lasts(to))
}

proptest! {
    #[test]
    fn an_alert_is_what_the_whole_past_says(
        present in prop::collection::vec(prop::bool::weighted(0.7), 1..40),
        hold in 0_usize..5,
        keep in 0_usize..5,
    ) {
        let text = format!(
            "groups: [{{ name: g, rules: [{{ alert: A, expr: x, for: {hold}m, keep_firing_for: {keep}m }}] }}]"
        );
        let mut state = state(&text);
        let mut host = Table::default();
        let mut is_told = false;
        for at in 0..present.len() {
            host.answer("x", if present[at] { &[(&[], 1.0)] } else { &[] });
            let time_ms = at as i64 * MINUTE;
            let alerts = state.evaluate(time_ms, &surroundings(), &mut host).alerts;
            let expected = match (fires(&present, at, hold, keep), present[at]) {
                (true, _) => Some("firing"),
                (false, true) => Some("pending"),
                (false, false) => None,
            };
            let alive = host.at(time_ms).into_iter().find(|line| line.starts_with("ALERTS{") && line.ends_with(" 1"));
            let found = alive.map(|line| if line.contains("firing") { "firing" } else { "pending" });
            prop_assert_eq!(found, expected, "minute {} of {:?}", at, present);
            let should_tell = is_told != (expected == Some("firing"));
            prop_assert_eq!(alerts.len(), usize::from(should_tell), "minute {}", at);
            is_told ^= should_tell;
        }
    }
}
