//! Names of OpenTelemetry become names of Prometheus, by the rules that Prometheus 3 applies by default.
//!
//! ```text
//! http.server.request.duration  s    histogram  ─►  http_server_request_duration_seconds
//! shop.orders                   {o}  counter    ─►  shop_orders_total
//! queue.fill                    1    gauge      ─►  queue_fill_ratio
//! disk.io                       By/s gauge      ─►  disk_io_bytes_per_second
//! http.method                        label      ─►  http_method
//! ```
//!
//! Always true: a metric's name has letters, digits, `_` and `:` only and begins with no digit; a label's name the same
//! without `:`.

use std::borrow::Cow;

/// What a metric's name says of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// Ends in `_total`.
    Counter,
    /// Ends in `_ratio` when its unit is `1`.
    Gauge,
    /// Everything else.
    Other,
}

/// Units of UCUM, and what Prometheus calls them. `1` is none.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    // Misspelt, as Prometheus has it: the name of a series must be the same with both.
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units behind a `/`.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The name of the family of a metric; `None` if nothing of the given name can be kept.
pub(super) fn metric_name(name: &str, unit: &str, kind: NameKind) -> Option<String> {
    let mut words: Vec<&str> = name.split(|c| !is_kept(c)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    let (main, per) = unit_words(unit);
    let main = if words.contains(&main.as_str()) { "" } else { main.as_str() };
    let per = per.trim_end_matches('_');
    let per = if words.contains(&per) { "" } else { per };
    let main = if per.is_empty() { main } else { main.trim_end_matches('_') };
    words.extend([main, per].into_iter().filter(|word| !word.is_empty()));
    let ending = match kind {
        NameKind::Counter => Some("total"),
        NameKind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(ending) = ending {
        words.retain(|word| *word != ending);
        words.push(ending);
    }
    let mut name = words.join("_");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    Some(name)
}

/// What a unit is called in words: `By/s` is `bytes_per_second`; empty where there is none.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = unit_words(unit);
    let both = [main.as_str(), per.as_str()].into_iter().filter(|word| !word.is_empty());
    both.collect::<Vec<_>>().join("_").trim_matches('_').to_owned()
}

/// The words for a unit and for what it is divided by, `per_` before that; empty where there is none. What stands in
/// braces is a remark, not a unit.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let (main, per) = (main.trim(), per.trim());
    let is_unit = |text: &str| !text.is_empty() && !text.contains(['{', '}']);
    let main = if is_unit(main) { clean(translated(&UNITS, main)) } else { String::new() };
    let per = if is_unit(per) { clean(&format!("per_{}", translated(&PER_UNITS, per))) } else { String::new() };
    (main, if per == "per_" { String::new() } else { per })
}

fn translated<'a>(table: &[(&str, &'static str)], unit: &'a str) -> &'a str {
    table.iter().find(|(known, _)| *known == unit).map_or(unit, |(_, word)| word)
}

/// Everything that a name cannot have becomes `_`, several of them one, and none stands in front.
fn clean(unit: &str) -> String {
    let mut cleaned = String::with_capacity(unit.len());
    for c in unit.chars().map(|c| if is_kept(c) { c } else { '_' }) {
        if c != '_' || !(cleaned.is_empty() || cleaned.ends_with('_')) {
            cleaned.push(c);
        }
    }
    cleaned
}

fn is_kept(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// The name of a label.
pub(super) fn label_name(name: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sanitized: Cow<'_, str> = match name.chars().all(is_allowed) {
        true => name.into(),
        false => name.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect::<String>().into(),
    };
    let prefix = match sanitized.as_bytes() {
        [b'0'..=b'9', ..] => "key_",
        [b'_', b'_', ..] => return sanitized,
        [b'_', ..] => "key",
        _ => return sanitized,
    };
    format!("{prefix}{sanitized}").into()
}
