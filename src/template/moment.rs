//! Moments and durations as Go's `time` package writes them.
//!
//! The moment 1435065584.128 is `2015-06-23 13:19:44.128 +0000 UTC`, and by the layout `Jan _2 15:04` it is `Jun 23 13:19`.

use std::fmt;

use jiff::civil::{DateTime, date};

/// A moment in UTC, in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Moment(pub i64);

/// A duration in ns.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Duration(pub i64);

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Moment {
    /// Its parts. Every moment that nanoseconds in 64 bits can hold lies in the years that can be told.
    pub(super) fn civil(self) -> DateTime {
        let clamped = self.0.clamp(-9_223_372_036_855, 9_223_372_036_855);
        jiff::Timestamp::from_millisecond(clamped)
            .map_or_else(|_| date(1970, 1, 1).at(0, 0, 0, 0), |time| jiff::tz::Offset::UTC.to_datetime(time))
    }

    /// By a layout of Go: what stands there of Monday, 2 January 2006, 15:04:05 is replaced by the moment's own.
    pub(super) fn by_layout(self, layout: &str) -> String {
        let (civil, mut text, mut rest) = (self.civil(), String::new(), layout);
        while let Some(first) = rest.chars().next() {
            let part = PARTS.iter().find(|part| rest.starts_with(**part) && !cuts_a_word(part, rest));
            if let Some(part) = part {
                text.push_str(&written(part, civil));
                rest = &rest[part.len()..];
            } else if let Some((fraction, length)) = fraction(rest, civil) {
                text.push_str(&fraction);
                rest = &rest[length..];
            } else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        text
    }

    pub(super) fn month(self) -> (i64, &'static str) {
        let month = self.civil().month();
        (i64::from(month), name_of(&MONTHS, i64::from(month) - 1))
    }

    pub(super) fn weekday(self) -> (i64, &'static str) {
        let day = i64::from(self.civil().weekday().to_sunday_zero_offset());
        (day, name_of(&WEEKDAYS, day))
    }
}

fn name_of(names: &[&'static str], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("")
}

/// Longer parts before those that they begin with.
const PARTS: [&str; 30] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-070000",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z07:00",
    "Z070000",
    "Z0700",
    "Z07",
    "002",
    "__2",
    "_2",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "1",
    "2",
];

/// `Jan` and `Mon` are not parts of longer words such as `Month`.
fn cuts_a_word(part: &str, rest: &str) -> bool {
    matches!(part, "Jan" | "Mon") && rest[part.len()..].starts_with(|next: char| next.is_ascii_lowercase())
        || part == "_2" && rest.starts_with("_2006")
}

fn written(part: &str, civil: DateTime) -> String {
    let moment_month = name_of(&MONTHS, i64::from(civil.month()) - 1);
    let weekday = name_of(&WEEKDAYS, i64::from(civil.weekday().to_sunday_zero_offset()));
    let hour_of_twelve = (civil.hour() + 11) % 12 + 1;
    match part {
        "January" => moment_month.to_owned(),
        "Jan" => moment_month[..3].to_owned(),
        "Monday" => weekday.to_owned(),
        "Mon" => weekday[..3].to_owned(),
        "MST" => "UTC".to_owned(),
        "2006" => format!("{:04}", civil.year()),
        "06" => format!("{:02}", civil.year().rem_euclid(100)),
        "01" => format!("{:02}", civil.month()),
        "1" => civil.month().to_string(),
        "002" => format!("{:03}", civil.day_of_year()),
        "__2" => format!("{:3}", civil.day_of_year()),
        "02" => format!("{:02}", civil.day()),
        "_2" => format!("{:2}", civil.day()),
        "2" => civil.day().to_string(),
        "15" => format!("{:02}", civil.hour()),
        "03" => format!("{hour_of_twelve:02}"),
        "04" => format!("{:02}", civil.minute()),
        "05" => format!("{:02}", civil.second()),
        "PM" => if civil.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if civil.hour() < 12 { "am" } else { "pm" }.to_owned(),
        _ if part.starts_with('Z') => "Z".to_owned(),
        _ => part.replace('7', "0").replacen('-', "+", 1),
    }
}

/// `3`, `4` and `5` alone, and `.000` or `.999` behind a second.
fn fraction(rest: &str, civil: DateTime) -> Option<(String, usize)> {
    match rest.as_bytes()[0] {
        b'3' => return Some((((civil.hour() + 11) % 12 + 1).to_string(), 1)),
        b'4' => return Some((civil.minute().to_string(), 1)),
        b'5' => return Some((civil.second().to_string(), 1)),
        b'.' | b',' => {}
        _ => return None,
    }
    let digit = rest[1..].chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = rest[1..].len() - rest[1..].trim_start_matches(digit).len();
    if rest[1 + digits..].starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{:09}", civil.subsec_nanosecond());
    let shown = &nanoseconds[..digits.min(9)];
    if digit == '0' {
        return Some((format!("{}{shown}", &rest[..1]), 1 + digits));
    }
    let shown = shown.trim_end_matches('0');
    let text = if shown.is_empty() { String::new() } else { format!("{}{shown}", &rest[..1]) };
    Some((text, 1 + digits))
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by_layout("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

impl fmt::Display for Duration {
    /// `1h2m3.5s`, `1.5ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let (unit, name) = match magnitude {
            0 => return f.write_str("0s"),
            1..=999 => (1, "ns"),
            1000..=999_999 => (1000, "µs"),
            1_000_000..=999_999_999 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (whole, fraction) = (magnitude / unit, decimal(magnitude % unit, unit));
        let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
        match name {
            "s" if hours > 0 => write!(f, "{sign}{hours}h{minutes}m{seconds}{fraction}s"),
            "s" if minutes > 0 => write!(f, "{sign}{minutes}m{seconds}{fraction}s"),
            _ => write!(f, "{sign}{whole}{fraction}{name}"),
        }
    }
}

/// What is behind the point, with the point, without zeros at its end.
fn decimal(rest: u64, unit: u64) -> String {
    if rest == 0 {
        return String::new();
    }
    let digits = unit.ilog10() as usize;
    format!(".{}", format!("{rest:0digits$}").trim_end_matches('0'))
}
