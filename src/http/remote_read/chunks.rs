//! An answer in frames, each a message with some chunks of one series:
//!
//! ```text
//! ┌──────────────────┬─────────────────┬──────────────────────────────────────────────────────────┐
//! │ length (uvarint) │ CRC-32C (4, BE) │ ChunkedReadResponse { ChunkedSeries { labels, chunks }, query } │
//! └──────────────────┴─────────────────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! A chunk holds numbers or native histograms. Where a series has both, chunks of both take turns, in order of time.

use std::sync::Arc;

use super::super::protobuf::Message;
use super::message;
use super::xor::CHUNK_SAMPLES;
use super::{histogram, xor};
use crate::model::{FloatHistogram, Labels};
use crate::storage::view::Columns;

/// Longest message of a frame, in bytes.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;
/// Room for what stands around the chunks of a frame, and around one chunk, beside the labels.
const ENVELOPE_BYTES: usize = 64;
/// `Chunk.Encoding.XOR`.
const XOR: i64 = 1;
/// `Chunk.Encoding.FLOAT_HISTOGRAM`: counts are floats here, whatever they were when they were sent.
const FLOAT_HISTOGRAM: i64 = 3;

/// Samples of one series, as they are read: the numbers ascending, and the histograms.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) numbers: Columns,
    pub(super) histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

impl Samples {
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.histograms.clear();
    }
}

struct Chunk {
    from_ms: i64,
    to_ms: i64,
    encoding: i64,
    data: Vec<u8>,
}

/// Gives the frames of one series to `send`, in order; none of a series without samples.
pub(super) fn frames<E>(
    labels: &Labels,
    samples: &Samples,
    query_index: usize,
    mut send: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut label_fields = Message::default();
    message::labels(&mut label_fields, labels);
    // Labels are bounded to much less than a frame when they are stored.
    let room = FRAME_BYTES_MAX.saturating_sub(label_fields.bytes_count() + ENVELOPE_BYTES);
    let (mut held, mut held_bytes) = (Vec::new(), 0);
    let (mut numbers_done, mut histograms_done) = (0, 0);
    while let Some(chunk) = next_chunk(samples, &mut numbers_done, &mut histograms_done) {
        let bytes = chunk.data.len() + ENVELOPE_BYTES;
        if held_bytes + bytes > room && !held.is_empty() {
            send_frame(labels, &held, query_index, &mut send)?;
            held.clear();
            held_bytes = 0;
        }
        held_bytes += bytes;
        held.push(chunk);
    }
    if held.is_empty() { Ok(()) } else { send_frame(labels, &held, query_index, &mut send) }
}

/// The chunk behind so many numbers and histograms, which are then more.
fn next_chunk(samples: &Samples, numbers_done: &mut usize, histograms_done: &mut usize) -> Option<Chunk> {
    let times_ms = &samples.numbers.timestamps_ms[*numbers_done..];
    let histograms = &samples.histograms[*histograms_done..];
    let mut data = Vec::new();
    let count = match histograms.first() {
        Some((histogram_ms, _)) => times_ms.partition_point(|time_ms| time_ms < histogram_ms),
        None => times_ms.len(),
    };
    if count > 0 {
        let count = count.min(CHUNK_SAMPLES);
        let values = &samples.numbers.values[*numbers_done..];
        xor::encode(&times_ms[..count], &values[..count], &mut data);
        *numbers_done += count;
        return Some(Chunk { from_ms: times_ms[0], to_ms: times_ms[count - 1], encoding: XOR, data });
    }
    let (from_ms, _) = histograms.first()?;
    let until = match times_ms.first() {
        Some(number_ms) => histograms.partition_point(|(time_ms, _)| time_ms < number_ms),
        None => histograms.len(),
    };
    let count = histogram::encode(&histograms[..until], &mut data);
    *histograms_done += count;
    Some(Chunk { from_ms: *from_ms, to_ms: histograms[count - 1].0, encoding: FLOAT_HISTOGRAM, data })
}

fn send_frame<E>(
    labels: &Labels,
    chunks: &[Chunk],
    query_index: usize,
    send: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (mut response, mut frame) = (Message::default(), Message::default());
    response.message(1, |series| {
        message::labels(series, labels);
        for one in chunks {
            series.message(2, |chunk| {
                chunk.number(1, one.from_ms);
                chunk.number(2, one.to_ms);
                chunk.number(3, one.encoding);
                chunk.bytes(4, &one.data);
            });
        }
    });
    response.number(2, i64::try_from(query_index).expect("the number of queries is bounded"));
    frame.varint(response.bytes_count() as u64);
    send(frame.as_slice())?;
    send(&crc32c::crc32c(response.as_slice()).to_be_bytes())?;
    send(response.as_slice())
}
