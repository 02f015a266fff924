//! Prometheus's JSON, written straight into the buffer that is sent.
//!
//! A vector of one series is
//! `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"shop"},"value":[4.500,"1"]}]}}`.
//! `resultType` stands before `result`: Grafana's streaming reader relies on it. Samples have their time in seconds with
//! three decimals or none, scalars and strings without closing zeros, and every value is a string: JSON has no NaN.

use std::time::Duration;

use bytes::Bytes;

use super::digits::Digits;
use crate::model::{FloatHistogram, Labels, format_float, format_plain};
use crate::query::{Answer, Sampled, Series, Used, Value};

/// Bytes that a point takes mostly: ten digits of time, as many of the value, and what is around them.
const POINT_BYTES: usize = 28;

/// JSON under construction.
pub(super) struct JsonText(Vec<u8>);

impl JsonText {
    pub(super) fn new() -> JsonText {
        JsonText(Vec::with_capacity(256))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Appends what is JSON already.
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Appends a string with its quotes, whatever characters it has.
    pub(super) fn string(&mut self, text: &str) {
        let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        self.0.push(b'"');
        if !text.bytes().fold(false, |any, byte| any | is_special(byte)) {
            self.raw(text);
            self.0.push(b'"');
            return;
        }
        let mut copied = 0;
        for (index, byte) in text.bytes().enumerate() {
            if !is_special(byte) {
                continue;
            }
            self.raw(&text[copied..index]);
            copied = index + 1;
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                _ => self.raw(&format!("\\u{byte:04x}")),
            }
        }
        self.raw(&text[copied..]);
        self.0.push(b'"');
    }

    /// Appends the items with commas between.
    pub(super) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut JsonText, T)) {
        self.0.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    pub(super) fn strings(&mut self, strings: impl IntoIterator<Item = impl AsRef<str>>) {
        self.list(strings, |text, string| text.string(string.as_ref()));
    }

    pub(super) fn labels(&mut self, labels: &Labels) {
        self.pairs(labels.iter());
    }

    /// Appends an object whose values are strings.
    pub(super) fn pairs<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
        self.0.push(b'{');
        for (index, (name, value)) in pairs.enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.string(name);
            self.0.push(b':');
            self.string(value);
        }
        self.0.push(b'}');
    }

    /// Appends `{"name":…,"value":…}` of each.
    pub(super) fn counts(&mut self, counts: &[(String, u64)]) {
        self.list(counts, |text, (name, count)| {
            text.raw(r#"{"name":"#);
            text.string(name);
            text.raw(&format!(r#","value":{count}}}"#));
        });
    }

    fn timestamp(&mut self, timestamp_ms: i64) {
        let mut digits = Digits::new();
        digits.put_timestamp(timestamp_ms);
        self.0.extend_from_slice(digits.as_bytes());
    }

    /// A number that is one in JSON; `null` for no number, NaN and infinities.
    pub(super) fn number_or_null(&mut self, value: Option<f64>) {
        match value.filter(|value| value.is_finite()) {
            Some(value) => self.raw(&value.to_string()),
            None => self.raw("null"),
        }
    }

    /// Seconds without zeros at the end.
    pub(super) fn seconds(&mut self, timestamp_ms: i64) {
        self.timestamp(timestamp_ms);
        if timestamp_ms % 1000 != 0 {
            while self.0.last() == Some(&b'0') {
                self.0.pop();
            }
        }
    }

    /// A sample's value, without quotes.
    fn value(&mut self, value: f64) {
        let mut digits = Digits::new();
        if digits.put_value(value) {
            self.0.extend_from_slice(digits.as_bytes());
        } else {
            self.raw(&format_float(value));
        }
    }

    /// `[time,"value"]`.
    fn point(&mut self, timestamp_ms: i64, value: f64) {
        let mut digits = Digits::new();
        digits.put(b"\"]");
        let is_whole = digits.put_value(value);
        if !is_whole {
            digits = Digits::new();
        }
        digits.put(b",\"");
        digits.put_timestamp(timestamp_ms);
        digits.put(b"[");
        self.0.extend_from_slice(digits.as_bytes());
        if !is_whole {
            self.raw(&format_float(value));
            self.raw("\"]");
        }
    }

    /// `[time,{"count":"3","sum":"1.5","buckets":[[rule,"from","to","2"],…]}]`, without the buckets that are empty. The
    /// rule says which bounds belong to a bucket: 0 the upper, 1 the lower, 2 neither, 3 both.
    fn histogram(&mut self, timestamp_ms: i64, histogram: &FloatHistogram) {
        self.0.push(b'[');
        self.timestamp(timestamp_ms);
        self.raw(r#",{"count":""#);
        self.value(histogram.count);
        self.raw(r#"","sum":""#);
        self.value(histogram.sum);
        self.raw("\"");
        let mut buckets = histogram.buckets().filter(|bucket| bucket.count != 0.0).peekable();
        if buckets.peek().is_some() {
            self.raw(r#","buckets":"#);
            self.list(buckets, |text, bucket| {
                text.0.extend_from_slice(&[b'[', b'0' + bucket.boundary_rule()]);
                for value in [bucket.lower, bucket.upper, bucket.count] {
                    text.raw(",\"");
                    text.value(value);
                    text.raw("\"");
                }
                text.0.push(b']');
            });
        }
        self.raw("}]");
    }
}

impl From<JsonText> for Bytes {
    fn from(text: JsonText) -> Bytes {
        Bytes::from(text.0)
    }
}

/// A successful answer whose data `write_data` appends, with annotations where there are any.
pub(super) fn success(warnings: &[String], infos: &[String], write_data: impl FnOnce(&mut JsonText)) -> JsonText {
    let mut text = JsonText::new();
    text.raw(r#"{"status":"success","data":"#);
    write_data(&mut text);
    for (key, annotations) in [(r#","warnings":"#, warnings), (r#","infos":"#, infos)] {
        if !annotations.is_empty() {
            text.raw(key);
            text.strings(annotations);
        }
    }
    text.raw("}");
    text
}

/// What an answer cost.
pub(super) struct Cost {
    /// How long it had waited for its turn.
    pub(super) queued: Duration,
    pub(super) used: Used,
    /// By step, where that was asked for: its time in ms, and samples.
    pub(super) steps: Option<Vec<(i64, u64)>>,
}

/// The answer to a query, with its cost where that is given.
pub(super) fn answer(answer: &Answer, cost: Option<&Cost>) -> JsonText {
    success(&answer.warnings, &answer.infos, |text| {
        text.raw(r#"{"resultType":"#);
        value(text, &answer.value);
        if let Some(cost) = cost {
            stats(text, cost);
        }
        text.raw("}");
    })
}

/// In Prometheus's names. Nothing is sorted behind the evaluation, which is one.
fn stats(text: &mut JsonText, Cost { queued, used, steps }: &Cost) {
    let seconds = |span: Duration| format_plain(span.as_secs_f64());
    for (name, value) in [
        (r#","stats":{"timings":{"evalTotalTime":"#, seconds(used.evaluation)),
        (r#","resultSortTime":0,"queryPreparationTime":"#, seconds(used.preparation)),
        (r#","innerEvalTime":"#, seconds(used.evaluation)),
        (r#","execQueueTime":"#, seconds(*queued)),
        (r#","execTotalTime":"#, seconds(used.preparation + used.evaluation)),
    ] {
        text.raw(name);
        text.raw(&value);
    }
    text.raw(r#"},"samples":{"#);
    if let Some(steps) = steps {
        text.raw(r#""totalQueryableSamplesPerStep":"#);
        text.list(steps, |text, (time_ms, samples)| {
            text.raw("[");
            text.seconds(*time_ms);
            text.raw(&format!(",{samples}]"));
        });
        text.raw(",");
    }
    let Used { queryable_samples, peak_samples, .. } = used;
    text.raw(&format!(r#""totalQueryableSamples":{queryable_samples},"peakSamples":{peak_samples}}}}}"#));
}

/// About how long a series gets: an answer that grows piece by piece is copied as often, and in memory twice.
fn bytes_of(series: &Series) -> usize {
    64 + 2 * series.labels.heap_bytes() + POINT_BYTES * series.points.len()
}

fn value(text: &mut JsonText, value: &Value) {
    match value {
        Value::Scalar(time_ms, number) => {
            text.raw(r#""scalar","result":["#);
            text.seconds(*time_ms);
            text.raw(",\"");
            text.raw(&format_plain(*number));
            text.raw("\"]");
        }
        Value::String(time_ms, string) => {
            text.raw(r#""string","result":["#);
            text.seconds(*time_ms);
            text.raw(",");
            text.string(string);
            text.raw("]");
        }
        Value::Vector(series) => {
            text.raw(r#""vector","result":"#);
            text.list(series, |text, (labels, time_ms, value)| {
                text.raw(r#"{"metric":"#);
                text.labels(labels);
                match value {
                    Sampled::Number(value) => {
                        text.raw(r#","value":"#);
                        text.point(*time_ms, *value);
                    }
                    Sampled::Histogram(value) => {
                        text.raw(r#","histogram":"#);
                        text.histogram(*time_ms, value);
                    }
                }
                text.raw("}");
            });
        }
        Value::Matrix(series) => {
            text.raw(r#""matrix","result":"#);
            text.0.reserve(series.iter().map(bytes_of).sum());
            text.list(series, |text, one| {
                text.raw(r#"{"metric":"#);
                text.labels(&one.labels);
                if !one.points.is_empty() {
                    text.raw(r#","values":"#);
                    let points = one.points.timestamps_ms.iter().zip(&one.points.values);
                    text.list(points, |text, (timestamp_ms, value)| text.point(*timestamp_ms, *value));
                }
                if !one.histograms.is_empty() {
                    text.raw(r#","histograms":"#);
                    text.list(&one.histograms, |text, (timestamp_ms, value)| text.histogram(*timestamp_ms, value));
                }
                text.raw("}");
            });
        }
    }
}
