//! Where the crate `promql-parser` reads another language than we do: every difference is known, and none is left over.

use std::panic::catch_unwind;

use super::errors::{REFUSED, REFUSED_SINCE};
use super::printing::{PRINTED, PRINTED_SINCE};
use super::{limits, parse};

/// What we read and it does not, by a part of the query. Prometheus 3.14 reads them all.
const WE_READ: &[(&str, &str)] = &[
    ("1_000_000", "underscores between digits"),
    ("0x_ff", "underscores between digits"),
    ("`\\d+`", "between backquotes a backslash is one"),
    ("offset 0s", "an offset may be 0"),
    ("[5m*2]", "formulas for lengths"),
    ("[(5m)]", "formulas for lengths"),
    ("step()", "formulas for lengths, and the step as a function"),
    ("offset (1h-5m)", "formulas for lengths"),
    ("offset -(1h-5m)", "formulas for lengths"),
    ("min_of(", "formulas for lengths, and functions of two scalars"),
    ("anchored", "windows with samples at their edges"),
    ("smoothed", "windows with samples at their edges"),
    ("a:b", "labels that are named like recording rules"),
    ("</", "operators that trim native histograms"),
    ("info(orders, {})", "labels of info that take everything"),
];

/// What it reads and we do not. Prometheus 3.14 reads none.
const THEY_READ: &[(&str, &str)] = &[
    ("orders[0]", "a window of no length"),
    ("orders[99999y]", "a length that does not fit Prometheus's type"),
    ("1e10", "a length that does not fit Prometheus's type"),
    ("@ 1e30", "a time that does not fit"),
    ("@ -1e30", "a time that does not fit"),
    ("by (\"\")", "a label without a name"),
    ("+\"text\"", "a sign before a string"),
    ("1e999", "a number that is none"),
    ("info(orders, sales)", "labels of info with a metric's name"),
    ("info(orders, {region=\"eu\"} + 1)", "labels of info that are more than a selector"),
    ("limit_ratio(\"a\"", "a parameter of the wrong type"),
    ("fill(1) 5", "filling up a scalar"),
    ("fill_left(1) sales", "filling up for a set operator"),
];

#[test]
fn every_difference_is_explained_and_every_explanation_needed() {
    let printed = PRINTED.iter().chain(PRINTED_SINCE);
    let queries = REFUSED.iter().chain(REFUSED_SINCE).chain(printed).map(|(query, _)| *query);
    let (mut unexplained, mut used) = (Vec::new(), Vec::new());
    for query in queries {
        let we_read = parse(query, &limits()).is_ok();
        // It panics on some texts.
        let they_read = catch_unwind(|| promql_parser::parser::parse(query).is_ok()).unwrap_or(false);
        if we_read == they_read {
            continue;
        }
        let explanations = if we_read { WE_READ } else { THEY_READ };
        match explanations.iter().find(|(part, _)| query.contains(part)) {
            Some((part, _)) => used.push(*part),
            None => unexplained.push(format!("{query}: {}", if we_read { "we read it" } else { "they read it" })),
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let idle: Vec<_> = WE_READ.iter().chain(THEY_READ).filter(|(part, _)| !used.contains(part)).collect();
    assert!(idle.is_empty(), "no difference is explained by {idle:?}");
}
