//! Remote write 1.0 from the sender's side: samples in, one compressed request body out.
//!
//! ```text
//! WriteRequest   1: TimeSeries, repeated
//! TimeSeries     1: Label, repeated    2: Sample, repeated
//! Label          1: name    2: value          Sample   1: value (double)    2: timestamp (int64, ms)
//! ```
//!
//! Labels are encoded once a series, ahead of time; a sample then costs a copy and a dozen bytes.
//!
//! ```
//! use dozor::demo::{RequestEncoder, encode_labels};
//! use dozor::model::Labels;
//! let labels = Labels::from_pairs([("__name__", "up")]).unwrap();
//! let mut label_bytes = Vec::new();
//! encode_labels(&labels, &mut label_bytes);
//! assert_eq!(label_bytes, b"\x0a\x0e\x0a\x08__name__\x12\x02up");
//! let mut encoder = RequestEncoder::new();
//! encoder.push(&label_bytes, 1_700_000_000_000, 1.0);
//! assert_eq!(encoder.sample_count(), 1);
//! let body = encoder.finish(); // snappy, ready to be posted
//! assert!(!body.is_empty());
//! ```
//!
//! Always true: a request has one sample for each time series in it, in the order in which they were pushed.

use crate::ingest::{append_bytes, append_fixed64, append_head, append_number, field_bytes, varint_bytes};
use crate::model::Labels;

/// Appends the labels as the `labels` fields of a `TimeSeries`, in order of their names.
pub fn encode_labels(labels: &Labels, bytes: &mut Vec<u8>) {
    for (name, value) in labels.iter() {
        append_head(bytes, 1, field_bytes(name.len()) + field_bytes(value.len()));
        append_bytes(bytes, 1, name.as_bytes());
        append_bytes(bytes, 2, value.as_bytes());
    }
}

/// Builds one request after another in the same buffers.
pub struct RequestEncoder {
    message: Vec<u8>,
    body: Vec<u8>,
    sample_count: usize,
    snappy: snap::raw::Encoder,
}

impl std::fmt::Debug for RequestEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestEncoder({} samples, {} bytes)", self.sample_count, self.message.len())
    }
}

impl Default for RequestEncoder {
    fn default() -> RequestEncoder {
        RequestEncoder::new()
    }
}

impl RequestEncoder {
    /// Without samples.
    pub fn new() -> RequestEncoder {
        RequestEncoder { message: Vec::new(), body: Vec::new(), sample_count: 0, snappy: snap::raw::Encoder::new() }
    }

    /// Adds one sample of the series whose labels [`encode_labels`] has encoded.
    pub fn push(&mut self, label_bytes: &[u8], timestamp_ms: i64, value: f64) {
        // Protobuf's int64 is two's complement in 64 bits: a time before 1970 takes ten bytes.
        let timestamp = timestamp_ms as u64;
        let sample_bytes = 1 + 8 + 1 + varint_bytes(timestamp);
        append_head(&mut self.message, 1, label_bytes.len() + field_bytes(sample_bytes));
        self.message.extend_from_slice(label_bytes);
        append_head(&mut self.message, 2, sample_bytes);
        append_fixed64(&mut self.message, 1, value.to_bits());
        append_number(&mut self.message, 2, timestamp);
        self.sample_count += 1;
    }

    /// Samples pushed since the last [`RequestEncoder::finish`].
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    /// Bytes of the message so far, before compression.
    pub fn message_bytes(&self) -> usize {
        self.message.len()
    }

    /// Compresses what was pushed into a request body and starts the next one.
    pub fn finish(&mut self) -> &[u8] {
        self.body.resize(snap::raw::max_compress_len(self.message.len()), 0);
        let bytes = self.snappy.compress(&self.message, &mut self.body);
        self.body.truncate(bytes.expect("the body has room for the worst case, and a message is far below 4 GiB"));
        self.message.clear();
        self.sample_count = 0;
        &self.body
    }
}
