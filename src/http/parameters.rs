//! Times, durations and limits as clients of Prometheus write them.

use std::time::Duration;

use super::reply::ApiError;
use super::request::Parameters;
use crate::config::parse_duration_ms;
use crate::model::TimeRange;

/// Most points of a series in the answer to a range query.
const POINTS_MAX: i64 = 11_000;
/// The first and last moments that Prometheus knows, which some clients send to say "all of time".
const PROMETHEUS_MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const PROMETHEUS_MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";
/// Times are held within ± this, in ms: a margin in which windows and offsets can be subtracted without overflow.
const TIME_MS_MAX: i64 = i64::MAX / 4;

/// Reads a moment, in ms since 1970: seconds with a fraction, or RFC 3339.
pub(super) fn parse_time_ms(text: &str) -> Result<i64, String> {
    let refuse = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() {
            return Err(refuse());
        }
        // Apart, as Go does it: the product of both would round twice.
        let ms = seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round();
        return Ok((ms as i64).clamp(-TIME_MS_MAX, TIME_MS_MAX));
    }
    match text {
        PROMETHEUS_MIN_TIME => Ok(-TIME_MS_MAX),
        PROMETHEUS_MAX_TIME => Ok(TIME_MS_MAX),
        _ => text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| refuse()),
    }
}

/// Reads a duration, in ms: seconds with a fraction, or Prometheus's own spelling.
pub(super) fn parse_span_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        if ms.is_nan() || ms.abs() > TIME_MS_MAX as f64 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ms as i64);
    }
    parse_duration_ms(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

/// Moments at which a range query is evaluated.
#[derive(Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step_ms: i64,
}

impl Parameters {
    /// The moment of this name, where it is given.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| {
            let what = |what| ApiError::parameter(name, format!("invalid time value for '{name}': {what}"));
            parse_time_ms(text).map_err(what)
        };
        self.get(name).map(parse).transpose()
    }

    /// The duration of this name, where it is given.
    pub(super) fn span_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| parse_span_ms(text).map_err(|what| ApiError::parameter(name, what));
        self.get(name).map(parse).transpose()
    }

    /// How long the client is ready to wait.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let span_ms = self.span_ms("timeout")?;
        Ok(span_ms.map(|span_ms| Duration::from_millis(u64::try_from(span_ms).unwrap_or(0))))
    }

    /// Most entries that the client wants. Absent and 0: all.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match text.parse() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) if text.parse::<i64>().is_ok_and(|limit| limit < 0) => {
                Err(ApiError::parameter("limit", "limit must be non-negative"))
            }
            // In Go's words, which clients may know.
            Err(_) => Err(ApiError::parameter("limit", format!("strconv.Atoi: parsing {text:?}: invalid syntax"))),
        }
    }

    /// `start` and `end`, each with all of time as its default. One that ends before it begins has nothing in it.
    pub(super) fn time_range(&self) -> Result<TimeRange, ApiError> {
        let from_ms = self.time_ms("start")?.unwrap_or(TimeRange::ALL.from_ms);
        let to_ms = self.time_ms("end")?.unwrap_or(TimeRange::ALL.to_ms);
        Ok(TimeRange { from_ms, to_ms })
    }

    /// [`Parameters::time_range`] of an order or an export, where an end before the start is a mistake.
    pub(super) fn ordered_time_range(&self) -> Result<TimeRange, ApiError> {
        let range = self.time_range()?;
        if range.to_ms < range.from_ms {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        Ok(range)
    }

    /// `start`, `end` and `step` of a range query, checked as Prometheus checks them.
    pub(super) fn steps(&self) -> Result<Steps, ApiError> {
        let time_ms =
            |name| parse_time_ms(self.get(name).unwrap_or("")).map_err(|what| ApiError::parameter(name, what));
        let start_ms = time_ms("start")?;
        let end_ms = time_ms("end")?;
        if end_ms < start_ms {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        let step_ms =
            parse_span_ms(self.get("step").unwrap_or("")).map_err(|what| ApiError::parameter("step", what))?;
        if step_ms <= 0 {
            let what = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::parameter("step", what));
        }
        if (end_ms - start_ms) / step_ms > POINTS_MAX {
            return Err(ApiError::bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        Ok(Steps { start_ms, end_ms, step_ms })
    }
}

/// Reads a label's name as it stands in a path: Prometheus's `U__` form spells what is no classic name in hex,
/// `U__http_2e_status` being `http.status`.
pub(super) fn unescape_label_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    unescape(escaped).unwrap_or_else(|| name.to_owned())
}

fn unescape(mut rest: &str) -> Option<String> {
    let mut name = String::with_capacity(rest.len());
    while let Some((plain, after)) = rest.split_once('_') {
        name.push_str(plain);
        if let Some(after) = after.strip_prefix('_') {
            name.push('_');
            rest = after;
            continue;
        }
        let (hex, after) = after.split_once('_')?;
        name.push(u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?);
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

/// How names that are not classic ones are written for those who take only such.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Escaping {
    /// As they are, in quotes.
    None,
    /// `_` for every other character.
    Underscores,
    /// `_dot_` for a dot, `__` for an underscore or any other.
    Dots,
    /// [`unescape_label_name`] reads it.
    Values,
}

impl Escaping {
    pub(super) fn named(name: &str) -> Option<Escaping> {
        [Escaping::None, Escaping::Underscores, Escaping::Dots, Escaping::Values]
            .into_iter()
            .find(|one| one.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Escaping::None => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }
}

/// Writes a name of a metric or a label so that who takes only classic names can read it.
pub(super) fn escape_name(name: &str, escaping: Escaping) -> String {
    let is_classic = |(index, character): (usize, char)| {
        character.is_ascii_alphabetic() || matches!(character, '_' | ':') || index > 0 && character.is_ascii_digit()
    };
    let all_classic = name.chars().enumerate().all(is_classic);
    if escaping == Escaping::None || all_classic && escaping != Escaping::Dots {
        return name.to_owned();
    }
    let mut escaped = if escaping == Escaping::Values { "U__".to_owned() } else { String::new() };
    for (index, character) in name.chars().enumerate() {
        match (escaping, character) {
            (Escaping::Dots | Escaping::Values, '_') => escaped.push_str("__"),
            (Escaping::Dots, '.') => escaped.push_str("_dot_"),
            _ if is_classic((index, character)) => escaped.push(character),
            (Escaping::Dots, _) => escaped.push_str("__"),
            (Escaping::Values, _) => escaped.push_str(&format!("_{:x}_", u32::from(character))),
            _ => escaped.push('_'),
        }
    }
    escaped
}
