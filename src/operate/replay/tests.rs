use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::at_rest::StoredPast;
use super::evaluate::{Order, Outcome, evaluate};
use super::history::{RuleHistory, Span, Totals};
use super::host::{Host, Past, Row};
use super::{Replayed, told};
use crate::config::Config;
use crate::model::{Labels, Sample, TimeRange};
use crate::query::QueryError;
use crate::rules::{RuleSample, RuleSet, Surroundings, load_text};
use crate::storage::view::ReadView;

/// Groups `checkout` of this file with an interval of 7 s are evaluated at this moment, in Prometheus too.
const FILE: &str = "/etc/shop/rules.yml";
const SLOT_MS: i64 = 1_795_361_788_529;
const STEP_MS: i64 = 7_000;

/// The moment of an evaluation, counted from the first.
fn at(evaluation: i64) -> i64 {
    SLOT_MS + evaluation * STEP_MS
}

fn rules(rules: &str) -> RuleSet {
    let text = format!("groups:\n  - name: checkout\n    interval: 7s\n    rules:\n{rules}");
    load_text(Path::new(FILE), &text).expect("rules")
}

fn series(name: &str, node: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("node", node)]).expect("labels")
}

/// A sample half a second before each evaluation.
fn samples(values: impl IntoIterator<Item = f64>) -> Vec<Sample> {
    (0..).zip(values).map(|(index, value)| Sample { timestamp_ms: at(index) - 500, value }).collect()
}

fn loads(text: &str) -> Vec<Sample> {
    samples(text.bytes().map(|letter| if letter == b'#' { 9.0 } else { 1.0 }))
}

fn range(evaluations: i64) -> TimeRange {
    TimeRange { from_ms: at(0) - 3_000, to_ms: at(evaluations - 1) + 3_000 }
}

fn order(rules: &RuleSet, range: TimeRange) -> Order<'_> {
    Order { rules, range, interval_ms: 60_000, surroundings: Surroundings::default() }
}

fn replayed(rules: &RuleSet, stored: Vec<(Labels, Vec<Sample>)>, evaluations: i64) -> (Outcome, StoredPast) {
    let range = range(evaluations);
    let past = StoredPast::new(&ReadView::of_samples(stored), rules, range.from_ms, &Config::default());
    let mut host = Host::new(past);
    let outcome = evaluate(&order(rules, range), &mut host, &mut |_| {}).expect("replayed");
    (outcome, host.past)
}

/// Since when pending, when fired, when resolved, each as the number of an evaluation.
fn moments(rule: &RuleHistory) -> Vec<(i64, i64, Option<i64>)> {
    let number = |ms: i64| {
        assert_eq!((ms - SLOT_MS) % STEP_MS, 0, "{ms} is no evaluation");
        (ms - SLOT_MS) / STEP_MS
    };
    let firings = rule.firings.iter();
    firings.map(|firing| (number(firing.pending_ms), number(firing.fired_ms), firing.resolved_ms.map(number))).collect()
}

#[test]
fn alerts_fire_and_resolve_at_the_evaluations_that_see_it() {
    let rules = rules(
        "      - { alert: AtOnce, expr: load > 5 }
      - { alert: Held, expr: load > 5, for: 14s }
      - { alert: Kept, expr: load > 5, keep_firing_for: 14s }
",
    );
    //                                     0123456789012345
    let stored = vec![(series("load", "a"), loads("..###..##.####.."))];
    let (outcome, _) = replayed(&rules, stored, 16);
    assert_eq!(outcome.evaluations_count, 16);
    let [at_once, held, kept] = &outcome.rules[..] else { panic!("three rules") };
    assert_eq!(moments(at_once), [(2, 2, Some(5)), (7, 7, Some(9)), (10, 10, Some(14))]);
    // Two intervals behind the first: the span of two evaluations is too short.
    assert_eq!(moments(held), [(2, 4, Some(5)), (10, 12, Some(14))]);
    // Gone at 5, back at 7, which is when it would have ended; gone at 9, back at 10; gone at 14.
    assert_eq!(moments(kept), [(2, 2, None)]);
    assert_eq!(at_once.firings[0].value, 9.0);
    assert!(!at_once.firings[0].is_cut);
}

#[test]
fn an_alert_that_is_there_at_the_first_evaluation_may_have_begun_earlier() {
    let rules = rules("      - { alert: Held, expr: load > 5, for: 14s }\n");
    let (outcome, _) = replayed(&rules, vec![(series("load", "a"), loads("#####."))], 6);
    assert_eq!(moments(&outcome.rules[0]), [(0, 2, Some(5))]);
    assert!(outcome.rules[0].firings[0].is_cut);
}

#[test]
fn totals_and_other_for_are_those_of_the_spans() {
    let rules = rules("      - { alert: Loaded, expr: load > 5 }\n");
    // a: 3 and 1 evaluations, b: 2. A span of n evaluations fires where `for` is at most n - 1 intervals of 7 s.
    let stored = vec![(series("load", "a"), loads("..###..#....")), (series("load", "b"), loads("......##...."))];
    let (outcome, _) = replayed(&rules, stored, 12);
    let rule = &outcome.rules[0];
    let week = TimeRange { from_ms: at(0), to_ms: at(0) + 7 * 86_400_000 };
    let expected = Totals {
        fired_count: 3,
        series_count: 2,
        firing_ms: (3 + 1 + 2) * STEP_MS,
        longest_ms: 3 * STEP_MS,
        median_ms: 2 * STEP_MS,
        per_week: 3.0,
    };
    assert_eq!(rule.totals(week), expected);
    let counts: Vec<Option<usize>> =
        [0, 7_000, 7_001, 14_000, 14_001].map(|for_ms| rule.fired_count_with(for_ms)).into();
    assert_eq!(counts, [Some(3), Some(2), Some(1), Some(1), Some(0)]);
    // 30 s is the first of those that are tried which no span reaches.
    assert_eq!(rule.halving_for_ms(), Some((30_000, 0)));
}

#[test]
fn a_record_is_seen_by_later_rules_and_by_itself_and_hides_what_a_server_recorded() {
    let rules = rules(
        "      - { record: load_sum, expr: sum(load) }
      - { alert: Sum, expr: load_sum > 10 }
      - { record: count_of_evaluations, expr: (count_of_evaluations or vector(0)) + 1 }
      - { alert: Late, expr: count_of_evaluations >= 4 }
      - { alert: Chained, expr: 'ALERTS{alertname=\"Sum\"} == 1' }
",
    );
    let stored_sum = Labels::from_pairs([("__name__", "load_sum")]).expect("labels");
    // As if the server had had other rules: before the replay that counts, within it does not.
    let before = Sample { timestamp_ms: at(0) - 4_000, value: 3.0 };
    let recorded = std::iter::once(before).chain(samples([100.0; 6])).collect();
    let stored =
        vec![(series("load", "a"), loads(".##...")), (series("load", "b"), loads("..##..")), (stored_sum, recorded)];
    let (outcome, past) = replayed(&rules, stored, 6);
    let [sum, late, chained] = &outcome.rules[..] else { panic!("three alerts") };
    // 9 + 1 is not more than 10.
    assert_eq!(moments(sum), [(2, 2, Some(3))]);
    assert_eq!(moments(late), [(3, 3, None)]);
    assert_eq!(moments(chained), [(2, 2, Some(3))]);
    let matrix = past.range("load_sum", at(0) - 4_000, at(5), 1_000).expect("a range");
    let first = (matrix[0].times_ms[0], matrix[0].values[0].number());
    assert_eq!(first, (at(0) - 4_000, Some(3.0)));
    assert!(matrix[0].values.iter().all(|value| value.number().is_some_and(|value| value < 20.0)));
}

#[test]
fn more_alerts_than_the_limit_end_all_of_them() {
    let text = "groups:\n  - name: checkout\n    interval: 7s\n    limit: 1\n    rules:\n      - { alert: Many, expr: load > 5 }\n";
    let rules = load_text(Path::new(FILE), text).expect("rules");
    let stored = vec![(series("load", "a"), loads(".####.")), (series("load", "b"), loads("...#.."))];
    let (outcome, _) = replayed(&rules, stored, 6);
    assert_eq!(moments(&outcome.rules[0]), [(1, 1, Some(3)), (4, 4, Some(5))]);
    assert_eq!(outcome.rules[0].failed_count, 1);
    assert!(outcome.rules[0].failure.as_deref().is_some_and(|why| why.contains("exceeded limit of 1")));
}

/// A past that is asked about one moment at a time.
struct StepByStep(StoredPast);

impl Past for StepByStep {
    fn instant(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        self.0.instant(query, time_ms)
    }

    fn range(&self, _: &str, _: i64, _: i64, _: i64) -> Result<Vec<Row>, QueryError> {
        panic!("asked about one moment at a time")
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        self.0.store(time_ms, samples)
    }

    fn is_complete_for(&self, _: &str) -> bool {
        false
    }
}

fn text_of(outcome: Outcome, range: TimeRange) -> String {
    let (rules, evaluations_count) = (outcome.rules, outcome.evaluations_count);
    told::json(&Replayed { range, rules, evaluations_count, notes: Vec::new() }, &[]).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn many_moments_at_once_say_what_one_at_a_time_says(
        nodes in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, 0_u8..12), 240), 1..4),
    ) {
        let rules = rules(
            "      - { alert: Loaded, expr: load > 8, for: 7s, keep_firing_for: 10s }
      - { record: load_sum, expr: sum by (node) (load) }
      - { alert: Sum, expr: 'avg_over_time(load_sum[30s]) > 7' }
      - { alert: Pair, expr: 'load > 9 and on (node) count_over_time(load[20s]) >= 2', labels: { value: '{{ $value }}' } }
      - { alert: Clash, expr: 'load + on (node) group_left () (load > 3)' }
",
        );
        let stored: Vec<(Labels, Vec<Sample>)> = nodes.iter().enumerate().map(|(node, values)| {
            let present = samples(values.iter().map(|value| f64::from(value.unwrap_or(0))));
            let kept = present.into_iter().zip(values).filter(|(_, value)| value.is_some());
            (series("load", &node.to_string()), kept.map(|(sample, _)| sample).collect())
        }).collect();
        let range = range(240);
        let (ahead, _) = replayed(&rules, stored.clone(), 240);
        let past = StoredPast::new(&ReadView::of_samples(stored), &rules, range.from_ms, &Config::default());
        let mut host = Host::new(StepByStep(past));
        let single = evaluate(&order(&rules, range), &mut host, &mut |_| {}).expect("replayed");
        prop_assert_eq!(text_of(ahead, range), text_of(single, range));
    }

    /// The oracle is the state machine itself, run with the other `for`.
    #[test]
    fn what_another_for_would_have_made_is_what_it_makes(
        nodes in prop::collection::vec("[.#]{60}", 1..4),
        (is_held, keeps, tried) in (0_i64..4, 0_i64..30, 0_i64..40),
    ) {
        let with_for = |for_s: i64| {
            let rules = rules(&format!(
                "      - {{ alert: Loaded, expr: load > 5, for: {for_s}s, keep_firing_for: {keeps}s }}\n"
            ));
            let stored = nodes.iter().enumerate().map(|(node, text)| (series("load", &node.to_string()), loads(text)));
            replayed(&rules, stored.collect(), 60).0.rules.remove(0)
        };
        let rule = with_for(is_held * 7);
        prop_assert_eq!(rule.fired_count_with(is_held * 7_000), Some(rule.firings.len()));
        prop_assert_eq!(rule.fired_count_with(tried * 1_000), Some(with_for(tried).firings.len()));
    }
}

/// A rule with an `anomaly` block is fed from the first sample on, and told of within what is replayed.
#[test]
fn anomalies_are_those_of_the_stream_within_what_is_replayed() {
    let text = "groups:\n  - name: pages\n    rules:\n      - alert: TooSlow\n        expr: max by (node) (seconds)\n        \
                anomaly: { limit: { above: 2, for: 1m } }\n";
    let rules = load_text(Path::new(FILE), text).expect("rules");
    // Every 15 s for four hours, above the limit for ten minutes after one and after three of them.
    let start_ms = 1_790_812_800_000;
    let is_slow = |minute: i64| (60..70).contains(&minute) || (180..190).contains(&minute);
    let sample = |index: i64| Sample {
        timestamp_ms: start_ms + index * 15_000,
        value: if is_slow(index / 4) { 3.0 } else { 1.0 },
    };
    let view = ReadView::of_samples(vec![(series("seconds", "a"), (0..960).map(sample).collect())]);
    let replay = |from_minute: i64| {
        let range = TimeRange { from_ms: start_ms + from_minute * 60_000, to_ms: start_ms + 14_400_000 };
        let config = Config::default();
        let mut notes = Vec::new();
        let past = StoredPast::new(&view, &rules, range.from_ms, &config);
        let histories = super::at_rest::anomalies(&rules, &past, range, &config, &mut notes, &mut |_, _| {});
        assert_eq!(notes, Vec::<String>::new());
        histories.expect("replayed").remove(0)
    };
    let all = replay(0);
    assert_eq!((all.firings.len(), all.is_anomaly), (2, true));
    for (firing, minute) in all.firings.iter().zip([60, 180]) {
        let behind_ms = firing.fired_ms - (start_ms + minute * 60_000);
        // Behind a minute above the limit, to the bucket.
        assert!((45_000..=90_000).contains(&behind_ms), "{behind_ms} ms");
        let ended_ms = firing.resolved_ms.expect("it ended") - (start_ms + (minute + 10) * 60_000);
        assert!((0..=120_000).contains(&ended_ms), "{ended_ms} ms");
        assert_eq!(firing.labels.get("alertname"), Some("TooSlow"));
    }
    assert_eq!(replay(120).firings, all.firings[1..]);
}

/// What is fed and what is evaluated, in one file. The oracle is the judge, told the values by hand.
#[test]
fn an_evaluated_rule_makes_the_transitions_of_its_values_beside_a_fed_one() {
    let limit = "anomaly: { limit: { above: 2, for: 1m } }";
    let text = format!(
        "groups:\n  - name: pages\n    rules:\n      - {{ alert: Spread, expr: stddev(seconds), {limit} }}\n      \
         - {{ alert: Slow, expr: max(seconds), {limit} }}\n"
    );
    let rules = load_text(Path::new(FILE), &text).expect("rules");
    let start_ms = 1_790_812_800_000;
    // Two nodes every 15 s for four hours: 1 and 2, but for ten minutes twice 1 and 9, whose deviation is 4.
    let is_slow = |minute: i64| (60..70).contains(&minute) || (180..190).contains(&minute);
    let samples_of = |usual: f64, slow: f64| -> Vec<Sample> {
        let sample = |index: i64| {
            let value = if is_slow(index / 4) { slow } else { usual };
            Sample { timestamp_ms: start_ms + index * 15_000, value }
        };
        (0..960).map(sample).collect()
    };
    let stored = vec![(series("seconds", "a"), samples_of(1.0, 1.0)), (series("seconds", "b"), samples_of(2.0, 9.0))];
    let view = ReadView::of_samples(stored);
    let range = TimeRange { from_ms: start_ms, to_ms: start_ms + 14_400_000 };
    let (config, mut notes) = (Config::default(), Vec::new());
    let past = StoredPast::new(&view, &rules, range.from_ms, &config);
    let histories = super::at_rest::anomalies(&rules, &past, range, &config, &mut notes, &mut |_, _| {});
    let histories = histories.expect("replayed");
    assert_eq!((notes, histories.iter().filter_map(|rule| rule.failure.clone()).count()), (Vec::new(), 0));

    let (_, mut judge) = crate::detect::start(rules.watches(), 1, None);
    let mut direct = Vec::new();
    for index in 0..960 {
        let value = if is_slow(index / 4) { 4.0 } else { 0.5 };
        direct.extend(judge.observe_evaluated(0, &Arc::default(), start_ms + index * 15_000, value));
    }
    let times = |kind| direct.iter().filter(move |told| told.kind == kind);
    let fired: Vec<i64> = times(crate::detect::Kind::Firing).map(|told| told.fired_ms).collect();
    let ended: Vec<Option<i64>> = times(crate::detect::Kind::Resolved).map(|told| Some(told.at_ms)).collect();
    assert_eq!((fired.len(), ended.len()), (2, 2));
    let of_firings = |rule: &RuleHistory| -> (Vec<i64>, Vec<Option<i64>>) {
        rule.firings.iter().map(|firing| (firing.fired_ms, firing.resolved_ms)).unzip()
    };
    assert_eq!(of_firings(&histories[0]), (fired, ended));
    assert_eq!((histories[1].alert.as_str(), histories[1].firings.len()), ("Slow", 2));
}

#[test]
fn of_an_anomaly_only_a_longer_for_is_told() {
    let span = |minutes: i64| Span { from_ms: 0, to_ms: minutes * 60_000 };
    let rule = RuleHistory {
        is_anomaly: true,
        for_ms: 60_000,
        spans: vec![(Arc::default(), vec![span(3)]), (Arc::default(), vec![span(9)])],
        ..RuleHistory::default()
    };
    assert_eq!(rule.fired_count_with(0), None);
    assert_eq!(rule.fired_count_with(240_000), Some(1));
}

#[test]
fn the_text_names_every_alert_and_what_another_for_would_have_made() {
    let rules = rules("      - { alert: Loaded, expr: load > 5 }\n      - { alert: Quiet, expr: load > 50 }\n");
    let (outcome, _) = replayed(&rules, vec![(series("load", "a"), loads("..##########..#..."))], 18);
    let range = TimeRange { from_ms: at(0), to_ms: at(17) };
    let replayed = Replayed { range, rules: outcome.rules, evaluations_count: 18, notes: Vec::new() };
    let text = told::text(&replayed, &[50_000]);
    let first = text.lines().nth(2).expect("a rule");
    assert!(
        first.starts_with("Loaded (checkout) fired 2 times, 1 series, 1 min 17 s in all; longest 1 min 10 s"),
        "{text}"
    );
    // 1,795,361,788 s is 2026-11-22 15:36:28 UTC; two evaluations later, and ten behind that.
    let line = text.lines().find(|line| line.contains("1 min 10 s  ")).expect("a line");
    assert!(line.contains("2026-11-22 15:36:42 UTC"), "{line}");
    assert!(line.contains("2026-11-22 15:37:52 UTC") && line.ends_with("9         node=\"a\""), "{line}");
    assert!(text.contains("for: 50s 1"), "{text}");
    assert!(text.contains("`for: 30s` would have made 1 of 2"), "{text}");
    assert!(text.contains("Quiet (checkout) never fired"), "{text}");
}
