//! `dozor check rules`: what is wrong with rule files, and which rules stand in them twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::detect::Source;
use crate::disk::RealDisk;
use crate::rules::{self, Rule, RuleError, RuleErrors, RulePlace, RuleSet};

/// The exit code where a file has faults.
const FAULTY: u8 = 1;
/// The exit code where rules are there twice and `--lint-fatal` was given.
const LINTED: u8 = 3;

/// Flags of `dozor check rules`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Rule files; without any, standard input is read
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to look for beside faults
    #[arg(long, value_enum, default_value_t = Lint::DuplicateRules, value_name = "WHAT")]
    lint: Lint,
    /// End with exit code 3 where only that was found
    #[arg(long)]
    lint_fatal: bool,
}

/// What is looked for beside faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lint {
    All,
    DuplicateRules,
    None,
}

/// What a file came to.
enum Verdict {
    Good,
    Linted,
    Faulty,
}

/// Looks at each file and says what it came to; by the exit code: 0 well, 1 faults, 3 the same rule twice with
/// `--lint-fatal`.
pub fn check(flags: &CheckArgs) -> ExitCode {
    let verdicts: Vec<Verdict> = if flags.files.is_empty() {
        vec![check_input(flags.lint)]
    } else {
        flags.files.iter().map(|file| check_file(file, flags.lint)).collect()
    };
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Faulty)) {
        ExitCode::from(FAULTY)
    } else if flags.lint_fatal && verdicts.iter().any(|verdict| matches!(verdict, Verdict::Linted)) {
        ExitCode::from(LINTED)
    } else {
        ExitCode::SUCCESS
    }
}

fn check_input(lint: Lint) -> Verdict {
    println!("Checking standard input");
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text).map_err(|error| error.to_string());
    let read = read.and_then(|_| rules::load_text(Path::new("stdin"), &text).map_err(|errors| errors.to_string()));
    told(read, lint)
}

fn check_file(file: &Path, lint: Lint) -> Verdict {
    println!("Checking {}", file.display());
    told(rules::load(&RealDisk, &[file.to_owned()]).map_err(|errors| errors.to_string()), lint)
}

fn told(read: Result<RuleSet, String>, lint: Lint) -> Verdict {
    let verdict = match read {
        Err(faults) => {
            eprintln!("  FAILED:\n{faults}");
            Verdict::Faulty
        }
        Ok(set) => {
            let duplicates = if lint == Lint::None { Vec::new() } else { duplicates(&set) };
            if duplicates.is_empty() {
                println!("  SUCCESS: {} rules found", count(&set));
                print!("{}", how_anomalies_are_fed(&set));
                Verdict::Good
            } else {
                eprintln!("  FAILED:\n{}", RuleErrors(duplicates));
                Verdict::Linted
            }
        }
    };
    println!();
    verdict
}

fn count(set: &RuleSet) -> usize {
    set.groups.iter().map(|group| group.rules.len()).sum()
}

/// A line for each rule with an `anomaly` block.
fn how_anomalies_are_fed(set: &RuleSet) -> String {
    let line = |rule: &rules::AnomalyRule| {
        let how = match rule.signal.source() {
            Source::Streamed => "fed sample by sample".to_owned(),
            Source::Evaluated { interval_ms, because, .. } => {
                format!("evaluated every {} s, because {because}", interval_ms / 1000)
            }
        };
        format!("  anomaly {} of group {}: {how}\n", rule.alert, rule.group)
    };
    set.rules.iter().map(line).collect()
}

/// Name and labels of a rule.
type Named = (String, BTreeMap<String, String>);

/// Those that are there before, under the same name with the same labels, in the order of the files.
pub(super) fn duplicates(set: &RuleSet) -> Vec<RuleError> {
    let mut first: BTreeMap<Named, String> = BTreeMap::new();
    let mut found = Vec::new();
    for (group, places) in set.groups.iter().zip(&set.places) {
        for (rule, RulePlace { place, line_text }) in group.rules.iter().zip(places) {
            let named = named(rule, set);
            let file = group.file.clone();
            let at = place.map_or(file.display().to_string(), |(line, _)| format!("{}:{line}", file.display()));
            let what = format!("{} is there twice", shown(&named));
            match first.entry(named) {
                Entry::Vacant(vacant) => _ = vacant.insert(at),
                Entry::Occupied(before) => {
                    let hint = format!("the first is at {}; what one makes, the other may overwrite", before.get());
                    let hint = Some(hint + ": give one another name or label, or remove it");
                    found.push(RuleError { file, place: *place, line_text: line_text.clone(), what, hint });
                }
            }
        }
    }
    found
}

fn named(rule: &Rule, set: &RuleSet) -> Named {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    match rule {
        Rule::Recording(rule) => (rule.record.clone(), rule.labels.iter().cloned().collect()),
        Rule::Alerting(rule) => (rule.alert.clone(), rule.labels().map(owned).collect()),
        Rule::Anomaly(index) => {
            let rule = &set.rules[*index];
            (rule.alert.clone(), rule.labels().map(owned).collect())
        }
    }
}

fn shown((name, labels): &Named) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { name.clone() } else { format!("{name}{{{}}}", labels.join(", ")) }
}
