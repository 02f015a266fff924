//! Columns of native histograms, floats among them.

use super::scratch::Scratch;
use super::{KIND_HISTOGRAMS, read};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint};
use crate::column::{self, Decoder, Effort, Numbers};
use crate::histogram::{Histogram, MARKER_BITS, PagesReader, encode_pages, is_marker};

/// Appends the body of a column: floats, if there are any, then the histograms whose markers are among the values.
pub(super) fn append_body(
    values: &[f64],
    histograms: &[Histogram],
    effort: Effort,
    encoder: &mut column::Encoder,
    out: &mut Vec<u8>,
) {
    let markers = values.iter().filter(|value| is_marker(value.to_bits())).count();
    assert_eq!(markers, histograms.len(), "a histogram for each marker");
    let mut floats = Vec::new();
    if markers < values.len() {
        let plain = |value: &f64| if is_marker(value.to_bits()) { f64::from_bits(MARKER_BITS) } else { *value };
        let mut numbers = Numbers::default();
        numbers.read(&values.iter().map(plain).collect::<Vec<f64>>(), effort, None);
        encoder.encode(&numbers, effort, None, &mut floats);
    }
    append_varint(out, floats.len() as u64);
    out.extend_from_slice(&floats);
    encode_pages(histograms, effort, out);
}

/// The parts of a body: the values, with plain markers, and the histograms.
fn open_body<'a>(body: &'a [u8], count: usize, values: &mut Vec<f64>) -> Result<(PagesReader<'a>, u64), Corruption> {
    let start = values.len();
    let mut cursor = Cursor::new(body);
    let floats_bytes = cursor.count(1)?;
    let base = cursor.position() as u64;
    let floats = cursor.take(floats_bytes)?;
    if floats.is_empty() {
        values.resize(start + count, f64::from_bits(MARKER_BITS));
    } else {
        let read = Decoder::default().decode_values(floats, count, None, values);
        read.map_err(|corruption| corruption.moved(base))?;
    }
    let markers = values[start..].iter().filter(|value| value.to_bits() == MARKER_BITS).count();
    let pages_at = cursor.position();
    Ok((PagesReader::new(&body[pages_at..], markers), pages_at as u64))
}

/// Appends the values of a body of `count` samples, those of histograms their markers. On damage they are as before.
pub(super) fn append_values(body: &[u8], count: usize, values: &mut Vec<f64>) -> Result<(), Corruption> {
    let start = values.len();
    let appended = open_body(body, count, values).and_then(|(mut pages, pages_at)| {
        for value in values[start..].iter_mut().filter(|value| value.to_bits() == MARKER_BITS) {
            let histogram = pages.read().map_err(|corruption| corruption.moved(pages_at))?;
            *value = f64::from_bits(histogram.expect("as many as there are markers").marker());
        }
        pages.read().map_err(|corruption| corruption.moved(pages_at)).map(|_| ())
    });
    if appended.is_err() {
        values.truncate(start);
    }
    appended
}

/// Tells the histograms of one column of the group that is exactly these bytes, with their timestamps in ms, in order.
/// None for a column of floats. On damage those before it have been told.
pub fn read_histograms(
    bytes: &[u8],
    column: usize,
    scratch: &mut Scratch,
    mut tell: impl FnMut(i64, &Histogram),
) -> Result<(), Corruption> {
    let kept = scratch.take_head(bytes)?;
    let source = super::scratch::Source { head: &kept.head, bytes };
    let told = read::row_of(source, column).and_then(|row| {
        if row.kind != KIND_HISTOGRAMS {
            return Ok(());
        }
        let mut timestamps_ms = Vec::new();
        scratch.append_timestamps(source, row.timestamps, &mut timestamps_ms)?;
        let (at, body) = source.head.checked_body(bytes, row.body)?;
        let moved = |corruption: Corruption| corruption.moved(at as u64);
        let mut values = Vec::new();
        let (mut pages, pages_at) = open_body(body, timestamps_ms.len(), &mut values).map_err(moved)?;
        let marked = timestamps_ms.iter().zip(&values).filter(|(_, value)| value.to_bits() == MARKER_BITS);
        for (timestamp_ms, _) in marked {
            let histogram = pages.read().map_err(|corruption| moved(corruption.moved(pages_at)))?;
            tell(*timestamp_ms, histogram.expect("as many as there are markers"));
        }
        pages.read().map_err(|corruption| moved(corruption.moved(pages_at))).map(|_| ())
    });
    scratch.keep_head(kept);
    told
}
