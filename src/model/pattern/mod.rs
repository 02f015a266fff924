//! Regular expressions as Prometheus reads them: RE2's syntax and meaning as Go has them, anchored, bounded.
//!
//! ```text
//! \d{2}:[[:alpha:]\W]{,3}     as it is written
//!        │ translate.rs   what Go would not accept is refused; the rest is said so that `regex` means the same
//!        ▼
//! [0-9]{2}:[[:alpha:][^0-9A-Za-z_]]\{,3\}
//! ```
//!
//! `regex` reads `\d`, `\w`, `\s` and `\b` as Unicode, `[a&&b]` as an intersection, `\<` as the start of a word and `{,3}` as
//! a repetition; Go reads the first four as ASCII and the rest as plain characters. Both read `.`, `\pN` and literals as
//! Unicode.
//!
//! Always true: no pattern takes more than [`REGEX_BYTES_MAX`] when compiled, nor longer to match than the text is long.

mod class;
#[cfg(test)]
mod tests;
mod translate;

use regex::{Regex, RegexBuilder};

/// Most bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// Deepest nesting of groups.
const NESTING_MAX: u32 = 50;

/// Compiles a pattern that must match the whole of a value, its dot matching newlines too. Fails with what is wrong with
/// the pattern.
pub fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    compile(pattern, |translated| format!("^(?s:{translated})$"))
}

/// Compiles a pattern that may match anywhere in a text, its dot matching no newline. Fails with what is wrong with the
/// pattern.
pub fn compile_pattern_anywhere(pattern: &str) -> Result<Regex, String> {
    compile(pattern, str::to_owned)
}

fn compile(pattern: &str, within: impl FnOnce(&str) -> String) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    RegexBuilder::new(&within(&translate::translate(pattern)?))
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(2 * REGEX_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| error.to_string())
}
