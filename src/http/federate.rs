//! `/federate`: the newest sample of each selected series as text, for another Prometheus that scrapes it.
//!
//! ```text
//! # TYPE up untyped
//! up{job="shop",instance=""} 1 1795333761444
//! ```
//!
//! Each has its own time. Every series says its `instance`, if only that it has none, so that a scraper with `honor_labels`
//! does not put its own there. Series whose newest sample within the lookback is a staleness marker, and native
//! histograms, which this text cannot say, are left out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::call::Call;
use super::parameters::{Escaping, escape_name};
use super::reply::{self, ApiError, ErrorKind, Reply};
use super::request::Parameters;
use crate::model::{Labels, METRIC_NAME, Matcher, TimeRange, is_stale};
use crate::query::{Cancelled, QueryError, format_plain, parse_matchers};
use crate::storage::view::{Columns, ReadView, SeriesView, ViewError};

/// Most series that are told.
const SERIES_MAX: usize = 300_000;
/// Most selectors of a request.
const SELECTORS_MAX: usize = 100;
/// What a scraper would put on a series that does not have it.
const INSTANCE: &str = "instance";

/// `/federate`
pub(super) async fn federate(call: Call) -> Result<Reply, ApiError> {
    let escaping = negotiated(&call.head.headers);
    let (front, parameters) = call.parameters().await?;
    let selectors = match selectors(&parameters) {
        Ok(selectors) => selectors,
        Err(error) => return Ok(reply::text(StatusCode::BAD_REQUEST, error.to_string())),
    };
    let to_ms = front.services.clock.now_ms();
    let range = TimeRange { from_ms: to_ms.saturating_sub(front.services.engine.limits().lookback_ms), to_ms };
    let view = front.services.view.clone();
    let made = front.queries.run(move |cancelled| told(&view(), &selectors, range, escaping, cancelled)).await?;
    let text = made.map_err(|error| match error {
        QueryError::Cancelled => ApiError::new(ErrorKind::Canceled, error.to_string()),
        other => ApiError::of_query(&other, "match[]"),
    })?;
    let mut reply = reply::reply(StatusCode::OK, "text/plain", text.into_bytes());
    let kind = format!("text/plain; version=0.0.4; charset=utf-8; escaping={}", escaping.name());
    let kind = HeaderValue::from_str(&kind).expect("names of escapings are words");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(reply)
}

fn selectors(parameters: &Parameters) -> Result<Vec<Vec<Matcher>>, QueryError> {
    let texts: Vec<&str> = parameters.all("match[]").collect();
    if texts.len() > SELECTORS_MAX {
        return Err(QueryError::BadData(format!("more than {SELECTORS_MAX} selectors")));
    }
    texts.into_iter().map(parse_matchers).collect()
}

/// How names are to be written, as the first kind of text that the client would take says, or what it likes better.
fn negotiated(headers: &HeaderMap) -> Escaping {
    let mut escaping = Escaping::Underscores;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    for (_, part) in reply::by_quality(accept) {
        let mut words = part.split(';').map(str::trim);
        let kind = words.next().unwrap_or("");
        let mut version = "";
        for word in words {
            match word.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                Some(("escaping", name)) => escaping = Escaping::named(name).unwrap_or(escaping),
                Some(("version", given)) => version = given,
                _ => {}
            }
        }
        if kind.eq_ignore_ascii_case("text/plain") && matches!(version, "" | "0.0.4") {
            break;
        }
    }
    escaping
}

fn told(
    view: &ReadView,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    escaping: Escaping,
    cancelled: &Cancelled,
) -> Result<String, QueryError> {
    let mut text = String::new();
    let mut family: Option<&str> = None;
    let (mut columns, mut histograms) = (Columns::default(), Vec::new());
    let found = select(view, selectors, range)?;
    for series in &found {
        if cancelled.is_set() {
            return Err(QueryError::Cancelled);
        }
        let Some(name) = series.labels().get(METRIC_NAME) else { continue };
        columns.clear();
        histograms.clear();
        series.read_both(range, &mut columns, &mut histograms);
        let newest = columns.timestamps_ms.last().zip(columns.values.last());
        let Some((time_ms, value)) = newest.filter(|(_, value)| !is_stale(**value)) else { continue };
        // The text cannot say a histogram.
        if histograms.last().is_some_and(|(histogram_ms, _)| histogram_ms > time_ms) {
            continue;
        }
        let name_written = escape_name(name, escaping);
        if family != Some(name) {
            family = Some(name);
            text.push_str("# TYPE ");
            write_name(&mut text, &name_written);
            text.push_str(" untyped\n");
        }
        write_series(&mut text, &name_written, series.labels(), escaping);
        writeln!(text, " {} {time_ms}", number(*value)).expect("a string takes all writes");
    }
    Ok(text)
}

/// The series of any of the selectors, each once, in order of their names.
fn select(view: &ReadView, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<SeriesView>, ViewError> {
    let mut all: BTreeMap<Arc<Labels>, SeriesView> = BTreeMap::new();
    for selector in selectors {
        let found = view.select(selector, range, SERIES_MAX)?;
        all.extend(found.into_iter().map(|series| (series.labels().clone(), series)));
        if all.len() > SERIES_MAX {
            return Err(ViewError::TooManySeries { limit: SERIES_MAX });
        }
    }
    let mut all: Vec<SeriesView> = all.into_values().collect();
    all.sort_by(|a, b| a.labels().get(METRIC_NAME).cmp(&b.labels().get(METRIC_NAME)));
    Ok(all)
}

fn write_series(text: &mut String, name: &str, labels: &Labels, escaping: Escaping) {
    let is_plain = is_plain_name(name);
    if is_plain {
        text.push_str(name);
    }
    text.push('{');
    if !is_plain {
        write_name(text, name);
        text.push(',');
    }
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    let absent = labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
    for (index, (name, value)) in others.chain(absent).enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        write_name(text, &escape_name(name, escaping));
        text.push('=');
        write_quoted(text, value);
    }
    text.push('}');
}

/// Whether a name needs no quotes, as that of a metric.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |(index, byte): (usize, u8)| {
        byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || index > 0 && byte.is_ascii_digit()
    };
    !name.is_empty() && name.bytes().enumerate().all(is_plain)
}

fn write_name(text: &mut String, name: &str) {
    if is_plain_name(name) { text.push_str(name) } else { write_quoted(text, name) }
}

fn write_quoted(text: &mut String, content: &str) {
    text.push('"');
    for character in content.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// A value as the exposition format's writers have it: with an exponent from a million on.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || !magnitude.is_finite() || (1e-4..1e6).contains(&magnitude) {
        return format_plain(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("LowerExp writes an e");
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}
