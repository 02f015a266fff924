//! An answer in frames, each a message with some chunks of one series:
//!
//! ```text
//! ┌──────────────────┬─────────────────┬──────────────────────────────────────────────────────────┐
//! │ length (uvarint) │ CRC-32C (4, BE) │ ChunkedReadResponse { ChunkedSeries { labels, chunks }, query } │
//! └──────────────────┴─────────────────┴──────────────────────────────────────────────────────────┘
//! ```

use super::message::{self, Message};
use super::xor::{CHUNK_BYTES_MAX, CHUNK_SAMPLES, encode};
use crate::model::Labels;
use crate::storage::view::Columns;

/// Longest message of a frame, in bytes.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;
/// Room for what stands around the chunks of a frame, and around one chunk, beside the labels.
const ENVELOPE_BYTES: usize = 64;
/// `Chunk.Encoding.XOR`.
const XOR: i64 = 1;

/// Gives the frames of one series to `send`, in order; none of a series without samples.
pub(super) fn frames<E>(
    labels: &Labels,
    columns: &Columns,
    query_index: usize,
    mut send: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut label_fields = Message::default();
    message::labels(&mut label_fields, labels);
    // Labels are bounded to much less than a frame when they are stored.
    let room = FRAME_BYTES_MAX.saturating_sub(label_fields.bytes_count() + ENVELOPE_BYTES);
    let chunks_max = (room / (CHUNK_BYTES_MAX + ENVELOPE_BYTES)).max(1);
    let query_index = i64::try_from(query_index).expect("the number of queries is bounded");
    let (mut response, mut data, mut frame) = (Message::default(), Vec::new(), Message::default());
    let per_frame = chunks_max * CHUNK_SAMPLES;
    for (times_ms, values) in columns.timestamps_ms.chunks(per_frame).zip(columns.values.chunks(per_frame)) {
        response.clear();
        response.message(1, |series| {
            message::labels(series, labels);
            for (times_ms, values) in times_ms.chunks(CHUNK_SAMPLES).zip(values.chunks(CHUNK_SAMPLES)) {
                encode(times_ms, values, &mut data);
                series.message(2, |chunk| {
                    chunk.number(1, times_ms[0]);
                    chunk.number(2, times_ms[times_ms.len() - 1]);
                    chunk.number(3, XOR);
                    chunk.bytes(4, &data);
                });
            }
        });
        response.number(2, query_index);
        frame.clear();
        frame.varint(response.bytes_count() as u64);
        send(frame.as_slice())?;
        send(&crc32c::crc32c(response.as_slice()).to_be_bytes())?;
        send(response.as_slice())?;
    }
    Ok(())
}
