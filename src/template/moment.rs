//! Moments and durations as Go's `time` package writes them.
//!
//! The moment 1435065584.128 is `2015-06-23 13:19:44.128 +0000 UTC`, and by the layout `Jan _2 15:04` it is `Jun 23 13:19`.

use std::fmt;

use jiff::civil::{DateTime, date};

/// A moment, in ms since 1970 UTC, told as people in a time zone would.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment(pub i64, Offset);

/// How far clocks of a zone were ahead of UTC, and what people called that.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Offset {
    seconds: i32,
    name: [u8; ZONE_NAME_BYTES_MAX],
}

/// Longest abbreviation of a time zone.
const ZONE_NAME_BYTES_MAX: usize = 8;
/// What moments are moved into before they are told: the years from 1 on that can be written.
const TOLD_MS: (i64, i64) = (-62_135_596_800_000, 253_402_207_200_000);

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

impl Offset {
    const UTC: Offset = Offset { seconds: 0, name: *b"UTC\0\0\0\0\0" };

    fn name(&self) -> &str {
        let length = self.name.iter().position(|byte| *byte == 0).unwrap_or(ZONE_NAME_BYTES_MAX);
        std::str::from_utf8(&self.name[..length]).unwrap_or("")
    }

    /// `+01:00:00` as far as the part that it is written by has digits.
    fn written(&self, part: &str) -> String {
        let magnitude = self.seconds.unsigned_abs();
        let sign = if self.seconds < 0 { '-' } else { '+' };
        let (hours, minutes, seconds) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
        match &part[1..] {
            "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
            "070000" => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            "0700" => format!("{sign}{hours:02}{minutes:02}"),
            _ => format!("{sign}{hours:02}"),
        }
    }
}

impl Moment {
    pub(super) fn utc(ms: i64) -> Moment {
        Moment(ms, Offset::UTC)
    }

    /// The same moment in another time zone; fails in Go's words if nobody knows it.
    pub(super) fn in_zone(self, zone: &str) -> Result<Moment, String> {
        let unknown = || format!("unknown time zone {zone}");
        if zone.is_empty() || zone == "UTC" {
            return Ok(Moment::utc(self.0));
        }
        let known = jiff::tz::TimeZone::get(zone).map_err(|_| unknown())?;
        let timestamp = jiff::Timestamp::from_millisecond(self.0.clamp(TOLD_MS.0, TOLD_MS.1)).map_err(|_| unknown())?;
        let told = known.to_offset_info(timestamp);
        let mut name = [0; ZONE_NAME_BYTES_MAX];
        let abbreviation = told.abbreviation().as_bytes();
        let length = abbreviation.len().min(ZONE_NAME_BYTES_MAX);
        name[..length].copy_from_slice(&abbreviation[..length]);
        Ok(Moment(self.0, Offset { seconds: told.offset().seconds(), name }))
    }

    /// Whether it stands for no moment at all.
    pub(super) fn is_zero(self) -> bool {
        self.0 == TOLD_MS.0
    }

    /// Later or earlier, in the same zone.
    pub(super) fn moved(self, ms: i64) -> Moment {
        Moment(self.0.saturating_add(ms), self.1)
    }

    /// Its parts.
    pub(super) fn civil(self) -> DateTime {
        let local = self.0.saturating_add(i64::from(self.1.seconds) * 1000).clamp(TOLD_MS.0, TOLD_MS.1);
        jiff::Timestamp::from_millisecond(local)
            .map_or_else(|_| date(1970, 1, 1).at(0, 0, 0, 0), |time| jiff::tz::Offset::UTC.to_datetime(time))
    }

    /// By a layout of Go: what stands there of Monday, 2 January 2006, 15:04:05 is replaced by the moment's own.
    pub(super) fn by_layout(self, layout: &str) -> String {
        let (civil, mut text, mut rest) = (self.civil(), String::new(), layout);
        while let Some(first) = rest.chars().next() {
            let part = PARTS.iter().find(|part| rest.starts_with(**part) && !cuts_a_word(part, rest));
            if let Some(part) = part {
                text.push_str(&written(part, civil, &self.1));
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

fn written(part: &str, civil: DateTime, offset: &Offset) -> String {
    let moment_month = name_of(&MONTHS, i64::from(civil.month()) - 1);
    let weekday = name_of(&WEEKDAYS, i64::from(civil.weekday().to_sunday_zero_offset()));
    let hour_of_twelve = (civil.hour() + 11) % 12 + 1;
    match part {
        "January" => moment_month.to_owned(),
        "Jan" => moment_month[..3].to_owned(),
        "Monday" => weekday.to_owned(),
        "Mon" => weekday[..3].to_owned(),
        "MST" => offset.name().to_owned(),
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
        _ if part.starts_with('Z') && offset.seconds == 0 => "Z".to_owned(),
        _ => offset.written(part),
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
