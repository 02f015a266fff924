//! What the demo prints: aligned, coloured on a terminal that wants it, plain elsewhere, never wider than [`WIDTH_MAX`].

use std::io::{IsTerminal, Write};

/// Widest line, in characters.
pub(super) const WIDTH_MAX: usize = 110;
/// Width of the column of event times, and of the column of words behind it.
const TIME_WIDTH: usize = 8;
const WORD_WIDTH: usize = 10;

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Good,
    Bad,
    Bold,
}

/// Standard output with the demo's columns.
#[derive(Debug)]
pub(super) struct Screen {
    coloured: bool,
}

impl Screen {
    /// Coloured if standard output is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub(super) fn of_process() -> Screen {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { coloured: std::io::stdout().is_terminal() && !refused }
    }

    /// A line from the left edge.
    pub(super) fn line(&self, tone: Tone, text: &str) {
        self.put(&[(tone, text)]);
    }

    /// `✓ label   text`: something that is ready.
    pub(super) fn ready(&self, label: &str, text: &str) {
        self.put(&[(Tone::Good, "  ✓ "), (Tone::Plain, &format!("{label:<9}")), (Tone::Plain, text)]);
    }

    /// Something that happened, at an event time.
    pub(super) fn event(&self, event_ms: i64, tone: Tone, word: &str, text: &str) {
        let time = format!("{:<TIME_WIDTH$}  ", time_of_day(event_ms));
        self.put(&[(Tone::Faint, &time), (tone, &format!("{word:<WORD_WIDTH$}  ")), (Tone::Plain, text)]);
    }

    /// More about the event above.
    pub(super) fn detail(&self, text: &str) {
        let indent = " ".repeat(TIME_WIDTH + 2 + WORD_WIDTH + 2);
        self.put(&[(Tone::Faint, &indent), (Tone::Faint, text)]);
    }

    fn put(&self, pieces: &[(Tone, &str)]) {
        let line = compose(pieces, self.coloured);
        // A reader that went away, `head` for instance, does not stop the shop.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Joins the pieces, cut at [`WIDTH_MAX`] characters, with colours around those that have one.
pub(super) fn compose(pieces: &[(Tone, &str)], coloured: bool) -> String {
    let mut line = String::new();
    let mut room = WIDTH_MAX;
    for (tone, text) in pieces {
        let cut = shortened(text, room);
        room -= cut.chars().count();
        match tone_code(*tone) {
            Some(code) if coloured => line.push_str(&format!("\x1b[{code}m{cut}\x1b[0m")),
            _ => line.push_str(&cut),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn shortened(text: &str, width_max: usize) -> String {
    let text = text.replace(['\n', '\r', '\x1b'], " ");
    if text.chars().count() <= width_max {
        return text;
    }
    let kept = text.chars().take(width_max.saturating_sub(1)).collect::<String>();
    if width_max == 0 { kept } else { kept + "…" }
}

fn tone_code(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Faint => Some("2"),
        Tone::Good => Some("32"),
        Tone::Bad => Some("1;31"),
        Tone::Bold => Some("1"),
    }
}

/// `hh:mm:ss` UTC.
pub(super) fn time_of_day(timestamp_ms: i64) -> String {
    let second = timestamp_ms.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// `1 234 567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
