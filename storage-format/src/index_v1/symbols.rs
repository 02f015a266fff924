//! The texts of an index, each once, in byte order: position is identity.

use std::cmp::Ordering;

use crate::Corruption;
use crate::bytes::u32_at;

/// The symbol region, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    count: u32,
    offsets: &'a [u8],
    text: &'a [u8],
    /// What is added to the offsets of errors.
    base: u64,
}

impl<'a> Symbols<'a> {
    /// Takes the region apart; single symbols are checked as they are read.
    pub fn open(region: &'a [u8]) -> Result<Symbols<'a>, Corruption> {
        let (count, offsets, text) = open_table(region)?;
        Ok(Symbols { count, offsets, text, base: 0 })
    }

    /// The same, with errors told from the start of the file in which the region lies at `base`.
    pub(crate) fn based(self, base: u64) -> Symbols<'a> {
        Symbols { base, ..self }
    }

    /// Number of symbols.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The text of a symbol.
    pub fn get(&self, symbol: u32) -> Result<&'a str, Corruption> {
        std::str::from_utf8(self.bytes(symbol)?).map_err(|_| self.corruption(symbol, "a symbol is not UTF-8"))
    }

    /// The symbol of a text, if the index has it.
    pub fn lookup(&self, text: &str) -> Result<Option<u32>, Corruption> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.bytes(middle)?.cmp(text.as_bytes()) {
                Ordering::Equal => return Ok(Some(middle)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn bytes(&self, symbol: u32) -> Result<&'a [u8], Corruption> {
        table_entry(self.count, self.offsets, self.text, symbol)
            .ok_or(self.corruption(symbol, "a symbol lies outside of its region"))
    }

    fn corruption(&self, symbol: u32, what: &'static str) -> Corruption {
        Corruption { offset: self.base + 4 + 4 * u64::from(symbol), what }
    }
}

/// Takes apart `count u32, offsets u32[count + 1], entries`.
pub(super) fn open_table(region: &[u8]) -> Result<(u32, &[u8], &[u8]), Corruption> {
    if region.len() < 8 {
        return Err(Corruption::at(region.len(), "a table ends before its offsets"));
    }
    let count = u32_at(region, 0);
    let offsets_bytes = (u64::from(count) + 1) * 4;
    if offsets_bytes > region.len() as u64 - 4 {
        return Err(Corruption::at(0, "a table has more entries than bytes"));
    }
    let (offsets, entries) = region[4..].split_at(offsets_bytes as usize);
    if u32_at(offsets, 0) != 0 || u32_at(offsets, offsets.len() - 4) as usize != entries.len() {
        return Err(Corruption::at(4, "the offsets of a table do not span its entries"));
    }
    Ok((count, offsets, entries))
}

/// The bytes of one entry, if the index and its offsets are possible.
pub(super) fn table_entry<'a>(count: u32, offsets: &[u8], entries: &'a [u8], index: u32) -> Option<&'a [u8]> {
    if index >= count {
        return None;
    }
    let at = 4 * index as usize;
    entries.get(u32_at(offsets, at) as usize..u32_at(offsets, at + 4) as usize)
}
