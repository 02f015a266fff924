//! Clients that are Python packages, in the environment that `tools/test.sh` makes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;

/// Runs a script to its end and gives what it printed. Panics with it when the script fails.
pub(crate) fn run_python(folder: &Path, name: &str, script: &str, arguments: &[String]) -> String {
    // With a hyphen it cannot be taken for a module that the script imports.
    let file = folder.join(format!("{name}-client.py"));
    fs::write(&file, script).expect("the folder can be written");
    let mut all = vec![file.display().to_string()];
    all.extend_from_slice(arguments);
    let mut process = Process::start(name, &python(), &all, folder);
    let status = process.wait_for_end();
    assert!(status.success(), "{name} failed:\n{}", process.printed());
    process.printed()
}

fn python() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(program.is_file(), "{} is not there: run tools/test.sh, which makes it", program.display());
    program
}
