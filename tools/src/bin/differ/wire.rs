//! Remote write 1.0, with native histograms.

use dozor::model::{CounterResetHint, FloatHistogram, Labels, Side};

use crate::data::{Given, Seen};

/// Requests with all samples of the series, to be written one after the other.
///
/// A receiver stores the floats of a request before its histograms, and drops what is then too old: a request has only
/// one kind of samples of a series.
pub(crate) fn requests(all: &[Given]) -> Vec<Vec<u8>> {
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for series in all {
        for (turn, run) in series.samples.chunk_by(|a, b| kind(&a.1) == kind(&b.1)).enumerate() {
            let mut body = labels(&series.labels);
            for (time_ms, seen) in run {
                match seen {
                    Seen::Number(value) => {
                        let mut sample = Vec::new();
                        double(&mut sample, 1, *value);
                        varint(&mut sample, 2, *time_ms as u64);
                        bytes(&mut body, 2, &sample);
                    }
                    Seen::Histogram { value, of_integers } => {
                        bytes(&mut body, 4, &histogram(*time_ms, value, *of_integers));
                    }
                }
            }
            if requests.len() <= turn {
                requests.push(Vec::new());
            }
            bytes(&mut requests[turn], 1, &body);
        }
    }
    requests
}

/// 0 are floats, 1 histograms of floats, 2 those of integers.
fn kind(seen: &Seen) -> u8 {
    match seen {
        Seen::Number(_) => 0,
        Seen::Histogram { of_integers, .. } => 1 + u8::from(*of_integers),
    }
}

fn labels(labels: &Labels) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in labels.iter() {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, name.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut body, 1, &pair);
    }
    body
}

fn histogram(time_ms: i64, value: &FloatHistogram, of_integers: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if of_integers {
        varint(&mut out, 1, value.count as u64);
    } else {
        double(&mut out, 2, value.count);
    }
    double(&mut out, 3, value.sum);
    varint(&mut out, 4, zigzag(value.schema.into()));
    double(&mut out, 5, value.zero_threshold);
    if of_integers {
        varint(&mut out, 6, value.zero_count as u64);
    } else {
        double(&mut out, 7, value.zero_count);
    }
    side(&mut out, [8, 9, 10], &value.negative, of_integers);
    side(&mut out, [11, 12, 13], &value.positive, of_integers);
    if value.hint == CounterResetHint::Gauge {
        varint(&mut out, 14, 3);
    }
    varint(&mut out, 15, time_ms as u64);
    packed(&mut out, 16, &value.custom_values);
    out
}

/// Fields: spans, differences of whole counts, counts.
fn side(out: &mut Vec<u8>, fields: [u64; 3], side: &Side, of_integers: bool) {
    for span in &side.spans {
        let mut body = Vec::new();
        varint(&mut body, 1, zigzag(span.offset.into()));
        varint(&mut body, 2, span.length.into());
        bytes(out, fields[0], &body);
    }
    if !of_integers {
        packed(out, fields[2], &side.counts);
        return;
    }
    let mut body = Vec::new();
    let mut before = 0;
    for count in &side.counts {
        plain(&mut body, zigzag(*count as i64 - before));
        before = *count as i64;
    }
    if !body.is_empty() {
        bytes(out, fields[1], &body);
    }
}

fn packed(out: &mut Vec<u8>, field: u64, values: &[f64]) {
    if !values.is_empty() {
        let body: Vec<u8> = values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
        bytes(out, field, &body);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn plain(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(out: &mut Vec<u8>, field: u64, value: u64) {
    plain(out, field << 3);
    plain(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    plain(out, field << 3 | 1);
    out.extend(value.to_bits().to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    plain(out, field << 3 | 2);
    plain(out, value.len() as u64);
    out.extend_from_slice(value);
}
