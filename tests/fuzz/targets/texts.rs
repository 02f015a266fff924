//! What is sent as lines of text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::ingest::{
    Format, InfluxPrecision, InfluxWrite, JsonLine, Line, Protocol, Statsd, StatsdCounters, StatsdOptions, TextPush,
    append_line, lines,
};
use dozor::model::{Labels, METRIC_NAME};
use serde::Deserialize;

use super::reader::{INGEST, NOW_MS, Read, malformed, read, sorted};
use super::samples::is_read_as_written;

pub(super) fn text(bytes: &[u8]) {
    lines_of(bytes, Format::Text);
    pushed(bytes, "text/plain; version=0.0.4", Format::Text);
}

pub(super) fn openmetrics(bytes: &[u8]) {
    lines_of(bytes, Format::OpenMetrics);
    pushed(bytes, "application/openmetrics-text", Format::OpenMetrics);
}

/// Lines are numbered within the text, and a sample says the same when it is written anew.
fn lines_of(text: &[u8], format: Format) {
    let line_count = text.split(|byte| *byte == b'\n').count();
    let (mut all, mut last) = (lines(text, format), 0);
    while let Some(line) = all.next() {
        assert!(last < all.number() && all.number() <= line_count, "line {} of {line_count}", all.number());
        last = all.number();
        match line {
            Ok(Line::Sample(sample)) => is_read_as_written(&sample, format),
            Ok(_) => {}
            Err(error) => assert_eq!(error.line, last, "{error}"),
        }
    }
}

/// A push says what its lines say, with labels that a request adds and without.
fn pushed(text: &[u8], content_type: &str, format: Format) {
    let extra = [("job".to_owned(), "shop".to_owned()), ("a".to_owned(), String::new())];
    for extra_labels in [&extra[..], &[]] {
        let push = TextPush { content_type: Some(content_type), extra_labels, ..TextPush::default() };
        match read(Protocol::Text(push), text) {
            Ok((ours, refused_count)) => {
                let (theirs, theirs_refused) = line_by_line(text, format, extra_labels);
                assert_eq!((ours, refused_count), (theirs, theirs_refused), "a push and its lines");
            }
            Err(error) => assert!(malformed(error).is_none_or(|words| words.contains("not text")), "refused"),
        }
    }
}

/// What the lines say one by one, without a look-up, and how many are refused.
fn line_by_line(text: &[u8], format: Format, extra: &[(String, String)]) -> (Read, u64) {
    let (mut read, mut refused_count) = (Read::new(), 0);
    let mut all = lines(text, format);
    for line in all.by_ref() {
        let Ok(line) = line else {
            refused_count += 1;
            continue;
        };
        let Line::Sample(sample) = line else { continue };
        let own: Vec<(Cow<'_, str>, Cow<'_, str>)> = sample.labels.iter().collect();
        let own = own.iter().filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
        let own = own.map(|(name, value)| (name.as_ref(), value.as_ref()));
        let extra = extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs = own.chain(extra).filter(|(_, value)| !value.is_empty());
        match Labels::from_pairs(pairs.chain([(METRIC_NAME, sample.name.as_ref())])) {
            Ok(labels) => {
                let at_ms = sample.timestamp_ms.unwrap_or(NOW_MS);
                read.entry(labels.to_string()).or_default().push((at_ms, sample.value.to_bits()));
            }
            Err(_) => refused_count += 1,
        }
    }
    let was_cut_off = format == Format::OpenMetrics && !all.has_ended();
    (sorted(read), refused_count + u64::from(was_cut_off))
}

/// Lines without quotes are read alone as they are read among others.
pub(super) fn influx(bytes: &[u8]) {
    use InfluxPrecision::{Hours, Nanoseconds, Seconds};
    for (db, precision) in [("", Nanoseconds), ("shop", Seconds), ("shop", Hours)] {
        let protocol = Protocol::Influx(InfluxWrite { db, precision });
        let (ours, refused_count) = read(protocol, bytes).expect("lines are refused alone");
        if bytes.contains(&b'"') || precision == Hours {
            continue;
        }
        let (mut apart, mut refused_apart) = (Read::new(), 0);
        for line in bytes.split(|byte| *byte == b'\n') {
            let one = INGEST.read_as(protocol, line).expect("lines are refused alone");
            refused_apart += one.refused_count;
            for new in one.batches.iter().flat_map(|batch| &batch.new) {
                let samples = new.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
                apart.entry(new.labels.to_string()).or_default().extend(samples);
            }
        }
        assert_eq!((ours, refused_count), (sorted(apart), refused_apart), "lines together and apart");
    }
}

/// Whatever lines come, a flush can store what they add up to, and what is counted never falls.
pub(super) fn statsd(bytes: &[u8]) {
    let clock = Clock::manual(NOW_MS);
    let options = StatsdOptions { series_max: 16, idle_timeout: Duration::from_secs(3600) };
    let mut statsd = Statsd::new(options, clock.clone(), Arc::<StatsdCounters>::default());
    let mut before = BTreeMap::new();
    for _ in 0..2 {
        statsd.take(bytes);
        clock.advance(Duration::from_secs(10));
        let flushed = INGEST.read_flush(&mut statsd).expect("what is kept is bounded");
        assert_eq!(flushed.refused_count, 0, "a flush meets no series that it cannot store");
        for new in flushed.batches.iter().flat_map(|batch| &batch.new) {
            let value = new.samples.last().map(|sample| sample.value).expect("a series without samples is left out");
            assert!(value.is_finite(), "{} is {value}", new.labels);
            let name = new.labels.metric_name().expect("every series has a name");
            let is_counted = new.labels.get("le").is_some() || name.ends_with("_total") && !is_gauge(name, bytes);
            let last = before.insert(new.labels.to_string(), value);
            assert!(!is_counted || last.is_none_or(|last| last <= value), "{} fell to {value}", new.labels);
        }
    }
    let _ = statsd.first_refused();
}

/// Whether a gauge or a set could have this name.
fn is_gauge(name: &str, lines: &[u8]) -> bool {
    let base = name.trim_end_matches("_total");
    base.len() + "_total".len() < name.len() || String::from_utf8_lossy(lines).contains("total")
}

/// What `serde_json` reads as a line of the form is read alike, and what is read is written such that it is read again.
pub(super) fn json_lines(bytes: &[u8]) {
    let extra = [("job".to_owned(), "shop".to_owned())];
    for extra in [&extra[..], &[]] {
        read(Protocol::JsonLines(extra), bytes).expect("lines are refused alone");
    }
    let mut line = JsonLine::default();
    for text in bytes.split(|byte| *byte == b'\n') {
        let is_read = line.read(text, 100_000);
        if let Ok(expected) = serde_json::from_slice::<StrictLine>(text)
            && expected.is_whole()
        {
            assert_eq!(is_read, Ok(()), "serde_json reads it");
            expected.assert_is(&line);
        }
        if is_read.is_ok() {
            is_read_again(&line);
        }
    }
}

/// A line in which every value is a number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictLine {
    metric: BTreeMap<String, String>,
    values: Vec<f64>,
    timestamps: Vec<i64>,
}

impl StrictLine {
    fn is_whole(&self) -> bool {
        let label_count = self.metric.values().filter(|value| !value.is_empty()).count();
        (1..=60).contains(&label_count) && !self.values.is_empty() && self.values.len() == self.timestamps.len()
    }

    fn assert_is(&self, line: &JsonLine) {
        // Of a name that stands twice the map has the last value, and the line has both.
        let has = |name: &str, value: &str| line.labels().any(|own| own == (name, value)) || value.is_empty();
        assert!(self.metric.iter().all(|(name, value)| has(name, value)), "labels");
        assert!(line.samples().map(|(at_ms, _)| at_ms).eq(self.timestamps.iter().copied()), "timestamps");
        // serde_json's numbers may be the neighbours of the nearest ones.
        let is_near = |(ours, theirs): (f64, &f64)| {
            (ours - theirs).abs() <= theirs.abs() * 1e-15 + f64::MIN_POSITIVE && ours.is_finite()
        };
        assert!(line.samples().map(|(_, value)| value).zip(&self.values).all(is_near), "values");
    }
}

fn is_read_again(line: &JsonLine) {
    let Ok(labels) = Labels::from_pairs(line.labels()) else { return };
    let (timestamps_ms, values): (Vec<i64>, Vec<f64>) = line.samples().unzip();
    let (mut text, mut again) = (Vec::new(), JsonLine::default());
    append_line(&labels, &timestamps_ms, &values, &mut text);
    again.read(&text, usize::MAX).expect("what is written is read");
    assert!(again.labels().eq(labels.iter()), "labels");
    let bits = |(at_ms, value): (i64, f64)| (at_ms, value.to_bits());
    assert!(again.samples().map(bits).eq(line.samples().map(bits)), "samples");
}
