//! One line: metadata, a comment, or a sample.

use super::series::{self, SeriesText};
use super::{Format, Line, Sample, number};
use crate::ingest::MetricKind;

/// What is wrong with a line.
pub(super) type What = &'static str;

/// What was read of a line.
pub(super) enum Read<'a> {
    Line(Line<'a>),
    /// A comment.
    Nothing,
    /// `# EOF` of OpenMetrics.
    End,
}

/// Reads a line that is not blank and has no blanks before it.
pub(super) fn read(line: &[u8], format: Format) -> Result<Read<'_>, What> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    match text.strip_prefix('#') {
        Some(comment) => self::comment(comment, format),
        None => sample(text, format).map(|(sample, _)| Read::Line(Line::Sample(sample))),
    }
}

/// Reads a sample, and says how many bytes of the line are its series.
pub(super) fn sample(line: &str, format: Format) -> Result<(Sample<'_>, usize), What> {
    let SeriesText { name, labels, end } = series::read(line)?;
    let (value, timestamp_ms) = behind_series(&line.as_bytes()[end..], format)?;
    Ok((Sample { name, labels, value, timestamp_ms }, end))
}

/// Reads what stands behind the series: the value, perhaps a time, perhaps an exemplar.
#[inline]
pub(super) fn behind_series(rest: &[u8], format: Format) -> Result<(f64, Option<i64>), What> {
    let (value, rest) = token(rest);
    if value.is_empty() {
        return Err("it has no value");
    }
    let value = number::value(value)?;
    let (next, behind) = token(rest);
    match next {
        [] => Ok((value, None)),
        [b'#', ..] => exemplar(rest).map(|()| (value, None)),
        time => {
            let timestamp_ms = number::timestamp_ms(time, format)?;
            match without_blanks_before(behind) {
                [] => Ok((value, Some(timestamp_ms))),
                [b'#', ..] => exemplar(behind).map(|()| (value, Some(timestamp_ms))),
                _ => Err("something stands behind its timestamp"),
            }
        }
    }
}

/// Reads over `# {trace_id="…"} 0.67 1520879607.789`: exemplars are not stored.
#[cold]
fn exemplar(rest: &[u8]) -> Result<(), What> {
    let text = std::str::from_utf8(without_blanks_before(rest)).map_err(|_| "its exemplar is not UTF-8")?;
    let labels = text.trim_start_matches('#').trim_start_matches([' ', '\t']);
    let (value, rest) = token(&labels.as_bytes()[series::exemplar_end(labels)?..]);
    number::value(value).map_err(|_| "the value of its exemplar is not a number")?;
    let (time, rest) = token(rest);
    if !time.is_empty() {
        number::timestamp_ms(time, Format::OpenMetrics).map_err(|_| "the timestamp of its exemplar is not a number")?;
    }
    if without_blanks_before(rest).is_empty() { Ok(()) } else { Err("something stands behind its exemplar") }
}

/// Reads what stands behind the `#`: only what has the form of metadata is, everything else is a comment.
fn comment(text: &str, format: Format) -> Result<Read<'_>, What> {
    if format == Format::OpenMetrics && text.trim_end_matches([' ', '\t']) == " EOF" {
        return Ok(Read::End);
    }
    let Some(told) = text.strip_prefix([' ', '\t']) else { return Ok(Read::Nothing) };
    let told = told.trim_start_matches([' ', '\t']);
    let Some((keyword, told)) = told.split_once([' ', '\t']) else { return Ok(Read::Nothing) };
    let is_told = match keyword {
        "HELP" | "TYPE" => true,
        "UNIT" => format == Format::OpenMetrics,
        _ => false,
    };
    if !is_told {
        return Ok(Read::Nothing);
    }
    let told = told.trim_start_matches([' ', '\t']);
    let (family, end) = series::family(told)?;
    // One blank parts the name from what is said of it; more belong to the text.
    let text = match &told.as_bytes()[end..] {
        [] => "",
        [b' ' | b'\t', ..] => &told[end + 1..],
        _ => return Err("the name of a family goes into quotes where it is not of letters, digits, _ and :"),
    };
    Ok(Read::Line(match keyword {
        "HELP" => Line::Help { family, help: series::unescaped(text, format == Format::OpenMetrics) },
        "TYPE" => Line::Type { family, kind: kind(text.trim_matches([' ', '\t']), format)? },
        _ => Line::Unit { family, unit: text.trim_matches([' ', '\t']) },
    }))
}

fn kind(text: &str, format: Format) -> Result<MetricKind, What> {
    Ok(match (text, format) {
        ("counter", _) => MetricKind::Counter,
        ("gauge", _) => MetricKind::Gauge,
        ("histogram", _) => MetricKind::Histogram,
        ("summary", _) => MetricKind::Summary,
        ("untyped" | "unknown", _) => MetricKind::Unknown,
        ("gaugehistogram", Format::OpenMetrics) => MetricKind::GaugeHistogram,
        ("info", Format::OpenMetrics) => MetricKind::Info,
        ("stateset", Format::OpenMetrics) => MetricKind::StateSet,
        _ => return Err("the type is none that this format has"),
    })
}

/// The next letters that are no blanks, and what stands behind them.
#[inline]
fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let text = without_blanks_before(text);
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    text.split_at(end)
}

#[inline]
pub(super) fn without_blanks_before(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}
