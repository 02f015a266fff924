//! Queries, whole and damaged, beside a running Prometheus.
//!
//! `PROMETHEUS_URL=127.0.0.1:9090 cargo test --lib query::syntax::tests::peer -- --ignored` asks a Prometheus that has
//! `--enable-feature=promql-experimental-functions,promql-duration-expr` for the tree of each, or its error. Made for
//! Prometheus 3.5, whose words for what is newer are translated.

use std::io::{Read, Write};
use std::net::TcpStream;

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{prelude::*, sample::select};
use serde_json::Value;

use super::errors::REFUSED;
use super::printing::PRINTED;
use super::{json, limits, parse};

const QUERIES: usize = 3000;

/// What Prometheus says of a query: its tree, or its error.
fn ask(address: &str, query: &str) -> Value {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut stream = TcpStream::connect(address).expect("Prometheus listens");
    let request = format!("GET /api/v1/parse_query?query={encoded} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    let body = answer.split_once("\r\n\r\n").expect("an answer has a head").1;
    let mut body: Value = serde_json::from_str(body).expect("it answers in JSON");
    match body["error"].as_str() {
        Some(error) => Value::from(error.trim_start_matches("invalid parameter \"query\": ")),
        None => body["data"].take(),
    }
}

/// An error in the words that Prometheus 3.5 had for it.
fn as_of_3_5(error: &str) -> String {
    const WORDS: [(&str, &str); 4] = [
        ("number, duration, step(), range(), or \"]\"", "number or duration or \"]\""),
        ("number, duration, step(), or range()", "number or duration"),
        ("subquery or range selector", "subquery selector"),
        ("<op:@>", "\"<Item 57400>\" <op:@>"),
    ];
    WORDS.iter().fold(error.to_owned(), |error, (new, old)| error.replace(new, old))
}

/// Whether the two differ where they must: patterns are compiled by other crates and later, and letters in brackets
/// were tokens once.
fn is_expected(ours: &Value, theirs: &Value) -> bool {
    let theirs_of_pattern = theirs.as_str().is_some_and(|error| error.contains("error parsing regexp"));
    let ours_in_brackets = ours.as_str().is_some_and(|error| error.ends_with("expected ':'"));
    let panicked = theirs == "unexpected error";
    theirs_of_pattern || ours_in_brackets || panicked
}

/// Leaves out of a tree what it may not know yet.
fn forget_new(tree: &mut Value) {
    const NEW: [&str; 6] = ["anchored", "smoothed", "fillValues", "rangeExpr", "offsetExpr", "stepExpr"];
    match tree {
        Value::Object(members) => {
            members.retain(|name, _| !NEW.contains(&name.as_str()));
            members.values_mut().for_each(forget_new);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_new),
        _ => {}
    }
}

/// A query of the tables, with up to three of its bytes left out, doubled, or taken from another.
fn damaged() -> impl Strategy<Value = String> {
    let queries: Vec<&str> =
        REFUSED.iter().chain(PRINTED).map(|(query, _)| *query).filter(|query| !query.is_empty()).collect();
    let query = select(queries);
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4), 0..4);
    (query.clone(), query, damage).prop_map(|(query, other, damage)| {
        let (mut letters, others): (Vec<char>, Vec<char>) = (query.chars().collect(), other.chars().collect());
        for (at, from, kind) in damage {
            let at = at.index(letters.len().max(1));
            match kind {
                0 if at < letters.len() => drop(letters.remove(at)),
                1 if at < letters.len() => letters.insert(at, letters[at]),
                2 => letters.truncate(at),
                _ => letters.splice(at..at, others[from.index(others.len())..].iter().copied()).for_each(drop),
            }
        }
        letters.into_iter().collect()
    })
}

#[test]
#[ignore = "needs a running Prometheus, whose address is in PROMETHEUS_URL"]
fn a_prometheus_has_the_same_trees_and_errors() {
    let address = std::env::var("PROMETHEUS_URL").expect("PROMETHEUS_URL is host:port");
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let mut differences = Vec::new();
    for _ in 0..QUERIES {
        let query = damaged().new_tree(&mut runner).expect("it has no conditions").current();
        let mut ours = match parse(&query, &limits()) {
            Ok(tree) => serde_json::from_str(&json(&tree)).expect("it is JSON"),
            Err(error) => Value::from(as_of_3_5(&error.to_string())),
        };
        forget_new(&mut ours);
        let theirs = ask(&address, &query);
        if ours != theirs && !is_expected(&ours, &theirs) {
            differences.push(format!("{query:?}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert!(differences.is_empty(), "{} of {QUERIES} differ:\n{}", differences.len(), differences.join("\n"));
}
