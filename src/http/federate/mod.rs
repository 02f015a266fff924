//! `/federate`: the newest sample of each selected series, for another Prometheus that scrapes it.
//!
//! ```text
//! Accept: text/plain                           # TYPE up untyped                                text.rs
//!                                              up{job="shop",instance=""} 1 1795333761444
//! Accept: application/vnd.google.protobuf;…    MetricFamily, MetricFamily, …                    families.rs
//! ```
//!
//! Each has its own time. Every series says its `instance`, if only that it has none, so that a scraper with `honor_labels`
//! does not put its own there. Series whose newest sample within the lookback is a staleness marker are left out; and
//! native histograms where text is asked for, which cannot say them. Since when a sample counts, if that is known, is told
//! in protobuf alone.

mod families;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::call::Call;
use super::parameters::Escaping;
use super::reply::{self, ApiError, ErrorKind, Reply};
use super::request::Parameters;
use crate::model::{FloatHistogram, Labels, METRIC_NAME, Matcher, TimeRange, is_stale};
use crate::query::{Cancelled, QueryError, parse_matchers};
use crate::storage::view::{Columns, ReadView, SeriesView, ViewError};

/// Most series that are told.
const SERIES_MAX: usize = 300_000;
/// Most selectors of a request.
const SELECTORS_MAX: usize = 100;
/// What a client asks for that would have protobuf.
const PROTOBUF: &str = "application/vnd.google.protobuf";
const FAMILY: &str = "io.prometheus.client.MetricFamily";
/// What a scraper would put on a series that does not have it.
const INSTANCE: &str = "instance";

/// `/federate`
pub(super) async fn federate(call: Call) -> Result<Reply, ApiError> {
    let (form, escaping) = negotiated(&call.head.headers);
    let (front, parameters) = call.parameters().await?;
    let selectors = match selectors(&parameters) {
        Ok(selectors) => selectors,
        Err(error) => return Ok(reply::text(StatusCode::BAD_REQUEST, error.to_string())),
    };
    let to_ms = front.services.clock.now_ms();
    let range = TimeRange { from_ms: to_ms.saturating_sub(front.services.engine.limits().lookback_ms), to_ms };
    let view = front.services.view.clone();
    let made = front.queries.run(move |cancelled| match form {
        Form::Text => text::told(&view(), &selectors, range, escaping, cancelled),
        Form::Protobuf => families::told(&view(), &selectors, range, escaping, cancelled),
    });
    let bytes = made.await?.map_err(|error| match error {
        QueryError::Cancelled => ApiError::new(ErrorKind::Canceled, error.to_string()),
        other => ApiError::of_query(&other, "match[]"),
    })?;
    let mut reply = reply::reply(StatusCode::OK, "text/plain", bytes);
    let kind = match form {
        Form::Text => "text/plain; version=0.0.4; charset=utf-8",
        Form::Protobuf => {
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        }
    };
    let kind = format!("{kind}; escaping={}", escaping.name());
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

/// What an answer is made of.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Protobuf,
}

/// The form that the client likes best of those that we write, and how names are to be written, as that or what it likes
/// better says.
fn negotiated(headers: &HeaderMap) -> (Form, Escaping) {
    let mut escaping = Escaping::Underscores;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    for (_, part) in reply::by_quality(accept) {
        let mut words = part.split(';').map(str::trim);
        let kind = words.next().unwrap_or("").to_ascii_lowercase();
        let (mut version, mut message, mut encoding) = ("", "", "");
        for word in words {
            match word.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                Some(("escaping", name)) => escaping = Escaping::named(name).unwrap_or(escaping),
                Some(("version", given)) => version = given,
                Some(("proto", given)) => message = given,
                Some(("encoding", given)) => encoding = given,
                _ => {}
            }
        }
        match kind.as_str() {
            "text/plain" if matches!(version, "" | "0.0.4") => return (Form::Text, escaping),
            PROTOBUF if (message, encoding) == (FAMILY, "delimited") => return (Form::Protobuf, escaping),
            _ => {}
        }
    }
    (Form::Text, escaping)
}

/// The newest sample of a series.
struct Newest<'a> {
    name: &'a str,
    series: &'a SeriesView,
    time_ms: i64,
    value: Value<'a>,
}

enum Value<'a> {
    Number(f64),
    Histogram(&'a FloatHistogram),
}

impl Newest<'_> {
    /// The labels but the name; among them `instance`, even where it is not there.
    fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.series.labels();
        let absent = labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
        labels.iter().filter(|(name, _)| *name != METRIC_NAME).chain(absent)
    }
}

/// Gives the newest sample of each series, in order of their names. One that ended is left out.
fn each_newest(
    view: &ReadView,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    cancelled: &Cancelled,
    mut give: impl FnMut(&Newest<'_>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let (mut columns, mut histograms) = (Columns::default(), Vec::new());
    for series in &select(view, selectors, range)? {
        if cancelled.is_set() {
            return Err(QueryError::Cancelled);
        }
        let Some(name) = series.labels().get(METRIC_NAME) else { continue };
        columns.clear();
        histograms.clear();
        series.read_both(range, &mut columns, &mut histograms);
        let number = columns.iter().last();
        let histogram =
            histograms.last().filter(|(time_ms, _)| number.is_none_or(|(number_ms, _)| number_ms < *time_ms));
        let (time_ms, value) = match (histogram, number) {
            (Some((time_ms, histogram)), _) if !histogram.is_stale() => (*time_ms, Value::Histogram(histogram)),
            (None, Some((time_ms, value))) if !is_stale(value) => (time_ms, Value::Number(value)),
            _ => continue,
        };
        give(&Newest { name, series, time_ms, value })?;
    }
    Ok(())
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
