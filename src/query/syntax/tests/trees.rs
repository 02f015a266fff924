//! What a text means, where the printed form does not show it.

use super::super::functions::{function, functions};
use super::super::tree::{
    Aggregator, At, Cardinality, Edges, Formula, Length, MatrixSelector, Operator, Span, VectorSelector,
};
use super::{Expr, ValueType, limits, parse_selector, tree};
use crate::model::MatchOp;

fn vector(query: &str) -> Box<VectorSelector> {
    let Expr::Vector(selector) = tree(query) else { panic!("{query} is a vector selector") };
    selector
}

fn matrix(query: &str) -> Box<MatrixSelector> {
    let Expr::Matrix(selector) = tree(query) else { panic!("{query} is a matrix selector") };
    selector
}

fn number(query: &str) -> f64 {
    let Expr::Number(number) = tree(query) else { panic!("{query} is a number") };
    number.value
}

/// Where each operator's operands begin and end, in parentheses.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Binary(binary) => {
            format!("({} {} {})", grouped(&binary.left), binary.operator.name(), grouped(&binary.right))
        }
        Expr::Unary(unary) => format!("(-{})", grouped(&unary.inner)),
        other => super::print(other),
    }
}

#[test]
fn operators_bind_as_tightly_as_in_prometheus() {
    for (query, expected) in [
        ("a or b and c == d + e * f ^ g", "(a or (b and (c == (d + (e * (f ^ g))))))"),
        ("a ^ b * c + d < e unless f or g", "((((((a ^ b) * c) + d) < e) unless f) or g)"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("a / b % c atan2 d * e", "((((a / b) % c) atan2 d) * e)"),
        ("a </ b == c >/ d", "(((a </ b) == c) >/ d)"),
        ("a and b unless c and d", "(((a and b) unless c) and d)"),
        ("-a ^ b", "(-(a ^ b))"),
        ("-a * b", "((-a) * b)"),
        ("a ^ -b ^ c", "(a ^ (-(b ^ c)))"),
        ("a ^ -b + c", "((a ^ (-b)) + c)"),
        ("-a offset 5m + b @ 1", "((-a offset 5m) + b @ 1.000)"),
    ] {
        assert_eq!(grouped(&tree(query)), expected, "{query}");
    }
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    for (text, expected) in [
        ("0x1F", 31.0),
        ("0X_1f", 31.0),
        ("0755", 493.0),
        ("0_7", 7.0),
        ("089", 89.0),
        ("1_000.5", 1000.5),
        ("5.", 5.0),
        (".5e-3", 0.0005),
        ("1E+3", 1000.0),
        ("9223372036854775807", 9_223_372_036_854_775_807.0),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("iNf", f64::INFINITY),
        ("-INF", f64::NEG_INFINITY),
        ("1m30s", 90.0),
        ("-1y", -31_536_000.0),
        ("1ms", 0.001),
        ("1w2d3h4m5s6ms", 788_645.006),
        ("4.9e-324", 5e-324),
        ("1e-400", 0.0),
    ] {
        assert_eq!(number(text).to_bits(), expected.to_bits(), "{text}");
    }
    assert!(number("nan").is_nan());
    assert!(number("-0").is_sign_negative());
}

#[test]
fn a_selector_keeps_its_name_its_matchers_and_its_moment() {
    let selector = vector("orders{region=\"eu\", node!~`a|b`,} offset -1m30s @ 1.0005");
    assert_eq!(selector.name.as_deref(), Some("orders"));
    let matchers: Vec<_> = selector.matchers.iter().map(|found| (&*found.name, found.op, &*found.value)).collect();
    assert_eq!(matchers, [("region", MatchOp::Equal, "eu"), ("node", MatchOp::NotMatches, "a|b")]);
    assert_eq!(selector.matchers[1].span, Span { start: 20, end: 31 });
    assert_eq!(selector.shift.offset, Some(Length::Fixed { ms: -90_000 }));
    assert_eq!(selector.shift.at, Some(At::Time(1001)), "the nearest millisecond");
    assert_eq!(selector.span, Span { start: 0, end: 56 });
    assert_eq!(vector("a @ start()").shift.at, Some(At::Start));
    assert_eq!(vector("a @ -2m").shift.at, Some(At::Time(-120_000)));
    assert_eq!(vector("a smoothed").edges, Some(Edges::Smoothed));
    assert_eq!(vector("a offset 0s").shift.offset, None);
    let quoted = vector(r#"{"orders total", "region name"="eu"}"#);
    assert_eq!(quoted.name, None);
    assert_eq!((&*quoted.matchers[0].name, &*quoted.matchers[0].value), ("__name__", "orders total"));
    assert_eq!(quoted.matchers[1].name, "region name");
}

#[test]
fn a_window_has_the_modifiers_behind_it() {
    let found = matrix("orders[1h30m] anchored @ end() offset 5m");
    assert_eq!(found.range, Length::Fixed { ms: 5_400_000 });
    assert_eq!(found.selector.edges, Some(Edges::Anchored));
    assert_eq!(found.selector.shift.at, Some(At::End));
    assert_eq!(found.selector.shift.offset, Some(Length::Fixed { ms: 300_000 }));
    assert_eq!(found.span, Span { start: 0, end: 40 });
    assert_eq!(matrix("orders[0.0015]").range, Length::Fixed { ms: 1 });
    let Expr::Subquery(found) = tree("rate(orders[5m])[1h:30s] offset 1d") else { panic!("a subquery") };
    assert_eq!((&found.range, &found.step), (&Length::Fixed { ms: 3_600_000 }, &Some(Length::Fixed { ms: 30_000 })));
    assert_eq!(found.shift.offset, Some(Length::Fixed { ms: 86_400_000 }));
}

#[test]
fn lengths_are_computed_where_they_are_written_so() {
    let number = |seconds: f64, is_duration: bool| Box::new(Formula::Number { seconds, is_duration });
    let Length::Computed { formula, span } = matrix("orders[step() + 5m*2]").range else { panic!("a formula") };
    let product =
        Formula::Binary { operator: Operator::Multiply, left: number(300.0, true), right: number(2.0, false) };
    let sum = Formula::Binary { operator: Operator::Add, left: Box::new(Formula::Step), right: Box::new(product) };
    assert_eq!((formula, span), (sum, Span { start: 7, end: 20 }));

    let offset = |query: &str| match vector(query).shift.offset {
        Some(Length::Computed { formula, .. }) => formula,
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(offset("a offset -step()"), Formula::Negative(Box::new(Formula::Step)));
    assert_eq!(offset("a offset min_of(range(), 5)"), Formula::MinOf(Box::new(Formula::Range), number(5.0, false)));
    let power = Formula::Binary { operator: Operator::Power, left: number(2.0, false), right: number(3.0, false) };
    assert_eq!(offset("a offset -(2^3)"), Formula::Negative(Box::new(Formula::Paren(Box::new(power)))));
    // In parentheses or with signs, a number is still one.
    assert_eq!(vector("a offset -(5)").shift.offset, Some(Length::Fixed { ms: -5000 }));
    assert_eq!(vector("a offset --((5m))").shift.offset, Some(Length::Fixed { ms: 300_000 }));
    assert_eq!(matrix("a[((5))]").range, Length::Fixed { ms: 5000 });
}

#[test]
fn behind_an_offset_an_operator_is_the_expressions() {
    for (query, expected) in [
        ("a offset 100 + 2", "(a offset 1m40s + 2)"),
        ("a offset -2^2", "(a offset -2s ^ 2)"),
        ("a offset step()^0", "(a offset step() ^ 0)"),
        ("a offset -min_of(step(), 1s)+8", "(a offset -min_of(step(), 1s) + 8)"),
        ("a offset -(step())+8", "(a offset -(step()) + 8)"),
        // Only in parentheses without a sign it goes on, as in Prometheus.
        ("a offset (5m)*2", "a offset (5m * 2)"),
        ("a offset --5m*2", "a offset (5m * 2)"),
    ] {
        assert_eq!(grouped(&tree(query)), expected, "{query}");
    }
}

#[test]
fn matching_is_what_the_operator_makes_of_it() {
    let matching = |query: &str| {
        let Expr::Binary(mut binary) = tree(query) else { panic!("{query} is an operation") };
        binary.matching.take()
    };
    let cardinality = |query: &str| matching(query).map(|matching| matching.cardinality);
    assert_eq!(cardinality("a + b"), Some(Cardinality::OneToOne));
    assert_eq!(cardinality("a or b"), Some(Cardinality::ManyToMany));
    assert_eq!(cardinality("a + on(c) group_left b"), Some(Cardinality::ManyToOne));
    assert_eq!(cardinality("a + on(c) group_right(d) b"), Some(Cardinality::OneToMany));
    assert_eq!(cardinality("a + 1"), None);
    assert_eq!(cardinality("1 + on() a"), None);
    let found = matching("a - on(\"b c\", by) group_left(d,) fill_left(-1m) fill_right(NaN) e").expect("two vectors");
    assert_eq!((found.on, found.labels, found.include), (true, vec!["b c".into(), "by".into()], vec!["d".into()]));
    assert_eq!(found.fill_left, Some(-60.0));
    assert!(found.fill_right.is_some_and(f64::is_nan));
    let both = matching("a - fill(2) b").expect("two vectors");
    assert_eq!((both.fill_left, both.fill_right), (Some(2.0), Some(2.0)));
}

#[test]
fn aggregations_keep_their_labels_wherever_these_stand() {
    for query in ["topk by (a, \"b\") (5, c)", "topk(5, c) by (a, b,)", "TOPK (5, c) BY (a,b)"] {
        let Expr::Aggregate(found) = tree(query) else { panic!("{query} is an aggregation") };
        assert_eq!((found.operator, found.without), (Aggregator::Topk, false));
        assert_eq!(found.labels, ["a", "b"]);
        assert!(matches!(found.parameter, Some(Expr::Number(_))) && matches!(found.inner, Expr::Vector(_)));
        assert_eq!(found.span.end, query.len());
    }
}

#[test]
fn types_are_known() {
    for (query, expected) in [
        ("1 + 1", ValueType::Scalar),
        ("1 + a", ValueType::Vector),
        ("-(1)", ValueType::Scalar),
        ("-(a + 1)", ValueType::Vector),
        ("a[5m]", ValueType::Matrix),
        ("(a)[5m:]", ValueType::Matrix),
        ("\"a\"", ValueType::String),
        ("scalar(a) * 2", ValueType::Scalar),
        ("sum(a)", ValueType::Vector),
        ("start()", ValueType::Scalar),
        ("rate(a[5m])", ValueType::Vector),
    ] {
        assert_eq!(tree(query).value_type(), expected, "{query}");
    }
}

#[test]
fn functions_are_in_order_and_found() {
    assert!(functions().is_sorted_by(|before, after| before.name < after.name), "the search is by halves");
    assert!(functions().iter().all(|found| function(found.name) == Some(found)));
    assert_eq!(function("RATE"), None);
    for experimental in ["info", "max_of", "start_timestamp", "ts_of_max_over_time"] {
        assert!(function(experimental).is_some_and(|found| found.is_experimental), "{experimental}");
    }
}

#[test]
fn a_selector_alone_may_select_everything() {
    let selector = |text: &str| parse_selector(text, &limits()).map_err(|error| error.to_string());
    assert_eq!(selector("{}").map(|found| found.matchers.len()), Ok(0));
    assert_eq!(selector(" by{a=\"b\"} ").map(|found| found.name), Ok(Some("by".to_owned())));
    assert_eq!(selector("a offset 5m").err().as_deref(), Some("1:3: parse error: unexpected <offset>"));
    assert_eq!(selector("sum(a)").err().as_deref(), Some("1:4: parse error: unexpected \"(\""));
    assert_eq!(selector("5").err().as_deref(), Some("1:1: parse error: unexpected number \"5\""));
    assert_eq!(selector("").err().as_deref(), Some("unknown position: parse error: unexpected end of input"));
}
