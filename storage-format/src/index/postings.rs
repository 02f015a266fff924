//! Label names, their values, and which series have them.

use roaring::RoaringBitmap;

use super::{Parts, PostingsList, Symbols};
use crate::Corruption;
use crate::bytes::u32_at;

/// Width of a name's entry: symbol, first pair, list offset.
pub(super) const NAME_BYTES: usize = 12;
/// Width of a pair's entry: symbol, list offset.
pub(super) const PAIR_BYTES: usize = 8;

/// All label names of a block together, as texts.
pub const NAMES_BYTES_MAX: usize = 16 << 20;

/// The postings region, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostingsTable<'a> {
    names: Parts<'a>,
    pairs: Parts<'a>,
    lists: Parts<'a>,
    symbols: Symbols<'a>,
    series_count: u32,
}

impl<'a> PostingsTable<'a> {
    /// `series_count` bounds what a list may name.
    pub(crate) fn open(
        parts: Parts<'a>,
        symbols: Symbols<'a>,
        series_count: u32,
    ) -> Result<PostingsTable<'a>, Corruption> {
        let (head, end) = parts.table(0, 2, 4)?;
        let (names, end) = parts.table(end, head.number(0), NAME_BYTES)?;
        let (pairs, end) = parts.table(end, head.number(1), PAIR_BYTES)?;
        let lists = parts.part(end, parts.bytes.len());
        Ok(PostingsTable { names, pairs, lists, symbols, series_count })
    }

    /// Number of series, below which postings lie.
    pub(super) fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Number of label names.
    pub(super) fn name_count(&self) -> u32 {
        (self.names.bytes.len() / NAME_BYTES) as u32
    }

    fn pair_count(&self) -> u32 {
        (self.pairs.bytes.len() / PAIR_BYTES) as u32
    }

    /// All label names in byte order. Names that share their starts take more as texts than in the symbols; those of
    /// more than [`NAMES_BYTES_MAX`] are refused.
    pub(crate) fn label_names(&self) -> Result<Vec<String>, Corruption> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for name in 0..self.name_count() {
            let text = self.text(self.name_symbol(name))?;
            bytes += text.len();
            if bytes > NAMES_BYTES_MAX {
                return Err(self
                    .names
                    .corruption(name as usize * NAME_BYTES, "the names of labels are too long together"));
            }
            names.push(text);
        }
        Ok(names)
    }

    /// The values of a label in byte order; none if no series has the label.
    pub(crate) fn values_of(&self, name: &str) -> Result<ValuesOf<'a>, Corruption> {
        let (next, end) = match self.find_name(name)? {
            Some(name) => self.pairs_of(name)?,
            None => (0, 0),
        };
        Ok(ValuesOf { table: *self, next, end })
    }

    /// The series that have a label of this name, whatever its value.
    pub(crate) fn postings_of_name(&self, name: &str) -> Result<RoaringBitmap, Corruption> {
        match self.find_name(name)? {
            Some(name) => self.list(name as usize)?.read(),
            None => Ok(RoaringBitmap::new()),
        }
    }

    /// The series with a label pair.
    pub(crate) fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Corruption> {
        match self.find_pair(name, value)? {
            Some((_, pair)) => self.pair_list(pair)?.read(),
            None => Ok(RoaringBitmap::new()),
        }
    }

    /// The numbers of a label pair and of its name, if a series has it.
    pub(crate) fn find_pair(&self, name: &str, value: &str) -> Result<Option<(u32, u32)>, Corruption> {
        let (Some(name), Some(value)) = (self.find_name(name)?, self.symbols.lookup(value)?) else { return Ok(None) };
        let (first, end) = self.pairs_of(name)?;
        Ok(find(first, end, value, |pair| self.pair_symbol(pair)).map(|pair| (name, pair)))
    }

    fn find_name(&self, name: &str) -> Result<Option<u32>, Corruption> {
        let Some(symbol) = self.symbols.lookup(name)? else { return Ok(None) };
        Ok(find(0, self.name_count(), symbol, |name| self.name_symbol(name)))
    }

    /// The pairs of a name: the first, and the one behind the last.
    pub(super) fn pairs_of(&self, name: u32) -> Result<(u32, u32), Corruption> {
        let first_pair = |name: u32| u32_at(self.names.bytes, name as usize * NAME_BYTES + 4);
        let first = first_pair(name);
        let end = if name + 1 < self.name_count() { first_pair(name + 1) } else { self.pair_count() };
        if first > end || end > self.pair_count() {
            return Err(self.names.corruption(name as usize * NAME_BYTES, "a label has pairs that do not exist"));
        }
        Ok((first, end))
    }

    fn name_symbol(&self, name: u32) -> u32 {
        u32_at(self.names.bytes, name as usize * NAME_BYTES)
    }

    /// Number of texts that entries are made of: a key below it stands for a name or, behind those, for a pair's value.
    pub(crate) fn key_count(&self) -> usize {
        self.name_count() as usize + self.pair_count() as usize
    }

    /// The key of a pair's value; that of a name is its number.
    pub(super) fn value_key(&self, pair: u32) -> usize {
        self.name_count() as usize + pair as usize
    }

    /// The symbol of a key.
    pub(super) fn key_symbol(&self, key: usize) -> u32 {
        match key.checked_sub(self.name_count() as usize) {
            None => self.name_symbol(key as u32),
            Some(pair) => self.pair_symbol(pair as u32),
        }
    }

    fn pair_symbol(&self, pair: u32) -> u32 {
        u32_at(self.pairs.bytes, pair as usize * PAIR_BYTES)
    }

    /// Appends the text of a symbol that this table names.
    pub(super) fn append_text(&self, symbol: u32, text: &mut String) -> Result<(), Corruption> {
        self.symbols.append_text(symbol, text)
    }

    fn text(&self, symbol: u32) -> Result<String, Corruption> {
        let mut text = String::new();
        self.append_text(symbol, &mut text)?;
        Ok(text)
    }

    fn pair_list(&self, pair: u32) -> Result<PostingsList<'a>, Corruption> {
        self.list(self.name_count() as usize + pair as usize)
    }

    /// The list at a position among those of all names and then all pairs.
    pub(super) fn list(&self, index: usize) -> Result<PostingsList<'a>, Corruption> {
        let name_count = self.name_count() as usize;
        let offset = |index: usize| match index.checked_sub(name_count) {
            None => u32_at(self.names.bytes, index * NAME_BYTES + 8),
            Some(pair) => u32_at(self.pairs.bytes, pair * PAIR_BYTES + 4),
        };
        let is_last = index + 1 == name_count + self.pair_count() as usize;
        let end = if is_last { self.lists.bytes.len() } else { offset(index + 1) as usize };
        let outside = self.lists.corruption(0, "a postings list lies outside of its region");
        PostingsList::open(*self, index, self.lists.checked_part(offset(index), end).ok_or(outside)?)
    }
}

/// The number within `low..high` whose symbol it is; symbols ascend with the numbers.
fn find(mut low: u32, mut high: u32, symbol: u32, symbol_of: impl Fn(u32) -> u32) -> Option<u32> {
    let end = high;
    while low < high {
        let middle = low + (high - low) / 2;
        if symbol_of(middle) < symbol { low = middle + 1 } else { high = middle }
    }
    (low < end && symbol_of(low) == symbol).then_some(low)
}

/// The values of one label, as an iterator of text and list.
#[derive(Clone, Debug)]
pub struct ValuesOf<'a> {
    table: PostingsTable<'a>,
    next: u32,
    end: u32,
}

impl<'a> Iterator for ValuesOf<'a> {
    type Item = Result<(String, PostingsList<'a>), Corruption>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let pair = self.next;
        self.next += 1;
        let value = self.table.text(self.table.pair_symbol(pair));
        Some(value.and_then(|value| Ok((value, self.table.pair_list(pair)?))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}
