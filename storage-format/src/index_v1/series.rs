//! The series of an index in label order, each with where its chunks lie.

use super::Symbols;
use super::symbols::{open_table, table_entry};
use crate::Corruption;
use crate::bytes::Cursor;

/// Where a chunk lies and which time it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Timestamp of the first sample, ms since 1970 UTC.
    pub min_timestamp_ms: i64,
    /// Timestamp of the last sample, ms since 1970 UTC.
    pub max_timestamp_ms: i64,
    /// Where the stored chunk starts in the file.
    pub offset: u64,
    /// Length of the stored chunk in bytes.
    pub length: u32,
}

/// One series of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesEntry<'a> {
    /// Name and value, sorted by name.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its chunks in order of their first timestamps.
    pub chunks: Vec<ChunkMeta>,
}

/// The series region, read in place.
#[derive(Clone, Copy, Debug)]
pub struct SeriesTable<'a> {
    count: u32,
    offsets: &'a [u8],
    entries: &'a [u8],
    symbols: Symbols<'a>,
    min_time_ms: i64,
}

impl<'a> SeriesTable<'a> {
    /// Takes the region apart. `min_time_ms` is the block's, from which chunk times are told.
    pub fn open(region: &'a [u8], symbols: Symbols<'a>, min_time_ms: i64) -> Result<SeriesTable<'a>, Corruption> {
        let (count, offsets, entries) = open_table(region)?;
        Ok(SeriesTable { count, offsets, entries, symbols, min_time_ms })
    }

    /// Number of series.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The series at a position that postings name.
    pub fn get(&self, index: u32) -> Result<SeriesEntry<'a>, Corruption> {
        let mut entry = SeriesEntry::default();
        self.read(index, &mut entry)?;
        Ok(entry)
    }

    /// As [`SeriesTable::get`], with the room of an entry that was read before.
    pub fn read(&self, index: u32, entry: &mut SeriesEntry<'a>) -> Result<(), Corruption> {
        let place = Corruption { offset: 4 + 4 * u64::from(index), what: "a series lies outside of its region" };
        let bytes = table_entry(self.count, self.offsets, self.entries, index).ok_or(place)?;
        self.parse(bytes, entry).map_err(|corruption| {
            let start = bytes.as_ptr().addr() - self.entries.as_ptr().addr();
            corruption.moved((4 + self.offsets.len() + start) as u64)
        })
    }

    fn parse(&self, bytes: &'a [u8], entry: &mut SeriesEntry<'a>) -> Result<(), Corruption> {
        let mut cursor = Cursor::new(bytes);
        entry.labels.clear();
        for _ in 0..cursor.count(2)? {
            let at = cursor.position();
            let (name, value) = (cursor.varint_u32()?, cursor.varint_u32()?);
            let symbol = |symbol| self.symbols.get(symbol).map_err(|cause| Corruption::at(at, cause.what));
            entry.labels.push((symbol(name)?, symbol(value)?));
        }
        self.parse_chunks(&mut cursor, &mut entry.chunks)?;
        cursor.expect_end()
    }

    fn parse_chunks(&self, cursor: &mut Cursor<'_>, chunks: &mut Vec<ChunkMeta>) -> Result<(), Corruption> {
        chunks.clear();
        let mut end = 0u64;
        for _ in 0..cursor.count(4)? {
            let at = cursor.position();
            let overflow = Corruption::at(at, "the place of a chunk is out of range");
            let min_timestamp_ms = self.min_time_ms.wrapping_add(cursor.zigzag()?);
            let max_timestamp_ms = min_timestamp_ms.checked_add_unsigned(cursor.varint()?).ok_or(overflow)?;
            let offset = end.checked_add(cursor.varint()?).ok_or(overflow)?;
            let length = cursor.varint_u32()?;
            end = offset.checked_add(u64::from(length)).ok_or(overflow)?;
            chunks.push(ChunkMeta { min_timestamp_ms, max_timestamp_ms, offset, length });
        }
        Ok(())
    }
}
