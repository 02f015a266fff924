//! What reading many series need not do again: spell the texts that they share, and start their run anew.

use super::PostingsTable;
use super::entry::ColumnRef;
use super::series::{Place, SeriesTable};
use crate::Corruption;

/// Texts in one page of the table of those that were spelled.
const PAGE_TEXTS: usize = 64;
/// Texts of more bytes are forgotten before the next series is read.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// One series of a block.
///
/// Its texts lie in the [`SymbolCache`] that it was read with.
#[derive(Clone, Debug, Default)]
pub struct SeriesEntry {
    /// Where its samples are; groups ascend.
    pub columns: Vec<ColumnRef>,
    labels: Vec<(TextRange, TextRange)>,
    generation: u64,
}

impl SeriesEntry {
    /// Name and value of its labels, sorted by name. Panics if another series was read with `cache` since, and the
    /// cache had to forget the texts of this one.
    pub fn labels<'c>(&self, cache: &'c SymbolCache) -> impl ExactSizeIterator<Item = (&'c str, &'c str)> {
        assert_eq!(self.generation, cache.generation, "the texts of this entry are forgotten or in another cache");
        self.labels.iter().map(|(name, value)| (cache.text(*name), cache.text(*value)))
    }
}

/// Texts that were spelled, and where reading stands: for whoever reads many series, best in their order.
///
/// It may be used with one block after the other; it forgets what it knows of the one before. It holds at most the
/// texts of a block, and little more than 4 MiB of them.
#[derive(Debug, Default)]
pub struct SymbolCache {
    /// What the texts are of.
    owner: Option<u64>,
    /// Counts how often texts were forgotten.
    generation: u64,
    text: String,
    pages: Vec<Option<Box<[TextRange; PAGE_TEXTS]>>>,
    place: Place,
    /// Room for the labels of an entry.
    labels: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct TextRange {
    start: usize,
    end: usize,
}

/// A text that was not spelled yet.
const UNKNOWN: TextRange = TextRange { start: usize::MAX, end: usize::MAX };

impl SymbolCache {
    /// Reads a series of the block `owner`, whatever number that is.
    pub(crate) fn read(
        &mut self,
        owner: u64,
        tables: (&SeriesTable<'_>, &PostingsTable<'_>),
        series: u32,
        entry: &mut SeriesEntry,
    ) -> Result<(), Corruption> {
        let (series_table, postings) = tables;
        self.own(owner, postings);
        series_table.read(series, &mut self.place)?;
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        let known = series_table.labels(&self.place.entry, postings, &mut labels);
        let spelled = known.and_then(|()| self.spell(&labels, postings, &mut entry.labels));
        self.labels = labels;
        spelled?;
        entry.columns.clone_from(&self.place.entry.columns);
        entry.generation = self.generation;
        Ok(())
    }

    /// Reads where the samples of a series are, and spells nothing.
    pub(crate) fn columns(
        &mut self,
        owner: u64,
        tables: (&SeriesTable<'_>, &PostingsTable<'_>),
        series: u32,
    ) -> Result<&[ColumnRef], Corruption> {
        self.own(owner, tables.1);
        tables.0.read(series, &mut self.place)?;
        Ok(&self.place.entry.columns)
    }

    /// Whether what it knows is of this block.
    pub(crate) fn is_of(&self, owner: u64) -> bool {
        self.owner == Some(owner)
    }

    fn own(&mut self, owner: u64, postings: &PostingsTable<'_>) {
        if !self.is_of(owner) || self.text.len() > TEXT_BYTES_MAX {
            self.forget(owner, postings.key_count());
        }
    }

    fn spell(
        &mut self,
        labels: &[(u32, u32)],
        postings: &PostingsTable<'_>,
        texts: &mut Vec<(TextRange, TextRange)>,
    ) -> Result<(), Corruption> {
        texts.clear();
        for (name, pair) in labels {
            let name = self.range_of(*name as usize, postings)?;
            texts.push((name, self.range_of(postings.value_key(*pair), postings)?));
        }
        Ok(())
    }

    fn range_of(&mut self, key: usize, postings: &PostingsTable<'_>) -> Result<TextRange, Corruption> {
        let page = self.pages[key / PAGE_TEXTS].get_or_insert_with(|| Box::new([UNKNOWN; PAGE_TEXTS]));
        let range = &mut page[key % PAGE_TEXTS];
        if range.start == UNKNOWN.start {
            let start = self.text.len();
            postings.append_text(postings.key_symbol(key), &mut self.text)?;
            *range = TextRange { start, end: self.text.len() };
        }
        Ok(*range)
    }

    fn forget(&mut self, owner: u64, key_count: usize) {
        self.owner = Some(owner);
        self.generation += 1;
        self.text.clear();
        self.pages.clear();
        self.pages.resize_with(key_count.div_ceil(PAGE_TEXTS), || None);
        self.place = Place::default();
    }

    fn text(&self, range: TextRange) -> &str {
        &self.text[range.start..range.end]
    }
}
