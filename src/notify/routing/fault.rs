//! What is wrong in a configuration file, and where.
//!
//! ```text
//! alertmanager.yml:9:14: no receiver is called "pagr"
//!   |
//! 9 |   receiver: pagr
//!   |             ^
//!   = did you mean "pager"?
//! ```

use std::fmt;

use serde_saphyr::Location;

use crate::config::masked_line;

/// One fault. The author of the file must mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// Line and column, counted from 1; none when the file as a whole is meant.
    place: Option<(usize, usize)>,
    what: String,
    hint: Option<String>,
}

/// All faults of a file, as they were found.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Faults<'a> {
        Faults { file, text, found: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Notes a fault at a place.
    pub(super) fn add(&mut self, location: Location, what: impl Into<String>) {
        self.found.push(Fault { place: place_of(location), what: what.into(), hint: None });
    }

    /// As [`Faults::add`], with what to do; an empty hint says nothing.
    pub(super) fn add_with(&mut self, location: Location, what: impl Into<String>, hint: &str) {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        self.found.push(Fault { place: place_of(location), what: what.into(), hint });
    }

    /// Notes a fault of the file as a whole.
    pub(super) fn add_to_file(&mut self, what: impl Into<String>, hint: &str) {
        self.found.push(Fault { place: None, what: what.into(), hint: Some(hint.to_owned()) });
    }

    /// Notes why the file is no YAML, or not of the shape.
    pub(super) fn add_syntax(&mut self, error: &serde_saphyr::Error) {
        let place = error.location().and_then(place_of);
        let mut what = error.without_snippet().to_string();
        if let Some((line, column)) = place {
            let suffix = format!(" at line {line}, column {column}");
            what = what.strip_suffix(&suffix).unwrap_or(&what).to_owned();
        }
        self.found.push(Fault { place, what, hint: None });
    }

    /// As it may be shown.
    fn line(&self, line: usize) -> String {
        let line_at = |line: usize| self.text.lines().nth(line).unwrap_or("");
        masked_line(line_at(line - 1), if line > 1 { line_at(line - 2) } else { "" })
    }
}

/// None where the parser does not know.
fn place_of(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line()).ok().filter(|&line| line > 0)?;
    let column = usize::try_from(location.column()).ok().filter(|&column| column > 0)?;
    Some((line, column))
}

/// In the order of the file.
impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<&Fault> = self.found.iter().collect();
        sorted.sort_by_key(|fault| fault.place);
        for (index, fault) in sorted.into_iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "\n" }, self.file)?;
            match fault.place {
                None => write!(f, ": {}", fault.what)?,
                Some((line, column)) => {
                    let (margin, text) = (" ".repeat(line.to_string().len()), self.line(line));
                    let indent: String =
                        text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
                    writeln!(f, ":{line}:{column}: {}", fault.what)?;
                    write!(f, "{margin} |\n{line} | {text}\n{margin} | {indent}^")?;
                }
            }
            fault.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"))?;
        }
        Ok(())
    }
}
