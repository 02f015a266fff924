//! Random trees are written and read again, and random bytes do no harm.

use proptest::prelude::*;

use super::super::functions::functions;
use super::super::tree::{Aggregator, Expr, Length, Operator, Shift, Span};
use super::{ValueType, limits, parse, parse_selector, pretty, print};
use crate::model::Matcher;
use crate::query::{narrowed, plan};

/// One of these, each as likely as the others.
fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(choices).prop_map(str::to_owned)
}

fn label() -> impl Strategy<Value = String> {
    one_of(&[
        "a",
        "region",
        "by",
        "on",
        "\"x y\"",
        "`é`",
        "'without'",
        "atan2",
        "bool",
        "group_left",
        "fill",
        "\"inf\"",
    ])
}

fn labels() -> impl Strategy<Value = String> {
    proptest::collection::vec(label(), 0..3).prop_map(|labels| format!("({})", labels.join(" , ")))
}

fn length() -> impl Strategy<Value = String> {
    let atom =
        one_of(&["5m", "1h30m", "90", "0.5", "step()", "range()", "1y", "7ms", "(5s)", "max_of(1m, step())", "0x10"]);
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), one_of(&["+", "-", "*", "/", "%", "^"]), inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("-({inner}) + 10y / 2")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("min_of({left},{right})")),
        ]
    })
}

fn modifiers() -> impl Strategy<Value = String> {
    let offset = prop_oneof![
        Just(String::new()),
        one_of(&[" offset 5m", " OFFSET -90s", " offset 0s", " offset step()", " offset -range()", " offset --3"]),
        length().prop_map(|length| format!(" offset ({length})")),
        length().prop_map(|length| format!(" offset -({length})")),
    ];
    let at = one_of(&["", " @ 1234.5", " @ -7", " @ start()", " @ end()", " @ 0x1F"]);
    (offset, at).prop_map(|(offset, at)| format!("{offset}{at}"))
}

fn selector() -> impl Strategy<Value = String> {
    let name = one_of(&["orders", "a:b", "sum", "by", "offset", "or", "start", "fill", "step", "max_of", "anchored"]);
    let matchers = one_of(&["", "{}", "{region=\"eu\"}", "{a!=`b`, c=~'d.*',}", "{\"x y\"!~\"z\"}"]);
    let named = (name, matchers).prop_map(|(name, matchers)| format!("{name}{matchers}"));
    prop_oneof![named, one_of(&["{a=\"b\"}", "{\"x y\", c=~\"d\"}", "{__name__=~\"a|b\", \"c\"=\"\\n\\\"\"}"])]
}

fn scalar() -> impl Strategy<Value = String> {
    one_of(&[
        "1",
        "-1",
        "0x1F",
        "1e-7",
        "NaN",
        "+Inf",
        "5m",
        "-1h30m",
        "time()",
        "step()",
        "min_of(1, pi())",
        "(2)",
        "-(3)",
    ])
}

/// An instant vector.
fn vector() -> impl Strategy<Value = String> {
    let edges = one_of(&["", "", "", " anchored", " smoothed"]);
    let leaf = (selector(), edges, modifiers()).prop_map(|(selector, edges, rest)| format!("{selector}{edges}{rest}"));
    leaf.prop_recursive(5, 40, 3, |inner| {
        let matrix = prop_oneof![
            (selector(), length(), modifiers())
                .prop_map(|(selector, range, rest)| format!("{selector}[{range}]{rest}")),
            (inner.clone(), length(), modifiers())
                .prop_map(|(inner, range, rest)| format!("({inner})[{range}:]{rest}")),
            (inner.clone(), modifiers()).prop_map(|(inner, rest)| format!("({inner})[1h : 5m]{rest}")),
        ];
        let grouping =
            (one_of(&["by", "without", "BY"]), labels()).prop_map(|(word, labels)| format!("{word} {labels}"));
        let grouping = prop_oneof![Just(String::new()), grouping];
        let vectors = one_of(&[
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "!= bool",
            "<",
            ">= bool",
            "and",
            "or",
            "unless",
            "</",
            ">/",
            "+ on (a)",
            "* ignoring (a, b)",
            "/ on (a) group_left",
            "- ignoring() group_right (c)",
            "and on ()",
            "+ fill (0)",
            "> bool on (a) fill_left (-1.5)",
            "+ fill_right (NaN) fill_left (1e9)",
        ]);
        let with_scalar = one_of(&["+", "-", "*", "/", "%", "^", "atan2", "==", "> bool"]);
        prop_oneof![
            matrix.prop_map(|matrix| format!("rate({matrix})")),
            (one_of(&["sum", "avg", "group"]), grouping.clone(), inner.clone())
                .prop_map(|(name, grouping, inner)| format!("{name} {grouping} ({inner})")),
            (one_of(&["topk", "limit_ratio"]), scalar(), inner.clone(), grouping)
                .prop_map(|(name, scalar, inner, grouping)| format!("{name}({scalar}, {inner}) {grouping}")),
            (inner.clone(), vectors, inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            (scalar(), with_scalar.clone(), inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            (inner.clone(), with_scalar, scalar())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            inner.clone().prop_map(|inner| format!("-{inner}")),
            inner.clone().prop_map(|inner| format!("(+({inner}))")),
            inner.clone().prop_map(|inner| format!("label_replace({inner}, 'a', \"\\xc5$1\", `b`, \"\")")),
            inner.prop_map(|inner| format!("info({inner}, {{a=~\".*\"}}) # done\n")),
        ]
    })
}

/// Sets everything aside that tells where something stood.
fn forget_places(expr: &mut Expr) {
    let forget_length = |length: &mut Length| {
        if let Length::Computed { span, .. } = length {
            *span = Span::default();
        }
    };
    let forget_shift = |shift: &mut Shift| shift.offset.iter_mut().for_each(forget_length);
    let span = match expr {
        Expr::Number(number) => &mut number.span,
        Expr::Text(text) => &mut text.span,
        Expr::Vector(selector) => {
            forget_shift(&mut selector.shift);
            // Prometheus prints matchers in their order as text.
            selector.matchers.iter_mut().for_each(|matcher| matcher.span = Span::default());
            selector.matchers.sort_by(|a, b| a.name.cmp(&b.name));
            &mut selector.span
        }
        Expr::Matrix(matrix) => {
            forget_length(&mut matrix.range);
            forget_shift(&mut matrix.selector.shift);
            matrix.selector.matchers.iter_mut().for_each(|matcher| matcher.span = Span::default());
            matrix.selector.matchers.sort_by(|a, b| a.name.cmp(&b.name));
            matrix.selector.span = Span::default();
            &mut matrix.span
        }
        Expr::Subquery(subquery) => {
            forget_places(&mut subquery.inner);
            forget_length(&mut subquery.range);
            subquery.step.iter_mut().for_each(forget_length);
            forget_shift(&mut subquery.shift);
            &mut subquery.span
        }
        Expr::Unary(unary) => {
            forget_places(&mut unary.inner);
            &mut unary.span
        }
        Expr::Binary(binary) => {
            forget_places(&mut binary.left);
            forget_places(&mut binary.right);
            &mut binary.span
        }
        Expr::Aggregate(aggregate) => {
            forget_places(&mut aggregate.inner);
            aggregate.parameter.iter_mut().for_each(forget_places);
            &mut aggregate.span
        }
        Expr::Call(call) => {
            call.arguments.iter_mut().for_each(forget_places);
            &mut call.span
        }
        Expr::Paren(paren) => {
            forget_places(&mut paren.inner);
            &mut paren.span
        }
    };
    *span = Span::default();
}

/// The tree as text, where every NaN is the same.
fn shape(query: &str) -> Result<String, String> {
    let mut tree = parse(query, &limits()).map_err(|error| format!("{query}: {error}"))?;
    forget_places(&mut tree);
    Ok(format!("{tree:?}"))
}

/// Parts that queries are made of, and some that they are not.
fn soup() -> impl Strategy<Value = String> {
    let piece = one_of(&[
        "orders",
        "sum",
        "by",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "=",
        "=~",
        "!",
        "!~",
        "==",
        "@",
        "+",
        "-",
        "*",
        "^",
        "5m",
        "1",
        "0x",
        "1e",
        ".",
        "\"",
        "'",
        "`",
        "\\",
        "#",
        "\n",
        " ",
        "on",
        "group_left",
        "offset",
        "bool",
        "start()",
        "step()",
        "anchored",
        "fill",
        "rate",
        "é",
        "\u{fffd}",
        "\u{0}",
        "</",
        "and",
        "inf",
        "max_of",
        "\"x\"",
        "a=\"b\"",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same_tree(query in vector()) {
        // A random formula may divide by zero or come out too long, which is refused as it should be.
        let Ok(tree) = parse(&query, &limits()) else { return Ok(()) };
        let printed = print(&tree);
        prop_assert_eq!(shape(&printed), shape(&query), "printed as {}", printed);
        let pretty = pretty(&tree, 1 << 20).expect("it is not as long");
        prop_assert_eq!(shape(&pretty), shape(&query), "split as {}", pretty);
    }

    #[test]
    fn what_is_narrowed_has_the_condition_in_each_selector_and_is_else_the_same(query in vector()) {
        let selectors = |query: &str| {
            let (mut selectors, plan) = (Vec::new(), plan(query).ok()?);
            plan.each_selector(&mut |matchers| {
                let mut texts: Vec<String> = matchers.iter().map(|matcher| format!("{matcher:?}")).collect();
                texts.sort();
                selectors.push(texts);
            });
            Some(selectors)
        };
        let Some(before) = selectors(&query) else { return Ok(()) };
        let condition = Matcher::equal("job", "shop");
        let with_condition = before.into_iter().map(|mut texts| {
            texts.push(format!("{condition:?}"));
            texts.sort();
            texts
        });
        let narrower = narrowed(&query, std::slice::from_ref(&condition)).expect("it is a query");
        prop_assert_eq!(selectors(&narrower), Some(with_condition.collect::<Vec<_>>()), "{}", narrower);
        let same = narrowed(&query, &[]).expect("it is a query");
        prop_assert_eq!(shape(&same), shape(&query));
    }

    #[test]
    fn most_random_queries_are_queries(queries in proptest::collection::vec(vector(), 20)) {
        let read = queries.iter().filter(|query| parse(query, &limits()).is_ok()).count();
        prop_assert!(read > 10, "only {} of {:?}", read, queries);
    }

    #[test]
    fn hostile_text_is_refused_or_read_but_never_panics(text in soup()) {
        if let Ok(tree) = parse(&text, &limits()) {
            prop_assert_eq!(shape(&print(&tree)), shape(&text));
        }
        drop(parse_selector(&text, &limits()));
    }

    #[test]
    fn hostile_bytes_are_refused_or_read_but_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let text = String::from_utf8_lossy(&bytes);
        drop(parse(&text, &limits()));
        drop(parse(&format!("a{{b=\"{text}\"}}"), &limits()));
        drop(parse(&format!("a[{text}]"), &limits()));
    }

    #[test]
    fn damage_to_a_query_is_refused_or_read_but_never_panics(query in vector(), at in any::<prop::sample::Index>()) {
        let places: Vec<usize> = query.char_indices().map(|(place, _)| place).collect();
        let at = places[at.index(places.len())];
        let end = query[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        for damaged in [query[..at].to_owned(), format!("{}{}", &query[..at], &query[end..]), format!("{}){}", &query[..at], &query[at..])] {
            if let Err(error) = parse(&damaged, &limits()) {
                let (line, column) = error.position().unwrap_or((1, 1));
                let lines: Vec<&str> = damaged.split('\n').collect();
                prop_assert!(line <= lines.len() && column <= lines[line - 1].len() + 1, "{}: {}", damaged, error);
            }
        }
    }
}

#[test]
fn every_operator_function_and_aggregation_is_read_back() {
    for operator in Operator::ALL {
        let query = format!("a {} b", operator.name());
        assert_eq!(print(&super::tree(&query)), query);
    }
    for aggregator in Aggregator::ALL {
        let parameter = match aggregator {
            Aggregator::CountValues => "\"a\", ",
            _ if aggregator.takes_parameter() => "1, ",
            _ => "",
        };
        let query = format!("{}({parameter}a)", aggregator.name());
        assert_eq!(print(&super::tree(&query)), query);
    }
    for function in functions() {
        let argument = |takes: &ValueType| match takes {
            ValueType::Scalar => "1",
            ValueType::String => "\"a\"",
            ValueType::Vector if function.name == "info" => "{b=\"c\"}",
            ValueType::Vector => "a",
            ValueType::Matrix => "a[5m]",
        };
        let arguments: Vec<&str> = function.takes.iter().map(argument).collect();
        let query = format!("{}({})", function.name, arguments.join(", "));
        assert_eq!(print(&super::tree(&query)), query);
    }
    assert_eq!(shape("a[-1 + 2m]"), shape("a[ -1+2m ]"));
    assert_ne!(shape("a[1 + 2m]"), shape("a[2m + 1]"), "the comparison sees into formulas");
}
