use super::*;
use crate::clock::Clock;
use crate::detect::Signal;
use crate::model::Sample;
use crate::query::{Engine, Limits, Options, Value};
use crate::storage::view::ReadView;

const ONSET_MS: i64 = 7_200_000;
const NOW_MS: i64 = 7_440_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("they are few and short")
}

/// A series with its mean before and now, by operand.
type Given<'a> = (usize, &'a [(&'a str, &'a str)], Option<f64>, Option<f64>);

/// Shares in percent, with labels, value and expectation.
fn told(expression: &str, group: &[(&str, &str)], expected: Option<f64>, series: &[Given<'_>]) -> Vec<String> {
    let signal = Signal::compile(expression).expect("it can be fed");
    let group = labels(group);
    let mut inquiry = Inquiry::of(&signal, &group, ONSET_MS, NOW_MS).expect("it has parts");
    for question in 0..inquiry.questions().len() {
        let Question { operand, side, factor, .. } = inquiry.questions()[question].clone();
        let of_operand = series.iter().filter(|one| one.0 == operand);
        let value = |one: &Given<'_>| if side == Side::Before { one.2 } else { one.3 };
        let answer: Vec<(Arc<Labels>, f64)> =
            of_operand.filter_map(|one| Some((Arc::new(labels(one.1)), value(one)? / factor))).collect();
        inquiry.answered(question, answer);
    }
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let line = |part: &Part| {
        let share = (part.share * 1000.0).round() / 10.0;
        format!("{share} % {} {} of {}", part.labels, number(part.value), number(part.expected))
    };
    inquiry.parts(expected, None).iter().map(line).collect()
}

/// The same of an expression that is evaluated, over stored series.
fn told_of_evaluated(expression: &str, expected: Option<f64>, series: Vec<(Labels, Vec<Sample>)>) -> Vec<String> {
    let signal = Signal::of(expression).expect("a query");
    let (group, view) = (Labels::empty(), ReadView::of_samples(series));
    let engine = Engine::new(Limits::default(), Clock::system());
    let mut inquiry = Inquiry::of(&signal, &group, ONSET_MS, NOW_MS).expect("it has parts");
    for index in 0.. {
        let Some(Question { query, at_ms, .. }) = inquiry.questions().get(index).cloned() else { break };
        let answer = engine.instant(&view, &query, at_ms, &Options::default()).expect(&query).value;
        let Value::Vector(answer) = answer else { panic!("{query} is a vector") };
        inquiry.answered(index, answer.into_iter().filter_map(|(labels, _, value)| Some((labels, value.number()?))));
    }
    let line = |part: &Part| {
        let number = |value: Option<f64>| (value.expect("it has one") * 100.0).round() / 100.0;
        let share = (part.share * 100.0).round();
        format!("{share} % {} {} of {}", part.labels, number(part.value), number(part.expected))
    };
    inquiry.parts(expected, Some(true)).iter().map(line).collect()
}

/// Labels of a counter, and by how much it grows in a second before the onset and since.
type Growth<'a> = (&'a [(&'a str, &'a str)], f64, f64);

/// Scrapes of two hours and a little, every 15 s.
fn counters(series: &[Growth<'_>]) -> Vec<(Labels, Vec<Sample>)> {
    let samples = |before: f64, later: f64| {
        let mut total = 0.0;
        let sample = |scrape: i64| {
            let timestamp_ms = scrape * 15_000;
            total += 15.0 * if timestamp_ms > ONSET_MS { later } else { before };
            Sample { timestamp_ms, value: total }
        };
        (0..=NOW_MS / 15_000).map(sample).collect()
    };
    let named = |pairs: &[(&str, &str)]| labels(&[&[("__name__", "orders_total")], pairs].concat());
    series.iter().map(|(pairs, before, later)| (named(pairs), samples(*before, *later))).collect()
}

#[test]
fn expression_that_is_evaluated_has_parts_where_they_add_up() {
    // 25 a second before, 16 now: 9 less, of which eu lost 8 and us 1.
    let series = || {
        counters(&[
            (&[("region", "eu"), ("node", "1"), ("instance", "a")], 10.0, 2.0),
            (&[("region", "us"), ("node", "2"), ("instance", "b")], 10.0, 9.0),
            (&[("region", "us"), ("node", "3"), ("instance", "c")], 5.0, 5.0),
        ])
    };
    assert_eq!(
        told_of_evaluated("sum(rate(orders_total[1m] offset 30s))", None, series()),
        [
            r#"89 % {instance="a", node="1"} 2 of 10"#,
            r#"89 % {region="eu"} 2 of 10"#,
            r#"11 % {instance="b", node="2"} 9 of 10"#,
            r#"11 % {region="us"} 14 of 15"#,
        ]
    );
    // Expected were 20: four fifths of each, so eu lacks 6 of 4.
    assert_eq!(
        told_of_evaluated("sum(rate(orders_total[1m] offset 30s))", Some(20.0), series())[0],
        r#"150 % {instance="a", node="1"} 2 of 8"#
    );
    // The parts of a share are no shares, nor are those of a deviation.
    for expression in [
        r#"sum(rate(orders_total{region="eu"}[1m] offset 30s)) / sum(rate(orders_total[1m]))"#,
        "stddev(rate(orders_total[1m] offset 30s))",
    ] {
        assert_eq!(told_of_evaluated(expression, None, series()), [""; 0], "{expression}");
    }
}

#[test]
fn no_more_parts_are_asked_about_than_there_is_time_for() {
    let nodes: Vec<String> = (0..100).map(|node| node.to_string()).collect();
    let regions = ["eu", "us"];
    let pairs: Vec<[(&str, &str); 2]> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| [("node", node.as_str()), ("region", regions[index % 2])])
        .collect();
    let series: Vec<Growth<'_>> =
        pairs.iter().map(|pairs| (&pairs[..], 1.0, if pairs[1].1 == "eu" { 0.5 } else { 1.0 })).collect();
    let told = told_of_evaluated("sum(rate(orders_total[1m] offset 30s))", None, counters(&series));
    assert_eq!(told, [r#"100 % {region="eu"} 25 of 50"#], "the nodes are too many");
}

#[test]
fn region_that_lost_its_orders_is_named_first_with_its_share() {
    // 25 a second before, 16 now: 9 less, of which eu lost 8 and us 1. The nodes cut as the instances do.
    let series: [Given<'_>; 3] = [
        (0, &[("region", "eu"), ("node", "1"), ("instance", "a")], Some(10.0), Some(2.0)),
        (0, &[("region", "us"), ("node", "2"), ("instance", "b")], Some(10.0), Some(9.0)),
        (0, &[("region", "us"), ("node", "3"), ("instance", "c")], Some(5.0), Some(5.0)),
    ];
    assert_eq!(
        told("sum(rate(orders_total[1m]))", &[], None, &series),
        [
            r#"88.9 % {instance="a", node="1"} 2.000 of 10.000"#,
            r#"88.9 % {region="eu"} 2.000 of 10.000"#,
            r#"11.1 % {instance="b", node="2"} 9.000 of 10.000"#,
            r#"11.1 % {region="us"} 14.000 of 15.000"#,
        ]
    );
    // Expected were 20 by now: four fifths of the hour before, so 8, 8 and 4, and us has more than that.
    assert_eq!(
        told("sum(rate(orders_total[1m]))", &[], Some(20.0), &series[..])[0],
        r#"150 % {instance="a", node="1"} 2.000 of 8.000"#
    );
}

#[test]
fn part_that_is_gone_and_one_that_is_new_count_as_nothing_on_the_side_where_they_are_not() {
    // 12 before, 9 now: 8 are gone, 5 are new; of the 3 less, 8 and -5.
    let series: [Given<'_>; 3] = [
        (0, &[("provider", "north")], Some(8.0), None),
        (0, &[("provider", "south")], Some(4.0), Some(4.0)),
        (0, &[("provider", "west")], None, Some(5.0)),
    ];
    assert_eq!(
        told("sum(increase(paid_total[5m]))", &[], None, &series),
        [r#"266.7 % {provider="north"} 0.000 of 8.000"#]
    );
}

#[test]
fn change_of_a_ratio_is_weighted_with_the_volume() {
    // North 1 of 100 and now 30 of 50, south 1 of 100 as before: 31 of 150 = 0.2067, and 0.01 before.
    // North as it was at its volume: 0.5 of 50, so 1.5 of 150 = 0.01; all of the rise is north's.
    let series: [Given<'_>; 4] = [
        (0, &[("provider", "north"), ("outcome", "error")], Some(1.0), Some(30.0)),
        (0, &[("provider", "south"), ("outcome", "error")], Some(1.0), Some(1.0)),
        (1, &[("provider", "north"), ("outcome", "ok")], Some(100.0), Some(50.0)),
        (1, &[("provider", "south"), ("outcome", "ok")], Some(100.0), Some(100.0)),
    ];
    let ratio = r#"sum(rate(paid_total{outcome="error"}[1m])) / sum(rate(paid_total[1m]))"#;
    assert_eq!(told(ratio, &[], Some(0.01), &series), [r#"100 % {provider="north"} 0.600 of 0.010"#]);
    // A small provider that fails wholly, and a large one that fails a little more often:
    // 10 of 10 was 0 of 10: 10 of 1010. 60 of 1000 was 10 of 1000: 50 of 1010. 70 now, 10 before: one and five sixths.
    let series: [Given<'_>; 4] = [
        (0, &[("provider", "small")], Some(0.0), Some(10.0)),
        (0, &[("provider", "large")], Some(10.0), Some(60.0)),
        (1, &[("provider", "small")], Some(10.0), Some(10.0)),
        (1, &[("provider", "large")], Some(1000.0), Some(1000.0)),
    ];
    assert_eq!(
        told(ratio, &[], None, &series),
        [r#"83.3 % {provider="large"} 0.060 of 0.010"#, r#"16.7 % {provider="small"} 1.000 of 0.000"#]
    );
}

#[test]
fn mean_of_gauges_is_moved_by_the_one_that_moved() {
    // (10 + 20) / 2 = 15, now (10 + 40) / 2 = 25.
    let series: [Given<'_>; 2] =
        [(0, &[("disk", "a")], Some(10.0), Some(10.0)), (0, &[("disk", "b")], Some(20.0), Some(40.0))];
    assert_eq!(told("avg(disk_seconds)", &[], Some(15.0), &series), [r#"100 % {disk="b"} 40.000 of 20.000"#]);
}

#[test]
fn largest_value_is_moved_by_each_series_that_alone_would_have_moved_it() {
    // 20 before; b at 50 and c at 40 would be 30 and 20 more, each without the other; of a the same 10 as ever.
    let series: [Given<'_>; 3] = [
        (0, &[("disk", "a")], Some(10.0), Some(10.0)),
        (0, &[("disk", "b")], Some(20.0), Some(50.0)),
        (0, &[("disk", "c")], Some(15.0), Some(40.0)),
    ];
    assert_eq!(
        told("max(disk_seconds)", &[], None, &series),
        [r#"100 % {disk="b"} 50.000 of 20.000"#, r#"66.7 % {disk="c"} 40.000 of 15.000"#]
    );
}

#[test]
fn number_of_series_is_moved_by_those_that_went() {
    // Three nodes before; b is gone, c was there for half of the time.
    let series: [Given<'_>; 3] = [
        (0, &[("node", "a")], Some(1.0), Some(1.0)),
        (0, &[("node", "b")], Some(1.0), None),
        (0, &[("node", "c")], Some(1.0), Some(0.5)),
    ];
    assert_eq!(
        told("count(up)", &[], Some(3.0), &series),
        [r#"66.7 % {node="b"} 0.000 of 1.000"#, r#"33.3 % {node="c"} 0.500 of 1.000"#]
    );
}

#[test]
fn quantile_is_moved_by_the_part_whose_buckets_moved_and_the_bound_is_no_part() {
    // Each region has 10 observations. Before: all up to 1 s, the median of 20 is 0.5 s.
    // Now all of eu lie between 1 and 2 s: 10 of 20 up to 1 s, so the median is 1 s; of eu alone 1.5 s.
    let series: [Given<'_>; 6] = [
        (0, &[("region", "eu"), ("le", "1")], Some(10.0), Some(0.0)),
        (0, &[("region", "eu"), ("le", "2")], Some(10.0), Some(10.0)),
        (0, &[("region", "eu"), ("le", "+Inf")], Some(10.0), Some(10.0)),
        (0, &[("region", "us"), ("le", "1")], Some(10.0), Some(10.0)),
        (0, &[("region", "us"), ("le", "2")], Some(10.0), Some(10.0)),
        (0, &[("region", "us"), ("le", "+Inf")], Some(10.0), Some(10.0)),
    ];
    let quantile = "histogram_quantile(0.5, sum by (le) (rate(checkout_seconds_bucket[1m])))";
    assert_eq!(told(quantile, &[], None, &series), [r#"100 % {region="eu"} 1.500 of 0.500"#]);
}

#[test]
fn nodes_that_are_all_slow_share_the_rise_of_a_quantile() {
    // Before, 9 of 10 observations of each node lie up to 1 s and all up to 3 s: the 95th percentile is 2 s, and of each node
    // half an observation lies above. Now a has 4 above 3 s, b has 2 of 20, which is 1 in its old half; c is as it was.
    // a: 4 + 6/2 of the rest between 1 and 3 s. b, twice the volume: 2 + 2/2 = 3, and 1 before.
    let series: [Given<'_>; 9] = [
        (0, &[("node", "a"), ("le", "1")], Some(9.0), Some(0.0)),
        (0, &[("node", "a"), ("le", "3")], Some(10.0), Some(6.0)),
        (0, &[("node", "a"), ("le", "+Inf")], Some(10.0), Some(10.0)),
        (0, &[("node", "b"), ("le", "1")], Some(9.0), Some(16.0)),
        (0, &[("node", "b"), ("le", "3")], Some(10.0), Some(18.0)),
        (0, &[("node", "b"), ("le", "+Inf")], Some(10.0), Some(20.0)),
        (0, &[("node", "c"), ("le", "1")], Some(9.0), Some(9.0)),
        (0, &[("node", "c"), ("le", "3")], Some(10.0), Some(10.0)),
        (0, &[("node", "c"), ("le", "+Inf")], Some(10.0), Some(10.0)),
    ];
    // Of all: 7 + 3 + 0.5 = 10.5 lie above now, 1.5 of 30 did, 2 of 40; of the 8.5 more, 6.5 are a's and 2 are b's.
    let quantile = "histogram_quantile(0.95, sum by (le) (rate(checkout_seconds_bucket[1m])))";
    assert_eq!(
        told(quantile, &[], None, &series),
        [r#"76.5 % {node="a"} 3.000 of 2.000"#, r#"23.5 % {node="b"} 3.000 of 2.000"#]
    );
}

#[test]
fn series_of_other_groups_and_a_group_of_one_series_have_no_parts() {
    let series: [Given<'_>; 3] = [
        (0, &[("region", "eu"), ("node", "1")], Some(10.0), Some(2.0)),
        (0, &[("region", "eu"), ("node", "2")], Some(10.0), Some(10.0)),
        (0, &[("region", "us"), ("node", "3")], Some(10.0), Some(0.0)),
    ];
    let by_region = "sum by (region) (rate(orders_total[1m]))";
    assert_eq!(told(by_region, &[("region", "eu")], None, &series), [r#"100 % {node="1"} 2.000 of 10.000"#]);
    assert!(told(by_region, &[("region", "us")], None, &series).is_empty());
}

#[test]
fn what_did_not_deviate_or_went_the_other_way_has_no_parts() {
    let series: [Given<'_>; 2] =
        [(0, &[("node", "1")], Some(100.0), Some(101.0)), (0, &[("node", "2")], Some(100.0), Some(100.0))];
    assert!(told("sum(rate(orders_total[1m]))", &[], None, &series).is_empty());
    let signal = Signal::compile("sum(orders)").unwrap();
    let group = Labels::empty();
    let mut inquiry = Inquiry::of(&signal, &group, ONSET_MS, NOW_MS).unwrap();
    for (question, values) in [[4.0, 4.0], [4.0, 8.0]].into_iter().enumerate() {
        let factor = inquiry.questions()[question].factor;
        let series = ["a", "b"].into_iter().zip(values);
        let answer: Vec<_> =
            series.map(|(node, value)| (Arc::new(labels(&[("node", node)])), value / factor)).collect();
        inquiry.answered(question, answer);
    }
    assert_eq!((inquiry.parts(None, Some(false)).len(), inquiry.parts(None, Some(true)).len()), (1, 0));
}

#[test]
fn no_more_parts_than_ten_are_told() {
    let names: Vec<String> = (0..40).map(|node| format!("node-{node:02}")).collect();
    let pairs: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("node", name.as_str())]).collect();
    let series: Vec<Given<'_>> =
        pairs.iter().enumerate().map(|(node, pairs)| (0, &pairs[..], Some(50.0), Some(node as f64))).collect();
    let parts = told("sum(rate(orders_total[1m]))", &[], None, &series);
    assert_eq!(parts.len(), PARTS_COUNT_MAX);
    // 2,000 before, 780 now; node 0 lost 50 of the 1,220.
    assert_eq!(parts[0], r#"4.1 % {node="node-00"} 0.000 of 50.000"#);
}

#[test]
fn questions_are_about_the_hour_before_the_onset_and_the_time_since() {
    let signal = Signal::compile(r#"sum by (region) (increase(orders_total{shop=~"de|at"}[1m]))"#).unwrap();
    let group = labels(&[("region", "e\"u")]);
    let inquiry = Inquiry::of(&signal, &group, ONSET_MS, NOW_MS).unwrap();
    let selector = r#"{"__name__"="orders_total","shop"=~"de|at","region"="e\"u"}"#;
    let asked: Vec<(String, i64, f64)> =
        inquiry.questions().iter().map(|one| (one.query.clone(), one.at_ms, one.factor)).collect();
    assert_eq!(
        asked,
        [
            (format!("rate({selector}[3600000ms])"), ONSET_MS, 60.0),
            (format!("rate({selector}[240000ms])"), NOW_MS, 60.0)
        ]
    );
    for question in inquiry.questions() {
        crate::query::parse_tree(&question.query).expect("it is PromQL");
    }
    // A gauge that was there for half of the time counts half, and two days after the onset only the latest ten minutes do.
    let signal = Signal::compile("sum(queue)").unwrap();
    let whole = Labels::empty();
    let inquiry = Inquiry::of(&signal, &whole, 0, 172_800_000).unwrap();
    let asked = &inquiry.questions()[1];
    assert_eq!(asked.query, r#"sum_over_time({"__name__"="queue"}[600000ms:15000ms])"#);
    assert_eq!(asked.factor, 0.025);
}
