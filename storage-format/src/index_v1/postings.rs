//! Which series have a label pair.

use super::Symbols;
use crate::Corruption;
use crate::bytes::{Cursor, u32_at};

/// Width of a table entry: name, value, offset, count.
const ENTRY_BYTES: usize = 16;

/// The postings region, read in place.
#[derive(Clone, Copy, Debug)]
pub struct PostingsTable<'a> {
    entries: &'a [u8],
    lists: &'a [u8],
    symbols: Symbols<'a>,
    series_count: u32,
    /// What is added to the offsets of errors.
    base: u64,
}

/// One entry of the table.
#[derive(Clone, Copy)]
struct Entry {
    name: u32,
    value: u32,
    offset: u32,
    count: u32,
}

impl<'a> PostingsTable<'a> {
    /// Takes the region apart. `series_count` bounds what a list may name.
    pub fn open(region: &'a [u8], symbols: Symbols<'a>, series_count: u32) -> Result<PostingsTable<'a>, Corruption> {
        if region.len() < 4 {
            return Err(Corruption::at(region.len(), "the postings end before their count"));
        }
        let entries_bytes = u64::from(u32_at(region, 0)) * ENTRY_BYTES as u64;
        if entries_bytes > region.len() as u64 - 4 {
            return Err(Corruption::at(0, "the postings have more entries than bytes"));
        }
        let (entries, lists) = region[4..].split_at(entries_bytes as usize);
        Ok(PostingsTable { entries, lists, symbols, series_count, base: 0 })
    }

    /// The same, with errors told from the start of the file in which the region lies at `base`.
    pub(crate) fn based(self, base: u64) -> PostingsTable<'a> {
        PostingsTable { base, ..self }
    }

    /// Number of label pairs.
    pub fn pair_count(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    /// All label names in byte order.
    pub fn label_names(&self) -> Result<Vec<&'a str>, Corruption> {
        let mut names = Vec::new();
        let mut index = 0;
        while index < self.pair_count() {
            let name = self.entry(index).name;
            names.push(self.symbol(name, index)?);
            index = self.first_at_least(name, u32::MAX).max(index + 1);
        }
        Ok(names)
    }

    /// The values of a label in byte order, each with its series; none if no series has the label.
    pub fn values_of(&self, name: &str) -> Result<ValuesOf<'a>, Corruption> {
        let range = match self.symbols.lookup(name)? {
            Some(name) => self.first_at_least(name, 0)..self.first_at_least(name, u32::MAX),
            None => 0..0,
        };
        Ok(ValuesOf { table: *self, next: range.start, end: range.end })
    }

    /// The series with a label pair, ascending; none if no series has it.
    pub fn postings(&self, name: &str, value: &str) -> Result<Vec<u32>, Corruption> {
        let mut series = Vec::new();
        let (Some(name), Some(value)) = (self.symbols.lookup(name)?, self.symbols.lookup(value)?) else {
            return Ok(series);
        };
        let index = self.first_at_least(name, value);
        if index < self.pair_count() && (self.entry(index).name, self.entry(index).value) == (name, value) {
            self.list(index).read(&mut series)?;
        }
        Ok(series)
    }

    /// The index of the first entry whose pair is not below (`name`, `value`). No symbol is `u32::MAX`: a table of so
    /// many would not fit its region.
    fn first_at_least(&self, name: u32, value: u32) -> usize {
        let (mut low, mut high) = (0, self.pair_count());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle);
            if (entry.name, entry.value) < (name, value) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn entry(&self, index: usize) -> Entry {
        let at = index * ENTRY_BYTES;
        let field = |number: usize| u32_at(self.entries, at + 4 * number);
        Entry { name: field(0), value: field(1), offset: field(2), count: field(3) }
    }

    /// The text of a symbol that the entry at `index` names.
    fn symbol(&self, symbol: u32, index: usize) -> Result<&'a str, Corruption> {
        let offset = self.entry_offset(index);
        self.symbols.get(symbol).map_err(|cause| Corruption { offset, what: cause.what })
    }

    fn entry_offset(&self, index: usize) -> u64 {
        self.base + (4 + index * ENTRY_BYTES) as u64
    }

    fn list(&self, index: usize) -> PostingsList<'a> {
        let entry = self.entry(index);
        let end = if index + 1 < self.pair_count() { self.entry(index + 1).offset as usize } else { self.lists.len() };
        PostingsList {
            bytes: self.lists.get(entry.offset as usize..end),
            at: self.entry_offset(index),
            lists_at: self.base + (4 + self.entries.len()) as u64 + u64::from(entry.offset),
            count: entry.count,
            series_count: self.series_count,
        }
    }
}

/// The values of one label, as an iterator of text and list.
#[derive(Clone, Debug)]
pub struct ValuesOf<'a> {
    table: PostingsTable<'a>,
    next: usize,
    end: usize,
}

impl<'a> Iterator for ValuesOf<'a> {
    type Item = Result<(&'a str, PostingsList<'a>), Corruption>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let value = self.table.symbol(self.table.entry(index).value, index);
        Some(value.map(|value| (value, self.table.list(index))))
    }
}

/// The series of one label pair, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct PostingsList<'a> {
    bytes: Option<&'a [u8]>,
    at: u64,
    lists_at: u64,
    count: u32,
    series_count: u32,
}

impl PostingsList<'_> {
    /// Number of series.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends the series, ascending. After an error `series` may hold a part of the list.
    pub fn read(&self, series: &mut Vec<u32>) -> Result<(), Corruption> {
        let outside = Corruption { offset: self.at, what: "a postings list lies outside of its region" };
        let bytes = self.bytes.ok_or(outside)?;
        if self.count as usize > bytes.len() {
            return Err(outside);
        }
        series.reserve(self.count as usize);
        self.read_deltas(Cursor::new(bytes), series).map_err(|corruption| corruption.moved(self.lists_at))
    }

    fn read_deltas(&self, mut cursor: Cursor<'_>, series: &mut Vec<u32>) -> Result<(), Corruption> {
        let mut next = 0u64;
        for index in 0..self.count {
            let delta = u64::from(cursor.varint_u32()?);
            if index > 0 && delta == 0 {
                return Err(cursor.corruption("a postings list is not ascending"));
            }
            next += delta;
            if next >= u64::from(self.series_count) {
                return Err(cursor.corruption("a postings list names a series that does not exist"));
            }
            series.push(next as u32);
        }
        cursor.expect_end()
    }
}
