use std::collections::BTreeMap;

use dozor::query::format as printed;
use dozor::storage::view::ReadView;

use crate::answer::{Answer, Outcome, Point, Row};
use crate::ask::{Ours, When};
use crate::compare::compare;
use crate::data::{Data, Seen};
use crate::run::{found, question};
use crate::term::{Kind, Part, Term};
use crate::wire;

const SEED: u64 = 7;

fn ours(data: &Data) -> Ours {
    Ours::new(ReadView::of_series(data.given()))
}

/// Calls `check` with some expressions and when they are asked.
fn for_each_question(count: usize, mut check: impl FnMut(&Ours, &Term, [When; 2])) {
    let data = Data::new(SEED);
    let ours = ours(&data);
    for number in 0..count + found().count() {
        let (term, times) = question(data.start_ms, SEED, number);
        check(&ours, &term, times);
    }
}

#[test]
fn every_expression_is_printed_as_the_same_question() {
    let mut refused = 0;
    for_each_question(400, |ours, term, times| {
        let query = term.to_string();
        let Ok(text) = printed(&query) else {
            // Labels in both `on` and `group_left`, and precedence without parentheses, may make nonsense.
            refused += 1;
            return;
        };
        assert_eq!(printed(&text).as_deref(), Ok(text.as_str()), "{query}");
        if query.contains("absent") {
            // Of two matchers of one label the order counts, which is another in the other text.
            return;
        }
        for when in times {
            let without_remarks = |query: &str| {
                // Remarks have places, which are others in the other text.
                Answer { warnings: Vec::new(), infos: Vec::new(), ..ours.ask(query, when) }
            };
            let (written, again) = (without_remarks(&query), without_remarks(&text));
            assert!(!has_panicked(&written), "{query} {when:?}");
            assert_eq!(compare(&query, true, &written, &again), None, "{query} {when:?}");
        }
    });
    assert!(refused < 20, "{refused} of 400 are no PromQL");
}

#[test]
fn a_range_is_the_instants_at_its_steps() {
    for_each_question(400, |ours, term, [_, over]| {
        let query = term.to_string();
        // These are another question at each step; and what is wrong between the windows of subqueries is so only over a
        // range.
        // Nor are groups of series that come and go in the same order, by which `topk` chooses.
        let is_another = ["start()", "end()", ":", "topk", "bottomk", "limitk"].iter().any(|part| query.contains(part));
        if is_another || term.kind == Kind::Matrix {
            return;
        }
        let mut rows: BTreeMap<BTreeMap<String, String>, Vec<(i64, Point)>> = BTreeMap::new();
        let mut fails = false;
        for time_ms in over.steps_ms() {
            match ours.ask(&query, When::At { time_ms }).outcome {
                Outcome::Failed { .. } => fails = true,
                Outcome::Rows { rows: found, .. } => {
                    for row in found {
                        rows.entry(row.labels).or_default().extend(row.points);
                    }
                }
            }
        }
        let range = ours.ask(&query, over);
        if fails {
            assert!(matches!(range.outcome, Outcome::Failed { .. }), "{query} {over:?}");
            return;
        }
        let rows = rows.into_iter().map(|(labels, points)| Row { labels, points }).collect();
        let outcome = Outcome::Rows { shape: "matrix".to_owned(), rows };
        let instants = Answer { outcome, warnings: range.warnings.clone(), infos: range.infos.clone() };
        assert_eq!(compare("", true, &range, &instants), None, "{query} {over:?}");
    });
}

fn has_panicked(answer: &Answer) -> bool {
    matches!(&answer.outcome, Outcome::Failed { kind, .. } if kind == "panic")
}

#[test]
fn a_seed_gives_the_same_data_and_questions_every_time() {
    let (one, other) = (Data::new(SEED), Data::new(SEED));
    assert_eq!(wire::requests(&one.series), wire::requests(&other.series));
    assert_ne!(wire::requests(&one.series), wire::requests(&Data::new(SEED + 1).series));
    let query = |data: &Data, number: usize| question(data.start_ms, SEED, number).0.to_string();
    assert_eq!(query(&one, 117), query(&other, 117));
    assert_eq!(query(&one, 0), found().next().expect("something was found"));
}

#[test]
fn samples_of_a_series_are_in_order_and_far_from_those_of_the_next_seed() {
    let (one, next) = (Data::new(SEED), Data::new(SEED + 1));
    for series in &one.series {
        assert!(series.samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", series.labels);
        let last_ms = series.samples.last().expect("series without samples are left out").0;
        assert!(last_ms + 86_400_000 < next.start_ms);
        for (_, seen) in &series.samples {
            if let Seen::Histogram { value, .. } = seen {
                assert!(value.is_stale() || value.check().is_ok(), "{}: {:?}", series.labels, value.check());
            }
        }
    }
}

#[test]
fn what_is_smaller_has_the_same_kind_and_parses() {
    for_each_question(40, |_, term, _| {
        for smaller in term.smaller() {
            assert!(smaller.kind == term.kind || term.kind == Kind::Scalar && smaller.kind == Kind::Vector);
            let text = smaller.to_string();
            assert!(text.len() <= term.to_string().len() + "vector(1)".len());
            if printed(&term.to_string()).is_ok() {
                printed(&text).unwrap_or_else(|error| panic!("{text} of {term}: {error}"));
            }
        }
    });
}

#[test]
fn subqueries_are_found_at_any_depth_with_their_windows() {
    let vector = |text: &str| Term::text(Kind::Vector, text);
    let subquery = |inner: Term, shift: &str| Term {
        kind: Kind::Matrix,
        parts: vec![
            Part::Text("(".to_owned()),
            Part::Term(inner),
            Part::Text(")[5m:7s]".to_owned()),
            Part::Optional(shift.to_owned()),
        ],
    };
    let inner = Term::call(Kind::Vector, "rate", vec![subquery(vector("up"), " offset 1m")]);
    let outer = Term::call(Kind::Vector, "increase", vec![subquery(inner, "")]);
    let found: Vec<_> = outer.subqueries().into_iter().map(|(inner, window)| (inner.to_string(), window)).collect();
    let (deep, flat) = (("up", "[5m:7s] offset 1m"), ("rate((up)[5m:7s] offset 1m)", "[5m:7s]"));
    assert_eq!(found, [flat, deep].map(|(inner, window)| (inner.to_owned(), window.to_owned())));
}

#[test]
fn what_was_found_is_promql() {
    for query in found() {
        printed(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}

#[test]
fn differences_are_seen() {
    let answer = |text: &str| Answer::of_json(text.as_bytes()).expect("an answer of Prometheus");
    let vector = |value: &str| {
        answer(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"a":"1"}},"value":[1.5,"{value}"]}}]}}}}"#
        ))
    };
    let failed = answer(r#"{"status":"error","errorType":"execution","error":"no"}"#);
    let differs = |ours: &Answer, theirs: &Answer| compare("x", true, ours, theirs).is_some();
    assert!(!differs(&vector("1"), &vector("1")));
    assert!(differs(&vector("1"), &vector("1.0000000000000002")));
    assert!(differs(&vector("0"), &vector("-0")));
    let differs_in_sum = |query: &str, is_instant: bool| {
        compare(query, is_instant, &vector("1"), &vector("1.0000000000000002")).is_some()
    };
    assert!(differs_in_sum("sum (x)", true), "one step has one order");
    assert!(!differs_in_sum("sum (x)", false));
    assert!(differs_in_sum("sum_over_time(x[1m])", false), "samples have one order");
    assert!(!differs(&vector("NaN"), &vector("NaN")));
    assert!(differs(&vector("1"), &vector("1.00001")));
    assert!(differs(&vector("+Inf"), &vector("-Inf")));
    assert!(differs(&vector("1"), &failed));
    assert!(!differs(&failed, &failed));
    let mut warned = vector("1");
    warned.warnings.push("PromQL warning: odd (1:1)".to_owned());
    assert!(differs(&warned, &vector("1")));
}

#[test]
fn three_of_four_questions_are_answered_with_something() {
    let (mut asked, mut empty) = (0, 0);
    for_each_question(800, |ours, term, times| {
        for when in times {
            asked += 1;
            let answer = ours.ask(&term.to_string(), when);
            empty += usize::from(matches!(&answer.outcome, Outcome::Rows { rows, .. } if rows.is_empty()));
        }
    });
    assert!(empty * 4 < asked, "{empty} of {asked} answers are empty");
}
