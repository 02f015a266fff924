//! Trees as text, and as JSON.

use serde_json::{Value, json};

use super::{pretty, print, tree};

/// Each asked of Prometheus 3.5.3's `/api/v1/format_query`, which answered so.
pub(super) const PRINTED: &[(&str, &str)] = &[
    ("1", "1"),
    ("+1", "1"),
    ("-1", "-1"),
    ("--1", "1"),
    ("-(1)", "-(1)"),
    ("+Inf", "+Inf"),
    ("-inf", "-Inf"),
    ("NaN", "NaN"),
    ("0x1F", "31"),
    ("0755", "493"),
    ("089", "89"),
    ("1_000_000", "1000000"),
    ("5.", "5"),
    (".5", "0.5"),
    ("1e3", "1000"),
    ("1E-7", "0.0000001"),
    ("1e21", "1000000000000000000000"),
    ("0x_ff", "255"),
    ("5m", "5m"),
    ("-5m", "-5m"),
    ("1d", "1d"),
    ("7d", "1w"),
    ("90m", "1h30m"),
    ("1y2w3d4h5m6s7ms", "382d4h5m6s7ms"),
    ("400d", "400d"),
    ("'single'", r#""single""#),
    (r#"`raw "and" \n`"#, r#""raw \"and\" \\n""#),
    (r#""tab\tand \"quote\"""#, r#""tab\tand \"quote\"""#),
    (r#""\x41\102\u00e9\U0001F600""#, r#""ABé😀""#),
    ("\"zero\\x00width\u{200b}\"", r#""zero\x00width\u200b""#),
    ("orders", "orders"),
    ("orders{}", "orders"),
    (r#"orders{region="eu",}"#, r#"orders{region="eu"}"#),
    (r#"orders{node='1',   region=~"e.+", a!="b", c!~`\d+`}"#, r#"orders{a!="b",c!~"\\d+",node="1",region=~"e.+"}"#),
    (r#"{__name__="orders"}"#, r#"{__name__="orders"}"#),
    (r#"{"orders"}"#, r#"{__name__="orders"}"#),
    (r#"{"orders total", region="eu"}"#, r#"{__name__="orders total",region="eu"}"#),
    (r#"{"region name"="eu", "node"="1"}"#, r#"{"region name"="eu",node="1"}"#),
    (r#"{__name__=~"a|b", region=""}"#, r#"{__name__=~"a|b",region=""}"#),
    ("orders offset 5m", "orders offset 5m"),
    ("orders offset -1h30m", "orders offset -1h30m"),
    ("orders offset 0s", "orders"),
    ("orders OFFSET 90", "orders offset 1m30s"),
    ("orders @ 1609746000", "orders @ 1609746000.000"),
    ("orders @ -1.5", "orders @ -1.500"),
    ("orders @ start()", "orders @ start()"),
    ("orders @ end() offset 5m", "orders @ end() offset 5m"),
    ("orders offset 5m @ 10", "orders @ 10.000 offset 5m"),
    ("orders[5m]", "orders[5m]"),
    ("orders[300]", "orders[5m]"),
    ("orders[1.5] offset 2", "orders[1s500ms] offset 2s"),
    ("orders[90m] @ 100 offset -5m", "orders[1h30m] @ 100.000 offset -5m"),
    (r#"orders{region="eu"}[5m:]"#, r#"orders{region="eu"}[5m:]"#),
    ("orders[1h:5m] offset 1d", "orders[1h:5m] offset 1d"),
    ("orders[1h:5m] @ end() offset 1d", "orders[1h:5m] @ end() offset 1d"),
    ("(orders + sales)[30m:]", "(orders + sales)[30m:]"),
    ("orders offset 5m [10m:1m]", "orders offset 5m[10m:1m]"),
    ("sum(orders)", "sum(orders)"),
    ("SUM(orders) BY (region)", "sum by (region) (orders)"),
    ("sum by () (orders)", "sum(orders)"),
    ("sum without () (orders)", "sum without () (orders)"),
    ("sum without(region,node) (orders)", "sum without (region, node) (orders)"),
    (
        r#"sum by (region, "node name", on, bool, group_left) (orders)"#,
        r#"sum by (region, "node name", on, bool, group_left) (orders)"#,
    ),
    ("topk by (region) (5, orders)", "topk by (region) (5, orders)"),
    (r#"count_values("version", build_info)"#, r#"count_values("version", build_info)"#),
    ("quantile(0.9, orders)", "quantile(0.9, orders)"),
    ("limitk(3, orders)", "limitk(3, orders)"),
    ("rate(orders[5m])", "rate(orders[5m])"),
    ("rate ( orders [ 5m ] )", "rate(orders[5m])"),
    (r#"label_replace(orders,"a","$1","b","(.*)")"#, r#"label_replace(orders, "a", "$1", "b", "(.*)")"#),
    ("time()", "time()"),
    ("pi()", "pi()"),
    ("round(orders,0.5)", "round(orders, 0.5)"),
    ("hour()", "hour()"),
    ("orders+sales", "orders + sales"),
    ("orders -sales", "orders - sales"),
    ("orders * on(region) sales", "orders * on (region) sales"),
    ("orders / on(region, node) group_left(team) owners", "orders / on (region, node) group_left (team) owners"),
    ("orders / ignoring(node) group_right owners", "orders / ignoring (node) group_right () owners"),
    ("orders / on() group_left() owners", "orders / on () group_left () owners"),
    ("orders + ignoring() sales", "orders + sales"),
    ("orders > bool 5", "orders > bool 5"),
    ("orders > bool on(region) sales", "orders > bool on (region) sales"),
    ("5 >= bool 3", "5 >= bool 3"),
    ("orders and sales", "orders and sales"),
    ("orders or on(region) sales", "orders or on (region) sales"),
    ("orders unless ignoring(node) sales", "orders unless ignoring (node) sales"),
    ("1 + 2 * 3 ^ 4 ^ 5", "1 + 2 * 3 ^ 4 ^ 5"),
    ("-2 ^ 2", "-2 ^ 2"),
    ("(-2) ^ 2", "(-2) ^ 2"),
    ("2 ^ -2", "2 ^ -2"),
    ("-orders", "-orders"),
    ("- - orders", "--orders"),
    ("+orders", "+orders"),
    ("1 - -1", "1 - -1"),
    ("a or b and c unless d == e + f * g ^ h", "a or b and c unless d == e + f * g ^ h"),
    ("a atan2 b % c", "a atan2 b % c"),
    ("sum + sum", "sum + sum"),
    ("by", "by"),
    ("by + offset", "by + offset"),
    ("a:b:c", "a:b:c"),
    ("and and and", "and and and"),
    (r#"or{region="eu"}"#, r#"or{region="eu"}"#),
    ("offset offset 5m", "offset offset 5m"),
    ("start + end", "start + end"),
    (r#"start{end="x"}"#, r#"start{end="x"}"#),
    ("sum(sum)", "sum(sum)"),
    ("min(min_over_time(max[5m]))", "min(min_over_time(max[5m]))"),
    ("rate(orders[5m]) # comment", "rate(orders[5m])"),
    ("((((orders))))", "((((orders))))"),
];

/// What Prometheus 3.5 does not know yet: by the rules of 3.14's printer.
pub(super) const PRINTED_SINCE: &[(&str, &str)] = &[
    ("orders[5m*2]", "orders[5m * 2]"),
    ("orders[(5m)]", "orders[5m]"),
    ("orders[ step() ]", "orders[step()]"),
    ("orders[-step()+10m]", "orders[-step() + 10m]"),
    ("orders[(1h-30m)/2:step()*2]", "orders[(1h - 30m) / 2:step() * 2]"),
    ("orders[MAX_OF(step(),5m)]", "orders[max_of(step(), 5m)]"),
    ("orders offset (1h-5m)", "orders offset (1h - 5m)"),
    ("orders offset -(1h-5m)", "orders offset -(1h - 5m)"),
    ("orders offset +step()", "orders offset step()"),
    ("orders offset 100 + 2", "orders offset 1m40s + 2"),
    ("orders offset -min_of(range(),5m)+1", "orders offset -min_of(range(), 5m) + 1"),
    ("orders offset (1h-5m) @ 1 + 5", "orders @ 1.000 offset +(1h - 5m) + 5"),
    ("orders[5m] anchored offset 5m @ 10", "orders[5m] anchored @ 10.000 offset 5m"),
    ("orders offset 5m smoothed", "orders smoothed offset 5m"),
    ("orders anchored[5m]", "orders[5m] anchored"),
    ("orders + fill(0) sales", "orders + fill (0) sales"),
    (
        "orders + on(region) group_left fill_right(-1.5) sales",
        "orders + on (region) group_left () fill_right (-1.5) sales",
    ),
    ("a - fill_right(1) fill_left(1e6) b", "a - fill_left (1e+06) fill_right (1) b"),
    ("fill + fill_left", "fill + fill_left"),
    ("Inf^orders", "Inf ^ orders"),
    ("orders </ 5 >/ 2", "orders </ 5 >/ 2"),
    ("start() + end() - step() * range()", "start() + end() - step() * range()"),
    ("min_of(1,max_of(2,3))", "min_of(1, max_of(2, 3))"),
    ("sum by (a:b, \"without\", \"inf\") (orders)", "sum by (\"a:b\", \"without\", \"inf\") (orders)"),
    ("a * ignoring() group_left b", "a * ignoring () group_left () b"),
    ("info(orders, {})", "info(orders, {})"),
];

#[test]
fn a_tree_is_printed_as_prometheus_prints_it() {
    for (query, printed) in PRINTED.iter().chain(PRINTED_SINCE) {
        let tree = tree(query);
        assert_eq!(print(&tree), *printed, "{query}");
        assert_eq!(pretty(&tree, 1 << 10).as_deref(), Ok(*printed), "{query}");
    }
}

#[test]
fn what_is_too_long_for_a_line_is_split_as_prometheus_splits_it() {
    let long = r#"http_requests_duration_seconds_bucket{region="europe-west", node="checkout-1", code=~"5.."}"#;
    let sorted = r#"http_requests_duration_seconds_bucket{code=~"5..",node="checkout-1",region="europe-west"}"#;
    let split = |query: String| pretty(&tree(&query), 1 << 12).expect("it is short enough");
    // Each laid out as Prometheus 3.5.3 laid it out.
    assert_eq!(
        split(format!(
            "sum by (region) (rate({long}[5m])) / on (node) sum by (region) (rate({long}[5m] offset 1d)) > bool 0.5"
        )),
        format!(
            "    sum by (region) (\n      rate({sorted}[5m])\n    )\n  / on (node)\n    sum by (region) (\n      rate(\n        \
             {sorted}[5m] offset 1d\n      )\n    )\n> bool\n  0.5"
        )
    );
    assert_eq!(
        split(format!("histogram_quantile(0.99, sum by (le) (rate({long}[5m])))")),
        format!("histogram_quantile(\n  0.99,\n  sum by (le) (\n    rate({sorted}[5m])\n  )\n)")
    );
    assert_eq!(
        split(format!("-(max_over_time((topk(5, {long}) or {long})[1h:5m] offset 1d))")),
        format!(
            "-(\n  max_over_time(\n    (\n        topk(5, {sorted})\n      or\n        {sorted}\n    \
             )[1h:5m] offset 1d\n  )\n)"
        )
    );
    let error = pretty(&tree(&format!("-({long})")), 20).expect_err("it has more than 20 bytes");
    assert_eq!(error.to_string(), "the formatted query has more than the 20 bytes that are allowed");
}

fn parsed(query: &str) -> Value {
    serde_json::from_str(&super::json(&tree(query))).expect("it is JSON")
}

fn vector(name: &str, matchers: &Value) -> Value {
    json!({
        "type": "vectorSelector", "name": name, "matchers": matchers, "offset": 0, "offsetExpr": null, "timestamp": null,
        "startOrEnd": null, "anchored": false, "smoothed": false,
    })
}

fn named(name: &str) -> Value {
    vector(name, &json!([{ "name": "__name__", "type": "=", "value": name }]))
}

fn matching(card: &str, on: bool, labels: &[&str]) -> Value {
    let fill_values = json!({ "lhs": null, "rhs": null });
    json!({ "card": card, "on": on, "labels": labels, "include": [], "fillValues": fill_values })
}

/// As Prometheus 3.5.3's `/api/v1/parse_query` answers, with the members that are new since.
#[test]
fn a_tree_is_json_as_prometheus_has_it() {
    let mut range = vector(
        "",
        &json!([
            { "name": "__name__", "type": "=", "value": "b c" }, { "name": "d", "type": "!~", "value": "e" },
        ]),
    );
    range["type"] = json!("matrixSelector");
    range["range"] = json!(300_000);
    range["rangeExpr"] = Value::Null;
    range["offset"] = json!(-60_000);
    let rate = json!({ "argTypes": ["matrix"], "name": "rate", "returnType": "vector", "variadic": 0 });
    assert_eq!(
        parsed(r#"sum without (a) (rate({"b c", d!~"e"}[5m] offset -1m))"#),
        json!({
            "type": "aggregation", "op": "sum", "without": true, "grouping": ["a"], "param": null,
            "expr": { "type": "call", "func": rate, "args": [range] },
        })
    );
    let mut at = named("x");
    at["timestamp"] = json!(1500);
    assert_eq!(
        parsed("x @ 1.5 or on(a) -y"),
        json!({
            "type": "binaryExpr", "op": "or", "bool": false, "matching": matching("many-to-many", true, &["a"]),
            "lhs": at, "rhs": { "type": "unaryExpr", "op": "-", "expr": named("y") },
        })
    );
    assert_eq!(
        parsed("(x[1h:] @ start() offset 5m)"),
        json!({ "type": "parenExpr", "expr": {
            "type": "subquery", "range": 3_600_000, "step": 0, "offset": 300_000, "startOrEnd": "start", "timestamp": null,
            "rangeExpr": null, "stepExpr": null, "offsetExpr": null, "expr": named("x"),
        } })
    );
    assert_eq!(parsed("\"é<\""), json!({ "type": "stringLiteral", "val": "é<" }));
    let number = |value: &str| json!({ "type": "numberLiteral", "val": value });
    assert_eq!(
        parsed("1m > bool -2"),
        json!({ "type": "binaryExpr", "op": ">", "bool": true, "matching": null, "lhs": number("60"), "rhs": number("-2") })
    );
    let mut filled = matching("many-to-one", false, &["a"]);
    filled["include"] = json!(["b"]);
    filled["fillValues"] = json!({ "lhs": null, "rhs": 0.5 });
    let found = parsed("x / ignoring(a) group_left(b) fill_right(0.5) topk(5, y smoothed)");
    assert_eq!(found["matching"], filled);
    assert_eq!(found["rhs"]["param"], number("5"));
    assert_eq!(found["rhs"]["expr"]["smoothed"], true);
}

#[test]
fn how_a_length_is_computed_is_in_the_json() {
    let formula = |op: &str, left: Value, right: Value, wrapped: bool| json!({ "type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": wrapped });
    let number = |value: &str, duration: bool| json!({ "type": "numberLiteral", "val": value, "duration": duration });
    let found = parsed("x[5m*2:step()] offset -(1 + min_of(range(), 3))");
    assert_eq!((&found["range"], &found["step"], &found["offset"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(found["rangeExpr"], formula("*", number("300", true), number("2", false), false));
    assert_eq!(found["stepExpr"], formula("step", Value::Null, Value::Null, false));
    let least = formula("min_of", formula("range", Value::Null, Value::Null, false), number("3", false), false);
    let sum = formula("+", number("1", false), least, true);
    assert_eq!(found["offsetExpr"], formula("-", Value::Null, sum, false));
}
