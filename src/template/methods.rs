//! What moments, durations, label sets and lists of alerts can be asked: `(1700000000 | toTime).Format "15:04"`.

use super::functions::Kind;
use super::moment::{Duration, Moment};
use super::of_messages;
use super::value::{ALERTS, PAIRS, Value};

const OF_MOMENTS: [&str; 18] = [
    "IsZero",
    "Format",
    "Unix",
    "UnixMilli",
    "UnixNano",
    "Year",
    "Month",
    "Day",
    "Hour",
    "Minute",
    "Second",
    "Nanosecond",
    "Weekday",
    "YearDay",
    "UTC",
    "String",
    "Add",
    "Sub",
];
const OF_MAPS: [&str; 4] = ["SortedPairs", "Remove", "Names", "Values"];
const OF_PAIRS: [&str; 2] = ["Names", "Values"];
const OF_ALERTS: [&str; 2] = ["Firing", "Resolved"];
const OF_DURATIONS: [&str; 7] = ["Seconds", "Minutes", "Hours", "Milliseconds", "Nanoseconds", "String", "Round"];

/// Whether the value has a method of this name.
pub(super) fn has(value: &Value, name: &str) -> bool {
    match value {
        Value::Moment(_) => OF_MOMENTS.contains(&name),
        Value::Duration(_) => OF_DURATIONS.contains(&name),
        Value::Kv(_) => OF_MAPS.contains(&name),
        Value::List { of: PAIRS, .. } => OF_PAIRS.contains(&name),
        Value::List { of: ALERTS, .. } => OF_ALERTS.contains(&name),
        _ => false,
    }
}

/// What its argument must be.
pub(super) fn parameter(name: &str) -> Kind {
    match name {
        "Format" => Kind::Text,
        "Remove" => Kind::Texts,
        _ => Kind::Any,
    }
}

/// What the method comes to; nothing if there is none of this name.
pub(super) fn call(value: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    if !has(value, name) {
        return None;
    }
    let wanted = usize::from(matches!(name, "Format" | "Add" | "Sub" | "Round" | "Remove"));
    if arguments.len() != wanted {
        return Some(Err(format!("wrong number of args for {name}: want {wanted} got {}", arguments.len())));
    }
    Some(match value {
        Value::Moment(moment) => of_moment(*moment, name, arguments),
        Value::Duration(duration) => of_duration(*duration, name, arguments),
        Value::Kv(map) => of_messages::of_map(map, name, arguments),
        Value::List { items, .. } => Ok(of_messages::of_list(items, name)),
        _ => unreachable!("others have no methods"),
    })
}

fn unfit(expected: &str, got: &Value) -> String {
    format!("wrong type for value; expected {expected}; got {}", got.type_name())
}

fn of_moment(moment: Moment, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let civil = moment.civil();
    Ok(match name {
        "Format" => match &arguments[0] {
            Value::Text(layout) => Value::text(&moment.by_layout(layout)),
            other => return Err(unfit("string", other)),
        },
        "Add" => match arguments[0].integer() {
            Some(nanoseconds) => Value::Moment(moment.moved(nanoseconds / 1_000_000)),
            None => return Err(unfit("time.Duration", &arguments[0])),
        },
        "Sub" => match &arguments[0] {
            Value::Moment(other) => {
                Value::Duration(Duration(moment.0.saturating_sub(other.0).saturating_mul(1_000_000)))
            }
            other => return Err(unfit("time.Time", other)),
        },
        "Unix" => Value::Int(moment.0.div_euclid(1000)),
        "UnixMilli" => Value::Int(moment.0),
        "UnixNano" => Value::Int(moment.0.saturating_mul(1_000_000)),
        "Year" => Value::Int(civil.year().into()),
        "Month" => {
            let (number, name) = moment.month();
            Value::Named { of: "time.Month", number, name }
        }
        "Weekday" => {
            let (number, name) = moment.weekday();
            Value::Named { of: "time.Weekday", number, name }
        }
        "Day" => Value::Int(civil.day().into()),
        "Hour" => Value::Int(civil.hour().into()),
        "Minute" => Value::Int(civil.minute().into()),
        "Second" => Value::Int(civil.second().into()),
        "Nanosecond" => Value::Int(civil.subsec_nanosecond().into()),
        "YearDay" => Value::Int(civil.day_of_year().into()),
        "String" => Value::text(&moment.to_string()),
        "IsZero" => Value::Bool(moment.is_zero()),
        _ => Value::Moment(Moment::utc(moment.0)),
    })
}

fn of_duration(duration: Duration, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let seconds = duration.0 as f64 / 1e9;
    Ok(match name {
        "Seconds" => Value::Float(seconds),
        "Minutes" => Value::Float(seconds / 60.0),
        "Hours" => Value::Float(seconds / 3600.0),
        "Milliseconds" => Value::Int(duration.0 / 1_000_000),
        "Nanoseconds" => Value::Int(duration.0),
        "Round" => match arguments[0].integer() {
            Some(unit) if unit > 0 => Value::Duration(rounded(duration, unit)),
            Some(_) => Value::Duration(duration),
            None => return Err(unfit("time.Duration", &arguments[0])),
        },
        _ => Value::text(&duration.to_string()),
    })
}

/// To the nearest multiple, halves away from zero.
fn rounded(duration: Duration, unit: i64) -> Duration {
    let rest = duration.0 % unit;
    let down = duration.0 - rest;
    if rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs() {
        Duration(down.saturating_add(unit * duration.0.signum()))
    } else {
        Duration(down)
    }
}
