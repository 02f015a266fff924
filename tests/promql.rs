//! PromQL by scripts: ours, whose results were worked out by hand, and Prometheus' own where they are at hand.

#[path = "promql/mod.rs"]
mod script;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use script::{Report, Script};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    files
}

fn run(files: &[PathBuf], delays_names: bool) -> Report {
    let mut report = Report::default();
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy();
        let text = fs::read_to_string(file).expect("a script is text");
        Script::new(&name, &text, delays_names).run(&mut report);
    }
    report
}

#[test]
fn our_scripts_give_what_was_worked_out_by_hand() {
    let report = run(&scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql")), false);
    assert!(report.failed.is_empty(), "\n{}", report.failed.join("\n"));
    assert!(report.passed > 100, "only {} evaluations ran", report.passed);
}

#[test]
fn prometheus_own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/promqltest");
    if !folder.is_dir() {
        // Past the test harness, which would swallow what a passing test prints.
        let note = format!("\nNOT RUN: {}: Prometheus' own scripts are not at {}\n", file!(), folder.display());
        std::io::stderr().write_all(note.as_bytes()).expect("stderr is there");
        return;
    }
    let report = run(&scripts(&folder), true);
    println!(
        "{} passed, {} known to be different, {} failed",
        report.passed,
        report.different.len(),
        report.failed.len()
    );
    println!("{}", report.different.join("\n"));
    assert!(report.failed.is_empty(), "{} failed:\n{}", report.failed.len(), report.failed.join("\n"));
    assert!(report.passed >= 1_200, "only {} evaluations ran", report.passed);
}
