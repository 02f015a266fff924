//! Durations and byte sizes as people write them: `1h30m`, `15d`, `64MiB`.

use super::{AdminApi, WalSync};

/// Units of a duration, largest first, in ms.
const DURATION_UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const BYTE_UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

const DURATION_SHAPE: &str =
    "a duration is numbers with units from large to small, like 1h30m, 15d or 500ms; 0 needs none";

/// Reads a duration as Prometheus writes it, in ms: each unit at most once, from large to small. `0` needs no unit.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total_ms: i64 = 0;
    let mut smallest = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or(DURATION_SHAPE)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let rank = DURATION_UNITS.iter().position(|(name, _)| *name == unit).ok_or(DURATION_SHAPE)?;
        if smallest > rank {
            return Err(DURATION_SHAPE.to_owned());
        }
        smallest = rank + 1;
        total_ms = i64::try_from(number)
            .ok()
            .and_then(|number| number.checked_mul(DURATION_UNITS[rank].1))
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or("the duration is longer than 292 million years")?;
        rest = after;
    }
    if smallest == 0 { Err(DURATION_SHAPE.to_owned()) } else { Ok(total_ms) }
}

/// Writes a duration so that [`parse_duration_ms`] reads it: `1d2h`, `1500ms` as `1s500ms`, and 0 as `0s`.
pub fn duration_text(span_ms: i64) -> String {
    let mut text = if span_ms < 0 { "-".to_owned() } else { String::new() };
    let mut rest = span_ms.unsigned_abs();
    // Years and weeks are for people who write; who reads counts in days.
    for (unit, unit_ms) in DURATION_UNITS.iter().filter(|(unit, _)| !matches!(*unit, "y" | "w")) {
        let count = rest / unit_ms.unsigned_abs();
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
        rest %= unit_ms.unsigned_abs();
    }
    if span_ms == 0 { "0s".to_owned() } else { text }
}

/// Writes a size so that [`parse_bytes`] reads it, in the largest unit that needs no fraction.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Reads a size: a whole number of bytes, or one with a unit: `KiB` is 1,024 bytes, `KB` 1,000.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let shape = "a size is a whole number with a unit, like 64MiB, 512KiB or 1000";
    let (number, unit) = split_number(text).ok_or(shape)?;
    if unit.is_empty() {
        return Ok(number);
    }
    let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or(shape)?;
    number.checked_mul(*factor).ok_or_else(|| "the size does not fit 64 bits".to_owned())
}

/// Reads a count. Underscores may group its digits.
pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "a count is a whole number, like 5000".to_owned())
}

/// Reads `always`, `interval:<ms>` or `os`.
pub(super) fn parse_wal_sync(text: &str) -> Result<WalSync, String> {
    match text {
        "always" => Ok(WalSync::Always),
        "os" => Ok(WalSync::Os),
        _ => match text.strip_prefix("interval:").map(str::parse) {
            Some(Ok(interval_ms @ 1..=60_000)) => Ok(WalSync::Interval { interval_ms }),
            _ => Err("is none of: always, interval:<ms> with 1 to 60000 ms, os".to_owned()),
        },
    }
}

/// Reads `auto`, `on` or `off`.
pub(super) fn parse_admin_api(text: &str) -> Result<AdminApi, String> {
    match text {
        "auto" => Ok(AdminApi::Auto),
        "on" => Ok(AdminApi::On),
        "off" => Ok(AdminApi::Off),
        _ => Err("is none of: auto, on, off".to_owned()),
    }
}

/// Reads `on` or `off`.
pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("is none of: on, off".to_owned()),
    }
}

/// Reads names with commas between; an empty text is no names.
pub(super) fn parse_names(text: &str) -> Result<Vec<String>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().any(String::is_empty) {
        true => Err("has an empty name between two commas".to_owned()),
        false => Ok(names),
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    number.parse().ok().map(|number| (number, rest))
}
