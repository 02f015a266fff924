//! Numbers and times for the reader of a terminal.

use crate::notify::rfc3339;

/// A text of strangers on one line: what would steer a terminal is a space.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// `HH:MM` in UTC.
pub(super) fn time_of_day(at_s: f64) -> String {
    stamp(at_s).get(11..16).unwrap_or_default().to_owned()
}

/// `HH:MM:SS` in UTC.
pub(super) fn time_with_seconds(at_s: f64) -> String {
    stamp(at_s).get(11..19).unwrap_or_default().to_owned()
}

fn stamp(at_s: f64) -> String {
    rfc3339((at_s * 1_000.0).round() as i64)
}

/// Three digits that matter, and thousands as `k`, `M`, `G`.
pub(super) fn number(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.01 => 2,
        size => (-size.log10().floor()).clamp(0.0, 12.0) as usize + 1,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// A fraction in whole percent.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.0} %", fraction * 100.0)
}

/// A duration by its two largest units.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) if rest == 0 || minutes >= 10 => format!("{minutes} min"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}
