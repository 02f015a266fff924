//! Protobuf messages, written field by field, and those that both kinds of answer have.

use crate::model::{CounterResetHint, FloatHistogram, Labels, Side};
use crate::storage::view::Columns;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
/// A length of a message is written into this many bytes that are left for it: 28 bits, more than any answer has. Where
/// it is shorter, it is written in the longer form, which protobuf allows.
const LENGTH_BYTES: usize = 4;

/// A message under construction.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn bytes_count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    /// An `int64` or an enum.
    pub(super) fn number(&mut self, field: u32, number: i64) {
        self.tag(field, VARINT);
        self.varint(number.cast_unsigned());
    }

    /// A `sint32`.
    fn signed(&mut self, field: u32, number: i32) {
        let number = i64::from(number);
        self.number(field, number << 1 ^ number >> 63);
    }

    /// A `double`, bit by bit: a staleness marker stays one.
    fn double(&mut self, field: u32, value: f64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub(super) fn message<T>(&mut self, field: u32, write: impl FnOnce(&mut Message) -> T) -> T {
        self.tag(field, BYTES);
        let start = self.0.len();
        self.0.extend_from_slice(&[0; LENGTH_BYTES]);
        let written = write(self);
        let length = self.0.len() - start - LENGTH_BYTES;
        assert!(length < 1 << (7 * LENGTH_BYTES), "{length} bytes in one message: the bound on samples is too high");
        for (index, byte) in self.0[start..start + LENGTH_BYTES].iter_mut().enumerate() {
            let more = if index + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (length >> (7 * index) & 0x7f) as u8 | more;
        }
        written
    }

    fn doubles(&mut self, field: u32, values: &[f64]) {
        if !values.is_empty() {
            self.tag(field, BYTES);
            self.varint(values.len() as u64 * 8);
            values.iter().for_each(|value| self.0.extend_from_slice(&value.to_bits().to_le_bytes()));
        }
    }
}

/// `repeated Label labels = 1`.
pub(super) fn labels(series: &mut Message, labels: &Labels) {
    for (name, value) in labels.iter() {
        series.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }
}

/// `repeated Sample samples = 2`.
pub(super) fn samples(series: &mut Message, columns: &Columns) {
    for (time_ms, value) in columns.timestamps_ms.iter().zip(&columns.values) {
        series.message(2, |sample| {
            sample.double(1, *value);
            sample.number(2, *time_ms);
        });
    }
}

/// `repeated Histogram histograms = 4`, one of them, of float counts.
pub(super) fn histogram(series: &mut Message, time_ms: i64, histogram: &FloatHistogram) {
    let hint = match histogram.hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    series.message(4, |message| {
        message.double(2, histogram.count);
        message.double(3, histogram.sum);
        message.signed(4, histogram.schema);
        message.double(5, histogram.zero_threshold);
        message.double(7, histogram.zero_count);
        spans(message, 8, &histogram.negative);
        message.doubles(10, &histogram.negative.counts);
        spans(message, 11, &histogram.positive);
        message.doubles(13, &histogram.positive.counts);
        message.number(14, hint);
        message.number(15, time_ms);
        message.doubles(16, &histogram.custom_values);
    });
}

fn spans(message: &mut Message, field: u32, side: &Side) {
    for span in &side.spans {
        message.message(field, |one| {
            one.signed(1, span.offset);
            one.number(2, i64::from(span.length));
        });
    }
}
