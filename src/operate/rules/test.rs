//! `dozor test rules`: unit tests of rules, in promtool's files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use regex::Regex;

use super::junit::{self, Suite};
use super::run::{self, Setting};
use super::test_file::TestFile;
use crate::disk::{Disk, RealDisk};
use crate::rules::{self, RuleSet};

/// Longest test file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// Flags of `dozor test rules`.
#[derive(Clone, Debug, clap::Args)]
pub struct TestArgs {
    /// Files of unit tests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Run only groups whose name this regular expression matches; may be given several times
    #[arg(long, value_name = "REGEX")]
    run: Vec<String>,
    /// Show expected and received alerts as lines that differ
    #[arg(long)]
    diff: bool,
    /// Say which group runs, and print all series at its end
    #[arg(long)]
    debug: bool,
    /// Write the verdicts in JUnit's XML to this file too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs every file and says what it came to; by the exit code: 0 all well, 1 something failed.
pub fn test(flags: &TestArgs) -> anyhow::Result<ExitCode> {
    let only = (!flags.run.is_empty()).then(|| Regex::new(&flags.run.join("|"))).transpose().context("--run")?;
    let mut suites = Vec::new();
    for file in &flags.files {
        println!("Unit Testing:  {}", file.display());
        let suite = tested(file, only.as_ref(), flags);
        let failures: Vec<&String> =
            suite.abort.iter().chain(suite.cases.iter().flat_map(|(_, failures)| failures)).collect();
        if failures.is_empty() {
            println!("  SUCCESS");
        } else {
            eprintln!("  FAILED:");
            failures.iter().for_each(|failure| eprintln!("{failure}\n"));
        }
        println!();
        suites.push(suite);
    }
    if let Some(path) = &flags.junit {
        RealDisk.replace(path, junit::document(&suites).as_bytes())?;
    }
    let is_good = |suite: &Suite| suite.abort.is_none() && suite.cases.iter().all(|(_, failures)| failures.is_empty());
    Ok(if suites.iter().all(is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tested(path: &Path, only: Option<&Regex>, flags: &TestArgs) -> Suite {
    let name = path.display().to_string();
    match cases(path, only, flags) {
        Ok(cases) => Suite { name, cases, abort: None },
        Err(error) => Suite { name, cases: Vec::new(), abort: Some(error.to_string()) },
    }
}

/// The groups that ran, each with what failed.
fn cases(path: &Path, only: Option<&Regex>, flags: &TestArgs) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let file = read(path)?;
    let mut rule_files = Vec::new();
    for pattern in &file.rule_files {
        let pattern = path.parent().unwrap_or(Path::new("")).join(pattern);
        let found = rules::files_of(&RealDisk, &pattern).map_err(|what| anyhow!(what))?;
        if found.is_empty() {
            eprintln!("  WARNING: no file match pattern {}", pattern.display());
        }
        rule_files.extend(found);
    }
    // Told by the groups, as their failure: a file without tests asks nothing of its rules.
    let loaded = rules::load(&RealDisk, &rule_files).map_err(|errors| errors.to_string());
    let (none, faults) = (RuleSet::default(), loaded.as_ref().err().cloned());
    let mut setting = Setting::of(&file, loaded.as_ref().unwrap_or(&none)).map_err(|what| anyhow!(what))?;
    (setting.shows_difference, setting.shows_data) = (flags.diff, flags.debug);
    let mut cases = Vec::new();
    for (index, group) in file.tests.iter().enumerate() {
        let given = group.name.clone().unwrap_or_default();
        if only.is_some_and(|only| !only.is_match(&given)) {
            continue;
        }
        let name = if given.is_empty() { format!("unnamed#{index}") } else { given };
        if flags.debug {
            eprintln!("DEBUG: Starting test {name}");
        }
        let failures = faults.clone().map_or_else(|| run::run(group, &setting), |faults| vec![faults]);
        cases.push((name, failures));
    }
    Ok(cases)
}

fn read(path: &Path) -> anyhow::Result<TestFile> {
    let bytes = RealDisk.read(path)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(anyhow!("{}: {} bytes are more than {FILE_BYTES_MAX}", path.display(), bytes.len()));
    }
    let text = std::str::from_utf8(&bytes).with_context(|| path.display().to_string())?;
    let file: Option<TestFile> =
        serde_saphyr::from_str(text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    Ok(file.unwrap_or_default())
}
