//! What both kinds of pages say in the same words, and strangers' text made harmless for either.
//!
//! A label is text of a stranger: it may hold tags, links, a table's bars, letters that turn the direction of reading.

use super::figures::{Service, Spread};
use crate::operate::words::duration;

/// Longest text of a stranger, in letters.
const LETTERS_MAX: usize = 160;

/// A stranger's text for HTML, in content and in quoted attributes.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in harmless(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A stranger's text for Markdown, also in a table: every sign that could mean something stands for itself.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let harmless = harmless(text);
    for (at, letter) in harmless.char_indices() {
        let (before, behind) = (&harmless[..at], &harmless[at + letter.len_utf8()..]);
        match letter {
            // Renderers that let tags through leave entities alone.
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' => escaped.push_str("&#124;"),
            // Some make links of bare addresses.
            ':' if behind.starts_with("//") => escaped.push_str("&#58;"),
            '@' => escaped.push_str("&#64;"),
            '.' if before.to_ascii_lowercase().ends_with("www") => escaped.push_str("&#46;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '!' | '~' | '$' | '^' | '=' | '+' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Without letters that are not seen, and not longer than anybody reads.
fn harmless(text: &str) -> String {
    let is_unseen = |letter: &char| {
        letter.is_control()
            || matches!(*letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut letters: Vec<char> = text.chars().take(LETTERS_MAX + 1).collect();
    if letters.len() > LETTERS_MAX {
        letters.truncate(LETTERS_MAX - 1);
        letters.push('…');
    }
    letters.into_iter().map(|letter| if is_unseen(&letter) { ' ' } else { letter }).collect()
}

/// `4 min (of 12)`, or that there is nothing.
pub(super) fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(no_data, |spread| format!("{} (of {})", spoken(spread.median_ms), spread.count))
}

/// As [`median`], of the 95th percentile.
pub(super) fn p95(spread: Option<Spread>) -> String {
    spread.map_or_else(no_data, |spread| spoken(spread.p95_ms))
}

pub(super) fn no_data() -> String {
    "no data".to_owned()
}

pub(super) fn spoken(ms: i64) -> String {
    duration(ms as f64 / 1000.0)
}

/// With as many digits as tell it from all well, and never rounded up to that.
pub(super) fn availability(share: f64) -> String {
    if share >= 1.0 {
        return "100 %".to_owned();
    }
    // 99.96 % stays apart from 100 %; of the five nines more digits are needed.
    let decimals = match 1.0 - share {
        missing if missing > 0.999e-3 => 2,
        missing if missing > 0.999e-5 => 4,
        _ => 6,
    };
    let cut = 10_f64.powi(decimals);
    // What a binary fraction lacks is made up for, and nothing else.
    let percent = (share * 100.0 * cut + 1e-6).floor() / cut;
    format!("{percent:.*} %", decimals as usize)
}

/// What an availability is made of: `of 40k requests`, and of how much of the time where that is not all.
pub(super) fn basis(service: &Service) -> String {
    let seen = match service.covered {
        covered if covered >= 1.0 => String::new(),
        covered => format!(", seen {:.0} % of the time", (covered * 100.0).floor()),
    };
    format!("of {} {}{seen}", crate::operate::words::number(service.total.round()), service.counted)
}
