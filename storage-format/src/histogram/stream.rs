//! Histograms one behind the other, as the head keeps them.

use std::sync::Arc;

use super::numbers::{append_bits, append_sum, append_whole, are_whole, read_bits, read_sum, read_whole};
use super::{HINT_MAX, Histogram, Layout};
use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};

/// Bits of the control byte.
mod control {
    pub(super) const HINT: u8 = 0x03;
    pub(super) const LAYOUT: u8 = 0x04;
    pub(super) const WHOLE: u8 = 0x08;
    pub(super) const STALE: u8 = 0x10;
    pub(super) const ALL: u8 = 0x1f;
}

/// What the next sample is told by.
#[derive(Clone, Debug, Default)]
struct State {
    timestamp_ms: i64,
    step_ms: i64,
    /// The last that was no plain stale marker.
    histogram: Histogram,
}

/// Encodes the samples of one stream into bytes that the caller keeps.
///
/// Only complete samples are ever in them, so any moment's bytes with [`Appender::count`] are a stream.
///
/// ```
/// use storage_format::histogram::{Appender, Histogram, Layout, Span, StreamReader};
/// let layout = Layout { positive: vec![Span { offset: -1, length: 2 }], ..Layout::default() };
/// let first = Histogram { layout: layout.into(), count: 3.0, sum: 2.5, positive: vec![1.0, 2.0], ..Histogram::default() };
/// let second = Histogram { count: 5.0, positive: vec![1.0, 4.0], ..first.clone() };
/// let (mut appender, mut stream) = (Appender::default(), Vec::new());
/// appender.append(&mut stream, 1_000, &first);
/// let first_bytes = stream.len();
/// appender.append(&mut stream, 16_000, &second);
/// assert_eq!(stream.len() - first_bytes, 3 + 1 + 1 + 1 + 1 + 1); // time, control, sum, a run, +2, count as foretold
/// let mut reader = StreamReader::new(&stream, appender.count());
/// reader.read().unwrap();
/// let (timestamp_ms, read) = reader.read().unwrap().expect("two samples");
/// assert!(timestamp_ms == 16_000 && read.same_bits(&second));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Appender {
    state: State,
    count: u32,
    ends_stale: bool,
}

impl Appender {
    /// Number of samples in the stream.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Timestamp of the last sample in ms since 1970 UTC; 0 before the first.
    pub fn last_timestamp(&self) -> i64 {
        self.state.timestamp_ms
    }

    /// Whether the last sample is the same to the last bit.
    pub fn last_is(&self, histogram: &Histogram) -> bool {
        match self.count {
            0 => false,
            _ if self.ends_stale => histogram.is_plain_stale(),
            _ => self.state.histogram.same_bits(histogram),
        }
    }

    /// Bytes that the state holds besides its own.
    pub fn heap_bytes(&self) -> usize {
        let Histogram { layout, positive, negative, .. } = &self.state.histogram;
        let spans = (layout.positive.capacity() + layout.negative.capacity()) * size_of::<super::Span>();
        (positive.capacity() + negative.capacity() + layout.custom_values.len()) * size_of::<f64>() + spans
    }

    /// Goes on behind a stream of `count` samples.
    pub fn resume(stream: &[u8], count: u32) -> Result<Appender, Corruption> {
        let mut reader = StreamReader::new(stream, count);
        while reader.read()?.is_some() {}
        Ok(Appender { state: reader.state, count, ends_stale: reader.is_stale })
    }

    /// Appends one sample. Any timestamps are possible; ascending and evenly spaced ones are the small ones. Panics when
    /// counts and layout do not fit each other.
    pub fn append(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, histogram: &Histogram) {
        histogram.assert_whole();
        let step_ms = timestamp_ms.wrapping_sub(self.state.timestamp_ms);
        append_zigzag(out, step_ms.wrapping_sub(self.state.step_ms));
        self.state.timestamp_ms = timestamp_ms;
        // The step to the first timestamp says nothing about the next.
        self.state.step_ms = if self.count == 0 { 0 } else { step_ms };
        self.count += 1;
        self.ends_stale = histogram.is_plain_stale();
        if self.ends_stale {
            return out.push(control::STALE);
        }
        self.append_histogram(out, histogram);
    }

    fn append_histogram(&mut self, out: &mut Vec<u8>, histogram: &Histogram) {
        let before = &mut self.state.histogram;
        let is_new = !Arc::ptr_eq(&before.layout, &histogram.layout) && before.layout != histogram.layout;
        if is_new {
            *before = before.laid_out(&histogram.layout);
        }
        let whole = are_whole(before, histogram);
        let flags = if is_new { control::LAYOUT } else { 0 } | if whole { control::WHOLE } else { 0 };
        out.push(histogram.hint | flags);
        if is_new {
            histogram.layout.encode(out);
        }
        append_sum(out, before.sum, histogram.sum);
        if whole {
            append_whole(out, before, histogram);
        } else {
            append_bits(out, before, histogram);
        }
        before.clone_from(histogram);
    }
}

/// Reads a stream sample by sample, into one histogram that it keeps.
#[derive(Clone, Debug)]
pub struct StreamReader<'a> {
    cursor: Cursor<'a>,
    left: u32,
    is_first: bool,
    is_stale: bool,
    state: State,
    stale: Histogram,
}

impl<'a> StreamReader<'a> {
    /// Of exactly these bytes, which hold `count` samples.
    pub fn new(stream: &'a [u8], count: u32) -> StreamReader<'a> {
        StreamReader {
            cursor: Cursor::new(stream),
            left: count,
            is_first: true,
            is_stale: false,
            state: State::default(),
            stale: Histogram::stale(),
        }
    }

    /// The next sample, or `None` behind the last. After damage there is no more.
    pub fn read(&mut self) -> Result<Option<(i64, &Histogram)>, Corruption> {
        if self.left == 0 {
            self.cursor.expect_end()?;
            return Ok(None);
        }
        self.left -= 1;
        if let Err(corruption) = self.read_sample() {
            self.left = 0;
            return Err(corruption);
        }
        Ok(Some((self.state.timestamp_ms, if self.is_stale { &self.stale } else { &self.state.histogram })))
    }

    fn read_sample(&mut self) -> Result<(), Corruption> {
        let cursor = &mut self.cursor;
        let step_ms = self.state.step_ms.wrapping_add(cursor.zigzag()?);
        self.state.timestamp_ms = self.state.timestamp_ms.wrapping_add(step_ms);
        self.state.step_ms = if std::mem::take(&mut self.is_first) { 0 } else { step_ms };
        let at = cursor.position();
        let flags = cursor.u8()?;
        if flags & !control::ALL != 0 || (flags & control::STALE != 0 && flags != control::STALE) {
            return Err(Corruption::at(at, "a control byte has flags without meaning"));
        }
        self.is_stale = flags == control::STALE;
        if self.is_stale {
            return Ok(());
        }
        let histogram = &mut self.state.histogram;
        if flags & control::LAYOUT != 0 {
            *histogram = histogram.laid_out(&Arc::new(Layout::decode(cursor)?));
        }
        histogram.hint = flags & control::HINT;
        read_sum(cursor, &mut histogram.sum)?;
        if flags & control::WHOLE != 0 { read_whole(cursor, histogram) } else { read_bits(cursor, histogram) }
    }
}

const _: () = assert!(control::HINT == HINT_MAX);
