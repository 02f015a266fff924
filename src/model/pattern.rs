//! Regular expressions as Prometheus reads them: RE2's meaning, anchored, bounded.

use regex::{Regex, RegexBuilder};

/// Most bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;

/// Compiles a pattern that must match the whole of a value, its dot matching newlines too. RE2 reads `\d`, `\w`, `\s` and
/// `\b` as ASCII; so do we, while `.` and classes stay Unicode. Fails with what is wrong with the pattern.
pub fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    RegexBuilder::new(&format!("^(?s:{})$", ascii_classes(pattern)))
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(2 * REGEX_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|error| error.to_string())
}

/// Rewrites the Perl classes to the ASCII sets that RE2 means by them, also inside brackets.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_brackets = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), in_brackets) {
                (Some('d'), _) => out.push_str("[0-9]"),
                (Some('w'), _) => out.push_str("[0-9A-Za-z_]"),
                (Some('s'), _) => out.push_str("[\\t\\n\\f\\r ]"),
                (Some('D'), _) => out.push_str("[^0-9]"),
                (Some('W'), _) => out.push_str("[^0-9A-Za-z_]"),
                (Some('S'), _) => out.push_str("[^\\t\\n\\f\\r ]"),
                (Some('b'), false) => out.push_str("(?-u:\\b)"),
                (Some('Q'), false) => {
                    let rest = chars.as_str();
                    let end = rest.find("\\E").unwrap_or(rest.len());
                    out.push_str(&regex::escape(&rest[..end]));
                    chars = rest.get(end + 2..).unwrap_or("").chars();
                }
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push('\\'),
            },
            '[' if in_brackets => match chars.as_str().find(":]").filter(|_| chars.as_str().starts_with(':')) {
                Some(end) => {
                    let rest = chars.as_str();
                    out.push('[');
                    out.push_str(&rest[..end + 2]);
                    chars = rest[end + 2..].chars();
                }
                None => out.push_str("\\["),
            },
            '[' => {
                in_brackets = true;
                out.push('[');
                // A `]` right behind the opening is itself a member of the class.
                let rest = chars.as_str();
                let lead = if rest.starts_with("^]") {
                    "^]"
                } else if rest.starts_with(']') {
                    "]"
                } else {
                    ""
                };
                for member in lead.chars() {
                    out.push_str(if member == ']' { "\\]" } else { "^" });
                    chars.next();
                }
            }
            ']' => {
                in_brackets = false;
                out.push(']');
            }
            // `regex` reads these as set operators where RE2 sees two plain characters.
            '&' | '~' | '-' if in_brackets && chars.as_str().starts_with(c) => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}
