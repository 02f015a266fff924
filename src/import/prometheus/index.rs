//! The index of a block, version 2: symbols, and series with their labels and chunks.
//!
//! ```text
//! magic │ version │ symbols │ series │ postings … │ table of contents (six offsets, crc32c)
//!
//! symbols   length u32 │ count u32 │ (length uvarint, text)… │ crc32c
//! series    each at a multiple of 16:
//!           length uvarint │ labels: count, (name, value)… as numbers of symbols │ chunks: count, (times, place)… │ crc32c
//! ```
//!
//! Postings are not read: every series is wanted.

use super::bytes::Bytes;
use crate::model::TimeRange;

const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;
const CONTENTS_BYTES: usize = 6 * 8 + 4;
/// Series begin at multiples of this.
const ALIGNMENT: usize = 16;

/// Where in the file, and what is wrong there.
pub(super) type Wrong = (usize, &'static str);

/// A series of the index, by where it lies.
pub(super) struct SeriesPlace {
    /// Offset of its entry, behind the length.
    at: usize,
    /// Bytes of the entry, without its checksum.
    length: usize,
    /// By this it is named in tombstones.
    pub(super) reference: u64,
    /// From its first chunk to its last.
    pub(super) span: TimeRange,
}

/// A chunk of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    pub(super) span: TimeRange,
    /// File (high 32 bits) and offset in it.
    pub(super) reference: u64,
}

/// What an index tells, but for the texts, which stay where they are.
pub(super) struct Index {
    /// Offset and length of each symbol.
    symbols: Vec<(usize, usize)>,
    pub(super) series: Vec<SeriesPlace>,
}

impl Index {
    /// Reads the index of a block, and looks at the checksum of everything that is used of it.
    pub(super) fn read(file: &[u8]) -> Result<Index, Wrong> {
        let mut head = Bytes::new(file);
        if head.u32() != Some(MAGIC) {
            return Err((0, "this is no index of a Prometheus block"));
        }
        if head.u8() != Some(VERSION) {
            return Err((4, "an index of a version that is not read: 2 is, which Prometheus 2 and 3 write"));
        }
        let (symbols, series, series_end) = contents(file)?;
        Ok(Index { symbols: read_symbols(file, symbols)?, series: read_all_series(file, series, series_end)? })
    }

    /// Names and values of a series, as the index has them.
    pub(super) fn labels<'a>(&self, file: &'a [u8], series: &SeriesPlace) -> Result<Vec<(&'a str, &'a str)>, Wrong> {
        let mut bytes = Bytes::new(&file[series.at..series.at + series.length]);
        let wrong = |what| (series.at, what);
        let count = bytes.length().ok_or(wrong("a series ends early"))?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let name = bytes.length().ok_or(wrong("a series ends early"))?;
            let value = bytes.length().ok_or(wrong("a series ends early"))?;
            pairs.push((self.symbol(file, name, series.at)?, self.symbol(file, value, series.at)?));
        }
        Ok(pairs)
    }

    fn symbol<'a>(&self, file: &'a [u8], number: usize, at: usize) -> Result<&'a str, Wrong> {
        let (offset, length) = *self.symbols.get(number).ok_or((at, "a series names a symbol that is not there"))?;
        std::str::from_utf8(&file[offset..offset + length]).map_err(|_| (offset, "a symbol is not UTF-8"))
    }

    /// The chunks of a series, in order of time.
    pub(super) fn chunks(file: &[u8], series: &SeriesPlace) -> Result<Vec<ChunkPlace>, Wrong> {
        read_chunks(&file[series.at..series.at + series.length]).ok_or((series.at, "the chunks of a series end early"))
    }
}

/// Offsets of symbols and series, and where those end.
fn contents(file: &[u8]) -> Result<(usize, usize, usize), Wrong> {
    let at = file.len().checked_sub(CONTENTS_BYTES).ok_or((0, "the index ends early"))?;
    let mut bytes = Bytes::new(&file[at..]);
    let mut offsets = [0; 6];
    for offset in &mut offsets {
        *offset = bytes.u64().expect("there are so many bytes");
    }
    if bytes.u32() != Some(crc32c::crc32c(&file[at..at + 6 * 8])) {
        return Err((at, "the checksum of the table of contents does not fit"));
    }
    let place = |offset: u64| usize::try_from(offset).ok().filter(|offset| *offset <= at);
    let symbols = place(offsets[0]).ok_or((at, "the symbols lie behind the end"))?;
    let series = place(offsets[1]).ok_or((at, "the series lie behind the end"))?;
    // Sections that are not written have the offset 0.
    let behind = offsets[2..].iter().filter_map(|offset| place(*offset)).filter(|offset| *offset > series);
    Ok((symbols, series, behind.min().unwrap_or(at)))
}

fn read_symbols(file: &[u8], at: usize) -> Result<Vec<(usize, usize)>, Wrong> {
    let ends_early = (at, "the symbols end early");
    let mut section = Bytes::new(&file[at..]);
    let length = section.u32().ok_or(ends_early)? as usize;
    let body = section.take(length).ok_or(ends_early)?;
    if section.u32().ok_or(ends_early)? != crc32c::crc32c(body) {
        return Err((at, "the checksum of the symbols does not fit"));
    }
    let mut bytes = Bytes::new(body);
    let count = bytes.u32().ok_or(ends_early)?;
    let mut symbols = Vec::new();
    for _ in 0..count {
        let length = bytes.length().ok_or(ends_early)?;
        // Behind the length of the section.
        let offset = at + 4 + bytes.at();
        bytes.take(length).ok_or(ends_early)?;
        symbols.push((offset, length));
    }
    Ok(symbols)
}

fn read_all_series(file: &[u8], start: usize, end: usize) -> Result<Vec<SeriesPlace>, Wrong> {
    let mut all = Vec::new();
    let mut at = start.next_multiple_of(ALIGNMENT);
    while at < end {
        let mut bytes = Bytes::new(&file[at..end]);
        let length = bytes.length().ok_or((at, "a series ends early"))?;
        if length == 0 {
            // Zeros before the next section.
            break;
        }
        let entry_at = at + bytes.at();
        let entry = bytes.take(length).ok_or((at, "a series is longer than its section"))?;
        if bytes.u32().ok_or((at, "a series ends early"))? != crc32c::crc32c(entry) {
            return Err((at, "the checksum of a series does not fit"));
        }
        let chunks = read_chunks(entry).ok_or((at, "the chunks of a series end early"))?;
        if let Some(span) = whole(&chunks) {
            all.push(SeriesPlace { at: entry_at, length, reference: (at / ALIGNMENT) as u64, span });
        }
        at = (at + bytes.at()).next_multiple_of(ALIGNMENT);
    }
    Ok(all)
}

fn whole(chunks: &[ChunkPlace]) -> Option<TimeRange> {
    let spans = chunks.iter().map(|chunk| chunk.span);
    spans.reduce(|a, b| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) })
}

/// Reads the chunks of an entry, which follow its labels.
fn read_chunks(entry: &[u8]) -> Option<Vec<ChunkPlace>> {
    let mut bytes = Bytes::new(entry);
    for _ in 0..bytes.length()? {
        bytes.uvarint()?;
        bytes.uvarint()?;
    }
    let count = bytes.length()?;
    let mut chunks: Vec<ChunkPlace> = Vec::new();
    for _ in 0..count {
        let chunk = match chunks.last() {
            None => {
                let from_ms = bytes.varint()?;
                let to_ms = from_ms.checked_add_unsigned(bytes.uvarint()?)?;
                ChunkPlace { span: TimeRange { from_ms, to_ms }, reference: bytes.uvarint()? }
            }
            Some(last) => {
                // Unsigned, and yet a step back where chunks overlap: it wraps as it did when written.
                let from_ms = last.span.to_ms.wrapping_add_unsigned(bytes.uvarint()?);
                let to_ms = from_ms.checked_add_unsigned(bytes.uvarint()?)?;
                let reference = last.reference.wrapping_add_signed(bytes.varint()?);
                ChunkPlace { span: TimeRange { from_ms, to_ms }, reference }
            }
        };
        chunks.push(chunk);
    }
    Some(chunks)
}
