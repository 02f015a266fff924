//! The queries of Prometheus's own test scripts, where they are at hand.

use std::fs;
use std::io::Write;
use std::path::Path;

use regex::Regex;

use super::{limits, parse, print};

/// Queries that the scripts expect to fail when they are read; the others that they expect to fail do so later.
const REFUSED: [&str; 0] = [];

#[test]
fn every_query_of_the_scripts_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/promqltest");
    if !folder.is_dir() {
        // Past the test harness, which would swallow what a passing test prints.
        let note = format!("\nNOT RUN: {}: Prometheus' own scripts are not at {}\n", file!(), folder.display());
        std::io::stderr().write_all(note.as_bytes()).expect("stderr is there");
        return;
    }
    let eval = Regex::new(
        r"^\s*eval(?:_\w+)?\s+(?:instant(?:\s+at\s+\S+)?|range\s+from\s+\S+\s+to\s+\S+\s+step\s+\S+)\s+(.*)$",
    );
    let eval = eval.expect("a regex");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a script is text");
        for query in text.lines().filter_map(|line| eval.captures(line)).map(|found| found[1].trim().to_owned()) {
            count += 1;
            match parse(&query, &limits()) {
                Ok(tree) => {
                    let printed = print(&tree);
                    let again = parse(&printed, &limits()).map(|tree| print(&tree));
                    assert_eq!(again.as_ref(), Ok(&printed), "{query}");
                }
                Err(error) => assert!(REFUSED.contains(&query.as_str()), "{}: {query}: {error}", path.display()),
            }
        }
    }
    assert!(count > 1300, "only {count} queries were found");
}
