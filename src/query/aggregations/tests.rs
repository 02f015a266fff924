//! Aggregations of numbers and native histograms against slow and obvious versions of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::natural::natural;
use crate::model::{FloatHistogram, Labels, SCHEMA_CUSTOM, Sample, Side};
use crate::query::tests::engine;
use crate::query::{Answer, Options, QueryError, Sampled, Value};
use crate::storage::view::{GivenSeries, ReadView};

const STEP_MS: i64 = 10_000;

/// What a series has at a step.
#[derive(Clone, Debug)]
enum Item {
    Number(f64),
    /// Of the exponential kind or of the custom one, with so many observations.
    Histogram {
        is_custom: bool,
        count: u8,
    },
}

fn histogram(is_custom: bool, count: u8) -> FloatHistogram {
    let count = f64::from(count);
    FloatHistogram {
        schema: if is_custom { SCHEMA_CUSTOM } else { 0 },
        count,
        sum: 2.0 * count,
        positive: Side::of_run(0, vec![count]),
        custom_values: if is_custom { Arc::from([1.0].as_slice()) } else { Arc::default() },
        ..FloatHistogram::default()
    }
}

/// Series in order of their labels, each with an item or none for every step.
type Data = BTreeMap<(String, String, String), Vec<Option<Item>>>;

fn some_data(steps: usize) -> impl Strategy<Value = Data> {
    let item = prop_oneof![
        3 => Just(None),
        4 => (-20..20i32).prop_map(|number| Some(Item::Number(f64::from(number)))),
        1 => Just(Some(Item::Number(f64::NAN))),
        2 => (1..9u8).prop_map(|count| Some(Item::Histogram { is_custom: false, count })),
        1 => (1..9u8).prop_map(|count| Some(Item::Histogram { is_custom: true, count })),
    ];
    let key = ("[xy]", "[ab]", "[0-9]");
    prop::collection::btree_map(key, prop::collection::vec(item, steps), 0..14)
}

fn view_of(data: &Data) -> ReadView {
    let series = data.iter().map(|((name, job, node), items)| {
        let pairs = [("__name__", name), ("job", job), ("node", node)];
        let mut given = GivenSeries { labels: Arc::new(Labels::from_pairs(pairs).unwrap()), ..GivenSeries::default() };
        for (step, item) in items.iter().enumerate() {
            let timestamp_ms = step as i64 * STEP_MS;
            match item {
                Some(Item::Number(value)) => given.samples.push(Sample { timestamp_ms, value: *value }),
                Some(Item::Histogram { is_custom, count }) => {
                    given.histograms.push((timestamp_ms, Arc::new(histogram(*is_custom, *count))));
                }
                None => {}
            }
        }
        given
    });
    ReadView::of_series(series.collect())
}

fn ask(data: &Data, query: &str, steps: usize) -> Result<Answer, QueryError> {
    let options = Options { lookback_ms: Some(1_000), ..Options::default() };
    engine().range(&view_of(data), query, 0, (steps as i64 - 1) * STEP_MS, STEP_MS, &options)
}

/// A series' labels, without quotes, and a step.
type Place = (String, usize);

/// Numbers and histograms, as text: what is compared.
fn shown(answer: Answer) -> BTreeMap<Place, String> {
    let Value::Matrix(series) = answer.value else { panic!("a matrix") };
    let mut all = BTreeMap::new();
    for one in series {
        let at = |time_ms: i64| (one.labels.to_string(), (time_ms / STEP_MS) as usize);
        for (time_ms, value) in one.points.timestamps_ms.iter().zip(&one.points.values) {
            all.insert(at(*time_ms), format!("{value}"));
        }
        for (time_ms, histogram) in &one.histograms {
            all.insert(at(*time_ms), histogram.to_string());
        }
    }
    all
}

/// The items of each group of `by (job)` at each step, in order of their series.
fn by_job(data: &Data, steps: usize) -> BTreeMap<Place, Vec<Item>> {
    let mut groups: BTreeMap<Place, Vec<Item>> = BTreeMap::new();
    for step in 0..steps {
        for ((_, job, _), items) in data {
            if let Some(item) = &items[step] {
                groups.entry((format!("{{job=\"{job}\"}}"), step)).or_default().push(item.clone());
            }
        }
    }
    groups
}

fn numbers(items: &[Item]) -> Vec<f64> {
    let number = |item: &Item| match item {
        Item::Number(value) => Some(*value),
        Item::Histogram { .. } => None,
    };
    items.iter().filter_map(number).collect()
}

/// The sum of what can be summed: numbers alone, or histograms of one kind alone.
fn sum(items: &[Item]) -> Option<String> {
    let numbers = numbers(items);
    let of_kind = |wanted: bool| {
        items.iter().filter_map(move |item| match item {
            Item::Histogram { is_custom, count } if *is_custom == wanted => Some(*count),
            _ => None,
        })
    };
    match (numbers.is_empty(), of_kind(false).next(), of_kind(true).next()) {
        (false, None, None) => Some(format!("{}", numbers.iter().sum::<f64>())),
        (true, Some(_), None) => Some(histogram(false, of_kind(false).sum()).to_string()),
        (true, None, Some(_)) => Some(histogram(true, of_kind(true).sum()).to_string()),
        _ => None,
    }
}

fn extreme(items: &[Item], fold: fn(f64, f64) -> f64) -> Option<String> {
    // `f64::min` and `f64::max` prefer any number to NaN, as aggregations do.
    numbers(items).into_iter().reduce(fold).map(|value| format!("{value}"))
}

fn wanted(groups: &BTreeMap<Place, Vec<Item>>, of: impl Fn(&[Item]) -> Option<String>) -> BTreeMap<Place, String> {
    groups.iter().filter_map(|(place, items)| Some((place.clone(), of(items)?))).collect()
}

proptest! {
    #[test]
    fn groups_answer_what_their_items_come_to(data in some_data(4)) {
        let groups = by_job(&data, 4);
        let ask = |query: &str| shown(ask(&data, query, 4).unwrap());
        prop_assert_eq!(ask(r#"sum by (job) ({job!=""})"#), wanted(&groups, sum));
        prop_assert_eq!(ask(r#"min by (job) ({job!=""})"#), wanted(&groups, |items| extreme(items, f64::min)));
        prop_assert_eq!(ask(r#"max without (node) ({job!=""})"#), wanted(&groups, |items| extreme(items, f64::max)));
        let count = |items: &[Item]| Some(format!("{}", items.len()));
        prop_assert_eq!(ask(r#"count by (job) ({job!=""})"#), wanted(&groups, count));
        prop_assert_eq!(ask(r#"group by (job) ({job!=""})"#), wanted(&groups, |_| Some("1".to_owned())));
    }

    #[test]
    fn a_mix_is_told_just_where_a_group_has_one(data in some_data(3)) {
        let answer = ask(&data, r#"sum by (job) ({job!=""})"#, 3).unwrap();
        let is_mix = |items: &Vec<Item>| {
            let count = numbers(items).len();
            count > 0 && count < items.len()
        };
        // A group whose histograms could not be added before a number came is another complaint.
        let kinds = |items: &Vec<Item>| {
            let custom = |wanted| items.iter().any(|item| matches!(item, Item::Histogram { is_custom, .. } if *is_custom == wanted));
            custom(true) && custom(false)
        };
        let groups = by_job(&data, 3);
        let told = answer.warnings.iter().any(|warning| warning.contains("a mix of histograms and floats for aggregation (1:15)"));
        if groups.values().any(|items| is_mix(items) && !kinds(items)) {
            prop_assert!(told, "{:?}", answer.warnings);
        } else if !groups.values().any(is_mix) {
            prop_assert!(!told);
        }
    }

    #[test]
    fn limitk_shows_the_first_series_of_each_group(data in some_data(3), count in 1..4usize) {
        let groups = by_job(&data, 3);
        let got = ask(&data, &format!(r#"count by (job) (limitk by (job) ({count}, {{job!=""}}))"#), 3).unwrap();
        prop_assert_eq!(shown(got), wanted(&groups, |items| Some(format!("{}", items.len().min(count)))));
        let first: BTreeMap<Place, String> = shown(ask(&data, r#"limitk by (job) (1, {job!=""})"#, 3).unwrap());
        for ((series, step), _) in first {
            let earlier = shown(ask(&data, r#"{job!=""}"#, 3).unwrap());
            let job = |series: &str| series.split("job=\"").nth(1).unwrap().chars().next();
            let before = earlier.keys().filter(|(other, at)| *at == step && job(other) == job(&series) && *other < series);
            prop_assert_eq!(before.count(), 0);
        }
    }

    #[test]
    fn a_ratio_and_its_complement_share_all_series(data in some_data(2), percent in 1..100i32) {
        let ratio = f64::from(percent) / 100.0;
        let all = shown(ask(&data, r#"{job!=""}"#, 2).unwrap());
        let mut part = shown(ask(&data, &format!(r#"limit_ratio({ratio}, {{job!=""}})"#), 2).unwrap());
        let rest = shown(ask(&data, &format!(r#"limit_ratio({}, {{job!=""}})"#, ratio - 1.0), 2).unwrap());
        let count = part.len() + rest.len();
        part.extend(rest);
        prop_assert_eq!(count, part.len());
        prop_assert_eq!(part, all);
    }

    #[test]
    fn sorting_puts_nan_last_both_ways(values in prop::collection::vec(prop_oneof![Just(f64::NAN), -9.0..9.0f64], 1..20)) {
        let series = values.iter().enumerate().map(|(index, value)| {
            let labels = Labels::from_pairs([("__name__", "x"), ("n", &format!("{index:02}"))]).unwrap();
            (labels, vec![Sample { timestamp_ms: 0, value: *value }])
        });
        let view = ReadView::of_samples(series.collect());
        let sorted = |query: &str| {
            let Value::Vector(rows) = engine().instant(&view, query, 0, &Options::default()).unwrap().value else {
                panic!("a vector")
            };
            rows.iter().map(|(_, _, sampled)| sampled.number().unwrap()).collect::<Vec<f64>>()
        };
        let mut oracle: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        oracle.sort_by(f64::total_cmp);
        let nans = values.len() - oracle.len();
        for (query, numbers) in
            [("sort(x)", oracle.clone()), ("sort_desc(x)", oracle.iter().rev().copied().collect::<Vec<f64>>())]
        {
            let got = sorted(query);
            prop_assert_eq!(&got[..numbers.len()], &numbers[..]);
            prop_assert_eq!(got[numbers.len()..].iter().filter(|value| value.is_nan()).count(), nans);
        }
    }
}

#[test]
fn a_histogram_is_one_of_the_values_that_are_counted() {
    let items = vec![Some(Item::Histogram { is_custom: false, count: 2 })];
    let key = |node: &str| ("x".to_owned(), "a".to_owned(), node.to_owned());
    let data = Data::from([(key("1"), items.clone()), (key("2"), items), (key("3"), vec![Some(Item::Number(0.5))])]);
    let answer = engine().instant(&view_of(&data), r#"count_values("v", x)"#, 0, &Options::default()).unwrap();
    let Value::Vector(rows) = answer.value else { panic!("a vector") };
    let mut counted: Vec<(String, f64)> = rows
        .iter()
        .map(|(labels, _, sampled)| match sampled {
            Sampled::Number(count) => (labels.get("v").unwrap().to_owned(), *count),
            Sampled::Histogram(_) => panic!("counts are numbers"),
        })
        .collect();
    counted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(counted, [("0.5".to_owned(), 1.0), ("{count:2, sum:4, (0.5,1]:2}".to_owned(), 2.0)]);
}

#[test]
fn names_with_numbers_are_in_the_order_of_the_numbers() {
    let mut names = ["10", "9", "1a", "1", "a10", "a9", "b1", "01", ""];
    names.sort_by(|a, b| natural(a, b));
    assert_eq!(names, ["", "01", "1", "1a", "9", "10", "a9", "a10", "b1"]);
    let mut versions = ["1.10", "1.9", "1.2"];
    versions.sort_by(|a, b| natural(a, b));
    assert_eq!(versions, ["1.2", "1.9", "1.10"]);
    // Beyond 64 bits digits are text.
    let mut large = ["99999999999999999999", "100000000000000000000"];
    large.sort_by(|a, b| natural(a, b));
    assert_eq!(large, ["100000000000000000000", "99999999999999999999"]);
}

/// 4, 7, 13 and 16 lie 6, 3, 3 and 6 from their mean, of which the squares come to 90. Far from zero, the plain way (mean
/// of squares less the square of the mean) has no digit of it left.
#[test]
fn a_deviation_is_the_same_far_from_zero() {
    let data = |offset: f64| -> ReadView {
        let one = |(node, value): (&str, f64)| {
            let labels = Labels::from_pairs([("__name__", "x"), ("node", node)]).unwrap();
            (labels, vec![Sample { timestamp_ms: 0, value: offset + value }])
        };
        ReadView::of_samples([("a", 4.0), ("b", 7.0), ("c", 13.0), ("d", 16.0)].map(one).to_vec())
    };
    for offset in [0.0, 1e9, -1e12] {
        let number = |query: &str| {
            let answer = engine().instant(&data(offset), query, 0, &Options::default()).unwrap();
            let Value::Vector(series) = answer.value else { panic!("a vector") };
            series[0].2.number().unwrap()
        };
        assert_eq!(number("stdvar(x)"), 22.5, "{offset}");
        assert_eq!(number("stddev(x)"), 22.5f64.sqrt(), "{offset}");
    }
}
