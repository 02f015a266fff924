//! What is wrong in a rule file, and where.
//!
//! ```text
//! shop.yml:7:13: min_change is 3, but must lie between 0 and 0.9
//!   |
//! 7 |           min_change: 3
//!   |                       ^
//!   = a fraction of the expectation: 0.3 is 30 %
//! ```

use std::fmt;
use std::path::PathBuf;

/// One fault. The author of the file must mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, counted from 1; none when the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// The text of that line.
    pub line_text: String,
    /// What is wrong.
    pub what: String,
    /// What to do, where that is not plain.
    pub hint: Option<String>,
}

/// All faults of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleErrors(pub Vec<RuleError>);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.place {
            None => write!(f, ": {}", self.what)?,
            Some((line, column)) => {
                let margin = " ".repeat(line.to_string().len());
                let indent: String =
                    self.line_text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
                writeln!(f, ":{line}:{column}: {}", self.what)?;
                writeln!(f, "{margin} |")?;
                writeln!(f, "{line} | {}", self.line_text)?;
                write!(f, "{margin} | {indent}^")?;
            }
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"))
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleError {}
impl std::error::Error for RuleErrors {}
